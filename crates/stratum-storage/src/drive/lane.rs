//! A lane: the one thread that writes to a drive on behalf of everybody.
//!
//! It takes everything queued, writes it, syncs each file that somebody waits for exactly once, and answers
//! everybody: that is group commit. A drive has one lane for the journal and one for volumes, so that a small PUT
//! never queues behind bulk data. The thread is started by the first work, since most drives of an embedded store
//! are never written to.
//!
//! A panic on the lane's thread is our own mistake, and nobody may wait for ever because of it. One within the
//! drive's own operation is that operation's failure: whoever waits for it hears so. One anywhere else ends the lane:
//! what is queued, and whatever is submitted later, is dropped, and that is an answer, too. Both latch the drive,
//! through the lane's [`Alarm`], since nobody knows whether the work was done.
//!
//! An inline lane does the work on the thread that submits it: a simulation on it is deterministic.

use super::{FileIo, Pulse};
use crate::ambient::Clock;
use crate::panics;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Called once, on the lane's thread, with the outcome; it must be quick, since everybody behind it waits.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The lane's stack: its own work is shallow, what a [`Work::Run`] or a [`Done`] does must be too.
const STACK_BYTES: usize = 256 * 1024;

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

/// Bytes for one place in a file, of whole pages.
pub struct Stream {
    pub file: Arc<dyn FileIo>,
    pub offset: u64,
    pub buf: Bytes,
    pub done: Done,
}

/// What a lane can be asked for; it is done in the order it was submitted.
pub enum Work {
    Write(Write),
    /// A part of a long body, which a [`Work::Sync`] will follow: it goes past the page cache where that can be.
    /// Parts that follow one another in the file, and in the queue, become one write.
    Stream(Stream),
    /// Answers after a sync of everything submitted for that file before.
    Sync {
        file: Arc<dyn FileIo>,
        done: Done,
    },
    /// Anything else that keeps its place in the queue (create a file, allocate, punch, rename): all earlier work
    /// is synced, where that was asked for, and answered before it runs.
    Run(Box<dyn FnOnce() + Send>),
}

/// Times a lane's writes and syncs: what the drive is judged by, beside its peers.
#[derive(Clone)]
pub struct Stopwatch {
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
}

impl Stopwatch {
    pub fn new(clock: Arc<dyn Clock>) -> Stopwatch {
        Stopwatch { clock, pulse: Arc::default() }
    }

    /// Costs two looks at the clock.
    fn time<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.pulse.asked();
        let began = self.clock.monotonic();
        let outcome = operation();
        self.pulse.answered(self.clock.monotonic().saturating_sub(began));
        outcome
    }
}

/// Told what a panic said; latches the drive.
pub type Alarm = Arc<dyn Fn(&str) + Send + Sync>;

/// What a lane does its work with.
#[derive(Clone)]
struct Tools {
    stopwatch: Stopwatch,
    alarm: Alarm,
}

impl Tools {
    /// Asks the drive for something. A panic is a failure of the drive's.
    fn operate(&self, operation: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let outcome = self.stopwatch.time(|| panics::caught(operation));
        outcome.unwrap_or_else(|words| {
            (self.alarm)(&words);
            Err(io::Error::other(format!("the drive's lane panicked: {words}")))
        })
    }
}

/// A handle on a lane. The lane finishes what is queued and ends when its last handle is dropped.
#[derive(Clone)]
pub struct Lane {
    kind: LaneKind,
    tools: Tools,
}

#[derive(Clone)]
enum LaneKind {
    Thread(Arc<Owner>),
    Inline(Arc<Mutex<Inline>>),
}

impl Lane {
    /// A lane with a thread of that name (the kernel shows its first 15 bytes).
    pub fn spawn(name: &str, stopwatch: Stopwatch, alarm: Alarm) -> Lane {
        let tools = Tools { stopwatch, alarm };
        let shared =
            Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), tools: tools.clone() });
        let owner = Owner { name: name.to_owned(), shared, thread: Mutex::new(None) };
        Lane { kind: LaneKind::Thread(Arc::new(owner)), tools }
    }

    /// A lane that works on the submitting thread, before `submit` returns. Work submitted by a [`Done`] or a
    /// [`Work::Run`] of the same lane waits until that returned.
    pub fn inline(stopwatch: Stopwatch, alarm: Alarm) -> Lane {
        Lane { kind: LaneKind::Inline(Arc::default()), tools: Tools { stopwatch, alarm } }
    }

    /// How fast the drive writes and syncs for this lane.
    pub fn pulse(&self) -> &Pulse {
        &self.tools.stopwatch.pulse
    }

    /// Queues work and returns at once.
    pub fn submit(&self, work: Work) {
        match &self.kind {
            LaneKind::Thread(owner) => owner.submit(work),
            LaneKind::Inline(inline) => run_inline(inline, work, &self.tools),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            LaneKind::Thread(owner) => write!(f, "Lane({})", owner.name),
            LaneKind::Inline(_) => f.write_str("Lane(inline)"),
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

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    tools: Tools,
}

#[derive(Default)]
struct Queue {
    work: Vec<Work>,
    phase: ThreadPhase,
    /// Has the thread panic when it takes from here next.
    #[cfg(test)]
    panics: bool,
}

/// What the lane's thread is doing.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum ThreadPhase {
    /// There is no thread yet.
    #[default]
    Unstarted,
    /// Waiting to be woken.
    Asleep,
    /// It will look into the queue again before it sleeps.
    Awake,
    /// To end when the queue is empty.
    Closing,
    /// Its thread panicked: nobody works here any more.
    Dead,
}

impl Owner {
    fn submit(&self, work: Work) {
        let mut queue = self.shared.queue.lock();
        if queue.phase == ThreadPhase::Dead {
            drop(queue);
            // Outside the lock: whoever hears of it may submit something else.
            return drop(work);
        }
        queue.work.push(work);
        match queue.phase {
            ThreadPhase::Awake | ThreadPhase::Closing | ThreadPhase::Dead => {}
            ThreadPhase::Asleep => {
                queue.phase = ThreadPhase::Awake;
                drop(queue);
                self.shared.ready.notify_one();
            }
            ThreadPhase::Unstarted => {
                queue.phase = ThreadPhase::Awake;
                drop(queue);
                self.start();
            }
        }
    }

    fn start(&self) {
        let shared = self.shared.clone();
        let builder = std::thread::Builder::new().name(self.name.clone()).stack_size(STACK_BYTES);
        match builder.spawn(move || serve(&shared)) {
            Ok(thread) => *self.thread.lock() = Some(thread),
            Err(error) => {
                tracing::error!(lane = self.name, %error, "no thread for the lane; working on the caller's");
                let work = {
                    let mut queue = self.shared.queue.lock();
                    queue.phase = ThreadPhase::Unstarted;
                    std::mem::take(&mut queue.work)
                };
                run(work, &self.shared.tools);
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.lock().phase = ThreadPhase::Closing;
        self.shared.ready.notify_one();
        let Some(thread) = self.thread.lock().take() else { return };
        // The last handle may go on the lane's own thread, in a `Done`: it ends by itself then.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!(lane = self.name, "the lane's thread had panicked");
        }
    }
}

/// The thread's whole life; a panic of the lane's own ends it.
fn serve(shared: &Shared) {
    let Err(words) = panics::caught(|| serve_queue(shared)) else { return };
    (shared.tools.alarm)(&words);
    let left = {
        let mut queue = shared.queue.lock();
        queue.phase = ThreadPhase::Dead;
        std::mem::take(&mut queue.work)
    };
    // To drop an answer may run a caller's code, and a panic there is not the lane's.
    guard("an answer", move || drop(left));
}

/// Does all that is queued at once, again and again, until the last handle is gone and the queue empty.
fn serve_queue(shared: &Shared) {
    let mut work = Vec::new();
    loop {
        let mut queue = shared.queue.lock();
        while queue.work.is_empty() {
            if queue.phase == ThreadPhase::Closing {
                return;
            }
            queue.phase = ThreadPhase::Asleep;
            shared.ready.wait(&mut queue);
        }
        if queue.phase == ThreadPhase::Asleep {
            queue.phase = ThreadPhase::Awake;
        }
        #[cfg(test)]
        assert!(!queue.panics, "by plan");
        std::mem::swap(&mut work, &mut queue.work);
        drop(queue);
        work = run(work, &shared.tools);
    }
}

#[derive(Default)]
struct Inline {
    work: VecDeque<Work>,
    running: bool,
}

/// Runs it now, or after what is running: a chain of answers that submit more must not become a deep recursion.
fn run_inline(inline: &Mutex<Inline>, work: Work, tools: &Tools) {
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
        if let Err(words) = panics::caught(|| run(vec![next], tools)) {
            (tools.alarm)(&words);
        }
    }
}

/// Files that were written in this round, with everybody who waits for their sync.
type UnsyncedFiles = Vec<(Arc<dyn FileIo>, Vec<Done>)>;

/// Does a round of work in order, and gives back the emptied vector for the next round.
fn run(mut work: Vec<Work>, tools: &Tools) -> Vec<Work> {
    let mut waiting = UnsyncedFiles::new();
    let mut items = work.drain(..).peekable();
    while let Some(item) = items.next() {
        match item {
            Work::Stream(first) => {
                let mut parts = vec![first];
                while let Some(Work::Stream(next)) = items.next_if(|next| continues(&parts, next)) {
                    parts.push(next);
                }
                stream(parts, tools);
            }
            Work::Write(write) => match tools.operate(|| put(&write)) {
                Ok(()) if write.sync => wait_for(&mut waiting, write.file, write.done),
                outcome => tell(write.done, outcome),
            },
            Work::Sync { file, done } => wait_for(&mut waiting, file, done),
            Work::Run(task) => {
                sync_all(&mut waiting, tools);
                guard("a task", task);
            }
        }
    }
    drop(items);
    sync_all(&mut waiting, tools);
    work
}

/// Whether a piece of work goes just behind these parts of a body.
fn continues(parts: &[Stream], next: &Work) -> bool {
    match (parts.last(), next) {
        (Some(last), Work::Stream(next)) => {
            is_same(&last.file, &next.file) && last.offset + last.buf.len() as u64 == next.offset
        }
        _ => false,
    }
}

/// Writes parts that follow one another.
fn stream(parts: Vec<Stream>, tools: &Tools) {
    let Some(first) = parts.first() else { return };
    let slices: Vec<&[u8]> = parts.iter().map(|part| part.buf.as_ref()).collect();
    let outcome = tools.operate(|| first.file.write_past_cache(&slices, first.offset));
    for part in parts {
        tell(part.done, copy(&outcome));
    }
}

fn is_same(one: &Arc<dyn FileIo>, other: &Arc<dyn FileIo>) -> bool {
    Arc::as_ptr(one).addr() == Arc::as_ptr(other).addr()
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

fn wait_for(waiting: &mut UnsyncedFiles, file: Arc<dyn FileIo>, done: Done) {
    match waiting.iter_mut().find(|(known, _)| is_same(known, &file)) {
        Some((_, dones)) => dones.push(done),
        None => waiting.push((file, vec![done])),
    }
}

fn sync_all(waiting: &mut UnsyncedFiles, tools: &Tools) {
    for (file, dones) in waiting.drain(..) {
        let outcome = tools.operate(|| file.sync());
        for done in dones {
            tell(done, copy(&outcome));
        }
    }
}

fn tell(done: Done, outcome: io::Result<()>) {
    guard("an answer", move || done(outcome));
}

/// A panic in somebody's callback must not end the lane: everybody behind it would wait for ever.
fn guard(what: &str, callback: impl FnOnce()) {
    if let Err(words) = panics::caught(callback) {
        tracing::error!(words, "{what} panicked on a drive's lane");
    }
}

/// The same outcome for one more receiver; `io::Error` is not `Clone`.
fn copy(outcome: &io::Result<()>) -> io::Result<()> {
    let Err(error) = outcome else { return Ok(()) };
    Err(match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::mpsc;

    fn stopwatch() -> Stopwatch {
        Stopwatch::new(Arc::new(crate::ambient::System))
    }

    fn quiet() -> Alarm {
        Arc::new(|_| {})
    }

    /// An alarm that keeps what it was told.
    fn alarm() -> (Alarm, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let keep = told.clone();
        (Arc::new(move |words: &str| keep.lock().push(words.to_owned())), told)
    }

    /// A file that remembers what was done to it, and holds the lane in its first write until it is let go.
    #[derive(Debug)]
    struct Tape {
        log: Mutex<Vec<String>>,
        gate: Mutex<Option<mpsc::Receiver<()>>>,
        sync_fails: bool,
        panics: Option<&'static str>,
    }

    impl Tape {
        fn panics(&self, at: &str) {
            assert!(self.panics != Some(at), "in {at}, by plan");
        }
    }

    fn tape(sync_fails: bool) -> (Arc<Tape>, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        (
            Arc::new(Tape { log: Mutex::default(), gate: Mutex::new(Some(gate)), sync_fails, panics: None }),
            open,
        )
    }

    impl FileIo for Tape {
        fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
            if let Some(gate) = self.gate.lock().take() {
                let _ = gate.recv();
            }
            self.panics("write");
            let text = String::from_utf8_lossy(&bufs.concat()).into_owned();
            self.log.lock().push(format!("{text}@{offset}"));
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            self.panics("sync");
            self.log.lock().push("sync".into());
            if self.sync_fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn read_at_cached(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn start_writeback(&self, _: u64, _: u64) {}
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn punch(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn is_linked(&self) -> bool {
            true
        }
    }

    fn write(file: &Arc<Tape>, text: &'static str, offset: u64, sync: bool) -> (Work, Answer) {
        let (done, answer) = promise();
        let bufs = vec![Bytes::from_static(text.as_bytes())];
        (Work::Write(Write { file: file.clone(), offset, bufs, sync, done }), answer)
    }

    #[test]
    fn all_that_is_queued_shares_one_sync() {
        let (file, open) = tape(false);
        let lane = Lane::spawn("test", stopwatch(), quiet());
        let first = write(&file, "first", 0, false);
        lane.submit(first.0);
        // The lane is held in the first write; these pile up behind it.
        let answers: Vec<Answer> = (1..=10)
            .map(|at| {
                let (work, answer) = write(&file, "x", at, true);
                lane.submit(work);
                answer
            })
            .collect();
        drop(open);
        first.1.wait().unwrap();
        answers.into_iter().for_each(|answer| answer.wait().unwrap());
        let log = file.log.lock();
        assert_eq!(log.iter().filter(|done| *done == "sync").count(), 1, "{log:?}");
        assert_eq!((log.first().unwrap().as_str(), log.last().unwrap().as_str()), ("first@0", "sync"));
    }

    #[test]
    fn a_sync_that_fails_fails_everybody_who_waited_for_it() {
        let (file, open) = tape(true);
        let lane = Lane::spawn("test", stopwatch(), quiet());
        let (held, _) = write(&file, "held", 0, false);
        let (synced, first) = write(&file, "a", 1, true);
        let (unsynced, second) = write(&file, "b", 2, false);
        let (done, third) = promise();
        for work in [held, synced, unsynced, Work::Sync { file: file.clone(), done }] {
            lane.submit(work);
        }
        drop(open);
        assert_eq!(first.wait().unwrap_err().raw_os_error(), Some(5));
        second.wait().unwrap();
        assert_eq!(third.wait().unwrap_err().raw_os_error(), Some(5));
    }

    #[test]
    fn a_task_runs_after_what_came_before_is_durable() {
        for lane in [Lane::spawn("test", stopwatch(), quiet()), Lane::inline(stopwatch(), quiet())] {
            let (file, open) = tape(false);
            drop(open);
            let log = file.clone();
            let (before, _) = write(&file, "before", 0, true);
            let (after, answer) = write(&file, "after", 1, true);
            lane.submit(before);
            lane.submit(Work::Run(Box::new(move || log.log.lock().push("task".into()))));
            lane.submit(after);
            answer.wait().unwrap();
            assert_eq!(*file.log.lock(), ["before@0", "sync", "task", "after@1", "sync"]);
        }
    }

    #[test]
    fn what_is_queued_is_finished_when_the_last_handle_goes() {
        let (file, open) = tape(false);
        let lane = Lane::spawn("test", stopwatch(), quiet());
        for at in 0..5 {
            lane.submit(write(&file, "x", at, true).0);
        }
        drop(open);
        drop(lane);
        assert_eq!(file.log.lock().iter().filter(|done| *done != "sync").count(), 5);
    }

    #[test]
    fn a_panic_in_a_callback_does_not_end_the_lane() {
        let lane = Lane::spawn("test", stopwatch(), quiet());
        lane.submit(Work::Run(Box::new(|| panic!("on purpose"))));
        let (done, answer) = promise();
        lane.submit(Work::Run(Box::new(move || done(Ok(())))));
        answer.wait().unwrap();
    }

    #[test]
    fn a_lane_may_end_on_its_own_thread() {
        let (done, answer) = promise();
        let lane = Lane::spawn("test", stopwatch(), quiet());
        let inner = lane.clone();
        let (sent, received) = mpsc::channel();
        lane.submit(Work::Run(Box::new(move || {
            let _ = received.recv();
            drop(inner);
            done(Ok(()));
        })));
        drop(lane);
        sent.send(()).unwrap();
        answer.wait().unwrap();
    }

    #[test]
    fn an_inline_lane_keeps_order_without_recursion() {
        let lane = Lane::inline(stopwatch(), quiet());
        let log = Arc::new(Mutex::new(Vec::new()));
        submit_countdown(&lane, &log, 10_000);
        let log = log.lock();
        assert!(log.len() == 10_001 && log.is_sorted_by(|a, b| a > b));
    }

    fn submit_countdown(lane: &Lane, log: &Arc<Mutex<Vec<u32>>>, left: u32) {
        let (again, log) = (lane.clone(), log.clone());
        lane.submit(Work::Run(Box::new(move || {
            log.lock().push(left);
            if left > 0 {
                submit_countdown(&again, &log, left - 1);
            }
        })));
    }

    /// Both kinds of lane, each with what its alarm was told.
    fn both() -> [(Lane, Arc<Mutex<Vec<String>>>); 2] {
        let ((one, told), (other, told_too)) = (alarm(), alarm());
        [(Lane::spawn("test", stopwatch(), one), told), (Lane::inline(stopwatch(), other), told_too)]
    }

    #[test]
    fn a_panic_of_the_drives_latches_it_and_everybody_is_answered() {
        for at in ["write", "sync"] {
            for (lane, told) in both() {
                let file = Arc::new(Tape {
                    log: Mutex::default(),
                    gate: Mutex::default(),
                    sync_fails: false,
                    panics: Some(at),
                });
                let answers: Vec<Answer> = (0..5)
                    .map(|number| {
                        let (work, answer) = write(&file, "x", number, true);
                        lane.submit(work);
                        answer
                    })
                    .collect();
                for answer in answers {
                    let error = answer.wait().unwrap_err().to_string();
                    assert!(error.contains(&format!("panicked: in {at}, by plan")), "{error}");
                }
                assert!(!told.lock().is_empty());
                // What another file is asked for is still done: whether that is wanted the drive's health says.
                let (sound, open) = tape(false);
                drop(open);
                let (work, answer) = write(&sound, "y", 0, true);
                lane.submit(work);
                answer.wait().unwrap();
            }
        }
    }

    /// Not of the drive's, nor of somebody's callback: a mistake in the lane itself.
    #[test]
    fn a_panic_of_the_lanes_own_ends_it_and_everybody_is_answered() {
        let (alarm, told) = alarm();
        let lane = Lane::spawn("test", stopwatch(), alarm);
        let LaneKind::Thread(owner) = &lane.kind else { panic!() };
        let (file, open) = tape(false);
        let held = write(&file, "held", 0, false);
        lane.submit(held.0);
        while !owner.shared.queue.lock().work.is_empty() {
            std::thread::yield_now();
        }
        let queued: Vec<Answer> = (1..=10)
            .map(|at| {
                let (work, answer) = write(&file, "x", at, true);
                lane.submit(work);
                answer
            })
            .collect();
        owner.shared.queue.lock().panics = true;
        drop(open);
        held.1.wait().unwrap();
        for answer in queued {
            assert_eq!(answer.wait().unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        while told.lock().is_empty() {
            std::thread::yield_now();
        }
        for _ in 0..3 {
            let (work, answer) = write(&file, "later", 0, true);
            lane.submit(work);
            assert_eq!(answer.wait().unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
}
