//! The audit: one line of JSON for each request that changes something or is refused, for whoever stores the lines.
//!
//! No request waits for the audit. Lines go to a queue that is bounded in bytes; a line that finds no room is dropped
//! and counted. Refusals may use only half of the queue, so that nobody can crowd out the lines about changes by being
//! refused often enough.

use crate::address::Address;
use crate::error::Code;
use crate::text::Deadline;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use stratum_storage::ambient::UnixMillis;
use tokio::sync::{Notify, mpsc};
use tracing_mutex::parkinglot::Mutex;

/// The most bytes of lines that may wait in the queue.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// A refusal finds room only while no more bytes than this wait in the queue, its own line included.
const MAX_WAITING_BYTES_FOR_REFUSALS: usize = MAX_WAITING_BYTES / 2;
/// The most bytes that a line quotes of a text that the client chose.
const QUOTED_BYTES: usize = 1024;
/// The most decisions that one line tells of.
const MAX_DECISIONS: usize = 16;

/// Puts lines into the queue, or does nothing where no audit is kept.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    lines: mpsc::UnboundedSender<String>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
    woken: Notify,
}

/// The end of the queue from which the lines are taken, for whoever stores them.
#[derive(Debug)]
pub struct AuditLines {
    queue: Arc<Queue>,
    lines: mpsc::UnboundedReceiver<String>,
}

/// Tells whoever stores the lines that there are new ones.
#[derive(Clone, Debug)]
pub struct AuditBell(Arc<Queue>);

impl Audit {
    /// Makes a queue: the end into which lines are put, and the end from which they are taken.
    pub fn open() -> (Audit, AuditLines) {
        let (sender, lines) = mpsc::unbounded_channel();
        let (waiting, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        let queue = Arc::new(Queue { lines: sender, waiting, dropped, woken: Notify::new() });
        (Audit(Some(queue.clone())), AuditLines { queue, lines })
    }

    /// Whether anybody stores the lines.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Puts the line about a request into the queue.
    pub fn tell(&self, record: &AuditRecord<'_>) {
        let Some(queue) = &self.0 else { return };
        let Ok(mut line) = serde_json::to_string(record) else { return queue.drop_one() };
        line.push('\n');
        let most = if record.is_refusal() { MAX_WAITING_BYTES_FOR_REFUSALS } else { MAX_WAITING_BYTES };
        let room = queue.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            waiting.checked_add(line.len()).filter(|bytes| *bytes <= most)
        });
        if room.is_err() || queue.lines.send(line).is_err() {
            queue.drop_one();
        }
        queue.woken.notify_one();
    }
}

impl Queue {
    /// Counts a line that nobody will store.
    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("stratum_audit_dropped_total", "at" => "queue").increment(1);
    }
}

impl AuditLines {
    /// Takes up to `most` lines that wait.
    pub fn take(&mut self, most: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Ok(line) = self.lines.try_recv()
        {
            self.queue.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            taken.push(line);
        }
        taken
    }

    /// How many lines found no room since the start.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    pub fn bell(&self) -> AuditBell {
        AuditBell(self.queue.clone())
    }
}

impl AuditBell {
    /// Returns once a line has come since the last return.
    pub async fn rings(&self) {
        self.0.woken.notified().await;
    }
}

/// The decisions about a request, and the objects that it touched. It keeps nothing where neither an audit nor an
/// access log is to tell of the request.
#[derive(Debug, Default)]
pub struct Trail(Option<Mutex<Marks>>);

#[derive(Debug, Default)]
struct Marks {
    decisions: Vec<Decided>,
    objects: Vec<Touched>,
}

/// A decision on the caller's rights, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Decided {
    pub action: &'static str,
    pub allowed: bool,
    pub by: String,
}

/// One of the many objects that a request was about.
#[derive(Clone, Debug, Serialize)]
pub struct Touched {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why the request was refused for this object; `None` if it wasn't.
    #[serde(rename = "code", skip_serializing_if = "Option::is_none")]
    pub refused: Option<Code>,
}

impl Trail {
    /// A trail that keeps nothing.
    pub const OFF: Trail = Trail(None);

    /// A trail that keeps what it is told if `is_told`, and nothing otherwise.
    pub fn of(is_told: bool) -> Arc<Trail> {
        Arc::new(Trail(is_told.then(Mutex::default)))
    }

    pub fn decided(&self, decided: impl FnOnce() -> Decided) {
        let Some(marks) = &self.0 else { return };
        let mut marks = marks.lock();
        if marks.decisions.len() < MAX_DECISIONS {
            marks.decisions.push(decided());
        }
    }

    pub fn touched(&self, touched: impl FnOnce() -> Touched) {
        if let Some(marks) = &self.0 {
            marks.lock().objects.push(touched());
        }
    }

    /// The objects that the request has touched so far.
    pub fn all_touched(&self) -> Vec<Touched> {
        self.0.as_ref().map(|marks| marks.lock().objects.clone()).unwrap_or_default()
    }
}

/// One line of the audit.
#[derive(Debug, Serialize)]
pub struct AuditRecord<'a> {
    pub time: String,
    pub request: &'a str,
    pub source: Option<IpAddr>,
    /// Who signed the request: the canonical id of an account's owner, or the ARN of a member.
    pub user: Option<&'a str>,
    pub access_key: Option<&'a str>,
    pub operation: &'a str,
    pub method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What a request that isn't S3's was about: the path and query of an operator's request, or the ARN of an IAM
    /// request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_source: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Touched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The cause of an error, as only the server knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decided>,
}

impl AuditRecord<'_> {
    fn is_refusal(&self) -> bool {
        is_refused(self.status)
    }
}

fn is_refused(status: u16) -> bool {
    matches!(StatusCode::from_u16(status), Ok(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED))
}

/// What the head of a request says that a line tells, kept until the request is answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub host: Option<String>,
    pub source: Option<IpAddr>,
    user_agent: Option<String>,
    copy_source: Option<String>,
}

/// What came of the request: who sent it, and how it was answered.
#[derive(Debug)]
pub struct Came<'a> {
    pub request: &'a str,
    pub now: UnixMillis,
    pub user: Option<&'a str>,
    pub access_key: Option<&'a str>,
    pub operation: &'a str,
    /// The version that the request named.
    pub version: Option<&'a str>,
    /// What an IAM request was about, by its ARN.
    pub target: Option<&'a str>,
    pub is_write: bool,
    pub status: StatusCode,
    pub error: Option<(&'static str, Option<&'a str>)>,
    pub trail: &'a Trail,
}

impl Asked {
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap, source: Option<IpAddr>) -> Asked {
        let text = |name| headers.get(name).map(|value| quoted(&String::from_utf8_lossy(value.as_bytes())));
        Asked {
            method: method.clone(),
            uri: uri.clone(),
            host: headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned),
            source,
            user_agent: text(USER_AGENT),
            copy_source: text(http::HeaderName::from_static("x-amz-copy-source")),
        }
    }

    /// Puts the line about an S3 or IAM request into the queue, if the request may have changed something or was
    /// refused.
    pub fn answered(&self, audit: &Audit, domains: &[String], came: &Came<'_>) {
        if !came.is_write && !is_refused(came.status.as_u16()) {
            return;
        }
        let (bucket, key) = match Address::parse(self.uri.path(), self.host.as_deref(), domains) {
            Ok(Address::Object(bucket, key)) => (Some(bucket), Some(key.as_str().to_owned())),
            Ok(Address::Bucket(bucket)) => (Some(bucket), None),
            _ => (None, None),
        };
        audit.tell(&AuditRecord { bucket, key, ..self.record(came) });
    }

    /// Puts the line about an operator's request into the queue, if the request may have changed something or was
    /// refused.
    pub fn operated(&self, audit: &Audit, came: &Came<'_>) {
        if came.is_write || is_refused(came.status.as_u16()) {
            let target = self.uri.path_and_query().map(|target| quoted(target.as_str()));
            audit.tell(&AuditRecord { target, ..self.record(came) });
        }
    }

    fn record<'a>(&'a self, came: &Came<'a>) -> AuditRecord<'a> {
        let marks = came.trail.0.as_ref().map(|marks| std::mem::take(&mut *marks.lock())).unwrap_or_default();
        AuditRecord {
            time: Deadline(came.now).to_string(),
            request: came.request,
            source: self.source,
            user: came.user,
            access_key: came.access_key,
            operation: came.operation,
            method: self.method.as_str(),
            bucket: None,
            key: None,
            version: came.version.map(quoted),
            target: came.target.map(quoted),
            copy_source: self.copy_source.clone(),
            objects: marks.objects,
            user_agent: self.user_agent.clone(),
            status: came.status.as_u16(),
            code: came.error.map(|(code, _)| code),
            cause: came.error.and_then(|(_, cause)| cause).map(quoted),
            decisions: marks.decisions,
        }
    }
}

/// The first [`QUOTED_BYTES`] of a text, or a little less, so that no character is cut.
fn quoted(text: &str) -> String {
    let end = (0..=QUOTED_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(status: StatusCode, is_write: bool, trail: &Trail) -> Came<'_> {
        let (request, operation, version) = ("1", "PutObject", Some("v"));
        let (user, access_key, target, error) = (None, None, None, None);
        Came { request, now: 0, user, access_key, operation, version, target, is_write, status, error, trail }
    }

    fn asked(key: &str) -> Asked {
        let uri = format!("/bucket/{key}").parse().unwrap();
        Asked::of(&Method::PUT, &uri, &HeaderMap::new(), None)
    }

    #[test]
    fn only_changes_and_refusals_are_audited() {
        let (audit, mut lines) = Audit::open();
        let trail = Trail(Some(Mutex::default()));
        trail.decided(|| Decided { action: "s3:PutObject", allowed: true, by: "owner".into() });
        let tell = |status, is_write| asked("key").answered(&audit, &[], &came(status, is_write, &trail));
        tell(StatusCode::OK, true);
        tell(StatusCode::OK, false);
        tell(StatusCode::NOT_FOUND, false);
        tell(StatusCode::FORBIDDEN, false);
        let told = lines.take(10);
        let told: Vec<serde_json::Value> =
            told.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.iter().map(|line| &line["status"]).collect::<Vec<_>>(), [200, 403]);
        let first = &told[0];
        assert_eq!(
            (&first["bucket"], &first["key"], &first["version"]),
            (&"bucket".into(), &"key".into(), &"v".into())
        );
        assert_eq!(first["decisions"][0]["by"], "owner");
        assert_eq!(first["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn refusals_do_not_take_the_room_of_changes() {
        let (audit, mut lines) = Audit::open();
        let refused = |audit: &Audit| {
            asked(&"k".repeat(900)).answered(audit, &[], &came(StatusCode::FORBIDDEN, false, &Trail::OFF));
        };
        (0..20_000).for_each(|_| refused(&audit));
        let dropped = lines.dropped();
        assert!(dropped > 0);
        asked("key").answered(&audit, &[], &came(StatusCode::OK, true, &Trail::OFF));
        assert_eq!(lines.dropped(), dropped, "a change still finds room");
        let waited: usize = lines.take(usize::MAX).iter().map(String::len).sum();
        assert!(
            (MAX_WAITING_BYTES_FOR_REFUSALS - 2048..MAX_WAITING_BYTES_FOR_REFUSALS + 2048).contains(&waited),
            "{waited}"
        );
        refused(&audit);
        assert_eq!((lines.take(9).len(), lines.dropped()), (1, dropped), "there is room again");
    }
}
