//! The sessions of the console of a real server, over a restart.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends a request; gives the whole answer, head and body.
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

/// Signs root in; gives the cookie.
fn sign_in(server: &Server) -> String {
    sign_in_with(server, SECRET_KEY)
}

fn sign_in_with(server: &Server, secret: &str) -> String {
    let form = format!("access-key={ACCESS_KEY}&secret={secret}");
    let head =
        "POST /_stratum/console/sign-in HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let entered = ask(server, head, &form);
    let cookie = entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or(&entered);
    cookie.split(';').next().unwrap().to_owned()
}

/// Signs a session out with the form on the page of sessions.
fn sign_out(server: &Server, cookie: &str) {
    let head = format!("GET /_stratum/console/sessions HTTP/1.1\r\ncookie: {cookie}\r\n");
    let page = ask(server, &head, "");
    let token = page.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
    let head = format!(
        "POST /_stratum/console/sign-out HTTP/1.1\r\ncookie: {cookie}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    );
    let answer = ask(server, &head, &format!("token={}", token.unwrap().0));
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
}

#[test]
fn a_session_that_was_signed_out_stays_signed_out_over_a_restart() {
    let mut server = Server::start();
    let (gone, stays) = (sign_in(&server), sign_in(&server));
    sign_out(&server, &gone);
    assert!(!is_in(&server, &gone) && is_in(&server, &stays));
    server.restart();
    assert!(!is_in(&server, &gone) && is_in(&server, &stays));
}

#[test]
fn a_restart_signs_nobody_out_unless_the_key_of_the_sessions_is_gone() {
    let mut server = Server::start();
    let cookie = sign_in(&server);
    assert!(is_in(&server, &cookie));
    // The page of the store understands the status of this server.
    let store = ask(&server, &format!("GET /_stratum/console/store HTTP/1.1\r\ncookie: {cookie}\r\n"), "");
    assert!(store.starts_with("HTTP/1.1 200 ") && store.contains("Connections"), "{store}");
    server.restart();
    assert!(is_in(&server, &cookie));
    server.kill();
    std::fs::remove_file(server.data().join("meta/console-sessions")).unwrap();
    server.restart();
    assert!(!is_in(&server, &cookie));
}

#[test]
fn another_secret_of_root_s_ends_the_sessions_that_began_with_the_one_before() {
    let mut server = Server::start();
    let before = sign_in(&server);
    assert!(is_in(&server, &before));
    server.restart_with(&[("STRATUM_ROOT_SECRET_KEY", "another-root-secret")]);
    assert!(!is_in(&server, &before));
    let after = sign_in_with(&server, "another-root-secret");
    assert!(is_in(&server, &after));
    server.restart_with(&[("STRATUM_ROOT_ACCESS_KEY", "ANOTHERROOT")]);
    assert!(!is_in(&server, &before) && !is_in(&server, &after));
}
