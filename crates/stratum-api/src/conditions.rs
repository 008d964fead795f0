//! Conditions on reads and writes.
//!
//! Conditions on reads are evaluated here, in the order of RFC 9110, section 13.2.2: one on the ETag overrules one on
//! the date. Conditions on writes are only parsed here; the state machine evaluates them atomically with the write that
//! they guard.
//!
//! `If-Match` and `If-Range` compare ETags strongly, `If-None-Match` weakly (sections 13.1.1, 13.1.2 and 13.1.5). All
//! ETags of objects are strong, so a weak one (`W/"..."`), which some proxies make of an ETag when they compress an
//! answer, never matches in the first two.

use crate::error::{Code, S3Error};
use crate::headers;
use crate::number;
use crate::operation::Operation;
use http::HeaderMap;
use stratum_metadata::command::{Condition, Match, Refusal, WriteCondition};
use stratum_metadata::record::ObjectRecord;

/// The names of the four condition headers of a read, as S3 spells them in its errors. The capitals matter: clients
/// tell by this spelling which condition failed.
struct Names {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// The headers of conditions that only a DELETE may have.
const MODIFIED_AT: &str = "x-amz-if-match-last-modified-time";
const SIZE: &str = "x-amz-if-match-size";

const OF_READS: Names = Names {
    if_match: "If-Match",
    if_none_match: "If-None-Match",
    if_modified_since: "If-Modified-Since",
    if_unmodified_since: "If-Unmodified-Since",
};

const OF_COPIES: Names = Names {
    if_match: "x-amz-copy-source-If-Match",
    if_none_match: "x-amz-copy-source-If-None-Match",
    if_modified_since: "x-amz-copy-source-If-Modified-Since",
    if_unmodified_since: "x-amz-copy-source-If-Unmodified-Since",
};

/// Whether a GET or HEAD goes on, by its conditions.
///
/// # Errors
/// `PreconditionFailed`, or `NotModified` with the object's validators.
pub fn check_read(headers: &HeaderMap, object: &ObjectRecord) -> Result<(), S3Error> {
    match violated(headers, &OF_READS, object) {
        None => Ok(()),
        Some(name) if name == OF_READS.if_none_match || name == OF_READS.if_modified_since => {
            let etag = headers::etag(&object.etag);
            let modified = headers::http_date(object.modified);
            Err(S3Error::new(Code::NotModified)
                .header(http::header::ETAG, etag)
                .header(http::header::LAST_MODIFIED, modified))
        }
        Some(name) => Err(failed(name)),
    }
}

/// Whether a copy of `source` goes on, by its conditions.
///
/// # Errors
/// `PreconditionFailed`.
pub fn check_copy_source(headers: &HeaderMap, source: &ObjectRecord) -> Result<(), S3Error> {
    violated(headers, &OF_COPIES, source).map_or(Ok(()), |name| Err(failed(name)))
}

/// The S3 error for a write that the state machine refused. Where a condition didn't hold, the error names its header.
pub fn refused(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::PreconditionFailed(condition) => failed(match condition {
            Condition::IfMatch => OF_READS.if_match,
            Condition::IfNoneMatch => OF_READS.if_none_match,
            Condition::ModifiedAt => MODIFIED_AT,
            Condition::Size => SIZE,
        }),
        refusal => refusal.into(),
    }
}

fn failed(condition: &'static str) -> S3Error {
    S3Error::new(Code::PreconditionFailed).with("Condition", condition)
}

/// The header of the first condition that doesn't hold.
fn violated(headers: &HeaderMap, names: &Names, object: &ObjectRecord) -> Option<&'static str> {
    let modified = object.modified / 1000;
    let date = |name| headers.get(name)?.to_str().ok().and_then(headers::parse_http_date);
    match etags(headers, names.if_match, strong_etags) {
        Some(wanted) if !holds(&wanted, object) => return Some(names.if_match),
        Some(_) => {}
        None if date(names.if_unmodified_since).is_some_and(|date| modified > date) => {
            return Some(names.if_unmodified_since);
        }
        None => {}
    }
    match etags(headers, names.if_none_match, weak_etags) {
        Some(unwanted) if holds(&unwanted, object) => Some(names.if_none_match),
        Some(_) => None,
        None if date(names.if_modified_since).is_some_and(|date| modified <= date) => {
            Some(names.if_modified_since)
        }
        None => None,
    }
}

fn holds(wanted: &Match, object: &ObjectRecord) -> bool {
    match wanted {
        Match::Any => true,
        Match::ETags(etags) => {
            let own = object.etag.to_string();
            etags.contains(&own)
        }
    }
}

/// Whether a `Range` counts: it does without `If-Range`, and with an `If-Range` that matches the object as it is. `*`,
/// which names no object, matches none.
pub fn range_counts(headers: &HeaderMap, object: &ObjectRecord) -> bool {
    let Some(validator) = headers.get("if-range") else { return true };
    let Ok(validator) = validator.to_str() else { return false };
    match headers::parse_http_date(validator) {
        Some(date) => object.modified / 1000 == date,
        None => match strong_etags(validator) {
            Match::Any => false,
            etags => holds(&etags, object),
        },
    }
}

/// Whether a write or a deletion has a condition on what the current object is, so that the answer tells whether the
/// caller has guessed that. A condition on whether there is an object at all (`*`) isn't one.
pub fn are_of_content(operation: &Operation, headers: &HeaderMap) -> bool {
    let is_of_deletion = headers.contains_key(MODIFIED_AT) || headers.contains_key(SIZE);
    headers::CONDITIONAL.contains(&operation.name) && (is_of_deletion || is_of_content(&on_write(headers)))
}

/// As [`are_of_content`], for a condition that was already parsed.
pub fn is_of_content(condition: &WriteCondition) -> bool {
    let has_etags = |of: &Option<Match>| matches!(of, Some(Match::ETags(_)));
    has_etags(&condition.if_match)
        || has_etags(&condition.if_none_match)
        || condition.if_modified_at.is_some()
        || condition.if_size.is_some()
}

/// Reads the condition of a PUT or a CompleteMultipartUpload.
pub fn on_write(headers: &HeaderMap) -> WriteCondition {
    WriteCondition {
        if_match: etags(headers, "if-match", strong_etags),
        if_none_match: etags(headers, "if-none-match", weak_etags),
        ..WriteCondition::default()
    }
}

/// Reads the condition of a DELETE, which may also name a time and a size.
///
/// # Errors
/// `InvalidArgument` when the time or the size can't be read.
pub fn on_delete(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    let parse = |name, parse: fn(&str) -> Option<u64>| {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        let wrong = || S3Error::invalid_argument(name, text, format!("The value of {name} can't be read."));
        parse(text).ok_or_else(wrong).map(Some)
    };
    Ok(WriteCondition {
        if_modified_at: parse(MODIFIED_AT, headers::parse_http_date)?,
        if_size: parse(SIZE, |text| number::parse(text.trim()))?,
        ..on_write(headers)
    })
}

/// The ETags of a header, where the request has it.
fn etags(headers: &HeaderMap, name: &str, read: fn(&str) -> Match) -> Option<Match> {
    let value = headers.get(name)?;
    Some(read(value.to_str().unwrap_or_default()))
}

/// Reads what an ETag of an object must be one of, compared strongly: as [`weak_etags`], but weak ETags match nothing.
pub fn strong_etags(text: &str) -> Match {
    read_etags(text, |etag| (!etag.starts_with(WEAK)).then_some(etag))
}

/// Reads `*`, or ETags with or without quotation marks, with commas between them. Several lines of a header come joined
/// by commas. The condition is about any of the values, so a `*` among ETags means any object. They are compared
/// weakly: an ETag that is marked as weak stands for the one without the mark.
pub fn weak_etags(text: &str) -> Match {
    read_etags(text, |etag| Some(etag.strip_prefix(WEAK).unwrap_or(etag)))
}

/// What a weak ETag begins with. It is these two characters, in these cases, and no others.
const WEAK: &str = "W/";

fn read_etags(text: &str, comparable: impl Fn(&str) -> Option<&str>) -> Match {
    if text.split(',').any(|etag| etag.trim() == "*") {
        return Match::Any;
    }
    let etags = text.split(',').filter_map(|etag| comparable(etag.trim()));
    Match::ETags(etags.map(|etag| etag.trim_matches('"').to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use stratum_metadata::record::{Attributes, Body, ETag, ObjectHeaders, StorageClass, VersionId};
    use stratum_storage::blob::{BlobRef, Place};

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const ETAG: &str = "\"00000000000000000000000000000000\"";

    fn object() -> ObjectRecord {
        ObjectRecord {
            version: VersionId::NULL,
            modified: 784_111_777_500,
            size: 0,
            etag: ETag::Md5([0; 16]),
            storage_class: StorageClass::Standard,
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(Place::Empty)),
            committed: 0,
            attributes: Attributes::default(),
        }
    }

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<Code> {
        check_read(&map(pairs), &object()).err().map(|error| error.code())
    }

    #[test]
    fn a_single_condition_holds_or_fails() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("if-match", ETAG)]), None);
        assert_eq!(read(&[("if-match", "00000000000000000000000000000000")]), None);
        assert_eq!(read(&[("if-match", "\"a\", \"b\"")]), Some(Code::PreconditionFailed));
        assert_eq!(read(&[("if-match", "*")]), None);
        assert_eq!(read(&[("if-none-match", ETAG)]), Some(Code::NotModified));
        assert_eq!(read(&[("if-none-match", "\"other\"")]), None);
        assert_eq!(read(&[("if-modified-since", AT)]), Some(Code::NotModified));
        assert_eq!(read(&[("if-modified-since", BEFORE)]), None);
        assert_eq!(read(&[("if-unmodified-since", AT)]), None);
        assert_eq!(read(&[("if-unmodified-since", BEFORE)]), Some(Code::PreconditionFailed));
        assert_eq!(read(&[("if-unmodified-since", "nonsense")]), None);
    }

    #[test]
    fn an_etag_beats_a_date() {
        assert_eq!(read(&[("if-match", ETAG), ("if-unmodified-since", BEFORE)]), None);
        assert_eq!(read(&[("if-none-match", "\"other\""), ("if-modified-since", AT)]), None);
        let both = [("if-none-match", ETAG), ("if-modified-since", BEFORE)];
        assert_eq!(read(&both), Some(Code::NotModified));
    }

    #[test]
    fn a_copy_fails_where_a_read_would_be_unmodified() {
        let headers = map(&[("x-amz-copy-source-if-none-match", ETAG)]);
        assert_eq!(check_copy_source(&headers, &object()).unwrap_err().code(), Code::PreconditionFailed);
    }

    #[test]
    fn the_condition_that_fails_is_named_as_s3_spells_it() {
        let named = |error: S3Error| error.respond(&crate::request_id::RequestId::from_u64(1), "/", true);
        assert_eq!(violated(&map(&[("if-match", "\"other\"")]), &OF_READS, &object()), Some("If-Match"));
        let copy = map(&[("x-amz-copy-source-if-match", "\"other\"")]);
        assert_eq!(violated(&copy, &OF_COPIES, &object()), Some("x-amz-copy-source-If-Match"));
        let unmet = |condition| refused(Refusal::PreconditionFailed(condition));
        assert_eq!(named(unmet(Condition::IfMatch)).status(), 412);
        let text = unmet(Condition::Size).document(&crate::request_id::RequestId::from_u64(1), "/");
        assert!(text.contains("<Condition>x-amz-if-match-size</Condition>"), "{text}");
        assert_eq!(named(refused(Refusal::NoSuchKey)).status(), 404);
    }

    #[test]
    fn a_range_counts_only_where_if_range_matches_the_object() {
        assert!(range_counts(&map(&[]), &object()));
        assert!(range_counts(&map(&[("if-range", ETAG)]), &object()));
        assert!(range_counts(&map(&[("if-range", AT)]), &object()));
        assert!(!range_counts(&map(&[("if-range", BEFORE)]), &object()));
        assert!(!range_counts(&map(&[("if-range", "\"other\"")]), &object()));
    }

    #[test]
    fn a_weak_etag_matches_only_where_etags_are_compared_weakly() {
        const WEAK_ETAG: &str = "W/\"00000000000000000000000000000000\"";
        assert_eq!(read(&[("if-match", WEAK_ETAG)]), Some(Code::PreconditionFailed));
        assert_eq!(read(&[("if-none-match", WEAK_ETAG)]), Some(Code::NotModified));
        assert!(!range_counts(&map(&[("if-range", WEAK_ETAG)]), &object()));
        assert!(!range_counts(&map(&[("if-range", "*")]), &object()));
        let copied = |name| check_copy_source(&map(&[(name, WEAK_ETAG)]), &object()).is_ok();
        assert!(!copied("x-amz-copy-source-if-match") && !copied("x-amz-copy-source-if-none-match"));
        let written = on_write(&map(&[("if-match", "W/\"a\", \"b\""), ("if-none-match", "W/\"a\"")]));
        assert_eq!(written.if_match, Some(Match::ETags(vec!["b".into()])));
        assert_eq!(written.if_none_match, Some(Match::ETags(vec!["a".into()])));
        let only_weak = on_write(&map(&[("if-match", WEAK_ETAG)]));
        assert_eq!(only_weak.if_match, Some(Match::ETags(Vec::new())), "which no object meets");
        assert!(is_of_content(&only_weak));
        assert_eq!(strong_etags("w/\"a\""), Match::ETags(vec!["w/\"a".into()]), "the mark is a capital");
    }

    #[test]
    fn conditions_on_writes_are_parsed_for_the_command() {
        let condition = on_write(&map(&[("if-none-match", "*"), ("if-match", "\"a\"")]));
        assert_eq!(condition.if_none_match, Some(Match::Any));
        assert_eq!(condition.if_match, Some(Match::ETags(vec!["a".into()])));
        let condition =
            on_delete(&map(&[("x-amz-if-match-last-modified-time", AT), ("x-amz-if-match-size", "7")]));
        let condition = condition.unwrap();
        assert_eq!((condition.if_modified_at, condition.if_size), (Some(784_111_777), Some(7)));
        for wrong in ["-1", "+1", ""] {
            assert!(on_delete(&map(&[("x-amz-if-match-size", wrong)])).is_err(), "{wrong}");
        }
    }
}
