//! Signature Version 2: how it is read, and what it signs.
//!
//! It is an HMAC-SHA1 over the method, three headers, all headers that begin with `x-amz-`, the path, and the
//! parameters that belong to the resource. It signs neither the host nor the body nor any other header, and its key
//! is the secret itself, whatever the day and the region. So it is accepted only if the operator enables it
//! ([`Version2::Taken`]).
//!
//! Everything that decides what a request does is signed all the same. S3's page lists the sub-resources that existed
//! when it was written; here every sub-resource is signed, and every parameter of a presigned query that stands for a
//! header. Parameters are signed as they decode, so that two spellings of one meaning have one signature, and two
//! meanings never have.
//!
//! Source: "Signing and authenticating REST requests (AWS signature version 2)" in the S3 API reference.
//!
//! [`Version2::Taken`]: crate::Version2::Taken

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use percent_encoding::percent_decode;
use sha1::Sha1;

use crate::error::{AuthError, Mismatch};
use crate::identity::SecretKey;
use crate::mechanism::{Mechanism, Place, Version};
use crate::timestamp::Timestamp;

use super::{PayloadMode, Request};

/// Parameters that stand in a query only because it is presigned: those that authenticate it, and two headers that
/// SDKs repeat there. The two are signed as headers, and as parameters have no effect.
pub const QUERY_PARAMETERS: [&str; 5] = [ACCESS_KEY, EXPIRES, SIGNATURE, "content-md5", "content-type"];

const ACCESS_KEY: &str = "AWSAccessKeyId";
const EXPIRES: &str = "Expires";
const SIGNATURE: &str = "Signature";

/// The first Unix second that a presigned URL can't name, as in S3: 2038-01-19.
const EXPIRES_END_SECONDS: u32 = 1 << 31;

/// The parameters that belong to the resource, sorted by their bytes: sub-resources, parameters that select a part of
/// one, and those that override headers of the answer.
pub const SIGNED_PARAMETERS: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "annotationName",
    "attributes",
    "cors",
    "defaultObjectAcl",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// A Signature Version 2, parsed and not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    pub carried: Carried<'a>,
    pub access_key: Cow<'a, str>,
    /// Base64, as sent.
    pub signature: Cow<'a, str>,
    /// What the body is said to be. The value is signed, as all of `x-amz-*` is.
    pub payload: PayloadMode,
    /// The value of `x-amz-security-token`, which a session sends with its key.
    pub session_token: Option<Cow<'a, str>>,
}

/// Where the signature was found, and the time for which it is valid there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried<'a> {
    /// `date` is the `Date` header; it is empty if `x-amz-date` has the time.
    Header { at: Timestamp, date: &'a str },
    /// The signature is valid until this Unix second; `text` is how the query wrote it, which is what was signed.
    Query { expires: u32, text: Cow<'a, str> },
}

/// The parameters of a query that make a signature of version 2.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    access_key: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    is_repeated: bool,
}

impl<'a> Fields<'a> {
    /// Takes a parameter, given by its decoded name, if it is one of these.
    pub fn take(&mut self, name: &str, value: &'a str) {
        let field = match name {
            ACCESS_KEY => &mut self.access_key,
            SIGNATURE => &mut self.signature,
            EXPIRES => &mut self.expires,
            _ => return,
        };
        let value = percent_decode(value.as_bytes()).decode_utf8_lossy();
        self.is_repeated |= field.replace(value).is_some();
    }

    /// Whether there is a key and a signature.
    pub fn is_whole(&self) -> bool {
        self.access_key.is_some() && self.signature.is_some()
    }

    /// Whether there is a key or a signature. `Expires` alone may be another service's parameter.
    pub fn is_begun(&self) -> bool {
        self.access_key.is_some() || self.signature.is_some()
    }
}

impl<'a> Signed<'a> {
    /// Reads what follows `AWS ` in the `Authorization` header.
    ///
    /// # Errors
    /// `UnsupportedAuthorization` if it isn't a key and a signature; `MissingDate`, also for a time before 1970;
    /// whatever is wrong with `x-amz-content-sha256`.
    pub(crate) fn from_header(request: &Request<'a>, rest: &'a str) -> Result<Self, AuthError> {
        let (access_key, signature) = rest.rsplit_once(':').ok_or(AuthError::UnsupportedAuthorization)?;
        // An `x-amz-date` that can't be read is refused: it must not give way to the `Date` header.
        let (text, date) = match request.headers.contains_key("x-amz-date") {
            true => (request.header("x-amz-date"), ""),
            false => (request.header("date"), request.header("date").unwrap_or_default()),
        };
        let at = text.and_then(|text| Timestamp::parse(text).or_else(|| Timestamp::parse_http(text)));
        Ok(Self {
            carried: Carried::Header {
                at: at.filter(|at| at.unix() >= 0).ok_or(AuthError::MissingDate)?,
                date,
            },
            access_key: access_key.into(),
            signature: signature.into(),
            payload: PayloadMode::of(request, None)?,
            session_token: request.header("x-amz-security-token").map(Cow::Borrowed),
        })
    }

    /// Reads a presigned query; `content_sha256` and `session_token` are parameters of the same query.
    ///
    /// # Errors
    /// `QueryPartsV2` if a parameter is missing or stands twice; `InvalidExpires`; whatever is wrong with
    /// `x-amz-content-sha256`.
    pub(crate) fn from_query(
        request: &Request<'a>,
        fields: Fields<'a>,
        content_sha256: Option<Cow<'a, str>>,
        session_token: Option<Cow<'a, str>>,
    ) -> Result<Self, AuthError> {
        let Fields { access_key: Some(access_key), signature: Some(signature), expires: Some(text), .. } =
            fields
        else {
            return Err(AuthError::QueryPartsV2);
        };
        if fields.is_repeated {
            return Err(AuthError::QueryPartsV2);
        }
        // Only digits: Rust's own parser would accept a sign.
        let seconds = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let seconds =
            seconds.and_then(|text| text.parse().ok()).filter(|seconds| *seconds < EXPIRES_END_SECONDS);
        let Some(expires) = seconds else {
            return Err(AuthError::InvalidExpires { given: text.into_owned() });
        };
        Ok(Self {
            carried: Carried::Query { expires, text },
            access_key,
            signature,
            payload: PayloadMode::of(request, content_sha256)?,
            session_token,
        })
    }

    pub(crate) fn mechanism(&self) -> Mechanism {
        let place = match self.carried {
            Carried::Header { .. } => Place::Header,
            Carried::Query { .. } => Place::Query,
        };
        Mechanism { version: Version::V2, place }
    }

    /// Checks that the request was signed with this secret.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`; `AmbiguousV2` if a request with another meaning has the same string to sign, which
    /// can happen since decoded values stand in it unescaped.
    pub(crate) fn check(&self, request: &Request<'_>, secret: &SecretKey) -> Result<(), AuthError> {
        let text = self.string_to_sign(request, "")?;
        let is_signed = |text: &[u8]| is_signed(secret, text, &self.signature);
        // Some clients sign the path of a bucket with a slash at its end, but send it without.
        let names_bucket = request.virtual_bucket.is_none()
            && request.path.strip_prefix('/').is_some_and(|name| !name.is_empty() && !name.contains('/'));
        if is_signed(&text) || names_bucket && is_signed(&self.string_to_sign(request, "/")?) {
            return Ok(());
        }
        Err(AuthError::SignatureDoesNotMatch(Box::new(Mismatch {
            access_key: self.access_key.clone().into_owned(),
            string_to_sign: Mismatch::shown(&text),
            signature_provided: self.signature.clone().into_owned(),
            canonical_request: String::new(),
        })))
    }

    /// The string to sign, with `end` appended to the path. Header values may hold any bytes, and so may the string.
    fn string_to_sign(&self, request: &Request<'_>, end: &str) -> Result<Vec<u8>, AuthError> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(request.method.as_bytes());
        for name in ["content-md5", "content-type"] {
            out.push(b'\n');
            write_values(&mut out, request, name);
        }
        out.push(b'\n');
        out.extend_from_slice(match &self.carried {
            Carried::Header { date, .. } => date.as_bytes(),
            Carried::Query { text, .. } => text.as_bytes(),
        });
        out.push(b'\n');
        self.write_amz_headers(&mut out, request)?;
        write_resource(&mut out, request, end)?;
        Ok(out)
    }

    /// Writes `name:value
    /// ` for each header that begins with `x-amz-`, sorted by name. In a presigned query each such parameter is
    /// written in the same way, with its name in lower case and after a header of that name: it takes effect like
    /// that header.
    fn write_amz_headers(&self, out: &mut Vec<u8>, request: &Request<'_>) -> Result<(), AuthError> {
        let is_amz = |name: &str| name.starts_with("x-amz-");
        let names = request.headers.keys().map(|name| name.as_str()).filter(|name| is_amz(name));
        let mut lines: Vec<(Cow<'_, [u8]>, Vec<u8>)> = Vec::with_capacity(8);
        lines.extend(names.map(|name| {
            let mut value = Vec::new();
            write_values(&mut value, request, name);
            (name.as_bytes().into(), value)
        }));
        if let Carried::Query { .. } = self.carried {
            for (name, value) in parameters(request.query) {
                let name = name.to_ascii_lowercase();
                if !name.starts_with(b"x-amz-") {
                    continue;
                }
                // After a line break the rest of the value would read as another header.
                if value.iter().any(u8::is_ascii_control) {
                    return Err(AuthError::AmbiguousV2);
                }
                lines.push((name.into(), value.into_owned()));
            }
        }
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut written: &[u8] = b"";
        for (name, value) in &lines {
            if name.as_ref() == written {
                out.pop();
                out.push(b',');
            } else {
                out.extend_from_slice(name);
                out.push(b':');
            }
            out.extend_from_slice(value);
            out.push(b'\n');
            written = name;
        }
        Ok(())
    }
}

/// Writes all values of a header, trimmed and joined by commas; nothing if there is no such header.
fn write_values(out: &mut Vec<u8>, request: &Request<'_>, name: &str) {
    for (index, value) in request.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes().trim_ascii());
    }
}

/// Writes the bucket that the host names, the path as it was sent, and the parameters that belong to the resource,
/// sorted by name.
fn write_resource(out: &mut Vec<u8>, request: &Request<'_>, end: &str) -> Result<(), AuthError> {
    if let Some(bucket) = request.virtual_bucket {
        out.push(b'/');
        out.extend_from_slice(bucket.as_bytes());
    }
    out.extend_from_slice(request.path.as_bytes());
    out.extend_from_slice(end.as_bytes());
    let mut signed: Vec<(&str, Cow<'_, [u8]>)> = Vec::new();
    for (name, value) in parameters(request.query) {
        signed.extend(signed_name(&name).map(|name| (name, value)));
    }
    signed.sort_by_key(|(name, _)| *name);
    for (index, (name, value)) in signed.iter().enumerate() {
        let mut others = value.split(|byte| *byte == b'&').skip(1);
        if others.any(|other| other.split(|byte| *byte == b'=').next().and_then(signed_name).is_some()) {
            return Err(AuthError::AmbiguousV2);
        }
        out.push(if index == 0 { b'?' } else { b'&' });
        out.extend_from_slice(name.as_bytes());
        if !value.is_empty() {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    Ok(())
}

fn signed_name(name: &[u8]) -> Option<&'static str> {
    let at = SIGNED_PARAMETERS.binary_search_by(|known| known.as_bytes().cmp(name)).ok()?;
    SIGNED_PARAMETERS.get(at).copied()
}

/// The parameters of a query in their order, decoded as the API decodes them: a `+` is a space.
fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode(spaced.as_bytes()).collect::<Vec<u8>>().into();
    }
    percent_decode(text.as_bytes()).into()
}

/// Whether this is the signature of `text`, compared in constant time.
pub(crate) fn is_signed(secret: &SecretKey, text: &[u8], signature: &str) -> bool {
    #[allow(clippy::expect_used)] // HMAC is defined for keys of any length (RFC 2104)
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text);
    BASE64.decode(signature).is_ok_and(|given| mac.verify_slice(&given).is_ok())
}
