//! Logs by `tracing`, as text for people or JSON for machines, to standard error.
//!
//! A thread of its own writes the lines, as many at once as have gathered: no request pays for that, or waits for whoever
//! reads them. A reader that stalls, such as a container's log on a full disk, would else stop the server. Lines that find no room
//! then are dropped, and counted.

mod fields;

use crate::config::{Log, LogFormat};
use crate::otlp::LineLayer;
use fields::PlainFields;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::Duration;
use stratum_storage::panics;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// Lines that may wait to be written: with some 200 bytes each, 3 MB.
const MAX_WAITING_LINES: usize = 16 << 10;
/// What is written at once, in bytes.
const BATCH_BYTES: usize = 64 << 10;
/// How long lines gather before the next are written. Waking the thread for each costs a small request a tenth of its time.
const GATHERING_INTERVAL: Duration = Duration::from_millis(10);

/// The log of this process. Dropped, it writes what waits, if that takes no more than a second.
pub struct Logging {
    _thread: WorkerGuard,
    pub dropped: DroppedLines,
}

/// How many lines were dropped since the start.
#[derive(Clone)]
pub struct DroppedLines(ErrorCounter);

impl DroppedLines {
    pub fn count(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

/// Writes, and rests after each flush.
struct Resting<W>(W);

impl<W: Write> Write for Resting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(GATHERING_INTERVAL);
        Ok(())
    }
}

/// Starts logging, to a collector as well if there is one. A filter that cannot be parsed is told, and `info` used.
pub fn start(log: &Log, collected: Option<LineLayer>) -> Logging {
    let asked = log.filter.as_deref().unwrap_or("info");
    let (filter, wrong) = match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let stderr = Resting(BufWriter::with_capacity(BATCH_BYTES, io::stderr()));
    let lines =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_WAITING_LINES).thread_name("log");
    let (lines, thread) = lines.finish(stderr);
    let dropped = DroppedLines(lines.error_counter());
    let written = fmt::layer().with_writer(lines);
    let written = match log.format {
        LogFormat::Text if io::stderr().is_terminal() => written.boxed(),
        LogFormat::Text => written.with_ansi(false).fmt_fields(PlainFields).boxed(),
        LogFormat::Json => written.json().flatten_event(true).boxed(),
    };
    registry().with(written).with(collected).with(filter).init();
    panic::set_hook(Box::new(tell));
    if let Some(error) = wrong {
        tracing::warn!(filter = asked, %error, "log.filter cannot be parsed; using info");
    }
    Logging { _thread: thread, dropped }
}

/// A panic is a line like any other, in the form of the others: whoever gathers the log is to find it.
fn tell(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let over = panics::words(panic.payload());
    tracing::error!(
        thread = thread::current().name(),
        at,
        over,
        "the server panicked: please report it, with the log"
    );
}
