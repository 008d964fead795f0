//! What requests come over, plain HTTP or TLS. Requests carry it as extensions, since policies ask about it and access
//! logs tell it.

use http::Extensions;
use http::uri::Scheme;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};

/// What the requests of a connection come over.
#[derive(Clone, Copy, Debug)]
pub enum Channel {
    Plain,
    Tls(Option<Tls>),
}

impl Channel {
    /// Has a request carry what it came over: a `Scheme`, and a [`Tls`] where the handshake agreed on a known version.
    pub fn tell(self, extensions: &mut Extensions) {
        match self {
            Channel::Plain => drop(extensions.insert(Scheme::HTTP)),
            Channel::Tls(tls) => {
                extensions.insert(Scheme::HTTPS);
                if let Some(tls) = tls {
                    extensions.insert(tls);
                }
            }
        }
    }
}

/// What the TLS handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The version of TLS: `1.2` or `1.3`.
    pub version: &'static str,
    /// The name that IANA gives to the cipher suite.
    pub suite: &'static str,
}

impl Tls {
    /// What a current client agrees on, for a request that is only simulated.
    pub const USUAL: Tls = Tls { version: "1.3", suite: "TLS_AES_256_GCM_SHA384" };

    /// What the handshake of a connection agreed on; `None` before the handshake is over, and for a version that isn't
    /// known.
    pub fn of(connection: &ServerConnection) -> Option<Tls> {
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "1.2",
            ProtocolVersion::TLSv1_3 => "1.3",
            _ => return None,
        };
        let suite = match connection.negotiated_cipher_suite()?.suite() {
            // rustls has names of its own for these.
            CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
            other => other.as_str()?,
        };
        Some(Tls { version, suite })
    }
}
