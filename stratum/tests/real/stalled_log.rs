//! A server whose standard error nobody reads: it serves and stops all the same.

use crate::listening::{self, ANY_PORT};
use crate::server::command;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// So many requests that their lines in the log, of half a KiB each, are more than a pipe holds.
const REQUESTS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn requests_are_answered_while_nobody_reads_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = command(&folder.path().join("data"), ANY_PORT);
    let mut server = start.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let address = listening::address(&mut server);
    let unread = server.stderr.take();

    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("HEAD /bucket/{} HTTP/1.1\r\nhost: {address}\r\n\r\n", "k".repeat(250));
    for request in 0..REQUESTS {
        connection.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = connection.read(&mut byte);
            assert!(matches!(read, Ok(1)), "request {request} was not answered: {read:?}");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));
    }

    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    drop(unread);
}
