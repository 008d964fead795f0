//! The way of a command: queued, journaled with all others that wait, applied, answered.
//!
//! One thread appends groups to the journal, one group in flight; another applies the durable ones, so that a
//! group is applied while the next is being synced. When nobody else waits, the first thread applies the group
//! itself: a lone client doesn't pay for the hand-over. A third drains what was applied into the index.
//!
//! A committer without threads of its own does all of that where it is asked, for simulations that must be
//! deterministic: whoever proposes at the same moment still shares a group.
//!
//! A proposal carries the hold on what its command names in volumes, so that its fate is settled here ([`fate`](crate::fate))
//! whether or not somebody still waits for the answer: a client that goes away leaves nothing behind and frees nothing
//! that a record may name.
//!
//! A panic of any of these threads fails the index ([`threads`]), and everybody in its hands is answered ([`reply`]).
//!
//! When the index fails, nothing more is taken, and what is on its way is told that its outcome is unknown. Whoever
//! builds the next index does the last of it while nothing is appended or applied ([`Committer::at_rest`]); what was
//! durable and not applied by then is in it, and is not applied again.

mod reply;
mod threads;

use crate::command::{Command, Outcome};
use crate::fate::{CommitError, NewBytes, NotWritten, UnknownOutcome};
use crate::log::{Log, Urgency, Usage};
use crate::machine::{Entry, Machine};
use crate::space::Space;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use reply::{Proposal, Reply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use stratum_storage::drive::Threads;
use stratum_storage::volume::Writer;
#[cfg(test)]
pub(crate) use threads::Step;

/// Bytes of entries in a group, and how many of them. Fewer where the journal's segments are short.
const GROUP_BYTES: usize = 1 << 20;
const GROUP_ENTRIES: usize = 512;
/// Bytes of entries that may wait; more are told to slow down.
const QUEUE_BYTES: usize = 64 << 20;
/// Groups that are durable and wait to be applied.
const UNAPPLIED_GROUPS: usize = 4;
/// From this share of the journal's cap on, ordinary commands are slowed; at the second they are refused.
const SLOW_FROM: f32 = 0.75;
const REFUSE_FROM: f32 = 0.95;
/// What an ordinary command takes of the journal beside its body, in bytes: most take less, and a group is whole pages.
const COMMAND_BYTES: usize = 4 << 10;
/// How much of what groups change goes into the index at once.
const DRAIN_EVERY: Duration = Duration::from_millis(5);
/// The longest delay, just before the refusals.
const LONGEST_DELAY: Duration = Duration::from_millis(200);

type Fate = Result<Outcome, CommitError>;

/// The journal had room for one more ordinary write when it was asked: asked for before a body is read or written, so
/// that what would be refused at the end is refused at the beginning.
#[derive(Debug)]
#[must_use = "it is asked for so that a write need not be slowed again"]
pub struct Headroom(());

/// A group that is durable.
struct Durable {
    entries: Vec<Entry>,
    replies: Vec<Reply>,
}

/// The proposals that wait, and the threads that take them.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    kind: Threads,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    machine: Arc<Machine>,
    log: Arc<dyn Log>,
    space: Arc<Space>,
    /// The journal's bytes and cap when a group was last appended.
    used: AtomicU64,
    cap: AtomicU64,
    /// Groups handed to the applying thread and not yet applied.
    unapplied: AtomicUsize,
    /// Held while a group is appended, and while one is applied and told of.
    appending: Mutex<()>,
    applying: Mutex<()>,
    /// Who fills the volumes that are opened from here.
    writer: Writer,
    /// Whoever comes there next panics: a thread's name if it must be that one, and where.
    #[cfg(test)]
    panics: Mutex<Option<(Option<&'static str>, Step)>>,
}

#[derive(Default)]
struct Queue {
    proposals: VecDeque<Proposal>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// The next group, in the order of arrival, of at most so many bytes; empty if nobody waits.
    fn take_group(&mut self, most: usize) -> Vec<Proposal> {
        let mut group = Vec::with_capacity(self.proposals.len().min(GROUP_ENTRIES));
        let mut bytes = 0;
        while let Some(proposal) = self.proposals.front() {
            if group.len() >= GROUP_ENTRIES || (!group.is_empty() && bytes + proposal.bytes() > most) {
                break;
            }
            bytes += proposal.bytes();
            group.extend(self.proposals.pop_front());
        }
        self.bytes -= bytes;
        group
    }
}

impl Committer {
    pub(crate) fn start(
        machine: Arc<Machine>,
        log: Arc<dyn Log>,
        space: Arc<Space>,
        kind: Threads,
    ) -> std::io::Result<Committer> {
        let usage = log.usage();
        let writer = Writer { node: 0, run: log.last() };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            machine,
            log,
            space,
            used: usage.bytes.into(),
            cap: usage.cap.into(),
            unapplied: AtomicUsize::new(0),
            appending: Mutex::default(),
            applying: Mutex::default(),
            writer,
            #[cfg(test)]
            panics: Mutex::default(),
        });
        let threads = match kind {
            Threads::Own => shared.spawn_all()?,
            Threads::Caller => Vec::new(),
        };
        Ok(Committer { shared, kind, threads: Mutex::new(threads) })
    }

    /// Waits a little when the journal is over three quarters full; refuses when an entry of so many bytes has no room
    /// below its cap, and when nothing can be written at all.
    pub(crate) async fn headroom(&self, bytes: usize) -> Result<Headroom, NotWritten> {
        self.shared.check_open()?;
        match self.shared.pace(bytes) {
            Pace::Go => {}
            Pace::Slow(delay) => tokio::time::sleep(delay).await,
            Pace::Refuse => return Err(NotWritten::Busy),
        }
        Ok(Headroom(()))
    }

    /// Journals the command, applies it and gives its outcome. Ordinary commands ask for [`Committer::headroom`] first,
    /// if that wasn't done before.
    pub(crate) async fn commit(&self, command: Command, bytes: NewBytes, asked: Option<Headroom>) -> Fate {
        if !bytes.hold_all_of(&command) {
            return Err(NotWritten::NotHeld.into());
        }
        if command.urgency() == Urgency::Ordinary && asked.is_none() {
            let Headroom(()) = self.headroom(bytes.in_entry()).await?;
        }
        let (proposal, fate) = self.shared.proposal(command, bytes)?;
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
        let (proposal, mut fate) = self.shared.proposal(command, Bytes::new().into())?;
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

    /// Does something while nothing is being appended or applied.
    pub(crate) fn at_rest<T>(&self, work: impl FnOnce() -> T) -> T {
        let _appending = self.shared.appending.lock();
        let _applying = self.shared.applying.lock();
        work()
    }

    /// Takes no more proposals, finishes those that wait, and ends the threads.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.arrived.notify_all();
        if self.kind == Threads::Caller {
            self.shared.commit_waiting();
        }
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a committer thread panicked");
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What an ordinary command is told when it arrives.
enum Pace {
    Go,
    Slow(Duration),
    Refuse,
}

impl Shared {
    fn spawn_all(self: &Arc<Self>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let (durable, to_apply) = bounded(UNAPPLIED_GROUPS);
        let (wake, applied) = bounded(1);
        let (appending, applying, draining) = (self.clone(), self.clone(), self.clone());
        let mut is_applying = false;
        let wake_too = wake.clone();
        let spawn = |name, work: Box<dyn FnMut() + Send>| threads::spawn(name, self.machine.clone(), work);
        Ok(vec![
            spawn("committer", Box::new(move || appending.append_groups(&durable, &wake)))?,
            spawn(
                "applier",
                Box::new(move || applying.apply_groups(&to_apply, &wake_too, &mut is_applying)),
            )?,
            spawn("drain", Box::new(move || draining.drain(&applied)))?,
        ])
    }

    /// The command as a proposal to the state as it is now.
    fn proposal(
        &self,
        command: Command,
        bytes: NewBytes,
    ) -> Result<(Proposal, tokio::sync::oneshot::Receiver<Fate>), NotWritten> {
        Proposal::new(command, bytes, self.machine.level(), self.writer)
    }

    fn pace(&self, bytes: usize) -> Pace {
        let usage = Usage { bytes: self.used.load(Ordering::Relaxed), cap: self.cap.load(Ordering::Relaxed) };
        match usage.share() {
            share if share < SLOW_FROM => Pace::Go,
            share if share < REFUSE_FROM && self.log.has_room(COMMAND_BYTES + bytes, Urgency::Ordinary) => {
                let part = (share - SLOW_FROM) / (REFUSE_FROM - SLOW_FROM);
                Pace::Slow(LONGEST_DELAY.mul_f32(part * part))
            }
            _ => {
                self.note_usage();
                Pace::Refuse
            }
        }
    }

    fn note_usage(&self) {
        let usage = self.log.usage();
        self.used.store(usage.bytes, Ordering::Relaxed);
        self.cap.store(usage.cap, Ordering::Relaxed);
    }

    /// Whether anything can be proposed now.
    fn check_open(&self) -> Result<(), NotWritten> {
        if self.machine.has_failed() {
            return Err(away());
        }
        if self.queue.lock().closed { Err(NotWritten::Stopped) } else { Ok(()) }
    }

    /// Puts the proposal into the queue, or tells it at once why not.
    fn enqueue(&self, proposal: Proposal) {
        if self.machine.has_failed() {
            return self.tell(proposal.reply, Err(away().into()));
        }
        let is_ordinary = proposal.proposed.command.urgency() == Urgency::Ordinary;
        let mut queue = self.queue.lock();
        let refused = match queue.closed {
            true => Some(NotWritten::Stopped),
            false if is_ordinary && queue.bytes + proposal.bytes() > QUEUE_BYTES => Some(NotWritten::Busy),
            false => None,
        };
        if let Some(refused) = refused {
            drop(queue);
            return self.tell(proposal.reply, Err(refused.into()));
        }
        queue.bytes += proposal.bytes();
        queue.proposals.push_back(proposal);
        drop(queue);
        self.arrived.notify_one();
    }

    fn tell(&self, reply: Reply, fate: Fate) {
        reply.tell(fate, &self.machine);
    }

    fn tell_all(&self, replies: impl IntoIterator<Item = Reply>, error: &CommitError) {
        for reply in replies {
            self.tell(reply, Err(error.clone()));
        }
    }

    /// Near the cap only what makes room goes on: tells those of that urgency, and gives the others.
    fn refuse(&self, group: Vec<Proposal>, urgency: Urgency) -> Vec<Proposal> {
        let (refused, others): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|proposal| proposal.proposed.command.urgency() == urgency);
        self.tell_all(refused.into_iter().map(|proposal| proposal.reply), &NotWritten::Busy.into());
        others
    }

    /// The next group, in the order of arrival; waits for one. `None` once closed and empty.
    fn next_group(&self) -> Option<Vec<Proposal>> {
        let mut queue = self.queue.lock();
        while queue.proposals.is_empty() {
            if queue.closed {
                return None;
            }
            self.arrived.wait(&mut queue);
        }
        Some(queue.take_group(self.longest_group()))
    }

    fn longest_group(&self) -> usize {
        self.log.max_group().min(GROUP_BYTES)
    }

    /// Commits all that waits, on this thread.
    fn commit_waiting(&self) {
        loop {
            let group = self.queue.lock().take_group(self.longest_group());
            if group.is_empty() {
                return;
            }
            if let Some(group) = self.append_group(group) {
                self.apply(group);
            }
            // A failed drain has failed the index, and whoever asks next is told.
            let _ = self.machine.drain();
        }
    }

    fn append_groups(&self, durable: &Sender<Durable>, wake: &Sender<()>) {
        while let Some(group) = self.next_group() {
            if let Some(group) = self.append_group(group) {
                self.hand_over(group, durable, wake);
            }
        }
    }

    /// Makes durable what of the group the journal has room for; the most patient are refused first.
    fn append_group(&self, mut group: Vec<Proposal>) -> Option<Durable> {
        #[cfg(test)]
        self.panic_at(Step::Takes);
        self.note_usage();
        for urgency in Urgency::ALL {
            if self.log.has_room(group.iter().map(Proposal::bytes).sum(), urgency) {
                return self.append(group, urgency);
            }
            group = self.refuse(group, urgency);
        }
        None
    }

    /// Makes the group durable, or tells everybody why it isn't.
    fn append(&self, group: Vec<Proposal>, urgency: Urgency) -> Option<Durable> {
        if group.is_empty() {
            return None;
        }
        let _appending = self.appending.lock();
        if self.machine.has_failed() {
            self.tell_all(group.into_iter().map(|proposal| proposal.reply), &away().into());
            return None;
        }
        let mut commands = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        let mut entries = Vec::with_capacity(group.len());
        for proposal in group {
            commands.push(proposal.proposed);
            replies.push(proposal.reply.journaling());
            entries.push(proposal.entry);
        }
        metrics::histogram!("stratum_commit_group_entries").record(entries.len() as f64);
        match self.log.append(entries, urgency) {
            Ok(appended) => {
                #[cfg(test)]
                self.panic_at(Step::Journaled);
                let places = (appended.first..).zip(appended.hashes);
                let entries = commands.into_iter().zip(places);
                let entries = entries.map(|(proposed, (index, hash))| Entry { index, hash, proposed });
                Some(Durable { entries: entries.collect(), replies })
            }
            Err(error) => {
                tracing::warn!(%error, "a group was not journaled");
                self.tell_all(replies, &error);
                None
            }
        }
    }

    /// Applies the group here if nobody waits for this thread, else leaves it to the applying one.
    fn hand_over(&self, group: Durable, durable: &Sender<Durable>, wake: &Sender<()>) {
        let alone = self.unapplied.load(Ordering::Acquire) == 0 && self.queue.lock().proposals.is_empty();
        if alone {
            return self.apply_and_wake(group, wake);
        }
        self.unapplied.fetch_add(1, Ordering::AcqRel);
        if let Err(refused) = durable.send(group) {
            self.unapplied.fetch_sub(1, Ordering::AcqRel);
            self.apply_and_wake(refused.into_inner(), wake);
        }
    }

    fn apply_groups(&self, durable: &Receiver<Durable>, wake: &Sender<()>, is_applying: &mut bool) {
        // Over a panic: by now the index has failed, and nobody applies what follows.
        if std::mem::take(is_applying) {
            self.unapplied.fetch_sub(1, Ordering::AcqRel);
        }
        for group in durable {
            *is_applying = true;
            self.apply_and_wake(group, wake);
            *is_applying = false;
            self.unapplied.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn apply_and_wake(&self, group: Durable, wake: &Sender<()>) {
        self.apply(group);
        // Full, it has been told already.
        let _ = wake.try_send(());
    }

    fn apply(&self, group: Durable) {
        let _applying = self.applying.lock();
        let applied = self.machine.applied_index();
        if group.entries.first().is_none_or(|entry| entry.index <= applied) {
            return self.tell_all(group.replies, &UnknownOutcome("the index failed meanwhile".into()).into());
        }
        #[cfg(test)]
        self.panic_at(Step::Applies);
        match self.machine.apply(group.entries) {
            Ok(applied) => {
                #[cfg(test)]
                self.panic_at(Step::Applied);
                self.space.tell(&applied);
                for (reply, outcome) in group.replies.into_iter().zip(applied.outcomes) {
                    self.tell(reply, Ok(outcome));
                }
            }
            Err(error) => self.tell_all(group.replies, &UnknownOutcome(error.to_string()).into()),
        }
    }

    /// Drains what is applied into the index until nobody applies any more.
    fn drain(&self, applied: &Receiver<()>) {
        for () in applied {
            std::thread::sleep(DRAIN_EVERY);
            #[cfg(test)]
            self.panic_at(Step::Drains);
            // A failed drain has failed the index, and whoever asks next is told.
            let _ = self.machine.drain();
        }
    }

    #[cfg(test)]
    fn panic_at(&self, step: Step) {
        let here = std::thread::current().name().map(str::to_owned);
        let is_planned = |plan: &mut (Option<&'static str>, Step)| {
            plan.1 == step && plan.0.is_none_or(|name| here.as_deref() == Some(name))
        };
        let planned = self.panics.lock().take_if(is_planned);
        assert!(planned.is_none(), "at this step, by plan");
    }
}

fn away() -> NotWritten {
    NotWritten::Unavailable("the index failed and is being rebuilt; try again".into())
}

/// The thread that had the proposal is gone.
fn unanswered() -> CommitError {
    UnknownOutcome("it was never answered".into()).into()
}

#[cfg(test)]
impl Committer {
    /// Whoever comes to that step next panics; or only the thread of that name.
    pub(crate) fn plan_panic(&self, thread: Option<&'static str>, step: Step) {
        *self.shared.panics.lock() = Some((thread, step));
    }

    pub(crate) fn is_panic_planned(&self) -> bool {
        self.shared.panics.lock().is_some()
    }

    /// Journals a command, and gives what applies it and where its outcome is told: for what comes in between.
    pub(crate) fn journal_only(
        &self,
        command: Command,
    ) -> (impl FnOnce() + use<'_>, tokio::sync::oneshot::Receiver<Fate>) {
        let proposal = self.shared.proposal(command, Bytes::from_static(b"x").into());
        let (proposal, fate) = proposal.expect("it is proposed");
        let group = self.shared.append(vec![proposal], Urgency::Ordinary).expect("it is journaled");
        (move || self.shared.apply(group), fate)
    }
}
