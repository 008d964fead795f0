//! Runs the real binary on a loopback port and a temporary data folder, for tests.

use crate::listening::{self, ANY_PORT};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub const ACCESS_KEY: &str = "TESTROOT";
pub const SECRET_KEY: &str = "test-root-secret";

/// A running server. Dropping this kills it.
pub struct Server {
    process: Child,
    address: SocketAddr,
    certificate: Option<String>,
    folder: tempfile::TempDir,
    /// The server's `--data` folders.
    data: Vec<PathBuf>,
}

impl Server {
    /// Starts a server that serves plain HTTP.
    pub fn start() -> Server {
        Server::launch(None)
    }

    /// Starts a server that serves plain HTTP, of a binary that knows only level 1.
    #[cfg(feature = "faults")]
    pub fn start_older() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let data = vec![folder.path().join("data")];
        Server::launch_with(folder, data, None, &[("STRATUM_KNOWN_LEVEL", "1")])
    }

    /// Starts a server that serves TLS, with a self-signed certificate.
    pub fn start_with_tls() -> Server {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        Server::launch(Some(rcgen::generate_simple_self_signed(names).unwrap()))
    }

    /// Starts a server that serves plain HTTP on these data folders in `folder`, which may hold a store already, with
    /// the `stratum.toml` that lies in `folder`, if there is one.
    pub fn start_on(folder: tempfile::TempDir, names: &[&str]) -> Server {
        let data = names.iter().map(|name| folder.path().join(name)).collect();
        Server::launch_on(folder, data, None)
    }

    fn launch(tls: Option<rcgen::CertifiedKey<rcgen::KeyPair>>) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let data = vec![folder.path().join("data")];
        Server::launch_on(folder, data, tls)
    }

    fn launch_on(
        folder: tempfile::TempDir,
        data: Vec<PathBuf>,
        tls: Option<rcgen::CertifiedKey<rcgen::KeyPair>>,
    ) -> Server {
        Server::launch_with(folder, data, tls, &[])
    }

    fn launch_with(
        folder: tempfile::TempDir,
        data: Vec<PathBuf>,
        tls: Option<rcgen::CertifiedKey<rcgen::KeyPair>>,
        variables: &[(&str, &str)],
    ) -> Server {
        let mut command = command_on(&data, ANY_PORT);
        command.envs(variables.iter().copied());
        if let Some(pair) = &tls {
            let (certificate, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
            std::fs::write(&certificate, pair.cert.pem()).unwrap();
            std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
            let config = folder.path().join("stratum.toml");
            let mut file = std::fs::File::create(&config).unwrap();
            writeln!(file, "[tls]\ncertificate = {certificate:?}\nkey = {key:?}").unwrap();
            command.arg("--config").arg(config);
        }
        if tls.is_none() {
            configure(&mut command, folder.path());
        }
        let (process, address) = spawn(command);
        Server { process, address, certificate: tls.map(|pair| pair.cert.pem()), folder, data }
    }

    /// How many files below a folder the server has open.
    pub fn open_under(&self, folder: &Path) -> usize {
        let links = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.starts_with(folder))).count()
    }

    /// The server's data folder, or the first of several.
    pub fn data(&self) -> PathBuf {
        self.data[0].clone()
    }

    /// The folder in which the data folders lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server and starts it again on its data folders, on another port. A server of plain HTTP gets the
    /// `stratum.toml` that lies in the folder now.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same, with other environment variables.
    pub fn restart_with(&mut self, variables: &[(&str, &str)]) {
        self.kill();
        let mut command = command_on(&self.data, ANY_PORT);
        command.envs(variables.iter().copied());
        if self.certificate.is_none() {
            configure(&mut command, self.folder.path());
        }
        (self.process, self.address) = spawn(command);
    }

    /// Kills the server, as a crash does. Its data folder stays until this is dropped.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Stops the server with SIGTERM, as an operator does; gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let told = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(told.success());
        self.process.wait().unwrap().code()
    }

    /// The server's URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The server's certificate in PEM, if it serves TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}

/// The command that starts a server on a data folder.
pub fn command(data: &Path, address: &str) -> Command {
    command_on(&[data.to_owned()], address)
}

/// Adds the `stratum.toml` that lies in a folder to the command, if there is one.
fn configure(command: &mut Command, folder: &Path) {
    let configuration = folder.join("stratum.toml");
    if configuration.exists() {
        command.arg("--config").arg(configuration);
    }
}

fn spawn(mut command: Command) -> (Child, SocketAddr) {
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let address = listening::address(&mut process);
    (process, address)
}

fn command_on(data: &[PathBuf], address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.arg("server").arg("--address").arg(address);
    for folder in data {
        command.arg("--data").arg(folder);
    }
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
