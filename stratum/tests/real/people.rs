//! The commands for people, `stratum ls`, `cp`, `sync` and the others, run as somebody types them in a terminal.

use crate::listening;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// A user with a home folder, a server, and the server's root key.
struct Person {
    server: Server,
    home: tempfile::TempDir,
}

impl Person {
    fn new() -> Person {
        Person { server: Server::start(), home: tempfile::tempdir().unwrap() }
    }

    fn with_bucket() -> Person {
        let person = Person::new();
        person.does(&["mb", "s3://box"]);
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The path of a file in the home folder, as text for the command line.
    fn typed(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self.typed(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
        command.args(args).current_dir(self.home.path()).env_clear();
        command.env("HOME", self.home.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("AWS_ENDPOINT_URL", self.server.endpoint());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command, which must end with 0; gives its standard output.
    fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output.stderr));
        words(&output.stdout)
    }

    /// Runs a command, which must end with this code; gives its standard error.
    fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {} {}",
            words(&output.stdout),
            words(&output.stderr)
        );
        words(&output.stderr)
    }

    /// Runs a command with this standard input; the command must end with 0.
    fn pipes(&self, args: &[&str], input: &[u8]) {
        let mut process = self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(input).unwrap();
        assert!(process.wait().unwrap().success(), "{args:?}");
    }

    /// The objects below a URL, by their keys, with their sizes.
    fn objects(&self, url: &str) -> BTreeMap<String, u64> {
        let told = self.does(&["find", url, "--json"]);
        told.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|object| (object["key"].as_str().unwrap().to_owned(), object["size"].as_u64().unwrap()))
            .collect()
    }

    fn keys(&self, url: &str) -> Vec<String> {
        self.objects(url).into_keys().collect()
    }

    /// Waits until `look` gives something, for 30 seconds or more.
    fn waits<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..3_000 {
            if let Some(found) = look() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it never came to {what}");
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Pseudorandom bytes, among which a misplaced block would be noticed.
fn body(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).flatten().take(length).collect()
}

/// All files below a folder, by their paths, with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_owned();
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[test]
fn an_object_is_copied_listed_read_moved_and_deleted() {
    let person = Person::with_bucket();
    let file = person.write("note.txt", b"one\ntwo\nthree\n");
    person.does(&["cp", &file, "s3://box/"]);
    person.does(&["cp", &file, "s3://box/d/other"]);
    let listed = person.does(&["ls", "s3://box"]);
    assert!(listed.lines().any(|line| line.ends_with("      14 B  note.txt")), "{listed}");
    assert!(listed.lines().any(|line| line.trim() == "d/"), "{listed}");
    assert!(person.does(&["ls"]).trim_end().ends_with("  box"));
    assert_eq!(person.does(&["cat", "s3://box/note.txt"]), "one\ntwo\nthree\n");
    assert_eq!(person.does(&["cat", "s3://box/note.txt", "--offset", "4", "--bytes", "3"]), "two");
    assert_eq!(person.does(&["head", "-n", "2", "s3://box/note.txt"]), "one\ntwo\n");
    assert_eq!(person.does(&["head", "-c", "5", "s3://box/note.txt"]), "one\nt");
    person.does(&["cp", "s3://box/note.txt", &person.typed("back/")]);
    assert_eq!(fs::read(person.path("back/note.txt")).unwrap(), b"one\ntwo\nthree\n");
    person.does(&["mv", "s3://box/note.txt", "s3://box/d/"]);
    assert_eq!(person.keys("s3://box"), ["d/note.txt", "d/other"]);
    let held = person.does(&["du", "s3://box", "--bytes"]);
    assert!(held.contains("28") && held.contains("2 objects"), "{held}");
    person.does(&["rm", "s3://box/d/other"]);
    assert!(person.fails(&["rb", "s3://box"], 1).contains("isn't empty"));
    person.does(&["rb", "--force", "s3://box"]);
    assert_eq!(person.does(&["ls"]), "");
}

#[test]
fn each_kind_of_failure_has_its_exit_code_and_its_message() {
    let person = Person::with_bucket();
    assert!(person.fails(&["ls", "s3://nowhere"], 3).contains("there is no such bucket"));
    assert!(
        person.fails(&["cat", "s3://box/nothing"], 3).contains("s3://box/nothing: there is no such object")
    );
    assert!(person.fails(&["rm", "s3://box/nothing"], 3).contains("no such object"));
    person.does(&["rm", "--force", "s3://box/nothing"]);
    assert!(person.fails(&["rm", "s3://box"], 2).contains("--recursive"));
    assert!(person.fails(&["cp", "a", "b"], 2).contains("cp(1)"));
    assert!(person.fails(&["cp", "ftp://b/x", "."], 2).contains("there is no alias \"ftp\""));
    assert!(person.fails(&["mb", "s3://box"], 1).contains("already"));
    person.does(&["mb", "--ignore-existing", "s3://box"]);
    let with = |name: &str, value: &str| {
        let output = person.command(&["ls", "s3://box"]).env(name, value).output().unwrap();
        (output.status.code(), words(&output.stderr))
    };
    let (code, said) = with("AWS_SECRET_ACCESS_KEY", "another");
    assert!(code == Some(4) && said.contains(ACCESS_KEY) && said.contains("secret"), "{said}");
    let (code, said) = with("AWS_ACCESS_KEY_ID", "NOBODY");
    assert!(code == Some(4) && said.contains("doesn't know the access key NOBODY"), "{said}");
    let (code, said) = with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    assert!(code == Some(5) && said.contains("nothing listens at http://127.0.0.1:1"), "{said}");
    let tls = person.server.endpoint().replace("http:", "https:");
    let (code, said) = with("AWS_ENDPOINT_URL", &tls);
    assert!(code == Some(5) && said.contains("doesn't speak TLS"), "{said}");
    let (code, said) = with("AWS_PROFILE", "absent");
    assert!(code == Some(4) && said.contains("has a profile \"absent\""), "{said}");
    let told = person.run(&["cat", "s3://box/nothing"]);
    assert!(told.stdout.is_empty());
    let json = words(&person.run(&["ls", "--json", "s3://nowhere"]).stderr);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["code"], "NoSuchBucket");
}

#[test]
fn a_folder_that_is_uploaded_and_downloaded_is_the_same() {
    let person = Person::with_bucket();
    for (name, length) in [("t/a", 0), ("t/a.b/c", 1), ("t/d/e/f ü.bin", 70_000), ("t/large", 20 * MIB + 7)]
    {
        person.write(name, &body(length));
    }
    let (there, back) = (person.typed("t"), person.typed("back"));
    person.does(&["cp", "--recursive", &there, "s3://box/p"]);
    assert_eq!(person.keys("s3://box"), ["p/a", "p/a.b/c", "p/d/e/f ü.bin", "p/large"]);
    person.does(&["cp", "--recursive", "s3://box/p", &back]);
    assert_eq!(files(&person.path("t")), files(&person.path("back")));
    // A pattern copies only the keys that match it.
    person.does(&["cp", "s3://box/p/**.bin", &person.typed("bins/")]);
    assert_eq!(files(&person.path("bins")).len(), 1);
    person.does(&["cp", "-r", "s3://box/p", "s3://box/q"]);
    assert_eq!(person.keys("s3://box/q").len(), 4);
    person.does(&["cp", "s3://box/p/large", "s3://box/copy"]);
    assert_eq!(person.run(&["cat", "s3://box/copy"]).stdout, body(20 * MIB + 7));
    for within in [
        ["mv", "-r", "s3://box/p", "s3://box/p/within"].as_slice(),
        &["cp", "s3://box/**", "s3://box/within"],
        &["mv", "s3://box/p/**.bin", "s3://box/p/within/"],
    ] {
        assert!(person.fails(within, 2).contains("lies within"), "{within:?}");
    }
    // A single star matches only within its folder, so it doesn't match the copies that it makes in a folder below.
    person.does(&["cp", "s3://box/p/*", "s3://box/p/within/"]);
    assert_eq!(person.keys("s3://box/p/within"), ["p/within/a", "p/within/large"]);
    person.does(&["rm", "-r", "s3://box/p/within"]);
    let colder = ["s3://box/copy", "s3://box/copy", "--storage-class", "STANDARD_IA"];
    for onto_itself in
        [["mv"].iter().chain(&colder).copied().collect::<Vec<_>>(), vec!["cp", colder[0], colder[1]]]
    {
        assert!(person.fails(&onto_itself, 1).contains("are the same object"), "{onto_itself:?}");
    }
    assert!(person.fails(&["mv", "s3://box/copy", "s3://box/"], 1).contains("are the same object"));
    person.does(&["cp", colder[0], colder[1], colder[2], colder[3]]);
    assert!(person.does(&["ls", "--json", "s3://box/copy"]).contains("STANDARD_IA"));
    // `s3://box/p` means the folder `p`, not all keys that begin with `p`.
    person.does(&["cp", &person.typed("t/a.b/c"), "s3://box/p2"]);
    person.does(&["rm", "-r", "s3://box/p"]);
    assert!(person.keys("s3://box").contains(&"p2".to_owned()) && person.keys("s3://box/p").is_empty());
    // Deleting again fails, since nothing is left.
    person.fails(&["rm", "-r", "s3://box/p"], 3);
}

#[test]
fn standard_input_of_any_length_is_uploaded_and_comes_back() {
    let person = Person::with_bucket();
    for length in [0, 5, 8 * MIB, 25 * MIB + 3] {
        let sent = body(length);
        person.pipes(&["cp", "-", "s3://box/piped"], &sent);
        assert!(person.run(&["cp", "s3://box/piped", "-"]).stdout == sent, "{length}");
    }
    // A device as the target is written to, and not replaced by a file.
    person.does(&["cp", "s3://box/piped", "/dev/null"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn keys_that_cannot_be_file_names_are_refused_by_name_and_can_be_deleted() {
    let person = Person::with_bucket();
    let hostile =
        ["../up", "a//b", "/abs", "d/../../up", "x/./y", "c\u{1}\r\u{7f}", "f", "f/below", "fine/file"];
    for key in hostile {
        person.pipes(&["cp", "-", &format!("s3://box/p/{key}")], key.as_bytes());
        assert_eq!(person.run(&["cat", &format!("s3://box/p/{key}")]).stdout, key.as_bytes());
    }
    let long = "n".repeat(300);
    person.pipes(&["cp", "-", &format!("s3://box/p/{long}")], b"x");
    assert_eq!(person.keys("s3://box/p").len(), hostile.len() + 1);
    let told = person.fails(&["cp", "-r", "s3://box/p", &person.typed("deep/target")], 1);
    for key in ["p/../up", "p/a//b", "p//abs", "p/d/../../up", "p/x/./y"] {
        assert!(told.contains(&format!("s3://box/{key}: its name")), "{key}: {told}");
    }
    assert!(told.contains("longer than 255"), "{told}");
    assert!(!told.contains('\u{1}'), "a control character of a key reaches the terminal");
    assert!(person.path("deep/target/fine/file").exists() && !person.path("deep/up").exists());
    assert_eq!(fs::read_dir(person.path("deep")).unwrap().count(), 1);
    person.does(&["rm", "-r", "s3://box/p"]);
    assert!(person.keys("s3://box").is_empty());
    // An object whose key ends with a slash, with which other clients mark a folder, becomes a folder and not a file.
    let put = person.does(&["presign", "--put", "s3://box/m/x/"]);
    fetched(&person, put.trim(), "PUT", b"");
    person.pipes(&["cp", "-", "s3://box/m/x"], b"file");
    person.does(&["rm", "s3://box/m/x"]);
    assert_eq!(person.keys("s3://box"), ["m/x/"]);
    person.does(&["cp", "-r", "s3://box/m", &person.typed("made")]);
    assert!(person.path("made/x").is_dir());
}

#[test]
fn symbolic_links_are_followed_only_if_asked_and_never_written_through() {
    let person = Person::with_bucket();
    person.write("away/secret", b"secret");
    person.write("t/file", b"file");
    symlink(person.path("away"), person.path("t/link")).unwrap();
    let told = person.fails(&["cp", "-r", &person.typed("t"), "s3://box/t"], 1);
    assert!(told.contains("t/link: it is a symbolic link"), "{told}");
    assert_eq!(person.keys("s3://box"), ["t/file"]);
    person.does(&["cp", "-r", "--symlinks", "follow", &person.typed("t"), "s3://box/t"]);
    assert_eq!(person.keys("s3://box"), ["t/file", "t/link/secret"]);
    person.pipes(&["cp", "-", "s3://box/t/link/secret"], b"changed");
    let told = person.fails(&["cp", "-r", "s3://box/t", &person.typed("t")], 1);
    assert!(told.contains("never written through"), "{told}");
    assert_eq!(fs::read(person.path("away/secret")).unwrap(), b"secret");
}

#[test]
fn a_sync_does_exactly_what_its_dry_run_says() {
    let person = Person::with_bucket();
    for name in ["a", "d/b", "d/c"] {
        person.write(&format!("t/{name}"), name.as_bytes());
    }
    let there = person.typed("t");
    person.does(&["sync", &there, "s3://box/t"]);
    assert_eq!(person.does(&["sync", "-n", &there, "s3://box/t"]), "");
    fs::remove_file(person.path("t/d/b")).unwrap();
    person.write("t/d/c", b"longer");
    person.write("t/new", b"new");
    person.pipes(&["cp", "-", "s3://box/other"], b"beside it");
    let would = person.does(&["sync", "--delete", "--dry-run", &there, "s3://box/t"]);
    let mut would: Vec<String> = would.lines().map(|line| line.replacen("would ", "", 1)).collect();
    would.sort();
    assert_eq!(would.len(), 3, "{would:?}");
    assert_eq!(person.keys("s3://box/t"), ["t/a", "t/d/b", "t/d/c"], "a dry run has changed something");
    let did = person.does(&["sync", "--delete", "--verbose", &there, "s3://box/t"]);
    let mut did: Vec<String> = did.lines().map(|line| line.replacen("deleted ", "delete ", 1)).collect();
    did.sort();
    assert_eq!(would, did);
    assert_eq!(person.keys("s3://box"), ["other", "t/a", "t/d/c", "t/new"]);
    // From the bucket to a folder, too.
    person.write("back/stray", b"x");
    person.write("back/kept.log", b"x");
    person.does(&["sync", "--delete", "--exclude", "*.log", "s3://box/t", &person.typed("back")]);
    fs::remove_file(person.path("back/kept.log")).unwrap();
    assert_eq!(files(&person.path("t")), files(&person.path("back")));
    assert_eq!(person.does(&["sync", "-n", "--delete", "s3://box/t", &person.typed("back")]), "");
    // If a file can't be looked at, the sync can't know all source files, so it deletes nothing.
    symlink("nowhere", person.path("t/d/aa")).unwrap();
    person.pipes(&["cp", "-", "s3://box/t/z"], b"stays");
    person.fails(&["sync", "--delete", &there, "s3://box/t"], 1);
    assert!(person.keys("s3://box/t").contains(&"t/z".to_owned()));
}

#[test]
fn an_upload_that_was_killed_goes_on_with_its_parts() {
    let person = Person::with_bucket();
    let sent = body(160 * MIB);
    let file = person.write("large", &sent);
    let incomplete = || person.does(&["ls", "--incomplete", "s3://box"]);
    let ledgers = person.path(".local/state/stratum/transfers");
    let mut process = person.command(&["cp", &file, "s3://box/large"]).spawn().unwrap();
    person.waits("begin", || (!incomplete().is_empty()).then_some(()));
    process.kill().unwrap();
    process.wait().unwrap();
    let open = incomplete();
    assert_eq!(open.lines().count(), 1, "{open}");
    assert_eq!(fs::read_dir(&ledgers).unwrap().count(), 1);
    person.does(&["cp", &file, "s3://box/large"]);
    // The interrupted upload became the object, so no upload is left.
    assert_eq!(incomplete(), "");
    assert_eq!(fs::read_dir(&ledgers).unwrap().count(), 0);
    assert!(person.run(&["cat", "s3://box/large"]).stdout == sent);
    // If the file has changed since, its upload isn't continued.
    let mut process = person.command(&["cp", &file, "s3://box/again"]).spawn().unwrap();
    person.waits("begin", || (!incomplete().is_empty()).then_some(()));
    process.kill().unwrap();
    process.wait().unwrap();
    let sent = body(20 * MIB);
    fs::write(&file, &sent).unwrap();
    person.does(&["cp", &file, "s3://box/again"]);
    assert_eq!(incomplete(), "", "the upload of the former file was not aborted");
    assert!(person.run(&["cat", "s3://box/again"]).stdout == sent);
}

#[test]
fn a_download_that_was_killed_goes_on_and_verifies_what_it_has() {
    let person = Person::with_bucket();
    let sent = body(160 * MIB);
    person.does(&["cp", &person.write("large", &sent), "s3://box/large"]);
    let (back, ledgers) = (person.typed("back"), person.path(".local/state/stratum/transfers"));
    let mut process = person.command(&["cp", "s3://box/large", &back]).spawn().unwrap();
    let noted = || {
        let ledger = fs::read_dir(&ledgers).ok()?.flatten().next()?;
        fs::read_to_string(ledger.path()).ok()?.lines().count().checked_sub(1).filter(|pieces| *pieces > 0)
    };
    person.waits("a piece", noted);
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!person.path("back").exists(), "the target exists although the download was killed");
    let partial = fs::read_dir(person.home.path()).unwrap().flatten().map(|entry| entry.path());
    let partial = partial.into_iter().find(|path| path.to_string_lossy().ends_with(".partial")).unwrap();
    // A byte of the partial file changes while no download runs.
    let mut rotten = fs::read(&partial).unwrap();
    let at = rotten.iter().position(|byte| *byte != 0).unwrap();
    rotten[at] ^= 1;
    fs::write(&partial, rotten).unwrap();
    person.does(&["cp", "s3://box/large", &back]);
    assert!(fs::read(&back).unwrap() == sent);
    assert!(!partial.exists() && fs::read_dir(&ledgers).unwrap().count() == 0);
}

#[test]
fn versions_tags_and_presigned_urls_work() {
    let person = Person::new();
    person.does(&["mb", "--versioning", "s3://box"]);
    person.pipes(&["cp", "-", "s3://box/k"], b"one");
    person.pipes(&["cp", "-", "s3://box/k"], b"two!");
    person.does(&["rm", "s3://box/k"]);
    assert!(person.keys("s3://box").is_empty());
    let listed = person.does(&["ls", "--versions", "--json", "s3://box/k"]);
    let versions: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        versions.iter().map(|version| version["size"].as_u64()).collect::<Vec<_>>(),
        [None, Some(4), Some(3)]
    );
    let oldest = versions[2]["version"].as_str().unwrap();
    assert_eq!(person.does(&["cat", "--version-id", oldest, "s3://box/k"]), "one");
    person.does(&["rm", "--version-id", versions[0]["version"].as_str().unwrap(), "s3://box/k"]);
    assert_eq!(person.does(&["cat", "s3://box/k"]), "two!");
    person.does(&["tag", "set", "s3://box/k", "team=red", "cost=1"]);
    person.does(&["tag", "set", "s3://box/k", "cost=2"]);
    person.does(&["tag", "rm", "s3://box/k", "team"]);
    assert_eq!(person.does(&["tag", "get", "s3://box/k"]), "cost=2\n");
    person.does(&["tag", "set", "s3://box", "of=bucket"]);
    assert_eq!(person.does(&["tag", "get", "s3://box", "--json"]).trim(), "{\"of\":\"bucket\"}");
    person.does(&["tag", "rm", "--all", "s3://box"]);
    assert_eq!(person.does(&["tag", "get", "s3://box"]), "");
    let shared = person.run(&["share", "--expires", "5m", "s3://box/k"]);
    assert!(words(&shared.stderr).contains("can read it until"), "{}", words(&shared.stderr));
    assert_eq!(fetched(&person, words(&shared.stdout).trim(), "GET", b""), b"two!");
    // Nobody writes a version that there is already.
    let refused = person.fails(&["presign", "--put", "--version-id", oldest, "s3://box/k"], 2);
    assert!(refused.contains("'--put' cannot be used with '--version-id <ID>'"), "{refused}");
    let put = person.does(&["presign", "--put", "s3://box/sent by them"]);
    fetched(&person, put.trim(), "PUT", b"theirs");
    assert_eq!(person.does(&["cat", "s3://box/sent by them"]), "theirs");
    person.does(&["rm", "--versions", "s3://box/k"]);
    assert_eq!(
        person.does(&["du", "--versions", "--bytes", "s3://box"]).split_whitespace().next(),
        Some("6")
    );
    person.does(&["rb", "--force", "s3://box"]);
}

/// Sends a request to a presigned URL without a key; gives the body of the answer.
fn fetched(person: &Person, url: &str, method: &str, body: &[u8]) -> Vec<u8> {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    assert!(person.server.endpoint().ends_with(host));
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", words(&answer));
    let begin = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(begin)
}

fn set_alias(person: &Person, name: &str, endpoint: &str) {
    let mut set = person.command(&["alias", "set", name, endpoint, ACCESS_KEY]);
    let mut process = set.stdin(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(format!("{SECRET_KEY}\n").as_bytes()).unwrap();
    assert!(process.wait().unwrap().success());
}

/// Moving an object onto itself would copy it and then delete it. Two names of one endpoint hide that both are the same
/// object.
#[test]
fn an_object_is_not_moved_onto_itself_by_another_name_of_its_endpoint() {
    let person = Person::with_bucket();
    set_alias(&person, "again", &person.server.endpoint().replace("127.0.0.1", "localhost"));
    person.does(&["cp", &person.write("file", b"the only one"), "s3://box/k"]);
    assert!(person.fails(&["mv", "s3://box/k", "again://box/k"], 1).contains("are the same object"));
    person.fails(&["mv", "-r", "again://box", "s3://box"], 1);
    assert_eq!(person.run(&["cat", "s3://box/k"]).stdout, b"the only one");
    person.does(&["mv", "again://box/k", "s3://box/other"]);
    assert_eq!(person.keys("s3://box"), ["other"]);
}

/// A sync with `--delete` between a bucket and a folder of it would delete its own source, and copying a bucket into
/// itself would have no end.
#[test]
fn a_bucket_is_not_copied_into_itself_by_another_name_of_its_endpoint() {
    let (person, other) = (Person::with_bucket(), Server::start());
    set_alias(&person, "again", &person.server.endpoint().replace("127.0.0.1", "localhost"));
    set_alias(&person, "away", &other.endpoint());
    person.does(&["cp", &person.write("file", b"the only one"), "s3://box/sub/k"]);
    person.does(&["cp", &person.write("file", b"another one"), "s3://box/l"]);
    for refused in [
        ["sync", "--delete", "again://box/sub", "s3://box"],
        ["sync", "--delete", "s3://box", "again://box/sub"],
        ["cp", "--recursive", "again://box", "s3://box/copy"],
        ["mv", "--recursive", "s3://box", "again://box/sub/further"],
        ["cp", "--no-clobber", "again://box/**", "s3://box/copy"],
    ] {
        assert!(person.fails(&refused, 2).contains("both are names of one endpoint"), "{refused:?}");
    }
    assert_eq!(person.keys("s3://box"), ["l", "sub/k"]);
    // A bucket of the same name at another endpoint is another bucket.
    person.does(&["mb", "away://box"]);
    person.does(&["sync", "s3://box", "away://box/sub"]);
    person.does(&["sync", "--delete", "s3://box/sub", "away://box"]);
    assert_eq!(person.keys("away://box"), ["k"]);
    person.does(&["sync", "--delete", "s3://box", "again://box"]);
    assert_eq!(person.keys("s3://box"), ["l", "sub/k"]);
}

/// A kilobyte of metadata may be more than a hundred headers.
#[test]
fn an_object_of_many_headers_comes_back() {
    let person = Person::with_bucket();
    let file = person.write("file", b"with a lot to say");
    let said: Vec<String> = (0..150).map(|number| format!("m{number}=v")).collect();
    let mut args = vec!["cp"];
    args.extend(said.iter().flat_map(|said| ["--metadata", said]));
    args.extend([file.as_str(), "s3://box/k"]);
    person.does(&args);
    person.does(&["cp", "s3://box/k", &person.typed("back")]);
    assert_eq!(fs::read(person.path("back")).unwrap(), b"with a lot to say");
}

#[test]
fn an_alias_names_an_endpoint_and_its_file_must_be_private() {
    let (person, other) = (Person::with_bucket(), Server::start());
    set_alias(&person, "away", &other.endpoint());
    let file = person.path(".config/stratum/aliases.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = person.does(&["alias", "list"]);
    assert!(listed.contains("away://") && !listed.contains(SECRET_KEY), "{listed}");
    person.does(&["mb", "away://there"]);
    for length in [10, 20 * MIB] {
        let sent = body(length);
        person.does(&["cp", "--metadata", "who=me", &person.write("file", &sent), "s3://box/k"]);
        person.does(&["cp", "s3://box/k", "away://there/k"]);
        assert!(person.run(&["cat", "away://there/k"]).stdout == sent, "{length}");
    }
    assert!(person.fails(&["ls", "nobody://b"], 2).contains("no alias \"nobody\""));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(person.fails(&["ls", "away://there"], 2).contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    person.does(&["alias", "rm", "away"]);
    assert_eq!(person.does(&["alias", "list"]), "");
}

/// A version is one object's, an age may be longer than time, and uploads are meant as objects are.
#[test]
fn nothing_is_deleted_but_what_is_named() {
    let person = Person::new();
    person.does(&["mb", "--versioning", "s3://box"]);
    for key in ["a.log", "b.log", "d/c.log"] {
        person.pipes(&["cp", "-", &format!("s3://box/{key}")], b"x");
    }
    let listed = person.does(&["ls", "--versions", "--json", "s3://box/a.log"]);
    let version = serde_json::from_str::<Value>(&listed).unwrap()["version"].as_str().unwrap().to_owned();
    assert!(
        person.fails(&["rm", "--version-id", &version, "s3://box/*.log"], 2).contains("a version is of one")
    );
    let age = format!("{}s", u64::MAX);
    person.fails(&["rm", "-r", "--older-than", &age, "s3://box"], 3);
    person.does(&["rm", "--older-than", &age, "s3://box/a.log"]);
    assert_eq!(person.keys("s3://box"), ["a.log", "b.log", "d/c.log"]);
    let file = person.write("large", &body(160 * MIB));
    for key in ["a", "d/b", "d2"] {
        let mut process = person.command(&["cp", &file, &format!("s3://box/{key}")]).spawn().unwrap();
        let shown = || person.does(&["ls", "--incomplete", &format!("s3://box/{key}")]);
        person.waits("begin", || (!shown().is_empty()).then_some(()));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let open = |url: &str| person.does(&["ls", "--incomplete", url]).lines().count();
    assert_eq!((open("s3://box"), open("s3://box/d"), open("s3://box/?")), (3, 1, 1));
    for refused in ["s3://box", "s3://box/d/"] {
        assert!(person.fails(&["rm", "--incomplete", refused], 2).contains("--recursive"), "{refused}");
    }
    person.fails(&["rm", "--incomplete", "s3://box/nothing"], 3);
    person.fails(&["rm", "--incomplete", "s3://box/d"], 3);
    person.does(&["rm", "--incomplete", "--force", "s3://box/d"]);
    assert_eq!(open("s3://box"), 3);
    person.does(&["rm", "--incomplete", "s3://box/d/*"]);
    assert_eq!((open("s3://box"), open("s3://box/d")), (2, 0));
    person.does(&["rm", "--incomplete", "--recursive", "s3://box"]);
    assert_eq!(open("s3://box"), 0);
    assert_eq!(person.keys("s3://box").len(), 3, "no object goes");
}

#[test]
fn a_reader_that_closes_the_pipe_early_causes_no_error() {
    let person = Person::with_bucket();
    person.does(&["cp", &person.write("large", &body(40 * MIB)), "s3://box/large"]);
    for args in [["ls", "s3://box"], ["cat", "s3://box/large"], ["find", "s3://box"], ["du", "s3://box"]] {
        let mut command = person.command(&args);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        let output = running.wait_with_output().unwrap();
        assert_eq!((output.status.code(), words(&output.stderr)), (Some(0), String::new()), "{args:?}");
    }
}

#[test]
fn without_an_endpoint_the_server_on_this_machine_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["ls"]).current_dir(home.path()).env_clear().env("HOME", home.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(words(&output.stderr).contains("no access key"), "{}", words(&output.stderr));
    // Nothing listens there, but the error shows that root's credentials were taken.
    command.args(["--endpoint", "http://127.0.0.1:1"]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let said = words(&command.output().unwrap().stderr);
    assert!(said.contains("nothing listens at http://127.0.0.1:1"), "{said}");
    // Its root's key signs for no other machine.
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["ls", "--endpoint", "http://stranger.invalid"]).current_dir(home.path()).env_clear();
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = words(&output.stderr);
    assert!(said.contains("no access key for http://stranger.invalid"), "{said}");
    // A password in what is no endpoint isn't shown.
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["ls", "--anonymous", "--endpoint", "http://ann:hush@127.0.0.1:1"]).current_dir(home.path());
    let output = command.env_clear().output().unwrap();
    let said = words(&output.stderr);
    assert!(!output.status.success() && said.contains("--endpoint: it must be"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn keys_and_endpoints_are_found_in_the_order_of_the_aws_cli() {
    let person = Person::with_bucket();
    let endpoint = person.server.endpoint();
    person.write(
        ".aws/credentials",
        format!(
            "[default]\naws_access_key_id = NOBODY\naws_secret_access_key = nothing\n[right]\naws_access_key_id={ACCESS_KEY}\n\
             aws_secret_access_key={SECRET_KEY}\n"
        )
        .as_bytes(),
    );
    person.write(
        ".aws/config",
        format!(
            "[default]\nendpoint_url = {endpoint}\n[profile right]\nservices = here\nregion = us-east-1\n\
             [services here]\ns3 =\n  endpoint_url = {endpoint}\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\n\
             [profile made]\ncredential_process = printf '{{\"Version\":1,\"AccessKeyId\":\"{ACCESS_KEY}\",\
             \"SecretAccessKey\":\"{SECRET_KEY}\"}}'\nendpoint_url = {endpoint}\n"
        )
        .as_bytes(),
    );
    let lists = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = person.command(&[&["ls", "s3://box"], args].concat());
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), words(&output.stderr))
    };
    let environment = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    assert_eq!(lists(&["--profile", "right"], &[]), (0, String::new()));
    assert_eq!(lists(&["--profile", "made"], &[]), (0, String::new()));
    assert_eq!(lists(&[], &[("AWS_PROFILE", "right")]), (0, String::new()));
    assert!(lists(&[], &[]).1.contains("NOBODY (of the profile \"default\" of ~/.aws)"));
    // The key in the environment goes before that of a profile, unless the command line names the profile.
    assert_eq!(lists(&[], &environment), (0, String::new()));
    assert!(lists(&["--profile", "default"], &environment).1.contains("NOBODY"));
    let elsewhere = [("AWS_PROFILE", "right"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    assert_eq!(lists(&[], &elsewhere).0, 5);
    assert_eq!(lists(&["--endpoint", &endpoint], &elsewhere), (0, String::new()));
    let (code, said) = lists(&["--profile", "role"], &[]);
    assert!(code == 4 && said.contains("comes by its key by role_arn"), "{said}");
    let (code, said) = lists(&[], &[("AWS_ACCESS_KEY_ID", ACCESS_KEY)]);
    assert!(code == 4 && said.contains("set both"), "{said}");
    assert_eq!(lists(&["--anonymous"], &[]).0, 4);
    // Where no key is wanted, none is made.
    let made = person.path("made");
    let config =
        format!("[default]\ncredential_process = touch {}\nendpoint_url = {endpoint}\n", made.display());
    person.write(".aws/config", config.as_bytes());
    fs::remove_file(person.path(".aws/credentials")).unwrap();
    assert_eq!((lists(&["--anonymous"], &[]).0, made.exists()), (4, false));
    assert_eq!((lists(&[], &[]).0, made.exists()), (4, true));
}

#[test]
fn a_demo_fills_its_bucket_once_and_leaves_it_alone_at_the_next_start() {
    let person = Person::new();
    let data = person.path("demo");
    for _ in 0..2 {
        let mut command = crate::server::command(&data, listening::ANY_PORT);
        let mut process = command.arg("--demo").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let endpoint = format!("http://{}", listening::address(&mut process));
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains(&format!("{endpoint}/_stratum/console/"))));
        let asked = |args: &[&str]| {
            let output = person.command(&[args, &["--endpoint", &endpoint]].concat()).output().unwrap();
            words(&output.stdout)
        };
        assert!(
            asked(&["head", "-n", "2", "s3://demo/tables/planets.csv"]).ends_with("Mercury,0.39,2440,0\n")
        );
        assert_eq!(asked(&["ls", "--versions", "s3://demo/notes/shopping.txt"]).lines().count(), 2);
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn completions_and_man_pages_know_the_commands() {
    let person = Person::new();
    assert!(person.does(&["completions", "bash"]).contains("--no-clobber"));
    let pages = person.typed("man1");
    person.does(&["man", &pages]);
    for page in ["stratum.1", "stratum-cp.1", "stratum-tag-set.1", "stratum-server.1"] {
        let text = fs::read_to_string(person.path("man1").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

/// An endpoint that answers one request after another with these documents; gives its URL.
fn scripted(documents: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for document in documents {
            let (mut connection, _) = listener.accept().unwrap();
            let head = BufReader::new(connection.try_clone().unwrap()).lines().map(Result::unwrap);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let length = document.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}");
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    endpoint
}

/// S3 may begin an answer with 200 before it knows how the operation ends.
#[test]
fn what_passes_is_tried_again_where_an_answer_with_200_tells_of_it() {
    let person = Person::new();
    let endpoint = scripted(&[
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
        "<ListBucketResult><Name>box</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>\
         <IsTruncated>false</IsTruncated><Contents><Key>found</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
         <ETag>&quot;0cc175b9c0f1b6a831c399e269772661&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass>\
         </Contents></ListBucketResult>",
    ]);
    let listed = person.does(&["ls", "s3://box/", "--endpoint", &endpoint]);
    assert!(listed.contains("found"), "{listed}");
    let endpoint = scripted(&["<Error><Code>NoSuchBucket</Code><Message>It is gone.</Message></Error>"]);
    let told = person.fails(&["ls", "s3://box/", "--endpoint", &endpoint], 3);
    assert!(told.contains("no such bucket"), "{told}");
}
