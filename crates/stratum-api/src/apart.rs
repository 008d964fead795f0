//! Threads for what takes milliseconds of a processor, apart from those that serve requests.
//!
//! They run at a low priority. With as many long documents under way as there are processors, whoever serves a small
//! request would else wait for its turn behind them, several times a request; so the system lets it go first, and
//! where nothing else is to be done they have the processors for themselves.

use crate::error::{Code, S3Error};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use stratum_storage::panics;
use tokio::sync::oneshot;

/// What is added to the threads' nice value: they get a tenth of a processor that others want, too.
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

/// The threads' queue. They end with the process.
static THREADS: LazyLock<mpsc::Sender<Work>> = LazyLock::new(start);

/// Does the work on one of the threads, in the order in which it came.
///
/// # Errors
/// `InternalError` when the work panicked, or no thread could be started.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, S3Error> {
    let (done, outcome) = oneshot::channel();
    let ended = || S3Error::new(Code::InternalError).because("work on a thread apart ended early");
    let queued = THREADS.send(Box::new(move || {
        // Nobody waits any more when the client has gone.
        let _ = done.send(work());
    }));
    queued.map_err(|_| ended())?;
    outcome.await.map_err(|_| ended())
}

fn start() -> mpsc::Sender<Work> {
    let (sender, receiver) = mpsc::channel::<Work>();
    let receiver = Arc::new(parking_lot::Mutex::new(receiver));
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for number in 0..processors.max(2) {
        let receiver = receiver.clone();
        let serve = move || {
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::debug!(%error, "long work runs at the usual priority");
            }
            loop {
                // The lock is held while waiting, and not while working.
                let next = receiver.lock().recv();
                let Ok(work) = next else { return };
                // Whoever waits is told by the channel that it dropped.
                let _ = panics::caught(work);
            }
        };
        if let Err(error) = thread::Builder::new().name(format!("long work {number}")).spawn(serve) {
            tracing::error!(%error, "a thread for long work could not be started");
        }
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_ends_no_thread() {
        for _ in 0..100 {
            let failed = run(|| -> u8 { panic!("on purpose") }).await;
            assert_eq!(failed.unwrap_err().code(), Code::InternalError);
        }
        assert_eq!(run(|| 7).await.unwrap(), 7);
    }
}
