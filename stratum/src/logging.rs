//! The log: lines of `tracing`, as text for people or as JSON for programs, on standard error.
//!
//! A thread of its own writes the lines in batches, so that no request waits for that. If requests wrote their lines
//! themselves, a reader of standard error that stalls, such as a container's log on a full disk, would stop the server.
//! While the reader stalls, lines that find no room in the queue are dropped and counted.

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

/// The most lines that may wait to be written: with some 200 bytes each they take 3 MB.
const MAX_WAITING_LINES: usize = 16 << 10;
/// The most bytes written at once.
const BATCH_BYTES: usize = 64 << 10;
/// How long the writing thread rests after a batch, while lines gather for the next one. Waking the thread for each
/// line would make a small request take a tenth more time.
const GATHERING_INTERVAL: Duration = Duration::from_millis(10);

/// The log of this process. When it is dropped, the lines that wait are written, unless that takes longer than a
/// second.
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

/// A writer that rests after each flush.
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

/// Starts the log; `collected` sends its lines to an OTLP collector as well. Where the filter cannot be parsed, the log
/// says so and uses `info`.
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

/// Writes a panic as a line of the log, so that it reaches whatever collects the log.
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
