//! Sends traces of requests and lines of the log to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! This is off unless `[otlp]` names a collector. Each of the two signals has a bounded queue and a task that sends
//! what is in it in batches. No request waits for that. When the collector doesn't answer, spans and lines that find no
//! room in the queue or can't be delivered are dropped and counted, and nothing else happens. The messages and their
//! encoding are those of the crate `opentelemetry-otlp`; queues, tasks and the HTTP client are this program's own.

mod collector;
mod export;
mod lines;
mod queue;
mod spans;

use crate::config::OtlpSection;
use crate::failure::Failure;
use collector::Collector;
use export::{ExportTask, Signal};
use lines::Line;
pub use lines::LineLayer;
use opentelemetry_otlp::{ExporterBuildError, Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use queue::Queue;
use std::sync::Arc;
use stratum_api::traces::{Traced, Traces};
use stratum_storage::ambient::System;
use stratum_storage::task::Task;

/// The most requests that may wait in the one queue, and the most lines in the other: each queue takes up to some 2 MB.
const MAX_WAITING_ITEMS: usize = 4096;

/// The parts that send to a collector. All of them are empty if no collector is named.
#[derive(Default)]
pub struct Otlp {
    pub traces: Traces,
    pub lines: Option<LineLayer>,
    pub tasks: Vec<Arc<dyn Task>>,
}

impl Otlp {
    /// Builds the parts that `[otlp]` asks for.
    ///
    /// # Errors
    /// A variable of the environment asks the exporter for something that it can't do, such as compression.
    pub fn of(section: &OtlpSection) -> Result<Otlp, Failure> {
        let Some(endpoint) = &section.endpoint else { return Ok(Otlp::default()) };
        let collector = Collector::new(endpoint);
        let mut otlp = Otlp::default();
        if !section.traces.is_none() {
            let queue = Arc::new(Queue::<Traced>::new(MAX_WAITING_ITEMS, SpanExporter::NAME));
            let exporter = SpanExporter::builder().with_http();
            let exporter =
                towards(exporter, &collector, endpoint.below("v1/traces")).build().map_err(told)?;
            otlp.traces = Traces::new(queue.clone(), section.traces, Arc::new(System), Arc::new(System));
            otlp.tasks.push(Arc::new(ExportTask::new(queue, described(exporter))));
        }
        if section.logs {
            let queue = Arc::new(Queue::<Line>::new(MAX_WAITING_ITEMS, LogExporter::NAME));
            let exporter = LogExporter::builder().with_http();
            let exporter = towards(exporter, &collector, endpoint.below("v1/logs")).build().map_err(told)?;
            otlp.lines = Some(LineLayer::new(queue.clone()));
            otlp.tasks.push(Arc::new(ExportTask::new(queue, described(exporter))));
        }
        Ok(otlp)
    }
}

/// The settings that both exporters have. A batch is sent once and not retried, since newer batches would wait
/// meanwhile.
fn towards<B: WithExportConfig + WithHttpConfig>(builder: B, collector: &Collector, url: String) -> B {
    builder
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(collector::TIMEOUT)
        .with_retry_policy(RetryPolicy::default().with_max_retries(0))
        .with_http_client(collector.clone())
}

/// Gives the exporter the attributes that describe this server.
fn described<S: Signal>(mut signal: S) -> S {
    let resource = Resource::builder_empty()
        .with_service_name("stratum")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        // Reads the variable `OTEL_RESOURCE_ATTRIBUTES`, with which an operator names the deployment.
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build();
    signal.describe(&resource);
    signal
}

fn told(error: ExporterBuildError) -> Failure {
    format!("otlp: {error}").into()
}
