//! Keys, what is wrapped and sealed with them, and the service that keeps the keys above.
//!
//! ```text
//! master key, or a client's own          kept by a KeyService, or by the client
//!   +- data key, one an object           kept in the object's record, wrapped
//!        +- body key, one a body         made of the data key and a salt beside the body
//!        +- words                        headers and metadata, sealed as one
//!        +- tags                         of what must not be told as it is: ETags
//! ```
//!
//! Each arrow is HKDF-SHA-256 with a random salt, or AES-256-GCM with a key that is used for that alone; so no nonce
//! is ever used twice with a key, even where the same thing is written again. This crate knows neither objects nor
//! drives nor requests, has no randomness of its own (salts are handed in), and `primitives.rs` is the one file that
//! names `ring`. `docs/adr/0019-keys-above-keys.md` says why, `docs/format/encryption.md` has the bytes.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod body;
mod data_key;
mod master;
mod primitives;
mod service;
mod wrapped;

pub use body::BodyKey;
pub use data_key::DataKey;
pub use master::{KeyFileError, KeyMark, MasterKeys};
pub use primitives::{KEY_BYTES, Salt, TAG_BYTES};
pub use service::{Asked, KeyError, KeyService};
pub use wrapped::{NotUnwrapped, Wrapped};
