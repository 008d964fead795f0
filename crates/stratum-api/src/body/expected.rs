//! The digests that the client declared for the payload.

use crate::checksum::{self, Digests};
use crate::error::{Code, S3Error};
use http::HeaderMap;
use stratum_auth::{Payload, Sha256Digest, Trailers};
use stratum_metadata::record::ChecksumAlgorithm;
use subtle::ConstantTimeEq;

/// A checksum that the client declared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Declared {
    /// Its value came in a header; `None` when the text can't be a value of the algorithm.
    Value(Option<Vec<u8>>),
    /// Its value follows in a trailer.
    Trailer,
}

/// The digests that a request declares, to be compared with those computed.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    md5: Option<[u8; 16]>,
    sha256: Option<Sha256Digest>,
    checksum: Option<(ChecksumAlgorithm, Declared)>,
    /// The one trailer that `x-amz-trailer` announced.
    trailer: Option<ChecksumAlgorithm>,
    /// Whether `x-amz-sdk-checksum-algorithm` was there and named the checksum's algorithm.
    named: bool,
}

impl Expected {
    /// Reads `Content-MD5`, `x-amz-checksum-*`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`.
    ///
    /// # Errors
    /// `InvalidDigest` for a `Content-MD5` that is no MD5; `InvalidRequest` for several checksums, for an unknown
    /// algorithm, and for an algorithm that is named without a value.
    pub fn of(headers: &HeaderMap, payload: &Payload) -> Result<Self, S3Error> {
        let md5 = match headers.get("content-md5") {
            None => None,
            Some(text) => {
                let md5 = text.to_str().ok().and_then(checksum::decode_md5);
                Some(md5.ok_or(S3Error::new(Code::InvalidDigest))?)
            }
        };
        let sha256 = match payload {
            Payload::Sha256(digest) => Some(*digest),
            Payload::Unsigned | Payload::Chunked(_) => None,
        };
        let declared = declared(headers)?;
        let named = check_sdk_algorithm(headers, declared.as_ref().map(|(algorithm, _)| *algorithm))?;
        let trailer = declared.as_ref().filter(|(_, declared)| *declared == Declared::Trailer);
        let trailer = trailer.map(|(algorithm, _)| *algorithm);
        Ok(Self { md5, sha256, checksum: declared, trailer, named })
    }

    /// Without the checksum of a header, which is of an object and not of the payload. `Content-MD5`, the signature's
    /// digest and a trailer are of the payload in any request.
    pub fn of_payload_alone(mut self) -> Self {
        self.checksum = self.checksum.filter(|(_, declared)| *declared == Declared::Trailer);
        self
    }

    /// The algorithm that the client chose, if it did.
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Whether a `Content-MD5` or a checksum was declared.
    pub fn is_declared(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some()
    }

    /// Whether the signature declared the payload's SHA-256.
    pub fn is_signed(&self) -> bool {
        self.sha256.is_some()
    }

    /// Checks the text of the checksum's header before the body is read.
    ///
    /// # Errors
    /// `InvalidRequest` where the text can't be a value of the algorithm; `BadDigest` where
    /// `x-amz-sdk-checksum-algorithm` names the algorithm, too, which is what S3 documents for a value that doesn't
    /// match the algorithm named.
    pub fn check_value(&self) -> Result<(), S3Error> {
        match &self.checksum {
            Some((algorithm, Declared::Value(None))) if self.named => Err(mismatch(*algorithm)),
            Some((algorithm, Declared::Value(None))) => Err(invalid_value(*algorithm, "header")),
            _ => Ok(()),
        }
    }

    /// Refuses trailers that weren't announced, since nobody would compare their checksums with the payload.
    ///
    /// # Errors
    /// `MalformedTrailerError`.
    pub fn check_announced(&self, trailers: &Trailers) -> Result<(), S3Error> {
        let announced = self.trailer.map(checksum::header);
        match trailers.iter().all(|(name, _)| Some(name) == announced) {
            true => Ok(()),
            false => Err(Code::MalformedTrailerError.into()),
        }
    }

    /// Compares what the client declared with what was computed.
    ///
    /// # Errors
    /// `XAmzContentSHA256Mismatch`, `BadDigest`, what [`Expected::check_value`] refuses of a header and the same of a
    /// trailer, or `MalformedTrailerError` when the announced trailer is missing; `InternalError` where a SHA-256 was
    /// declared and none was computed.
    pub fn check(&self, digests: &Digests, trailers: &Trailers) -> Result<(), S3Error> {
        if let Some(declared) = self.sha256 {
            let uncomputed =
                || S3Error::new(Code::InternalError).because("the payload's SHA-256 wasn't computed");
            declared.check(Sha256Digest(digests.sha256.ok_or_else(uncomputed)?))?;
        }
        if self.md5.is_some_and(|md5| md5 != digests.md5) {
            return Err(Code::BadDigest.into());
        }
        let Some((algorithm, declared)) = &self.checksum else { return Ok(()) };
        self.check_value()?;
        let value = match declared {
            Declared::Value(value) => value.clone().unwrap_or_default(),
            Declared::Trailer => {
                let text = trailers.get(checksum::header(*algorithm));
                let text = text.ok_or(S3Error::new(Code::MalformedTrailerError))?;
                let value = checksum::decode(*algorithm, text.trim());
                value.ok_or_else(|| invalid_value(*algorithm, "trailing header"))?
            }
        };
        let computed = &digests.checksum;
        let matches =
            *algorithm == computed.algorithm && bool::from(value.as_slice().ct_eq(computed.value.as_slice()));
        if matches { Ok(()) } else { Err(mismatch(*algorithm)) }
    }
}

fn invalid_value(algorithm: ChecksumAlgorithm, place: &str) -> S3Error {
    let header = checksum::header(algorithm);
    S3Error::new(Code::InvalidRequest).message(format!("Value for {header} {place} is invalid."))
}

fn mismatch(algorithm: ChecksumAlgorithm) -> S3Error {
    let name = checksum::name(algorithm);
    S3Error::new(Code::BadDigest)
        .message(format!("The {name} you specified did not match the calculated checksum."))
}

/// The one checksum that a request declares.
fn declared(headers: &HeaderMap) -> Result<Option<(ChecksumAlgorithm, Declared)>, S3Error> {
    let mut found = None;
    for (name, text) in headers {
        let Some(algorithm) = checksum::by_header(name.as_str()) else { continue };
        let value = text.to_str().ok().and_then(|text| checksum::decode(algorithm, text));
        if found.replace((algorithm, Declared::Value(value))).is_some() {
            return Err(several());
        }
    }
    for trailer in headers.get_all("x-amz-trailer") {
        for name in trailer.to_str().unwrap_or_default().split(',').map(str::trim) {
            let Some(algorithm) = checksum::by_header(name) else {
                return Err(S3Error::new(Code::InvalidRequest)
                    .message("The value specified in the x-amz-trailer header is not supported"));
            };
            if found.replace((algorithm, Declared::Trailer)).is_some() {
                return Err(several());
            }
        }
    }
    Ok(found)
}

fn several() -> S3Error {
    S3Error::new(Code::InvalidRequest)
        .message("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

/// Checks that `x-amz-sdk-checksum-algorithm`, with which an SDK names its algorithm, agrees with the checksum that was
/// declared. Returns whether the header was there.
fn check_sdk_algorithm(headers: &HeaderMap, declared: Option<ChecksumAlgorithm>) -> Result<bool, S3Error> {
    let Some(named) = headers.get("x-amz-sdk-checksum-algorithm") else { return Ok(false) };
    let named = named.to_str().ok().and_then(checksum::by_name);
    match (named, declared) {
        (Some(named), Some(declared)) if named == declared => Ok(true),
        (Some(_), None) => Err(S3Error::new(Code::InvalidRequest).message(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
             headers were found.",
        )),
        _ => Err(S3Error::new(Code::InvalidRequest)
            .message("Value for x-amz-sdk-checksum-algorithm header is invalid.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Digester;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), Code> {
        let expected = Expected::of(&headers(pairs), &Payload::Unsigned).map_err(|error| error.code())?;
        let mut digester =
            Digester::new(expected.algorithm().unwrap_or(ChecksumAlgorithm::Crc64Nvme), expected.is_signed());
        digester.update(b"123456789");
        expected.check(&digester.finish(), &Trailers::default()).map_err(|error| error.code())
    }

    #[test]
    fn declared_digests_must_match_the_computed_ones() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")]), Ok(()));
        assert_eq!(check(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]), Err(Code::BadDigest));
        assert_eq!(check(&[("content-md5", "YWJyYWNhZGFicmE=")]), Err(Code::InvalidDigest));
        assert_eq!(check(&[("content-md5", "")]), Err(Code::InvalidDigest));
        assert_eq!(check(&[("x-amz-checksum-crc32", "y/Q5Jg==")]), Ok(()));
        assert_eq!(check(&[("x-amz-checksum-crc32", "y/Q5Jw==")]), Err(Code::BadDigest));
        for wrong in ["bad", "", "####", "y/Q5JgA="] {
            assert_eq!(check(&[("x-amz-checksum-crc32", wrong)]), Err(Code::InvalidRequest), "{wrong}");
            let named = [("x-amz-checksum-crc32", wrong), ("x-amz-sdk-checksum-algorithm", "CRC32")];
            assert_eq!(check(&named), Err(Code::BadDigest), "{wrong}");
        }
    }

    #[test]
    fn a_signed_digest_that_nobody_computed_is_refused() {
        let payload = Payload::Sha256(Sha256Digest::of(b"123456789"));
        let expected = Expected::of(&headers(&[]), &payload).unwrap();
        let check = |with_sha256| {
            let mut digester = Digester::new(ChecksumAlgorithm::Crc64Nvme, with_sha256);
            digester.update(b"123456789");
            expected.check(&digester.finish(), &Trailers::default()).map_err(|error| error.code())
        };
        assert_eq!((check(true), check(false)), (Ok(()), Err(Code::InternalError)));
    }

    #[test]
    fn a_checksum_of_an_object_is_not_the_payloads() {
        let of = |pairs| Expected::of(&headers(pairs), &Payload::Unsigned).unwrap().of_payload_alone();
        assert_eq!(of(&[("x-amz-checksum-crc32", "y/Q5Jw==")]).algorithm(), None);
        let trailer = of(&[("x-amz-trailer", "x-amz-checksum-crc32")]);
        assert_eq!(trailer.algorithm(), Some(ChecksumAlgorithm::Crc32));
        assert!(of(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")]).is_declared());
    }

    #[test]
    fn a_request_declares_one_checksum_at_most() {
        let two = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-trailer", "x-amz-checksum-crc32c")];
        assert_eq!(check(&two), Err(Code::InvalidRequest));
        assert_eq!(check(&[("x-amz-trailer", "x-amz-meta-late")]), Err(Code::InvalidRequest));
        assert_eq!(check(&[("x-amz-trailer", "x-amz-checksum-crc32c")]), Err(Code::MalformedTrailerError));
    }

    #[test]
    fn the_sdks_algorithm_must_be_that_of_the_checksum() {
        let named = |name, header| check(&[("x-amz-sdk-checksum-algorithm", name), (header, "y/Q5Jg==")]);
        assert_eq!(named("CRC32", "x-amz-checksum-crc32"), Ok(()));
        assert_eq!(named("crc32", "x-amz-checksum-crc32"), Ok(()));
        assert_eq!(named("SHA1", "x-amz-checksum-crc32"), Err(Code::InvalidRequest));
        assert_eq!(named("CRC33", "x-amz-checksum-crc32"), Err(Code::InvalidRequest));
        assert_eq!(named("CRC32", "x-other"), Err(Code::InvalidRequest));
    }
}
