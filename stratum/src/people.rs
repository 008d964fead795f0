//! Runs `stratum ls`, `cp`, `rm` and the other commands of the crate `stratum-cli`, and gives them what they need of
//! this machine: clocks, environment, and the credentials of a server here.

use crate::client::DEFAULT_ENDPOINT;
use crate::credentials::{self, Credentials};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use stratum_cli::{Command, LocalServer, Machine};
use stratum_storage::ambient::{Clock, System};

/// The data folder of a server that is started without `--data`.
const DEFAULT_DATA: &str = "data";

/// Runs a command.
pub fn run(command: Command) -> ExitCode {
    stratum_cli::run(command, machine())
}

/// What the commands need of this machine.
pub fn machine() -> Machine {
    Machine {
        now: || SystemTime::UNIX_EPOCH + Duration::from_millis(System.now()),
        monotonic: || System.monotonic(),
        variable: credentials::variable,
        local,
    }
}

/// A server on this machine, with root's credentials from the environment or from `./data`, if they are there.
fn local() -> Option<LocalServer> {
    let of_environment =
        || Some((Credentials::from_environment().ok()??, "STRATUM_ROOT_ACCESS_KEY".to_owned()));
    let kept = || {
        let (kept, file) = Credentials::kept_in(Path::new(DEFAULT_DATA)).ok()??;
        Some((kept, format!("./{}", file.display())))
    };
    let (Credentials { access_key, secret_key }, origin) = of_environment().or_else(kept)?;
    Some(LocalServer { endpoint: DEFAULT_ENDPOINT.to_owned(), access_key, secret_key, origin })
}
