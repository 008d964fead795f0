//! The task that sends one signal, traces or lines of the log, to the collector in batches.

use super::queue::Queue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};

/// The most items in one batch.
const ITEMS_A_BATCH: usize = 512;
/// How long items gather before they are sent.
const GATHERING_INTERVAL: Duration = Duration::from_secs(1);
/// How long the task rests after a batch that failed: the first value after one failure, twice as long after each
/// further failure, and never longer than the second value.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a server that stops goes on sending what waits.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// A kind of data that is sent to the collector, and the exporter that sends it.
pub trait Signal: Send + Sync + 'static {
    type Item: Send;
    /// The signal's name in metrics and in the log.
    const NAME: &'static str;
    /// The name of the task that sends it.
    const TASK: &'static str;

    fn describe(&mut self, resource: &Resource);
    fn send(&self, batch: Vec<Self::Item>) -> impl Future<Output = OTelSdkResult> + Send;
}

/// The task that sends the items of a queue.
pub struct ExportTask<S: Signal> {
    queue: Arc<Queue<S::Item>>,
    signal: S,
    /// How many batches have failed since the last one that succeeded.
    failures: AtomicU32,
    /// How many items the queue had dropped since the start when this task last looked.
    told_dropped: AtomicU64,
}

impl<S: Signal> ExportTask<S> {
    pub fn new(queue: Arc<Queue<S::Item>>, signal: S) -> ExportTask<S> {
        let (failures, told_dropped) = (AtomicU32::new(0), AtomicU64::new(0));
        ExportTask { queue, signal, failures, told_dropped }
    }

    /// Sends the oldest items as a batch; gives when the task should run again.
    async fn export(&self) -> Next {
        self.tell_dropped();
        let batch = self.queue.take(ITEMS_A_BATCH);
        let count = batch.len();
        if count == 0 {
            return Next::WhenWoken;
        }
        let under_way = UnderWay { signal: S::NAME, items: count as u64 };
        let sent = self.signal.send(batch).await;
        // A batch that was refused is dropped with `under_way`, too.
        match sent {
            Ok(()) => {
                under_way.arrived();
                if self.failures.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!(signal = S::NAME, "the collector takes what is told again");
                }
                if count == ITEMS_A_BATCH { Next::AtOnce } else { Next::WhenWoken }
            }
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                if failures == 0 {
                    tracing::warn!(signal = S::NAME, %error, "the collector takes nothing: what it is told is dropped, and counted, until it does");
                }
                let (first, last) = RETRY_DELAYS;
                Next::After((first * 2u32.saturating_pow(failures.min(16))).min(last))
            }
        }
    }

    /// Logs how many items the queue has dropped since this was last called.
    fn tell_dropped(&self) {
        let dropped = self.queue.dropped();
        let more = dropped.saturating_sub(self.told_dropped.swap(dropped, Ordering::Relaxed));
        // While the collector takes nothing, the log has said already that all items are dropped.
        if more > 0 && self.failures.load(Ordering::Relaxed) == 0 {
            tracing::warn!(
                signal = S::NAME,
                dropped = more,
                "the queue to the collector was full, so what came then was dropped"
            );
        }
    }
}

/// A batch that is being sent. It counts as dropped unless it has arrived, also where the server stops meanwhile.
struct UnderWay {
    signal: &'static str,
    items: u64,
}

impl UnderWay {
    fn arrived(mut self) {
        let items = std::mem::take(&mut self.items);
        metrics::counter!("stratum_otlp_sent_total", "signal" => self.signal).increment(items);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.items > 0 {
            metrics::counter!("stratum_otlp_dropped_total", "signal" => self.signal, "at" => "collector")
                .increment(self.items);
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
        // While the collector fails, a new item must not cut the wait before the next attempt short.
        if self.failures.load(Ordering::Relaxed) > 0 {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {
            self.queue.rings().await;
            tokio::time::sleep(GATHERING_INTERVAL).await;
        })
    }

    /// Sends what waits. The task ends after the last request was answered, so the spans of all requests are in the
    /// queue.
    fn ended(&self) -> Work<'_, ()> {
        Box::pin(async {
            let rest = async { while self.export().await == Next::AtOnce {} };
            let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, rest).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Part;
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// A signal whose collector takes even numbers, and never answers to others.
    struct Numbers;

    impl Signal for Numbers {
        type Item = u64;
        const NAME: &'static str = "numbers";
        const TASK: &'static str = "otlp numbers";

        fn describe(&mut self, _: &Resource) {}

        async fn send(&self, batch: Vec<u64>) -> OTelSdkResult {
            match batch.iter().all(|number| number % 2 == 0) {
                true => Ok(()),
                false => std::future::pending().await,
            }
        }
    }

    #[test]
    fn a_batch_that_the_stop_of_the_server_cuts_off_counts_as_dropped() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let told = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let queue = Arc::new(Queue::new(10, Numbers::NAME));
            let task = ExportTask::new(queue.clone(), Numbers);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (stop, stopped) = tokio::sync::watch::channel(false);
            runtime.block_on(async {
                (0..2).for_each(|at| queue.put(Part::Whole, || 2 * at));
                assert_eq!(task.step(&stopped).await, Next::WhenWoken);
                (0..3).for_each(|at| queue.put(Part::Whole, || 2 * at + 1));
                let stop = async {
                    tokio::task::yield_now().await;
                    stop.send_replace(true);
                };
                assert_eq!(tokio::join!(task.step(&stopped), stop).0, Next::WhenWoken);
            });
        });
        let text = told.render();
        for (name, items) in [("stratum_otlp_sent_total{", " 2"), ("stratum_otlp_dropped_total{", " 3")] {
            let is_told = |line: &str| line.starts_with(name) && line.ends_with(items);
            assert!(text.lines().any(is_told), "{name}: {text}");
        }
    }
}
