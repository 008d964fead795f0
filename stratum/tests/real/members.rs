//! `stratum user`, `group` and `policy` against a real server, and over a restart of it.

use crate::client::{client, client_of};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use std::process::{Command, Output};

fn run(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn done(server: &Server, args: &[&str]) -> String {
    let output = run(server, args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

/// The rest of the line that begins with a word.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(word)).expect(word).trim()
}

async fn may_read_and_write(server: &Server, keys: &str) -> (bool, bool) {
    let client = client_of(server, after(keys, "access key"), after(keys, "secret key"));
    let read = client.get_object().bucket("bucket").key("k").send().await.is_ok();
    let body = ByteStream::from_static(b"x");
    (read, client.put_object().bucket("bucket").key("new").body(body).send().await.is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_made_given_policies_and_deleted() {
    let mut server = Server::start();
    client(&server).create_bucket().bucket("bucket").send().await.unwrap();
    let body = ByteStream::from_static(b"body");
    client(&server).put_object().bucket("bucket").key("k").body(body).send().await.unwrap();

    let keys = done(&server, &["user", "create", "ann", "--policy", "readonly"]);
    assert_eq!(may_read_and_write(&server, &keys).await, (true, false));
    server.restart();
    assert_eq!(may_read_and_write(&server, &keys).await, (true, false));

    let file = server.folder().join("policy.json");
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/n*"}}"#;
    std::fs::write(&file, text).unwrap();
    done(&server, &["policy", "create", "writers", file.to_str().unwrap()]);
    assert_eq!(done(&server, &["policy", "show", "writers"]).trim(), text);
    done(&server, &["group", "create", "authors"]);
    done(&server, &["group", "attach", "authors", "writers"]);
    done(&server, &["group", "add", "authors", "ann"]);
    assert_eq!(may_read_and_write(&server, &keys).await, (true, true));
    let shown = done(&server, &["user", "show", "ann"]);
    for line in ["group   authors", "policy  arn:aws:iam::aws:policy/readonly", "Active"] {
        assert!(shown.contains(line), "{shown}");
    }
    done(&server, &["group", "delete", "authors"]);
    done(&server, &["user", "detach", "ann", "readonly"]);
    assert_eq!(may_read_and_write(&server, &keys).await, (false, false));
    let listed = done(&server, &["user", "list"]);
    assert!(
        listed.contains("arn:aws:iam::root:user/ann") && listed.contains("arn:aws:iam::root:root"),
        "{listed}"
    );
    done(&server, &["policy", "delete", "writers"]);
    done(&server, &["user", "delete", "ann"]);
    assert!(!done(&server, &["user", "list"]).contains("ann"));

    for (wrong, told) in [
        (["user", "create", "bob", "--policy", "none"].as_slice(), "there is no policy \"none\""),
        (&["user", "create", "bob", "--policy", "arn:aws:iam::root:policy/none"], "none"),
        (&["user", "delete", "root"], "kept in the server's configuration"),
        (&["user", "show", "bob"], "cannot be found"),
    ] {
        let output = run(&server, wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(said(&output).contains(told), "{}", said(&output));
    }
    assert!(
        !done(&server, &["user", "list"]).contains("bob"),
        "a user was left although its policy was refused"
    );
}
