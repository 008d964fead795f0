//! Requests that nobody signed because they never came over a wire: the console's, which works in the name of whoever is
//! signed in to it.
//!
//! Such a request names its key in an extension of its own type. A request off a wire is made by hyper of bytes, and no bytes make
//! an extension; the type is this crate's alone, and one place makes it (`server::console`). Whose the key is and whether
//! it still counts is looked up anew for every request, as for one that is signed with it, and nothing else is taken from it: the
//! request is authorised, admitted, audited and logged like any other. What is signed *and* in somebody's name is refused,
//! so that the console can't be made to carry a stranger's signature.

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

    /// Makes it a request in that name.
    pub fn send(self, mut request: Request<Body>) -> Request<Body> {
        request.extensions_mut().insert(self);
        request
    }

    /// Whose request it is, if it is one of these.
    pub fn of(head: &Parts) -> Option<&OnBehalf> {
        head.extensions.get()
    }

    /// Whose key it is now.
    ///
    /// # Errors
    /// What finding the key refuses; `SeveralMechanisms` for a request that is signed besides.
    pub fn caller(&self, head: &Parts, keys: &Keys<'_>) -> Result<Caller, AuthError> {
        match Claim::of(&stratum_auth::Request::from(head), Version2::Refused)? {
            Claim::Anonymous(_) => {
                keys.find(&self.access_key, self.session_token.as_deref()).map(|(caller, _)| caller)
            }
            Claim::Version2(_) | Claim::Version4(_) => Err(AuthError::SeveralMechanisms),
        }
    }
}
