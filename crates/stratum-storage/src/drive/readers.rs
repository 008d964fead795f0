//! The threads that wait for a drive's platters, so that async threads don't.
//!
//! Most reads are answered by the page cache on the thread that asks. What isn't goes to a few threads of the
//! drive's own: a drive that hangs must not hold up reads of the others.

use super::{FileIo, Threads};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// Readers a drive has at most: enough to keep a disk's queue from running empty.
const MAX: usize = 2;
const STACK: usize = 128 * 1024;

struct Job {
    file: Arc<dyn FileIo>,
    offset: u64,
    len: usize,
    answer: oneshot::Sender<io::Result<Bytes>>,
}

pub(super) struct Readers {
    label: String,
    threads: Threads,
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    started: AtomicUsize,
    /// Jobs that were sent and are not answered yet.
    busy: Arc<AtomicUsize>,
}

impl Readers {
    pub(super) fn new(label: &str, threads: Threads) -> Readers {
        let (sender, receiver) = unbounded();
        let label = label.to_owned();
        Readers { label, threads, sender, receiver, started: AtomicUsize::new(0), busy: Arc::default() }
    }

    pub(super) async fn read(&self, file: Arc<dyn FileIo>, offset: u64, len: usize) -> io::Result<Bytes> {
        if self.threads == Threads::Caller || !self.have_threads() {
            return read_now(file.as_ref(), offset, len);
        }
        let (answer, received) = oneshot::channel();
        self.busy.fetch_add(1, Ordering::Relaxed);
        let sent = self.sender.send(Job { file, offset, len, answer });
        let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "the drive's readers ended");
        sent.map_err(|_| ended())?;
        received.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Starts one more reader while all are busy; says whether there is any.
    fn have_threads(&self) -> bool {
        let started = self.started.load(Ordering::Relaxed);
        if started == MAX || started > self.busy.load(Ordering::Relaxed) {
            return true;
        }
        let claim = self.started.compare_exchange(started, started + 1, Ordering::AcqRel, Ordering::Relaxed);
        if claim.is_err() {
            return true;
        }
        let (receiver, busy) = (self.receiver.clone(), self.busy.clone());
        let name = format!("{} read", self.label);
        let serve = move || {
            for job in receiver {
                let outcome = read_now(job.file.as_ref(), job.offset, job.len);
                busy.fetch_sub(1, Ordering::Relaxed);
                // Nobody waits any more: a client that went away.
                let _ = job.answer.send(outcome);
            }
        };
        match std::thread::Builder::new().name(name).stack_size(STACK).spawn(serve) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(drive = self.label, %error, "no thread for a reader");
                self.started.fetch_sub(1, Ordering::AcqRel) > 1
            }
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readers({})", self.started.load(Ordering::Relaxed))
    }
}

/// What the page cache holds of the range; `WouldBlock` if that isn't all.
pub(super) fn read_cached(file: &dyn FileIo, offset: u64, len: usize) -> io::Result<Bytes> {
    read_with(len, |buf| file.read_at_cached(buf, offset))
}

/// Reads, waiting for the drive.
pub(super) fn read_now(file: &dyn FileIo, offset: u64, len: usize) -> io::Result<Bytes> {
    read_with(len, |buf| file.read_at(buf, offset))
}

fn read_with(len: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Bytes> {
    let mut buf = vec![0; len];
    let got = read(&mut buf)?;
    buf.truncate(got);
    Ok(buf.into())
}
