//! The order of a store of one node: the journal's entries are committed, in the journal's order.
//!
//! A commit waits for nothing but the journal's own sync, and the committed group is handed on by the thread that
//! proposed it; no entry is copied or read back.

use super::{Barrier, Committed, Follower, Group, Order, Rest};
use crate::command::Urgency;
use crate::fate::{CommitError, NotWritten};
use crate::log::{LocalLog, Usage};
use crate::machine::Entry;
use std::sync::{Arc, OnceLock};
use stratum_storage::blob::Index;
use tracing_mutex::parkinglot::{Mutex, MutexGuard};

pub(crate) struct Single {
    log: Arc<dyn LocalLog>,
    follower: OnceLock<Arc<dyn Follower>>,
    /// Held while a group is appended and handed to the follower.
    proposing: Mutex<()>,
}

impl Single {
    pub(crate) fn new(log: Arc<dyn LocalLog>) -> Single {
        Single { log, follower: OnceLock::new(), proposing: Mutex::default() }
    }
}

impl Order for Single {
    fn feed(&self, follower: Arc<dyn Follower>) {
        // Only the first follower counts: if two were fed in turn, each would have gaps.
        let _ = self.follower.set(follower);
    }

    fn propose(&self, group: Group) -> Result<(), CommitError> {
        let Some(follower) = self.follower.get() else { return Err(NotWritten::Stopped.into()) };
        let _alone = self.proposing.lock();
        let Group { ticket, commands, entries, urgency } = group;
        let appended = self.log.append(entries, urgency)?;
        let places = (appended.first..).zip(appended.hashes);
        let entry = |(proposed, (index, hash))| Entry { index, hash, proposed };
        let entries = commands.into_iter().zip(places).map(entry).collect();
        follower.follow(Committed { ticket: Some(ticket), entries });
        Ok(())
    }

    fn barrier(&self) -> Barrier {
        // A command is acknowledged only after it has been applied here.
        Barrier::Passed
    }

    fn at_rest(&self) -> Box<dyn Rest + '_> {
        Box::new(self.proposing.lock())
    }

    fn committed(&self) -> Index {
        Index::MAX
    }

    fn max_group(&self) -> usize {
        self.log.max_group()
    }

    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool {
        self.log.has_room(bytes, urgency)
    }

    fn usage(&self) -> Usage {
        self.log.usage()
    }
}

impl Rest for MutexGuard<'_, ()> {}
