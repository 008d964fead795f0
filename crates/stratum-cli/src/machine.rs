//! What commands need to know of the machine that they run on. Clock and environment are handed in, so that this crate
//! asks neither itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, SystemTime};

/// The port of the discard protocol, to which nothing is sent.
const DISCARD_PORT: u16 = 9;

/// The machine's clock, and the Stratum server on it.
#[derive(Clone, Copy)]
pub struct Machine {
    /// The wall clock.
    pub now: fn() -> SystemTime,
    /// Time since some moment of this process; it never goes back.
    pub monotonic: fn() -> Duration,
    /// A variable of the environment, without blanks around it; an empty one is none.
    pub variable: fn(&str) -> Option<String>,
    /// The Stratum server of this machine, if the user may read the root credentials that it keeps.
    pub local: fn() -> Option<LocalServer>,
}

/// Whether an address is one of this machine. Root's key that a server keeps here signs for no other: who gets a request
/// that it signed can hand that on to the server.
pub fn is_of_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // This sends nothing: the system only chooses whence it would send, and to an address of its own that is the same
    // address.
    let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD_PORT))?;
        socket.local_addr()
    });
    chosen.is_ok_and(|chosen| chosen.ip() == address)
}

/// A Stratum server on this machine.
#[derive(Clone)]
pub struct LocalServer {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    /// Where the credentials were found, for people.
    pub origin: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_of_this_machine(address.parse().unwrap()), "{address}");
        }
        // Addresses for documentation, which no machine has.
        for address in ["192.0.2.1", "2001:db8::1"] {
            assert!(!is_of_this_machine(address.parse().unwrap()), "{address}");
        }
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        if socket.connect(("192.0.2.1", DISCARD_PORT)).is_ok() {
            assert!(is_of_this_machine(socket.local_addr().unwrap().ip()), "the address of its network");
        }
    }
}
