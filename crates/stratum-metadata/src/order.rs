//! The order of commands: which of them are committed, and in which sequence.
//!
//! An [`Order`] takes groups of commands that are proposed here, and gives a stream of groups that are *committed*:
//! they are never taken back, and they come one after the other, without a gap. The state is fed by that stream and
//! by nothing else ([`Follower`]). The stream doesn't carry the proposers: those who wait for the outcome of a group
//! are found by its [`Ticket`], and nobody here waits for a group that was proposed elsewhere. So a node that only
//! follows applies groups in the same way as the one that proposes.
//!
//! Where the entries lie on this machine's disks is the matter of the local journal ([`crate::log`]), which an order
//! may write to and everybody may read.
//!
//! [`single`] is the order of a store of one node. An order on which several nodes agree would be another module
//! beside it.

pub(crate) mod single;

use crate::command::{Proposed, Urgency};
use crate::fate::CommitError;
use crate::log::{LogEntry, Usage};
use crate::machine::{Entry, ReadError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use stratum_storage::blob::Index;

/// Identifies a group that was proposed in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub u64);

/// Commands that are to be committed together or not at all.
#[derive(Debug)]
pub(crate) struct Group {
    pub ticket: Ticket,
    /// The commands, and each of them as it is journaled, in the same order.
    pub commands: Vec<Proposed>,
    pub entries: Vec<LogEntry>,
    pub urgency: Urgency,
}

/// A group that will never be taken back.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Identifies those who wait for its outcome; `None` if it was proposed elsewhere, or in another run.
    pub ticket: Option<Ticket>,
    /// The entries after those of the group before, without a gap.
    pub entries: Vec<Entry>,
}

/// Takes the committed groups, one after the other.
pub(crate) trait Follower: Send + Sync + 'static {
    /// Takes the next group. May block while earlier ones wait to be applied.
    fn follow(&self, group: Committed);
}

/// What a read must wait for, so that it sees everything that was acknowledged before it was asked for.
pub(crate) enum Barrier {
    /// Nothing: whatever was acknowledged has been applied here.
    Passed,
    /// The entry that the future gives must have been applied here. The future fails if nobody can say what was
    /// acknowledged.
    #[cfg_attr(not(test), expect(dead_code, reason = "a single node has nothing to wait for"))]
    Behind(Pin<Box<dyn Future<Output = Result<Index, ReadError>> + Send>>),
}

/// Keeps an order from committing anything while it lives.
pub(crate) trait Rest {}

/// Decides the order of commands. All calls but [`Order::barrier`] may block.
pub(crate) trait Order: Send + Sync + 'static {
    /// Makes every committed group from now on go to the follower. To be called once, before anything is proposed.
    fn feed(&self, follower: Arc<dyn Follower>);

    /// Has a group committed: it is given to the follower, whole and exactly once, before this returns. One group at
    /// a time.
    ///
    /// # Errors
    /// If the group is not committed, or if that isn't known. A group whose outcome is unknown may still be committed
    /// later.
    fn propose(&self, group: Group) -> Result<(), CommitError>;

    /// What a read that begins now must wait for.
    fn barrier(&self) -> Barrier;

    /// Nothing is committed while the guard lives.
    fn at_rest(&self) -> Box<dyn Rest + '_>;

    /// The last entry of the local journal that is known to be committed; [`Index::MAX`] if all of them are.
    fn committed(&self) -> Index;

    /// The most bytes of entries that a group may have.
    fn max_group(&self) -> usize;

    /// Whether entries of so many bytes can be committed now.
    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool;

    /// How full the fullest journal is of those that a group must go to.
    fn usage(&self) -> Usage;
}
