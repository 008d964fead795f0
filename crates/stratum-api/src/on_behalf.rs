//! Requests of the console, which sends them inside the server in the name of the user who is signed in to it. They
//! never come over the network, and nobody signs them.
//!
//! Such a request carries the user's access key in an extension of the type [`OnBehalf`]. A client can't forge it:
//! hyper makes a request from bytes, and no bytes become an extension. The type belongs to this crate, and
//! `server::console` is the one place that makes a value of it. For every request it is looked up anew whose the
//! access key is and whether it is still valid, as for a signature with that key. The extension gives the request no
//! other right: it is authorised, admitted, audited and logged like any other. A request that has the extension *and*
//! a signature is refused, so that the console can't be made to forward a stranger's signature.

use crate::identities::{Caller, Keys};
use axum::body::Body;
use http::Request;
use http::request::Parts;
use stratum_auth::{AuthError, Claim, Keyring, Version2};

/// In whose name a request is answered.
#[derive(Clone, Debug)]
pub struct OnBehalf {
    access_key: String,
    session_token: Option<String>,
}

impl OnBehalf {
    pub fn new(access_key: String, session_token: Option<String>) -> Self {
        Self { access_key, session_token }
    }

    /// Marks a request as one that is sent in this name.
    pub fn send(self, mut request: Request<Body>) -> Request<Body> {
        request.extensions_mut().insert(self);
        request
    }

    /// In whose name a request was sent, if the console sent it.
    pub fn of(head: &Parts) -> Option<&OnBehalf> {
        head.extensions.get()
    }

    /// The caller to whom the access key belongs now.
    ///
    /// # Errors
    /// The errors of [`Keyring::find`]; `SeveralMechanisms` for a request that is signed, too.
    pub fn caller(&self, head: &Parts, keys: &Keys<'_>) -> Result<Caller, AuthError> {
        match Claim::of(&stratum_auth::Request::from(head), Version2::Refused)? {
            Claim::Anonymous(_) => {
                keys.find(&self.access_key, self.session_token.as_deref()).map(|(caller, _)| caller)
            }
            Claim::Version2(_) | Claim::Version4(_) => Err(AuthError::SeveralMechanisms),
        }
    }
}
