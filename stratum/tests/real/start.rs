//! Starts that are refused: their exit code and their message.

use crate::listening::ANY_PORT;
use crate::rescue::copy;
use crate::server::{Server, command};
use std::path::Path;
use std::process::{Command, Stdio};

/// The CRC-32C of some bytes, as the head of a journal's segment has it.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// Runs a start that is refused; gives its exit code and its standard error.
fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = command.stdout(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_refused_start_ends_with_2_and_says_why() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let fresh = |name: &str| folder.path().join(name);
    let endpoint = server.endpoint();
    let taken = endpoint.trim_start_matches("http://");
    let on = |data: &Path| command(data, ANY_PORT);
    let check = |what: &str, said: &str, start: Command| {
        let (code, stderr) = refused(start);
        assert!(code == Some(2) && stderr.contains(said), "{what}: {code:?}, {stderr}");
    };
    check("drives in use", "in use by another server", on(&server.data()));
    check("the address is taken", "can't listen", command(&fresh("one"), taken));
    server.kill();

    let mut other = Server::start();
    other.kill();
    let mixed = fresh("mixed");
    copy(&server.data(), &mixed);
    let half = (0..6).map(|drive| format!("hot/{drive}")).chain((0..3).map(|drive| format!("warm/{drive}")));
    for drive in half {
        std::fs::remove_dir_all(mixed.join(&drive)).unwrap();
        copy(&other.data().join(&drive), mixed.join(&drive).parent().unwrap());
    }
    check("as many drives of another store", "start with the drives of one set", on(&mixed));

    let config = fresh("config.toml");
    let mut start = on(&server.data());
    start.arg("--config").arg(&config);
    std::fs::write(&config, "[tiers.hot]\ngeometry = \"3+1\"\n").unwrap();
    check("another geometry", "3+1", start);
    let mut start = on(&server.data());
    start.arg("--config").arg(&config);
    std::fs::write(&config, "[server]\nport = 1\n").unwrap();
    check("a mistake in the configuration", "port", start);

    // Mistakes that are found before a drive is touched leave no set behind.
    let (new, user) = (fresh("new"), "[[user]]\naccess_key = \"A\"\nsecret_key = \"long enough\"\n");
    for (text, said) in [
        (format!("{user}id = \"root\"\n"), "user.id: \"root\" is the id of root"),
        (format!("{user}id = \"65a011a29cdf8ec533ec3d1ccaae921c\"\n"), "the id of whoever signs nothing"),
        ("[audit]\nfile = \"/nowhere/audit.jsonl\"\n".to_owned(), "audit.file: /nowhere/audit.jsonl: "),
        (format!("[tiers.warm]\ndrives = [{new:?}, {new:?}]\n"), "two drives are one folder"),
    ] {
        let mut start = on(&new);
        start.arg("--config").arg(&config);
        std::fs::write(&config, &text).unwrap();
        check(&text, said, start);
        assert!(!new.exists(), "{text}");
    }

    // A journal of a future version of its format.
    for drive in 0..6 {
        let Ok(segments) = std::fs::read_dir(server.data().join(format!("hot/{drive}/journal"))) else {
            continue;
        };
        for segment in segments {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::options().write(true).open(segment.unwrap().path()).unwrap();
            let front = [b"STRATJNL".as_slice(), &99u32.to_le_bytes()].concat();
            file.write_all_at(&front, 0).unwrap();
            file.write_all_at(&crc32c(&front).to_le_bytes(), 12).unwrap();
        }
    }
    check("a newer journal", "version 99", on(&server.data()));
}

#[test]
fn a_server_that_is_told_to_stop_ends_with_0() {
    let mut server = Server::start();
    assert_eq!(server.stop(), Some(0));
}
