//! The order of a store of one node: what its journal holds is committed, in the journal's order.
//!
//! Nothing is waited for beside the journal's own sync, and the committed group goes on where it was proposed: no other
//! thread is asked, and no entry is copied or read back.

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
    /// Held while a group is appended and handed on.
    proposing: Mutex<()>,
}

impl Single {
    pub(crate) fn new(log: Arc<dyn LocalLog>) -> Single {
        Single { log, follower: OnceLock::new(), proposing: Mutex::default() }
    }
}

impl Order for Single {
    fn feed(&self, follower: Arc<dyn Follower>) {
        // The first one stays: two that were told of the same groups in turn would each have holes.
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
        // An acknowledgement comes after the command is applied here.
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
