//! The pool of connections to an endpoint, and what their failures mean.

use crate::connection::Connection;
use crate::trust::{TrustError, no_tls};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

pub type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request. It is shorter than servers let connections wait, so that a
/// request doesn't meet one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// How much is read from a connection at a time at most. The bytes of a large body fill it.
const READ_BYTES: usize = 512 << 10;

/// How many headers an answer may have. Each item of an object's user metadata is one, and S3's 2 KiB of it may hold
/// hundreds.
const MAX_HEADERS: usize = 1024;

/// A client for one endpoint.
pub fn http(connection: &Connection) -> Result<Http, TrustError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let tls = if connection.endpoint.is_tls() { connection.trust.tls()? } else { no_tls()? };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).http1_max_buf_size(READ_BYTES);
    builder.http1_max_headers(MAX_HEADERS);
    Ok(builder.build(connector))
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Refused,
    Unresolved,
    Untrusted,
    NotTls,
    NotHttp,
    Late,
    Other,
}

impl Trouble {
    /// What caused an error of hyper's.
    pub fn of(error: &(dyn Error + 'static)) -> Trouble {
        let mut next = Some(error);
        let mut found = Trouble::Other;
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && let Some(trouble) = Trouble::of_io(io)
            {
                return trouble;
            }
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Trouble::of_tls(tls);
            }
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                found = Trouble::NotHttp;
            }
            if error.to_string().contains("dns error") {
                found = Trouble::Unresolved;
            }
            next = error.source();
        }
        found
    }

    /// What an I/O error means. It may wrap another error, which `source` doesn't give, so that is looked at here.
    fn of_io(error: &std::io::Error) -> Option<Trouble> {
        match error.kind() {
            ErrorKind::ConnectionRefused => return Some(Trouble::Refused),
            ErrorKind::TimedOut => return Some(Trouble::Late),
            _ => {}
        }
        let inner = error.get_ref()?;
        let of_tls = || inner.downcast_ref::<rustls::Error>().map(Trouble::of_tls);
        inner.downcast_ref::<std::io::Error>().and_then(Trouble::of_io).or_else(of_tls)
    }

    fn of_tls(error: &rustls::Error) -> Trouble {
        match error {
            rustls::Error::InvalidCertificate(_) => Trouble::Untrusted,
            rustls::Error::InvalidMessage(_) => Trouble::NotTls,
            _ => Trouble::Other,
        }
    }
}

/// An error and its sources in one line.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        source = error.source();
    }
    words
}
