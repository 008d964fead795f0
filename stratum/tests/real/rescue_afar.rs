//! A store whose drives are all gone is rescued from what lies in its remote store, which is a second server.

use crate::client::client;
use crate::remote::{Pair, REMOTE_BUCKET, blocking};
use crate::rescue::{BUCKET, copy, manifest};
use crate::tiers::{run, said};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PART_BYTES: usize = 5 << 20;

/// Runs `stratum rescue` with a configuration; gives the target folder, which lies beside the server's data, and the
/// output.
fn rescue(pair: &Pair, config: &Path, to: &str) -> (PathBuf, Output) {
    let to = pair.server.folder().join(to);
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["rescue", "--config"]).arg(config).arg("--data").arg(pair.server.folder().join("data"));
    (to.clone(), command.arg("--to").arg(to).output().unwrap())
}

/// Checks that an object was rescued as it was; the error says why it wasn't.
fn came_out(to: &Path, line: &Value, body: &[u8]) -> Result<(), String> {
    match line["status"].as_str() {
        Some("whole") => {
            let path = to.join(line["path"].as_str().unwrap());
            assert!(std::fs::read(path).unwrap() == body, "{line}");
            Ok(())
        }
        _ => Err(line["problem"].as_str().unwrap_or_default().to_owned()),
    }
}

/// A pair whose server has a master key, and on the cold tier also an encrypted object and an object of two parts.
/// Everything cold lies in the remote store, and so does a copy of the state made after that.
fn prepared() -> Pair {
    let mut pair = Pair::start();
    let generated =
        Command::new(env!("CARGO_BIN_EXE_stratum")).args(["keys", "generate", "mine"]).output().unwrap();
    let file = pair.server.folder().join("master-keys");
    std::fs::write(&file, generated.stdout).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = pair.server.folder().join("stratum.toml");
    let without = std::fs::read_to_string(&config).unwrap();
    std::fs::write(pair.server.folder().join("without-keys.toml"), without).unwrap();
    let mut config = std::fs::File::options().append(true).open(config).unwrap();
    writeln!(config, "[encryption]\nmaster_keys = {file:?}").unwrap();
    pair.server.restart();
    let body = |length: usize, seed: usize| -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 241 + seed) as u8).collect()
    };
    let (sealed, parts) = (body(400_000, 3), body(PART_BYTES + 700_001, 5));
    blocking(async {
        let client = client(&pair.server);
        let put =
            client.put_object().bucket(BUCKET).key("cold/sealed").body(ByteStream::from(sealed.clone()));
        put.server_side_encryption(ServerSideEncryption::Aes256).send().await.unwrap();
        let upload = client.create_multipart_upload().bucket(BUCKET).key("cold/parts").send().await.unwrap();
        let id = upload.upload_id().unwrap();
        let mut done = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(parts.chunks(PART_BYTES)) {
            let put = client.upload_part().bucket(BUCKET).key("cold/parts").upload_id(id).part_number(number);
            let put = put.body(ByteStream::from(part.to_vec())).send().await.unwrap();
            done =
                done.parts(CompletedPart::builder().part_number(number).e_tag(put.e_tag().unwrap()).build());
        }
        let complete = client.complete_multipart_upload().bucket(BUCKET).key("cold/parts").upload_id(id);
        complete.multipart_upload(done.build()).send().await.unwrap();
    });
    pair.objects.extend([("cold/sealed".into(), sealed), ("cold/parts".into(), parts)]);
    pair.take_to_cold(&["cold/sealed", "cold/parts", "a//c"]);
    pair.bring();
    pair.wait("a copy of the state lies there", |pair| {
        said(&run(&pair.server, &["tier", "status"])).contains("a copy of the state as of entry")
    });
    pair
}

/// The objects that can be rescued: those that lie in the remote store, and the one that has no bytes.
fn expected(pair: &Pair) -> BTreeMap<&String, &Vec<u8>> {
    let is_there = |key: &str| key.starts_with("cold/") || key.starts_with("a/") || key == "empty";
    pair.objects.iter().filter(|(key, _)| is_there(key)).collect()
}

#[test]
fn a_store_without_any_drive_is_rescued_from_its_remote_store() {
    let mut pair = prepared();
    pair.server.kill();
    std::fs::remove_dir_all(pair.server.data()).unwrap();
    let folder = pair.server.folder().to_owned();
    let (config, without_keys) = (folder.join("stratum.toml"), folder.join("without-keys.toml"));

    let (to, output) = rescue(&pair, &config, "out");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "what was written since isn't known: {told}");
    let (lines, expected) = (manifest(&to), expected(&pair));
    for (key, body) in &pair.objects {
        let outcome = came_out(&to, &lines[key], body);
        assert_eq!(outcome.is_ok(), expected.contains_key(key), "{key}: {outcome:?}: {told}");
    }
    assert_eq!(
        (&lines["cold/noise"]["metadata"]["n"], &lines["cold/noise"]["headers"]["content-type"]),
        (&"1".into(), &"text/x".into())
    );
    let (all, whole) = (pair.objects.len(), expected.len());
    assert!(
        told.contains(&format!("In all: {all} objects, {whole} whole, 0 damaged, {} lost.", all - whole)),
        "{told}"
    );
    assert!(told.contains("the state is a copy that came to s3://cold/here"), "{told}");

    // Without the master key the encrypted object can't be rescued, and the others can.
    let (to, output) = rescue(&pair, &without_keys, "without-keys");
    let lines = manifest(&to);
    let why = came_out(&to, &lines["cold/sealed"], &[]).unwrap_err();
    assert!(why.contains("it is encrypted, and there is no master key"), "{why}: {}", said(&output));
    came_out(&to, &lines["cold/parts"], &pair.objects["cold/parts"]).unwrap();

    // Bytes that were changed in the remote store are noticed, and the object is called damaged.
    let there = pair.there();
    blocking(async {
        for key in &there {
            let client = client(&pair.remote);
            let got = client.get_object().bucket(REMOTE_BUCKET).key(key).send().await.unwrap();
            let mut bytes = got.body.collect().await.unwrap().to_vec();
            bytes[4096..].iter_mut().step_by(90_001).for_each(|byte| *byte ^= 1);
            let put = client.put_object().bucket(REMOTE_BUCKET).key(key).body(ByteStream::from(bytes));
            put.send().await.unwrap();
        }
    });
    let (to, output) = rescue(&pair, &config, "changed");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let lines = manifest(&to);
    let outcome = came_out(&to, &lines["cold/noise"], &pair.objects["cold/noise"]);
    assert!(outcome.is_err() && told.contains("are damaged: what could be read is under _damaged"), "{told}");

    // A copy of the state that is damaged is told, and is not called none.
    blocking(async {
        let client = client(&pair.remote);
        let folder = "here/state/";
        let listed = client.list_objects_v2().bucket(REMOTE_BUCKET).prefix(folder).send().await.unwrap();
        for key in listed.contents().iter().filter_map(|object| object.key()).filter(|key| !key.contains('.'))
        {
            let put = client.put_object().bucket(REMOTE_BUCKET).key(key);
            put.body(ByteStream::from_static(b"not a manifest")).send().await.unwrap();
        }
    });
    let (_, output) = rescue(&pair, &config, "damaged");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("is damaged") && !told.contains("holds no copy of the state"), "{told}");

    // Without a copy of the state nothing can be rescued, since nothing says which objects the volumes hold.
    forget_state(&pair);
    let (_, output) = rescue(&pair, &config, "nothing");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("there is no drive of a store") && told.contains("holds no copy of the state"),
        "{told}"
    );
}

/// Deletes all copies of the state in the remote store.
fn forget_state(pair: &Pair) {
    blocking(async {
        let client = client(&pair.remote);
        let listed =
            client.list_objects_v2().bucket(REMOTE_BUCKET).prefix("here/state/").send().await.unwrap();
        for object in listed.contents() {
            let key = object.key().unwrap();
            client.delete_object().bucket(REMOTE_BUCKET).key(key).send().await.unwrap();
        }
    });
}

#[test]
fn volumes_that_were_uploaded_after_the_state_was_written_are_found() {
    let mut pair = Pair::start();
    assert_eq!(pair.server.stop(), Some(0));
    let (data, before) = (pair.server.data(), pair.server.folder().join("before"));
    copy(&data, &before);
    pair.server.restart();
    pair.bring();
    pair.server.kill();
    forget_state(&pair);
    // Only older copies of the hot and warm drives are left, whose state says that the volumes lie on the cold drives.
    std::fs::remove_dir_all(&data).unwrap();
    copy(&before, &data);
    std::fs::remove_dir_all(data.join("cold")).unwrap();
    let (to, output) = rescue(&pair, &pair.server.folder().join("stratum.toml"), "out");
    let (lines, told) = (manifest(&to), said(&output));
    for (key, body) in &pair.objects {
        came_out(&to, &lines[key], body).unwrap_or_else(|why| panic!("{key}: {why}: {told}"));
    }
}
