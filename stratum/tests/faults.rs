//! The real binary under a plan of faults (`--faults`): drives fail, return wrong bytes or are slow, and clients notice
//! nothing of that. Built only with the feature `faults`.

#[path = "real/listening.rs"]
mod listening;

use listening::ANY_PORT;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DRIVES: usize = 6;
const KEYS: [&str; 2] = ["FAULTSROOT", "faults-root-secret"];

/// A server over six data folders, which serves requests without a signature. Dropping this kills it.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path, plan: &str) -> Server {
        let file = folder.join("plan.toml");
        std::fs::write(&file, plan).expect("the plan is written");
        let mut command = command();
        command.arg("server").arg("--anonymous").arg("--address").arg(ANY_PORT);
        let configuration = folder.join("stratum.toml");
        if configuration.exists() {
            command.arg("--config").arg(configuration);
        }
        for drive in 0..DRIVES {
            command.arg("--data").arg(folder.join(drive.to_string()));
        }
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let process = command.arg("--faults").arg(file).stdout(Stdio::piped()).stderr(log).spawn();
        let mut process = process.expect("the server starts");
        let address = listening::address(&mut process);
        Server { process, address }
    }

    /// A server with an empty bucket.
    fn with_bucket(folder: &Path, plan: &str) -> Server {
        let server = Server::start(folder, plan);
        assert_eq!(server.send("PUT", "/bucket", &[]).0, 200);
        server
    }

    /// A server with a bucket of sixty objects, which were written and read while drives failed as the plan says.
    fn used(folder: &Path, plan: &str) -> Server {
        let server = Server::with_bucket(folder, plan);
        fill(&server, 0..60);
        check(&server, 0..60);
        server
    }

    /// Checks that the sixty objects are there after a start without faults.
    fn restarted(self, folder: &Path) {
        drop(self);
        check(&Server::start(folder, ""), 0..60);
    }

    /// A server whose journal has the drive `member` as a member. Every start chooses the members anew, so servers are
    /// started until one has chosen it.
    fn start_with_member(folder: &Path, plan: &str, member: &str) -> Server {
        let starts = (0..50).map(|_| Server::start(folder, plan));
        let mut fitting = starts.filter(|server| server.members().iter().any(|known| known == member));
        fitting.next().expect("half of the starts choose it")
    }

    /// The members of the journal, for which every small write waits.
    fn members(&self) -> Vec<String> {
        let (_, status) = self.status();
        let members = status["journal"]["members"].as_array().expect("members").iter();
        members.filter_map(|member| member.as_str().map(str::to_owned)).collect()
    }

    /// Sends a request on a connection of its own; gives the answer's status code and body.
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

    /// Runs a command against this server; gives its exit code and standard output.
    fn ask(&self, arguments: &[&str]) -> (Option<i32>, Vec<u8>) {
        let endpoint = format!("http://{}", self.address);
        let output = command().args(arguments).args(["--endpoint", &endpoint]).output().expect("an answer");
        (output.status.code(), output.stdout)
    }

    /// Runs `stratum status`; gives its exit code and the status.
    fn status(&self) -> (Option<i32>, serde_json::Value) {
        let (code, answer) = self.ask(&["status", "--json"]);
        (code, serde_json::from_slice(&answer).expect("a status in JSON"))
    }

    /// The hot drives, as the status shows them.
    fn hot(&self) -> Vec<serde_json::Value> {
        let (_, status) = self.status();
        let drives = status["drives"].as_array().expect("drives").iter();
        drives.filter(|drive| drive["tier"] == "hot").cloned().collect()
    }

    /// The state of each hot drive, as the status shows it.
    fn drives(&self) -> Vec<String> {
        self.hot().iter().map(|drive| drive["state"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Whether one note of the status contains all of these words.
    fn notes(&self, words: &[&str]) -> bool {
        let (_, status) = self.status();
        let notes = status["notes"].as_array().expect("notes").iter().filter_map(|note| note.as_str());
        notes.into_iter().any(|note| words.iter().all(|word| note.contains(word)))
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

/// A body: small ones lie in the journal, every third is large and lies in a volume.
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
fn clients_do_not_notice_that_two_of_six_drives_fail_or_return_wrong_bytes() {
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
    let server = Server::used(folder.path(), plan);
    let states = server.drives();
    assert_eq!(states[1], "failed", "{states:?}");
    server.restarted(folder.path());
}

/// The plan makes the thread panic that writes to a drive, as a mistake in the code would.
#[test]
fn a_panic_while_a_drive_is_written_fails_that_drive_and_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/1"
        operation = "sync"
        serving = true
        after = 10
        error = "panic"
    "#;
    let server = Server::used(folder.path(), plan);
    let states = server.drives();
    assert_eq!(states[1], "failed", "{states:?}");
    assert!(server.notes(&["hot/1", "report it", "by plan"]), "{}", server.status().1);
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("the server panicked: please report it"), "{log}");
    assert!(
        !log.contains("RUST_BACKTRACE"),
        "the default panic message is in the log, not only a line: {log}"
    );
    server.restarted(folder.path());
}

#[test]
fn a_drive_without_space_refuses_writes_for_a_while_and_slow_writes_are_waited_for() {
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
    let server = Server::with_bucket(folder.path(), plan);
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

/// Waits until something is so, for two minutes at most.
#[allow(clippy::disallowed_methods)] // how long this very test has waited
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_drive_is_named_and_new_data_goes_to_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/2"
        operation = "grow"
        bytes = 100_000_000
        device = 2
    "#;
    let server = Server::with_bucket(folder.path(), plan);
    let bytes = vec![7; 6_000_000];
    for number in 0..10 {
        assert_eq!(server.send("PUT", &format!("/bucket/{number}"), &bytes).0, 200, "{number}");
        assert!(server.send("GET", &format!("/bucket/{number}"), &[]).1 == bytes);
    }
    let (code, status) = server.status();
    assert_eq!((code, status["state"].as_str()), (Some(1), Some("attention")), "{status}");
    assert_eq!(server.hot()[2]["fill"], "full");
    assert!(server.notes(&["hot/2 is full", "3+2"]), "{status}");
    assert!(server.drives().iter().all(|state| state == "healthy"), "lack of space is no failure");
}

#[test]
fn the_status_is_full_while_new_data_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "*"
        operation = "grow"
        bytes = 150_000_000
        device = 1
    "#;
    let server = Server::with_bucket(folder.path(), plan);
    assert_eq!(server.send("PUT", "/bucket/large", &vec![7; 6_000_000]).0, 507);
    // Small bodies are refused as well: the reserve is kept for deletes and packing.
    assert_eq!(server.send("PUT", "/bucket/small", &body(1)).0, 507);
    assert_eq!(server.send("PUT", "/bucket/empty", &[]).0, 507);
    assert_eq!(server.send("DELETE", "/bucket/small", &[]).0, 204);
    let (code, status) = server.status();
    assert_eq!((code, status["state"].as_str()), (Some(1), Some("full")), "{status}");
    assert!(server.notes(&["full", "507"]), "{status}");
}

#[test]
fn too_few_drives_to_write_to_are_told_with_the_numbers_also_before_anybody_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::with_bucket(folder.path(), "");
    for drive in 2..DRIVES {
        let home = folder.path().join(drive.to_string());
        std::fs::rename(home.join("hot"), home.join("away")).expect("it is moved");
    }
    wait_until("the drives never fail", || {
        server.drives().iter().filter(|state| *state == "failed").count() == DRIVES - 2
    });
    let (code, status) = server.status();
    assert_eq!((code, status["state"].as_str()), (Some(1), Some("damaged")), "{status}");
    assert!(
        server.notes(&["new data is refused (503)", "2 drives of the hot tier", "3 are needed"]),
        "{status}"
    );
    assert!(server.notes(&["writes are refused (503)", "4 of the 6 drives of the journal"]), "{status}");
    assert_eq!(server.send("PUT", "/bucket/key", &body(1)).0, 503);
    // What can be read is still served.
    assert_eq!(server.send("GET", "/_stratum/health/ready", &[]).0, 200);
    let metric = "stratum_tier_refuses_writes{tier=\"hot\"} 1";
    wait_until("no metric tells of it", || {
        String::from_utf8_lossy(&server.send("GET", "/_stratum/metrics", &[]).1).contains(metric)
    });
}

/// The first write reaches the drives, none of which confirms it. From then on nothing reaches them.
#[test]
fn a_client_is_told_whether_its_write_may_have_taken_effect() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Server::with_bucket(folder.path(), ""));
    let plan = "[[fault]]\ndrive = \"*\"\noperation = \"sync\"\nserving = true\nerror = \"EIO\"\n";
    let server = Server::start(folder.path(), plan);
    let put = || {
        let (code, answer) = server.send("PUT", "/bucket/key", &body(1));
        assert_eq!(code, 503);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let first = put();
    assert!(first.contains("could not be confirmed") && !first.contains("Nothing was written"), "{first}");
    let later = put();
    assert!(later.contains("Nothing was written") && !later.contains("could not be"), "{later}");
}

#[test]
fn a_drain_is_no_reduced_redundancy() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::with_bucket(folder.path(), "");
    fill(&server, 0..9);
    let path = folder.path().join("5");
    assert_eq!(server.ask(&["drive", "drain", &path.to_string_lossy()]).0, Some(0));
    let told = || {
        let (code, status) = server.status();
        assert_eq!(status["redundancy"]["missing_fragments"], 0, "{status}");
        assert_eq!((code, status["state"].as_str()), (Some(1), Some("attention")), "{status}");
        server.drives()[5].clone()
    };
    wait_until("it is never drained", || told() == "drained");
    assert!(server.notes(&["hot/5 is drained", "drive remove"]));
    check(&server, 0..9);
}

/// The longest time for which small writes may be slow because of a drive. The server judges a drive by three windows
/// of five seconds; the rest is for a busy machine.
const SLOW_AT_MOST: Duration = Duration::from_secs(45);

#[test]
#[allow(clippy::disallowed_methods)] // how long clients waited
fn a_drive_that_is_slow_at_writing_is_named_and_small_writes_soon_wait_for_it_no_longer() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/1"
        operation = "write"
        after = 200
        delay_ms = 200

        [[fault]]
        drive = "hot/1"
        operation = "sync"
        after = 100
        delay_ms = 200
    "#;
    let server = Server::start_with_member(folder.path(), plan, "hot/1");
    assert_eq!(server.send("PUT", "/bucket", &[]).0, 200);
    let mut number = 0;
    let mut put = |count: usize| {
        let began = Instant::now();
        for _ in 0..count {
            assert_eq!(server.send("PUT", &format!("/bucket/small-{number}"), &body(1)).0, 200);
            number += 1;
        }
        began.elapsed()
    };
    wait_until("hot/1 is never slow", || put(5) > Duration::from_secs(1));
    let slow_since = Instant::now();
    wait_until("small writes stay slow", || put(20) < Duration::from_secs(3));
    let waited = slow_since.elapsed();
    assert!(waited < SLOW_AT_MOST, "small writes were slow for {waited:?}");

    assert!(!server.members().contains(&"hot/1".to_owned()));
    assert!(server.notes(&["hot/1", "writes far later", "the journal goes on without it"]));
    let (code, status) = server.status();
    assert_eq!((code, status["state"].as_str()), (Some(1), Some("attention")), "{status}");
    let slow: Vec<bool> = server.hot().iter().map(|drive| drive["writes_slowly"] == true).collect();
    assert_eq!(slow, [false, true, false, false, false, false]);
    fill(&server, 0..8);
    check(&server, 0..8);
    for small in 0..number {
        assert_eq!(server.send("GET", &format!("/bucket/small-{small}"), &[]).1, body(1), "{small}");
    }
}

#[test]
fn only_the_drive_that_returns_wrong_bytes_is_called_rotting() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/4"
        operation = "read"
        after = 200
        error = "flip"
    "#;
    let server = Server::with_bucket(folder.path(), plan);
    for number in 0..40 {
        assert_eq!(server.send("PUT", &format!("/bucket/{number}"), &vec![number; 1_000_000]).0, 200);
    }
    wait_until("hot/4 is never called rotting", || {
        for number in 0..40 {
            assert!(server.send("GET", &format!("/bucket/{number}"), &[]).1 == vec![number; 1_000_000]);
        }
        server.hot()[4]["rotting"] == true
    });
    assert!(server.notes(&["hot/4", "bad pieces", "replace"]));
    assert_eq!(server.status().0, Some(1));
    let passes = |server: &Server| server.status().1["scrub"]["copies_passes"].as_u64().unwrap_or_default();
    assert_eq!(server.ask(&["scrub", "start"]).0, Some(0));
    wait_until("the copies are never looked at", || passes(&server) > 0);
    let bad: Vec<bool> = server.hot().iter().map(|drive| drive["bad_pieces"] != 0).collect();
    assert_eq!(bad, [false, false, false, false, true, false], "{}", server.status().1);
}

#[test]
fn a_drive_that_failed_once_is_taken_back_with_its_data_by_one_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = r#"
        [[fault]]
        drive = "hot/3"
        operation = "sync"
        after = 20
        times = 1
        error = "EIO"
    "#;
    let server = Server::with_bucket(folder.path(), plan);
    let mut number = 0;
    wait_until("hot/3 never fails", || {
        fill(&server, number..number + 10);
        number += 10;
        server.drives()[3] == "failed"
    });
    let path = folder.path().join("3");
    assert_eq!(server.ask(&["drive", "replace", &path.to_string_lossy()]).0, Some(0));
    assert_eq!(server.drives()[3], "healthy");
    wait_until("what it missed is never healed", || {
        let (_, status) = server.status();
        status["redundancy"]["missing_fragments"] == 0
    });
    fill(&server, number..number + 20);
    check(&server, 0..number + 20);
}

/// Nobody writes to the other tiers meanwhile.
#[test]
fn the_drives_of_a_disk_that_failed_fail_together_and_those_that_take_writes_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let on_one_disk = |drive: &str, error: &str| {
        format!("[[fault]]\ndrive = \"{drive}\"\noperation = \"sync\"\ndevice = 903\n{error}\n")
    };
    let plan = [
        on_one_disk("hot/3", "after = 20\ntimes = 1\nerror = \"EIO\""),
        on_one_disk("warm/3", "serving = true\nerror = \"EIO\""),
        on_one_disk("cold/3", ""),
    ];
    let server = Server::with_bucket(folder.path(), &plan.concat());
    let mut number = 0;
    let failed = || -> Vec<String> {
        let (_, status) = server.status();
        let drives = status["drives"].as_array().expect("drives").iter();
        let failed = drives.filter(|drive| drive["state"] == "failed");
        failed
            .map(|drive| format!("{}/{}", drive["tier"].as_str().unwrap_or(""), drive["position"]))
            .collect()
    };
    wait_until("hot/3 never fails", || {
        fill(&server, number..number + 10);
        number += 10;
        server.drives()[3] == "failed"
    });
    wait_until("warm/3 doesn't have to prove itself", || failed().len() > 1);
    let mut failed = failed();
    failed.sort();
    assert_eq!(failed, ["hot/3", "warm/3"]);
    check(&server, 0..number);
}

/// Every call on the drive hangs for ten minutes, so that writes and background work wait for it.
#[test]
#[allow(clippy::disallowed_methods)] // how long the stop took
fn a_stop_does_not_wait_for_a_drive_that_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("stratum.toml"), "[server]\ngrace_seconds = 1\n")
        .expect("a configuration");
    let hangs = |operation: &str| {
        format!(
            "[[fault]]\ndrive = \"hot/1\"\noperation = \"{operation}\"\nserving = true\ndelay_ms = 600000\n"
        )
    };
    let plan = ["read", "write", "sync", "open", "list"].map(hangs).concat();
    let mut server = Server::start(folder.path(), &plan);
    let address = server.address;
    std::thread::spawn(move || {
        for number in 0..200 {
            let Ok(mut connection) = TcpStream::connect(address) else { return };
            let path = if number == 0 { "/bucket".to_owned() } else { format!("/bucket/{number}") };
            let _ = write!(
                connection,
                "PUT {path} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let _ = connection.read_to_end(&mut Vec::new());
        }
    });
    // By then the background tasks that look at the drives every few seconds hang in this one.
    std::thread::sleep(Duration::from_secs(8));
    let told = Command::new("kill").arg(server.process.id().to_string()).status().expect("it is told");
    assert!(told.success());
    let began = Instant::now();
    assert_eq!(server.process.wait().expect("it ends").code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let told = log.lines().filter(|line| line.contains("stop waits")).collect::<Vec<_>>();
    assert!(
        told.len() == 2 && told.iter().all(|line| line.contains("hot/1") && !line.contains("hot/2")),
        "{log}"
    );
}
