//! A lane: the one thread that writes to a drive on behalf of everybody.
//!
//! It takes everything queued, writes it, syncs each file that somebody waits for exactly once, and answers
//! everybody: that is group commit. A drive has one lane for the journal and one for volumes, so that a small PUT
//! never queues behind bulk data. The thread is started by the first work, since most drives of an embedded store
//! are never written to.
//!
//! An inline lane does the work on the thread that submits it: a simulation on it is deterministic.

use super::FileIo;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Called once, on the lane's thread, with the outcome; it must be quick, since everybody behind it waits.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The lane's stack: its own work is shallow, what a [`Work::Run`] or a [`Done`] does must be too.
const STACK: usize = 256 * 1024;

/// Bytes for one place in a file.
pub struct Write {
    pub file: Arc<dyn FileIo>,
    /// Where the first buffer goes, in bytes; the others follow it.
    pub offset: u64,
    pub bufs: Vec<Bytes>,
    /// Answer only after a sync of the file that began after the write.
    pub sync: bool,
    pub done: Done,
}

/// What a lane can be asked for; it is done in the order it was submitted.
pub enum Work {
    Write(Write),
    /// Answers after a sync of everything submitted for that file before.
    Sync {
        file: Arc<dyn FileIo>,
        done: Done,
    },
    /// Anything else that keeps its place in the queue (create a file, allocate, punch, rename): all earlier work
    /// is synced, where that was asked for, and answered before it runs.
    Run(Box<dyn FnOnce() + Send>),
}

/// A handle on a lane. The lane finishes what is queued and ends when its last handle is dropped.
#[derive(Clone)]
pub struct Lane {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Thread(Arc<Owner>),
    Inline(Arc<Mutex<Inline>>),
}

impl Lane {
    /// A lane with a thread of that name (the kernel shows its first 15 bytes).
    pub fn spawn(name: &str) -> Lane {
        let shared = Arc::new(Shared::default());
        let owner = Owner { name: name.to_owned(), shared, thread: Mutex::new(None) };
        Lane { kind: Kind::Thread(Arc::new(owner)) }
    }

    /// A lane that works on the submitting thread, before `submit` returns. Work submitted by a [`Done`] or a
    /// [`Work::Run`] of the same lane waits until that returned.
    pub fn inline() -> Lane {
        Lane { kind: Kind::Inline(Arc::default()) }
    }

    /// Queues work and returns at once.
    pub fn submit(&self, work: Work) {
        match &self.kind {
            Kind::Thread(owner) => owner.submit(work),
            Kind::Inline(inline) => run_inline(inline, work),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Thread(owner) => write!(f, "Lane({})", owner.name),
            Kind::Inline(_) => f.write_str("Lane(inline)"),
        }
    }
}

/// A [`Done`], and the future of what it is told.
pub fn promise() -> (Done, Answer) {
    let (sender, receiver) = oneshot::channel();
    let done: Done = Box::new(move |outcome| {
        // Nobody waits any more: a client that went away.
        let _ = sender.send(outcome);
    });
    (done, Answer { receiver })
}

/// What a lane will say about one piece of work.
#[derive(Debug)]
pub struct Answer {
    receiver: oneshot::Receiver<io::Result<()>>,
}

impl Answer {
    /// Blocks the thread until the answer is there; not for async threads.
    pub fn wait(self) -> io::Result<()> {
        self.receiver.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Future for Answer {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|received| received.unwrap_or_else(|_| Err(gone())))
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the drive's lane ended before the answer")
}

/// What the handles share; the last of them to go ends the thread.
struct Owner {
    name: String,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    work: Vec<Work>,
    phase: Phase,
}

/// What the lane's thread is doing.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no thread yet.
    #[default]
    Unstarted,
    /// Waiting to be woken.
    Asleep,
    /// It will look into the queue again before it sleeps.
    Awake,
    /// To end when the queue is empty.
    Closing,
}

impl Owner {
    fn submit(&self, work: Work) {
        let mut queue = self.shared.queue.lock();
        queue.work.push(work);
        match queue.phase {
            Phase::Awake | Phase::Closing => {}
            Phase::Asleep => {
                queue.phase = Phase::Awake;
                drop(queue);
                self.shared.ready.notify_one();
            }
            Phase::Unstarted => {
                queue.phase = Phase::Awake;
                drop(queue);
                self.start();
            }
        }
    }

    fn start(&self) {
        let shared = self.shared.clone();
        let builder = std::thread::Builder::new().name(self.name.clone()).stack_size(STACK);
        match builder.spawn(move || serve(&shared)) {
            Ok(thread) => *self.thread.lock() = Some(thread),
            Err(error) => {
                tracing::error!(lane = self.name, %error, "no thread for the lane; working on the caller's");
                let work = {
                    let mut queue = self.shared.queue.lock();
                    queue.phase = Phase::Unstarted;
                    std::mem::take(&mut queue.work)
                };
                run(work);
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.lock().phase = Phase::Closing;
        self.shared.ready.notify_one();
        let Some(thread) = self.thread.lock().take() else { return };
        // The last handle may go on the lane's own thread, in a `Done`: it ends by itself then.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!(lane = self.name, "the lane's thread had panicked");
        }
    }
}

/// The thread's life: all that is queued at once, until the last handle is gone and the queue empty.
fn serve(shared: &Shared) {
    let mut work = Vec::new();
    loop {
        let mut queue = shared.queue.lock();
        while queue.work.is_empty() {
            if queue.phase == Phase::Closing {
                return;
            }
            queue.phase = Phase::Asleep;
            shared.ready.wait(&mut queue);
        }
        if queue.phase == Phase::Asleep {
            queue.phase = Phase::Awake;
        }
        std::mem::swap(&mut work, &mut queue.work);
        drop(queue);
        work = run(work);
    }
}

#[derive(Default)]
struct Inline {
    work: VecDeque<Work>,
    running: bool,
}

/// Runs it now, or after what is running: a chain of answers that submit more must not become a deep recursion.
fn run_inline(inline: &Mutex<Inline>, work: Work) {
    {
        let mut state = inline.lock();
        state.work.push_back(work);
        if std::mem::replace(&mut state.running, true) {
            return;
        }
    }
    loop {
        let next = {
            let mut state = inline.lock();
            let next = state.work.pop_front();
            state.running = next.is_some();
            next
        };
        let Some(next) = next else { return };
        run(vec![next]);
    }
}

/// Files that were written in this round, with everybody who waits for their sync.
type Waiting = Vec<(Arc<dyn FileIo>, Vec<Done>)>;

/// Does a round of work in order, and gives back the emptied vector for the next round.
fn run(mut work: Vec<Work>) -> Vec<Work> {
    let mut waiting = Waiting::new();
    for item in work.drain(..) {
        match item {
            Work::Write(write) => match put(&write) {
                Ok(()) if write.sync => wait_for(&mut waiting, write.file, write.done),
                outcome => tell(write.done, outcome),
            },
            Work::Sync { file, done } => wait_for(&mut waiting, file, done),
            Work::Run(task) => {
                sync_all(&mut waiting);
                guard("a task", task);
            }
        }
    }
    sync_all(&mut waiting);
    work
}

fn put(write: &Write) -> io::Result<()> {
    match write.bufs.as_slice() {
        [only] => write.file.write_at(&[only], write.offset),
        several => {
            let slices: Vec<&[u8]> = several.iter().map(|buf| buf.as_ref()).collect();
            write.file.write_at(&slices, write.offset)
        }
    }
}

fn wait_for(waiting: &mut Waiting, file: Arc<dyn FileIo>, done: Done) {
    match waiting.iter_mut().find(|(known, _)| Arc::as_ptr(known).addr() == Arc::as_ptr(&file).addr()) {
        Some((_, dones)) => dones.push(done),
        None => waiting.push((file, vec![done])),
    }
}

fn sync_all(waiting: &mut Waiting) {
    for (file, dones) in waiting.drain(..) {
        let outcome = file.sync();
        for done in dones {
            tell(done, outcome.as_ref().map(|()| ()).map_err(copy_error));
        }
    }
}

fn tell(done: Done, outcome: io::Result<()>) {
    guard("an answer", move || done(outcome));
}

/// A panic in somebody's callback must not end the lane: everybody behind it would wait for ever.
fn guard(what: &str, callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("{what} panicked on a drive's lane");
    }
}

/// The same error for one more receiver; `io::Error` is not `Clone`.
fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
