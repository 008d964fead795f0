//! What every answer says to the browser, so that whatever it shows stays text.

use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue};

/// Nothing but our own files, nothing inline, and in nobody's frame. Objects lie at this origin, too, so what is run and what it looks
/// like come from below the console's own path, where the browser says what our host is called.
fn pages(host: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    let ours = match !host.is_empty() && host.bytes().all(is_name) {
        true => format!("{host}{}/", crate::ROOT),
        // An address of IPv6 can't be said there.
        false => "'self'".to_owned(),
    };
    format!(
        "default-src 'none'; style-src {ours}; script-src {ours}; img-src 'self'; media-src 'self'; \
         frame-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds what an answer doesn't say of itself.
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
        // What is posted says where it comes from by this alone: with no-referrer its Origin would be null.
        (REFERRER_POLICY, "same-origin"),
        // A page of this origin that isn't ours (an object, opened by its address) gets no hold of ours.
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
