//! Makes a trace of server access logs: S3's own, and those of this server, which have the same format.
//!
//! Only reads of objects count, as in a running server: answered GETs and copies, no HEADs or lists. A log is
//! delivered in pieces, so its lines may come in any order and are sorted by time. Objects have names here, so their
//! groups are those that a server makes of the same reads. A line that doesn't belong to a log is refused with its
//! number, for people would believe a figure made of half a log.
//!
//! Source: Amazon S3 User Guide, "Amazon S3 server access log format".

use super::trace::{Lines, Sizes, Trace, TraceError, TraceRead, unpacked};
use crate::day::Day;
use crate::signals::Read;
use crate::usage::Usage;
use crate::usage::name::Seed;
use std::collections::HashMap;
use std::io::BufRead;
use time::OffsetDateTime;
use time::macros::format_description;

/// Fields of a line up to the last that is needed. Newer logs have more fields after it than older ones.
const NEEDED_FIELDS: usize = 13;
/// The operations that count as a read of an object. The log tells the read of a copy's source as a GET, too.
const GETS: [&str; 2] = ["REST.GET.OBJECT", "WEBSITE.GET.OBJECT"];
const COPY: &str = "REST.COPY.OBJECT_GET";
/// Memory for the groups while they are found, in bytes.
const GROUPS_MEMORY_BYTES: usize = 64 << 20;

/// The reads of some log files.
#[derive(Debug, Default)]
pub struct AccessLog {
    buckets: HashMap<String, u64>,
    numbers: HashMap<(u64, String), u32>,
    names: Vec<(u64, String)>,
    sizes: Sizes,
    reads: Vec<TraceRead>,
    lines: u64,
}

/// What a line says of a read.
struct Told<'a> {
    bucket: &'a str,
    key: &'a str,
    time: u64,
    bytes: u64,
    size: u64,
}

impl AccessLog {
    /// Takes a file, gzipped or not.
    pub fn add(&mut self, input: impl BufRead) -> Result<(), TraceError> {
        let mut lines = Lines::of(unpacked(input)?);
        while let Some(text) = lines.next()? {
            if text.trim().is_empty() {
                continue;
            }
            let taken =
                read_line(text.trim_end()).and_then(|told| told.map_or(Ok(()), |told| self.take(&told)));
            self.lines += 1;
            taken.map_err(|fault| TraceError::Line { line: lines.number(), fault })?;
        }
        Ok(())
    }

    /// How many lines there were, and how many of them told of reads.
    pub fn counted(&self) -> (u64, usize) {
        (self.lines, self.reads.len())
    }

    /// The reads of all files in the order of time.
    pub fn into_trace(mut self) -> Result<Trace, TraceError> {
        self.reads.sort_by_key(|read| read.time);
        let groups = self.groups();
        Trace::in_groups(self.reads, self.sizes.into_vec(), groups).ok_or(TraceError::Empty)
    }

    fn take(&mut self, told: &Told<'_>) -> Result<(), String> {
        let known = self.buckets.len() as u64;
        let bucket = *self.buckets.entry(told.bucket.to_owned()).or_insert(known);
        let name = (bucket, told.key.to_owned());
        let next = self.sizes.next()?;
        let object = *self.numbers.entry(name.clone()).or_insert(next);
        // A log may tell a smaller size than the bytes that it says were sent; the object had at least those.
        self.sizes.tell(object, told.size.max(told.bytes))?;
        if object == next {
            self.names.push(name);
        }
        self.reads.push(TraceRead { time: told.time, object, bytes: told.bytes });
        Ok(())
    }

    /// The number of each object's group, by the groups that a server has after these reads.
    fn groups(&self) -> Vec<u32> {
        let usage = Usage::new(GROUPS_MEMORY_BYTES, Day::REAL, Seed([0; 16]));
        for read in &self.reads {
            let (Some((bucket, key)), Some(size)) =
                (self.names.get(read.object as usize), self.sizes.get(read.object))
            else {
                continue;
            };
            let whole = Read { bytes: read.bytes, offset: 0, size };
            usage.record(*bucket, key, whole, false, read.time);
        }
        let mut numbers = HashMap::new();
        let number = |(bucket, key): &(u64, String)| {
            let next = numbers.len() as u32;
            *numbers.entry((*bucket, usage.of(*bucket, key).prefix)).or_insert(next)
        };
        self.names.iter().map(number).collect()
    }
}

/// The read that a line tells of; `None` if it tells of another operation, or of one that failed.
fn read_line(line: &str) -> Result<Option<Told<'_>>, String> {
    let fields = fields(line)?;
    let [_, bucket, time, _, _, _, operation, key, _, status, _, sent, size] = fields;
    let (time, sent, size) =
        (moment(time)?, number("the bytes sent", sent)?, number("the object's size", size)?);
    let is_answered = matches!(status, "200" | "206");
    if !is_answered || !GETS.contains(&operation) && operation != COPY {
        return Ok(None);
    }
    let bytes = if operation == COPY { size } else { sent }.unwrap_or(0);
    Ok(Some(Told { bucket, key, time, bytes, size: size.unwrap_or(bytes) }))
}

/// The first fields of a line. Spaces separate them; a field that may hold spaces stands in brackets or quotes.
fn fields(line: &str) -> Result<[&str; NEEDED_FIELDS], String> {
    let mut found = [""; NEEDED_FIELDS];
    let mut rest = line;
    for (number, field) in found.iter_mut().enumerate() {
        let (begin, end) = match rest.as_bytes().first() {
            Some(b'"') => (1, "\" "),
            Some(b'[') => (1, "] "),
            Some(_) => (0, " "),
            None => {
                let fault =
                    format!("it has {number} fields where a server access log has {NEEDED_FIELDS} and more");
                return Err(fault);
            }
        };
        let within = rest.get(begin..).unwrap_or_default();
        (*field, rest) = within.split_once(end).unwrap_or((within.trim_end_matches(['"', ']']), ""));
    }
    Ok(found)
}

/// A log's time, in milliseconds of Unix time.
fn moment(text: &str) -> Result<u64, String> {
    let format = format_description!(
        "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    let parsed = OffsetDateTime::parse(text, &format).ok();
    let seconds = parsed.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    let seconds =
        seconds.ok_or_else(|| format!("its time is '{}', and none of a log", text.escape_debug()))?;
    Ok(seconds.saturating_mul(1_000))
}

/// A number of bytes; `None` where the log has a dash.
fn number(what: &str, text: &str) -> Result<Option<u64>, String> {
    match text.parse() {
        _ if text == "-" => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("{what} is '{}', and no number of bytes", text.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

    fn line(second: u32, operation: &str, key: &str, status: u16, sent: &str, size: &str) -> String {
        format!(
            "{OWNER} photos [06/Feb/2019:00:00:{second:02} +0000] 192.0.2.3 {OWNER} 3E57427F3EXAMPLE {operation} {key} \
             \"GET /photos/{key}?x=\"1\"&y HTTP/1.1\" {status} - {sent} {size} 7 6 \"-\" \"S3Console/0.4 [x]\" - hostid= SigV4 \
             ECDHE AuthHeader photos.s3.us-west-1.amazonaws.com TLSV1.2 - -\n"
        )
    }

    fn trace(files: &[String]) -> Result<Trace, TraceError> {
        let mut log = AccessLog::default();
        for file in files {
            log.add(file.as_bytes())?;
        }
        log.into_trace()
    }

    #[test]
    fn reads_are_taken_from_lines_in_whatever_order_they_lie() {
        let first = [
            line(40, "REST.GET.OBJECT", "a/1", 206, "10", "100"),
            line(38, "REST.GET.OBJECT", "a/1", 200, "100", "100"),
            line(41, "REST.HEAD.OBJECT", "a/1", 200, "-", "100"),
            line(42, "REST.PUT.OBJECT", "a/2", 200, "-", "7"),
            line(43, "REST.GET.OBJECT", "a/3", 404, "231", "-"),
            line(44, "REST.GET.BUCKET", "-", 200, "900", "-"),
        ];
        let second = [
            line(39, "REST.COPY.OBJECT_GET", "b%20c", 200, "-", "50"),
            line(45, "WEBSITE.GET.OBJECT", "a/2", 200, "-", "7"),
        ];
        let trace = trace(&[first.concat(), second.concat()]).unwrap();
        let base = 1_549_411_200_000;
        let read = |second: u64, object, bytes| TraceRead { time: base + second * 1_000, object, bytes };
        assert_eq!(trace.reads(), [read(38, 0, 100), read(39, 1, 50), read(40, 0, 10), read(45, 2, 0)]);
        assert_eq!([0, 1, 2].map(|object| trace.size(object)), [100, 50, 7]);
    }

    #[test]
    fn a_line_that_is_none_of_a_log_is_refused_with_its_number() {
        let good = line(1, "REST.GET.OBJECT", "a", 200, "1", "1");
        let refused = |bad: &str| trace(&[good.clone() + bad + "\n"]).unwrap_err().to_string();
        assert_eq!(
            refused("1,a,10,10"),
            "line 2 of the trace: it has 1 fields where a server access log has 13 and more"
        );
        let at = |from: &str, to: &str| refused(&good.trim_end().replacen(from, to, 1));
        assert!(at("06/Feb", "06/Nov2").contains("its time is '06/Nov2/2019:00:00:01 +0000'"));
        assert!(at("200 - 1 1", "200 - 1 x").contains("the object's size is 'x', and no number of bytes"));
        assert!(at("200 - 1 1", "200 - -1 1").contains("the bytes sent is '-1'"));
        assert!(
            at("200 - 1 1", "200 - 1 1125899906842625")
                .contains("line 2 of the trace: an object of 1125899906842625")
        );
        assert_eq!(trace(&[String::new()]).unwrap_err().to_string(), "the trace holds no reads");
    }

    #[test]
    fn groups_are_those_of_the_names() {
        // Each folder has enough objects to be a group.
        const OBJECTS: u32 = 600;
        let mut log = String::new();
        for number in 0..OBJECTS {
            let folder = if number % 2 == 0 { "logs" } else { "site" };
            log += &line(number % 60, "REST.GET.OBJECT", &format!("{folder}/{number}"), 200, "1", "1");
        }
        let trace = trace(&[log]).unwrap();
        let group = |object: u32| trace.group(object);
        assert!((2..OBJECTS).all(|object| group(object) == group(object % 2)) && group(0) != group(1));
    }
}
