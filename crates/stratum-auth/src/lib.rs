//! Checks the signatures of requests, version 4 and, if enabled, version 2, as pure functions; and holds the users
//! who may sign.
//!
//! Nothing here reads a clock, a socket or a file: a request is borrowed as method, raw path, raw query and headers,
//! the time is an argument, and the answer is a value. So every rule is tested with published vectors, and against
//! another implementation's signatures of generated requests.
//!
//! * [`request`] reads how a request says that it is authenticated (`Authorization`, presigned query, not at all).
//! * [`request::version_2`] reads and checks Signature Version 2, which a verifier accepts only if told to
//!   ([`Version2`]).
//! * [`canonical`] writes the canonical request, S3's way: paths are encoded once and never normalised.
//! * [`signature`] checks what was read; `signing_key` derives and caches the keys for that.
//! * [`chunked`] decodes `aws-chunked` bodies and checks their chain of signatures as they stream.
//! * [`presign`] makes presigned URLs.
//! * [`identity`] holds the users of the configuration and their keys, and the trait for whatever else holds keys.
//! * [`error`] holds what can be wrong with a signature, with one variant for each answer that S3 gives.
//!
//! ```
//! use http::HeaderMap;
//! use stratum_auth::{Identities, Payload, Request, Verifier};
//!
//! let verifier = Verifier::new("us-east-1");
//! let identities = Identities::new([])?;
//! let headers = HeaderMap::new();
//! let request = Request { method: "GET", path: "/bucket/a%20key", query: "", headers: &headers, virtual_bucket: None };
//! let now = 1_369_353_600; // Unix seconds, from the caller's clock
//!
//! let answer = verifier.authenticate(&request, now, &identities)?;
//! assert!(answer.signer.is_none(), "an unsigned request is anonymous");
//! match answer.payload {
//!     Payload::Unsigned => {}
//!     Payload::Sha256(_declared) => { /* hash the body, then `declared.check(..)` */ }
//!     Payload::Chunked(chunking) => {
//!         let _decoder = chunking.decoder(4096); // x-amz-decoded-content-length
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules are those of "Authenticating Requests (AWS Signature Version 4)" in the S3 API reference.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod canonical;
pub mod chunked;
mod digest;
pub mod error;
pub mod identity;
mod mechanism;
pub mod presign;
pub mod request;
pub mod signature;
mod signed_headers;
mod signing_key;
mod timestamp;

pub use chunked::{ChunkError, ChunkedDecoder, Chunking, Trailers};
pub use digest::Sha256Digest;
pub use error::{AuthError, Carrier, Fault, Mismatch};
pub use identity::{AccessKey, Identities, IdentityError, Keyring, SecretKey, User};
pub use mechanism::{Mechanism, Place, Version, Version2};
pub use presign::Presign;
pub use request::{Carried, Claim, PayloadMode, Request, Scope, Signed, version_2};
pub use signature::{Authenticated, Payload, PostForm, SignedForm, Signer, Verifier};
pub use signed_headers::SignedHeaders;
pub use timestamp::Timestamp;
