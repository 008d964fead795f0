//! What is told of requests to a bucket whose owner wants it: lines in S3's own format, kept until they become an object.
//!
//! Best effort, as S3 has it: lines wait in memory, within bounds, and what finds no room or can't be delivered is dropped and
//! counted. `log_delivery` delivers them.
//!
//! Source: Amazon S3 User Guide, "Logging requests with server access logging" and "Amazon S3 server access log format".

use crate::channel::Tls;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use stratum_metadata::record::{BucketId, Grant};
use stratum_storage::ambient::UnixMillis;
use time::OffsetDateTime;
use tracing_mutex::parkinglot::Mutex;

/// What may wait of all buckets, in bytes, and of one.
const MAX_WAITING: usize = 16 << 20;
const MAX_WAITING_OF_ONE: usize = 2 << 20;
/// An object is made of so many bytes at once, or after so long.
const FULL_BYTES: usize = 256 << 10;
const DELIVERY_INTERVAL: Duration = Duration::from_secs(60);
/// As much as a line tells of what a client chose to say, in bytes.
const QUOTED_BYTES: usize = 2 << 10;

/// A bucket's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    pub target: String,
    pub prefix: String,
    pub format: KeyFormat,
    /// What others may do with the objects of the log, where lists are in use.
    pub grants: Vec<Grant>,
}

/// How the objects of a log are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// Prefix, time and a unique text.
    #[default]
    Simple,
    /// Between them account, region, bucket, and the date of that.
    Partitioned(DateSource),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateSource {
    EventTime,
    DeliveryTime,
}

/// A request, as a line has it. What isn't known is `-`.
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
    /// Of a request as a whole.
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

/// What a request has that each of many objects that it was about hasn't.
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

    /// In all, and until the answer began.
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

/// The front of a text, without what would end it: it stands between spaces.
fn plain(text: &str) -> String {
    let escaped = |char: char| match char {
        ' ' | '"' | '[' | ']' | '%' => format!("%{:02X}", u32::from(char)),
        char if char.is_control() => format!("%{:02X}", u32::from(char)),
        char => char.to_string(),
    };
    front(text).chars().map(escaped).collect()
}

/// The front of a text that stands in quotes.
fn quoted(text: &str) -> String {
    front(text).replace('"', "%22").replace(|char: char| char.is_control(), "%20")
}

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

/// What waits of each bucket.
#[derive(Debug, Default)]
pub struct AccessLogs(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    logs: BTreeMap<BucketId, Log>,
    bytes: usize,
}

/// Lines of a bucket that are to become an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub lines: String,
    pub count: u64,
    /// When the first of them happened, and the first one came, on the monotonic clock.
    pub first: UnixMillis,
    began: Duration,
}

impl AccessLogs {
    /// Keeps a line.
    pub fn tell(&self, bucket: BucketId, line: &Line<'_>, now: Duration) {
        let mut waiting = self.0.lock();
        let Waiting { logs, bytes } = &mut *waiting;
        let log = logs.entry(bucket).or_insert_with(|| Log {
            lines: String::new(),
            count: 0,
            first: line.time,
            began: now,
        });
        if log.lines.len() >= MAX_WAITING_OF_ONE || *bytes >= MAX_WAITING {
            dropped(1);
            return;
        }
        let before = log.lines.len();
        line.write(&mut log.lines);
        log.count += 1;
        *bytes += log.lines.len() - before;
    }

    /// What is to be delivered: what is full or has waited long enough, or all of it.
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

/// Lines that nobody will read.
pub fn dropped(lines: u64) {
    metrics::counter!("stratum_access_log_lines_dropped_total").increment(lines);
}

impl Logging {
    /// What an object is called that is delivered now, of a bucket of that name and region and its owner.
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
        match self.format {
            KeyFormat::Simple => format!("{prefix}{}-{}-{unique:016X}", date(delivered), clock(delivered)),
            KeyFormat::Partitioned(DateSource::DeliveryTime) => {
                format!("{}/{}-{}-{unique:016X}", folder(delivered), date(delivered), clock(delivered))
            }
            // S3 has such an object's time at midnight.
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
    fn a_line_is_s3_s_own_whatever_a_client_says() {
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
    fn what_waits_is_bounded_and_goes_when_it_is_due() {
        let (logs, at) = (AccessLogs::default(), Duration::from_secs);
        logs.tell(BucketId(1), &line("a"), at(10));
        assert_eq!(logs.due(at(69), false), []);
        let due = logs.due(at(70), false);
        assert_eq!((due.len(), due[0].1.count), (1, 1));
        let agent = "a".repeat(2000);
        (0..3000).for_each(|_| logs.tell(BucketId(1), &line(&agent), at(80)));
        let [(_, log)] = logs.due(at(80), false).try_into().unwrap();
        assert!((MAX_WAITING_OF_ONE..MAX_WAITING_OF_ONE + 4096).contains(&log.lines.len()));
        for bucket in 2..20 {
            (0..3000).for_each(|_| logs.tell(BucketId(bucket), &line(&agent), at(80)));
        }
        let all: usize = logs.due(at(80), true).iter().map(|(_, log)| log.lines.len()).sum();
        assert!(all < MAX_WAITING + MAX_WAITING_OF_ONE, "{all}");
        assert_eq!(logs.0.lock().bytes, 0);
    }

    #[test]
    fn objects_are_called_as_the_format_says() {
        let log = Log { lines: String::new(), count: 0, first: 1_700_000_000_000, began: Duration::ZERO };
        let key = |format| {
            let logging = Logging { target: "t".into(), prefix: "log/".into(), format, grants: Vec::new() };
            logging.key(&log, 1_700_100_000_000, ("ann", "us-east-1", "photos"), 0x1234)
        };
        assert_eq!(key(KeyFormat::Simple), "log/2023-11-16-02-00-00-0000000000001234");
        let folder = "log/ann/us-east-1/photos/2023/11";
        assert_eq!(
            key(KeyFormat::Partitioned(DateSource::DeliveryTime)),
            format!("{folder}/16/2023-11-16-02-00-00-0000000000001234")
        );
        assert_eq!(
            key(KeyFormat::Partitioned(DateSource::EventTime)),
            format!("{folder}/14/2023-11-14-00-00-00-0000000000001234")
        );
    }
}
