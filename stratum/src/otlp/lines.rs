//! Sends the lines of the log that pass the filter of `[log]`. A line about a request carries the ids of the request's
//! trace and span.

use super::export::Signal;
use super::queue::{Part, Queue};
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::{InstrumentationScope, SpanId, TraceFlags, TraceId};
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{self as sdk, LogBatch, SdkLogRecord, SdkLoggerProvider};
use std::fmt::{Debug, Display, Formatter, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How many bytes of one value are kept.
const VALUE_BYTES: usize = 1024;
/// How many values of one line are kept.
const MAX_VALUES: usize = 32;

/// A line that waits to be sent.
#[derive(Debug)]
pub struct Line {
    at: UnixMillis,
    level: Level,
    target: &'static str,
    said: Said,
}

/// The message and the values of a line.
#[derive(Debug, Default)]
struct Said {
    message: String,
    values: Vec<(&'static str, AnyValue)>,
    trace: Option<TraceId>,
    span: Option<SpanId>,
}

/// The layer of `tracing` that puts the lines of the log into the queue.
pub struct LineLayer(Arc<Queue<Line>>);

impl LineLayer {
    pub fn new(queue: Arc<Queue<Line>>) -> LineLayer {
        LineLayer(queue)
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.put(Part::Whole, || {
            let mut said = Said::default();
            event.record(&mut said);
            let metadata = event.metadata();
            Line { at: System.now(), level: *metadata.level(), target: metadata.target(), said }
        });
    }
}

impl Said {
    fn keep(&mut self, field: &Field, value: AnyValue) {
        if self.values.len() < MAX_VALUES {
            self.values.push((field.name(), value));
        }
    }

    fn keep_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            "trace" => self.trace = TraceId::from_hex(&text).ok(),
            "span" => self.span = SpanId::from_hex(&text).ok(),
            _ => self.keep(field, text.into()),
        }
    }
}

impl Visit for Said {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // OTLP's integers are signed: a number that doesn't fit is sent as text.
        match i64::try_from(value) {
            Ok(value) => self.keep(field, value.into()),
            Err(_) => self.keep(field, value.to_string().into()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep_text(field, front(value).to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = Bounded(String::new());
        // `Bounded` fails when the text is long enough, which ends the formatting.
        let _ = write!(text, "{}", Told(value));
        self.keep_text(field, text.0);
    }
}

/// A value that `tracing` hands over as `Debug`, which it also does with a value that is logged with `%`.
struct Told<'a>(&'a dyn Debug);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A writer that keeps the first [`VALUE_BYTES`] bytes and then fails.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.push_str(text);
        if self.0.len() <= VALUE_BYTES {
            return Ok(());
        }
        self.0.truncate(front(&self.0).len());
        Err(std::fmt::Error)
    }
}

fn front(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES)]
}

impl Signal for LogExporter {
    type Item = Line;
    const NAME: &'static str = "logs";
    const TASK: &'static str = "otlp logs";

    fn describe(&mut self, resource: &Resource) {
        sdk::LogExporter::set_resource(self, resource);
    }

    async fn send(&self, batch: Vec<Line>) -> OTelSdkResult {
        // Only a logger can make records. This logger has no exporter of its own; it only makes them.
        let logger = SdkLoggerProvider::builder().build().logger("stratum");
        let scope = InstrumentationScope::builder("stratum").build();
        let records: Vec<SdkLogRecord> =
            batch.into_iter().map(|line| line.into_record(logger.create_log_record())).collect();
        let records: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
        sdk::LogExporter::export(self, LogBatch::new(&records)).await
    }
}

impl Line {
    fn into_record(self, mut record: SdkLogRecord) -> SdkLogRecord {
        let at = UNIX_EPOCH + Duration::from_millis(self.at);
        record.set_timestamp(at);
        record.set_observed_timestamp(at);
        record.set_severity_text(self.level.as_str());
        record.set_severity_number(severity(self.level));
        record.set_target(self.target);
        record.set_body(self.said.message.into());
        record.add_attributes(self.said.values);
        if let (Some(trace), Some(span)) = (self.said.trace, self.said.span) {
            record.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
        }
        record
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}
