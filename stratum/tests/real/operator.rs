//! What all operator's commands have in common: credentials, trust in certificates, and output.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::process::{Command, Stdio};

/// A command without any credentials in its environment.
fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--endpoint", &server.endpoint()]);
    for name in
        ["STRATUM_ROOT_ACCESS_KEY", "STRATUM_ROOT_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    {
        command.env_remove(name);
    }
    command
}

#[test]
fn commands_take_the_credentials_of_any_s3_client_and_say_when_there_are_none() {
    let server = Server::start();
    let mut status = command(&server, &["status"]);
    let output = status.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no credentials") && said.contains("meta/root-credentials"), "{said}");
    status.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    assert_eq!(status.output().unwrap().status.code(), Some(0));
    // The variables of root's own credentials come first.
    status.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", "not-the-secret");
    assert_eq!(status.output().unwrap().status.code(), Some(2));
}

#[test]
fn the_data_folder_of_a_server_gives_every_command_its_credentials() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    std::fs::create_dir(home.path().join("meta")).unwrap();
    let kept = format!("access_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n");
    std::fs::write(home.path().join("meta/root-credentials"), kept).unwrap();
    for args in [
        ["status"].as_slice(),
        &["fsck", "--quick"],
        &["restore", "--accept"],
        &["bench", "--op", "put", "--duration", "100ms", "--concurrency", "1"],
    ] {
        let output = command(&server, args).arg("--data").arg(home.path()).output().unwrap();
        assert_ne!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_a_server_keeps_signs_for_no_other_machine() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("data/meta")).unwrap();
    let kept = format!("access_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n");
    std::fs::write(home.path().join("data/meta/root-credentials"), kept).unwrap();
    let said = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
        command.args(args).current_dir(home.path()).env_clear().env("HOME", home.path());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let refusal = "sign for no other";
    for command in [["status"].as_slice(), &["fsck"], &["restore", "--accept"], &["bench", "--op", "get"]] {
        for endpoint in ["http://stranger.invalid", "http://192.0.2.1:9000", "https://[2001:db8::1]"] {
            let there = [command, &["--endpoint", endpoint]].concat();
            let named = [there.as_slice(), &["--data", "data"]].concat();
            // A folder that is only found is passed over, and there is nothing else.
            for args in [&there, &named] {
                let said = said(args, &[]);
                assert!(said.contains(refusal), "{args:?}: {said}");
            }
        }
        let here = said(&[command, &["--endpoint", "http://127.0.0.1:1", "--data", "data"]].concat(), &[]);
        assert!(!here.contains(refusal), "{command:?}: {here}");
    }
    // Nor do root's variables, which a container has for its server, whatever endpoint is named in it.
    std::fs::remove_dir_all(home.path().join("data")).unwrap();
    let root = [("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY), ("STRATUM_ROOT_SECRET_KEY", SECRET_KEY)];
    let there = ["status", "--endpoint", "http://stranger.invalid"];
    let asked = said(&there, &root);
    assert!(asked.contains(refusal) && asked.contains("STRATUM_ROOT_ACCESS_KEY"), "{asked}");
    let here = said(&["status", "--endpoint", "http://127.0.0.1:1"], &root);
    assert!(!here.contains(refusal), "{here}");
    // What a client's variables or a profile say is for the endpoint that is said.
    let client = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let asked = said(&there, &[root, client].concat());
    assert!(!asked.contains(refusal), "{asked}");
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let profile = "[ops]\naws_access_key_id = A\naws_secret_access_key = secret\n";
    std::fs::write(home.path().join(".aws/credentials"), profile).unwrap();
    let asked = said(&[there.as_slice(), &["--profile", "ops"]].concat(), &root);
    assert!(!asked.contains(refusal), "{asked}");
    let half = said(&there, &client[..1]);
    assert!(half.contains("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"), "{half}");
}

/// In a query it would come to name another folder.
#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(b"/mnt/d\xff");
    for action in ["replace", "drain", "keep", "remove"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
        let output = command.args(["drive", action]).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("isn't UTF-8"), "{action}: {said}");
    }
}

/// A key in the environment comes out of a file, which may end with the end of a line; a profile that the command line names goes before.
#[test]
fn keys_are_taken_without_what_is_around_them() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let profile = "[nobody]\naws_access_key_id = NOBODY\naws_secret_access_key = secret\n";
    std::fs::write(home.path().join(".aws/credentials"), profile).unwrap();
    let padded = [format!(" {ACCESS_KEY}\n"), format!("{SECRET_KEY}\r\n")];
    for names in [
        ["STRATUM_ROOT_ACCESS_KEY", "STRATUM_ROOT_SECRET_KEY"],
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    ] {
        for args in [["status"].as_slice(), &["ls"]] {
            let mut command = command(&server, args);
            command.current_dir(home.path()).env_clear().env("HOME", home.path());
            command.envs(names.iter().zip(&padded));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            let output = command.args(["--profile", "nobody"]).output().unwrap();
            assert!(!output.status.success(), "{names:?} {args:?}");
        }
    }
}

#[test]
fn the_status_tells_of_memory_for_requests_and_of_connections() {
    let server = Server::start();
    let asked = |args: &[&str]| {
        let mut command = command(&server, args);
        command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let status: serde_json::Value = serde_json::from_str(&asked(&["status", "--json"])).unwrap();
    let (admission, connections) = (&status["admission"], &status["connections"]);
    assert_eq!(admission["limit"], 512 << 20, "{admission}");
    for (part, fields) in [
        (admission, ["used", "parties", "largest", "refused"].as_slice()),
        (connections, &["limit", "open", "reserve", "displaced", "refused"]),
    ] {
        assert!(fields.iter().all(|field| part.get(field).is_some()), "{part}");
    }
    assert!(connections["open"].as_u64() >= Some(1), "{connections}");
    let text = asked(&["status"]);
    for line in ["\nmemory      ", " of 512.0 MiB in use", "\nconnections ", " open, 0 in the reserve"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn the_status_counts_objects_also_right_after_a_start() {
    let server = Server::start();
    let run = |args: &[&str]| {
        let mut command = command(&server, args);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let held = || run(&["status"]).lines().find(|line| line.starts_with("space ")).unwrap().to_owned();
    assert!(held().contains("0 objects of 0 B in 0 buckets; "), "{}", held());
    run(&["mb", "s3://first"]);
    let file = server.folder().join("hello");
    std::fs::write(&file, "hello").unwrap();
    run(&["cp", file.to_str().unwrap(), "s3://first/hello"]);
    for _ in 0..200 {
        if held().contains("1 object of 5 B in 1 bucket") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("after 20 s the status still says {}", held());
}

#[test]
fn a_reader_that_closes_the_pipe_early_is_no_failure_of_a_command() {
    let server = Server::start();
    for args in [["status", "--json"].as_slice(), &["fsck", "--quick"], &["drive", "list"]] {
        let mut command = command(&server, args);
        command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn every_command_trusts_the_bundle_that_is_named() {
    let server = Server::start_with_tls();
    let bundle = server.folder().join("trust.pem");
    std::fs::write(&bundle, server.certificate().unwrap()).unwrap();
    let ended = |args: &[&str], variable: Option<&std::path::Path>| {
        let mut command = command(&server, args);
        command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
        command.env_remove("AWS_CA_BUNDLE").envs(variable.map(|file| ("AWS_CA_BUNDLE", file)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let named = bundle.to_str().unwrap();
    for args in [["status"].as_slice(), &["drive", "list"], &["user", "list"], &["fsck", "--quick"]] {
        let (code, said) = ended(args, None);
        assert!(code == Some(2) && said.contains("--ca-bundle FILE or AWS_CA_BUNDLE"), "{args:?}: {said}");
        assert_eq!(ended(args, Some(&bundle)), (Some(0), String::new()), "{args:?}");
        assert_eq!(
            ended(&[args, &["--ca-bundle", named]].concat(), None),
            (Some(0), String::new()),
            "{args:?}"
        );
    }
    // The option overrides the variable, and a file that doesn't exist is named in the error.
    let (code, said) = ended(&["status", "--ca-bundle", "/absent.pem"], Some(&bundle));
    assert!(code == Some(2) && said.contains("/absent.pem: No such file"), "{said}");
    assert_eq!(ended(&["health"], None).0, Some(0));
}
