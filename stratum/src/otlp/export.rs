//! Sends what waits of one signal, in batches.

use super::queue::Queue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};

/// What goes together.
const TOGETHER: usize = 512;
/// How long what was told gathers before it is sent.
const GATHERING_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a failure the next batch is tried: twice as long after each further one, up to the second.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a server that stops goes on telling what waits.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is sent, and by what.
pub trait Signal: Send + Sync + 'static {
    type Item: Send;
    /// In metrics and in words.
    const NAME: &'static str;
    /// Of the task.
    const TASK: &'static str;

    fn describe(&mut self, resource: &Resource);
    fn send(&self, batch: Vec<Self::Item>) -> impl Future<Output = OTelSdkResult> + Send;
}

/// Empties a queue.
pub struct ExportTask<S: Signal> {
    queue: Arc<Queue<S::Item>>,
    signal: S,
    /// Batches that failed one after another.
    failures: AtomicU32,
    /// Of those that found no room, how many the log told of.
    told_dropped: AtomicU64,
}

impl<S: Signal> ExportTask<S> {
    pub fn new(queue: Arc<Queue<S::Item>>, signal: S) -> ExportTask<S> {
        let (failures, told_dropped) = (AtomicU32::new(0), AtomicU64::new(0));
        ExportTask { queue, signal, failures, told_dropped }
    }

    /// Sends the first of what waits; says when to go on.
    async fn export(&self) -> Next {
        self.tell_dropped();
        let batch = self.queue.take(TOGETHER);
        let count = batch.len();
        if count == 0 {
            return Next::WhenWoken;
        }
        match self.signal.send(batch).await {
            Ok(()) => {
                metrics::counter!("stratum_otlp_sent_total", "signal" => S::NAME).increment(count as u64);
                if self.failures.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!(signal = S::NAME, "the collector takes what is told again");
                }
                if count == TOGETHER { Next::AtOnce } else { Next::WhenWoken }
            }
            Err(error) => {
                let dropped =
                    metrics::counter!("stratum_otlp_dropped_total", "signal" => S::NAME, "at" => "collector");
                dropped.increment(count as u64);
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                if failures == 0 {
                    tracing::warn!(signal = S::NAME, %error, "the collector takes nothing: what it is told is dropped, and counted, until it does");
                }
                let (first, last) = RETRY_DELAYS;
                Next::After((first * 2u32.saturating_pow(failures.min(16))).min(last))
            }
        }
    }

    fn tell_dropped(&self) {
        let dropped = self.queue.dropped();
        let more = dropped.saturating_sub(self.told_dropped.swap(dropped, Ordering::Relaxed));
        // While nothing is taken that was told already.
        if more > 0 && self.failures.load(Ordering::Relaxed) == 0 {
            tracing::warn!(
                signal = S::NAME,
                dropped = more,
                "more was told than the collector took: the rest was dropped"
            );
        }
    }
}

impl<S: Signal> Task for ExportTask<S> {
    fn row(&self) -> Row {
        Row {
            name: S::TASK,
            role: Role::Host,
            class: None,
            executor: Executor::Runtime,
            delay: GATHERING_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async { task::unless_stopped(stop, self.export()).await.unwrap_or(Next::WhenWoken) })
    }

    fn woken(&self) -> Work<'_, ()> {
        // While it fails, what comes doesn't hurry it.
        if self.failures.load(Ordering::Relaxed) > 0 {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {
            self.queue.rings().await;
            tokio::time::sleep(GATHERING_INTERVAL).await;
        })
    }

    /// The last requests are answered by then.
    fn ended(&self) -> Work<'_, ()> {
        Box::pin(async {
            let rest = async { while self.export().await == Next::AtOnce {} };
            let _ = tokio::time::timeout(LAST_WORDS, rest).await;
        })
    }
}
