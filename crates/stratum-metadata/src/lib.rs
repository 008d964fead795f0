//! The store's metadata: commands, the state machine that applies them, its index in sled, and its checkpoints.
//!
//! Every mutation is a [`command::Command`], which is journaled and then applied deterministically. sled holds the
//! applied state and can be thrown away: a checkpoint and the journal rebuild it.
//!
//! A write: [`Metadata::commit`] queues a proposal. The committer's thread has all proposals in the queue ordered as
//! one group (`order`), which on a single node means that they are appended to the journal ([`log`]). The committed
//! group is applied (`state`); every read sees that at once (`layers`), the index holds it a little later (`tree`),
//! and the proposers are answered. A read: [`Metadata::fresh`] gives a view that has everything acknowledged so far;
//! [`ReadView::object`] is one lookup, [`listing`] a seek and a scan.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod awaited;
mod ballast;
mod buckets;
pub mod census;
pub mod check;
mod checkpoint;
pub mod command;
mod committer;
mod compact;
pub mod declared;
mod drain;
mod encrypted;
mod evacuate;
mod events;
mod fate;
mod fingerprint;
#[cfg(test)]
mod fixtures;
#[doc(hidden)]
pub mod fuzzing;
mod housekeeping;
mod index_dir;
mod keys;
mod layers;
pub mod listing;
pub mod log;
mod lost;
mod machine;
mod order;
mod owned;
mod owners;
mod pack;
pub mod placement;
mod quarantine;
pub mod record;
mod relocate;
mod rests;
pub mod salvage;
mod space;
mod stack;
mod state;
mod store;
mod sweep;
mod transition;
mod tree;
mod unnamed;
mod upkeep;
mod usage;
mod versions;
mod walk;

pub use checkpoint::{
    CarriedCheckpoint, Export as CheckpointExport, LostFile, RangeCheck, ReadManifest,
    Sizes as CheckpointSizes,
};
pub use committer::Headroom;
pub use compact::{CompactionStatus, Compactor, Narrowed, Why};
pub use drain::Drain;
pub use encrypted::{Encrypted, EncryptedPage, EncryptedWalk};
pub use evacuate::{EvacuateError, Evacuated, Mover};
pub use fate::{CommitError, NewBytes, NotWritten, UnknownOutcome};
pub use housekeeping::{IndexKeeper, JournalKeeper};
pub use lost::LostBlock;
pub use machine::ReadError;
pub use owners::Piece;
pub use pack::{Mark, Packer};
pub use quarantine::{Quarantine, QuarantineStatus};
pub use state::ApplyError;
pub use store::{
    Ballast, ExportError, IndexState, IndexStatus, Loss, LossError, LostKeys, Metadata, OpenError, Options,
    PartsToComplete, ReadView, RebuildStep,
};
pub use sweep::{Sweeper, Time};
pub use transition::{
    Foreseen, Foresight, Reviews, TIERS_SINCE, TierWish, TransitionStatus, Transitions, Unforeseen, tier_of,
};
pub use tree::TreeError;
pub use unnamed::{ReclaimError, Reclaimed};
pub use usage::{Counter, QUOTAS_SINCE, UserUsage};
pub use versions::{KeyVersion, VERSIONS_SINCE};
pub use walk::{Walk, WalkPage, Walked};
