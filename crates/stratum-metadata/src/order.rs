//! The order of commands: which of them count, and which comes before which.
//!
//! An [`Order`] takes groups of commands that are proposed here, and gives a stream of groups that are *committed*:
//! nothing of those is ever taken back, and they come one after the other, without a hole. The state is fed by that
//! stream and by nothing else ([`Follower`]). Whoever proposed a group is not part of it: who waits for what came of a
//! group is known by its [`Ticket`], and of a group that was proposed elsewhere nobody here waits. So whoever only follows
//! applies what it gets in the same way as whoever proposes.
//!
//! Where the entries lie on this machine's disks is another matter: that is the local journal ([`crate::log`]), which an
//! order may write to and everybody may read.
//!
//! [`single`] is the order of a store of one node. An order that several nodes agree on is another file beside it.

pub(crate) mod single;

use crate::command::{Proposed, Urgency};
use crate::fate::CommitError;
use crate::log::{LogEntry, Usage};
use crate::machine::{Entry, ReadError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use stratum_storage::blob::Index;

/// Tells the groups that were proposed in this run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub u64);

/// Commands that are to be committed together, or not at all.
#[derive(Debug)]
pub(crate) struct Group {
    pub ticket: Ticket,
    /// The commands, and each as it is journaled, in the same order.
    pub commands: Vec<Proposed>,
    pub entries: Vec<LogEntry>,
    pub urgency: Urgency,
}

/// A group of which nothing is ever taken back.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Who waits for what comes of it; nobody where it was proposed elsewhere, or in another run.
    pub ticket: Option<Ticket>,
    /// Those that follow the last one's, without a hole.
    pub entries: Vec<Entry>,
}

/// Where committed groups go, one after the other.
pub(crate) trait Follower: Send + Sync + 'static {
    /// Takes the next group. May block while others wait to be applied.
    fn follow(&self, group: Committed);
}

/// When a read may begin, so that it sees everything that was acknowledged before it was asked for.
pub(crate) enum Barrier {
    /// At once: whatever was acknowledged is applied here.
    Passed,
    /// When the entry that this gives is applied here. It fails where nobody can say what was acknowledged.
    #[cfg_attr(not(test), expect(dead_code, reason = "a single node has nothing to wait for"))]
    Behind(Pin<Box<dyn Future<Output = Result<Index, ReadError>> + Send>>),
}

/// Keeps an order from committing anything.
pub(crate) trait Rest {}

/// What decides the order of commands. All calls but [`Order::barrier`] may block.
pub(crate) trait Order: Send + Sync + 'static {
    /// From now on every committed group goes there. To be called once, before anything is proposed.
    fn feed(&self, follower: Arc<dyn Follower>);

    /// Has a group committed. It is given to the follower, whole and exactly once, before this returns. One group at a
    /// time.
    ///
    /// # Errors
    /// Of a group that is not committed, or of which that isn't known. One whose outcome is unknown may still come.
    fn propose(&self, group: Group) -> Result<(), CommitError>;

    /// What a read that is asked for now must wait for.
    fn barrier(&self) -> Barrier;

    /// Nothing is committed while this lives.
    fn at_rest(&self) -> Box<dyn Rest + '_>;

    /// The last entry of the local journal that is sure to be committed; [`Index::MAX`] where all that it holds are.
    fn committed(&self) -> Index;

    /// The most bytes of entries that a group may have.
    fn max_group(&self) -> usize;

    /// Whether entries of so many bytes can be committed, as full as the journals are now.
    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool;

    /// How full the fullest journal is that a group must go to.
    fn usage(&self) -> Usage;
}
