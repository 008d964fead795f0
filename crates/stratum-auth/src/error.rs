//! What can be wrong with the authentication of a request.
//!
//! There is one variant for each answer that S3 gives, with what its error document needs. The S3 code is named
//! beside each variant; the API translates variants into answers.

use crate::digest::Sha256Digest;
use crate::timestamp::Timestamp;

/// Why a request was not authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// `InvalidArgument` (400), ArgumentName `Authorization`.
    #[error("Unsupported Authorization Type")]
    UnsupportedAuthorization,
    /// `InvalidRequest` (400).
    #[error("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")]
    SignatureV2,
    /// `AccessDenied` (403): the query has some parameters of a signature of version 2, but not all of them.
    #[error(
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters, each of them once"
    )]
    QueryPartsV2,
    /// `AccessDenied` (403): the `Expires` parameter of version 2 is not a second that it can hold.
    #[error("Invalid date (should be seconds since epoch): {given}")]
    InvalidExpires { given: String },
    /// `InvalidRequest` (400): another request that means something else would have the same string to sign by
    /// version 2.
    #[error(
        "A parameter can be read in two ways where it is signed by version 2. Please use AWS4-HMAC-SHA256."
    )]
    AmbiguousV2,
    /// `NotImplemented` (501).
    #[error("Signature Version 4A (AWS4-ECDSA-P256-SHA256) is not supported. Please use AWS4-HMAC-SHA256.")]
    SignatureV4a,
    /// `InvalidArgument` (400), ArgumentName `Authorization`.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
         parameter or the Authorization header should be specified"
    )]
    SeveralMechanisms,
    /// `AuthorizationHeaderMalformed` (400) in a header, `AuthorizationQueryParametersError` (400) in a query.
    /// For [`Fault::Region`] the document carries `<Region>`, the expected one.
    #[error("{fault}")]
    Malformed { carrier: Carrier, fault: Fault },
    /// `RequestHeaderSectionTooLarge` (400).
    #[error("Your request header and query parameters exceed the maximum allowed size.")]
    HeadTooLarge,
    /// `AccessDenied` (403).
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// `AccessDenied` (403); `headers` (comma-separated) goes to `<HeadersNotSigned>`.
    #[error("There were headers present in the request which were not signed: {headers}")]
    HeadersNotSigned { headers: String },
    /// `AccessDenied` (403): a presigned URL, used after `expired_at` (Unix seconds).
    #[error("Request has expired")]
    Expired { expired_at: i64, now: i64 },
    /// `AccessDenied` (403): a presigned URL that was signed in the future.
    #[error("Request is not yet valid")]
    NotYetValid { signed_at: Timestamp, now: i64 },
    /// `RequestTimeTooSkewed` (403).
    #[error("The difference between the request time and the current time is too large.")]
    RequestTimeTooSkewed { signed_at: Timestamp, now: i64 },
    /// `InvalidAccessKeyId` (403).
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    InvalidAccessKeyId { access_key: String },
    /// `InvalidToken` (400): the token of another session, or of none, or a token with a key that needs none.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// `ExpiredToken` (400).
    #[error("The provided token has expired.")]
    ExpiredToken,
    /// `ServiceUnavailable` (503): the access key can't be looked up now.
    #[error("keys can't be looked up: {0}")]
    Unavailable(String),
    /// `SignatureDoesNotMatch` (403).
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and \
         signing method."
    )]
    SignatureDoesNotMatch(Box<Mismatch>),
    /// `InvalidRequest` (400).
    #[error("Missing required header for this request: x-amz-content-sha256")]
    MissingContentSha256,
    /// `InvalidArgument` (400), ArgumentName `x-amz-content-sha256`.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    InvalidContentSha256,
    /// `InvalidRequest` (400): signed chunks continue the chain that begins with the header's signature, and this
    /// request has none.
    #[error(
        "A body of signed chunks needs a request that is signed by AWS4-HMAC-SHA256 in its Authorization header."
    )]
    SignedChunksUnsigned,
    /// `XAmzContentSHA256Mismatch` (400).
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentSha256Mismatch { declared: Sha256Digest, computed: Sha256Digest },
}

/// Where a signature is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The `Authorization` header.
    Header,
    /// The `X-Amz-*` parameters of a presigned URL (or the fields of a POST form).
    Query,
}

/// What is wrong with the form of a signature's parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("The authorization header requires Credential, SignedHeaders and Signature, each of them once.")]
    HeaderParts,
    /// A repeated, unsorted or misspelt name.
    #[error(
        "SignedHeaders must be names of headers in lower case, separated by ';', in ascending order, each once."
    )]
    SignedHeaders,
    #[error(
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
         X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each of them once."
    )]
    QueryParts,
    #[error("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")]
    Algorithm,
    #[error(
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\", \
         got \"{given}\"."
    )]
    Credential { given: String },
    #[error("the service '{given}' is wrong; expecting 's3'")]
    Service { given: String },
    #[error("the region '{given}' is wrong; expecting '{expected}'")]
    Region { given: String, expected: String },
    #[error("Invalid credential date \"{given}\". This date is not the same as X-Amz-Date: \"{expected}\".")]
    CredentialDate { given: String, expected: String },
    #[error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")]
    Date,
    /// Not a number from 0 to 604800.
    #[error("X-Amz-Expires must be a number of seconds from 0 to 604800 (a week)")]
    Expires,
}

impl Fault {
    pub(crate) fn at(self, carrier: Carrier) -> AuthError {
        AuthError::Malformed { carrier, fault: self }
    }
}

/// What the error document of `SignatureDoesNotMatch` shows, so that a client's author can find the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub access_key: String,
    /// Bytes that are not UTF-8 are replaced, and of what comes from the request only the first
    /// [`Mismatch::SHOWN_BYTES`] are shown.
    pub string_to_sign: String,
    /// As the client sent it.
    pub signature_provided: String,
    /// Shown like the string to sign. Empty for a POST form and for version 2, which have no canonical request.
    pub canonical_request: String,
}

impl Mismatch {
    /// How much of what was signed is sent back, at most, in bytes. Only a hostile request has more.
    pub const SHOWN_BYTES: usize = 4 << 10;

    pub(crate) fn shown(signed: &[u8]) -> String {
        String::from_utf8_lossy(signed.get(..Self::SHOWN_BYTES).unwrap_or(signed)).into_owned()
    }
}
