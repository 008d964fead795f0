//! Bodies between plaintext and volumes: cut into frames, coded, sealed and written; read, opened, decoded and checked.
//!
//! Requests come here for what clients send and ask for, and whoever moves objects between tiers, to code them anew.
//! What is stored are frames (`stratum_frames`) or the plaintext itself, in volumes (`stratum_storage`); this crate
//! brings the two together off the async threads, and knows neither requests nor records. A [`PlaintextWriter`] is
//! pushed plaintext and says where the stored bytes lie; a [`PlaintextReader`] gives a range of the plaintext.
//! [`Codecs`] says which tier codes how, [`Priority`] for whom the work is done. Whoever reads or writes for a client
//! hands in the key; whoever moves a sealed body moves its stored bytes and has no key.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod behind;
mod codecs;
mod frames;
mod priority;
mod reader;
mod sealed;
mod segments;
mod stored;
mod tables;
mod writer;

pub use codecs::Codecs;
pub use frames::{decode, shrinks};
pub use priority::Priority;
pub use reader::PlaintextReader;
pub use sealed::SealedWriter;
pub use tables::Tables;
pub use writer::{Finished, PlaintextWriter, code};

use stratum_frames::FrameError;
use stratum_storage::readpath::ReadError;
use stratum_storage::writepath::WriteError;

/// The largest body that lies with others in a packed stripe, in stored bytes. Such a body of a client's lies in the
/// journal entry of its command first.
pub const MAX_SMALL_BODY_BYTES: u64 = 32 << 10;

/// Why a body could not be written or read. What was written of it is given back.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Frames(#[from] FrameError),
    #[error("work on a body ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
    #[error("work on a body was lost when it failed before")]
    Lost,
}
