//! Traces and lines of the log of a real server, as a collector gets them; and a collector that is gone.

use crate::client::client;
use crate::hook::{Hook, Told};
use crate::metrics::scrape;
use crate::server::{SECRET_KEY, Server};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const KEY: &str = "private/name-of-a-person.txt";

fn started(endpoint: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), format!("[otlp]\nendpoint = {endpoint:?}\n")).unwrap();
    Server::start_on(folder, &["data"])
}

fn spans(told: &[Told]) -> Vec<Span> {
    let traces = told.iter().filter(|(head, _)| head.starts_with("POST /v1/traces HTTP/1.1\r\n"));
    let batches = traces.map(|(_, body)| ExportTraceServiceRequest::decode(&body[..]).unwrap());
    let resources = batches.flat_map(|batch| batch.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn lines(told: &[Told]) -> Vec<LogRecord> {
    let logs = told.iter().filter(|(head, _)| head.starts_with("POST /v1/logs HTTP/1.1\r\n"));
    let batches = logs.map(|(_, body)| ExportLogsServiceRequest::decode(&body[..]).unwrap());
    let resources = batches.flat_map(|batch| batch.resource_logs);
    resources.flat_map(|resource| resource.scope_logs).flat_map(|scope| scope.log_records).collect()
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// The span and the line of the log of the request with this id.
fn of<'a>(spans: &'a [Span], lines: &'a [LogRecord], id: &str) -> (&'a Span, &'a LogRecord) {
    let is_its = |attributes: &[KeyValue], name| attribute(attributes, name).as_deref() == Some(id);
    let span = spans.iter().find(|span| is_its(&span.attributes, "aws.request_id"));
    let line = lines.iter().find(|line| is_its(&line.attributes, "id"));
    (span.unwrap_or_else(|| panic!("no span of {id}: {spans:#?}")), line.unwrap())
}

/// Sends an unsigned request; gives the request id in its error document.
fn a_strangers_request(server: &Server) -> String {
    let address = server.endpoint();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let head = format!(
        "GET /bucket/{KEY} HTTP/1.1\r\nhost: a\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, rest) = answer.split_once("<RequestId>").unwrap();
    rest.split_once("</RequestId>").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn span_line_and_answer_have_one_request_id_and_spans_hold_no_keys() {
    let hook = Hook::start();
    let mut server = started(&hook.base());
    let s3 = client(&server);
    s3.create_bucket().bucket("bucket").send().await.unwrap();
    let put = s3.put_object().bucket("bucket").key(KEY).body(ByteStream::from(vec![7; 100_000])).customize();
    let put = put.mutate_request(|request| {
        request.headers_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    });
    let put = put.send().await.unwrap().request_id().unwrap().to_owned();
    let get = s3.get_object().bucket("bucket").key("none").send().await.unwrap_err();
    let get = get.request_id().unwrap().to_owned();
    let strange = a_strangers_request(&server);
    // When the server stops, it sends the spans and lines that still wait.
    assert_eq!(server.stop(), Some(0));
    let told = hook.wait(|told| spans(told).len() >= 6);
    let (spans, lines) = (spans(&told), lines(&told));

    let (span, line) = of(&spans, &lines, &put);
    assert_eq!((span.name.as_str(), hex::encode(&span.trace_id).as_str()), ("PutObject", TRACE));
    assert_eq!(hex::encode(&span.parent_span_id), PARENT);
    assert_eq!((&line.trace_id, &line.span_id), (&span.trace_id, &span.span_id));
    let said = |name| attribute(&span.attributes, name).unwrap();
    assert_eq!(
        (said("aws.s3.bucket"), said("http.response.status_code"), said("http.request.method")),
        ("bucket".into(), "200".into(), "PUT".into())
    );
    let stages: Vec<&Span> = spans.iter().filter(|stage| stage.parent_span_id == span.span_id).collect();
    assert_eq!(stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), ["receive", "commit"]);
    for stage in stages {
        assert!(span.start_time_unix_nano <= stage.start_time_unix_nano);
        assert!(stage.start_time_unix_nano < stage.end_time_unix_nano);
        assert!(stage.end_time_unix_nano <= span.end_time_unix_nano);
    }

    let (span, _) = of(&spans, &lines, &get);
    assert_eq!(attribute(&span.attributes, "error.type").as_deref(), Some("NoSuchKey"));
    assert!(span.parent_span_id.is_empty() && span.trace_id.len() == 16);
    let (span, _) = of(&spans, &lines, &strange);
    assert_ne!(hex::encode(&span.trace_id), TRACE, "an unsigned request has joined a trace");

    let has = |text: &str| {
        told.iter().filter(|(head, _)| head.contains("traces")).any(|(_, body)| contains(body, text))
    };
    assert!(!has(KEY), "a span holds an object's key");
    assert!(!told.iter().any(|(_, body)| contains(body, SECRET_KEY)));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_lines_for_a_collector_that_is_gone_are_dropped_and_counted() {
    // Nothing listens on the discard port.
    let mut server = started("http://127.0.0.1:9");
    let s3 = client(&server);
    s3.create_bucket().bucket("bucket").send().await.unwrap();
    let mut page = String::new();
    for _ in 0..100 {
        s3.head_bucket().bucket("bucket").send().await.unwrap();
        page = scrape(&server);
        if ["traces", "logs"].iter().all(|signal| dropped(&page, signal) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(dropped(&page, "traces") > 0 && dropped(&page, "logs") > 0, "{page}");
    assert_eq!(server.stop(), Some(0));
}

/// How many items of a signal were dropped because the collector didn't take them.
fn dropped(page: &str, signal: &str) -> u64 {
    let lines = page.lines().filter(|line| line.starts_with("stratum_otlp_dropped_total{"));
    let its = lines.filter(|line| line.contains(signal) && line.contains("\"collector\""));
    its.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}
