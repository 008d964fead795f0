//! What the listener needs from the system: the address, file descriptors for connections, and the signal to stop.

use crate::failure::Failure;
use std::net::SocketAddr;
use stratum_api::server::Connections;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};

/// Binds the address without listening on it yet. The address is bound early so that a start whose address is taken
/// touches no drive; the server listens later, so that no client waits for a server that may fail to start.
pub fn bind(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let taken = |error: std::io::Error| format!("{address}: can't listen: {error}");
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(taken)?;
    socket.set_reuseaddr(true).and_then(|()| socket.bind(address)).map_err(taken)?;
    Ok(socket)
}

/// Raises the limit of open files as far as the system allows, since each connection and each open shard file takes a
/// descriptor; gives the limit.
pub fn descriptor_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections are served at a time: as many as the configuration says, or else the default. It is at most
/// half of the descriptors, since drives and volumes need the other half.
///
/// # Errors
/// Why there can't be so many, as what follows the name of the field.
pub fn connection_limit(descriptors: u64, asked: Option<usize>) -> Result<usize, String> {
    const LEAST_CONNECTIONS: usize = 16;
    let most = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
    match asked {
        None => Ok(Connections::USUAL_LIMIT.min(most).max(LEAST_CONNECTIONS)),
        Some(asked) if asked < LEAST_CONNECTIONS => {
            Err(format!("a server has at least {LEAST_CONNECTIONS}, not {asked}"))
        }
        Some(asked) if asked > most => Err(format!(
            "the limit of {descriptors} open files allows {most}, half of it, and not {asked}; raise that limit (`ulimit \
             -n`, or LimitNOFILE= of a systemd unit) or ask for fewer"
        )),
        Some(asked) => Ok(asked),
    }
}

/// A future that ends when the process gets SIGTERM or SIGINT.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_connections_is_at_most_half_of_the_descriptors() {
        let limit = connection_limit;
        assert_eq!(limit(1 << 20, None), Ok(4096));
        assert_eq!(limit(1024, None), Ok(512));
        assert_eq!(limit(1 << 20, Some(20_000)), Ok(20_000));
        let told = limit(4096, Some(3000)).unwrap_err();
        assert!(told.contains("not 3000") && told.contains("allows 2048"), "{told}");
        assert!(limit(1 << 20, Some(1)).is_err());
    }
}
