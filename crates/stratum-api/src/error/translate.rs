//! Turns the errors of the layers below into S3's.

use super::{Code, S3Error};
use http::HeaderValue;
use stratum_auth::{AuthError, Carrier, ChunkError, Fault, Mismatch, Verifier};
use stratum_bodies::BodyError;
use stratum_cipher::KeyError;
use stratum_frames::FrameError;
use stratum_metadata::command::Refusal;
use stratum_metadata::record::{InvalidBucketName, InvalidObjectKey, ObjectKey};
use stratum_metadata::{CommitError, NotWritten, ReadError};
use stratum_storage::readpath;
use stratum_storage::writepath::WriteError;

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchBucket => Code::NoSuchBucket.into(),
            Refusal::BucketExists { .. } => Code::BucketAlreadyExists.into(),
            Refusal::BucketNotEmpty => Code::BucketNotEmpty.into(),
            Refusal::NoSuchKey => Code::NoSuchKey.into(),
            Refusal::NoSuchVersion => Code::NoSuchVersion.into(),
            Refusal::Locked => S3Error::new(Code::AccessDenied)
                .message("Access Denied because object protected by object lock."),
            Refusal::BucketState => Code::InvalidBucketState.into(),
            Refusal::PreconditionFailed(_) => Code::PreconditionFailed.into(),
            Refusal::NoSuchUpload => Code::NoSuchUpload.into(),
            Refusal::QuotaExceeded => S3Error::quota_exceeded("bucket"),
            Refusal::UserQuotaExceeded => S3Error::quota_exceeded("user"),
            Refusal::UploadChanged
            | Refusal::IdentitiesChanged
            | Refusal::LifecycleChanged
            | Refusal::Indispensable
            | Refusal::LevelIs(_) => S3Error::new(Code::OperationAborted).because(refusal),
            Refusal::VolumeGone | Refusal::VolumeState => S3Error::new(Code::SlowDown).because(refusal),
        }
    }
}

impl From<InvalidBucketName> for S3Error {
    fn from(error: InvalidBucketName) -> Self {
        S3Error::new(Code::InvalidBucketName).message(format!("The specified bucket is not valid: {error}."))
    }
}

impl From<InvalidObjectKey> for S3Error {
    fn from(error: InvalidObjectKey) -> Self {
        match error {
            InvalidObjectKey::Empty => S3Error::invalid_argument("Key", "", "A key cannot be empty."),
            InvalidObjectKey::TooLong => {
                S3Error::new(Code::KeyTooLongError).with("MaxSizeAllowed", ObjectKey::MAX.to_string())
            }
            InvalidObjectKey::NotUtf8 => S3Error::new(Code::InvalidURI),
        }
    }
}

/// What a client is told when nobody knows whether its write took effect.
const UNKNOWN: &str =
    "The write could not be confirmed: it may have taken effect, or may still. Look before you repeat it.";

/// What a client is told when what it needs is in a part of the index that no drive can give. The text doesn't say
/// which keys the part holds, since whoever asks for one key needn't know of others; whoever may read the server's
/// status finds them there.
const LOST: &str = "A part of the index that is needed for this can't be read on any drive, so that it isn't known what is stored there. \
                    Everything else is served.";

impl From<CommitError> for S3Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotWritten(nothing) => nothing.into(),
            CommitError::Unknown(unknown) => {
                S3Error::new(Code::ServiceUnavailable).message(UNKNOWN).because(unknown)
            }
        }
    }
}

impl From<NotWritten> for S3Error {
    fn from(nothing: NotWritten) -> Self {
        let code = match nothing {
            NotWritten::Lost(_) => {
                return S3Error::new(Code::InternalError)
                    .message(format!("{LOST} Nothing was written."))
                    .because(nothing);
            }
            NotWritten::Busy => Code::SlowDown,
            NotWritten::NoSpace => Code::InsufficientStorage,
            NotWritten::Unavailable(_) | NotWritten::Stopped => Code::ServiceUnavailable,
            NotWritten::TooLong => Code::MaxMessageLengthExceeded,
            NotWritten::NotHeld => Code::InternalError,
        };
        let message = format!("{} Nothing was written.", code.message());
        S3Error::new(code).message(message).because(nothing)
    }
}

impl From<WriteError> for S3Error {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::NoSpace(_) => Code::InsufficientStorage,
            WriteError::Length { .. } => Code::IncompleteBody,
            WriteError::TooLarge(_) => Code::InternalError,
            WriteError::TooFewDrives { .. }
            | WriteError::TooFewShards { .. }
            | WriteError::SpoolFull(_)
            | WriteError::Unavailable(_) => Code::ServiceUnavailable,
        };
        S3Error::new(code).because(error)
    }
}

impl From<readpath::ReadError> for S3Error {
    fn from(error: readpath::ReadError) -> Self {
        let code = match error {
            readpath::ReadError::Range { .. }
            | readpath::ReadError::InJournal
            | readpath::ReadError::Nonsense => Code::InternalError,
            readpath::ReadError::Gone(_)
            | readpath::ReadError::Damaged { .. }
            | readpath::ReadError::Remote(_)
            | readpath::ReadError::RemoteDamaged { .. }
            | readpath::ReadError::Interrupted(_) => Code::ServiceUnavailable,
        };
        S3Error::new(code).because(error)
    }
}

impl From<BodyError> for S3Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Write(error) => error.into(),
            BodyError::Read(error) => error.into(),
            BodyError::Frames(error) => error.into(),
            BodyError::Ended(_) | BodyError::Lost => S3Error::new(Code::InternalError).because(error),
        }
    }
}

impl From<KeyError> for S3Error {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown(name) => {
                S3Error::new(Code::KmsNotFound).message(format!("Key '{name}' does not exist"))
            }
            KeyError::Unavailable(_) => S3Error::new(Code::ServiceUnavailable).because(error),
            KeyError::NotHere => S3Error::new(Code::KmsNotFound)
                .message(
                    "The master key that the object's key is wrapped with isn't among the server's keys.",
                )
                .because(error),
            KeyError::Damaged => S3Error::new(Code::InternalError).because(error),
        }
    }
}

impl From<FrameError> for S3Error {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::TooLong | FrameError::Range(_) | FrameError::NoKey | FrameError::Unsealable => {
                Code::InternalError
            }
            FrameError::Version(_)
            | FrameError::Cipher(_)
            | FrameError::Codec(_)
            | FrameError::Table
            | FrameError::OtherBody { .. }
            | FrameError::Frame(_)
            | FrameError::CutOff(_)
            | FrameError::Memory => Code::ServiceUnavailable,
        };
        S3Error::new(code).because(error)
    }
}

impl From<ReadError> for S3Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Lost(_) => S3Error::new(Code::InternalError).message(LOST).because(error),
            ReadError::Unavailable(_) | ReadError::Record(_) => {
                S3Error::new(Code::ServiceUnavailable).because(error)
            }
        }
    }
}

impl From<ChunkError> for S3Error {
    fn from(error: ChunkError) -> Self {
        let code = match error {
            ChunkError::TooSmall { chunk, size } => {
                return S3Error::new(Code::InvalidChunkSizeError)
                    .message(error.to_string())
                    .with("Chunk", chunk.to_string())
                    .with("BadChunkSize", size.to_string());
            }
            ChunkError::Truncated
            | ChunkError::TooShort
            | ChunkError::TooLong
            | ChunkError::MalformedHeader
            | ChunkError::MalformedData
            | ChunkError::AfterEnd => Code::IncompleteBody,
            ChunkError::ChunkSignature | ChunkError::TrailerSignature => Code::SignatureDoesNotMatch,
            ChunkError::MalformedTrailer => Code::MalformedTrailerError,
        };
        S3Error::new(code).message(error.to_string())
    }
}

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        let of = |code| S3Error::new(code).message(message.clone());
        match error {
            AuthError::UnsupportedAuthorization | AuthError::SeveralMechanisms => {
                of(Code::InvalidArgument).with("ArgumentName", "Authorization")
            }
            AuthError::SignatureV2
            | AuthError::AmbiguousV2
            | AuthError::MissingContentSha256
            | AuthError::SignedChunksUnsigned => of(Code::InvalidRequest),
            AuthError::SignatureV4a => of(Code::NotImplemented),
            AuthError::Malformed { carrier, fault } => malformed(carrier, fault, message),
            AuthError::HeadTooLarge => of(Code::RequestHeaderSectionTooLarge)
                .with("MaxSizeAllowed", stratum_auth::Request::MAX_HEAD_BYTES.to_string()),
            AuthError::MissingDate | AuthError::QueryPartsV2 | AuthError::InvalidExpires { .. } => {
                of(Code::AccessDenied)
            }
            AuthError::HeadersNotSigned { headers } => {
                of(Code::AccessDenied).with("HeadersNotSigned", headers)
            }
            AuthError::Expired { expired_at, now } => {
                of(Code::AccessDenied).with("Expires", iso(expired_at)).with("ServerTime", iso(now))
            }
            AuthError::NotYetValid { signed_at, now } => {
                of(Code::AccessDenied).with("X-Amz-Date", signed_at.as_str()).with("ServerTime", iso(now))
            }
            AuthError::RequestTimeTooSkewed { signed_at, now } => of(Code::RequestTimeTooSkewed)
                .with("RequestTime", signed_at.as_str())
                .with("ServerTime", iso(now))
                .with("MaxAllowedSkewMilliseconds", (Verifier::MAX_SKEW_SECONDS * 1000).to_string()),
            AuthError::InvalidAccessKeyId { access_key } => {
                of(Code::InvalidAccessKeyId).with("AWSAccessKeyId", access_key)
            }
            AuthError::InvalidToken => of(Code::InvalidToken),
            AuthError::ExpiredToken => of(Code::ExpiredToken),
            AuthError::Unavailable(cause) => S3Error::new(Code::ServiceUnavailable).because(cause),
            AuthError::SignatureDoesNotMatch(mismatch) => signature(*mismatch, message),
            AuthError::InvalidContentSha256 => {
                of(Code::InvalidArgument).with("ArgumentName", "x-amz-content-sha256")
            }
            AuthError::ContentSha256Mismatch { declared, computed } => of(Code::XAmzContentSHA256Mismatch)
                .with("ClientComputedContentSHA256", declared.to_string())
                .with("S3ComputedContentSHA256", computed.to_string()),
        }
    }
}

fn malformed(carrier: Carrier, fault: Fault, message: String) -> S3Error {
    let code = match carrier {
        Carrier::Header => Code::AuthorizationHeaderMalformed,
        Carrier::Query => Code::AuthorizationQueryParametersError,
    };
    let error = S3Error::new(code).message(message);
    match fault {
        Fault::Region { expected, .. } => {
            let region = HeaderValue::try_from(expected.as_str());
            let error = error.with("Region", expected);
            match region {
                Ok(region) => error.header(super::BUCKET_REGION, region),
                Err(_) => error,
            }
        }
        _ => error,
    }
}

fn signature(mismatch: Mismatch, message: String) -> S3Error {
    let error = S3Error::new(Code::SignatureDoesNotMatch)
        .message(message)
        .with("AWSAccessKeyId", mismatch.access_key)
        .with("StringToSign", mismatch.string_to_sign)
        .with("SignatureProvided", mismatch.signature_provided);
    match mismatch.canonical_request.as_str() {
        "" => error,
        canonical => error.with("CanonicalRequest", canonical),
    }
}

/// A time in seconds, as error documents have it.
fn iso(unix: i64) -> String {
    crate::text::Timestamp(u64::try_from(unix).unwrap_or(0).saturating_mul(1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::UnknownOutcome;

    #[test]
    fn a_client_is_told_whether_its_write_may_have_taken_effect() {
        let unknown = S3Error::from(CommitError::Unknown(UnknownOutcome("a drive".into())));
        assert_eq!(unknown.code(), Code::ServiceUnavailable);
        assert!(unknown.text().starts_with("The write could not be confirmed"), "{}", unknown.text());
        assert!(!unknown.text().contains("Nothing was written"), "{}", unknown.text());
        for (nothing, code) in [
            (NotWritten::Busy, Code::SlowDown),
            (NotWritten::NoSpace, Code::InsufficientStorage),
            (NotWritten::Unavailable("few drives".into()), Code::ServiceUnavailable),
            (NotWritten::Stopped, Code::ServiceUnavailable),
            (NotWritten::TooLong, Code::MaxMessageLengthExceeded),
            (NotWritten::NotHeld, Code::InternalError),
        ] {
            let error = S3Error::from(CommitError::NotWritten(nothing));
            assert_eq!(error.code(), code);
            assert!(error.text().ends_with("Nothing was written."), "{}", error.text());
        }
    }
}
