//! What the console needs of the world: a way to send requests in somebody's name, and to know who they are.

use axum::body::Body;
use http::request::Parts;
use http::uri::Scheme;
use http::{Request, Response};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use stratum_cipher::DataKey;

/// What is answered later.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose key somebody is signed in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub access_key: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Key {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// What they are called.
    pub name: String,
    /// Whether they may operate the store.
    pub operates: bool,
}

/// How somebody reached the console.
#[derive(Clone, Debug)]
pub struct Via {
    pub peer: SocketAddr,
    pub scheme: Scheme,
}

impl Via {
    /// What whoever accepted the connection says of a request.
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

/// The store, as the console reaches it.
pub trait Door: Send + Sync + 'static {
    /// Who says the key and its secret, if it is its secret, compared in constant time; an error says why that can't be told now.
    fn sign_in<'a>(&'a self, key: &'a Key, secret: &'a str) -> Answering<'a, Result<Option<Who>, String>>;

    /// Whose key it is now; nobody's, once it was taken away.
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

    /// What sessions are sealed with: of who has it any cookie is believed.
    fn session_key(&self) -> DataKey;

    /// Milliseconds of Unix time.
    fn now(&self) -> u64;

    /// Fills with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}
