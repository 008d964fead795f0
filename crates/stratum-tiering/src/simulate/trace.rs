//! A trace: which object was read when, and how many bytes of it.
//!
//! Its file is CSV, gzipped or not, with the columns `time_s,object,size_bytes,read_bytes`: Unix time in seconds, any
//! name, the object's size and the bytes that the read took. Rows are in the order of time; rows of one time keep
//! their order. A row that makes no sense is refused, for people would believe a figure made of half a trace.

use crate::day::Day;
use flate2::bufread::MultiGzDecoder;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use thiserror::Error;

/// The columns of a trace.
pub const COLUMNS: [&str; 4] = ["time_s", "object", "size_bytes", "read_bytes"];

/// Objects whose first reads lie so close together are taken for one group, as long as there is room in it.
const GROUP_PAUSE_HOURS: f64 = 6.0;
const GROUP_OBJECTS: usize = 1_024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What some spreadsheets write before the first line.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A read: when (milliseconds of Unix time), of which object (a number from 0 up), and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRead {
    pub time: u64,
    pub object: u32,
    pub bytes: u64,
}

/// Reads in the order of time, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    reads: Vec<TraceRead>,
    sizes: Vec<u64>,
    groups: Vec<u32>,
}

/// The sizes of objects by their numbers, each the largest that was told of the object.
///
/// What is too large for a store is refused where it is told, since a line of a file can be named there: everything
/// behind counts on it that sums of sizes are numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    of: Vec<u64>,
    sum: u64,
}

impl Sizes {
    /// No store holds an object of more bytes, nor all objects together.
    const MOST_BYTES_OF_OBJECT: u64 = 1 << 50;
    const MOST_BYTES_OF_ALL: u64 = 1 << 60;

    /// The number of the next object.
    pub fn next(&self) -> Result<u32, String> {
        u32::try_from(self.of.len()).map_err(|_| "there are too many objects".to_owned())
    }

    /// Takes what is told of the size of an object, which was told of before or is the next.
    pub fn tell(&mut self, object: u32, size: u64) -> Result<(), String> {
        if size > Self::MOST_BYTES_OF_OBJECT {
            return Err(format!("an object of {size} bytes is larger than any store can hold"));
        }
        let known = self.of.get(object as usize).copied();
        let sum = self.sum.saturating_add(size.saturating_sub(known.unwrap_or(0)));
        if sum > Self::MOST_BYTES_OF_ALL {
            let most = Self::MOST_BYTES_OF_ALL;
            return Err(format!(
                "with its {size} bytes the objects have {sum} together, and no store holds more than {most}"
            ));
        }
        match self.of.get_mut(object as usize) {
            Some(known) => *known = size.max(*known),
            None => self.of.push(size),
        }
        self.sum = sum;
        Ok(())
    }

    pub fn get(&self, object: u32) -> Option<u64> {
        self.of.get(object as usize).copied()
    }

    pub fn into_vec(self) -> Vec<u64> {
        self.of
    }
}

#[derive(Debug, Error)]
pub enum TraceError {
    #[error("the trace can't be read after line {line}: {error}")]
    Unreadable {
        line: u64,
        #[source]
        error: io::Error,
    },
    #[error("the trace's first line is to be '{}'", COLUMNS.join(","))]
    Columns,
    #[error("line {line} of the trace: {fault}")]
    Line { line: u64, fault: String },
    #[error("the trace holds no reads")]
    Empty,
}

impl Trace {
    /// Reads CSV, gzipped where it begins as gzip does.
    pub fn read(input: impl BufRead) -> Result<Trace, TraceError> {
        let mut lines = Lines::of(unpacked(input)?);
        let is_head = |head: &str| head.split(',').map(str::trim).eq(COLUMNS);
        if !lines.next()?.is_some_and(is_head) {
            return Err(TraceError::Columns);
        }
        let mut collected = Collected::default();
        while let Some(text) = lines.next()? {
            let taken = if text.trim().is_empty() { Ok(()) } else { collected.take(&fields(text)) };
            taken.map_err(|fault| TraceError::Line { line: lines.number(), fault })?;
        }
        Self::new(collected.reads, collected.sizes.into_vec()).ok_or(TraceError::Empty)
    }

    /// A trace of reads in the order of time, of objects with the given sizes; `None` if there is no read.
    pub(super) fn new(reads: Vec<TraceRead>, sizes: Vec<u64>) -> Option<Trace> {
        let groups = groups(&reads, sizes.len());
        (!reads.is_empty()).then_some(Trace { reads, sizes, groups })
    }

    /// The same, with the number of each object's group; group numbers are less than the number of objects.
    pub(super) fn in_groups(reads: Vec<TraceRead>, sizes: Vec<u64>, groups: Vec<u32>) -> Option<Trace> {
        (!reads.is_empty()).then_some(Trace { reads, sizes, groups })
    }

    pub fn reads(&self) -> &[TraceRead] {
        &self.reads
    }

    pub fn objects(&self) -> usize {
        self.sizes.len()
    }

    /// The sum of the sizes of all objects. Of traces that were put together it may be more than the type holds.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
    }

    pub fn size(&self, object: u32) -> u64 {
        self.sizes.get(object as usize).copied().unwrap_or(0)
    }

    /// The number of the object's group.
    ///
    /// A trace in CSV has no keys by which to group objects, so objects that are first read one after the other make
    /// a group.
    pub fn group(&self, object: u32) -> u32 {
        self.groups.get(object as usize).copied().unwrap_or(0)
    }

    pub fn start(&self) -> u64 {
        self.reads.first().map_or(0, |read| read.time)
    }

    pub fn end(&self) -> u64 {
        self.reads.last().map_or(0, |read| read.time)
    }

    pub fn days(&self) -> f64 {
        Day::REAL.between(self.start(), self.end())
    }

    /// Several traces of the same time as one, as if their objects lay in one folder. The groups are made anew over
    /// all objects, or, if `apart`, each trace keeps its own, as if the classifier told their objects apart.
    pub fn together(traces: &[Trace], apart: bool) -> Option<Trace> {
        let (mut reads, mut sizes, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for trace in traces {
            let first = sizes.len() as u32;
            let renumbered =
                trace.reads.iter().map(|read| TraceRead { object: first + read.object, ..*read });
            reads.extend(renumbered);
            groups.extend(trace.groups.iter().map(|group| first.saturating_add(*group)));
            sizes.extend(&trace.sizes);
        }
        reads.sort_by_key(|read| read.time);
        let together = Self::new(reads, sizes)?;
        Some(if apart { Trace { groups, ..together } } else { together })
    }

    /// The part of the trace between two days, counted from its start, as a trace; `None` if nothing was read then.
    pub fn between(&self, from_days: f64, to_days: f64) -> Option<Trace> {
        let at = |days| self.start().saturating_add(Day::REAL.days(days));
        let from = self.reads.partition_point(|read| read.time < at(from_days));
        let to = self.reads.partition_point(|read| read.time < at(to_days));
        let mut numbers = HashMap::new();
        let mut sizes = Vec::new();
        let renumbered = self.reads.get(from..to)?.iter().map(|read| {
            let number = *numbers.entry(read.object).or_insert_with(|| {
                sizes.push(self.size(read.object));
                sizes.len() as u32 - 1
            });
            TraceRead { object: number, ..*read }
        });
        let reads = renumbered.collect();
        Self::new(reads, sizes)
    }

    /// The trace as CSV.
    pub fn csv(&self) -> String {
        let mut csv = COLUMNS.join(",") + "\n";
        for read in &self.reads {
            let (seconds, size) = (read.time as f64 / 1_000.0, self.size(read.object));
            csv.push_str(&format!("{seconds},{},{size},{}\n", read.object, read.bytes));
        }
        csv
    }
}

/// The rows read so far.
#[derive(Default)]
struct Collected {
    numbers: HashMap<String, u32>,
    reads: Vec<TraceRead>,
    sizes: Sizes,
}

impl Collected {
    fn take(&mut self, row: &csv::StringRecord) -> Result<(), String> {
        if row.len() != COLUMNS.len() {
            return Err(format!("it has {} fields where there are to be {}", row.len(), COLUMNS.len()));
        }
        let field = |index: usize| row.get(index).unwrap_or_default();
        let time = milliseconds(field(0))?;
        let (size, bytes) = (whole(COLUMNS[2], field(2))?, whole(COLUMNS[3], field(3))?);
        if field(1).is_empty() {
            return Err("object is empty".to_owned());
        }
        if bytes > size {
            return Err(format!("a read of {bytes} bytes is more than the object's {size}"));
        }
        if self.reads.last().is_some_and(|last| time < last.time) {
            return Err("its time is before that of the line above: sort the trace by time".to_owned());
        }
        let next = self.sizes.next()?;
        let object = *self.numbers.entry(field(1).to_owned()).or_insert(next);
        self.sizes.tell(object, size)?;
        self.reads.push(TraceRead { time, object, bytes });
        Ok(())
    }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    /// Unix time in seconds, at the end of the year 9999.
    const LAST_SECOND: f64 = 253_402_300_799.0;
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=LAST_SECOND).contains(&seconds) => Ok((seconds * 1_000.0).round() as u64),
        _ => Err(format!("time_s is '{}', and no Unix time in seconds", text.escape_debug())),
    }
}

fn whole(column: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{column} is '{}', and no whole number from 0 up", text.escape_debug()))
}

/// A file's bytes, unpacked where it begins as gzip does.
pub(super) fn unpacked<'a>(mut input: impl BufRead + 'a) -> Result<Box<dyn BufRead + 'a>, TraceError> {
    let start = input.fill_buf().map_err(|error| TraceError::Unreadable { line: 0, error })?;
    Ok(match start.starts_with(&GZIP) {
        true => Box::new(BufReader::new(MultiGzDecoder::new(input))),
        false => Box::new(input),
    })
}

/// The lines of a file, numbered from 1 as an editor numbers them.
pub(super) struct Lines<R> {
    input: R,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub fn of(input: R) -> Lines<R> {
        Lines { input, line: 0, text: Vec::new() }
    }

    /// The number of the last line read.
    pub fn number(&self) -> u64 {
        self.line
    }

    pub fn next(&mut self) -> Result<Option<&str>, TraceError> {
        /// A longer line doesn't belong to a trace: an object's name has 1,024 bytes at most.
        const LONGEST_LINE_BYTES: u64 = 64 << 10;
        self.text.clear();
        let read = self.input.by_ref().take(LONGEST_LINE_BYTES).read_until(b'\n', &mut self.text);
        let read = read.map_err(|error| TraceError::Unreadable { line: self.line, error })?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let refused = |fault: String| TraceError::Line { line: self.line, fault };
        if read as u64 == LONGEST_LINE_BYTES {
            return Err(refused("it is longer than any line of a trace".to_owned()));
        }
        let text = std::str::from_utf8(&self.text);
        let text = text.map_err(|error| refused(format!("it is no UTF-8: {error}")))?;
        Ok(Some(text.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.line == 1).unwrap_or(text)))
    }
}

fn fields(text: &str) -> csv::StringRecord {
    if !text.contains('"') {
        return text.trim_end().split(',').map(str::trim).collect();
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    // Text that isn't CSV has no fields, which the caller refuses.
    reader.records().next().and_then(Result::ok).unwrap_or_default()
}

fn groups(reads: &[TraceRead], objects: usize) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut groups = vec![NONE; objects];
    let (mut group, mut members, mut last) = (0, 0, None);
    for read in reads {
        let Some(place) = groups.get_mut(read.object as usize).filter(|place| **place == NONE) else {
            continue;
        };
        let pause = last.map_or(0, |last| read.time - last);
        if members >= GROUP_OBJECTS || pause > Day::REAL.hours(GROUP_PAUSE_HOURS) {
            (group, members) = (group + 1, 0);
        }
        *place = group;
        members += 1;
        last = Some(read.time);
    }
    groups
}
