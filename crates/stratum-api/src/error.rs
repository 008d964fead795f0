//! The errors of operations, as S3 tells them.
//!
//! Inside the crate an operation fails with an [`S3Error`]: a code of S3's list with its status, a message for people,
//! and the extra elements that some codes carry. [`translate`] is the one place where the failures of the layers below
//! become an `S3Error`; [`S3Error::respond`] is the one place where an `S3Error` becomes a response.

mod code;
mod translate;

pub use code::Code;

use crate::request_id::RequestId;
use crate::text::{self, DECLARATION};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::borrow::Cow;
use std::fmt::Write;

/// The header that names the region of a bucket, or of this server.
pub const BUCKET_REGION: header::HeaderName = header::HeaderName::from_static("x-amz-bucket-region");

/// The most bytes of a value that an error document quotes, so that what a client sends doesn't come back to it many
/// times over.
const QUOTED_BYTES: usize = 4 << 10;

/// What an operation returns.
pub type S3Result = Result<Response<Body>, S3Error>;

/// A failure with its S3 code. Its fields are boxed, so that it is small to return.
#[derive(Debug)]
pub struct S3Error(Box<Detail>);

#[derive(Debug)]
struct Detail {
    code: Code,
    message: Cow<'static, str>,
    /// Elements of the error document besides the usual ones, in order.
    extra: Vec<(&'static str, String)>,
    /// Headers of the response, such as `Allow` or `Content-Range`.
    headers: Vec<(header::HeaderName, HeaderValue)>,
    /// The real cause, for the log and never for the client.
    cause: Option<String>,
}

impl S3Error {
    /// An error of that code with the code's usual message.
    pub fn new(code: Code) -> Self {
        Self(Box::new(Detail {
            code,
            message: Cow::Borrowed(code.message()),
            extra: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// Sets a message that says what was wrong with this request.
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Adds an element that the code carries, such as `Key` or `ArgumentName`.
    pub fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.0.extra.push((element, value.into()));
        self
    }

    /// Adds a header of the response.
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Sets the real cause, for the log.
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// `InvalidArgument` with the name and the value of the argument, as S3 tells them.
    pub fn invalid_argument(
        name: impl Into<String>,
        value: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        S3Error::new(Code::InvalidArgument)
            .message(message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// The refusal of a write with which more would be held than the quota of `of` (`bucket` or `user`) allows.
    pub fn quota_exceeded(of: &'static str) -> Self {
        metrics::counter!("stratum_quota_refused_total", "of" => of).increment(1);
        S3Error::new(Code::QuotaExceeded).because(format_args!("the {of}'s quota is used up"))
    }

    /// `NotImplemented`, naming `what`, which isn't built.
    pub fn not_implemented(what: &str) -> Self {
        S3Error::new(Code::NotImplemented).message(format!("{what} is not implemented by this server."))
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message for people, which errors inside a 200 (DeleteObjects) carry, too.
    pub fn text(&self) -> &str {
        &self.0.message
    }

    /// The real cause, where the client isn't told it.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The response: S3's error document, or only the head for a HEAD request and for a 304.
    pub fn respond(self, id: &RequestId, resource: &str, head_only: bool) -> Response<Body> {
        let status = self.0.code.status();
        let bare = head_only || status == StatusCode::NOT_MODIFIED;
        let body = if bare { Bytes::new() } else { Bytes::from(self.document(id, resource)) };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in self.0.headers {
            headers.append(name, value);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // What causes a 503 is usually over after a second. Clients that aren't told so try again at once, or much
            // later.
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if !bare {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        response
    }

    pub(crate) fn document(&self, id: &RequestId, resource: &str) -> String {
        let mut out = String::with_capacity(384);
        out.push_str(DECLARATION);
        out.push_str("<Error>");
        element(&mut out, "Code", self.0.code.name());
        element(&mut out, "Message", &self.0.message);
        for (name, value) in &self.0.extra {
            element(&mut out, name, value);
        }
        element(&mut out, "Resource", resource);
        element(&mut out, "RequestId", id.as_str());
        element(&mut out, "HostId", id.as_str());
        out.push_str("</Error>");
        out
    }
}

/// Writes an element, escaping what XML 1.0 can't hold as it is (quotes it can, and S3 sends them so), and no more than [`QUOTED_BYTES`] of its value.
fn element(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "<{name}>");
    let end = (0..=QUOTED_BYTES.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
    let quoted = value.get(..end.unwrap_or_default()).unwrap_or_default();
    for char in quoted.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            char => match text::replacement(char) {
                Some(text) => out.push_str(text),
                None => out.push(char),
            },
        }
    }
    let _ = write!(out, "</{name}>");
}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        S3Error::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_the_request_and_escapes_what_it_quotes() {
        let id = RequestId::from_u64(0x1234);
        let error = S3Error::new(Code::NoSuchKey).with("Key", "a<b>&\u{1}\"'");
        let text = error.document(&id, "/bucket/a");
        assert!(text.contains("<Code>NoSuchKey</Code>"), "{text}");
        assert!(text.contains("<Key>a&lt;b&gt;&amp;\u{fffd}\"'</Key>"), "{text}");
        assert!(
            text.contains("<Resource>/bucket/a</Resource><RequestId>0000000000001234</RequestId>"),
            "{text}"
        );
    }

    #[test]
    fn a_document_quotes_a_few_kib_at_most() {
        let id = RequestId::from_u64(1);
        let long = "\u{e9}".repeat(100_000);
        let text = S3Error::new(Code::NoSuchKey).with("Key", long.as_str()).document(&id, &long);
        assert!(text.len() < 3 * QUOTED_BYTES, "{}", text.len());
        assert!(text.ends_with("</HostId></Error>"), "{text}");
    }

    #[test]
    fn a_503_says_when_to_try_again() {
        let after = |code: Code| {
            let response = S3Error::new(code).respond(&RequestId::from_u64(1), "/", true);
            response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(after(Code::SlowDown).as_deref(), Some("1"));
        assert_eq!(after(Code::ServiceUnavailable).as_deref(), Some("1"));
        assert_eq!((after(Code::InsufficientStorage), after(Code::NoSuchKey)), (None, None));
    }

    #[test]
    fn a_head_request_gets_no_document() {
        let id = RequestId::from_u64(1);
        let response = S3Error::new(Code::NoSuchKey).respond(&id, "/", true);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(!response.headers().contains_key(header::CONTENT_TYPE));
    }
}
