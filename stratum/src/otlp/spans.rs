//! Turns what the API records of a request into OpenTelemetry's spans, with the attribute names that OpenTelemetry has
//! for HTTP and S3.

use super::export::Signal;
use super::queue::{Part, Queue};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self as sdk, SpanData};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stratum_api::traces::{self, TraceSink, Traced};

impl TraceSink for Queue<Traced> {
    fn tell(&self, traced: Traced) {
        self.put(if traced.is_signed { Part::Whole } else { Part::Half }, || traced);
    }
}

impl Signal for SpanExporter {
    type Item = Traced;
    const NAME: &'static str = "traces";
    const TASK: &'static str = "otlp traces";

    fn describe(&mut self, resource: &Resource) {
        sdk::SpanExporter::set_resource(self, resource);
    }

    async fn send(&self, batch: Vec<Traced>) -> OTelSdkResult {
        let scope = InstrumentationScope::builder("stratum").build();
        let spans = batch.iter().flat_map(|traced| spans(traced, &scope)).collect();
        sdk::SpanExporter::export(self, spans).await
    }
}

/// The span of a request, and one for each of its stages.
fn spans(traced: &Traced, scope: &InstrumentationScope) -> Vec<SpanData> {
    let began = UNIX_EPOCH + Duration::from_millis(traced.began);
    let named = traced.named;
    let span =
        |id: traces::SpanId, parent: SpanId, name, start_time: SystemTime, end_time: SystemTime| SpanData {
            span_context: SpanContext::new(
                TraceId::from(named.trace.0),
                SpanId::from(id.0),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(name),
            start_time,
            end_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: scope.clone(),
        };
    let parent = named.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.0));
    let whole = SpanData {
        parent_span_is_remote: named.parent.is_some(),
        span_kind: SpanKind::Server,
        attributes: attributes(traced),
        // OpenTelemetry demands that a client's mistake (4xx) leaves the status of a server's span unset.
        status: match traced.status.is_server_error() {
            true => Status::error(traced.error.unwrap_or_default()),
            false => Status::Unset,
        },
        ..span(named.span, parent, traced.operation, began, began + traced.took)
    };
    let within = SpanId::from(named.span.0);
    let stages = traced
        .stages
        .iter()
        .map(|stage| span(stage.span, within, stage.name, began + stage.began, began + stage.ended));
    std::iter::once(whole).chain(stages).collect()
}

fn attributes(traced: &Traced) -> Vec<KeyValue> {
    let status = i64::from(traced.status.as_u16());
    let mut all = vec![
        KeyValue::new("http.request.method", traced.method.as_str().to_owned()),
        KeyValue::new("http.response.status_code", status),
        KeyValue::new("rpc.method", traced.operation),
        KeyValue::new("aws.request_id", traced.request.as_str().to_owned()),
    ];
    all.extend(traced.bucket.clone().map(|bucket| KeyValue::new("aws.s3.bucket", bucket)));
    all.extend(traced.error.map(|code| KeyValue::new("error.type", code)));
    all
}
