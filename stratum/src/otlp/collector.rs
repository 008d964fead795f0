//! The HTTP client of the exporters: it uses the program's own HTTP client and TLS, so that no second ones are linked
//! in.

use crate::client::once;
use crate::client::stream::Peer;
use crate::config::HttpUrl;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use opentelemetry_http::{HttpClient, HttpError};
use std::pin::Pin;
use std::time::Duration;
use stratum_cli::Trust;

/// How long connecting, sending and the answer may take together.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read. An answer only says what was refused and why.
const ANSWER_BYTES: usize = 16 << 10;

/// A collector's address.
#[derive(Clone, Debug)]
pub struct Collector {
    address: String,
    tls: Option<Peer>,
    authority: String,
}

impl Collector {
    pub fn new(url: &HttpUrl) -> Collector {
        let (name, address) = url.host_and_address();
        let tls = url.is_tls.then(|| Peer::new(name, Trust::Machine));
        Collector { address, tls, authority: url.authority.clone() }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        // The request line holds only path and query; scheme and authority say where to connect.
        head.uri = head.uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
        head.headers.insert(HOST, HeaderValue::try_from(&self.authority)?);
        let request = Request::from_parts(head, Full::new(body));
        let asked = once::ask(&self.address, self.tls.as_ref(), request, ANSWER_BYTES);
        let late = |_| format!("no answer within {} s", TIMEOUT.as_secs());
        Ok(tokio::time::timeout(TIMEOUT, asked).await.map_err(late)??)
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a: 'b, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}
