//! An endpoint for tests that answers what a test says, or loses its answer.

use crate::connection::{Checksums, Connection, Endpoint};
use crate::machine::Machine;
use crate::s3::Client;
use crate::trust::Trust;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The answer to a request.
pub enum Answer {
    /// A status with its headers, each with its line's end, and a body.
    Said(u16, String, String),
    /// The request came, and its answer is lost.
    Lost,
}

/// An endpoint and the requests that came to it: each its method and path.
pub struct Staged {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Staged {
    /// Begins to listen. `answer` is given the requests that came before, and the next one.
    pub async fn new(answer: impl Fn(&[String], &str) -> Answer + Send + Sync + 'static) -> Staged {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &seen, &answer).await;
            }
        });
        Staged { url, requests }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A client that asks without a key. It was answered once, so that it tries again when an answer is lost.
    pub async fn client(&self) -> Client {
        let connection = Connection {
            endpoint: Endpoint::parse(&self.url).unwrap(),
            region: "us-east-1".into(),
            keys: None,
            origin: String::new(),
            trust: Trust::Machine,
            checksums: Checksums::Sent,
        };
        let client = Client::new(connection, machine()).unwrap();
        let _ = client.look_at_bucket("reached").await;
        client
    }
}

/// A machine on which nothing is set.
pub fn machine() -> Machine {
    Machine {
        now: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        monotonic: || Duration::ZERO,
        variable: |_| None,
        local: || None,
    }
}

/// Takes one request, and closes the connection after its answer.
async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &(impl Fn(&[String], &str) -> Answer + Send + Sync),
) {
    let mut text = Vec::new();
    let (head, length) = loop {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => text.extend_from_slice(&bytes[..count]),
        }
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            break (end + 4, length.unwrap_or(0));
        }
    };
    while text.len() < head + length {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => text.extend_from_slice(&bytes[..count]),
        }
    }
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
    let request = line.trim_end_matches(" HTTP/1.1").to_owned();
    let said = answer(&seen.lock().unwrap(), &request);
    seen.lock().unwrap().push(request.clone());
    let Answer::Said(status, headers, body) = said else { return };
    let is_head = request.starts_with("HEAD ");
    let length = if headers.contains("content-length") {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let body = if is_head { "" } else { &body };
    let answer = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}{length}\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// An answer with S3's error document.
pub fn refused(status: u16, code: &str) -> Answer {
    let document = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    Answer::Said(status, String::new(), document)
}
