//! Reads how a request says that it is authenticated.
//!
//! Reading a claim and checking it are two steps. [`Claim::of`] only borrows and parses, so it needs no time, no
//! region and no secret; [`crate::Verifier`] then checks the [`Signed`] that it returns.

pub mod version_2;

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::{percent_decode, percent_decode_str};

use crate::digest::Sha256Digest;
use crate::error::{AuthError, Carrier, Fault};
use crate::mechanism::{Mechanism, Place, Version, Version2};
use crate::signed_headers::SignedHeaders;
use crate::timestamp::Timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALGORITHM_V4A: &str = "AWS4-ECDSA-P256-SHA256";
/// The header, or with other capitals the query parameter, that carries a session's token.
const SESSION_TOKEN: &str = "x-amz-security-token";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// A presigned URL is valid for at most a week. As in S3, 0 seconds is well-formed, and such a URL has always
/// expired.
const EXPIRES_SECONDS: std::ops::RangeInclusive<u32> = 0..=604_800;

/// The parts of an HTTP request that authentication needs, as they came over the wire: nothing is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Still percent-encoded, from the first `/` up to the `?`.
    pub path: &'a str,
    /// Still percent-encoded, without the `?`; empty if there is none.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// The bucket that the host names in place of the path, if any, as it is looked up. Version 2 signs this and not
    /// the host.
    pub virtual_bucket: Option<&'a str>,
}

impl<'a> From<&'a http::request::Parts> for Request<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            virtual_bucket: None,
        }
    }
}

impl<'a> Request<'a> {
    /// The most that path, query and headers may hold together, in bytes. S3 allows 8 KiB of headers, and a key takes
    /// 3 KiB when all of it is percent-encoded.
    pub const MAX_HEAD_BYTES: usize = 64 << 10;

    /// The value of the header with this name, if it is visible ASCII and there is only one such header: of two, one
    /// could be signed and the other one be used.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok().map(str::trim)
    }

    fn head_bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        self.path.len() + self.query.len() + headers.sum::<usize>()
    }
}

/// How a request says that it is authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<'a> {
    Anonymous(PayloadMode),
    Version2(version_2::Signed<'a>),
    Version4(Signed<'a>),
}

/// A Signature Version 4, parsed and not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    pub carried: Carried,
    pub scope: Scope<'a>,
    /// The time at which the request was signed.
    pub at: Timestamp,
    pub signed_headers: SignedHeaders<'a>,
    /// Hex, as sent.
    pub signature: Cow<'a, str>,
    pub payload: PayloadMode,
    /// The last line of the canonical request: the value of `x-amz-content-sha256` as sent.
    pub payload_line: Cow<'a, str>,
    /// The value of `x-amz-security-token`, which a session sends with its key.
    pub session_token: Option<Cow<'a, str>>,
}

/// Where a signature was found, and what only a signature in that place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Header,
    /// `expires` is in seconds, 0 to 604800.
    Presigned {
        expires: u32,
    },
}

impl Carried {
    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::Header => Carrier::Header,
            Self::Presigned { .. } => Carrier::Query,
        }
    }

    pub(crate) fn mechanism(self) -> Mechanism {
        let place = match self {
            Self::Header => Place::Header,
            Self::Presigned { .. } => Place::Query,
        };
        Mechanism { version: Version::V4, place }
    }
}

/// How the body is sent and signed, by `x-amz-content-sha256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadMode {
    Unsigned,
    Sha256(Sha256Digest),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`
    StreamingSigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    StreamingSignedTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`
    StreamingUnsignedTrailer,
}

impl PayloadMode {
    fn parse(text: &str) -> Result<Self, AuthError> {
        match text {
            UNSIGNED_PAYLOAD => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::StreamingSigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::StreamingSignedTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::StreamingUnsignedTrailer),
            text if text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256") => Err(AuthError::SignatureV4a),
            text => Sha256Digest::from_hex(text).map(Self::Sha256).ok_or(AuthError::InvalidContentSha256),
        }
    }

    /// The mode of a body whose chunks aren't signed: what `parameter` says, or the header if there is no such
    /// parameter.
    ///
    /// # Errors
    /// What [`PayloadMode::parse`] refuses; `SignedChunksUnsigned` for signed chunks, which need the signature of a
    /// header to continue.
    pub(crate) fn of(request: &Request<'_>, parameter: Option<Cow<'_, str>>) -> Result<Self, AuthError> {
        let header = || request.header("x-amz-content-sha256").map(Cow::Borrowed);
        let named = parameter.or_else(header).map(|text| Self::parse(&text)).transpose()?;
        match named.unwrap_or_else(|| Self::unnamed(request)) {
            mode if mode.is_signed_stream() => Err(AuthError::SignedChunksUnsigned),
            mode => Ok(mode),
        }
    }

    /// The mode of a request that doesn't name one. SDKs without credentials send bodies with trailers, too; then
    /// only `Content-Encoding` says so.
    fn unnamed(request: &Request<'_>) -> Self {
        let encodings = request.headers.get_all("content-encoding").iter().filter_map(|v| v.to_str().ok());
        let mut codings = encodings.flat_map(|value| value.split(','));
        if codings.any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked")) {
            Self::StreamingUnsignedTrailer
        } else {
            Self::Unsigned
        }
    }

    fn is_signed_stream(self) -> bool {
        matches!(self, Self::StreamingSigned | Self::StreamingSignedTrailer)
    }
}

/// A credential: `<access key>/<YYYYMMDD>/<region>/<service>/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<'a> {
    text: Cow<'a, str>,
    /// Where the access key, the day, the region and the service end in `text`.
    ends: [usize; 4],
}

impl<'a> Scope<'a> {
    pub(crate) fn parse(text: Cow<'a, str>, carrier: Carrier) -> Result<Self, AuthError> {
        let slashes: [usize; 4] = {
            // Split from the right, since an access key may hold slashes.
            let mut found = text.rmatch_indices('/').map(|(at, _)| at);
            let mut next = || found.next().unwrap_or(0);
            let (d, c, b, a) = (next(), next(), next(), next());
            [a, b, c, d]
        };
        let scope = Self { text, ends: slashes };
        let malformed = scope.access_key().is_empty() || !scope.text.ends_with("/aws4_request");
        if malformed || scope.day().len() != 8 || !scope.day().bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Credential { given: scope.text.into_owned() }.at(carrier));
        }
        Ok(scope)
    }

    pub fn access_key(&self) -> &str {
        self.text.get(..self.ends[0]).unwrap_or_default()
    }

    /// `YYYYMMDD`.
    pub fn day(&self) -> &str {
        self.between(0, 1)
    }

    pub fn region(&self) -> &str {
        self.between(1, 2)
    }

    pub fn service(&self) -> &str {
        self.between(2, 3)
    }

    /// The scope without the access key, as the string to sign has it.
    pub fn without_key(&self) -> &str {
        self.text.get(self.ends[0] + 1..).unwrap_or_default()
    }

    fn between(&self, from: usize, to: usize) -> &str {
        let [from, to] = [self.ends.get(from), self.ends.get(to)].map(|end| end.copied().unwrap_or(0));
        self.text.get(from + 1..to).unwrap_or_default()
    }
}

impl<'a> Claim<'a> {
    /// Reads the claim of `request`. One of version 2 is read only if that is accepted.
    ///
    /// # Errors
    /// Whatever [`AuthError`] the text alone shows: other mechanisms, parts that are missing or malformed, a bad
    /// `x-amz-content-sha256`, an unreadable date.
    pub fn of(request: &Request<'a>, version_2: Version2) -> Result<Self, AuthError> {
        if request.head_bytes() > Request::MAX_HEAD_BYTES {
            return Err(AuthError::HeadTooLarge);
        }
        // An empty Authorization header counts as none.
        let mut authorizations = request.headers.get_all("authorization").iter();
        let authorization = authorizations.next().filter(|value| !value.as_bytes().is_empty());
        if authorizations.next().is_some() {
            return Err(AuthError::SeveralMechanisms);
        }
        let presigned = Presigning::find(request.query, version_2)?;
        match (authorization, presigned) {
            (Some(_), Some(_)) => Err(AuthError::SeveralMechanisms),
            (Some(_), None) if Part::is_any_of(request.query) => Err(AuthError::SeveralMechanisms),
            (Some(value), None) => {
                let value = value.to_str().map_err(|_| AuthError::UnsupportedAuthorization)?.trim();
                match value.strip_prefix("AWS ").filter(|_| version_2 == Version2::Taken) {
                    Some(rest) => version_2::Signed::from_header(request, rest).map(Self::Version2),
                    None => Signed::from_header(request, value).map(Self::Version4),
                }
            }
            (None, Some(Presigning::V2(old, fields))) => {
                if version_2 == Version2::Refused {
                    return Err(AuthError::SignatureV2);
                }
                version_2::Signed::from_query(request, old, fields.content_sha256, fields.session_token)
                    .map(Self::Version2)
            }
            (None, Some(Presigning::V4(fields))) => Signed::from_query(request, *fields).map(Self::Version4),
            (None, None) => PayloadMode::of(request, None).map(Self::Anonymous),
        }
    }
}

impl<'a> Signed<'a> {
    /// The signature of a form that is sent to another service than S3. Such a canonical request ends with the hash
    /// of the body, which no header has. The signature is in the header.
    ///
    /// # Errors
    /// As [`Claim::of`]. `Ok(None)` if the request isn't signed.
    pub fn of_form(request: &Request<'a>, body: Sha256Digest) -> Result<Option<Self>, AuthError> {
        if request.head_bytes() > Request::MAX_HEAD_BYTES {
            return Err(AuthError::HeadTooLarge);
        }
        let mut authorizations = request.headers.get_all("authorization").iter();
        let Some(value) = authorizations.next().filter(|value| !value.as_bytes().is_empty()) else {
            return Ok(None);
        };
        if authorizations.next().is_some() || Presigning::find(request.query, Version2::Refused)?.is_some() {
            return Err(AuthError::SeveralMechanisms);
        }
        let value = value.to_str().map_err(|_| AuthError::UnsupportedAuthorization)?;
        Self::of_header(request, value.trim(), Ok(Cow::Owned(body.to_string()))).map(Some)
    }

    fn from_header(request: &Request<'a>, value: &'a str) -> Result<Self, AuthError> {
        let payload_line = request.header("x-amz-content-sha256").ok_or(AuthError::MissingContentSha256);
        Self::of_header(request, value, payload_line.map(Cow::Borrowed))
    }

    fn of_header(
        request: &Request<'a>,
        value: &'a str,
        payload_line: Result<Cow<'a, str>, AuthError>,
    ) -> Result<Self, AuthError> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        match scheme {
            ALGORITHM => {}
            ALGORITHM_V4A => return Err(AuthError::SignatureV4a),
            "AWS" if rest.contains(':') => return Err(AuthError::SignatureV2),
            _ => return Err(AuthError::UnsupportedAuthorization),
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let Some((name, value)) = part.trim().split_once('=') else { continue };
            let part = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => continue,
            };
            if part.replace(value).is_some() {
                return Err(Fault::HeaderParts.at(Carrier::Header));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(Fault::HeaderParts.at(Carrier::Header));
        };
        let at = match request.header("x-amz-date") {
            Some(text) => Timestamp::parse(text),
            None => {
                request.header("date").and_then(|t| Timestamp::parse(t).or_else(|| Timestamp::parse_http(t)))
            }
        };
        let payload_line = payload_line?;
        Ok(Self {
            carried: Carried::Header,
            scope: Scope::parse(Cow::Borrowed(credential), Carrier::Header)?,
            at: at.ok_or(AuthError::MissingDate)?,
            signed_headers: SignedHeaders::parse(Cow::Borrowed(signed_headers), Carrier::Header)?,
            signature: Cow::Borrowed(signature),
            payload: PayloadMode::parse(&payload_line)?,
            payload_line,
            session_token: request.header(SESSION_TOKEN).map(Cow::Borrowed),
        })
    }

    fn from_query(request: &Request<'a>, fields: PresignedFields<'a>) -> Result<Self, AuthError> {
        let fault = |fault: Fault| fault.at(Carrier::Query);
        let missing = || fault(Fault::QueryParts);
        match fields.algorithm.as_deref() {
            Some(ALGORITHM) => {}
            Some(ALGORITHM_V4A) => return Err(AuthError::SignatureV4a),
            Some(_) => return Err(fault(Fault::Algorithm)),
            None => return Err(missing()),
        }
        let scope = Scope::parse(fields.credential.ok_or_else(missing)?, Carrier::Query)?;
        let at = Timestamp::parse(&fields.date.ok_or_else(missing)?).ok_or_else(|| fault(Fault::Date))?;
        let expires = fields.expires.ok_or_else(missing)?;
        // Only digits: Rust's own parser would accept a sign.
        let expires = Some(expires).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let expires =
            expires.and_then(|text| text.parse().ok()).filter(|seconds| EXPIRES_SECONDS.contains(seconds));
        let header = || request.header("x-amz-content-sha256").map(Cow::Borrowed);
        let payload_line = fields.content_sha256.or_else(header);
        let payload = match &payload_line {
            Some(text) => PayloadMode::parse(text)?,
            None => PayloadMode::unnamed(request),
        };
        if payload.is_signed_stream() {
            return Err(AuthError::SignedChunksUnsigned);
        }
        Ok(Self {
            carried: Carried::Presigned { expires: expires.ok_or_else(|| fault(Fault::Expires))? },
            scope,
            at,
            signed_headers: SignedHeaders::parse(fields.signed_headers.ok_or_else(missing)?, Carrier::Query)?,
            signature: fields.signature.ok_or_else(missing)?,
            payload,
            payload_line: payload_line.unwrap_or(Cow::Borrowed(UNSIGNED_PAYLOAD)),
            session_token: fields.session_token,
        })
    }
}

/// The signature that a query carries.
enum Presigning<'a> {
    /// The second field has those parameters of version 4 that are no claim by themselves.
    V2(version_2::Fields<'a>, Box<PresignedFields<'a>>),
    V4(Box<PresignedFields<'a>>),
}

#[derive(Default)]
struct PresignedFields<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    content_sha256: Option<Cow<'a, str>>,
    session_token: Option<Cow<'a, str>>,
}

impl<'a> Presigning<'a> {
    /// Finds the signature in a query. Parameter names count as decoded and in any case. Else a parameter that is
    /// spelt differently (`X%2DAmz%2DExpires`) would be signed, and so pass, but lose its effect.
    ///
    /// # Errors
    /// [`Fault::QueryParts`] if a parameter stands twice; `SeveralMechanisms` if both versions are there and both are
    /// accepted.
    fn find(query: &'a str, version_2: Version2) -> Result<Option<Self>, AuthError> {
        let mut claims = false;
        let (mut fields, mut old) = (PresignedFields::default(), version_2::Fields::default());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = decoded_name(name);
            let Some(part) = Part::named(&name) else {
                old.take(&name, value);
                continue;
            };
            claims |= !matches!(part, Part::ContentSha256 | Part::SessionToken);
            let value = percent_decode(value.as_bytes()).decode_utf8_lossy();
            if fields.part(part).replace(value).is_some() {
                return Err(Fault::QueryParts.at(Carrier::Query));
            }
        }
        let claims_old = match version_2 {
            Version2::Refused => old.is_whole(),
            Version2::Taken => old.is_begun(),
        };
        match (claims, claims_old) {
            (true, true) if version_2 == Version2::Taken => Err(AuthError::SeveralMechanisms),
            (true, _) => Ok(Some(Self::V4(Box::new(fields)))),
            (false, true) => Ok(Some(Self::V2(old, Box::new(fields)))),
            (false, false) => Ok(None),
        }
    }
}

/// A parameter of a presigned query. Each one but the last two claims that the request is signed. Those two also have
/// headers; in the query of a request whose signature is in the header nobody would look at them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Algorithm,
    Credential,
    Date,
    Expires,
    SignedHeaders,
    Signature,
    ContentSha256,
    SessionToken,
}

impl Part {
    const NAMES: [(&'static str, Self); 8] = [
        ("x-amz-algorithm", Self::Algorithm),
        ("x-amz-credential", Self::Credential),
        ("x-amz-date", Self::Date),
        ("x-amz-expires", Self::Expires),
        ("x-amz-signedheaders", Self::SignedHeaders),
        ("x-amz-signature", Self::Signature),
        ("x-amz-content-sha256", Self::ContentSha256),
        (SESSION_TOKEN, Self::SessionToken),
    ];

    fn named(name: &str) -> Option<Self> {
        let named = |(known, _): &&(&str, Self)| known.eq_ignore_ascii_case(name);
        Self::NAMES.iter().find(named).map(|(_, part)| *part)
    }

    fn is_any_of(query: &str) -> bool {
        let name = |parameter| str::split_once(parameter, '=').map_or(parameter, |(name, _)| name);
        query.split('&').map(name).any(|name| Part::named(&decoded_name(name)).is_some())
    }
}

impl<'a> PresignedFields<'a> {
    fn part(&mut self, part: Part) -> &mut Option<Cow<'a, str>> {
        match part {
            Part::Algorithm => &mut self.algorithm,
            Part::Credential => &mut self.credential,
            Part::Date => &mut self.date,
            Part::Expires => &mut self.expires,
            Part::SignedHeaders => &mut self.signed_headers,
            Part::Signature => &mut self.signature,
            Part::ContentSha256 => &mut self.content_sha256,
            Part::SessionToken => &mut self.session_token,
        }
    }
}

/// Whether the parameter with this name, as sent, is the signature itself, which is the only one that isn't signed.
pub(crate) fn is_signature(name: &str) -> bool {
    Part::named(&decoded_name(name)) == Some(Part::Signature)
}

fn decoded_name(name: &str) -> Cow<'_, str> {
    percent_decode_str(name).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const CREDENTIAL: &str = "Credential=AK/20130524/us-east-1/s3/aws4_request";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            (name, HeaderValue::from_str(value).expect("a header value"))
        };
        pairs.iter().map(pair).collect()
    }

    /// The payload mode of a request with this query and these headers; `None` for an anonymous one.
    fn claim(query: &str, pairs: &[(&str, &str)]) -> Result<Option<PayloadMode>, AuthError> {
        claim_where(Version2::Refused, query, pairs)
    }

    fn claim_where(
        version_2: Version2,
        query: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Option<PayloadMode>, AuthError> {
        let headers = headers(pairs);
        let request = Request { method: "GET", path: "/", query, headers: &headers, virtual_bucket: None };
        Claim::of(&request, version_2).map(|claim| match claim {
            Claim::Anonymous(_) => None,
            Claim::Version2(signed) => Some(signed.payload),
            Claim::Version4(signed) => Some(signed.payload),
        })
    }

    fn authorised(authorization: &str) -> Result<Option<PayloadMode>, AuthError> {
        let date = ("x-amz-date", "20130524T000000Z");
        claim("", &[("authorization", authorization), date, ("x-amz-content-sha256", UNSIGNED_PAYLOAD)])
    }

    #[test]
    fn a_header_is_read_with_and_without_spaces() {
        for separator in [",", ", ", " ,  "] {
            let parts = [CREDENTIAL, "SignedHeaders=host", "Signature=00"].join(separator);
            assert_eq!(authorised(&format!("AWS4-HMAC-SHA256 {parts}")), Ok(Some(PayloadMode::Unsigned)));
        }
    }

    #[test]
    fn other_mechanisms_are_told_apart() {
        let v4a = format!("AWS4-ECDSA-P256-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=00");
        assert_eq!(authorised(&v4a), Err(AuthError::SignatureV4a));
        assert_eq!(authorised("AWS AKID:FWeDfwojDSdS2Ztmpfeubhd9isU="), Err(AuthError::SignatureV2));
        for text in ["AWS HAHAHA", "Basic dTpw", "Bearer x", "AWS4-HMAC-SHA256x y", "nonsense"] {
            assert_eq!(authorised(text), Err(AuthError::UnsupportedAuthorization), "{text}");
        }
        assert_eq!(claim("AWSAccessKeyId=a&Expires=1&Signature=b", &[]), Err(AuthError::SignatureV2));
        let both = claim("X-Amz-Algorithm=AWS4-HMAC-SHA256", &[("authorization", "AWS a:b")]);
        assert_eq!(both, Err(AuthError::SeveralMechanisms));
        assert_eq!(claim("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", &[]), Err(AuthError::SignatureV4a));
    }

    #[test]
    fn nothing_claimed_is_anonymous() {
        assert_eq!(claim("list-type=2", &[]), Ok(None));
        assert_eq!(claim("", &[("authorization", "")]), Ok(None));
        assert_eq!(claim("X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Acl=private", &[]), Ok(None));
    }

    #[test]
    fn a_parameter_claims_however_its_name_is_spelt() {
        let signed = format!("AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=00");
        for name in
            ["X-Amz-Expires", "X%2DAmz%2DExpires", "x-amz-expires", "%58-Amz-Date", "X-AMZ-SIGNEDHEADERS"]
        {
            let alone = claim(&format!("{name}=60"), &[]);
            assert_eq!(alone, Err(Fault::QueryParts.at(Carrier::Query)), "{name}");
            let beside = claim(&format!("{name}=60"), &[("authorization", signed.as_str())]);
            assert_eq!(beside, Err(AuthError::SeveralMechanisms), "{name}");
        }
        // A token and a payload's hash in the query are no claim by themselves; beside a signed header they are refused.
        for name in ["X-Amz-Security-Token", "%58-amz-security-token", "X-Amz-Content-Sha256"] {
            let beside = claim(&format!("a=b&{name}=t"), &[("authorization", signed.as_str())]);
            assert_eq!(beside, Err(AuthError::SeveralMechanisms), "{name}");
        }
    }

    #[test]
    fn a_part_that_stands_twice_is_refused() {
        let header = format!("AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=00, Signature=01");
        assert_eq!(authorised(&header), Err(Fault::HeaderParts.at(Carrier::Header)));
        let twice = claim("X-Amz-Expires=60&X-Amz-Expires=600", &[]);
        assert_eq!(twice, Err(Fault::QueryParts.at(Carrier::Query)));
        let values = [("authorization", "AWS a:b"), ("authorization", "AWS a:b")];
        assert_eq!(claim("", &values), Err(AuthError::SeveralMechanisms));
        let value = format!("AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders=host,Signature=00");
        let signed = [("authorization", value.as_str()), ("x-amz-date", "20130524T000000Z")];
        let hash = ("x-amz-content-sha256", UNSIGNED_PAYLOAD);
        let refused = claim("", &[signed[0], signed[1], hash, hash]);
        assert_eq!(refused, Err(AuthError::MissingContentSha256));
    }

    #[test]
    fn a_head_is_bounded_before_it_is_read() {
        let fits = "x".repeat(Request::MAX_HEAD_BYTES - 1);
        assert_eq!(claim(&fits, &[]), Ok(None));
        assert_eq!(claim(&format!("{fits}x"), &[]), Err(AuthError::HeadTooLarge));
        assert_eq!(claim(&fits, &[("a", "b")]), Err(AuthError::HeadTooLarge));
    }

    #[test]
    fn a_header_that_lacks_parts_is_malformed() {
        let whole = [CREDENTIAL, "SignedHeaders=host", "Signature=00"];
        for missing in 0..whole.len() {
            let mut parts = whole.to_vec();
            parts.remove(missing);
            let error = authorised(&format!("AWS4-HMAC-SHA256 {}", parts.join(",")));
            assert_eq!(error, Err(Fault::HeaderParts.at(Carrier::Header)), "without part {missing}");
        }
        for given in
            ["AK", "AK/20130524/us-east-1/s3", "AK/2013/r/s3/aws4_request", "/20130524/r/s3/aws4_request"]
        {
            let text = format!("AWS4-HMAC-SHA256 Credential={given},SignedHeaders=host,Signature=00");
            let given = given.to_owned();
            assert_eq!(authorised(&text), Err(Fault::Credential { given }.at(Carrier::Header)));
        }
    }

    #[test]
    fn a_credential_keeps_whatever_its_key_holds() {
        let text = Cow::Borrowed("a/b/c/20130524/eu-west-1/s3/aws4_request");
        let scope = Scope::parse(text, Carrier::Header).expect("a scope");
        assert_eq!((scope.access_key(), scope.day()), ("a/b/c", "20130524"));
        assert_eq!((scope.region(), scope.service()), ("eu-west-1", "s3"));
        assert_eq!(scope.without_key(), "20130524/eu-west-1/s3/aws4_request");
    }

    #[test]
    fn a_signed_header_request_needs_a_date_and_a_content_hash() {
        let value = format!("AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders=host,Signature=00");
        let authorization = ("authorization", value.as_str());
        let hash = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        assert_eq!(claim("", &[authorization, hash]), Err(AuthError::MissingDate));
        assert_eq!(claim("", &[authorization, hash, ("x-amz-date", "now")]), Err(AuthError::MissingDate));
        for text in ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"] {
            assert!(claim("", &[authorization, hash, ("date", text)]).is_ok(), "{text}");
        }
        let date = ("x-amz-date", "20130524T000000Z");
        assert_eq!(claim("", &[authorization, date]), Err(AuthError::MissingContentSha256));
        for (text, expected) in [
            ("abc", Err(AuthError::InvalidContentSha256)),
            ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Err(AuthError::SignatureV4a)),
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Ok(Some(PayloadMode::StreamingSigned))),
            ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Ok(Some(PayloadMode::StreamingUnsignedTrailer))),
        ] {
            assert_eq!(claim("", &[authorization, date, ("x-amz-content-sha256", text)]), expected);
        }
    }

    #[test]
    fn every_presigned_parameter_is_needed_and_in_range() {
        let whole = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", "AK%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"),
            ("X-Amz-Date", "20130524T000000Z"),
            ("X-Amz-Expires", "604800"),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Signature", "00"),
        ];
        let query = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(claim(&query(&whole), &[]), Ok(Some(PayloadMode::Unsigned)));
        for missing in 0..whole.len() {
            let mut pairs = whole.to_vec();
            pairs.remove(missing);
            assert_eq!(claim(&query(&pairs), &[]), Err(Fault::QueryParts.at(Carrier::Query)), "{missing}");
        }
        for (index, value, fault) in [
            (0, "MD5", Fault::Algorithm),
            (2, "today", Fault::Date),
            (3, "-7", Fault::Expires),
            (3, "604801", Fault::Expires),
            (3, "+7", Fault::Expires),
            (3, "soon", Fault::Expires),
            (4, "host;host", Fault::SignedHeaders),
            (4, "host%0Arange", Fault::SignedHeaders),
        ] {
            let mut pairs = whole;
            pairs[index].1 = value;
            assert_eq!(claim(&query(&pairs), &[]), Err(fault.at(Carrier::Query)), "{value}");
        }
    }

    #[test]
    fn a_body_without_a_hash_is_framed_if_its_encoding_says_so() {
        let mode = |pairs: &[(&str, &str)]| {
            let headers = headers(pairs);
            let request =
                Request { method: "PUT", path: "/", query: "", headers: &headers, virtual_bucket: None };
            match Claim::of(&request, Version2::Refused) {
                Ok(Claim::Anonymous(mode)) => mode,
                other => panic!("expected an anonymous request: {other:?}"),
            }
        };
        assert_eq!(mode(&[]), PayloadMode::Unsigned);
        assert_eq!(mode(&[("content-encoding", "gzip")]), PayloadMode::Unsigned);
        let framed = PayloadMode::StreamingUnsignedTrailer;
        assert_eq!(mode(&[("content-encoding", "gzip, aws-chunked")]), framed);
        assert_eq!(mode(&[("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")]), framed);
        let signed = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
        assert_eq!(claim("", &signed), Err(AuthError::SignedChunksUnsigned));
    }

    #[test]
    fn version_2_is_read_only_where_it_is_taken() {
        let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
        let header = ("authorization", "AWS AKID:FWeDfwojDSdS2Ztmpfeubhd9isU=");
        let query = "AWSAccessKeyId=a&Expires=1&Signature=b";
        for (query, pairs) in [("", &[header, date][..]), ("", &[header]), (query, &[]), (&query[..24], &[])]
        {
            let refused = claim(query, pairs);
            assert!(matches!(refused, Err(AuthError::SignatureV2) | Ok(None)), "{query} {refused:?}");
        }
        let taken = |query: &str, pairs: &[_]| claim_where(Version2::Taken, query, pairs);
        assert_eq!(taken("", &[header, date]), Ok(Some(PayloadMode::Unsigned)));
        assert_eq!(taken(query, &[]), Ok(Some(PayloadMode::Unsigned)));
        assert_eq!(taken("", &[header]), Err(AuthError::MissingDate));
        assert_eq!(taken("", &[header, date, ("x-amz-date", "today")]), Err(AuthError::MissingDate));
        let before_1970 = ("date", "Fri, 24 May 1963 00:00:00 GMT");
        assert_eq!(taken("", &[header, before_1970]), Err(AuthError::MissingDate));
        for text in ["AWS HAHAHA", "AWS", "aws AKID:x", "AWS4-HMAC-SHA256x y:z"] {
            let refused = taken("", &[("authorization", text), date]);
            assert_eq!(refused, Err(AuthError::UnsupportedAuthorization), "{text}");
        }
        for part in
            ["AWSAccessKeyId=a", "Signature=b", "Expires=1&Signature=b", "AWSAccessKeyId=a&Signature=b"]
        {
            assert_eq!(taken(part, &[]), Err(AuthError::QueryPartsV2), "{part}");
        }
        assert_eq!(taken("Expires=1", &[]), Ok(None));
        for again in ["AWSAccessKeyId=a", "%41WSAccessKeyId=a", "Expires=1", "Signature=b"] {
            assert_eq!(taken(&format!("{query}&{again}"), &[]), Err(AuthError::QueryPartsV2), "{again}");
        }
        for given in ["", "soon", "-1", "+1", "1.5", "2147483648", "99999999999999999999"] {
            let refused = taken(&format!("AWSAccessKeyId=a&Expires={given}&Signature=b"), &[]);
            let given = given.to_owned();
            assert_eq!(refused, Err(AuthError::InvalidExpires { given }));
        }
        assert!(taken("AWSAccessKeyId=a&Expires=2147483647&Signature=b", &[]).is_ok());
    }

    #[test]
    fn a_request_signed_in_two_ways_is_refused() {
        let taken = |query: &str, pairs: &[_]| claim_where(Version2::Taken, query, pairs);
        let old = "AWSAccessKeyId=a&Expires=1&Signature=b";
        let header = ("authorization", "AWS AKID:FWeDfwojDSdS2Ztmpfeubhd9isU=");
        let value = format!("AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders=host,Signature=00");
        let new = ("authorization", value.as_str());
        let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
        for (query, pairs) in [
            (old.to_owned(), vec![header, date]),
            (old.to_owned(), vec![new, date]),
            ("Signature=b".into(), vec![header, date]),
            (String::new(), vec![header, new, date]),
            (format!("{old}&X-Amz-Signature=00"), vec![]),
            (format!("{old}&x%2Damz-date=1"), vec![]),
            ("Signature=b&X-Amz-Algorithm=AWS4-HMAC-SHA256".into(), vec![]),
        ] {
            assert_eq!(taken(&query, &pairs), Err(AuthError::SeveralMechanisms), "{query} {pairs:?}");
        }
    }

    #[test]
    fn version_2_signs_no_chunks() {
        let header = ("authorization", "AWS AKID:FWeDfwojDSdS2Ztmpfeubhd9isU=");
        let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
        let old = "AWSAccessKeyId=a&Expires=1&Signature=b";
        let mode = |text: &str| {
            let hash = ("x-amz-content-sha256", text);
            let header = claim_where(Version2::Taken, "", &[header, date, hash]);
            assert_eq!(claim_where(Version2::Taken, old, &[hash]), header);
            let query = format!("{old}&X-Amz-Content-Sha256={text}");
            assert_eq!(claim_where(Version2::Taken, &query, &[]), header);
            header
        };
        for text in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"] {
            assert_eq!(mode(text), Err(AuthError::SignedChunksUnsigned));
        }
        assert_eq!(mode("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), Err(AuthError::SignatureV4a));
        assert_eq!(mode("nonsense"), Err(AuthError::InvalidContentSha256));
        let trailer = PayloadMode::StreamingUnsignedTrailer;
        assert_eq!(mode("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), Ok(Some(trailer)));
        let digest = Sha256Digest::of(b"");
        assert_eq!(mode(&digest.to_string()), Ok(Some(PayloadMode::Sha256(digest))));
    }
}
