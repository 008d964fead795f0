//! Parses the address that a server listens on, as people write it in the configuration and on the command line.

use std::net::{SocketAddr, ToSocketAddrs};

/// Takes `127.0.0.1:9000`, `[::1]:9000`, `localhost:9000`, and `:9000` for every IPv4 interface. Where a name has
/// several addresses, its first IPv4 address is taken, since every client on the same host tries that one.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let expected = |problem: String| {
        format!(
            "\"{text}\" is no address to listen on, such as 127.0.0.1:9000, localhost:9000 or :9000{problem}"
        )
    };
    let everywhere;
    let named = match text.strip_prefix(':') {
        Some(port) => {
            everywhere = format!("0.0.0.0:{port}");
            everywhere.as_str()
        }
        None => text,
    };
    let found: Vec<SocketAddr> =
        named.to_socket_addrs().map_err(|error| expected(format!(": {error}")))?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| expected(String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_an_ip_address_and_a_bare_port_are_addresses() {
        for (text, address) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
            (":9000", "0.0.0.0:9000"),
            ("[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), Ok(address));
        }
        for text in ["", "9000", ":", "localhost", "127.0.0.1:port", ":99999"] {
            assert!(parse(text).is_err_and(|problem| problem.contains("such as 127.0.0.1:9000")), "{text}");
        }
    }
}
