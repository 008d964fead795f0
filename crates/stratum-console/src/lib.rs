//! The console: the pages by which people look at a store and work with it in a browser.
//!
//! The console is a client. It makes every page from requests to S3, IAM and the operator's API, which it sends
//! through a [`Door`] in the name of the access key that is signed in. So rights, quotas, audit and limits are those
//! of that key, and nothing in this crate decides about them. Names, tags and types of objects are whatever somebody
//! chose. So `maud` escapes all text of the answers that a page shows, `names` encodes it where it goes into an
//! address, and bytes of objects are answered such that no browser runs anything of them (`bytes_of`).
//!
//! * [`door`] is what the server gives the console.
//! * `visit` is one request: who is signed in, the form, and the guards against forged requests; `session`, `ended`
//!   and `attempts` are what stands behind signing in and out.
//! * `ask` sends requests and reads the answers.
//! * `pages` has a file for each page, `frame` what all pages have; `shown` is how sizes and times read.
//! * `assets` are the stylesheet and the scripts, which do what a page can't do alone: uploads with progress.
//!
//! Everything works without scripts, reading and writing.

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
pub use pages::Holds;

use assets::Assets;
use attempts::Attempts;
use axum::Router;
use axum::middleware;
use session::Sessions;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The path below which the console's pages are.
pub const ROOT: &str = "/_stratum/console";
/// The path of the first page after signing in.
pub const HOME: &str = "/_stratum/console/buckets";

/// What all requests share.
pub(crate) struct Console {
    door: Arc<dyn Door>,
    sessions: Sessions,
    attempts: Attempts,
    assets: Assets,
    /// Bounds how many archives are written at once. Each holds the names of all that is in it in memory ([`Holds`]),
    /// which are written at its end.
    archives: Arc<Semaphore>,
}

/// How many archives are written at once.
const ARCHIVES_AT_ONCE: usize = 8;

/// The console's routes, whose paths begin with [`ROOT`]. Each request carries where it came from (`SocketAddr`) and how
/// (`http::uri::Scheme`) as extensions.
pub fn routes(door: Arc<dyn Door>) -> Router {
    let (sessions, attempts) = (Sessions::new(door.as_ref()), Attempts::new(door.as_ref()));
    let console = Arc::new(Console {
        door,
        sessions,
        attempts,
        assets: Assets::new(),
        archives: Arc::new(Semaphore::new(ARCHIVES_AT_ONCE)),
    });
    let guard = middleware::from_fn_with_state(console.clone(), visit::guard);
    pages::routes().layer(guard).with_state(console)
}
