//! The real binary under a plan of faults (`--faults`): drives that fail, lie and dawdle, and a client that notices
//! nothing of it. Built with the feature `faults` only.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DRIVES: usize = 6;
const KEYS: [&str; 2] = ["FAULTSROOT", "faults-root-secret"];

/// A server over six folders, which serves requests without a signature; ended when it is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path, plan: &str) -> Server {
        let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let file = folder.join("plan.toml");
        std::fs::write(&file, plan).expect("the plan is written");
        let mut command = command();
        command.arg("server").arg("--anonymous").arg("--address").arg(address.to_string());
        for drive in 0..DRIVES {
            command.arg("--data").arg(folder.join(drive.to_string()));
        }
        let process = command.arg("--faults").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server { process: process.expect("the server starts"), address };
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server doesn't accept connections");
    }

    /// A request on a connection of its own: the answer's code and body.
    fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut connection = TcpStream::connect(self.address).expect("a connection");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).expect("the head goes out");
        connection.write_all(body).expect("the body goes out");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let code = std::str::from_utf8(&answer[9..12]).expect("a code").parse().expect("a code");
        (code, answer[end + 4..].to_vec())
    }

    /// The state of each hot drive, as the status has it.
    fn drives(&self) -> Vec<String> {
        let endpoint = format!("http://{}", self.address);
        let output =
            command().args(["status", "--json", "--endpoint", &endpoint]).output().expect("a status");
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a status in JSON");
        let drives = status["drives"].as_array().expect("drives");
        let hot = drives.iter().filter(|drive| drive["tier"] == "hot");
        hot.map(|drive| drive["state"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.env("STRATUM_ROOT_ACCESS_KEY", KEYS[0]).env("STRATUM_ROOT_SECRET_KEY", KEYS[1]);
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Bodies on both sides of what rides in the journal.
fn body(number: usize) -> Vec<u8> {
    let length = if number.is_multiple_of(3) { 300_000 } else { 5_000 };
    (0..length).map(|at| (number * 31 + at * 7 + at / 251) as u8).collect()
}

fn fill(server: &Server, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(server.send("PUT", &format!("/bucket/{number}"), &body(number)).0, 200, "{number}");
    }
}

fn check(server: &Server, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let (code, found) = server.send("GET", &format!("/bucket/{number}"), &[]);
        assert!(code == 200 && found == body(number), "{number}: {code}, {} bytes", found.len());
    }
}

#[test]
fn two_drives_of_six_fail_and_lie_and_nobody_notices() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/1"
        operation = "sync"
        after = 10
        error = "EIO"

        [[fault]]
        drive = "hot/4"
        operation = "read"
        every = 2
        error = "flip"
    "#;
    let server = Server::start(folder.path(), plan);
    assert_eq!(server.send("PUT", "/bucket", &[]).0, 200);
    fill(&server, 0..60);
    check(&server, 0..60);
    let states = server.drives();
    assert_eq!(states[1], "failed", "{states:?}");
    drop(server);
    let server = Server::start(folder.path(), "");
    check(&server, 0..60);
}

#[test]
fn a_full_drive_says_so_and_a_slow_one_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/2"
        operation = "allocate"
        after = 3
        times = 2
        error = "ENOSPC"

        [[fault]]
        drive = "*"
        operation = "write"
        every = 10
        delay_ms = 20
    "#;
    let server = Server::start(folder.path(), plan);
    assert_eq!(server.send("PUT", "/bucket", &[]).0, 200);
    for number in 0..30 {
        let mut code = 0;
        for _ in 0..20 {
            code = server.send("PUT", &format!("/bucket/{number}"), &body(number)).0;
            if code == 200 {
                break;
            }
            assert!(matches!(code, 503 | 507), "{code}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(code, 200, "{number} is refused for ever");
    }
    check(&server, 0..30);
    assert!(server.drives().iter().all(|state| state == "healthy"), "lack of space is no failure");
}
