//! Fairness: one peer or user can't take all memory or all connections, so that the server still serves the others.

use crate::iam;
use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig, Signer, answer, noise, request};
use aws_sigv4::http_request::SignableBody;
use std::time::Duration;
use stratum_api::admission::Party;
use stratum_api::server::Limits;
use stratum_storage::ambient::{Clock, System};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;

/// A server with a bucket `roots` of the root user's and a bucket `others` of the other user's.
async fn two_users(choices: Choices) -> Rig {
    let rig = Rig::with(choices).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/roots", &[], b"").await.status, 200);
    assert_eq!(rig.signed(OTHER, "PUT", "/others", &[], b"").await.status, 200);
    rig
}

fn of_memory(admission: u64) -> Choices {
    Choices { anonymous: false, admission, ..Choices::default() }
}

fn of_connections(connections: usize) -> Choices {
    Choices { connections, ..Choices::default() }
}

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.address).await.unwrap()
}

/// Sends the head of a request by the other user. Its body is announced and never sent.
async fn begun(rig: &Rig, method: &str, target: &str, length: u64) -> TcpStream {
    begun_by(rig, OTHER.into(), method, target, length).await
}

async fn begun_by(rig: &Rig, by: Signer<'_>, method: &str, target: &str, length: u64) -> TcpStream {
    let length = length.to_string();
    let headers = [("content-length", length.as_str()), ("expect", "100-continue")];
    let mut connection = connect(rig).await;
    connection
        .write_all(&rig.sign(by, method, target, &headers, SignableBody::UnsignedPayload))
        .await
        .unwrap();
    connection
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn is_closed(connection: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(20), connection.read(&mut [0])).await;
    matches!(read.expect("it is closed"), Ok(0) | Err(_))
}

/// Sends bytes on a new connection and reads one answer, whose body must have a declared length.
async fn answered(rig: &Rig, bytes: &[u8]) -> Answer {
    let mut connection = connect(rig).await;
    connection.write_all(bytes).await.unwrap();
    answer(&mut connection, false).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_do_not_come_hold_nothing() {
    let rig = two_users(of_memory(32 * MIB)).await;
    let created = rig.signed(OTHER, "POST", "/others/k?uploads=", &[], b"").await;
    let upload = created.element("UploadId").unwrap();
    let target = format!("/others/k?uploadId={upload}");
    let mut slow = Vec::new();
    for _ in 0..32 {
        let mut connection = begun(&rig, "POST", &target, 4 * MIB).await;
        assert_eq!(answer(&mut connection, true).await.unwrap().status, 100);
        connection.write_all(b"<CompleteMultipartUpload>").await.unwrap();
        slow.push(connection);
    }
    assert!(rig.store.admission.used() < 8 * MIB, "{}", rig.store.admission.used());
    assert_eq!(rig.signed(ROOT, "PUT", "/roots/k", &[], &noise(1, 1 << 20)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_before_a_document_is_read() {
    let rig = two_users(of_memory(32 * MIB)).await;
    let unknown = format!("/others/k?uploadId={}", "0".repeat(32));
    let mut connection = begun(&rig, "POST", &unknown, MIB).await;
    assert_eq!(answer(&mut connection, false).await.unwrap().code(), "NoSuchUpload");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_cannot_hold_all_the_memory() {
    let rig = two_users(of_memory(64 * MIB)).await;
    let mut slow = Vec::new();
    let refused = loop {
        let mut connection = begun(&rig, "PUT", "/others/k", 5 << 30).await;
        match answer(&mut connection, true).await.unwrap().status {
            100 => slow.push(connection),
            status => break status,
        }
    };
    assert_eq!((refused, slow.len() > 4), (503, true), "{} slow writes", slow.len());
    assert_eq!(rig.signed(ROOT, "PUT", "/roots/k", &[], &noise(1, 1 << 20)).await.status, 200);
    assert_eq!(rig.store.admission.status().largest.unwrap().0.to_string(), "user other");
    drop(slow);
    until("all is given back", || rig.store.admission.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_a_role_are_one_to_the_memory() {
    let rig = two_users(Choices { age: Age::New, ..of_memory(64 * MIB) }).await;
    let ann = iam::user(&rig, "ann").await;
    let first = iam::session(&rig, "writer", &ann, r#"{"AWS":"arn:aws:iam::root:user/ann"}"#).await;
    iam::may_all(&rig, "writer").await;
    let mut sessions = vec![first];
    for number in 0..2 {
        sessions.push(iam::another_session(&rig, "writer", &ann, &format!("number-{number}")).await);
    }
    let mut slow = Vec::new();
    for session in &sessions {
        let mut connection = begun_by(&rig, session.signer("s3"), "PUT", "/roots/k", 5 << 30).await;
        assert_eq!(answer(&mut connection, true).await.unwrap().status, 100);
        slow.push(connection);
    }
    let status = rig.store.admission.status();
    assert_eq!(
        (status.parties, status.largest.unwrap().0.to_string().as_str()),
        (1, "user arn:aws:iam::root:role/writer")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_answers_are_counted() {
    let rig = two_users(of_memory(12 * MIB)).await;
    for number in 0..300 {
        let target = format!("/others/{}{number:04}", "k".repeat(1000));
        assert_eq!(rig.signed(OTHER, "PUT", &target, &[], b"").await.status, 200);
    }
    let list =
        rig.sign(OTHER, "GET", "/others?encoding-type=url&max-keys=300", &[], SignableBody::Bytes(b""));
    let mut unread = Vec::new();
    for _ in 0..100 {
        let mut connection = connect(&rig).await;
        connection.write_all(&list).await.unwrap();
        unread.push(connection);
    }
    // The bytes that the sockets' buffers take aren't counted by the pool of memory. The rest of the answers is, up to
    // the share of one user.
    until("a list is refused", || rig.store.admission.status().refused > 0).await;
    assert_eq!(rig.signed(ROOT, "GET", "/roots", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/roots/k", &[], b"small").await.status, 200);
    drop(unread);
    until("all is given back", || rig.store.admission.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_way_to_new_ones_oldest_first() {
    let rig = Rig::with(of_connections(10)).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        let mut connection = connect(&rig).await;
        connection.write_all(&request("GET", "/", &[], b"")).await.unwrap();
        assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
        open.push(connection);
    }
    assert!(is_closed(&mut open[0]).await);
    let newest = open.last_mut().unwrap();
    newest.write_all(&request("GET", "/", &[], b"")).await.unwrap();
    assert_eq!(answer(newest, false).await.unwrap().status, 200);
    let status = rig.connections.status();
    assert!(status.open <= 10 && status.displaced >= 20, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_shut_nobody_out_and_are_cut_early() {
    let limits = Limits { silence: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::with(Choices { limits, ..of_connections(10) }).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect(&rig).await);
    }
    assert_eq!(rig.send("GET", "/", &[], b"").await.status, 200);
    assert_eq!(rig.send("GET", "/_stratum/health/ready", &[], b"").await.status, 200);
    assert!(is_closed(&mut silent[99]).await);
    until("none is left", || rig.connections.status().open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_its_time() {
    let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::with(Choices { limits, ..Choices::default() }).await;
    let mut trickling = connect(&rig).await;
    trickling.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let trickled = async {
        while trickling.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), trickled).await.expect("it is cut");
    // A client that stops in the middle of a head is told why, also on a connection that has served a request before.
    let mut late = connect(&rig).await;
    late.write_all(&request("GET", "/", &[], b"")).await.unwrap();
    assert_eq!(answer(&mut late, false).await.unwrap().status, 200);
    late.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    let told = answer(&mut late, false).await.expect("an answer");
    assert_eq!((told.status, told.code().as_str()), (400, "RequestTimeout"));
    assert_eq!(told.header("x-amz-request-id"), told.element("RequestId").as_deref());
    assert_eq!(told.header("connection"), Some("close"));
    assert!(told.header("date").is_some());
    assert!(is_closed(&mut late).await);
    until("none is left", || rig.connections.status().open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_held_up_to_its_bound() {
    let rig = Rig::start().await;
    let bound = Limits::default().head_bytes;
    let begin = "GET / HTTP/1.1\r\nx-long: ";
    // As the first request of a connection, and after a request that was served.
    for before in [Vec::new(), request("GET", "/", &[], b"")] {
        let mut connection = connect(&rig).await;
        connection.write_all(&before).await.unwrap();
        if !before.is_empty() {
            assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
        }
        connection
            .write_all(format!("{begin}{}", "v".repeat(bound - begin.len() - 1)).as_bytes())
            .await
            .unwrap();
        let more = tokio::time::timeout(Duration::from_millis(200), connection.read(&mut [0])).await;
        assert!(more.is_err(), "it may still come");
        connection.write_all(b"vvv").await.unwrap();
        assert_eq!(answer(&mut connection, false).await.unwrap().code(), "RequestHeaderSectionTooLarge");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_hold_all_memory_that_they_may_another_is_served() {
    let rig = two_users(of_memory(512 * MIB)).await;
    for number in 0..300 {
        let target = format!("/others/{}{number:04}", "k".repeat(900));
        assert_eq!(rig.signed(OTHER, "PUT", &target, &[], b"").await.status, 200);
    }
    assert_eq!(rig.signed(OTHER, "PUT", "/others/large", &[], &noise(1, 1 << 20)).await.status, 200);
    let mut held = Vec::new();
    for hog in 0..9 {
        let memory = rig.store.admission.enter(Party::User(format!("hog {hog}"))).unwrap();
        let mut bytes = 512 * MIB;
        while bytes >= 4096 {
            match memory.admit(bytes) {
                Ok(more) => held.push(more),
                Err(_) => bytes /= 2,
            }
        }
    }
    let left = 512 * MIB - rig.store.admission.used();
    assert!(left < 32 * MIB, "{left} left");
    assert_eq!(rig.signed(OTHER, "PUT", "/others/k", &[], &noise(2, 4096)).await.status, 200);
    let read = rig.signed(OTHER, "GET", "/others/large", &[], b"").await;
    assert_eq!((read.status, read.body == noise(1, 1 << 20)), (200, true));
    let list = rig.signed(OTHER, "GET", "/others?list-type=2", &[], b"").await;
    assert_eq!((list.status, list.text().matches("<Key>").count()), (200, 302));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_places_are_taken_the_operator_still_gets_through() {
    let rig = two_users(of_connections(10)).await;
    // The client has closed the connections that created the buckets, which the server may not have noticed yet.
    while rig.connections.status().open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut connection = begun(&rig, "PUT", "/others/k", 1000).await;
        assert_eq!(answer(&mut connection, true).await.unwrap().status, 100);
        busy.push(connection);
    }
    let shed = rig.send("GET", "/bucket/k", &[], b"").await;
    assert_eq!((shed.status, shed.code().as_str()), (503, "SlowDown"));
    assert_eq!((shed.header("connection"), shed.header("x-amz-request-id").is_some()), (Some("close"), true));
    for path in ["/_stratum/health/live", "/_stratum/health/ready", "/_stratum/metrics"] {
        assert_eq!(rig.send("GET", path, &[], b"").await.status, 200, "{path}");
    }
    assert_eq!(rig.signed(ROOT, "GET", "/_stratum/v1/status", &[], b"").await.status, 200);
    assert!(rig.connections.status().refused >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_headers_are_legal() {
    let rig = Rig::with_bucket().await;
    let names: Vec<_> = (0..300).map(|at| format!("x-amz-meta-{at}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let put = rig.send("PUT", "/bucket/k", &headers, b"").await;
    assert_eq!(put.status, 200, "{}", put.text());
    let head = rig.send("HEAD", "/bucket/k", &[], b"").await;
    assert_eq!((head.header("x-amz-meta-0"), head.header("x-amz-meta-299")), (Some("v"), Some("v")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_many_headers_may_come_between_others() {
    let rig = Rig::with_bucket().await;
    let names: Vec<_> = (0..300).map(|at| format!("x-amz-meta-{at}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let few = request("PUT", "/bucket/few", &[], b"a body");
    let many = request("PUT", "/bucket/many", &headers, &noise(1, 100_000));
    let mut connection = connect(&rig).await;
    for sent in [&few, &many, &few, &many] {
        connection.write_all(sent).await.unwrap();
        assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
    }
    // The same holds where the requests are pipelined: all are sent before the first is answered.
    let mut connection = connect(&rig).await;
    connection.write_all(&[&*few, &*many, &*few].concat()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
    }
    assert_eq!(rig.send("GET", "/bucket/many", &[], b"").await.body, noise(1, 100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_read_of_a_refused_body_that_comes_in_single_bytes() {
    let rig = Rig::with_bucket().await;
    let refused = |pieces: usize| {
        let head = request("PUT", "/nowhere/k", &[("transfer-encoding", "chunked")], b"");
        [head, b"1\r\nx\r\n".repeat(pieces), b"0\r\n\r\n".to_vec()].concat()
    };
    let mut connection = connect(&rig).await;
    for _ in 0..2 {
        connection.write_all(&refused(1000)).await.unwrap();
        assert_eq!(answer(&mut connection, false).await.unwrap().code(), "NoSuchBucket");
    }
    connection.write_all(&refused(6000)).await.unwrap();
    assert_eq!(answer(&mut connection, false).await.unwrap().code(), "NoSuchBucket");
    assert!(is_closed(&mut connection).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_of_a_head_is_told_in_xml() {
    let rig = Rig::start().await;
    let long = "v".repeat(70_000);
    let many: String = (0..2000).map(|at| format!("h{at}: v\r\n")).collect();
    let wrong = [
        (format!("GET / HTTP/1.1\r\nx-long: {long}\r\n\r\n"), "RequestHeaderSectionTooLarge"),
        (format!("GET /{long}{long} HTTP/1.1\r\n\r\n"), "RequestHeaderSectionTooLarge"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "RequestHeaderSectionTooLarge"),
        ("nonsense\r\n\r\n".into(), "BadRequest"),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".into(), "BadRequest"),
        ("PUT /b/k HTTP/1.1\r\ncontent-length: x\r\n\r\n".into(), "BadRequest"),
    ];
    for (bytes, code) in wrong {
        let refused = answered(&rig, bytes.as_bytes()).await;
        let begin: String = bytes.chars().take(30).collect();
        assert_eq!((refused.status, refused.code().as_str()), (400, code), "{begin}");
        assert_eq!(refused.header("x-amz-request-id"), refused.element("RequestId").as_deref(), "{begin}");
        assert_eq!(refused.header("content-type"), Some("application/xml"), "{begin}");
    }
    // The same holds on a connection that has served a request before.
    let mut connection = connect(&rig).await;
    connection.write_all(&request("GET", "/", &[], b"")).await.unwrap();
    assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
    connection.write_all(b"nonsense\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut connection, false).await.unwrap().code(), "BadRequest");
    assert!(is_closed(&mut connection).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_single_bytes_is_stored_as_it_is() {
    let rig = Rig::with_bucket().await;
    let body = noise(1, 40_000);
    let chunks: Vec<u8> =
        body.iter().flat_map(|byte| [b"1\r\n".as_slice(), &[*byte], b"\r\n"].concat()).collect();
    let chunked = [chunks.as_slice(), b"0\r\n\r\n"].concat();
    let put = rig.send("PUT", "/bucket/k", &[("transfer-encoding", "chunked")], &chunked).await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_head_larger_than_those_of_s3_waits_for_its_bytes() {
    let rig = two_users(of_memory(512 * MIB)).await;
    let mut connection = connect(&rig).await;
    let large = "v".repeat(60 << 10);
    for _ in 0..3 {
        let begun = System.monotonic();
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx-amz-meta-a: {large}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut connection, false).await.unwrap().code(), "AccessDenied");
        let took = System.monotonic() - begun;
        assert!(took > Duration::from_millis(40), "{took:?}");
    }
}
