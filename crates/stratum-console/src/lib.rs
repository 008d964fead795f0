//! The console: what people see of a store, and what they do with it in a browser.
//!
//! It is a client. Every page is made of S3's, IAM's and the operator's requests, sent through a [`Door`] in the name of the
//! access key that is signed in, so that rights, quotas, audit and limits are those of that key and nothing here
//! decides of them. What a page shows comes out of those answers as text: names, tags and types of objects are whatever somebody
//! chose, so `maud` escapes all of it, `names` encodes it where it goes into an address, and bytes of objects leave by
//! routes that no browser runs anything from (`bytes_of`).
//!
//! * [`door`] is what the console needs of the world.
//! * `visit` is one request: who is signed in, the form, and the guards against forged ones; `session`, `ended` and `attempts`
//!   are what stands behind signing in and out.
//! * `ask` sends requests and reads the answers.
//! * `pages` has a file for each page, `frame` what all pages have; `shown` is how sizes and times read.
//! * `assets` are the stylesheet and the scripts, whose work is what a page can't do alone: uploads with progress.
//!
//! Everything that reads works without script, and so does everything that writes.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod ask;
mod assets;
mod attempts;
mod bytes_of;
mod door;
mod ended;
mod form;
mod frame;
mod headers;
mod names;
mod pages;
mod session;
mod shown;
mod sign_in;
mod trouble;
mod visit;

pub use door::{Answering, Door, Holder, Key, Link, SessionKeeper, Via, Who};
pub use form::MOST_FORM_BYTES;

use assets::Assets;
use attempts::Attempts;
use axum::Router;
use axum::middleware;
use session::Sessions;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where the console lives.
pub const ROOT: &str = "/_stratum/console";
/// Where it begins.
pub const HOME: &str = "/_stratum/console/buckets";

/// What all requests share.
pub(crate) struct Console {
    door: Arc<dyn Door>,
    sessions: Sessions,
    attempts: Attempts,
    assets: Assets,
    /// Archives that are written at once: the end of each lists all that is in it, and that is kept until then.
    archives: Arc<Semaphore>,
}

/// How many archives are written at once.
const ARCHIVES: usize = 8;

/// The console's routes, whose paths begin with [`ROOT`]. Each request carries where it came from (`SocketAddr`) and how
/// (`http::uri::Scheme`) as extensions.
pub fn routes(door: Arc<dyn Door>) -> Router {
    let (sessions, attempts) = (Sessions::new(door.as_ref()), Attempts::new(door.as_ref()));
    let console = Arc::new(Console {
        door,
        sessions,
        attempts,
        assets: Assets::new(),
        archives: Arc::new(Semaphore::new(ARCHIVES)),
    });
    let guard = middleware::from_fn_with_state(console.clone(), visit::guard);
    pages::routes().layer(guard).with_state(console)
}
