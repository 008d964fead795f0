//! `stratum ls`, `cp`, `rm` and what else people do with a store (`stratum-cli`): what of this machine they are told.

use crate::client::DEFAULT_ENDPOINT;
use crate::credentials::{self, Credentials};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use stratum_cli::{Command, LocalServer, Machine};
use stratum_storage::ambient::{Clock, System};

/// Where a server keeps its data unless it is told otherwise.
const DEFAULT_DATA: &str = "data";

/// Does what the command says.
pub fn run(command: Command) -> ExitCode {
    stratum_cli::run(command, machine())
}

/// This machine.
pub fn machine() -> Machine {
    Machine {
        now: || SystemTime::UNIX_EPOCH + Duration::from_millis(System.now()),
        monotonic: || System.monotonic(),
        variable: credentials::variable,
        local,
    }
}

/// The server of this machine: root's credentials from the environment, or from `./data`.
fn local() -> Option<LocalServer> {
    let of_environment =
        || Some((Credentials::from_environment().ok()??, "STRATUM_ROOT_ACCESS_KEY".to_owned()));
    let kept = || {
        let path = Path::new(DEFAULT_DATA).join("meta").join(credentials::FILE);
        let text = std::fs::read_to_string(&path).ok()?;
        Some((Credentials::from_file(&text)?, format!("./{}", path.display())))
    };
    let (Credentials { access_key, secret_key }, origin) = of_environment().or_else(kept)?;
    Some(LocalServer { endpoint: DEFAULT_ENDPOINT.to_owned(), access_key, secret_key, origin })
}
