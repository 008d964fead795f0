//! An endpoint's error answer, told in a sentence that says what to do.

use super::documents::ErrorDocument;
use crate::connection::Connection;
use http::{HeaderMap, StatusCode};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The kinds of refusals that commands and exit codes tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    NoBucket,
    NoObject,
    NoUpload,
    /// A 404 without an error code, as a HEAD is answered.
    NotFound,
    Denied,
    /// The endpoint doesn't know the access key or its session, or the signature is wrong, by the secret or the clock.
    Unknown,
    Elsewhere,
    /// A condition didn't hold.
    Changed,
    NotEmpty,
    Exists,
    NotBuilt,
    Other,
}

/// An answer that isn't a success.
#[derive(Debug)]
pub struct Refusal {
    pub kind: Kind,
    /// Whether the request was sent before, so that what it asks for may have been done already.
    pub is_of_repeat: bool,
    status: StatusCode,
    code: String,
    message: String,
    /// A sentence that says more than the endpoint's own message and is told in its place, or nothing.
    advice: String,
    request_id: String,
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn of(
        connection: &Connection,
        status: StatusCode,
        headers: &HeaderMap,
        said: ErrorDocument,
        now: SystemTime,
    ) -> Refusal {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let kind = kind(status, &said.code);
        let region = header("x-amz-bucket-region").or(said.region.clone());
        let advice = match kind {
            Kind::Unknown => unknown(connection, &said.code, headers, now),
            Kind::Denied => denied(connection),
            Kind::Elsewhere => match region {
                Some(region) => format!("the bucket is in the region {region}: say --region {region}"),
                None => "the bucket is at another endpoint: see --region and --endpoint".into(),
            },
            _ => String::new(),
        };
        let request_id = header("x-amz-request-id").unwrap_or_default();
        let ErrorDocument { code, message, .. } = said;
        Refusal { kind, is_of_repeat: false, status, code, message, advice, request_id }
    }

    /// Whether the same request may succeed later without anybody doing anything.
    pub fn passes(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 500 | 502 | 503 | 504)
            || matches!(
                self.code.as_str(),
                "SlowDown" | "InternalError" | "RequestTimeout" | "ServiceUnavailable"
            )
    }

    /// Whether the answer has no error code.
    pub(super) fn is_mute(&self) -> bool {
        self.code.is_empty() && self.status.is_client_error()
    }

    /// S3's error code, or the HTTP status if there is none.
    pub fn code(&self) -> &str {
        if self.code.is_empty() { self.status.as_str() } else { &self.code }
    }
}

fn kind(status: StatusCode, code: &str) -> Kind {
    match (code, status.as_u16()) {
        ("NoSuchBucket", _) => Kind::NoBucket,
        ("NoSuchKey" | "NoSuchVersion", _) => Kind::NoObject,
        ("NoSuchUpload", _) => Kind::NoUpload,
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "ExpiredToken"
            | "InvalidToken",
            _,
        ) => Kind::Unknown,
        (
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "TemporaryRedirect"
            | "IllegalLocationConstraintException",
            _,
        ) => Kind::Elsewhere,
        // A quota refuses with 403, but no policy helps: the server's own message says what does.
        ("QuotaExceeded", _) => Kind::Other,
        ("BucketNotEmpty", _) => Kind::NotEmpty,
        ("BucketAlreadyOwnedByYou" | "BucketAlreadyExists", _) => Kind::Exists,
        ("NotImplemented", _) => Kind::NotBuilt,
        ("PreconditionFailed" | "ConditionalRequestConflict", _) | (_, 412) => Kind::Changed,
        (_, 301 | 307 | 308) => Kind::Elsewhere,
        ("", 404) => Kind::NotFound,
        (_, 401 | 403) => Kind::Denied,
        _ => Kind::Other,
    }
}

fn denied(connection: &Connection) -> String {
    match &connection.keys {
        Some(keys) => format!(
            "the access key {} (of {}) may not do that: its user needs a policy that allows it",
            keys.access_key, connection.origin
        ),
        None => "not everybody may do that: name an access key".into(),
    }
}

fn unknown(connection: &Connection, code: &str, headers: &HeaderMap, now: SystemTime) -> String {
    let Some(keys) = &connection.keys else { return String::new() };
    let (key, origin, endpoint) = (&keys.access_key, &connection.origin, &connection.endpoint);
    match code {
        "InvalidAccessKeyId" if endpoint.is_aws() => format!(
            "AWS doesn't know the access key {key} (of {origin}); if it isn't one of AWS's, name the endpoint by --endpoint or \
             AWS_ENDPOINT_URL"
        ),
        "InvalidAccessKeyId" => format!("{endpoint} doesn't know the access key {key} (of {origin})"),
        "SignatureDoesNotMatch" => format!(
            "the secret of the access key {key} (of {origin}) is wrong, or the region isn't {}",
            connection.region
        ),
        "RequestTimeTooSkewed" => skew(headers, now),
        _ => format!("the session of the access key {key} (of {origin}) has ended: take a new one"),
    }
}

fn skew(headers: &HeaderMap, now: SystemTime) -> String {
    const ADVICE: &str = "set the clock of this machine, or of the server";
    let theirs = headers.get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let Some(theirs) = theirs else { return format!("the clocks differ: {ADVICE}") };
    let (word, by) = match now.duration_since(theirs) {
        Ok(ahead) => ("ahead of", ahead),
        Err(behind) => ("behind", behind.duration()),
    };
    let by = crate::quantity::shown_span(Duration::from_secs(by.as_secs()));
    format!("the clock of this machine is {by} {word} the server's: {ADVICE}")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.advice.as_str()) {
            (Kind::NoBucket, _) => f.write_str(
                "there is no such bucket: `stratum ls` shows those there are, `stratum mb` makes one",
            ),
            (Kind::NoObject | Kind::NotFound, _) => f.write_str("there is no such object"),
            (Kind::NoUpload, _) => f.write_str("there is no such upload any more"),
            (Kind::NotEmpty, _) => {
                f.write_str("the bucket isn't empty: `stratum rb --force` deletes what is in it, too")
            }
            (Kind::Exists, _) => f.write_str("there is a bucket of that name already"),
            (_, "") => {
                let message = crate::place::shown(&self.message);
                write!(f, "the endpoint answered {} {message}", self.code())?;
                match self.request_id.as_str() {
                    "" => Ok(()),
                    id => write!(f, " (request {})", crate::place::shown(id)),
                }
            }
            (_, advice) => f.write_str(advice),
        }
    }
}
