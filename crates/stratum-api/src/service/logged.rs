//! The line of a request in the access log of its bucket.

use super::{Seen, website};
use crate::access_log::{Line, Whole};
use crate::address::{self, Address};
use crate::audit::Touched;
use crate::channel::Tls;
use crate::context::Store;
use crate::error::Code;
use crate::operations;
use http::header::{CONTENT_LENGTH, HOST, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, Method, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stratum_auth::{Place, Version};
use stratum_metadata::record::{BucketRecord, DocumentKind};

/// The query parameters whose values are left out of the log, since they are signatures or tokens: those of signature
/// version 2 and of version 4.
const SECRETS: [&str; 3] = ["signature", "x-amz-signature", "x-amz-security-token"];

/// What the line needs of the request's head, kept until the request is answered.
pub(super) struct Logged {
    bucket: Arc<BucketRecord>,
    key: Option<String>,
    method: Method,
    target: String,
    source: Option<String>,
    host: Option<String>,
    referer: Option<String>,
    user_agent: Option<String>,
    tls: Option<Tls>,
    length: Option<u64>,
    is_site: bool,
}

/// The outcome of the request.
pub(super) struct Came<'a> {
    pub seen: &'a Seen,
    pub request: &'a str,
    pub sent: u64,
    pub error: Option<&'a str>,
    pub took: Duration,
}

impl Logged {
    /// Of a request to a bucket whose configuration has its requests logged; none for any other.
    pub(super) fn of(store: &Store, head: &Parts) -> Option<Logged> {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        // Every request comes here, so only what decides whether it is logged is read first.
        let (path, domains) = (head.uri.path(), &store.settings.domains);
        let bucket = store.metadata.local().bucket(&address::bucket_named(path, host, domains)?).ok()??;
        bucket.configuration.documents.get(&DocumentKind::Logging)?;
        let key = match Address::parse(path, host, domains).ok()? {
            Address::Object(_, key) => Some(key.as_str().to_owned()),
            Address::Bucket(_) | Address::Service | Address::ObjectResponse => None,
        };
        let text = |name: HeaderName| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        let query = head.uri.query().unwrap_or_default();
        Some(Logged {
            bucket,
            key,
            method: head.method.clone(),
            target: format!("{} {}{} {}", head.method, head.uri.path(), shown(query), protocol(head.version)),
            source: head.extensions.get::<SocketAddr>().map(|peer| peer.ip().to_string()),
            host: host.map(str::to_owned),
            referer: text(REFERER),
            user_agent: text(USER_AGENT),
            tls: head.extensions.get().copied(),
            length: text(HeaderName::from_static("x-amz-decoded-content-length"))
                .or_else(|| text(CONTENT_LENGTH))
                .and_then(|length| length.parse().ok()),
            is_site: website::bucket_of(store, host).is_some(),
        })
    }

    /// Writes the request's line, and for DeleteObjects one line more for each object.
    pub(super) fn answered<T>(&self, store: &Store, response: &Response<T>, came: &Came<'_>) {
        let Came { seen, request, sent, error, took } = *came;
        let whole = response.headers().get("content-range").and_then(|range| range.to_str().ok());
        let whole = whole.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        // The bodies of other operations are documents, whose lengths are no object's.
        let object_size = match seen.operation {
            "GetObject" | "HeadObject" => whole.or(Some(sent)),
            "PutObject" | "UploadPart" => self.length.filter(|length| *length > 0),
            _ => None,
        };
        let object_size = object_size.filter(|_| response.status().is_success());
        let line = Line {
            owner: &self.bucket.owner,
            bucket: &self.bucket.name,
            time: store.clock.now(),
            source: self.source.clone(),
            requester: seen.caller.id(),
            request,
            operation: operation(seen.operation, &self.method, self.key.is_some(), self.is_site),
            key: self.key.as_deref(),
            whole: Some(Whole {
                target: self.target.clone(),
                took,
                referer: self.referer.as_deref(),
                user_agent: self.user_agent.as_deref(),
            }),
            status: response.status().as_u16(),
            error,
            sent: Some(sent)
                .filter(|_| self.method != Method::HEAD && response.status() != StatusCode::NOT_MODIFIED),
            object_size,
            version: seen.version.as_deref(),
            signature: seen.mechanism.map(|mechanism| match mechanism.version {
                Version::V2 => "SigV2",
                Version::V4 => "SigV4",
            }),
            auth: seen.mechanism.and_then(|mechanism| match mechanism.place {
                Place::Header => Some("AuthHeader"),
                Place::Query => Some("QueryString"),
                Place::Form => None,
            }),
            host: self.host.as_deref(),
            tls: self.tls,
        };
        let tell = |line: &Line<'_>| store.access_logs.tell(self.bucket.id, line, store.clock.monotonic());
        tell(&line);
        seen.trail.all_touched().iter().for_each(|touched| tell(&of_one(&line, touched)));
    }
}

/// The line of one of the objects that DeleteObjects was to delete.
fn of_one<'a>(request: &Line<'a>, touched: &'a Touched) -> Line<'a> {
    Line {
        operation: "BATCH.DELETE.OBJECT".into(),
        key: Some(&touched.key),
        whole: None,
        status: touched.refused.map_or(StatusCode::NO_CONTENT, Code::status).as_u16(),
        error: touched.refused.map(Code::name),
        sent: None,
        object_size: None,
        version: touched.version.as_deref(),
        ..request.clone()
    }
}

/// The version of HTTP that a request came by, as the log names it.
fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// A query as the log shows it: without the values of the parameters in `SECRETS`, even if their names are
/// percent-encoded.
fn shown(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let is_secret = |name: &str| {
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
    };
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=-"),
        _ => part.to_owned(),
    };
    format!("?{}", query.split('&').map(part).collect::<Vec<_>>().join("&"))
}

/// The name of an operation in the access log.
fn operation(name: &str, method: &Method, is_object: bool, is_site: bool) -> String {
    let usual = if is_object { "OBJECT" } else { "BUCKET" };
    if is_site {
        return format!("WEBSITE.{method}.{usual}");
    }
    let of_its_own = match name {
        "CopyObject" => Some("REST.COPY.OBJECT"),
        "UploadPart" => Some("REST.PUT.PART"),
        "UploadPartCopy" => Some("REST.COPY.PART"),
        "CompleteMultipartUpload" => Some("REST.POST.UPLOAD"),
        "AbortMultipartUpload" => Some("REST.DELETE.UPLOAD"),
        "ListParts" => Some("REST.GET.UPLOAD"),
        "DeleteObjects" => Some("REST.POST.MULTI_OBJECT_DELETE"),
        "GetBucketLogging" => Some("REST.GET.LOGGING_STATUS"),
        "PutBucketLogging" => Some("REST.PUT.LOGGING_STATUS"),
        "ListObjectVersions" => Some("REST.GET.BUCKETVERSIONS"),
        _ => None,
    };
    let row = operations::all().find(|row| row.name == name);
    match (of_its_own, row.and_then(|row| row.subresource)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(subresource)) => {
            format!("REST.{method}.{}", subresource.to_ascii_uppercase().replace('-', "_"))
        }
        (None, None) => format!("REST.{method}.{usual}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_shown_without_signatures_and_tokens() {
        assert_eq!(shown(""), "");
        let query = "versionId=1&X-Amz-Signature=abc&x-amz-security-token=t&a";
        assert_eq!(shown(query), "?versionId=1&X-Amz-Signature=-&x-amz-security-token=-&a");
        let old = "AWSAccessKeyId=AK&Expires=1&Signature=a%2Bb%3D&X%2DAmz%2DSignature=abc";
        assert_eq!(shown(old), "?AWSAccessKeyId=AK&Expires=1&Signature=-&X%2DAmz%2DSignature=-");
    }
}
