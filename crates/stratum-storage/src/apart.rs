//! Threads for what takes milliseconds of a processor, apart from those that serve requests.
//!
//! They run at a low priority. With as many long documents or bodies under way as there are processors, whoever serves
//! a small request would else wait for its turn behind them, several times a request; so the system lets it go first,
//! and where nothing else is to be done they have the processors for themselves.
//!
//! Work that is of different lengths has threads of its own: nobody's document waits until a body is compressed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is added to the threads' nice value: they get a tenth of a processor that others want, too.
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

/// Threads and their queue. They begin with the first work, and end with the process.
pub struct Apart {
    name: &'static str,
    /// Processors that they leave to others, if there are so many.
    left: usize,
    queue: OnceLock<mpsc::Sender<Work>>,
}

impl Apart {
    /// A thread for each processor.
    pub const fn new(name: &'static str) -> Apart {
        Apart { name, left: 0, queue: OnceLock::new() }
    }

    /// As [`Apart::new`], with one processor left to those who serve requests: even at a low priority work keeps the one that it is
    /// on for a time slice of the system's, which is several times as long as a small request takes.
    pub const fn leaving_one(name: &'static str) -> Apart {
        Apart { name, left: 1, queue: OnceLock::new() }
    }

    /// Does the work on one of the threads, in the order in which it came. Within a runtime only: one of a single
    /// thread does it itself, as [`crate::blocking`] does.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return tokio::spawn(async move { work() });
        }
        let (done, outcome) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Nobody waits any more when who asked for it has gone.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        // Where no thread could be started, it is done at the usual priority.
        if let Err(mpsc::SendError(work)) = self.queue.get_or_init(|| self.start()).send(work) {
            tokio::task::spawn_blocking(work);
        }
        tokio::spawn(async move {
            match outcome.await {
                Ok(Ok(done)) => done,
                Ok(Err(panic)) => resume_unwind(panic),
                Err(lost) => resume_unwind(Box::new(lost.to_string())),
            }
        })
    }

    fn start(&self) -> mpsc::Sender<Work> {
        let (sender, receiver) = mpsc::channel::<Work>();
        let receiver = Arc::new(tracing_mutex::parkinglot::Mutex::new(receiver));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..processors.saturating_sub(self.left).max(1) {
            let receiver = receiver.clone();
            let serve = move || {
                if let Err(error) = rustix::process::nice(NICE) {
                    tracing::debug!(%error, "long work runs at the usual priority");
                }
                loop {
                    // The lock is held while waiting, and not while working.
                    let next = receiver.lock().recv();
                    let Ok(work) = next else { return };
                    work();
                }
            };
            if let Err(error) = thread::Builder::new().name(format!("{} {number}", self.name)).spawn(serve) {
                tracing::error!(%error, "a thread for long work could not be started");
            }
        }
        sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static THREADS: Apart = Apart::new("test");

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_that_panics_is_an_error_and_ends_no_thread() {
        for _ in 0..100 {
            let failed = THREADS.spawn(|| -> u8 { panic!("on purpose") }).await;
            assert!(failed.unwrap_err().is_panic());
        }
        let done = THREADS.spawn(|| (7, thread::current().name().map(str::to_owned))).await.unwrap();
        assert_eq!(done.0, 7);
        assert!(done.1.unwrap().starts_with("test "), "not on a thread that serves requests");
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_does_it_itself() {
        let own = thread::current().id();
        assert_eq!(THREADS.spawn(|| thread::current().id()).await.unwrap(), own);
    }
}
