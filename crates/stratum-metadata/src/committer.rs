//! The way of a command: it is queued, ordered with all others that wait, applied and answered.
//!
//! One thread gives the queue to the [`Order`], a group at a time. Committed groups come back as a stream, which the
//! [`applier`] follows. The two sides don't know each other: the committer only learns of groups that were not
//! committed, and a group that was proposed elsewhere is applied like any other.
//!
//! A committer without threads of its own does all of this on the calling thread, for simulations that must be
//! deterministic. Commands that are proposed at the same moment still share a group.
//!
//! A proposal carries the hold on the bytes that its command names in volumes. So the fate of those bytes is settled
//! here ([`fate`](crate::fate)), whether or not somebody still waits for the answer: a client that goes away leaves
//! nothing behind and frees nothing that a record may name, and no volume is sealed while a command that names it is
//! on its way.
//!
//! A panic of any of these threads fails the index ([`threads`]), and everybody who waits for one of its commands is
//! answered ([`reply`]).
//!
//! When the index fails, no more commands are taken, and those on their way are told that their outcome is unknown.
//! The next index is finished while nothing is committed or applied ([`Committer::at_rest`]); it holds all that was
//! committed and not applied by then, which is not applied again.
//!
//! While a block of the index is known to be lost, a command that needs the block is refused before it is proposed
//! ([`foreseen`]).

mod applier;
mod foreseen;
#[cfg(test)]
mod planned;
mod queue;
mod reply;
mod room;
mod threads;
mod touched;
mod waiting;

use crate::command::{Command, Outcome, Proposed, Urgency};
use crate::fate::{CommitError, NewBytes, NotWritten, UnknownOutcome};
use crate::machine::{Machine, ReadError};
use crate::order::{Barrier, Group, Order};
use crate::space::Space;
use applier::Applier;
use bytes::Bytes;
use queue::Queue;
pub(crate) use reply::Late;
use reply::Proposal;
use room::{Pace, Room};
use std::sync::Arc;
use std::thread::JoinHandle;
use stratum_storage::blob::Index;
use stratum_storage::drive::Threads;
use stratum_storage::volume::WriterId;
#[cfg(test)]
pub(crate) use threads::Step;
use tracing_mutex::parkinglot::Mutex;

/// The most bytes of entries in a group; fewer where the journal's segments are short.
const GROUP_BYTES: usize = 1 << 20;
type Fate = Result<Outcome, CommitError>;

/// Proof that the journal had room for one more ordinary write. It is asked for before a body is read or written, so
/// that a write which would be refused at its end is refused at its beginning.
#[derive(Debug)]
#[must_use = "it is asked for so that a write need not be slowed again"]
pub struct Headroom(());

/// The queue of proposals, and the threads that work on it.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    kind: Threads,
    threads: Mutex<Option<Running>>,
}

/// The threads, in the order in which they are ended.
struct Running {
    committer: JoinHandle<()>,
    applier: JoinHandle<()>,
    drain: JoinHandle<()>,
}

struct Shared {
    queue: Arc<Queue>,
    order: Arc<dyn Order>,
    applier: Arc<Applier>,
    machine: Arc<Machine>,
    room: Room,
    /// The writer of the volumes that this committer's commands open.
    writer: WriterId,
}

impl Committer {
    /// `began` is the journal's last entry at the start.
    pub(crate) fn start(
        machine: Arc<Machine>,
        order: Arc<dyn Order>,
        space: Arc<Space>,
        kind: Threads,
        began: Index,
    ) -> std::io::Result<Committer> {
        let (room, queue) = (Room::new(order.clone()), Arc::new(Queue::default()));
        let applier = Arc::new(Applier::new(machine.clone(), space, queue.clone(), kind));
        order.feed(applier.clone());
        let shared = Arc::new(Shared {
            queue,
            order,
            applier,
            machine,
            room,
            writer: WriterId { node: 0, run: began },
        });
        let threads = match kind {
            Threads::Own => Some(shared.spawn_all()?),
            Threads::Caller => None,
        };
        Ok(Committer { shared, kind, threads: Mutex::new(threads) })
    }

    /// Asks for room. Waits a little when the journal is over three quarters full; refuses when it has no room below
    /// its cap for an entry of so many bytes, and when nothing can be written at all.
    pub(crate) async fn headroom(&self, bytes: usize) -> Result<Headroom, NotWritten> {
        self.shared.check_open()?;
        match self.shared.room.pace(bytes) {
            Pace::Go => {}
            Pace::Slow(delay) => tokio::time::sleep(delay).await,
            Pace::Refuse => return Err(NotWritten::Busy),
        }
        Ok(Headroom(()))
    }

    /// Journals the command, applies it and returns its outcome. The caller of an ordinary command has asked for
    /// [`Committer::headroom`] before; else this does.
    pub(crate) async fn commit(
        &self,
        proposed: Box<Proposed>,
        bytes: NewBytes,
        asked: Option<Headroom>,
    ) -> Fate {
        let command = &proposed.command;
        if !bytes.hold_all_of(command) {
            return Err(NotWritten::NotHeld.into());
        }
        if command.urgency() == Urgency::Ordinary && asked.is_none() {
            let Headroom(()) = self.headroom(bytes.in_entry()).await?;
        }
        touched::read_ahead(&self.shared.machine, command);
        let (proposal, fate) = self.shared.proposal(proposed, bytes)?;
        self.shared.enqueue(proposal);
        if self.kind == Threads::Caller {
            // Whoever proposes at the same moment joins the queue before the first group is taken from it.
            tokio::task::yield_now().await;
            self.shared.commit_waiting();
        }
        fate.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// [`Committer::commit`] for a caller on a thread of its own, for a command without a body that is never refused.
    /// Blocks.
    pub(crate) fn commit_blocking(&self, command: Command) -> Fate {
        self.commit_in_turn(command, None)
    }

    /// [`Committer::commit_blocking`], of a command that the state makes of this one when it is proposed.
    pub(crate) fn commit_late(&self, command: Command, late: Late) -> Fate {
        self.shared.check_open()?;
        self.commit_in_turn(command, Some(late))
    }

    fn commit_in_turn(&self, command: Command, late: Option<Late>) -> Fate {
        let (proposal, mut fate) = self.shared.proposal(Box::new(command.into()), Bytes::new().into())?;
        self.shared.enqueue(Proposal { late, ..proposal });
        let fate = match self.kind {
            Threads::Caller => {
                self.shared.commit_waiting();
                fate.try_recv().ok()
            }
            Threads::Own => fate.blocking_recv().ok(),
        };
        fate.unwrap_or_else(|| Err(unanswered()))
    }

    /// Returns when everything that was acknowledged before this call has been applied here.
    ///
    /// # Errors
    /// If nobody can say what was acknowledged, or if nothing is applied any more.
    pub(crate) async fn catch_up(&self) -> Result<(), ReadError> {
        match self.shared.order.barrier() {
            Barrier::Passed => Ok(()),
            Barrier::Behind(acknowledged) => self.shared.applier.applied_through(acknowledged.await?).await,
        }
    }

    /// Calls `work` while nothing is committed or applied, with the last entry of the local journal that is
    /// committed.
    pub(crate) fn at_rest<T>(&self, work: impl FnOnce(Index) -> T) -> T {
        let _committing = self.shared.order.at_rest();
        let _applying = self.shared.applier.at_rest();
        let done = work(self.shared.order.committed());
        self.shared.applier.note_applied();
        done
    }

    /// Takes no more proposals, commits those in the queue, and ends the threads.
    pub(crate) fn stop(&self) {
        self.shared.queue.close();
        if self.kind == Threads::Caller {
            self.shared.commit_waiting();
        }
        let Some(Running { committer, applier, drain }) = self.threads.lock().take() else { return };
        ended(committer);
        self.shared.applier.end_applying();
        ended(applier);
        self.shared.applier.end_draining();
        ended(drain);
    }
}

fn ended(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a committer thread panicked");
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn spawn_all(self: &Arc<Self>) -> std::io::Result<Running> {
        let (proposing, applying, draining) = (self.clone(), self.applier.clone(), self.applier.clone());
        let mut is_applying = false;
        let spawn = |name, work: Box<dyn FnMut() + Send>| threads::spawn(name, self.machine.clone(), work);
        Ok(Running {
            committer: spawn("committer", Box::new(move || proposing.propose_groups()))?,
            applier: spawn("applier", Box::new(move || applying.apply_groups(&mut is_applying)))?,
            drain: spawn("drain", Box::new(move || draining.drain()))?,
        })
    }

    /// Makes a proposal of the command, for the state as it is now.
    fn proposal(
        &self,
        proposed: Box<Proposed>,
        bytes: NewBytes,
    ) -> Result<(Proposal, tokio::sync::oneshot::Receiver<Fate>), NotWritten> {
        Proposal::new(proposed, bytes, self.machine.level(), self.writer)
    }

    /// Whether commands can be proposed now.
    fn check_open(&self) -> Result<(), NotWritten> {
        if self.machine.has_failed() {
            return Err(away());
        }
        if let Some(block) = self.machine.halted() {
            return Err(NotWritten::Lost(block));
        }
        if self.queue.is_closed() { Err(NotWritten::Stopped) } else { Ok(()) }
    }

    /// Puts the proposal into the queue, or tells its proposer at once why not.
    fn enqueue(&self, proposal: Proposal) {
        let refused = match self.machine.has_failed() {
            true => Some((proposal.reply, away())),
            false => self.queue.put(proposal),
        };
        if let Some((reply, why)) = refused {
            self.applier.tell(reply, Err(why.into()));
        }
    }

    /// Near the cap only commands that free space go on: answers those of that urgency, and returns the others.
    fn refuse(&self, group: Vec<Proposal>, urgency: Urgency) -> Vec<Proposal> {
        let (refused, others): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|proposal| proposal.proposed.command.urgency() == urgency);
        self.tell_all(refused, &NotWritten::Busy.into());
        others
    }

    fn tell_all(&self, group: Vec<Proposal>, error: &CommitError) {
        self.applier.tell_all(group.into_iter().map(|proposal| proposal.reply), error);
    }

    fn longest_group(&self) -> usize {
        self.order.max_group().min(GROUP_BYTES)
    }

    /// Commits everything in the queue, on this thread.
    fn commit_waiting(&self) {
        loop {
            let group = self.queue.take_group(self.longest_group());
            if group.is_empty() {
                return;
            }
            self.propose_group(group);
            // A failed drain has failed the index, and the next caller gets that error.
            let _ = self.machine.drain();
        }
    }

    fn propose_groups(&self) {
        while let Some(group) = self.queue.next_group(|| self.longest_group()) {
            self.propose_group(group);
        }
    }

    /// Proposes as much of the group as the journal has room for; the least urgent commands are refused first.
    fn propose_group(&self, mut group: Vec<Proposal>) {
        #[cfg(test)]
        self.applier.panics.at(Step::Takes);
        self.room.look();
        if group.iter().any(|proposal| proposal.late.is_some()) {
            group = self.propose_late(group);
        }
        if self.machine.has_lost() {
            group = self.foreseen(group);
        }
        for urgency in Urgency::ALL {
            if self.order.has_room(group.iter().map(Proposal::bytes).sum(), urgency) {
                return self.propose(self.order.as_ref(), group, urgency);
            }
            group = self.refuse(group, urgency);
        }
    }

    /// Has the group committed, or tells every proposer why it isn't.
    fn propose(&self, order: &dyn Order, group: Vec<Proposal>, urgency: Urgency) {
        if group.is_empty() {
            return;
        }
        if self.machine.has_failed() {
            return self.tell_all(group, &away().into());
        }
        let mut commands = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        let mut entries = Vec::with_capacity(group.len());
        for Proposal { proposed, entry, reply, late: _ } in group {
            commands.push(*proposed);
            replies.push(reply.journaling());
            entries.push(entry);
        }
        metrics::histogram!("stratum_commit_group_entries").record(entries.len() as f64);
        let entered = self.applier.waiting.enter(replies);
        match order.propose(Group { ticket: entered.ticket(), commands, entries, urgency }) {
            Ok(()) => entered.committed(),
            Err(error) => {
                tracing::warn!(%error, "a group was not committed");
                self.applier.tell_all(entered.failed(), &error);
            }
        }
    }
}

fn away() -> NotWritten {
    NotWritten::Unavailable("the index failed and is being rebuilt; try again".into())
}

/// The error for a proposal whose thread is gone.
fn unanswered() -> CommitError {
    UnknownOutcome("it was never answered".into()).into()
}
