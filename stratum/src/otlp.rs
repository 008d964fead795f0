//! What goes to a collector by OTLP, over HTTP: spans of requests, and the lines of the log.
//!
//! Off unless `[otlp]` names a collector. What is told goes to a bounded queue for each of the two, and a task sends it in
//! batches: no request waits for that, and of a collector that is gone nothing is felt but that what found no room, or could
//! not be delivered, is dropped and counted. Messages and their encoding are `opentelemetry-otlp`'s; queues, tasks and the way over
//! HTTP are those that everything else here has.

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

/// Spans of requests, and lines, that may wait: some 2 MB each.
const MAX_WAITING: usize = 4096;

/// What is told to a collector; nothing, where none is named.
#[derive(Default)]
pub struct Otlp {
    pub traces: Traces,
    pub lines: Option<LineLayer>,
    pub tasks: Vec<Arc<dyn Task>>,
}

impl Otlp {
    /// # Errors
    /// What the environment says of OTLP and can't be done, such as compression.
    pub fn of(section: &OtlpSection) -> Result<Otlp, Failure> {
        let Some(endpoint) = &section.endpoint else { return Ok(Otlp::default()) };
        let collector = Collector::new(endpoint);
        let mut otlp = Otlp::default();
        if !section.traces.is_none() {
            let queue = Arc::new(Queue::<Traced>::new(MAX_WAITING, SpanExporter::NAME));
            let exporter = SpanExporter::builder().with_http();
            let exporter =
                towards(exporter, &collector, endpoint.below("v1/traces")).build().map_err(told)?;
            otlp.traces = Traces::new(queue.clone(), section.traces, Arc::new(System), Arc::new(System));
            otlp.tasks.push(Arc::new(ExportTask::new(queue, described(exporter))));
        }
        if section.logs {
            let queue = Arc::new(Queue::<Line>::new(MAX_WAITING, LogExporter::NAME));
            let exporter = LogExporter::builder().with_http();
            let exporter = towards(exporter, &collector, endpoint.below("v1/logs")).build().map_err(told)?;
            otlp.lines = Some(LineLayer::new(queue.clone()));
            otlp.tasks.push(Arc::new(ExportTask::new(queue, described(exporter))));
        }
        Ok(otlp)
    }
}

/// What is the same for both. A batch is tried once: whoever tries again keeps what is newer waiting.
fn towards<B: WithExportConfig + WithHttpConfig>(builder: B, collector: &Collector, url: String) -> B {
    builder
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(collector::TIMEOUT)
        .with_retry_policy(RetryPolicy::default().with_max_retries(0))
        .with_http_client(collector.clone())
}

/// Tells the exporter who we are.
fn described<S: Signal>(mut signal: S) -> S {
    let resource = Resource::builder_empty()
        .with_service_name("stratum")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        // `OTEL_RESOURCE_ATTRIBUTES`, by which whoever deploys says where.
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build();
    signal.describe(&resource);
    signal
}

fn told(error: ExporterBuildError) -> Failure {
    format!("otlp: {error}").into()
}
