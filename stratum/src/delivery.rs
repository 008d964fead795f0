//! The task that delivers events to webhooks. Each webhook for which events wait has a courier of its own, an async
//! task that posts them in the order in which they happened.
//!
//! Events that wait lie in the store's state, and are removed when the webhook has confirmed them. So each event is
//! delivered at least once, and again where the confirmation was lost. A webhook that doesn't answer is tried again
//! after ever longer pauses. Its events wait, up to a bound, and hold up neither the other webhooks nor any request.

use crate::webhook::{Webhook, Webhooks};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_events::{MAX_RECORDS, messages};
use stratum_metadata::Metadata;
use stratum_metadata::record::EventQueue;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tokio::task::JoinHandle;
use tracing_mutex::parkinglot::Mutex;

/// How often the task looks for which webhooks events wait.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The most events that a courier reads from the state at once.
const TOGETHER: usize = 8 * MAX_RECORDS;
/// How long a webhook rests after a failure: the first value after one failure, twice as long after each further
/// failure, and never longer than the second value.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The task of a server that delivers all events.
pub struct DeliveryTask {
    metadata: Metadata,
    webhooks: Webhooks,
    couriers: Mutex<HashMap<String, Courier>>,
    /// Whether the log has said that events can't be looked up, which then holds up every delivery.
    told_unread: AtomicBool,
}

/// A running delivery of all events that wait for one webhook.
type Delivery = JoinHandle<Result<(), String>>;

/// What is remembered of the deliveries to one webhook.
#[derive(Default)]
struct Courier {
    under_way: Option<Delivery>,
    /// How many deliveries have failed since the last one that succeeded.
    failures: u32,
    /// When the next delivery may begin, on the monotonic clock.
    not_before: Duration,
    /// Whether the log has said that the configuration names no such webhook.
    told_unknown: bool,
    /// Whether the log has said that events for the webhook are lost.
    told_lost: bool,
}

impl Courier {
    /// Logs once that events are lost. When the queue counts no lost events any more, the next loss is logged again.
    fn tell_lost(&mut self, target: &str, queue: EventQueue) {
        if queue.lost > 0 && !self.told_lost {
            tracing::error!(
                webhook = target,
                "new events are lost: the webhook has taken none for too long, and its queue is full"
            );
        }
        self.told_lost = queue.lost > 0;
    }
}

impl DeliveryTask {
    pub fn new(metadata: Metadata, webhooks: Webhooks) -> DeliveryTask {
        DeliveryTask { metadata, webhooks, couriers: Mutex::default(), told_unread: AtomicBool::default() }
    }

    /// Takes the outcomes of deliveries that ended, and starts those that are due.
    async fn look(&self) -> Result<(), String> {
        let queues = self.metadata.local().event_queues().await.map_err(|error| error.to_string())?;
        self.tell_metrics(&queues);
        for (target, task) in self.ended_of(&queues) {
            let outcome = task.await.unwrap_or_else(|panic| Err(panic.to_string()));
            self.came_back(&target, outcome);
        }
        self.send(queues);
        Ok(())
    }

    /// The deliveries that have ended, each with the name of its webhook.
    fn ended_of(&self, queues: &BTreeMap<String, EventQueue>) -> Vec<(String, Delivery)> {
        let mut ended = Vec::new();
        for (target, courier) in self.couriers.lock().iter_mut() {
            if !queues.contains_key(target) {
                courier.told_lost = false;
            }
            if courier.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
                ended.extend(courier.under_way.take().map(|task| (target.clone(), task)));
            }
        }
        ended
    }

    /// Starts a delivery to each webhook for which events wait, unless one is running or the webhook still rests.
    fn send(&self, queues: BTreeMap<String, EventQueue>) {
        let now = System.monotonic();
        let mut couriers = self.couriers.lock();
        for (target, queue) in queues {
            let courier = couriers.entry(target.clone()).or_default();
            courier.tell_lost(&target, queue);
            if queue.waiting == 0 || courier.under_way.is_some() || courier.not_before > now {
                continue;
            }
            match self.webhooks.named(&target) {
                Some(webhook) => {
                    courier.told_unknown = false;
                    courier.under_way = Some(tokio::spawn(deliver(self.metadata.clone(), webhook)));
                }
                None if !courier.told_unknown => {
                    courier.told_unknown = true;
                    tracing::warn!(
                        webhook = target,
                        waiting = queue.waiting,
                        "events wait for a webhook that the configuration doesn't name: name it, or `stratum events drop` them"
                    );
                }
                None => {}
            }
        }
    }

    /// Notes the outcome of a delivery that ended.
    fn came_back(&self, target: &str, outcome: Result<(), String>) {
        let mut couriers = self.couriers.lock();
        let courier = couriers.entry(target.to_owned()).or_default();
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut courier.failures) > 0 {
                    tracing::info!(webhook = target, "a webhook takes events again");
                }
            }
            Err(problem) => {
                metrics::counter!("stratum_event_delivery_failures_total", "webhook" => target.to_owned())
                    .increment(1);
                if courier.failures == 0 {
                    tracing::warn!(webhook = target, problem, "a webhook takes no events; it is tried again");
                }
                courier.failures = courier.failures.saturating_add(1);
                let (first, last) = RETRY_DELAYS;
                let delay = first * 2u32.saturating_pow(courier.failures.min(16) - 1);
                courier.not_before = System.monotonic() + delay.min(last);
            }
        }
    }

    fn tell_metrics(&self, queues: &BTreeMap<String, EventQueue>) {
        let gone: Vec<String> =
            self.couriers.lock().keys().filter(|known| !queues.contains_key(*known)).cloned().collect();
        let gone = gone.iter().map(|target| (target, EventQueue::default()));
        for (target, queue) in queues.iter().map(|(target, queue)| (target, *queue)).chain(gone) {
            metrics::gauge!("stratum_events_waiting", "webhook" => target.clone()).set(queue.waiting as f64);
            metrics::gauge!("stratum_events_lost", "webhook" => target.clone()).set(queue.lost as f64);
        }
    }
}

/// Posts the events that wait for a webhook, until none does.
async fn deliver(metadata: Metadata, webhook: Arc<Webhook>) -> Result<(), String> {
    loop {
        let events = metadata.local().events(&webhook.name, TOGETHER).await.map_err(text)?;
        if events.is_empty() {
            return Ok(());
        }
        let mut rest = events.as_slice();
        for message in messages(&events) {
            let (told, later) = rest.split_at(message.events.min(rest.len()));
            webhook.deliver("application/json", Bytes::from(message.json)).await.map_err(text)?;
            metrics::counter!("stratum_events_delivered_total", "webhook" => webhook.name.clone())
                .increment(told.len() as u64);
            metadata.forget_events(&webhook.name, told).await.map_err(text)?;
            rest = later;
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Task for DeliveryTask {
    fn row(&self) -> Row {
        Row {
            name: "notifications",
            role: Role::Leader,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let looked = self.look().await;
            let was_told = self.told_unread.swap(looked.is_err(), Ordering::Relaxed);
            match looked {
                Err(problem) if !was_told => {
                    tracing::warn!(
                        problem,
                        "no event is delivered, since events can't be looked up; it is tried again"
                    );
                }
                Ok(()) if was_told => tracing::info!("events can be looked up again"),
                _ => {}
            }
            Next::After(POLL_INTERVAL)
        })
    }

    fn ended(&self) -> Work<'_, ()> {
        Box::pin(async {
            let couriers = std::mem::take(&mut *self.couriers.lock());
            couriers.into_values().filter_map(|courier| courier.under_way).for_each(|task| task.abort());
        })
    }
}
