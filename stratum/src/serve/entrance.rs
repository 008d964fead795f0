//! What clients connect through, made ready before any drive is touched.

use crate::config::{Config, SENDABLE, Tls, can_be_sent};
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
            connections: connections(config)?,
            certificate: config.tls.as_ref().map(|files| certificate(files, config)).transpose()?,
            token: scrapers_token(variable(TOKEN_VARIABLE), config)?,
        })
    }
}

fn connections(config: &Config) -> Result<usize, Failure> {
    let asked = config.server.connections.as_ref();
    let limit = connection_limit(descriptor_limit(), asked.map(|asked| *asked.get_ref()));
    let field = || asked.map(|asked| config.place("server.connections", asked)).unwrap_or_default();
    limit.map_err(|problem| format!("{}: {problem}", field()).into())
}

fn certificate(files: &Tls, config: &Config) -> Result<Arc<Certificate>, Failure> {
    Certificate::read(files.certificate.get_ref(), files.key.get_ref()).map_err(|error| {
        let field = match error.path() {
            Some(path) if path == files.key.get_ref() => config.place("tls.key", &files.key),
            _ => config.place("tls.certificate", &files.certificate),
        };
        format!("{field}: {error}").into()
    })
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
    fn what_proves_wrong_at_the_start_is_told_with_its_file_line_and_field() {
        let parsed = |text: &str| Config::parse(Path::new("x"), text).unwrap();
        let told = connections(&parsed("[server]\nconnections = 5\n")).unwrap_err().to_string();
        assert!(told.starts_with("x, line 2, server.connections: a server has at least"), "{told}");
        let folder = tempfile::tempdir().unwrap();
        let certificate_of = |chain: &Path, key: &Path| {
            let config = parsed(&format!("[tls]\ncertificate = {chain:?}\nkey = {key:?}\n"));
            certificate(config.tls.as_ref().unwrap(), &config).unwrap_err().to_string()
        };
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let [chain, key, absent] = ["chain", "key", "absent"].map(|name| folder.path().join(name));
        std::fs::write(&chain, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let told = certificate_of(&absent, &key);
        assert!(told.starts_with("x, line 2, tls.certificate: /") && told.contains("absent"), "{told}");
        let told = certificate_of(&chain, &absent);
        assert!(told.starts_with("x, line 3, tls.key: /") && told.contains("absent"), "{told}");
        let told = certificate_of(&key, &key);
        assert!(told.contains("tls."), "{told}");
    }

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
