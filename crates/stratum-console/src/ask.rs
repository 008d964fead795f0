//! Requests to S3, IAM and the operator's API, and their answers.

mod answers;

pub use answers::*;

use crate::door::{Door, Key, Link, Via};
use crate::names;
use crate::trouble::{Refusal, Trouble};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The longest document that is read: a list of a thousand keys of a kilobyte, encoded.
const MOST_BYTES: usize = 8 << 20;
const AGENT: &str = concat!("stratum-console/", env!("CARGO_PKG_VERSION"));

/// Whoever is signed in, as they ask.
#[derive(Clone)]
pub struct Ask<'a> {
    door: &'a dyn Door,
    key: Key,
    via: &'a Via,
}

/// A request that is being put together.
pub struct Asking<'a> {
    ask: Ask<'a>,
    method: Method,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Body,
}

impl<'a> Ask<'a> {
    pub fn new(door: &'a dyn Door, key: Key, via: &'a Via) -> Ask<'a> {
        Ask { door, key, via }
    }

    fn asking(&self, method: Method, path: String) -> Asking<'a> {
        Asking {
            ask: self.clone(),
            method,
            path,
            query: String::new(),
            headers: Vec::new(),
            body: Body::empty(),
        }
    }

    /// A request about the list of buckets.
    pub fn service(&self) -> Asking<'a> {
        self.asking(Method::GET, "/".into())
    }

    /// A request about a bucket.
    pub fn bucket(&self, method: Method, bucket: &str) -> Asking<'a> {
        self.asking(method, names::bucket_path(bucket))
    }

    /// A request about an object.
    pub fn object(&self, method: Method, bucket: &str, key: &str) -> Asking<'a> {
        self.asking(method, names::object_path(bucket, key))
    }

    /// A request to operate the store, whose path begins after `/_stratum/v1`.
    pub fn operator(&self, method: Method, path: &str) -> Asking<'a> {
        self.asking(method, format!("/_stratum/v1{path}"))
    }

    /// A request to IAM.
    pub fn iam(&self, action: &str, fields: &[(&str, &str)]) -> Asking<'a> {
        let all = [("Action", action), ("Version", "2010-05-08")].into_iter().chain(fields.iter().copied());
        let form = names::form(all);
        let mut asking = self.asking(Method::POST, "/".into());
        asking.headers.push((CONTENT_TYPE.to_string(), "application/x-www-form-urlencoded".into()));
        asking.headers.push((CONTENT_LENGTH.to_string(), form.len().to_string()));
        asking.body = Body::from(form);
        asking
    }

    /// A link that lets whoever has it do that for so long, as path and query.
    ///
    /// # Errors
    /// That it can't be signed now.
    pub async fn link(&self, link: &Link<'_>) -> Result<String, Trouble> {
        let made = self.door.presign(&self.key, link).await;
        made.ok_or_else(|| Trouble::wrong("The link could not be signed."))
    }
}

impl<'a> Asking<'a> {
    /// The query as it is written, such as `tagging`.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// Parameters, those that have a value.
    pub fn with<'p>(self, parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let more = names::query(parameters);
        let query = match (self.query.is_empty(), more.is_empty()) {
            (true, _) => more,
            (false, true) => self.query.clone(),
            (false, false) => format!("{}&{more}", self.query),
        };
        self.query(query)
    }

    /// A header, if it has a value.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.headers.push((name.into(), value));
        }
        self
    }

    /// A document, with what shows that it came whole.
    pub fn document(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        let digest = BASE64.encode(Sha256::digest(&text));
        self.headers.push(("x-amz-checksum-sha256".into(), digest));
        self.text_body(text)
    }

    /// A text for a body. Of a Complete a checksum would be the object's.
    pub fn text_body(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.headers.push((CONTENT_LENGTH.to_string(), text.len().to_string()));
        self.body = Body::from(text);
        self
    }

    /// Bytes as they come.
    pub fn stream(mut self, body: Body) -> Self {
        self.headers.push(("transfer-encoding".into(), "chunked".into()));
        self.body = body;
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn send(self) -> Result<Response<Body>, Trouble> {
        let target = match self.query.is_empty() {
            true => self.path,
            false => format!("{}?{}", self.path, self.query),
        };
        let mut request = Request::builder().method(self.method).uri(&target).header(USER_AGENT, AGENT);
        for (name, value) in &self.headers {
            // A header carries what it can; what it can't is refused here and not by whoever reads it.
            request = request.header(name, value);
        }
        let request = request.body(self.body).map_err(|_| {
            Trouble::wrong("What was entered can't be sent: it holds characters that HTTP doesn't carry.")
        })?;
        let response = self.ask.door.send(&self.ask.key, self.ask.via, request).await;
        match response.status() {
            status if status.is_success() || status.is_redirection() => Ok(response),
            _ => Err(refused(response).await),
        }
    }

    /// Sends it and has no use for the answer's body.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn done(self) -> Result<HeaderMap, Trouble> {
        self.send().await.map(|response| response.into_parts().0.headers)
    }

    /// # Errors
    /// What the store refuses.
    pub async fn text(self) -> Result<String, Trouble> {
        let response = self.send().await?;
        let bytes = whole(response.into_body()).await?;
        // CompleteMultipartUpload and CopyObject fail in the middle of a 200.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match quick_xml::de::from_str::<ErrorDocument>(&text) {
            Ok(error) if text.contains("<Error>") && !error.code.is_empty() => {
                Err(error.refusal(StatusCode::INTERNAL_SERVER_ERROR))
            }
            _ => Ok(text),
        }
    }

    /// # Errors
    /// What the store refuses, or an answer that can't be read.
    pub async fn xml<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        let text = self.text().await?;
        quick_xml::de::from_str(&text).map_err(|error| unreadable(&error))
    }

    /// # Errors
    /// What the store refuses, or an answer that can't be read.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        let bytes = whole(self.send().await?.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
    }
}

/// What a bucket hasn't is nothing; other refusals, one of the bucket itself among them, stay what they are.
pub fn if_there<T>(answer: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Trouble::Refused(refusal))
            if refusal.status == StatusCode::NOT_FOUND && refusal.code != "NoSuchBucket" =>
        {
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}

/// What can't be had is nothing, but for the session.
pub fn if_allowed<T>(answer: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(_) => Ok(None),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Trouble {
    tracing::warn!(%error, "an answer to the console can't be read");
    Trouble::wrong("The server's answer can't be read by this page.")
}

async fn whole(body: Body) -> Result<Bytes, Trouble> {
    let read = Limited::new(body, MOST_BYTES).collect().await;
    read.map(|read| read.to_bytes()).map_err(|_| Trouble::wrong("The server's answer was cut off."))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorDocument {
    code: String,
    message: String,
    request_id: String,
    /// IAM's has its error within.
    error: Option<Box<ErrorDocument>>,
}

impl ErrorDocument {
    fn refusal(self, status: StatusCode) -> Trouble {
        let (code, message) = match self.error {
            Some(error) => (error.code, error.message),
            None => (self.code, self.message),
        };
        match code.as_str() {
            // The key that signed in was taken away.
            "InvalidAccessKeyId" | "InvalidClientTokenId" | "ExpiredToken" | "InvalidToken" => {
                Trouble::SignedOut
            }
            _ => Trouble::Refused(Refusal { status, code, message, request: self.request_id }),
        }
    }
}

async fn refused(response: Response<Body>) -> Trouble {
    let (head, body) = response.into_parts();
    let request = head.headers.get("x-amz-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let text =
        whole(body).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if text.starts_with('{') {
        #[derive(Deserialize)]
        struct Operators {
            error: String,
        }
        let error = serde_json::from_str::<Operators>(&text).map(|told| told.error).unwrap_or_default();
        return Trouble::Refused(Refusal { status: head.status, message: error, ..Refusal::default() });
    }
    let document = match quick_xml::de::from_str::<ErrorDocument>(&text) {
        Ok(document) => document,
        // A HEAD has no document.
        Err(_) => ErrorDocument { message: unsaid(head.status).into(), ..ErrorDocument::default() },
    };
    ErrorDocument { request_id: request.to_owned(), ..document }.refusal(head.status)
}

/// What a status says that comes without a word.
fn unsaid(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing of that name.",
        StatusCode::FORBIDDEN => "This key may not look at it.",
        StatusCode::BAD_REQUEST => "There can't be such a one: its name is too long, or its version is none.",
        _ => status.canonical_reason().unwrap_or("It was refused."),
    }
}
