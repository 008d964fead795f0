//! What the server gives the console: a way to send requests in the name of a key and to learn whose it is, a clock,
//! randomness, and a place to keep what sessions need over a restart.

use axum::body::Body;
use http::request::Parts;
use http::uri::Scheme;
use http::{Request, Response};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use stratum_cipher::DataKey;

/// A future that the methods of [`Door`] return.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The access key that somebody is signed in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Key {
    /// Shows the access key and not the session token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The user or role that a key belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Who {
    /// The name by which pages call them.
    pub name: String,
    /// Whether they may operate the store.
    pub operates: bool,
    pub holder: Holder,
    /// What the key's secret makes of fixed words: something else once the key has another secret. Guesses of the secret
    /// can be tried against it, so it leaves the server only under a seal.
    pub secret_mark: String,
}

impl fmt::Debug for Who {
    /// Leaves out what marks the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Who").field("name", &self.name).field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// Whose sessions are counted together: a user's with all their keys, or those of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The id of the account.
    pub account: String,
    /// The id of the user or role in it.
    pub id: String,
    /// Whether several people may be in it at once.
    pub is_role: bool,
}

/// How somebody reached the console.
#[derive(Clone, Debug)]
pub struct Via {
    pub peer: SocketAddr,
    pub scheme: Scheme,
}

impl Via {
    /// Reads what the listener noted in the request's extensions.
    pub(crate) fn of(head: &Parts) -> Via {
        let nowhere = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let peer = head.extensions.get().copied().unwrap_or_else(nowhere);
        Via { peer, scheme: head.extensions.get().cloned().unwrap_or(Scheme::HTTP) }
    }
}

/// A request that is to be presigned. Path and query are percent-encoded.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    pub method: &'a str,
    /// As the browser will send it.
    pub host: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub seconds: u32,
}

/// Keeps over a restart what the console needs for its sessions.
pub trait SessionKeeper: fmt::Debug + Send + Sync + 'static {
    /// The key that cookies are sealed with. Whoever has it can make a cookie for any user.
    fn key(&self) -> DataKey;

    /// What [`keep`](SessionKeeper::keep) was last given; empty if it never was.
    fn ended(&self) -> Vec<u8>;

    /// Replaces durably what is kept of sessions that ended before their time. It may block, and is never called
    /// twice at once.
    ///
    /// # Errors
    /// Why it can't be kept, in words.
    fn keep(&self, ended: &[u8]) -> Result<(), String>;
}

/// The store, as the console reaches it.
pub trait Door: Send + Sync + 'static {
    /// Whose key it is, if the secret is right, which is compared in constant time. An error says why that can't be
    /// told now.
    fn sign_in<'a>(&'a self, key: &'a Key, secret: &'a str) -> Answering<'a, Result<Option<Who>, String>>;

    /// Whose key it is now; nobody's once it was deleted or has expired.
    fn who<'a>(&'a self, key: &'a Key) -> Answering<'a, Result<Option<Who>, String>>;

    /// Answers a request as if the key had signed it.
    fn send<'a>(
        &'a self,
        key: &'a Key,
        via: &'a Via,
        request: Request<Body>,
    ) -> Answering<'a, Response<Body>>;

    /// The path and query of a link that needs no signing in.
    fn presign<'a>(&'a self, key: &'a Key, link: &'a Link<'a>) -> Answering<'a, Option<String>>;

    fn sessions(&self) -> Arc<dyn SessionKeeper>;

    /// The names of the webhooks that buckets may send notifications to. S3 tells of each name whether it is one.
    fn webhooks(&self) -> Vec<String>;

    /// Milliseconds of Unix time.
    fn now(&self) -> u64;

    /// Milliseconds since some moment of the process. It never goes back, whatever is done to the clock.
    fn monotonic(&self) -> u64;

    /// Fills with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}
