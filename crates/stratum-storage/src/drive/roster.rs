//! The drives of one tier, as they are at this moment.
//!
//! Drives join, leave and are replaced while the server runs. Whoever works with a tier's drives holds its roster and
//! asks it anew for each piece of work; a piece that has begun goes on with the drives that it began with. Only the
//! set changes a roster, and only after the drives themselves say so durably.

use super::{Drive, DriveId};
use std::sync::Arc;
use tracing_mutex::parkinglot::RwLock;

/// The drives of a tier by position, the missing ones too. A cheap handle; all clones see the same drives.
#[derive(Clone, Debug)]
pub struct Roster {
    drives: Arc<RwLock<Arc<[Arc<Drive>]>>>,
}

impl Roster {
    pub fn new(drives: Vec<Arc<Drive>>) -> Roster {
        Roster { drives: Arc::new(RwLock::new(drives.into())) }
    }

    /// The drives as they are now.
    pub fn now(&self) -> Arc<[Arc<Drive>]> {
        self.drives.read().clone()
    }

    pub fn find(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.drives.read().iter().find(|drive| drive.id() == id).cloned()
    }

    /// The healthy drives.
    pub fn healthy(&self) -> Vec<Arc<Drive>> {
        self.those(Drive::is_healthy)
    }

    /// The drives that take something new: healthy, and not on their way out.
    pub fn open_to_new(&self) -> Vec<Arc<Drive>> {
        self.those(Drive::takes_new)
    }

    fn those(&self, wanted: impl Fn(&Drive) -> bool) -> Vec<Arc<Drive>> {
        self.drives.read().iter().filter(|drive| wanted(drive)).cloned().collect()
    }

    /// Replaces the drives. Whoever holds the former ones goes on with them until it asks again.
    pub fn change(&self, drives: Vec<Arc<Drive>>) {
        *self.drives.write() = drives.into();
    }
}

impl From<Vec<Arc<Drive>>> for Roster {
    fn from(drives: Vec<Arc<Drive>>) -> Roster {
        Roster::new(drives)
    }
}
