//! Object lock in requests and answers: the retention and the legal hold of a version.
//!
//! Whether a version may be deleted, or its retention shortened, is decided in the state when that is done.
//!
//! Source: Amazon S3 API Reference, PutObject, PutObjectRetention, PutObjectLockConfiguration.

use crate::error::{Code, S3Error};
use crate::text::{Deadline, parse_iso_8601};
use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_metadata::record::{Attributes, BucketRecord, LegalHold, Retention, RetentionMode};
use stratum_storage::ambient::UnixMillis;

pub const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
pub const UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
pub const HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");

/// The retention and the legal hold that a new version gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pub retention: Option<Retention>,
    pub legal_hold: Option<LegalHold>,
}

impl Lock {
    /// Reads the lock headers, whether or not the bucket has object lock.
    ///
    /// # Errors
    /// `InvalidArgument` for headers that make no sense.
    pub fn of(headers: &HeaderMap, now: UnixMillis) -> Result<Lock, S3Error> {
        Ok(Lock { retention: retention(headers, now)?, legal_hold: legal_hold(headers)? })
    }

    /// Reads the lock that the headers of a write ask for.
    ///
    /// # Errors
    /// As [`Lock::of`]; `InvalidRequest` in a bucket without object lock.
    pub fn asked(headers: &HeaderMap, bucket: &BucketRecord, now: UnixMillis) -> Result<Lock, S3Error> {
        let asked = Lock::of(headers, now)?;
        if asked != Lock::default() {
            require(bucket)?;
        }
        Ok(asked)
    }
}

/// Gives a new version the default retention of its bucket, where the request named none.
pub fn retain_by_default(attributes: &mut Attributes, bucket: &BucketRecord, now: UnixMillis) {
    let default = || Some(bucket.configuration.object_lock?.default?.from(now));
    attributes.retention = attributes.retention.or_else(default);
}

/// Checks that the bucket has object lock.
///
/// # Errors
/// `InvalidRequest`.
pub fn require(bucket: &BucketRecord) -> Result<(), S3Error> {
    match bucket.configuration.object_lock {
        Some(_) => Ok(()),
        None => {
            Err(S3Error::new(Code::InvalidRequest).message("Bucket is missing Object Lock Configuration"))
        }
    }
}

fn retention(headers: &HeaderMap, now: UnixMillis) -> Result<Option<Retention>, S3Error> {
    let (mode, until) = match (headers.get(MODE), headers.get(UNTIL)) {
        (None, None) => return Ok(None),
        (Some(mode), Some(until)) => (mode, until),
        (_, _) => {
            let message =
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
            return Err(S3Error::new(Code::InvalidArgument).message(message));
        }
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let invalid = |name: &HeaderName, value: &HeaderValue, message: &'static str| {
        S3Error::invalid_argument(name.as_str().to_owned(), text(value), message)
    };
    let mode = parse_mode(&text(mode)).ok_or_else(|| invalid(&MODE, mode, "Unknown wormMode directive."))?;
    let at = parse_iso_8601(&text(until));
    let at = at
        .ok_or_else(|| invalid(&UNTIL, until, "The retain until date must be provided in ISO 8601 format"))?;
    in_future(Retention { mode, until: at }, now).map(Some)
}

/// Passes on a retention that isn't over.
///
/// # Errors
/// `InvalidArgument` for a retention that is over.
pub fn in_future(retention: Retention, now: UnixMillis) -> Result<Retention, S3Error> {
    match retention.until > now {
        true => Ok(retention),
        false => {
            Err(S3Error::new(Code::InvalidArgument).message("The retain until date must be in the future!"))
        }
    }
}

fn legal_hold(headers: &HeaderMap) -> Result<Option<LegalHold>, S3Error> {
    let Some(value) = headers.get(HOLD) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let hold = parse_hold(&text).ok_or_else(|| {
        S3Error::invalid_argument(
            HOLD.as_str().to_owned(),
            text.clone(),
            "Legal Hold must be either of 'ON' or 'OFF'",
        )
    })?;
    Ok(Some(hold))
}

/// A mode as the wire has it.
pub fn parse_mode(text: &str) -> Option<RetentionMode> {
    match text {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

pub fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// A legal hold as the wire has it.
pub fn parse_hold(text: &str) -> Option<LegalHold> {
    match text {
        "ON" => Some(LegalHold::On),
        "OFF" => Some(LegalHold::Off),
        _ => None,
    }
}

pub fn hold_name(hold: LegalHold) -> &'static str {
    match hold {
        LegalHold::On => "ON",
        LegalHold::Off => "OFF",
    }
}

/// Writes the headers in which GET and HEAD tell a version's lock.
pub fn describe(attributes: &Attributes, out: &mut HeaderMap) {
    if let Some(Retention { mode, until }) = attributes.retention {
        out.insert(MODE, HeaderValue::from_static(mode_name(mode)));
        out.extend(HeaderValue::try_from(Deadline(until).to_string()).ok().map(|until| (UNTIL, until)));
    }
    if let Some(hold) = attributes.legal_hold {
        out.insert(HOLD, HeaderValue::from_static(hold_name(hold)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{
        BucketConfiguration, BucketId, DefaultRetention, ObjectLock, RetentionPeriod,
    };

    const NOW: UnixMillis = 1_000_000_000_000;

    fn bucket(lock: Option<ObjectLock>) -> BucketRecord {
        BucketRecord {
            id: BucketId(1),
            name: "b".into(),
            owner: "o".into(),
            created: 0,
            region: "r".into(),
            configuration: BucketConfiguration { object_lock: lock, ..BucketConfiguration::default() },
        }
    }

    fn asked(lock: Option<ObjectLock>, pairs: &[(HeaderName, &'static str)]) -> Result<Lock, Code> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Lock::asked(&headers.collect(), &bucket(lock), NOW).map_err(|error| error.code())
    }

    #[test]
    fn headers_come_before_the_default_of_the_bucket() {
        let mode = RetentionMode::Compliance;
        let default = DefaultRetention { mode, period: RetentionPeriod::Years(1) };
        let with_default = Some(ObjectLock { default: Some(default) });
        let by_default = Retention { mode, until: NOW + 365 * 86_400_000 };
        let made = |lock: Lock| {
            let Lock { retention, legal_hold } = lock;
            let mut attributes = Attributes { retention, legal_hold, ..Attributes::default() };
            retain_by_default(&mut attributes, &bucket(with_default), NOW);
            attributes.retention
        };
        assert_eq!(asked(with_default, &[]), Ok(Lock::default()));
        assert_eq!(made(Lock::default()), Some(by_default));
        let headers = [(MODE, "GOVERNANCE"), (UNTIL, "2030-01-01T00:00:00Z")];
        let named = Retention { mode: RetentionMode::Governance, until: 1_893_456_000_000 };
        assert_eq!(made(asked(with_default, &headers).unwrap()), Some(named));
        assert_eq!(asked(None, &[]), Ok(Lock::default()));
        let held = asked(with_default, &[(HOLD, "ON")]).unwrap();
        assert_eq!((held.legal_hold, made(held)), (Some(LegalHold::On), Some(by_default)));
    }

    #[test]
    fn lock_headers_that_make_no_sense_are_refused() {
        let lock = Some(ObjectLock { default: None });
        for (headers, code) in [
            (vec![(MODE, "GOVERNANCE")], Code::InvalidArgument),
            (vec![(UNTIL, "2030-01-01T00:00:00Z")], Code::InvalidArgument),
            (vec![(MODE, "governance"), (UNTIL, "2030-01-01T00:00:00Z")], Code::InvalidArgument),
            (vec![(MODE, "GOVERNANCE"), (UNTIL, "soon")], Code::InvalidArgument),
            (vec![(MODE, "GOVERNANCE"), (UNTIL, "2001-01-01T00:00:00Z")], Code::InvalidArgument),
            (vec![(HOLD, "on")], Code::InvalidArgument),
        ] {
            assert_eq!(asked(lock, &headers), Err(code), "{headers:?}");
        }
        assert_eq!(asked(None, &[(HOLD, "ON")]), Err(Code::InvalidRequest));
        assert_eq!(asked(None, &[(HOLD, "OFF")]), Err(Code::InvalidRequest));
    }
}
