//! The threads that wait for a drive, so that no other thread does.
//!
//! Most reads are answered by the page cache on the thread that asks. The others go to threads of the drive's own: a
//! drive that hangs holds up its own reads and those of no other.

use super::Threads;
use super::pulse::Pulse;
use crate::ambient::Clock;
use crate::panics;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Readers {
    label: String,
    /// The most threads; each starts when all others are busy.
    most: usize,
    threads: Threads,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    started: AtomicUsize,
    /// Jobs that were sent and are not done yet.
    busy: Arc<AtomicUsize>,
}

impl Readers {
    /// `label` is the name of the threads (the kernel shows its first 15 bytes).
    pub(super) fn new(label: &str, most: usize, threads: Threads, clock: Arc<dyn Clock>) -> Readers {
        let (sender, receiver) = unbounded();
        let (label, pulse) = (label.to_owned(), Arc::default());
        let (started, busy) = (AtomicUsize::new(0), Arc::default());
        Readers { label, most, threads, clock, pulse, sender, receiver, started, busy }
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Runs a read on a reader, or on this thread where there are none.
    pub(super) fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<io::Result<T>> {
        let (answer, received) = oneshot::channel();
        let timed = Timed::of(self);
        let job = move || {
            let timed = timed.begin();
            let outcome = read();
            drop(timed);
            // Nobody waits any more: a client that went away, or one that was served by other drives.
            let _ = answer.send(outcome);
        };
        if self.threads == Threads::Caller || !self.have_threads() {
            job();
            return received;
        }
        self.busy.fetch_add(1, Ordering::Relaxed);
        // The channel lives as long as `self`.
        let _ = self.sender.send(Box::new(job));
        received
    }

    /// Starts one more reader while all are busy; says whether there is any.
    fn have_threads(&self) -> bool {
        let started = self.started.load(Ordering::Relaxed);
        if started == self.most || started > self.busy.load(Ordering::Relaxed) {
            return true;
        }
        let claim = self.started.compare_exchange(started, started + 1, Ordering::AcqRel, Ordering::Relaxed);
        if claim.is_err() {
            return true;
        }
        let (receiver, busy) = (self.receiver.clone(), self.busy.clone());
        let name = self.label.clone();
        let serve = move || {
            for job in receiver {
                // A panic must not end the reader: jobs behind it would wait for ever. Who asked learns it from the
                // sender that was dropped.
                if let Err(words) = panics::caught(job) {
                    tracing::error!(words, "a read panicked");
                }
                busy.fetch_sub(1, Ordering::Relaxed);
            }
        };
        match std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(serve) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(drive = self.label, %error, "no thread for a reader");
                self.started.fetch_sub(1, Ordering::AcqRel) > 1
            }
        }
    }
}

/// A read as its drive's pulse counts it, from when it was asked for until this is dropped, whatever happens.
struct Timed {
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    began: Duration,
}

impl Timed {
    fn of(readers: &Readers) -> Timed {
        readers.pulse.asked();
        let (clock, pulse) = (readers.clock.clone(), readers.pulse.clone());
        Timed { began: clock.monotonic(), clock, pulse }
    }

    /// The read itself begins: the time that it waited behind others doesn't count.
    fn begin(mut self) -> Timed {
        self.began = self.clock.monotonic();
        self
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.pulse.answered(self.clock.monotonic().saturating_sub(self.began));
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readers({})", self.started.load(Ordering::Relaxed))
    }
}
