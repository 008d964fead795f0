//! A store's engine: its layers, opened in one place and in one order, and what works on them in the background.
//!
//! The server, `fsck --repair`, the tests' servers and torture all open a store here, so that what one of them is tested
//! with is what the others run. It takes two steps, since where the index lies may depend on which drives are there:
//! [`Foundation::open`] takes the drives and opens the next epoch of their journal, before which nothing may be read;
//! [`Engine::open`] brings up the state that the journal tells, then the volumes that the state names, and puts together
//! what looks after them. Nothing works by itself until somebody runs it.
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
mod rewrap;
pub mod supervisor;
mod tasks;
pub mod tiering;
mod wishes;

pub use config::{Config, LEAST_RESERVE, ScrubProgress, TieringConfig};
pub use foundation::Foundation;
pub use open::OpenError;
pub use pressure::Pressure;
pub use rewrap::{RewrapStatus, Rewrapper};
pub use tasks::copies;
pub use tasks::lifecycle::{LastPass, Lifecycle, LifecycleStatus};
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
    /// What moves bodies between volumes, at the pace of all background work.
    pub mover: Mover,
    pub healer: Arc<Healer>,
    pub scrubber: Arc<Scrubber>,
    pub compactor: Arc<Compactor>,
    pub balancer: Arc<Balancer>,
    pub quarantine: Arc<Quarantine>,
    pub copies: Arc<Copies>,
    /// What takes objects to the tiers where they belong.
    pub reviews: Arc<Reviews>,
    /// What decides in which tier an object belongs.
    pub tiering: Arc<Tiering>,
    /// What carries out buckets' lifecycle.
    pub lifecycle: Arc<Lifecycle>,
    /// What brings sealed volumes of the cold tier to the remote store.
    pub uploader: Arc<Uploader>,
    /// What wraps data keys anew when a key above them was rotated.
    pub rewrapper: Arc<Rewrapper>,
    /// How objects are used.
    pub usage: Arc<Usage>,
    /// What was written and waits to be looked at, if anybody does.
    pub samples: Arc<Samples>,
    /// What bodies are coded with that come to a tier.
    pub codecs: Codecs,
    /// Tables of frames that were read lately.
    pub tables: Tables,
    /// What bringing the volumes back did.
    pub restored: Arc<Restored>,
    /// See [`Config`].
    reserve: u64,
    files_interval: Duration,
}

impl Engine {
    /// The pace of all background work.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.mover.pace
    }

    /// Finishes what waits, writes the index out and lets go of the volumes. Blocks. Whoever still holds a handle holds
    /// the drives, too.
    pub fn shutdown(&self) {
        self.metadata.shutdown();
    }
}
