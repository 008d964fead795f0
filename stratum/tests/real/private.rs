//! Only the owner of a store may access its files, root's credentials are shown until they are used, and a start that
//! is refused touches no drive.

use crate::listening::{self, ANY_PORT};
use crate::server::{Server, command};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Collects a folder, and every file and folder below it.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    found.push(folder.to_owned());
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// A start without credentials in its environment, from a shell whose umask gives everybody all rights.
fn careless(data: &Path, more: &[&str]) -> Command {
    let server = command(data, ANY_PORT);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg("umask 000; exec \"$0\" \"$@\"")
        .arg(server.get_program())
        .args(server.get_args())
        .args(more);
    for name in ["STRATUM_ROOT_ACCESS_KEY", "STRATUM_ROOT_SECRET_KEY"] {
        shell.env_remove(name);
    }
    shell
}

/// Runs a server, calls `meanwhile` once it serves, and stops it; gives what it printed after its address.
fn said(mut start: Command, meanwhile: impl FnOnce(SocketAddr)) -> String {
    let mut process = start.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    meanwhile(listening::address(&mut process));
    rustix::process::kill_process(rustix::process::Pid::from_child(&process), rustix::process::Signal::TERM)
        .unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(process.wait().unwrap().success());
    said
}

#[test]
fn only_the_owner_may_access_a_store_and_its_credentials_are_shown_until_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let kept = || std::fs::read_to_string(data.join("meta/root-credentials")).unwrap();
    let secret =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("secret_key = ").map(str::to_owned));

    let first = said(careless(&data, &[]), |_| {});
    let secret_key = secret(&kept()).unwrap();
    assert!(first.contains("meta/root-credentials") && !first.contains(&secret_key), "{first}");

    let again = said(careless(&data, &["--show-credentials"]), |address| {
        let mut status = Command::new(env!("CARGO_BIN_EXE_stratum"));
        status.args(["status", "--endpoint", &format!("http://{address}")]);
        let access_key =
            kept().lines().find_map(|line| line.strip_prefix("access_key = ").map(str::to_owned));
        status
            .env("STRATUM_ROOT_ACCESS_KEY", access_key.unwrap())
            .env("STRATUM_ROOT_SECRET_KEY", &secret_key);
        assert_eq!(status.output().unwrap().status.code(), Some(0));
        for _ in 0..100 {
            if data.join("meta/root-has-signed-in").exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server doesn't note that root has signed in");
    });
    assert!(again.contains(&secret_key), "{again}");
    let later = said(careless(&data, &["--show-credentials"]), |_| {});
    assert_eq!(later, "");

    let mut found = Vec::new();
    walk(&data, &mut found);
    assert!(found.len() > 50, "{found:?}");
    for path in found {
        let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_start_that_is_refused_touches_no_drive() {
    let server = Server::start();
    let endpoint = server.endpoint();
    let taken = endpoint.trim_start_matches("http://");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = folder.path().join("stratum.toml");
    let user = "[[user]]\naccess_key = \"ALICE\"\nsecret_key = 1234567890\nid = \"alice\"\n";
    std::fs::write(&config, user).unwrap();
    type Spoil<'a> = &'a dyn Fn(&mut Command);
    let cases: [(&str, &str, Spoil); 4] = [
        ("can't listen", taken, &|_| {}),
        ("set both", ANY_PORT, &|start| _ = start.env_remove("STRATUM_ROOT_SECRET_KEY")),
        ("at least 8", ANY_PORT, &|start| _ = start.env("STRATUM_ROOT_SECRET_KEY", "short")),
        ("line 3, user.secret_key", ANY_PORT, &|start| _ = start.arg("--config").arg(&config)),
    ];
    for (problem, address, spoil) in cases {
        let mut start = command(&data, address);
        spoil(&mut start);
        let output = start.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(problem), "{problem}: {said}");
        assert!(!said.contains("1234567890"), "{said}");
        assert!(!data.exists(), "{problem}: {} was made", data.display());
    }
}
