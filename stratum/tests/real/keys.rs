//! The master keys of a real server: the one that it generates, others that an operator gives it, and the rotation of
//! data keys from one to the next.

use crate::backup::backup;
use crate::client::{client, client_of};
use crate::rescue::each_drive;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const BUCKET: &str = "bucket";
/// The lengths of the test objects: one lies in the journal, the other in extents.
const LENGTHS: [usize; 2] = [100, 400_000];

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn stratum(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(arguments);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A line for the file of master keys, with a new key.
fn generated(name: &str) -> String {
    let output = stratum(&["keys", "generate", name]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Configures the server with a file of these master keys, and restarts it.
fn configure(server: &mut Server, lines: &[&str]) {
    let file = server.folder().join("master-keys");
    std::fs::write(&file, lines.concat()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!("[encryption]\nmaster_keys = {file:?}\n");
    std::fs::write(server.folder().join("stratum.toml"), config).unwrap();
    server.restart();
}

async fn put(server: &Server, prefix: &str, mode: ServerSideEncryption) {
    for length in LENGTHS {
        let put = client(server).put_object().bucket(BUCKET).key(format!("{prefix}-{length}"));
        let put = put.body(ByteStream::from(body(length))).server_side_encryption(mode.clone());
        put.metadata("hidden", "yes").send().await.unwrap();
    }
}

/// Whether the objects that [`put`] has written can be read.
async fn reads(server: &Server, prefix: &str) -> bool {
    for length in LENGTHS {
        let got = client(server).get_object().bucket(BUCKET).key(format!("{prefix}-{length}")).send().await;
        let Ok(got) = got else { return false };
        assert_eq!(got.metadata().unwrap()["hidden"], "yes");
        assert!(got.body.collect().await.unwrap().to_vec() == body(length));
    }
    true
}

fn rotate(server: &Server) -> String {
    let output = stratum(&["keys", "rotate", "--endpoint", &server.endpoint()]);
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_stay_readable_while_their_master_keys_are_replaced_and_not_without_them() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&server, "made", ServerSideEncryption::Aes256).await;
    let kept = std::fs::read(server.data().join("hot").join("5").join("master-keys")).unwrap();
    assert!(kept.windows(8).any(|window| window == b"stratum:"));

    // Objects written with the generated key stay readable, and a rotation wraps their keys with the given one.
    let first = generated("archive");
    configure(&mut server, &[&first]);
    assert!(reads(&server, "made").await);
    put(&server, "given", ServerSideEncryption::AwsKms).await;
    assert!(rotate(&server).starts_with("4 data keys looked at, 2 wrapped anew, 0 could not be."));
    assert!(rotate(&server).starts_with("4 data keys looked at, 0 wrapped anew, 0 could not be."));

    // A second line of the same name before the first rotates the key. After that the old key isn't needed any more.
    let second = generated("archive");
    configure(&mut server, &[&second, &first]);
    assert!(reads(&server, "made").await && reads(&server, "given").await);
    assert!(rotate(&server).starts_with("4 data keys looked at, 4 wrapped anew, 0 could not be."));
    configure(&mut server, &[&second]);
    assert!(reads(&server, "made").await && reads(&server, "given").await);

    // Without its master key an object can't be read, and with it it can again.
    configure(&mut server, &[&first]);
    assert!(!reads(&server, "made").await);
    configure(&mut server, &[&second]);
    assert!(reads(&server, "made").await);

    // A rescue decrypts objects with the keys of the configuration. Without the configuration it says why it can't.
    server.kill();
    let (data, config) = (server.data(), server.folder().join("stratum.toml"));
    let rescued = |to: &str, more: &[&str]| -> (PathBuf, String) {
        let to = server.folder().join(to);
        let arguments = ["rescue", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()];
        let output = stratum(&[&arguments[..], more].concat());
        (to, text(&output))
    };
    let (folder, said) = rescued("with", &["--config", config.to_str().unwrap()]);
    for length in LENGTHS {
        let path = folder.join(BUCKET).join(format!("given-{length}"));
        assert!(std::fs::read(path).unwrap_or_default() == body(length), "{said}");
    }
    let manifest = std::fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
    assert!(manifest.contains("\"hidden\":\"yes\""), "{manifest}");
    let (folder, said) = rescued("without", &[]);
    assert!(!folder.join(BUCKET).join("given-100").exists());
    assert!(said.contains("it is encrypted"), "{said}");
}

/// The secrets of an account's users lie in the state, sealed with a data key that the master key wraps. Without it
/// they can't sign in, while the account's owner, whose secret is in the configuration, can.
#[tokio::test(flavor = "multi_thread")]
async fn users_can_sign_in_while_master_keys_are_replaced_and_not_without_them() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket(BUCKET).send().await.unwrap();
    let made = stratum(&["user", "create", "ann", "--policy", "readonly", "--endpoint", &server.endpoint()]);
    let said = text(&made);
    let word =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim().to_owned();
    let (access_key, secret_key) = (word("access key"), word("secret key"));
    let may = async |server: &Server| {
        client_of(server, &access_key, &secret_key).list_objects_v2().bucket(BUCKET).send().await.is_ok()
    };
    assert!(may(&server).await);
    let (first, second) = (generated("first"), generated("second"));
    configure(&mut server, &[&first]);
    assert!(may(&server).await);
    assert!(rotate(&server).starts_with("1 data keys looked at, 1 wrapped anew, 0 could not be."));
    configure(&mut server, &[&second, &first]);
    assert!(rotate(&server).starts_with("1 data keys looked at, 1 wrapped anew, 0 could not be."));
    configure(&mut server, &[&second]);
    assert!(may(&server).await);
    configure(&mut server, &[&first]);
    assert!(!may(&server).await);
    // A rotation without the needed key ends, and says what it could not do.
    let rotated = stratum(&["keys", "rotate", "--endpoint", &server.endpoint()]);
    assert_eq!(rotated.status.code(), Some(1), "{}", text(&rotated));
    assert!(text(&rotated).contains("the secrets of users"), "{}", text(&rotated));
    client(&server).list_objects_v2().bucket(BUCKET).send().await.unwrap();
}

#[test]
fn a_start_with_unusable_keys_is_refused_before_a_drive_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("keys"), folder.path().join("stratum.toml"));
    std::fs::write(&config, format!("[encryption]\nmaster_keys = {file:?}\n")).unwrap();
    let data = folder.path().join("data");
    let started = || {
        let arguments = ["server", "--config", config.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let output = stratum(&[&arguments[..], &["--address", "127.0.0.1:0"]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(!data.exists());
        text(&output)
    };
    assert!(started().contains("No such file"));
    std::fs::write(&file, "archive:AAAA\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = started();
    assert!(said.contains("line 1: the key is not 32 bytes in base64") && !said.contains("AAAA"), "{said}");
    std::fs::write(&file, generated("archive")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(started().contains("chmod 600"));
    assert_eq!(stratum(&["keys", "generate", "no name"]).status.code(), Some(2));
}

/// A restore on drives that have lost journal, checkpoints and the record of keys brings the record back from the backup, which
/// holds it although no credentials were asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_missing_after_a_restore_is_told_of() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket(BUCKET).send().await.unwrap();
    let (first, second) = (generated("archive"), generated("other"));
    configure(&mut server, &[&first]);
    put(&server, "given", ServerSideEncryption::AwsKms).await;
    let file = server.folder().join("backup");
    assert!(backup(&server, &file, SECRET_KEY).status.success());
    server.stop();
    take_away(&server, "master-keys-used");
    each_drive(&server.data(), |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    std::fs::remove_dir_all(server.data().join("meta")).unwrap();
    let (data, from) = (server.data(), file.to_str().unwrap());
    let restored = stratum(&["restore", "--accept", "--data", data.to_str().unwrap(), "--from", from]);
    assert!(restored.status.success(), "{}", text(&restored));

    configure(&mut server, &[&second]);
    let told = text(&stratum(&["status", "--endpoint", &server.endpoint()]));
    assert!(told.contains("neither configured nor on the drives: archive ("), "{told}");
    configure(&mut server, &[&second, &first]);
    assert!(reads(&server, "given").await);
}

/// Starts a server that is expected to be refused; gives what it said.
fn refused_start(server: &Server) -> String {
    let data = server.data();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["server", "--address", "127.0.0.1:0", "--data"]).arg(&data);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..600 {
        if let Some(status) = process.try_wait().unwrap() {
            let mut said = String::new();
            process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(status.code(), Some(2), "{said}");
            return said;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    panic!("the start was not refused");
}

/// Removes a file from all hot drives; gives its content.
fn take_away(server: &Server, name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for drive in 0..6 {
        let file = server.data().join(format!("hot/{drive}/{name}"));
        content = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_made_where_something_is_encrypted_with_one_that_is_gone() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&server, "made", ServerSideEncryption::Aes256).await;
    server.stop();
    let kept = take_away(&server, "master-keys");
    let said = refused_start(&server);
    assert!(said.contains("neither configured nor on the drives: stratum ("), "{said}");
    // A store that an earlier server wrote has no record of its keys.
    take_away(&server, "master-keys-used");
    let said = refused_start(&server);
    assert!(said.contains("are encrypted, and no master key is there"), "{said}");
    assert!(!server.data().join("hot/0/master-keys").exists(), "none was made");
    std::fs::write(server.data().join("hot/0/master-keys"), kept).unwrap();
    server.restart();
    assert!(reads(&server, "made").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_out_too_early_is_told_of_until_it_is_back_or_not_needed() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket(BUCKET).send().await.unwrap();
    let (first, second) = (generated("archive"), generated("other"));
    configure(&mut server, &[&first]);
    put(&server, "given", ServerSideEncryption::AwsKms).await;
    let status = |server: &Server| text(&stratum(&["status", "--endpoint", &server.endpoint()]));
    assert!(!status(&server).contains("master keys"), "{}", status(&server));

    configure(&mut server, &[&second]);
    let told = status(&server);
    assert!(
        told.contains("neither configured nor on the drives: archive (") && told.contains("can't be read"),
        "{told}"
    );
    let got = client(&server).get_object().bucket(BUCKET).key("given-100").send().await.unwrap_err();
    let code = aws_sdk_s3::error::ProvideErrorMetadata::code(&got).map(str::to_owned);
    assert_eq!(code.as_deref(), Some("KMS.NotFoundException"), "{got:?}");
    let rotated = stratum(&["keys", "rotate", "--endpoint", &server.endpoint()]);
    assert_eq!(rotated.status.code(), Some(1), "{}", text(&rotated));
    assert!(text(&rotated).contains("\" in bucket: the master key"), "{}", text(&rotated));

    configure(&mut server, &[&second, &first]);
    assert!(reads(&server, "given").await && !status(&server).contains("master keys"));
    configure(&mut server, &[&second]);
    for length in LENGTHS {
        client(&server).delete_object().bucket(BUCKET).key(format!("given-{length}")).send().await.unwrap();
    }
    assert!(status(&server).contains("archive ("));
    rotate(&server);
    // The record of keys is written just after the rotation says that it is over.
    let is_told = (0..300).all(|_| {
        std::thread::sleep(Duration::from_millis(100));
        status(&server).contains("archive (")
    });
    assert!(!is_told, "{}", status(&server));
}
