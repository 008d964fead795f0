//! Webhooks: receivers of events and of the audit, to which the server sends POST requests. Only those exist that the
//! operator's configuration names.
//!
//! A POST counts as delivered when an answer with a status of 2xx arrives in time. Redirects are not followed, and only
//! the head of the answer is read.

use crate::client::once::{self, Unanswered};
use crate::client::stream::Peer;
use crate::config::WebhookEntry;
use crate::failure::Failure;
use crate::private;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_cli::Trust;

/// How long connecting, sending and the head of the answer may take together.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The webhooks that the configuration names.
#[derive(Clone, Default)]
pub struct Webhooks(Arc<BTreeMap<String, Arc<Webhook>>>);

impl Webhooks {
    /// Makes the webhooks of these entries.
    ///
    /// # Errors
    /// As for [`Webhook::of`].
    pub fn of(entries: &[WebhookEntry]) -> Result<Webhooks, Failure> {
        let made =
            entries.iter().map(|entry| Ok((entry.name.get_ref().clone(), Arc::new(Webhook::of(entry)?))));
        Ok(Webhooks(Arc::new(made.collect::<Result<_, Failure>>()?)))
    }

    pub fn named(&self, name: &str) -> Option<Arc<Webhook>> {
        self.0.get(name).cloned()
    }
}

/// A receiver.
pub struct Webhook {
    pub name: String,
    address: String,
    tls: Option<Peer>,
    host: HeaderValue,
    target: String,
    token: Option<HeaderValue>,
}

/// Why a POST was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    #[error("no answer within {} s", DELIVERY_TIMEOUT.as_secs())]
    Late,
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the request can't be written: {0}")]
    Request(#[from] http::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Webhook {
    /// Makes the webhook of an entry of the configuration.
    ///
    /// # Errors
    /// The file of the token can't be read, holds no token, or others than its owner may read it.
    fn of(entry: &WebhookEntry) -> Result<Webhook, Failure> {
        let (name, address) = entry.url.host_and_address();
        let webhook = entry.name.get_ref().clone();
        let wrong = |problem: String| format!("the webhook {webhook}: {problem}");
        let token = entry.token_file.as_deref().map(token).transpose().map_err(wrong)?;
        let host = HeaderValue::try_from(&entry.url.authority).map_err(|error| wrong(error.to_string()))?;
        let tls = entry.url.is_tls.then(|| Peer::new(name, Trust::Machine));
        Ok(Webhook { name: webhook.clone(), address, tls, host, target: entry.url.target.clone(), token })
    }

    /// Sends a body to the webhook.
    ///
    /// # Errors
    /// The webhook didn't confirm it. The body may have arrived nevertheless.
    pub async fn deliver(&self, content_type: &'static str, body: Bytes) -> Result<(), Undelivered> {
        let answered = tokio::time::timeout(DELIVERY_TIMEOUT, self.post(content_type, body)).await;
        match answered.map_err(|_| Undelivered::Late)?? {
            status if status.is_success() => Ok(()),
            status => Err(Undelivered::Status(status)),
        }
    }

    async fn post(&self, content_type: &'static str, body: Bytes) -> Result<StatusCode, Undelivered> {
        let mut request = Request::post(&self.target)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, content_type)
            .header(USER_AGENT, concat!("stratum/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body))?;
        Ok(once::ask(&self.address, self.tls.as_ref(), request, 0).await?.status())
    }
}

/// The `Authorization` header with the token in a file.
fn token(file: &Path) -> Result<HeaderValue, String> {
    let at = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
    let text = private::read(file).map_err(|problem| at(&problem))?;
    let text = text.trim();
    let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| at(&"it holds no token"))?;
    if text.is_empty() {
        return Err(at(&"it holds no token"));
    }
    value.set_sensitive(true);
    Ok(value)
}
