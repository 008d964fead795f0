//! The security headers of every answer, by which a browser runs nothing but the console's own scripts.

use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue};

/// The Content-Security-Policy of pages: only the console's own files, nothing inline, and in no frame of another
/// page. Objects lie at the same origin, so scripts and styles are allowed only from below the console's path, which
/// needs the host's name in the policy: that of the request's `Host` header.
fn pages(host: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    let ours = match !host.is_empty() && host.bytes().all(is_name) {
        true => format!("{host}{}/", crate::ROOT),
        // A policy can't name an IPv6 address.
        false => "'self'".to_owned(),
    };
    format!(
        "default-src 'none'; style-src {ours}; script-src {ours}; img-src 'self'; media-src 'self'; \
         frame-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds the headers that an answer doesn't have yet.
pub fn complete(response: &mut Response, host: &str) {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(pages(host)) {
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    for (name, value) in [(CACHE_CONTROL, "no-store"), (X_FRAME_OPTIONS, "DENY")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` the `Origin` of a form would be `null`, and `visit` refuses a form without its origin.
        (REFERRER_POLICY, "same-origin"),
        // An object that is opened as a page at this origin gets no handle of the console's windows.
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
