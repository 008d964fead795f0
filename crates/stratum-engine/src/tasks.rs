//! The list of all background work of a store.
//!
//! A new task is a file that implements [`Task`] in the crate to which its meaning belongs (storage, metadata, or
//! here if it needs several layers), and a row below. The server's supervisor and torture both run what is in the
//! list.

pub mod copies;
mod drives;
pub(crate) mod lifecycle;
pub mod state_copies;
mod volumes;

use crate::{Engine, given_up};
use copies::CopiesScrub;
use drives::{DriveWatch, ReplicatedFiles, SlowDrives};
use std::sync::Arc;
use stratum_metadata::{Counter, Drain, IndexKeeper, JournalKeeper, Packer, Sweeper};
use stratum_storage::task::Task;
use volumes::VolumeKeeper;

impl Engine {
    /// The tasks, in the order of the status. Packing and checkpoints must keep up with what is appended, since the
    /// journal's room depends on them; all tasks are idle when nothing happens.
    pub fn tasks(&self) -> Vec<Arc<dyn Task>> {
        let Engine { set, journal, metadata, volumes, clock, mover, .. } = self.clone();
        let (marked, now) = (set.clone(), clock.clone());
        let mark = move || given_up::mark(&marked, now.as_ref()).map_err(|error| error.to_string());
        vec![
            Arc::new(DriveWatch(set.clone())),
            Arc::new(SlowDrives { set: set.clone(), journal }),
            Arc::new(ReplicatedFiles { set, interval: self.files_interval }),
            Arc::new(JournalKeeper::new(metadata.clone())),
            Arc::new(IndexKeeper::new(metadata.clone())),
            Arc::new(Packer::new(metadata.clone(), volumes, Arc::new(mark))),
            Arc::new(self.healer.clone()),
            self.scrubber.clone(),
            self.balancer.clone(),
            Arc::new(Sweeper::new(metadata, clock)),
            self.compactor.clone(),
            self.quarantine.clone(),
            Arc::new(CopiesScrub(self.clone())),
            Arc::new(Drain::new(mover)),
            Arc::new(VolumeKeeper::new(self.clone())),
            self.tiering.clone(),
            self.reviews.clone(),
            self.lifecycle.clone(),
            self.rewrapper.clone(),
            Arc::new(Counter::new(self.metadata.clone())),
            self.uploader.clone(),
            self.state_copies.clone(),
        ]
    }
}
