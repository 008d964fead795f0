//! Threads for what takes milliseconds of a processor, apart from those that serve requests.
//!
//! They run at a low priority. Otherwise, with as many long documents or bodies under way as there are processors, a
//! small request would wait for its turn behind them, several times over. So the kernel runs requests first, and
//! where no request is to be served these threads have the processors for themselves.
//!
//! Kinds of work that take differently long have threads of their own: no document waits until a body is compressed.

use std::sync::OnceLock;
use std::thread;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::{JoinHandle, spawn_blocking};

/// What is added to the threads' nice value: the most there is. They get a seventieth of a processor that others want
/// all the time. Measured with half of it: they got a tenth, and where long lists were asked for without end, a
/// neighbour's p99 of small GETs was 4.7 times as high as without the lists. With all of it: 2.7 times, while one
/// client's lists of 1000 keys beside 64 clients that GET without end went from 116 to 74 a second.
const NICE: i32 = 19;

/// Threads that begin when they are needed and end when they aren't, and a queue before them.
pub struct Apart {
    name: &'static str,
    most: Most,
    /// Only its threads for blocking work are used. `None` if the system has none to give.
    threads: OnceLock<Option<Runtime>>,
}

/// How many threads there are at most.
#[derive(Clone, Copy, Debug)]
enum Most {
    /// As many as processors, but for so many that are left to others.
    ProcessorsBut(usize),
    This(usize),
}

impl Apart {
    /// A thread for each processor, for what only computes.
    pub const fn new(name: &'static str) -> Apart {
        Apart { name, most: Most::ProcessorsBut(0), threads: OnceLock::new() }
    }

    /// As [`Apart::new`], with one processor left to those who serve requests: even at a low priority work keeps the one that it is
    /// on for a time slice of the system's, which is several times as long as a small request takes.
    pub const fn leaving_one(name: &'static str) -> Apart {
        Apart { name, most: Most::ProcessorsBut(1), threads: OnceLock::new() }
    }

    /// Up to so many threads, for what also waits: for a drive that is slow, say, which is to hold up nobody else.
    pub const fn waiting(name: &'static str, most: usize) -> Apart {
        Apart { name, most: Most::This(most), threads: OnceLock::new() }
    }

    /// Does the work on one of the threads, in the order in which it came. To be called within a Tokio runtime; one
    /// of a single thread does the work itself, as [`crate::blocking`] does.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return tokio::spawn(async move { work() });
        }
        match self.threads.get_or_init(|| self.start()) {
            Some(threads) => threads.spawn_blocking(work),
            None => spawn_blocking(work),
        }
    }

    fn start(&self) -> Option<Runtime> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let most = match self.most {
            Most::ProcessorsBut(left) => processors.saturating_sub(left).max(1),
            Most::This(most) => most,
        };
        let made = Builder::new_current_thread()
            .thread_name(self.name)
            .max_blocking_threads(most)
            .on_thread_start(|| {
                if let Err(error) = rustix::process::nice(NICE) {
                    tracing::debug!(%error, "long work runs at the usual priority");
                }
            })
            .build();
        let failed = |error| tracing::warn!(%error, "long work runs at the usual priority");
        made.map_err(failed).ok()
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
        assert!(done.1.unwrap().starts_with("test"), "not on a thread that serves requests");
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_does_it_itself() {
        let own = thread::current().id();
        assert_eq!(THREADS.spawn(|| thread::current().id()).await.unwrap(), own);
    }
}
