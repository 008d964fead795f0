//! `stratum health`: asks a server whether it is ready, for container health checks.
//!
//! Plain HTTP over one connection, so that an image needs no other tool.

use clap::Args;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// What `stratum health` takes.
#[derive(Args)]
pub struct HealthArgs {
    /// The server's address; a server with TLS is asked no further than whether it accepts.
    #[arg(long, default_value = "127.0.0.1:9000")]
    address: SocketAddr,
    /// The server speaks TLS.
    #[arg(long)]
    tls: bool,
}

/// Ends with 0 when the server is ready, with 1 when it isn't.
pub fn run(args: &HealthArgs) -> ExitCode {
    match is_ready(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("{}: not ready", args.address);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", args.address);
            ExitCode::FAILURE
        }
    }
}

fn is_ready(args: &HealthArgs) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&args.address, PATIENCE)?;
    if args.tls {
        return Ok(true);
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream
        .write_all(b"GET /_stratum/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}
