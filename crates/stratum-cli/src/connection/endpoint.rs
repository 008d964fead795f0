//! An endpoint's URL.

use crate::machine::is_of_this_machine;
use std::fmt;

/// `http://HOST:PORT` or `https://HOST:PORT`, and maybe a path under which it serves S3.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    is_tls: bool,
    /// Host and port as the `Host` header has them: the port of the scheme is left out.
    authority: String,
    /// Empty, or a path that begins with a slash and doesn't end with one.
    base: String,
}

impl Endpoint {
    /// Reads a URL. One with a user, a query or a fragment is no endpoint.
    pub fn parse(url: &str) -> Option<Endpoint> {
        let uri: http::Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.host().is_empty() || authority.as_str().contains('@') || url.contains(['?', '#']) {
            return None;
        }
        let usual = if is_tls { 443 } else { 80 };
        let authority = match authority.port_u16() {
            Some(port) if port != usual => format!("{}:{port}", authority.host()),
            Some(_) => authority.host().to_owned(),
            // What follows the host is no port: another one isn't asked in its place.
            None if authority.as_str() != authority.host() => return None,
            None => authority.host().to_owned(),
        };
        Some(Endpoint { is_tls, authority, base: uri.path().trim_end_matches('/').to_owned() })
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is this machine, whatever the port. A name other than `localhost` isn't looked up for that, since what
    /// is looked up once may be another machine the next time.
    pub fn is_of_this_machine(&self) -> bool {
        let Ok(authority) = self.authority.parse::<http::uri::Authority>() else { return false };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_of_this_machine)
    }

    /// Whether it is AWS itself.
    pub fn is_aws(&self) -> bool {
        self.authority.ends_with(".amazonaws.com")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_endpoints_or_refused() {
        for (url, told) in [
            ("http://localhost:9000", "http://localhost:9000"),
            ("http://localhost:9000/", "http://localhost:9000"),
            ("https://s3.example:443", "https://s3.example"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("https://gate.example/s3/", "https://gate.example/s3"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), told);
        }
        for url in [
            "localhost:9000",
            "ftp://x",
            "http://",
            "http://a@b",
            "http://x/?q",
            "http://x:",
            "http://x:99999",
            "https://x:65536",
            "http://[::1]:99999",
            "http://x:-1",
            "x",
            "",
        ] {
            assert!(Endpoint::parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        let is_of_this_machine = |url: &str| Endpoint::parse(url).unwrap().is_of_this_machine();
        for url in
            ["http://localhost:9000", "http://127.0.0.1", "http://127.9.9.9:1", "https://[::1]:9000/s3"]
        {
            assert!(is_of_this_machine(url), "{url}");
        }
        for url in [
            "http://localhost.example",
            "http://192.0.2.1:9000",
            "https://[2001:db8::1]",
            "http://127.0.0.1.example",
        ] {
            assert!(!is_of_this_machine(url), "{url}");
        }
    }
}
