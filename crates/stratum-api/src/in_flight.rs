//! Requests that may change something are worked on to their end.
//!
//! hyper drops whatever answers a request as soon as it sees that the peer is gone. A change may be under way by then,
//! and takes effect whether or not anybody waits for it, so what was asked, and what came of it, is to be told to the
//! audit and the log all the same. Such a request is therefore answered by a task of its own, which the peer's end
//! doesn't touch. What it may hold meanwhile is bounded by admission, as for any other request.

use std::panic::resume_unwind;
use tokio::sync::watch;

/// Makes a stop wait, within its grace, until all clones of this are gone.
#[derive(Clone, Debug)]
pub struct InFlight(watch::Receiver<bool>);

impl InFlight {
    /// Of the channel that says that the server is stopping. Who sends there waits until nobody receives any more.
    pub fn new(stopped: watch::Receiver<bool>) -> InFlight {
        InFlight(stopped)
    }

    /// Does the work to its end, even if what this returns is dropped before. A panic of the work is passed on to
    /// whoever waits.
    pub fn finish<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let InFlight(stopped) = self;
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(stopped);
            done
        });
        async move {
            match task.await.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(done) => done,
                Err(Ok(panic)) => resume_unwind(panic),
                // The runtime ends, and whoever waits with it.
                Err(Err(_)) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_done_and_a_stop_waits_for_it() {
        let (stopping, stopped) = watch::channel(false);
        let (go, gone) = oneshot::channel::<()>();
        let (done, told) = oneshot::channel();
        let work = async move {
            let _ = gone.await;
            let _ = done.send(7);
        };
        drop(InFlight::new(stopped).finish(work));
        tokio::task::yield_now().await;
        let stop = stopping.closed();
        tokio::pin!(stop);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut stop).await.is_err());
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
        stop.await;
    }

    #[tokio::test]
    async fn what_the_work_comes_to_is_told() {
        let (_stopping, stopped) = watch::channel(false);
        assert_eq!(InFlight::new(stopped).finish(async { 7 }).await, 7);
    }
}
