//! The classes of objects: they are found after the objects were written, explained together with the declared content
//! type, and survive a restart.

use crate::client::client;
use crate::listening::ANY_PORT;
use crate::metrics::scrape;
use crate::rescue::BUCKET;
use crate::server::{Server, command};
use crate::tiers::{explain, run, said};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::Instant;

/// Within this time, a class that was found is saved to disk.
const SAVED_WITHIN: Duration = Duration::from_secs(7);

fn log(lines: usize) -> Vec<u8> {
    let line = |number| {
        format!("Nov 29 01:02:{:02} host sshd[7]: Accepted publickey for ann port {number}\n", number % 60)
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

const HTML: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Home</title></head>\n<body><p>Hello</p></body>\n</html>\n";

/// A PNG of one pixel.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xda\
    c\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

async fn put(client: &Client, key: &str, body: &[u8], content_type: &str) {
    let put = client.put_object().bucket(BUCKET).key(key).content_type(content_type);
    put.body(ByteStream::from(body.to_vec())).send().await.unwrap();
}

async fn put_in_parts(client: &Client, key: &str, parts: &[Vec<u8>]) {
    let created = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let upload = created.upload_id().unwrap();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(parts) {
        let put = client.upload_part().bucket(BUCKET).key(key).upload_id(upload).part_number(number);
        let put = put.body(ByteStream::from(part.clone())).send().await.unwrap();
        completed =
            completed.parts(CompletedPart::builder().part_number(number).e_tag(put.e_tag().unwrap()).build());
    }
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
    complete.multipart_upload(completed.build()).send().await.unwrap();
}

/// The explanation of an object, once the classifier has looked at it.
async fn looked_at(server: &Server, key: &str) -> Value {
    let began = Instant::now();
    loop {
        let why = explain(server, key);
        if !why["class_confidence"].is_null() {
            return why;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{key}: {why}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(feature = "onnx")]
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_classified_explained_and_keep_their_class_over_a_restart() {
    let mut server = Server::start();
    let s3 = client(&server);
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&s3, "small.html", HTML.as_bytes(), "text/plain").await;
    put(&s3, "image", PNG, "image/png").await;
    // A body over 32 KiB is streamed to a volume. Its declared type would count only if its bytes told no class.
    put(&s3, "streamed", &log(2_000), "application/octet-stream").await;
    let halves = [log(120_000), b"Nov 29 02:03:04 host sshd[7]: the end\n".to_vec()];
    put_in_parts(&s3, "parts", &halves).await;
    let copy = s3.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/streamed"));
    copy.send().await.unwrap();

    for (key, class) in [
        ("small.html", "document"),
        ("image", "image"),
        ("streamed", "log"),
        ("parts", "log"),
        ("copy", "log"),
    ] {
        let why = looked_at(&server, key).await;
        assert_eq!(why["class"], class, "{why}");
        let confidence = why["class_confidence"].as_f64().unwrap();
        assert!((0.5..=1.0).contains(&confidence), "{why}");
    }
    let because = |why: &Value| why["class_because"].as_str().unwrap().to_owned();
    let told = because(&explain(&server, "small.html"));
    assert!(
        told.contains("those of a document") && told.contains("text/plain was declared, and bytes count"),
        "{told}"
    );
    let words = said(&run(&server, &["explain", &format!("s3://{BUCKET}/image")]));
    assert!(
        words.contains("Its class is image: ") && words.contains("image/png was declared, which agrees"),
        "{words}"
    );

    // When the object is overwritten, the new bytes are classified.
    put(&s3, "image", &log(100), "image/png").await;
    assert_eq!(looked_at(&server, "image").await["class"], "log");

    let page = scrape(&server);
    for told in ["stratum_classified_total{class=\"image\"} 1", "stratum_classify_dropped_total 0"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    tokio::time::sleep(SAVED_WITHIN).await;
    server.restart();
    for (key, class) in [("small.html", "document"), ("image", "log"), ("parts", "log")] {
        let why = explain(&server, key);
        assert_eq!((why["class"].as_str(), why["class_confidence"].is_null()), (Some(class), false), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_classifier_off_the_declared_type_gives_the_class() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), "[tiering.classifier]\nenabled = false\n").unwrap();
    let server = Server::start_on(folder, &["data"]);
    let s3 = client(&server);
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&s3, "clip", &log(10), "video/mp4").await;
    put(&s3, "blob", &log(10), "application/octet-stream").await;
    let why = explain(&server, "clip");
    assert_eq!((why["class"].as_str(), why["class_confidence"].is_null()), (Some("video"), true), "{why}");
    let because = why["class_because"].as_str().unwrap();
    assert!(
        because.contains("the classifier is off") && because.contains("video/mp4 was declared"),
        "{because}"
    );
    assert_eq!(explain(&server, "blob")["class"], "unknown");
}

#[cfg(feature = "onnx")]
#[test]
fn a_start_with_a_model_that_cannot_be_loaded_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (config, model) = (folder.path().join("c.toml"), folder.path().join("my-model.onnx"));
    std::fs::write(&config, format!("[tiering.classifier]\nmodel = {model:?}\n")).unwrap();
    let refused = || {
        let mut start = command(&folder.path().join("data"), ANY_PORT);
        let output = start.arg("--config").arg(&config).stdout(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let named = |(code, told): (Option<i32>, String), why: &str| {
        let is_named = told.contains("tiering.classifier.model") && told.contains("my-model.onnx");
        assert!(code == Some(2) && is_named && told.contains(why), "{code:?}: {told}");
    };
    named(refused(), "No such file");
    std::fs::write(&model, b"\x08\x07not a model").unwrap();
    std::fs::write(model.with_extension("json"), "{}").unwrap();
    named(refused(), "what describes the model can't be read");
    let described = include_str!("../../../crates/stratum-classify/model/standard_v3_3.json");
    std::fs::write(model.with_extension("json"), described).unwrap();
    named(refused(), "it is no model that can be run");
    assert!(!folder.path().join("data").exists(), "a store was made though the start was refused");
}
