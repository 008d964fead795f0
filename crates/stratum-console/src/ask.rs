//! The console's requests to S3, IAM and the operator's API, and what their answers mean.

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

/// The longest answer that is read as a document. A list of a thousand keys of a kilobyte each, percent-encoded, fits
/// into it.
const MOST_BYTES: usize = 8 << 20;
const AGENT: &str = concat!("stratum-console/", env!("CARGO_PKG_VERSION"));

/// Sends requests in the name of the key that is signed in.
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
    /// Whether it is about an object without a key, of which there is none.
    is_nameless: bool,
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
            is_nameless: false,
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

    /// A request about an object. Without a key it isn't sent, since its path would be that of the bucket.
    pub fn object(&self, method: Method, bucket: &str, key: &str) -> Asking<'a> {
        let is_nameless = key.is_empty();
        Asking { is_nameless, ..self.asking(method, names::object_path(bucket, key)) }
    }

    /// A request to the operator's API. `path` is what follows `/_stratum/v1`.
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

    /// A presigned link as path and query: whoever has it may send the request until it expires.
    ///
    /// # Errors
    /// The link can't be signed now.
    pub async fn link(&self, link: &Link<'_>) -> Result<String, Trouble> {
        let made = self.door.presign(&self.key, link).await;
        made.ok_or_else(|| Trouble::wrong("The link could not be signed."))
    }
}

impl<'a> Asking<'a> {
    /// Sets the query to a text that is encoded already, such as `tagging`.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// Adds those parameters whose value isn't empty.
    pub fn with<'p>(self, parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let more = names::query(parameters);
        let query = match (self.query.is_empty(), more.is_empty()) {
            (true, _) => more,
            (false, true) => self.query.clone(),
            (false, false) => format!("{}&{more}", self.query),
        };
        self.query(query)
    }

    /// Adds a header, unless its value is empty.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.headers.push((name.into(), value));
        }
        self
    }

    /// Sets a document as the body, with its checksum.
    pub fn document(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        let digest = BASE64.encode(Sha256::digest(&text));
        self.headers.push(("x-amz-checksum-sha256".into(), digest));
        self.text_body(text)
    }

    /// Sets a text as the body, without a checksum. In a CompleteMultipartUpload a checksum header would be taken for
    /// the object's.
    pub fn text_body(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.headers.push((CONTENT_LENGTH.to_string(), text.len().to_string()));
        self.body = Body::from(text);
        self
    }

    /// Sets a body of unknown length, which is sent as it comes.
    pub fn stream(mut self, body: Body) -> Self {
        self.headers.push(("transfer-encoding".into(), "chunked".into()));
        self.body = body;
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn send(self) -> Result<Response<Body>, Trouble> {
        if self.is_nameless {
            return Err(Trouble::NoPage);
        }
        let target = match self.query.is_empty() {
            true => self.path,
            false => format!("{}?{}", self.path, self.query),
        };
        let mut request = Request::builder().method(self.method).uri(&target).header(USER_AGENT, AGENT);
        for (name, value) in &self.headers {
            // A value that no header can carry makes the builder fail, which is told below.
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

    /// Sends the request and ignores the body of the answer.
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
        // CompleteMultipartUpload and CopyObject may answer with status 200 and fail then, so an error may stand in
        // the body.
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

/// Makes `None` of a 404, with which S3 answers when a bucket has no such configuration. That the bucket itself isn't
/// there stays an error, as every other refusal does.
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

/// Makes `None` of every error but that of a session that has ended, for parts of a page that are left out when the
/// key may not read them.
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
    /// An error document of IAM has the error in an element within its root.
    error: Option<Box<ErrorDocument>>,
}

impl ErrorDocument {
    fn refusal(self, status: StatusCode) -> Trouble {
        let (code, message) = match self.error {
            Some(error) => (error.code, error.message),
            None => (self.code, self.message),
        };
        match code.as_str() {
            // The key that is signed in was deleted or has expired.
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
        // The answer to a HEAD has no document.
        Err(_) => ErrorDocument { message: unsaid(head.status).into(), ..ErrorDocument::default() },
    };
    ErrorDocument { request_id: request.to_owned(), ..document }.refusal(head.status)
}

/// A sentence for a status that came without an error document.
fn unsaid(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing of that name.",
        StatusCode::FORBIDDEN => "This key may not look at it.",
        StatusCode::BAD_REQUEST => "There can't be such a one: its name is too long, or its version is none.",
        _ => status.canonical_reason().unwrap_or("It was refused."),
    }
}
