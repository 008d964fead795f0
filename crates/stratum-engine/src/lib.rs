//! A store's engine: its layers, opened in one place and in one order, and the tasks that work on them in the
//! background.
//!
//! The server, `fsck --repair`, the tests' servers and torture all open a store here, so what one of them tests is
//! what the others run. It takes two steps, since the place of the index may depend on which drives there are.
//! [`Foundation::open`] takes the drives and opens the next epoch of their journal, before which nothing may be read.
//! [`Engine::open`] builds the state from the journal, opens the volumes that the state names, and assembles the
//! tasks, none of which runs until the caller starts it.
//!
//! Clock, randomness and threads are handed in with the drives: on simulated ones the same seed does the same.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod config;
mod ends;
mod foundation;
pub mod given_up;
mod open;
mod pressure;
pub mod provisional;
pub mod remote_claims;
mod rewrap;
pub mod shown;
pub mod supervisor;
mod tasks;
pub mod tiering;
mod wishes;

pub use config::{Config, LEAST_RESERVE_BYTES, ScrubProgress, TieringConfig};
pub use foundation::Foundation;
pub use open::OpenError;
pub use pressure::Pressure;
pub use rewrap::{RewrapStatus, Rewrapper};
pub use tasks::copies;
pub use tasks::lifecycle::{LastPass, Lifecycle, LifecycleStatus};
pub use tasks::state_copies::{StateCopies, StateCopyStatus};
pub use wishes::wishes_of;

use copies::Copies;
use std::sync::Arc;
use std::time::Duration;
use stratum_bodies::{Codecs, Tables};
use stratum_metadata::{Compactor, Metadata, Mover, Quarantine, Reviews};
use stratum_storage::ambient::Clock;
use stratum_storage::balance::Balancer;
use stratum_storage::heal::Healer;
use stratum_storage::journal::Journal;
use stratum_storage::pace::Pace;
use stratum_storage::scrub::Scrubber;
use stratum_storage::set::Set;
use stratum_storage::upload::Uploader;
use stratum_storage::volumes::{Restored, Volumes};
use stratum_tiering::content::Samples;
use stratum_tiering::usage::Usage;
use tiering::Tiering;

/// An open store. A cheap handle to all of its layers.
#[derive(Clone)]
pub struct Engine {
    pub set: Arc<Set>,
    pub journal: Arc<Journal>,
    pub metadata: Metadata,
    pub volumes: Volumes,
    pub clock: Arc<dyn Clock>,
    /// Moves bodies between volumes, at the pace of all background work.
    pub mover: Mover,
    pub healer: Arc<Healer>,
    pub scrubber: Arc<Scrubber>,
    pub compactor: Arc<Compactor>,
    pub balancer: Arc<Balancer>,
    pub quarantine: Arc<Quarantine>,
    pub copies: Arc<Copies>,
    /// Moves objects into the tiers where they belong.
    pub reviews: Arc<Reviews>,
    /// Decides in which tier each object belongs.
    pub tiering: Arc<Tiering>,
    /// Carries out buckets' lifecycle rules.
    pub lifecycle: Arc<Lifecycle>,
    /// Uploads sealed volumes of the cold tier to the remote store.
    pub uploader: Arc<Uploader>,
    /// What keeps a copy of the state beside those.
    pub state_copies: Arc<StateCopies>,
    /// Wraps data keys again when a key above them was rotated.
    pub rewrapper: Arc<Rewrapper>,
    /// How objects are used.
    pub usage: Arc<Usage>,
    /// The queue of written objects for the classifier; closed if there is none.
    pub samples: Arc<Samples>,
    /// The codec for bodies that are moved into each tier.
    pub codecs: Codecs,
    /// Caches tables of frames.
    pub tables: Tables,
    /// What was found when the volumes were opened.
    pub restored: Arc<Restored>,
    /// See [`Config::reserve`].
    reserve: u64,
    files_interval: Duration,
}

impl Engine {
    /// The pace of all background work.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.mover.pace
    }

    /// Commits what is queued, writes the index out and releases the volumes. Blocks. The drives are released only
    /// when nobody has a handle of the engine any more.
    pub fn shutdown(&self) {
        self.metadata.shutdown();
    }
}
