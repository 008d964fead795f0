//! Server access logs: one line in S3's own format for each request to a bucket whose owner asked for that. Lines wait
//! in memory until `log_delivery` writes them into the target bucket, as an object.
//!
//! Delivery is best effort, as in S3: the memory for waiting lines is bounded, and a line that finds no room or can't
//! be delivered is dropped and counted.
//!
//! Source: Amazon S3 User Guide, "Logging requests with server access logging" and "Amazon S3 server access log
//! format".

use crate::channel::Tls;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use stratum_metadata::record::{BucketId, Grant};
use stratum_storage::ambient::UnixMillis;
use time::OffsetDateTime;
use tracing_mutex::parkinglot::Mutex;

/// The most bytes of lines that may wait: of all buckets together, and of one bucket.
const MAX_WAITING_BYTES: usize = 16 << 20;
const MAX_WAITING_BYTES_OF_BUCKET: usize = 2 << 20;
/// A bucket's log is due once it has this many bytes, or after [`DELIVERY_INTERVAL`].
const FULL_BYTES: usize = 256 << 10;
const DELIVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The most bytes that a line quotes of a text that the client chose, such as a key or a `User-Agent`.
const QUOTED_BYTES: usize = 2 << 10;

/// A bucket's logging configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    pub target: String,
    pub prefix: String,
    /// The format of the objects' keys, if the configuration names one. It is told only then, as S3 does it.
    pub format: Option<KeyFormat>,
    /// The grants that each delivered object gets, where the target bucket uses access control lists.
    pub grants: Vec<Grant>,
}

/// How the keys of the delivered objects are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// The target's prefix, the time and a unique text.
    #[default]
    Simple,
    /// The target's prefix; the account, the region, the bucket and a date as folders; the time and a unique text.
    Partitioned(DateSource),
}

/// Which date the key of a partitioned log names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateSource {
    EventTime,
    DeliveryTime,
}

/// One line of the log. It tells of a request, or of one of the objects of a request that was about many. A field that
/// isn't known is written as `-`.
#[derive(Clone, Debug, Default)]
pub struct Line<'a> {
    pub owner: &'a str,
    pub bucket: &'a str,
    pub time: UnixMillis,
    pub source: Option<String>,
    pub requester: Option<&'a str>,
    pub request: &'a str,
    pub operation: String,
    pub key: Option<&'a str>,
    /// The fields about the request as a whole; `None` in a line about one of many objects.
    pub whole: Option<Whole<'a>>,
    pub status: u16,
    pub error: Option<&'a str>,
    pub sent: Option<u64>,
    pub object_size: Option<u64>,
    pub version: Option<&'a str>,
    pub signature: Option<&'static str>,
    pub auth: Option<&'static str>,
    pub host: Option<&'a str>,
    pub tls: Option<Tls>,
}

/// The fields that belong to a request as a whole, and not to each of the objects that it was about.
#[derive(Clone, Debug, Default)]
pub struct Whole<'a> {
    pub target: String,
    pub took: Duration,
    pub referer: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

impl Whole<'_> {
    fn target(&self) -> String {
        format!("\"{}\"", quoted(&self.target))
    }

    /// S3's Total Time and Turn-Around Time. The server measures one time only, so that both fields tell it.
    fn times(&self) -> String {
        let millis = self.took.as_millis();
        format!("{millis} {millis}")
    }

    fn came_by(&self) -> String {
        let text = |text: Option<&str>| text.map_or("-".to_owned(), quoted);
        format!("\"{}\" \"{}\"", text(self.referer), text(self.user_agent))
    }
}

impl Line<'_> {
    fn write(&self, out: &mut String) {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or("-".to_owned(), plain);
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let whole = self.whole.as_ref();
        let of_whole = |text: Option<String>, none: &str| text.unwrap_or_else(|| none.to_owned());
        let _ = writeln!(
            out,
            "{} {} [{}] {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} - -",
            text(Some(self.owner)),
            text(Some(self.bucket)),
            stamp(self.time),
            text(self.source.as_deref()),
            text(self.requester),
            self.request,
            self.operation,
            text(self.key),
            of_whole(whole.map(Whole::target), "-"),
            self.status,
            text(self.error),
            number(self.sent.filter(|bytes| *bytes > 0)),
            number(self.object_size),
            of_whole(whole.map(Whole::times), "- -"),
            of_whole(whole.map(Whole::came_by), "- -"),
            text(self.version),
            self.request,
            text(self.signature),
            text(self.tls.map(|tls| tls.suite)),
            text(self.auth),
            text(self.host),
            self.tls.map_or("-".to_owned(), |tls| format!("TLSv{}", tls.version)),
        );
    }
}

/// The front of a text that stands between spaces, percent-encoding what could end its field or its line.
fn plain(text: &str) -> String {
    let escaped = |char: char| match char {
        ' ' | '"' | '[' | ']' | '%' => format!("%{:02X}", u32::from(char)),
        char if char.is_control() => format!("%{:02X}", u32::from(char)),
        char => char.to_string(),
    };
    front(text).chars().map(escaped).collect()
}

/// The front of a text that stands in quotation marks, without what could end them or the line.
fn quoted(text: &str) -> String {
    front(text).replace('"', "%22").replace(|char: char| char.is_control(), "%20")
}

/// The first [`QUOTED_BYTES`] of a text, or a little less, so that no character is cut.
fn front(text: &str) -> &str {
    let end = (0..=QUOTED_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn at(time: UnixMillis) -> OffsetDateTime {
    let seconds = i64::try_from(time / 1000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn stamp(time: UnixMillis) -> String {
    let format =
        time::macros::format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    at(time).format(&format).unwrap_or_default()
}

/// The lines of all buckets that wait for delivery.
#[derive(Debug, Default)]
pub struct AccessLogs(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    logs: BTreeMap<BucketId, Log>,
    bytes: usize,
}

/// The lines of a bucket that are to become one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub lines: String,
    pub count: u64,
    /// When the request of the first line happened.
    pub first: UnixMillis,
    /// When the first line came, on the monotonic clock.
    began: Duration,
}

impl AccessLogs {
    /// Keeps a line for delivery, or drops and counts it where there is no room.
    pub fn tell(&self, bucket: BucketId, line: &Line<'_>, now: Duration) {
        let mut waiting = self.0.lock();
        let Waiting { logs, bytes } = &mut *waiting;
        let of_one = logs.get(&bucket).map_or(0, |log| log.lines.len());
        if of_one >= MAX_WAITING_BYTES_OF_BUCKET || *bytes >= MAX_WAITING_BYTES {
            dropped(1);
            return;
        }
        let log = logs.entry(bucket).or_insert_with(|| Log {
            lines: String::new(),
            count: 0,
            first: line.time,
            began: now,
        });
        let before = log.lines.len();
        line.write(&mut log.lines);
        log.count += 1;
        *bytes += log.lines.len() - before;
    }

    /// Takes the logs that are to be delivered now: all of them if `all`, else those that are full or have waited for
    /// [`DELIVERY_INTERVAL`].
    pub fn due(&self, now: Duration, all: bool) -> Vec<(BucketId, Log)> {
        let mut waiting = self.0.lock();
        let is_due = |log: &Log| {
            all || log.lines.len() >= FULL_BYTES || now.saturating_sub(log.began) >= DELIVERY_INTERVAL
        };
        let due: Vec<BucketId> =
            waiting.logs.iter().filter(|(_, log)| is_due(log)).map(|(bucket, _)| *bucket).collect();
        let taken: Vec<_> =
            due.into_iter().filter_map(|bucket| Some((bucket, waiting.logs.remove(&bucket)?))).collect();
        waiting.bytes -= taken.iter().map(|(_, log)| log.lines.len()).sum::<usize>();
        taken
    }
}

/// Counts lines that were dropped and won't be delivered.
pub fn dropped(lines: u64) {
    metrics::counter!("stratum_access_log_lines_dropped_total").increment(lines);
}

impl Logging {
    /// The key of an object that is delivered at `now`. `whose` is the owner, the region and the name of the bucket
    /// that the log tells of.
    pub fn key(&self, log: &Log, now: UnixMillis, whose: (&str, &str, &str), unique: u64) -> String {
        let (owner, region, bucket) = whose;
        let (prefix, delivered) = (&self.prefix, at(now));
        let date = |of: OffsetDateTime| {
            let format = time::macros::format_description!("[year]-[month]-[day]");
            of.format(&format).unwrap_or_default()
        };
        let clock = |of: OffsetDateTime| {
            let format = time::macros::format_description!("[hour]-[minute]-[second]");
            of.format(&format).unwrap_or_default()
        };
        let folder =
            |of: OffsetDateTime| format!("{prefix}{owner}/{region}/{bucket}/{}", date(of).replace('-', "/"));
        match self.format.unwrap_or_default() {
            KeyFormat::Simple => format!("{prefix}{}-{}-{unique:016X}", date(delivered), clock(delivered)),
            KeyFormat::Partitioned(DateSource::DeliveryTime) => {
                format!("{}/{}-{}-{unique:016X}", folder(delivered), date(delivered), clock(delivered))
            }
            // By event time, S3 writes midnight for the time of day.
            KeyFormat::Partitioned(DateSource::EventTime) => {
                let event = at(log.first);
                format!("{}/{}-00-00-00-{unique:016X}", folder(event), date(event))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: &str) -> Line<'_> {
        Line {
            owner: "ann",
            bucket: "photos",
            time: 1_700_000_000_000,
            requester: Some("bob"),
            request: "0123456789ABCDEF",
            operation: "REST.PUT.OBJECT".into(),
            key: Some("a b"),
            whole: Some(Whole {
                target: "PUT /photos/a%20b HTTP/1.1".into(),
                user_agent: Some(agent),
                ..Whole::default()
            }),
            status: 200,
            ..Line::default()
        }
    }

    fn written(line: &Line<'_>) -> String {
        let mut out = String::new();
        line.write(&mut out);
        out
    }

    #[test]
    fn a_line_has_s3s_format_and_no_client_can_forge_another() {
        let expected = "ann photos [14/Nov/2023:22:13:20 +0000] - bob 0123456789ABCDEF REST.PUT.OBJECT a%20b \
            \"PUT /photos/a%20b HTTP/1.1\" 200 - - - 0 0 \"-\" \"an agent\" - 0123456789ABCDEF - - - - - - -\n";
        assert_eq!(written(&line("an agent")), expected);
        let of_one = Line { operation: "BATCH.DELETE.OBJECT".into(), whole: None, ..line("an agent") };
        let expected = "BATCH.DELETE.OBJECT a%20b - 200 - - - - - - - - 0123456789ABCDEF - - - - - - -\n";
        assert!(written(&of_one).ends_with(expected), "{}", written(&of_one));
        let over_tls = written(&Line { tls: Some(Tls::USUAL), ..line("an agent") });
        assert!(over_tls.ends_with(" - TLS_AES_256_GCM_SHA384 - - TLSv1.3 - -\n"), "{over_tls}");
        let forged = written(&line("x\" 200\nann photos"));
        assert_eq!(forged.lines().count(), 1, "{forged}");
        assert_eq!(forged.matches('"').count(), 6, "{forged}");
    }

    #[test]
    fn waiting_lines_are_bounded_and_taken_when_due() {
        let (logs, at) = (AccessLogs::default(), Duration::from_secs);
        logs.tell(BucketId(1), &line("a"), at(10));
        assert_eq!(logs.due(at(69), false), []);
        let due = logs.due(at(70), false);
        assert_eq!((due.len(), due[0].1.count), (1, 1));
        let agent = "a".repeat(2000);
        (0..3000).for_each(|_| logs.tell(BucketId(1), &line(&agent), at(80)));
        let [(_, log)] = logs.due(at(80), false).try_into().unwrap();
        assert!((MAX_WAITING_BYTES_OF_BUCKET..MAX_WAITING_BYTES_OF_BUCKET + 4096).contains(&log.lines.len()));
        for bucket in 2..20 {
            (0..3000).for_each(|_| logs.tell(BucketId(bucket), &line(&agent), at(80)));
        }
        let due = logs.due(at(80), true);
        assert!(due.iter().all(|(_, log)| log.count > 0), "no log without a line is delivered");
        let all: usize = due.iter().map(|(_, log)| log.lines.len()).sum();
        assert!(all < MAX_WAITING_BYTES + MAX_WAITING_BYTES_OF_BUCKET, "{all}");
        assert_eq!(logs.0.lock().bytes, 0);
    }

    #[test]
    fn keys_of_log_objects_follow_the_configured_format() {
        let log = Log { lines: String::new(), count: 0, first: 1_700_000_000_000, began: Duration::ZERO };
        let key = |format| {
            let (target, prefix) = ("t".into(), "log/".into());
            let logging = Logging { target, prefix, format, grants: Vec::new() };
            logging.key(&log, 1_700_100_000_000, ("ann", "us-east-1", "photos"), 0x1234)
        };
        for simple in [None, Some(KeyFormat::Simple)] {
            assert_eq!(key(simple), "log/2023-11-16-02-00-00-0000000000001234");
        }
        let folder = "log/ann/us-east-1/photos/2023/11";
        assert_eq!(
            key(Some(KeyFormat::Partitioned(DateSource::DeliveryTime))),
            format!("{folder}/16/2023-11-16-02-00-00-0000000000001234")
        );
        assert_eq!(
            key(Some(KeyFormat::Partitioned(DateSource::EventTime))),
            format!("{folder}/14/2023-11-14-00-00-00-0000000000001234")
        );
    }
}
