//! The TLS certificate of the real binary: a renewed one is used without a restart, and the status tells of one that
//! can't be used or is about to expire.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, System};
use time::OffsetDateTime;

/// Waits until something is so that the server should notice within seconds.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..300 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}");
}

/// Whether the server shows this certificate.
fn shows(server: &Server, certificate: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server.endpoint().trim_start_matches("https://")).unwrap();
    session.complete_io(&mut stream).is_ok()
}

/// The exit code and the output of `stratum status`, run with trust in the certificates of a file.
fn status(server: &Server, trusted: &Path) -> (Option<i32>, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["status", "--json", "--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.env("AWS_CA_BUNDLE", trusted).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// A certificate in PEM that is valid for three months, of which three days are left.
fn ending(key: &rcgen::KeyPair) -> String {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut made = rcgen::CertificateParams::new(names).unwrap();
    let now = OffsetDateTime::from_unix_timestamp((System.now() / 1000) as i64).unwrap();
    (made.not_before, made.not_after) = (now - time::Duration::days(87), now + time::Duration::days(3));
    made.self_signed(key).unwrap().pem()
}

/// As every command does.
#[test]
fn the_benchmark_trusts_the_authorities_that_it_is_told_of() {
    let server = Server::start_with_tls();
    let bundle = server.folder().join("bundle.pem");
    fs::write(&bundle, server.certificate().unwrap()).unwrap();
    let bench = |option: bool, variable: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
        command.args(["bench", "--op", "put", "--duration", "200ms", "--concurrency", "1"]);
        command.args([
            "--endpoint",
            &server.endpoint(),
            "--access-key",
            ACCESS_KEY,
            "--secret-key",
            SECRET_KEY,
        ]);
        command.env_remove("AWS_CA_BUNDLE");
        if option {
            command.arg("--ca-bundle").arg(&bundle);
        }
        if variable {
            command.env("AWS_CA_BUNDLE", &bundle);
        }
        command.output().unwrap()
    };
    for (option, variable) in [(true, false), (false, true)] {
        let output = bench(option, variable);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let refused = bench(false, false);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("certificate"), "{said}");
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_the_status_tells_of_its_end() {
    let server = Server::start_with_tls();
    let file = |name: &str| server.folder().join(name);
    let old = server.certificate().unwrap();
    fs::write(file("old.pem"), old).unwrap();
    let (code, told) = status(&server, &file("old.pem"));
    assert_eq!((code, &told["certificate"]["problem"]), (Some(0), &serde_json::Value::Null), "{told}");
    assert!(told["certificate"]["seconds_left"].as_i64() > Some(14 * 86_400), "{told}");

    // Only one of the two files is renewed, so the server goes on with the old certificate.
    let key = rcgen::KeyPair::generate().unwrap();
    let new = ending(&key);
    fs::write(file("tls.pem"), &new).unwrap();
    eventually("what can't be used is told", || {
        let (code, told) = status(&server, &file("old.pem"));
        let is_told =
            told["certificate"]["problem"].as_str().is_some_and(|said| said.contains("can't be used"));
        is_told && code == Some(1) && told["state"] == "attention"
    });
    assert!(shows(&server, old) && !shows(&server, &new));

    fs::write(file("tls.key"), key.serialize_pem()).unwrap();
    eventually("the renewed one is shown", || shows(&server, &new));
    assert!(!shows(&server, old));
    let (code, told) = status(&server, &file("tls.pem"));
    assert_eq!((code, &told["certificate"]["problem"]), (Some(1), &serde_json::Value::Null), "{told}");
    let note = told["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("the certificate runs out in 2 d 23 h, at ") && note.contains("tls.pem"),
        "{note}"
    );
}
