//! The console of a real server over a restart.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The answer to a request, with its head.
fn ask(server: &Server, head: &str, body: &str) -> String {
    let endpoint = server.endpoint();
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}host: {address}\r\norigin: {endpoint}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_in(server: &Server, cookie: &str) -> bool {
    let head = format!("GET /_stratum/console/buckets HTTP/1.1\r\ncookie: {cookie}\r\n");
    ask(server, &head, "").starts_with("HTTP/1.1 200 ")
}

#[test]
fn a_restart_signs_nobody_out_unless_the_key_of_the_sessions_is_gone() {
    let mut server = Server::start();
    let form = format!("access-key={ACCESS_KEY}&secret={SECRET_KEY}");
    let head =
        "POST /_stratum/console/sign-in HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let entered = ask(&server, head, &form);
    let cookie = entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or(&entered);
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert!(is_in(&server, &cookie), "{entered}");
    server.restart();
    assert!(is_in(&server, &cookie));
    server.kill();
    std::fs::remove_file(server.data().join("meta/console-sessions")).unwrap();
    server.restart();
    assert!(!is_in(&server, &cookie));
}
