//! The status of the real binary when a small body is bad in every copy of the journal.

use crate::client::client;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const BODY: &[u8] = b"a body of which there is no other, 0b7c2e91";

/// Damages the body wherever it lies below a folder; gives how often that was.
fn rot(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rotten = entries.map(|path| {
        if path.is_dir() {
            return rot(&path);
        }
        let Ok(bytes) = fs::read(&path) else { return 0 };
        let places = bytes.windows(BODY.len()).enumerate().filter(|(_, window)| *window == BODY);
        let file = fs::File::options().write(true).open(&path).unwrap();
        places.map(|(at, _)| file.write_all_at(b"?", at as u64).unwrap()).count()
    });
    rotten.sum()
}

fn status(server: &Server) -> (Option<i32>, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["status", "--json", "--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_damaged_when_every_copy_of_a_small_body_is_bad() {
    let server = Server::start();
    let s3 = client(&server);
    s3.create_bucket().bucket("small").send().await.unwrap();
    for (key, body) in [("lost", BODY), ("sound", b"another one")] {
        s3.put_object().bucket("small").key(key).body(ByteStream::from_static(body)).send().await.unwrap();
    }
    // Only this count is checked, since on a busy machine the status may have other notes.
    assert_eq!(status(&server).1["redundancy"]["unreadable_objects"], 0);
    assert!(rot(&server.data()) > 0);
    assert!(s3.get_object().bucket("small").key("lost").send().await.is_err());
    s3.get_object().bucket("small").key("sound").send().await.unwrap();
    let (code, told) = status(&server);
    assert_eq!((code, &told["redundancy"]["unreadable_objects"]), (Some(1), &1.into()), "{told}");
    assert_eq!(told["state"], "damaged");
    assert!(told["notes"].to_string().contains("objects that can't be read, or a part of them: 1"), "{told}");
}
