//! `stratum health`: asks a server whether it is ready, for the health checks of containers.
//!
//! It is part of the program so that a container image needs no other tool for it. Over TLS the certificate isn't
//! verified: nothing secret is sent, and a check on the same host seldom uses the name that the certificate is for.

use crate::client::DEFAULT_ENDPOINT;
use crate::client::connection::{Connection, Endpoint, Expected};
use crate::config::Config;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use stratum_cli::Trust;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const EXIT_NOT_READY: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum health`.
#[derive(Args)]
pub struct HealthArgs {
    /// The server's address, http://HOST:PORT or https://HOST:PORT. [default: http://127.0.0.1:9000]
    #[arg(long, conflicts_with = "config")]
    endpoint: Option<String>,
    /// The configuration file of a server on this machine, to take its address and whether it speaks TLS.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Ends with 0 when the server is ready, with 1 when it isn't ready or doesn't answer, and with 2 when the arguments or
/// the configuration can't be used.
pub fn run(args: &HealthArgs) -> ExitCode {
    let asked = endpoint(args).and_then(|url| {
        let endpoint = Endpoint::parse(&url).map_err(|error| format!("--endpoint: {error}"))?;
        Ok((url, endpoint))
    });
    let (url, endpoint) = match asked {
        Ok(asked) => asked,
        Err(problem) => {
            eprintln!("stratum: {problem}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    match ask(&endpoint.trusting(Trust::Anybody)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{url}: {problem}");
            ExitCode::from(EXIT_NOT_READY)
        }
    }
}

fn endpoint(args: &HealthArgs) -> Result<String, String> {
    let Some(config) = &args.config else {
        return Ok(args.endpoint.clone().unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()));
    };
    let config = Config::read(config).map_err(|error| error.to_string())?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", reachable(config.server.address)))
}

/// The address at which a client on the same host reaches a server that listens on `address`, which may mean every
/// interface.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(every) if every.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(every) if every.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

fn ask(endpoint: &Endpoint) -> Result<(), String> {
    let head = format!(
        "GET /_stratum/health/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        endpoint.host
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut said = Vec::new();
        let mut connection = Connection::new(endpoint);
        let asked = connection.exchange(head.as_bytes(), b"", Expected::Collected(&mut said));
        tokio::time::timeout(ANSWER_TIMEOUT, asked).await
    });
    let answer = answer.map_err(|_| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))?;
    let answer = answer.map_err(|failure| failure.to_string())?;
    match answer.status {
        200 => Ok(()),
        _ => Err(format!("not ready: {}", String::from_utf8_lossy(&answer.error).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_interface_is_reached_by_loopback() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:9000"), "127.0.0.1:9000");
        assert_eq!(of("[::]:9000"), "[::1]:9000");
        assert_eq!(of("192.0.2.1:9000"), "192.0.2.1:9000");
    }
}
