//! The way of a command: queued, ordered with all others that wait, applied, answered.
//!
//! One thread gives the [`Order`] what waits, a group at a time; what it has committed comes back as a stream that the
//! [`applier`] follows. The two know nothing of each other: the committer hears only of groups that were not committed,
//! and a group that was proposed elsewhere is applied like any other.
//!
//! A committer without threads of its own does all of that where it is asked, for simulations that must be
//! deterministic: whoever proposes at the same moment still shares a group.
//!
//! A proposal carries the hold on what its command names in volumes, so that its fate is settled here ([`fate`](crate::fate))
//! whether or not somebody still waits for the answer: a client that goes away leaves nothing behind and frees nothing
//! that a record may name, and no volume seals while a command that names it is on its way.
//!
//! A panic of any of these threads fails the index ([`threads`]), and everybody in its hands is answered ([`reply`]).
//!
//! When the index fails, nothing more is taken, and what is on its way is told that its outcome is unknown. Whoever
//! builds the next index does the last of it while nothing is committed or applied ([`Committer::at_rest`]); what was
//! committed and not applied by then is in it, and is not applied again.
//!
//! While a block of the index is known to be lost, what would need it is refused before it is proposed ([`foreseen`]).

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

/// Bytes of entries in a group. Fewer where the journal's segments are short.
const GROUP_BYTES: usize = 1 << 20;
type Fate = Result<Outcome, CommitError>;

/// The journal had room for one more ordinary write when it was asked: asked for before a body is read or written, so
/// that what would be refused at the end is refused at the beginning.
#[derive(Debug)]
#[must_use = "it is asked for so that a write need not be slowed again"]
pub struct Headroom(());

/// The proposals that wait, and the threads that take them.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    kind: Threads,
    threads: Mutex<Option<Running>>,
}

/// The threads, in the order in which they end.
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
    /// Who fills the volumes that are opened from here.
    writer: WriterId,
}

impl Committer {
    /// `began` is the last entry of the journal.
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

    /// Waits a little when the journal is over three quarters full; refuses when an entry of so many bytes has no room
    /// below its cap, and when nothing can be written at all.
    pub(crate) async fn headroom(&self, bytes: usize) -> Result<Headroom, NotWritten> {
        self.shared.check_open()?;
        match self.shared.room.pace(bytes) {
            Pace::Go => {}
            Pace::Slow(delay) => tokio::time::sleep(delay).await,
            Pace::Refuse => return Err(NotWritten::Busy),
        }
        Ok(Headroom(()))
    }

    /// Journals the command, applies it and gives its outcome. Ordinary commands ask for [`Committer::headroom`] first,
    /// if that wasn't done before.
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
            // Those who propose at this moment, too, join the queue before its first group is taken.
            tokio::task::yield_now().await;
            self.shared.commit_waiting();
        }
        fate.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// [`Committer::commit`] for a thread of its own, of a command without a body that is never refused. Blocks.
    pub(crate) fn commit_blocking(&self, command: Command) -> Fate {
        let (proposal, mut fate) = self.shared.proposal(Box::new(command.into()), Bytes::new().into())?;
        self.shared.enqueue(proposal);
        let fate = match self.kind {
            Threads::Caller => {
                self.shared.commit_waiting();
                fate.try_recv().ok()
            }
            Threads::Own => fate.blocking_recv().ok(),
        };
        fate.unwrap_or_else(|| Err(unanswered()))
    }

    /// Returns when everything that was acknowledged before is applied here.
    ///
    /// # Errors
    /// When nobody can say what was, or nothing is applied any more.
    pub(crate) async fn catch_up(&self) -> Result<(), ReadError> {
        match self.shared.order.barrier() {
            Barrier::Passed => Ok(()),
            Barrier::Behind(acknowledged) => self.shared.applier.applied_through(acknowledged.await?).await,
        }
    }

    /// Does something while nothing is committed or applied; it is told up to which entry of the local journal all is
    /// committed.
    pub(crate) fn at_rest<T>(&self, work: impl FnOnce(Index) -> T) -> T {
        let _committing = self.shared.order.at_rest();
        let _applying = self.shared.applier.at_rest();
        let done = work(self.shared.order.committed());
        self.shared.applier.note_applied();
        done
    }

    /// Takes no more proposals, finishes those that wait, and ends the threads.
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

    /// The command as a proposal to the state as it is now.
    fn proposal(
        &self,
        proposed: Box<Proposed>,
        bytes: NewBytes,
    ) -> Result<(Proposal, tokio::sync::oneshot::Receiver<Fate>), NotWritten> {
        Proposal::new(proposed, bytes, self.machine.level(), self.writer)
    }

    /// Whether anything can be proposed now.
    fn check_open(&self) -> Result<(), NotWritten> {
        if self.machine.has_failed() {
            return Err(away());
        }
        if let Some(block) = self.machine.halted() {
            return Err(NotWritten::Lost(block));
        }
        if self.queue.is_closed() { Err(NotWritten::Stopped) } else { Ok(()) }
    }

    /// Puts the proposal into the queue, or tells it at once why not.
    fn enqueue(&self, proposal: Proposal) {
        let refused = match self.machine.has_failed() {
            true => Some((proposal.reply, away())),
            false => self.queue.put(proposal),
        };
        if let Some((reply, why)) = refused {
            self.applier.tell(reply, Err(why.into()));
        }
    }

    /// Near the cap only what makes room goes on: tells those of that urgency, and gives the others.
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

    /// Commits all that waits, on this thread.
    fn commit_waiting(&self) {
        loop {
            let group = self.queue.take_group(self.longest_group());
            if group.is_empty() {
                return;
            }
            self.propose_group(group);
            // A failed drain has failed the index, and whoever asks next is told.
            let _ = self.machine.drain();
        }
    }

    fn propose_groups(&self) {
        while let Some(group) = self.queue.next_group(|| self.longest_group()) {
            self.propose_group(group);
        }
    }

    /// Proposes what of the group the journal has room for; the most patient are refused first.
    fn propose_group(&self, mut group: Vec<Proposal>) {
        #[cfg(test)]
        self.applier.panics.at(Step::Takes);
        self.room.look();
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

    /// Has the group committed, or tells everybody why it isn't.
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
        for Proposal { proposed, entry, reply } in group {
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

/// The thread that had the proposal is gone.
fn unanswered() -> CommitError {
    UnknownOutcome("it was never answered".into()).into()
}
