//! The audit log: the records that the API makes of requests that changed something or were refused go to files, to a
//! webhook, or to both.
//!
//! No request ever waits for the audit. A record that can't be kept is dropped and counted in
//! `stratum_audit_dropped_total`, and the log warns once: of the files and of the webhook again after the next failure
//! that follows a success, of a full queue again after it was emptied. Records are written to the files before they are
//! queued for the webhook.

mod files;

use crate::config::AuditSection;
use crate::failure::Failure;
use crate::webhook::Webhook;
use bytes::Bytes;
use files::{Files, Unwritten};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_api::audit::{Audit, AuditBell, AuditLines};
use stratum_storage::blocking;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// The most records that one step of the task takes from the API's queue.
const RECORDS_A_STEP: usize = 4096;
/// The most bytes of records that may wait for the webhook.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// The most bytes of records in one POST, unless a single record is longer.
const POST_BYTES: usize = 256 << 10;
/// How long the webhook rests after a failed delivery: the first value after one failure, twice as long after each
/// further failure, and never longer than the second value.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The audit log of a server: the end that the API writes to, and the tasks that keep what it writes.
pub struct Audits {
    pub audit: Audit,
    pub tasks: Vec<Arc<dyn Task>>,
}

/// Checks at the start that the audit file can be opened: a server that was told to keep an audit and can't must not
/// start.
///
/// # Errors
/// The file can't be opened for writing.
pub fn try_file(config: &AuditSection) -> Result<(), Failure> {
    let Some(path) = &config.file else { return Ok(()) };
    let opened = Files::new(path.clone(), config.file_size, config.keep).open();
    opened.map(drop).map_err(|error| format!("audit.file: {}: {error}", path.display()).into())
}

impl Audits {
    /// Builds the audit that `[audit]` describes. Without a file and a webhook, the API makes no records at all.
    pub fn of(config: &AuditSection, webhook: Option<Arc<Webhook>>) -> Audits {
        if config.file.is_none() && webhook.is_none() {
            return Audits { audit: Audit::default(), tasks: Vec::new() };
        }
        let (audit, lines) = Audit::open();
        let outbox = webhook.map(|webhook| Arc::new(Outbox::new(webhook)));
        let files = config.file.clone().map(|path| Files::new(path, config.file_size, config.keep));
        let bell = lines.bell();
        let keeper = AuditTask {
            bell,
            lines: Mutex::new(lines),
            files: files.map(|files| Arc::new(Mutex::new(files))),
            outbox: outbox.clone(),
            is_failing: AtomicBool::new(false),
            overflow: Mutex::default(),
        };
        let mut tasks: Vec<Arc<dyn Task>> = vec![Arc::new(keeper)];
        tasks.extend(outbox.map(|outbox| -> Arc<dyn Task> { Arc::new(AuditWebhookTask(outbox)) }));
        Audits { audit, tasks }
    }
}

/// The task that writes the API's records to the files and queues them in the webhook's outbox.
struct AuditTask {
    bell: AuditBell,
    lines: Mutex<AuditLines>,
    files: Option<Arc<Mutex<Files>>>,
    outbox: Option<Arc<Outbox>>,
    /// Whether the last write to the files failed.
    is_failing: AtomicBool,
    overflow: Mutex<Overflow>,
}

/// What is remembered of records for which the API's queue had no room.
#[derive(Default)]
struct Overflow {
    /// How many the queue had dropped since the start when this was last asked.
    dropped: u64,
    /// Whether the log has said that records are dropped, since the queue was last emptied.
    is_told: bool,
}

impl Overflow {
    /// Whether the log should warn now. `dropped` is how many records the queue has dropped since the start.
    fn is_news(&mut self, dropped: u64, is_emptied: bool) -> bool {
        let has_more = std::mem::replace(&mut self.dropped, dropped) < dropped;
        let is_news = has_more && !self.is_told;
        self.is_told = has_more || (self.is_told && !is_emptied);
        is_news
    }
}

impl AuditTask {
    /// Keeps one batch of records; gives whether more may be waiting.
    async fn keep(&self) -> bool {
        let (taken, dropped) = {
            let mut lines = self.lines.lock();
            (lines.take(RECORDS_A_STEP), lines.dropped())
        };
        let is_full = taken.len() == RECORDS_A_STEP;
        if self.overflow.lock().is_news(dropped, !is_full) {
            tracing::warn!(
                "records of the audit found no room and were dropped: stratum_audit_dropped_total counts them"
            );
        }
        if taken.is_empty() {
            return false;
        }
        let taken = Arc::new(taken);
        metrics::counter!("stratum_audit_records_total").increment(taken.len() as u64);
        if let Some(files) = &self.files {
            let (files, lines) = (files.clone(), taken.clone());
            let written = blocking::spawn(move || files.lock().write(&lines)).await;
            let of_all = |error| Err(Unwritten { lines: taken.len(), error: std::io::Error::other(error) });
            self.wrote(written.unwrap_or_else(of_all));
        }
        if let Some(outbox) = &self.outbox {
            outbox.put(&taken);
        }
        is_full
    }

    fn wrote(&self, written: Result<(), Unwritten>) {
        let was_failing = self.is_failing.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Ok(()) if was_failing => tracing::info!("the audit is written again"),
            Ok(()) => {}
            Err(Unwritten { lines, error }) => {
                metrics::counter!("stratum_audit_dropped_total", "at" => "file").increment(lines as u64);
                if !was_failing {
                    tracing::error!(%error, "the audit can't be written: what comes is dropped until it can");
                }
            }
        }
    }
}

impl Task for AuditTask {
    fn row(&self) -> Row {
        Row {
            name: "audit",
            role: Role::Host,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            match self.keep().await {
                true => Next::AtOnce,
                false => Next::WhenWoken,
            }
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.bell.rings())
    }

    /// Keeps the last records. The task ends after the last request was answered, so none can follow them.
    fn ended(&self) -> Work<'_, ()> {
        Box::pin(async { while self.keep().await {} })
    }
}

/// The records that wait to be posted to the webhook.
struct Outbox {
    webhook: Arc<Webhook>,
    waiting: Mutex<Waiting>,
    woken: Notify,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many deliveries have failed since the last one that succeeded.
    failures: u32,
}

impl Outbox {
    fn new(webhook: Arc<Webhook>) -> Outbox {
        Outbox { webhook, waiting: Mutex::default(), woken: Notify::new() }
    }

    /// Queues records for the webhook. When the outbox is full, because the webhook has not answered for long, new
    /// records are dropped and the older ones stay.
    fn put(&self, lines: &[String]) {
        let mut waiting = self.waiting.lock();
        for line in lines {
            if waiting.bytes + line.len() > MAX_WAITING_BYTES {
                metrics::counter!("stratum_audit_dropped_total", "at" => "webhook").increment(1);
                continue;
            }
            waiting.bytes += line.len();
            waiting.lines.push_back(line.clone());
        }
        self.woken.notify_one();
    }

    /// Posts the oldest records that fit one POST; gives when the task should run again.
    async fn post(&self) -> Next {
        let (body, count) = self.first();
        if count == 0 {
            return Next::WhenWoken;
        }
        let delivered = self.webhook.deliver("application/x-ndjson", body).await;
        let mut waiting = self.waiting.lock();
        match delivered {
            Ok(()) => {
                let bytes: usize = waiting.lines.drain(..count).map(|line| line.len()).sum();
                waiting.bytes -= bytes;
                if std::mem::take(&mut waiting.failures) > 0 {
                    tracing::info!(webhook = self.webhook.name, "the audit's webhook takes records again");
                }
                Next::AtOnce
            }
            Err(error) => {
                if waiting.failures == 0 {
                    tracing::warn!(webhook = self.webhook.name, %error, "the audit's webhook takes nothing; it is tried again");
                }
                waiting.failures = waiting.failures.saturating_add(1);
                let (first, last) = RETRY_DELAYS;
                Next::After((first * 2u32.saturating_pow(waiting.failures.min(16) - 1)).min(last))
            }
        }
    }

    /// The body of the next POST, and how many records are in it.
    fn first(&self) -> (Bytes, usize) {
        let waiting = self.waiting.lock();
        let (mut body, mut count) = (String::new(), 0);
        for line in &waiting.lines {
            if count > 0 && body.len() + line.len() > POST_BYTES {
                break;
            }
            body.push_str(line);
            count += 1;
        }
        (body.into(), count)
    }
}

/// The task that posts the records of the outbox to the webhook.
struct AuditWebhookTask(Arc<Outbox>);

impl Task for AuditWebhookTask {
    fn row(&self) -> Row {
        Row {
            name: "audit webhook",
            role: Role::Host,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            stratum_storage::task::unless_stopped(stop, self.0.post()).await.unwrap_or(Next::WhenWoken)
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        // While the webhook fails, a new record must not cut the wait before the next attempt short.
        let is_failing = self.0.waiting.lock().failures > 0;
        match is_failing {
            true => Box::pin(std::future::pending()),
            false => Box::pin(self.0.woken.notified()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_news_again_after_it_was_emptied() {
        let mut overflow = Overflow::default();
        let mut asked = |dropped, is_emptied| overflow.is_news(dropped, is_emptied);
        assert_eq!(
            [asked(0, true), asked(7, false), asked(9, false), asked(9, false)],
            [false, true, false, false]
        );
        // A queue that was emptied and had no room in between has not recovered yet.
        assert_eq!([asked(12, true), asked(12, true), asked(13, true)], [false, false, true]);
    }
}
