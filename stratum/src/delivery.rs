//! The task that delivers events to webhooks. Each webhook for which events wait has a courier of its own, an async
//! task that posts those of each owner's buckets in the order in which they happened, and goes round the owners.
//!
//! Events that wait lie in the store's state, and are removed when the webhook has confirmed them. So each event is
//! delivered at least once, and again where the confirmation was lost. A webhook that doesn't answer is tried again
//! after ever longer pauses. Its events wait, up to a bound, and hold up neither the other webhooks nor any request. An
//! event that it refuses though it takes others holds up none of these ([`refused`]).

mod refused;

use crate::webhook::{Undelivered, Webhook, Webhooks};
use bytes::Bytes;
use http::StatusCode;
use refused::Refused;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_events::{MAX_RECORDS, messages};
use stratum_metadata::Metadata;
use stratum_metadata::record::{EventQueue, EventRecord};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tokio::task::JoinHandle;
use tracing_mutex::parkinglot::Mutex;

/// How often the task looks for which webhooks events wait.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The most events that a courier reads from the state at once, and of them those of the buckets of one owner.
const MAX_EVENTS_READ: usize = 8 * MAX_RECORDS;
const MAX_EVENTS_OF_OWNER: usize = 2 * MAX_RECORDS;
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
    /// The events that the webhook refuses. A delivery that runs has them locked.
    refused: Arc<tokio::sync::Mutex<Refused>>,
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
                    courier.under_way =
                        Some(tokio::spawn(deliver(self.metadata.clone(), webhook, courier.refused.clone())));
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

/// Posts the events that wait for a webhook, until none does that is due.
async fn deliver(
    metadata: Metadata,
    webhook: Arc<Webhook>,
    refused: Arc<tokio::sync::Mutex<Refused>>,
) -> Result<(), String> {
    let mut refused = refused.lock().await;
    loop {
        // What was refused waits at the beginning of the queue, and leaves room for others.
        let (all, of_owner) = (MAX_EVENTS_READ + refused.len(), MAX_EVENTS_OF_OWNER + refused.len());
        let waiting = metadata.local().events(&webhook.name, all, of_owner).await.map_err(text)?;
        refused.retain(&waiting);
        let now = System.monotonic();
        let due: Vec<EventRecord> = waiting.into_iter().filter(|event| refused.is_due(event, now)).collect();
        if due.is_empty() {
            return Ok(());
        }
        let mut pass =
            Pass { metadata: &metadata, webhook: &webhook, took: false, refused: Vec::new(), answer: None };
        pass.post_all(due).await?;
        let Pass { took, refused: anew, answer, .. } = pass;
        match (refused.note(anew, took, System.monotonic()), answer) {
            (Some(given_up), _) => give_up(&metadata, &webhook, given_up).await?,
            (None, Some(status)) => return Err(format!("it answered {status} to every event")),
            (None, None) => return Err("it refuses every event".to_owned()),
        }
    }
}

/// One posting of some events to a webhook.
struct Pass<'a> {
    metadata: &'a Metadata,
    webhook: &'a Webhook,
    /// Whether the webhook took anything.
    took: bool,
    /// The events that the webhook refused, each sent by itself.
    refused: Vec<EventRecord>,
    /// The webhook's answer when it refused something last.
    answer: Option<StatusCode>,
}

impl Pass<'_> {
    /// Posts events in messages, each of one owner's, and then those of a message that was refused one by one. A
    /// webhook that has taken nothing yet is asked so about one message of each owner only: it may refuse everybody.
    async fn post_all(&mut self, events: Vec<EventRecord>) -> Result<(), String> {
        let mut of_owners: BTreeMap<String, Vec<EventRecord>> = BTreeMap::new();
        for event in events {
            of_owners.entry(event.about.owner.clone()).or_default().push(event);
        }
        let mut in_doubt = Vec::new();
        for events in of_owners.values() {
            let refused = self.post_of_owner(events).await?;
            in_doubt.extend(refused.into_iter().enumerate());
        }
        for (position, events) in in_doubt {
            if self.took || position == 0 {
                self.post_each(events).await?;
            }
        }
        Ok(())
    }

    /// Posts the events of an owner; returns those of each message that was refused.
    async fn post_of_owner<'e>(
        &mut self,
        mut events: &'e [EventRecord],
    ) -> Result<Vec<&'e [EventRecord]>, String> {
        let mut refused = Vec::new();
        for message in messages(events) {
            let (told, later) = events.split_at(message.events.min(events.len()));
            match self.post(message.json, told).await? {
                true => {}
                false if told.len() == 1 => self.refused.extend_from_slice(told),
                false => refused.push(told),
            }
            events = later;
        }
        Ok(refused)
    }

    async fn post_each(&mut self, events: &[EventRecord]) -> Result<(), String> {
        for event in events {
            let alone = std::slice::from_ref(event);
            for message in messages(alone) {
                if !self.post(message.json, alone).await? {
                    self.refused.push(event.clone());
                }
            }
        }
        Ok(())
    }

    /// Posts a message about these events, and says whether the webhook took it.
    async fn post(&mut self, message: String, events: &[EventRecord]) -> Result<bool, String> {
        match self.webhook.deliver("application/json", Bytes::from(message)).await {
            Ok(()) => {}
            Err(Undelivered::Status(status)) if refused::is_refusal(status) => {
                self.answer = Some(status);
                return Ok(false);
            }
            Err(error) => return Err(text(error)),
        }
        self.took = true;
        metrics::counter!("stratum_events_delivered_total", "webhook" => self.webhook.name.clone())
            .increment(events.len() as u64);
        self.metadata.forget_events(&self.webhook.name, events).await.map_err(text)?;
        Ok(true)
    }
}

/// Removes events that a webhook refuses, and says so.
async fn give_up(metadata: &Metadata, webhook: &Webhook, events: Vec<EventRecord>) -> Result<(), String> {
    if events.is_empty() {
        return Ok(());
    }
    for event in &events {
        let (bucket, key) = (&event.about.bucket, String::from_utf8_lossy(&event.about.key));
        tracing::error!(
            webhook = webhook.name,
            bucket,
            key = %key.escape_debug(),
            event = event.kind.name(),
            "an event is given up: the webhook refuses it, and takes others"
        );
    }
    metrics::counter!("stratum_events_refused_total", "webhook" => webhook.name.clone())
        .increment(events.len() as u64);
    metadata.forget_events(&webhook.name, &events).await.map_err(text)
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
