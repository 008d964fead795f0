//! What clients connect through, made ready before any drive is touched.

use crate::config::{Config, SENDABLE, can_be_sent};
use crate::credentials::variable;
use crate::failure::Failure;
use crate::listen::{self, connection_limit, descriptor_limit};
use std::sync::Arc;
use stratum_api::server::tls::Certificate;
use tokio::net::TcpSocket;

/// The environment variable that may hold the token of `[metrics]`.
const TOKEN_VARIABLE: &str = "STRATUM_METRICS_TOKEN";

/// What clients connect through.
pub struct Entrance {
    /// The socket, which is bound to the address and doesn't listen yet.
    pub socket: TcpSocket,
    /// The most connections at a time.
    pub connections: usize,
    pub certificate: Option<Arc<Certificate>>,
    /// The token that a scraper of metrics must send.
    pub token: Option<String>,
}

impl Entrance {
    pub fn of(config: &Config) -> Result<Entrance, Failure> {
        Ok(Entrance {
            socket: listen::bind(config.server.address)?,
            connections: connection_limit(descriptor_limit(), config.server.connections)?,
            certificate: (config.tls.as_ref())
                .map(|files| Certificate::read(&files.certificate, &files.key))
                .transpose()?,
            token: scrapers_token(variable(TOKEN_VARIABLE), config)?,
        })
    }
}

/// The token that a scraper of metrics must send: from the environment, as is usual for secrets in containers, or from
/// the configuration.
fn scrapers_token(said: Option<String>, config: &Config) -> Result<Option<String>, Failure> {
    match (said, &config.metrics.token) {
        (Some(_), Some(_)) => {
            Err(format!("{TOKEN_VARIABLE} and metrics.token both set the token: leave one out").into())
        }
        (Some(said), None) if !can_be_sent(&said) => {
            Err(format!("{TOKEN_VARIABLE} can't be sent in a header: {SENDABLE}").into())
        }
        (said, None) => Ok(said),
        (None, Some(token)) => Ok(Some(token.0.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_token_of_scrapers_may_be_given_in_one_place_only() {
        let config = |text| Config::parse(Path::new("x"), text).unwrap();
        let (none, own) = (config(""), config("[metrics]\ntoken = \"own\"\n"));
        let told = |said: Option<&str>, config| scrapers_token(said.map(str::to_owned), config).ok();
        assert_eq!(told(None, &none), Some(None));
        assert_eq!(told(Some("said"), &none), Some(Some("said".into())));
        assert_eq!(told(None, &own), Some(Some("own".into())));
        assert_eq!(told(Some("said"), &own), None);
        assert_eq!(told(Some("said\n"), &none), None, "no scraper can send it");
    }
}
