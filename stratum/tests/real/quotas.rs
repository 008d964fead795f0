//! `stratum quota` against a real server.

use crate::client::client;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use std::process::{Command, Output};

fn quota(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.arg("quota").args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn put(server: &Server, key: &str, length: usize) -> Result<(), String> {
    let put = client(server).put_object().bucket("bucket").key(key).body(ByteStream::from(vec![1; length]));
    put.send()
        .await
        .map(drop)
        .map_err(|error| error.into_service_error().meta().code().unwrap_or("").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_set_enforced_shown_and_removed() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket("bucket").send().await.unwrap();
    put(&server, "before", 3000).await.unwrap();
    assert_eq!(said(&quota(&server, &["show"])), "There are no quotas.\n");
    let set = quota(&server, &["set", "--bucket", "bucket", "--bytes", "4KiB"]);
    assert!(set.status.success(), "{}", said(&set));
    // The objects that were there before count as soon as the quota is set.
    assert_eq!(put(&server, "a", 2000).await, Err("QuotaExceeded".into()));
    assert_eq!(said(&quota(&server, &["show"])), "bucket bucket: 3000 B of 4 KiB\n");
    put(&server, "a", 1096).await.unwrap();
    // The quota survives a restart, and `show` ends with 1 for a quota that is used up.
    server.restart();
    let shown = quota(&server, &["show"]);
    assert_eq!(shown.status.code(), Some(1), "{}", said(&shown));
    assert_eq!(said(&shown), "bucket bucket: 4 KiB of 4 KiB; it is used up\n");
    assert_eq!(put(&server, "b", 1).await, Err("QuotaExceeded".into()));
    let unset = quota(&server, &["unset", "--bucket", "bucket"]);
    assert!(unset.status.success(), "{}", said(&unset));
    put(&server, "b", 1).await.unwrap();
    // So it is for all buckets of a user together, of which none was counted before.
    client(&server).create_bucket().bucket("second").send().await.unwrap();
    let set = quota(&server, &["set", "--user", "root", "--objects", "3"]);
    assert!(set.status.success(), "{}", said(&set));
    assert_eq!(put(&server, "c", 1).await, Err("QuotaExceeded".into()));
    assert_eq!(quota(&server, &["show"]).status.code(), Some(1));
    assert!(quota(&server, &["unset", "--user", "root"]).status.success());
    for wrong in [
        ["set", "--bucket", "other", "--bytes", "1"].as_slice(),
        &["set", "--bucket", "bucket"],
        &["set", "--bytes", "1"],
        &["set", "--user", "rot", "--bytes", "1"],
        &["set", "--bucket", "bucket", "--user", "root", "--bytes", "1"],
    ] {
        assert_eq!(quota(&server, wrong).status.code(), Some(2), "{wrong:?}");
    }
    let typo = quota(&server, &["set", "--user", "rot", "--bytes", "1"]);
    assert!(String::from_utf8_lossy(&typo.stderr).contains("NoSuchEntity: there is no user"), "{typo:?}");
    // A quota of a user who isn't configured any more can still be removed.
    assert!(quota(&server, &["unset", "--user", "rot"]).status.success());
}
