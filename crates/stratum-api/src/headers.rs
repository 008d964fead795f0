//! Headers, both ways: what an object keeps of the headers of its PUT, and the headers that it is answered with.
//!
//! Values may hold any bytes that HTTP allows. They are kept as text with one character for each byte (Latin-1), so
//! that a client gets back byte for byte what it sent.

mod directive;
mod fold;
mod known;

pub use directive::Directive;
pub use fold::{fold, hoist};
#[cfg(test)]
pub use known::is_heeded;
pub use known::{CONDITIONAL, refuse_in_query, refuse_unheeded};

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::lock;
use crate::query::Query;
use crate::text::LATEST;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};
use stratum_metadata::declared::{Declared, Hints};
use stratum_metadata::record::{Checksum, ETag, ObjectHeaders, ObjectRecord, StorageClass};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// The most bytes of user metadata in all, names and values.
pub const MAX_USER_METADATA: usize = 2048;

/// The most bytes of headers that an object keeps in all, names and values: S3's bound on the headers of a PUT.
pub const MAX_KEPT: usize = 8192;

const USER: &str = "x-amz-meta-";
const WEBSITE_REDIRECT: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");
/// The tier that an object lies in. The header is Stratum's, since S3 has only the class that was declared.
const TIER: HeaderName = HeaderName::from_static("x-stratum-tier");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
pub const TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");
const CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");
const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("binary/octet-stream");

/// Whether the name of any header begins with `begin`. Most requests have no header of a family, and looking up each of
/// its names costs more.
pub fn has_family(headers: &HeaderMap, begin: &str) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(begin))
}

/// What an object keeps of the headers that it was put with.
///
/// # Errors
/// `MetadataTooLarge` when the user metadata is over 2 KiB, or all that is kept over 8 KiB; `InvalidRedirectLocation`.
pub fn object_headers(headers: &HeaderMap) -> Result<ObjectHeaders, S3Error> {
    let get = |name: HeaderName| headers.get(name).map(text).filter(|text| !text.is_empty());
    bounded(ObjectHeaders {
        content_type: get(CONTENT_TYPE),
        content_encoding: get(CONTENT_ENCODING).and_then(|text| without_aws_chunked(&text)),
        content_language: get(CONTENT_LANGUAGE),
        content_disposition: get(CONTENT_DISPOSITION),
        cache_control: get(CACHE_CONTROL),
        expires: get(EXPIRES),
        website_redirect_location: website_redirect(headers)?,
        user: user_metadata(headers)?,
    })
}

/// Where a website redirects whoever asks for the object.
///
/// # Errors
/// `InvalidRedirectLocation` for what is neither a path nor a URL.
pub fn website_redirect(headers: &HeaderMap) -> Result<Option<String>, S3Error> {
    match headers.get(WEBSITE_REDIRECT).map(text).filter(|text| !text.is_empty()) {
        Some(to) if !["/", "http://", "https://"].iter().any(|start| to.starts_with(start)) => {
            Err(Code::InvalidRedirectLocation.into())
        }
        redirect => Ok(redirect),
    }
}

/// Passes on what an object is to keep, if that isn't too much.
///
/// # Errors
/// `MetadataTooLarge` over [`MAX_KEPT`].
pub fn bounded(kept: ObjectHeaders) -> Result<ObjectHeaders, S3Error> {
    // Each character stands for a byte of the header.
    let length = |text: &String| text.chars().count();
    let standard: usize = described(&kept)
        .iter()
        .filter_map(|(name, text)| text.map(|text| name.as_str().len() + length(text)))
        .sum();
    let user: usize = kept.user.iter().map(|(name, text)| USER.len() + name.len() + length(text)).sum();
    check_size(standard + user, MAX_KEPT).map(|()| kept)
}

fn check_size(size: usize, most: usize) -> Result<(), S3Error> {
    if size <= most {
        return Ok(());
    }
    Err(S3Error::new(Code::MetadataTooLarge)
        .with("Size", size.to_string())
        .with("MaxSizeAllowed", most.to_string()))
}

/// The headers that an object keeps, except for user metadata.
fn described(kept: &ObjectHeaders) -> [(HeaderName, Option<&String>); 7] {
    [
        (CONTENT_TYPE, kept.content_type.as_ref()),
        (CONTENT_ENCODING, kept.content_encoding.as_ref()),
        (CONTENT_LANGUAGE, kept.content_language.as_ref()),
        (CONTENT_DISPOSITION, kept.content_disposition.as_ref()),
        (CACHE_CONTROL, kept.cache_control.as_ref()),
        (EXPIRES, kept.expires.as_ref()),
        (WEBSITE_REDIRECT, kept.website_redirect_location.as_ref()),
    ]
}

fn user_metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, S3Error> {
    let mut user = BTreeMap::new();
    let mut size = 0;
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(USER) else { continue };
        size += name.len() + value.len();
        let known: &mut String = user.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push(',');
        }
        known.push_str(&text(value));
    }
    check_size(size, MAX_USER_METADATA).map(|()| user)
}

/// The encodings of the object itself, without `aws-chunked`, which says how the request travelled.
fn without_aws_chunked(encodings: &str) -> Option<String> {
    let own = |encoding: &&str| !encoding.trim().eq_ignore_ascii_case("aws-chunked");
    if encodings.split(',').all(|encoding| own(&encoding)) {
        return Some(encodings.to_owned());
    }
    let kept: Vec<&str> = encodings.split(',').filter(own).map(str::trim).collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// The storage classes with their names. S3's other classes (OUTPOSTS, SNOW, EXPRESS_ONEZONE, FSX_*, AWS_BACKUP_*) are
/// those of other products: nobody can put an object into them by S3 itself.
const STORAGE_CLASSES: [(StorageClass, &str); 8] = [
    (StorageClass::Standard, "STANDARD"),
    (StorageClass::StandardIa, "STANDARD_IA"),
    (StorageClass::IntelligentTiering, "INTELLIGENT_TIERING"),
    (StorageClass::GlacierIr, "GLACIER_IR"),
    (StorageClass::ReducedRedundancy, "REDUCED_REDUNDANCY"),
    (StorageClass::OnezoneIa, "ONEZONE_IA"),
    (StorageClass::Glacier, "GLACIER"),
    (StorageClass::DeepArchive, "DEEP_ARCHIVE"),
];

/// The storage class that a PUT declares.
///
/// # Errors
/// `InvalidStorageClass` for a class that this server doesn't have.
pub fn storage_class(headers: &HeaderMap) -> Result<StorageClass, S3Error> {
    let Some(named) = headers.get(&STORAGE_CLASS) else { return Ok(StorageClass::Standard) };
    named.to_str().ok().and_then(storage_class_of).ok_or(Code::InvalidStorageClass.into())
}

/// The storage class of that name.
pub fn storage_class_of(name: &str) -> Option<StorageClass> {
    STORAGE_CLASSES.iter().find(|(_, known)| *known == name).map(|(class, _)| *class)
}

/// What a client declares about where an object is to lie: hints in its metadata, and its storage class.
///
/// # Errors
/// `InvalidArgument` for a hint that makes no sense, naming the hint.
pub fn declared(kept: &ObjectHeaders, class: StorageClass) -> Result<Declared, S3Error> {
    let hints = Hints::parse(&kept.user).map_err(|error| {
        let header = format!("{USER}{}", error.name);
        S3Error::invalid_argument(header, error.value.clone(), error.to_string())
    })?;
    Ok(Declared { hints, class })
}

/// A storage class as the wire has it.
pub fn storage_class_name(class: StorageClass) -> &'static str {
    let entry = match class {
        StorageClass::Standard => STORAGE_CLASSES[0],
        StorageClass::StandardIa => STORAGE_CLASSES[1],
        StorageClass::IntelligentTiering => STORAGE_CLASSES[2],
        StorageClass::GlacierIr => STORAGE_CLASSES[3],
        StorageClass::ReducedRedundancy => STORAGE_CLASSES[4],
        StorageClass::OnezoneIa => STORAGE_CLASSES[5],
        StorageClass::Glacier => STORAGE_CLASSES[6],
        StorageClass::DeepArchive => STORAGE_CLASSES[7],
    };
    entry.1
}

/// Writes the header that says which tier an object lies in.
pub fn write_tier(tier: Tier, out: &mut HeaderMap) {
    out.insert(TIER, HeaderValue::from_static(tier.name()));
}

/// Writes what GET and HEAD say of an object, whatever part of it they return. The class STANDARD is left out, as S3
/// does.
pub fn describe(object: &ObjectRecord, out: &mut HeaderMap) {
    let kept = &object.headers;
    validators(object, out);
    out.insert(CONTENT_TYPE, DEFAULT_TYPE);
    for (name, text) in described(kept) {
        if let Some(text) = text {
            out.insert(name, value(text));
        }
    }
    if object.storage_class != StorageClass::Standard {
        out.insert(STORAGE_CLASS, HeaderValue::from_static(storage_class_name(object.storage_class)));
    }
    if let Some(tags) = &object.attributes.tags {
        out.insert(TAGGING_COUNT, HeaderValue::from(tags.len()));
    }
    lock::describe(&object.attributes, out);
    for (name, text) in &kept.user {
        if let Ok(name) = HeaderName::try_from(format!("{USER}{name}")) {
            out.insert(name, value(text));
        }
    }
}

/// Writes the headers that conditions are checked against, which a 304 carries, too.
pub fn validators(object: &ObjectRecord, out: &mut HeaderMap) {
    out.insert(ETAG, etag(&object.etag));
    out.insert(LAST_MODIFIED, http_date(object.modified));
}

/// Replaces the object's own headers by those that the query asks for with `response-*`.
pub fn override_from(query: &Query, out: &mut HeaderMap) {
    for (name, text) in query.iter() {
        let header = match name {
            "response-content-type" => CONTENT_TYPE,
            "response-content-language" => CONTENT_LANGUAGE,
            "response-expires" => EXPIRES,
            "response-cache-control" => CACHE_CONTROL,
            "response-content-disposition" => CONTENT_DISPOSITION,
            "response-content-encoding" => CONTENT_ENCODING,
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            out.insert(header, value);
        }
    }
}

/// Whether the query asks for any `response-*` header.
pub fn has_overrides(query: &Query) -> bool {
    query.iter().any(|(name, _)| name.starts_with("response-"))
}

/// Writes a checksum and its type. The value of a composite checksum ends with the number of its parts.
pub fn write_checksum(checksum: &Checksum, parts: Option<usize>, out: &mut HeaderMap) {
    let name = HeaderName::from_static(checksum::header(checksum.algorithm));
    let mut text = checksum::encode(&checksum.value);
    if let Some(parts) = parts {
        text.push_str(&format!("-{parts}"));
    }
    out.insert(name, value(&text));
    out.insert(CHECKSUM_TYPE, HeaderValue::from_static(checksum::type_name(checksum.kind)));
}

/// An ETag with its quotes.
pub fn etag(etag: &ETag) -> HeaderValue {
    value(&format!("\"{etag}\""))
}

/// A time as HTTP has it, in whole seconds; [`LATEST`] in place of a later one.
pub fn http_date(millis: UnixMillis) -> HeaderValue {
    value(&httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(millis.min(LATEST) / 1000)))
}

/// Whole seconds since the epoch of a date in any of HTTP's forms.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// A header's bytes as text, one character each.
pub fn text(value: &HeaderValue) -> String {
    match value.to_str() {
        Ok(ascii) => ascii.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// The header whose bytes [`text`] read. Text that was read from a header becomes that header again. Text with
/// characters beyond Latin-1 never was in a header (the name of a key of the key service may come in a document): it is
/// written in UTF-8. What HTTP allows in no header becomes an empty one.
pub fn value(text: &str) -> HeaderValue {
    let value = if text.is_ascii() {
        HeaderValue::from_str(text)
    } else {
        let latin1: Option<Vec<u8>> = text.chars().map(|char| u8::try_from(char).ok()).collect();
        HeaderValue::from_bytes(latin1.as_deref().unwrap_or(text.as_bytes()))
    };
    value.unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn metadata_comes_back_byte_for_byte() {
        let kept =
            object_headers(&map(&[("x-amz-meta-name", b"caf\xe9 \xc3\xa9"), ("x-amz-meta-none", b"")]));
        let kept = kept.unwrap().user;
        assert_eq!(value(&kept["name"]).as_bytes(), b"caf\xe9 \xc3\xa9");
        assert_eq!(kept["none"], "");
    }

    #[test]
    fn text_that_never_was_in_a_header_is_written_in_utf8() {
        assert_eq!(value("klucz-\u{17c}").as_bytes(), "klucz-\u{17c}".as_bytes());
        assert_eq!(value("caf\u{e9}").as_bytes(), b"caf\xe9");
        assert_eq!(value("\u{10d}\n"), "");
    }

    #[test]
    fn metadata_over_2_kib_is_refused() {
        let fits = [b'v'; 2044];
        assert!(object_headers(&map(&[("x-amz-meta-name", &fits)])).is_ok());
        let over = [b'v'; 2045];
        let refused = object_headers(&map(&[("x-amz-meta-name", &over)])).unwrap_err();
        assert_eq!(refused.code(), Code::MetadataTooLarge);
    }

    #[test]
    fn kept_headers_are_bounded_in_all() {
        let language = |length: usize| {
            let value = vec![b'v'; length];
            let kept = object_headers(&map(&[("content-language", &value), ("x-amz-meta-a", b"\xe9")]));
            kept.map(drop).map_err(|error| error.code())
        };
        // What is counted besides the language: two names, and one byte of metadata.
        let others = "content-language".len() + "x-amz-meta-a".len() + 1;
        assert_eq!(language(MAX_KEPT - others), Ok(()));
        assert_eq!(language(MAX_KEPT - others + 1), Err(Code::MetadataTooLarge));
        assert_eq!(language(120 << 10), Err(Code::MetadataTooLarge));
    }

    #[test]
    fn a_redirect_is_a_path_or_a_url() {
        let of = |to: &'static str| {
            let headers = map(&[("x-amz-website-redirect-location", to.as_bytes())]);
            website_redirect(&headers).map_err(|error| error.code())
        };
        for to in ["/other", "http://example.com/", "https://example.com/a?b"] {
            assert_eq!(of(to), Ok(Some(to.to_owned())));
        }
        assert_eq!(of(""), Ok(None));
        for wrong in ["foo", "ftp://example.com/", "HTTP", " /a"] {
            assert_eq!(of(wrong), Err(Code::InvalidRedirectLocation), "{wrong}");
        }
    }

    #[test]
    fn aws_chunked_is_not_the_objects_encoding() {
        for (sent, kept) in [
            ("gzip", Some("gzip")),
            ("aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, aws-chunked", Some("gzip")),
            ("gzip,  AWS-Chunked , br", Some("gzip, br")),
            ("aws-chunked, aws-chunked", None),
        ] {
            assert_eq!(without_aws_chunked(sent).as_deref(), kept, "{sent}");
        }
    }

    #[test]
    fn storage_classes_are_read_and_named_as_s3_does() {
        assert_eq!(storage_class(&HeaderMap::new()).unwrap(), StorageClass::Standard);
        for (class, name) in STORAGE_CLASSES {
            let declared = storage_class(&map(&[("x-amz-storage-class", name.as_bytes())]));
            assert_eq!((declared.unwrap(), storage_class_name(class)), (class, name));
        }
        for wrong in [&b"EXPRESS_ONEZONE"[..], b"OUTPOSTS", b"SNOW", b"standard", b""] {
            let class = storage_class(&map(&[("x-amz-storage-class", wrong)]));
            assert_eq!(class.unwrap_err().code(), Code::InvalidStorageClass);
        }
    }

    #[test]
    fn dates_are_written_and_read_in_the_forms_of_http() {
        assert_eq!(http_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(UnixMillis::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
