//! Answers that hold an object's own bytes. A browser runs nothing of them, whatever they are: their content type is
//! one that the console chose, browsers may not guess another, and they are in a sandbox without an origin.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, LAST_MODIFIED, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The policy for images, video and audio, which may load themselves and be in a page of the console. Files that are
/// downloaded have it, too.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; \
    frame-ancestors 'self'";
/// The policy for PDFs. Browsers show none in a sandbox; their PDF reader has an origin of its own.
const READER: &str =
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// How an object's bytes are given.
pub enum As<'a> {
    /// A file under that name.
    File(&'a str),
    /// An image, video or audio, of one of the types that `pages::download` lists.
    Seen(&'static str),
    /// A PDF, whose reader shows its name.
    Pdf(&'a str),
}

/// The headers of the store's answer that are passed on.
const KEPT: [http::HeaderName; 5] = [ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED];

pub fn answer(status: StatusCode, from: &HeaderMap, body: Body, given: &As<'_>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for name in KEPT {
        if let Some(value) = from.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let (kind, policy) = match given {
        As::File(_) => ("application/octet-stream", SANDBOX),
        As::Seen(kind) => (*kind, SANDBOX),
        As::Pdf(_) => ("application/pdf", READER),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    let disposition = match given {
        As::File(name) => attachment(name),
        As::Seen(_) => HeaderValue::from_static("inline"),
        As::Pdf(name) => disposition("inline", name),
    };
    headers.insert(CONTENT_DISPOSITION, disposition);
    response
}

/// `attachment` with a file name.
pub fn attachment(name: &str) -> HeaderValue {
    disposition("attachment", name)
}

/// A disposition with a file name in the form of RFC 8187, which can carry any name.
fn disposition(kind: &'static str, name: &str) -> HeaderValue {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let name = utf8_percent_encode(name, PLAIN);
    HeaderValue::from_str(&format!("{kind}; filename*=UTF-8''{name}"))
        .unwrap_or(HeaderValue::from_static(kind))
}
