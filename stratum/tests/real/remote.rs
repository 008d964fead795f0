//! A server whose remote store is a second server: the cold tier's volumes are uploaded to it and read from it. When
//! that server or the connection to it fails, reads of its objects answer `503`, and nothing else fails.

use crate::client::client;
use crate::rescue::{BUCKET, fetch, objects, store};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use crate::tiers::{explain, run, said, tier};
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The bucket of the second server that holds the volumes.
pub const REMOTE_BUCKET: &str = "cold";

/// A proxy for the connections to a server. It can be told to cut them, or to change the bytes that come back.
struct Line {
    address: SocketAddr,
    state: Arc<AtomicU8>,
}

const SOUND: u8 = 0;
const CUT: u8 = 1;
const CHANGING: u8 = 2;

impl Line {
    fn to(server: &Server) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to: SocketAddr = server.endpoint().trim_start_matches("http://").parse().unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(SOUND)));
        let told = state.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) == CUT {
                    continue;
                }
                let Ok(far) = TcpStream::connect(to) else { continue };
                for (from, into, comes_back) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap(), false), (far, near, true)]
                {
                    let told = told.clone();
                    std::thread::spawn(move || carry(from, into, comes_back, &told));
                }
            }
        });
        Line { address, state }
    }

    fn is_now(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }
}

/// Copies bytes from one connection to the other, until one of them ends or the line is cut.
fn carry(mut from: TcpStream, mut into: TcpStream, comes_back: bool, state: &AtomicU8) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        match state.load(Ordering::Relaxed) {
            CUT => break,
            // A read that fills the whole buffer ends within a body, so its last byte is no part of a head.
            CHANGING if comes_back && read == buffer.len() => buffer[read - 1] ^= 1,
            _ => {}
        }
        if into.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = into.shutdown(std::net::Shutdown::Both);
}

/// A server whose cold volumes go to the server `remote`, over a line.
pub struct Pair {
    pub server: Server,
    pub remote: Server,
    line: Line,
    pub objects: BTreeMap<String, Vec<u8>>,
}

pub fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn configured(line: &Line) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    let text = format!("AWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\n");
    std::fs::write(&credentials, text).unwrap();
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[tiers.cold]\nremote = \"s3://{REMOTE_BUCKET}/here\"\nendpoint = \"http://{}\"\ncredentials_file = {credentials:?}\n",
        line.address
    );
    std::fs::write(folder.path().join("stratum.toml"), text).unwrap();
    folder
}

impl Pair {
    /// Starts the two servers, with some objects on the cold tier.
    pub fn start() -> Pair {
        let remote = Server::start();
        blocking(async { client(&remote).create_bucket().bucket(REMOTE_BUCKET).send().await.unwrap() });
        let line = Line::to(&remote);
        let server = Server::start_on(configured(&line), &["data"]);
        let mut objects = objects();
        objects.insert("cold/log".into(), "GET /index.html HTTP/1.1 200\n".repeat(40_000).into_bytes());
        objects.insert("cold/noise".into(), noise(3_000_000));
        store(&server, &objects);
        let pair = Pair { server, remote, line, objects };
        pair.take_to_cold(&["cold/log", "cold/noise", "a/b"]);
        pair
    }

    /// Has all objects under `cold/` and `a/` moved to the cold tier, and waits for those of these keys.
    pub fn take_to_cold(&self, keys: &[&str]) {
        for prefix in ["cold/", "a/"] {
            tier(&self.server, "move", prefix, &["cold", "--recursive"]);
        }
        self.wait("what is moved lies in cold", |pair| {
            keys.iter().all(|key| {
                let why = explain(&pair.server, key);
                why["tier"] == "cold" && why["moving_to"].is_null() && why["move_due"].is_null()
            })
        });
    }

    pub fn wait(&self, what: &str, is_so: impl Fn(&Pair) -> bool) {
        for _ in 0..600 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("not so: {what}: {}", self.status());
    }

    fn status(&self) -> Value {
        let output = run(&self.server, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    }

    fn remote_status(&self) -> Value {
        self.status()["remote"].clone()
    }

    fn upload(&self) {
        let output = run(&self.server, &["tier", "upload"]);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Has all cold volumes uploaded to the remote store, and waits until none is left on the drives.
    pub fn bring(&self) {
        self.upload();
        self.wait("the cold volumes are there", |pair| {
            let status = pair.remote_status();
            status["volumes"].as_u64() > Some(0) && status["waiting"] == 0 && pair.shard_files() == 0
        });
    }

    fn shard_files(&self) -> usize {
        let volumes = |drive: u32| self.server.data().join(format!("cold/{drive}/volumes"));
        (0..6).flat_map(|drive| std::fs::read_dir(volumes(drive)).into_iter().flatten().flatten()).count()
    }

    fn all_read_back(&self) {
        for (key, body) in &self.objects {
            assert!(fetch(&self.server, key).as_ref() == Some(body), "{key}");
        }
    }

    /// The keys of the objects in the remote store that hold volumes.
    pub fn there(&self) -> Vec<String> {
        self.listed("here/volumes/")
    }

    fn listed(&self, prefix: &str) -> Vec<String> {
        blocking(async {
            let listed = client(&self.remote).list_objects_v2().bucket(REMOTE_BUCKET).prefix(prefix);
            let listed = listed.send().await.unwrap();
            listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
        })
    }

    /// An object in the other server.
    fn bytes_there(&self, key: &str) -> Vec<u8> {
        blocking(async {
            let got = client(&self.remote).get_object().bucket(REMOTE_BUCKET).key(key).send().await.unwrap();
            got.body.collect().await.unwrap().to_vec()
        })
    }

    /// Status and `Retry-After` of a GET that fails.
    fn refused(&self, key: &str) -> (u16, Option<String>) {
        blocking(async {
            let got = client(&self.server).get_object().bucket(BUCKET).key(key).send().await;
            let error = got.expect_err(key);
            let raw = error.raw_response().unwrap();
            (raw.status().as_u16(), raw.headers().get("retry-after").map(str::to_owned))
        })
    }
}

/// Bytes that don't compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn an_outage_of_the_remote_store_affects_only_the_objects_that_lie_there() {
    let mut pair = Pair::start();
    pair.bring();
    assert!(!pair.there().is_empty());
    pair.all_read_back();
    let ranged = blocking(async {
        let got = client(&pair.server).get_object().bucket(BUCKET).key("cold/noise");
        got.range("bytes=1999999-2000100").send().await.unwrap().body.collect().await.unwrap().to_vec()
    });
    assert_eq!(ranged, pair.objects["cold/noise"][1_999_999..2_000_101]);
    let output = run(&pair.server, &["fsck"]);
    assert!(output.status.success(), "{}", said(&output));

    // The remote store can't be reached, also while the server starts.
    pair.line.is_now(CUT);
    assert_eq!(pair.refused("cold/noise"), (503, Some("1".into())));
    for _ in 0..2 {
        // The restart empties the caches, which may hold what was read a moment ago.
        pair.server.restart();
        assert_eq!(pair.refused("cold/noise"), (503, Some("1".into())));
        assert_eq!(pair.refused("a/b"), (503, Some("1".into())));
        assert_eq!(fetch(&pair.server, "100%").as_ref(), Some(&pair.objects["100%"]));
        store(&pair.server, &BTreeMap::from([("new".to_owned(), vec![7; 100_000])]));
        blocking(async {
            let head =
                client(&pair.server).head_object().bucket(BUCKET).key("cold/noise").send().await.unwrap();
            assert_eq!(head.content_length(), Some(3_000_000));
        });
    }
    pair.wait("it is told", |pair| {
        // The server notices the outage when an object is asked for.
        pair.refused("cold/noise");
        let notes = pair.status()["notes"].to_string();
        notes.contains("the remote store s3://cold/here") && notes.contains("can't be reached")
    });
    let output = run(&pair.server, &["tier", "status"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("it can't be used since"), "{}", said(&output));

    pair.line.is_now(SOUND);
    pair.wait("it is found again", |pair| fetch(&pair.server, "cold/noise").is_some());
    pair.all_read_back();
}

#[test]
fn a_volume_that_the_remote_store_has_lost_is_found_and_told() {
    let pair = Pair::start();
    pair.bring();
    let there = pair.there();
    blocking(async {
        for key in there {
            client(&pair.remote).delete_object().bucket(REMOTE_BUCKET).key(key).send().await.unwrap();
        }
    });
    let output = run(&pair.server, &["scrub", "start"]);
    assert!(output.status.success(), "{}", said(&output));
    pair.wait("scrub has found it", |pair| {
        let status = pair.status();
        status["scrub"]["found"]["remote_lost"].as_u64() > Some(0)
            && status["redundancy"]["unreadable_objects"].as_u64() >= Some(3)
            && status["state"] == "damaged"
    });
    let output = run(&pair.server, &["fsck"]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for key in ["cold/log", "cold/noise", "a/b"] {
        assert!(told.contains(&format!("bytes of the object \"{key}\" in {BUCKET} can't be read")), "{told}");
    }
    assert_eq!(pair.refused("cold/noise").0, 503);
    assert_eq!(fetch(&pair.server, "100%").as_ref(), Some(&pair.objects["100%"]));
}

#[test]
fn what_the_other_server_changes_of_the_copy_of_the_state_is_found_and_sent_again() {
    let mut pair = Pair::start();
    pair.bring();
    let newest = |pair: &Pair| {
        let told = said(&run(&pair.server, &["tier", "status"]));
        told.lines().find(|line| line.starts_with("a copy of the state as of entry")).map(str::to_owned)
    };
    pair.wait("a copy of the state lies there", |pair| newest(pair).is_some());
    // The next run finds what this one left.
    assert_eq!(pair.server.stop(), Some(0));
    pair.server.restart();
    pair.wait("it is known", |pair| newest(pair).is_some());
    let names = pair.listed("here/state/");
    let range = names.iter().find(|name| name.contains('.')).unwrap();
    let is_range = |name: &&String| name.contains('.');
    let gone = names.iter().filter(is_range).nth(1).unwrap_or(range);
    let before: Vec<Vec<u8>> = [range, gone].map(|name| pair.bytes_there(name)).into();
    let mut changed = before[0].clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    blocking(async {
        let there = client(&pair.remote);
        let put = there.put_object().bucket(REMOTE_BUCKET).key(range).body(ByteStream::from(changed));
        put.send().await.unwrap();
        if gone != range {
            there.delete_object().bucket(REMOTE_BUCKET).key(gone).send().await.unwrap();
        }
    });
    let output = run(&pair.server, &["scrub", "start"]);
    assert!(output.status.success(), "{}", said(&output));
    let notes = |pair: &Pair| pair.status()["notes"].to_string();
    pair.wait("it is told", |pair| notes(pair).contains("lost or changed"));
    // Within ten minutes, or when somebody asks for a new one.
    pair.upload();
    pair.wait("it is sent again", |pair| notes(pair).contains("they were sent again"));
    for (name, before) in [range, gone].into_iter().zip(before) {
        // What no copy names any more need not come back.
        let is_named = pair.listed("here/state/").contains(name);
        assert!(!is_named || pair.bytes_there(name) == before, "{name}");
    }
}

#[test]
fn what_comes_back_otherwise_stays_where_it_was() {
    let pair = Pair::start();
    pair.line.is_now(CHANGING);
    pair.upload();
    pair.wait("the upload was refused", |pair| {
        let status = pair.remote_status();
        let error = status["last_error"].as_str().unwrap_or_default();
        status["failed"].as_u64() > Some(0) && error.contains("doesn't give back what it was given")
    });
    assert_eq!(pair.remote_status()["volumes"], 0);
    assert!(pair.there().is_empty() && pair.shard_files() > 0);
    pair.all_read_back();
    pair.line.is_now(SOUND);
    pair.bring();
    pair.all_read_back();
    // A changed byte of an uploaded volume is never served, either.
    pair.line.is_now(CHANGING);
    assert_eq!(pair.refused("cold/noise").0, 503);
}

fn notes(server: &Server) -> String {
    let output = run(server, &["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    format!("{}: {}", status["state"], status["notes"])
}

#[test]
fn the_remote_store_of_another_server_is_left_alone_and_holds_up_no_start() {
    let pair = Pair::start();
    pair.bring();
    let there = pair.listed("here/");
    let other = Server::start_on(configured(&pair.line), &["data"]);
    store(&other, &BTreeMap::from([("new".to_owned(), vec![7; 100_000])]));
    assert_eq!(fetch(&other, "new"), Some(vec![7; 100_000]));
    assert!(notes(&other).contains("belongs to another store"), "{}", notes(&other));
    for command in ["status", "claim"] {
        let output = run(&other, &["tier", command]);
        let told = said(&output);
        assert!(!output.status.success() && told.contains("belongs to another store"), "{told}");
    }
    let now = pair.listed("here/");
    assert!(there.iter().filter(|name| !name.contains("/state/")).all(|name| now.contains(name)));
}

#[test]
fn a_remote_store_that_the_configuration_names_no_more_is_told() {
    let mut pair = Pair::start();
    pair.bring();
    let config = pair.server.folder().join("stratum.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, "").unwrap();
    pair.server.restart();
    assert_eq!(pair.refused("cold/noise").0, 503);
    assert_eq!(fetch(&pair.server, "100%").as_ref(), Some(&pair.objects["100%"]));
    let told = notes(&pair.server);
    assert!(told.starts_with("\"damaged\"") && told.contains("into `tiers.cold.remote`"), "{told}");
    let output = run(&pair.server, &["tier", "status"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    std::fs::write(&config, text).unwrap();
    pair.server.restart();
    pair.all_read_back();
}

#[test]
fn a_copy_of_the_drives_reads_from_the_remote_store_and_changes_nothing_there() {
    let mut pair = Pair::start();
    assert_eq!(pair.server.stop(), Some(0));
    let folder = configured(&pair.line);
    let copied =
        std::process::Command::new("cp").arg("-a").arg(pair.server.data()).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    pair.server.restart();
    pair.bring();
    let there = pair.there();
    let copy = Server::start_on(folder, &["data"]);
    assert!(notes(&copy).contains("another server claimed"), "{}", notes(&copy));
    assert_eq!(fetch(&copy, "cold/noise").as_ref(), Some(&pair.objects["cold/noise"]));
    assert_eq!(pair.there(), there);
    pair.all_read_back();
    assert!(!notes(&pair.server).contains("remote store"), "{}", notes(&pair.server));
    // An operator may decide otherwise, and the original sees it before it changes anything.
    let output = run(&copy, &["tier", "claim"]);
    assert!(output.status.success(), "{}", said(&output));
    pair.take_to_cold(&["a/b"]);
    store(&pair.server, &BTreeMap::from([("cold/later".to_owned(), noise(200_000))]));
    pair.take_to_cold(&["cold/later"]);
    run(&pair.server, &["tier", "upload"]);
    pair.wait("it is told", |pair| notes(&pair.server).contains("another server claimed"));
    assert_eq!(pair.there(), there);
    pair.all_read_back();
}

#[test]
fn a_remote_store_that_was_emptied_holds_up_no_start_and_is_taken_when_an_operator_says_so() {
    let mut pair = Pair::start();
    pair.bring();
    assert_eq!(pair.server.stop(), Some(0));
    for key in pair.listed("here/") {
        blocking(async {
            client(&pair.remote).delete_object().bucket(REMOTE_BUCKET).key(key).send().await.unwrap();
        });
    }
    pair.server.restart();
    assert_eq!(fetch(&pair.server, "100%").as_ref(), Some(&pair.objects["100%"]));
    assert_eq!(pair.refused("cold/noise").0, 503);
    let told = notes(&pair.server);
    assert!(told.starts_with("\"damaged\"") && told.contains("has no marker of this store's"), "{told}");
    assert!(pair.listed("here/").is_empty());
    let output = run(&pair.server, &["tier", "claim"]);
    assert!(output.status.success(), "{}", said(&output));
    pair.wait("what lay there is lost", |pair| notes(&pair.server).contains("lost 1 volumes"));
    store(&pair.server, &BTreeMap::from([("cold/later".to_owned(), noise(200_000))]));
    pair.take_to_cold(&["cold/later"]);
    pair.upload();
    pair.wait("another is there", |pair| !pair.there().is_empty());
    assert_eq!(fetch(&pair.server, "cold/later"), Some(noise(200_000)));
}
