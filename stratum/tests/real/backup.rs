//! `stratum backup` of a running server, and what can be rescued and restored with the backup.

use crate::client::client;
use crate::rescue::{copy, each_drive, objects, rescue_with, store, whole};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

pub fn backup(server: &Server, to: &Path, secret: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["backup", "--endpoint", &server.endpoint(), "--to"]).arg(to);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", secret);
    command.output().unwrap()
}

/// Objects that are stored after a backup was made.
pub fn later() -> BTreeMap<String, Vec<u8>> {
    [("later/small".to_owned(), vec![7; 900]), ("later/large".to_owned(), vec![9; 90_000])].into()
}

#[test]
fn a_rescue_takes_lost_records_from_the_backup_and_newer_ones_from_the_drives() {
    let (before, after) = (objects(), later());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let mut server = Server::start();
    store(&server, &before);
    let output = backup(&server, &file, SECRET_KEY);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    store(&server, &after);
    server.kill();

    // The index, the journal and the checkpoints are removed, so that only the volumes are left.
    let (data, to) = (folder.path().join("data"), folder.path().join("out"));
    copy(&server.data(), &data);
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    each_drive(&data, |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    rescue_with(&data, &to, Some(&file));
    assert_eq!(whole(&to, &before), before.len());

    // With drives that have everything, an older backup takes nothing away.
    let to = folder.path().join("all");
    let all: BTreeMap<_, _> = before.into_iter().chain(after).collect();
    let output = rescue_with(&server.data(), &to, Some(&file));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(whole(&to, &all), all.len());

    // A backup that was cut off is refused.
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(length - 5).unwrap();
    let output = rescue_with(&data, &folder.path().join("none"), Some(&file));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("never finished"));
}

#[test]
fn only_root_gets_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let output = backup(&server, &folder.path().join("backup"), "not-the-secret");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no temporary file is left behind");
}

/// Runs a command whose `s3://` URLs mean the server `target`, with the credentials of both servers in the environment.
fn with_s3(args: &[&str], target: &Server) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--s3-endpoint", &target.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// How many objects and unfinished uploads a bucket has.
fn held(server: &Server, bucket: &str) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(server);
        let objects = client.list_objects_v2().bucket(bucket).send().await.unwrap();
        let uploads = client.list_multipart_uploads().bucket(bucket).send().await.unwrap();
        (objects.contents().len(), uploads.uploads().len())
    })
}

#[test]
fn a_backup_goes_to_s3_in_parts_and_comes_back() {
    const BUCKET: &str = "photos";
    let (mut server, target) = (Server::start(), Server::start());
    let folder = tempfile::tempdir().unwrap();
    // So many objects that the backup is longer than one part of the upload.
    let many = (0..700).map(|number| (format!("small/{number}"), vec![number as u8; 30_000]));
    let objects: BTreeMap<String, Vec<u8>> = objects().into_iter().chain(many).collect();
    store(&server, &objects);
    let source = server.endpoint();
    let backup = |to: &str| with_s3(&["backup", "--endpoint", &source, "--to", to], &target);
    let output = backup("s3://photos/backups/of today");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("NoSuchBucket"), "{output:?}");
    store(&target, &BTreeMap::new());
    let output = backup("s3://photos/backups/of today");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(held(&target, BUCKET), (1, 0));

    // If the server refuses to make the backup, neither an object nor an upload is left.
    let refused = with_s3(
        &["backup", "--endpoint", &source, "--region", "elsewhere", "--to", "s3://photos/x"],
        &target,
    );
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(held(&target, BUCKET), (1, 0));

    server.kill();
    each_drive(&server.data(), |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    std::fs::remove_dir_all(server.data().join("meta")).unwrap();
    let (data, to) = (server.data(), folder.path().join("out"));
    let (data, to_text) = (data.to_str().unwrap(), to.to_str().unwrap());
    let from = "s3://photos/backups/of today";
    with_s3(&["rescue", "--data", data, "--to", to_text, "--backup", from], &target);
    assert_eq!(whole(&to, &objects), objects.len());
    let gone = with_s3(&["restore", "--data", data, "--from", "s3://photos/none"], &target);
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("NoSuchKey"), "{gone:?}");
    let restored = with_s3(&["restore", "--data", data, "--from", from, "--accept"], &target);
    assert!(restored.status.success(), "{restored:?}");
    server.restart();
    let key = "small/699";
    assert!(crate::rescue::fetch(&server, key).as_ref() == objects.get(key));
    // The list of the drives is restored, too.
    let drives = std::fs::read_to_string(server.data().join("meta/restored-drives.json")).unwrap();
    assert!(drives.contains("\"4+2\"") && drives.contains("hot/5"), "{drives}");
}

#[test]
fn a_backup_holds_the_configuration_and_the_list_of_drives() {
    let folder = tempfile::tempdir().unwrap();
    let (file, trust) = (folder.path().join("backup"), folder.path().join("trust.pem"));
    let server = Server::start_with_tls();
    std::fs::write(&trust, server.certificate().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command
        .args(["backup", "--endpoint", &server.endpoint(), "--to"])
        .arg(&file)
        .arg("--ca-bundle")
        .arg(&trust);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&file).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"stratum.toml") && holds(b"[tls]\ncertificate") && holds(b"drives.json"));
}
