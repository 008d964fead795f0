//! What the server does with each `x-amz-*` header of a request.
//!
//! If a header asks for something and is ignored, the `200` is a lie. So every header of S3's model, and every one that
//! S3's SDKs add to it, has a line in one table ([`meaning`]), and a write with a header that has none is refused.
//!
//! Source: the S3 model (`service-2.json`) that the SDKs are made of, whose headers are in `s3-headers.txt`.

use super::Directive;
use crate::checksum;
use crate::error::{Code, S3Error};
use crate::operation::Operation;
use crate::query::Query;
use http::header::{CONTENT_RANGE, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What the server does with a header.
enum Meaning {
    /// It is read where it says something, and nothing is lost where it isn't read.
    Known,
    /// It belongs to the signature, the body or the client, and asks nothing about an object or a bucket.
    Aside,
    /// Only these operations heed it. Another write with it is refused, since it would ask for something and not get
    /// it.
    Of(&'static [&'static str]),
    /// Whether the request is refused depends on the value.
    Judged(fn(&str, &HeaderValue) -> Result<(), S3Error>),
    /// It asks for something that isn't built, so that reads are refused, too.
    Unbuilt(&'static str),
    /// The token of a session that CreateSession would give, which isn't built. So no token is valid.
    Token,
}

const COPIES: &[&str] = &["CopyObject", "UploadPartCopy"];
/// The operations that create something with an access control list, or replace a list.
const LISTS: &[&str] =
    &["CopyObject", "CreateBucket", "CreateMultipartUpload", "PutBucketAcl", "PutObject", "PutObjectAcl"];
/// The operations on which the headers for encryption are allowed. An upload is encrypted as CreateMultipartUpload
/// asked for; clients repeat the headers on its parts and its completion, where they ask for nothing more.
const ENCRYPTING: &[&str] = &[
    "PutObject",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
];

/// The table. Names stand without their `x-amz-`.
fn meaning(name: &str) -> Option<Meaning> {
    use Meaning::*;
    Some(match name {
        // Headers of the signature, of the body's coding and checksums, and those with which SDKs tell about
        // themselves.
        "content-sha256" | "date" | "decoded-content-length" | "trailer" | "sdk-checksum-algorithm" => Aside,
        "checksum-mode" => Aside,
        // Some clients repeat with each part how their upload is checksummed. A value that S3 doesn't have is refused
        // on every request.
        "checksum-algorithm" => Judged(algorithm),
        "checksum-type" => Judged(checksum_type),
        _ if checksum::by_header(&format!("x-amz-{name}")).is_some() => Aside,
        "user-agent" | "te" | "api-version" | "cf-id" => Aside,
        "security-token" => Aside,
        "s3session-token" => Token,

        // Headers about objects and buckets.
        _ if name.starts_with("meta-") => Known,
        "storage-class" | "website-redirect-location" | "expected-bucket-owner" => Known,
        "acl" | "grant-full-control" | "grant-read" | "grant-read-acp" | "grant-write"
        | "grant-write-acp" => Of(LISTS),
        "object-ownership" => Of(&["CreateBucket"]),
        "bucket-object-lock-enabled" => Of(&["CreateBucket"]),
        "bucket-namespace" => Judged(namespace),
        "tagging" => Of(&["CopyObject", "CreateMultipartUpload", "PutObject"]),
        // A read refuses those headers that only a write may have, and heeds a client's key (`encryption::Opening`).
        "server-side-encryption"
        | "server-side-encryption-aws-kms-key-id"
        | "server-side-encryption-context"
        | "server-side-encryption-bucket-key-enabled"
        | "server-side-encryption-customer-algorithm"
        | "server-side-encryption-customer-key"
        | "server-side-encryption-customer-key-md5" => Of(ENCRYPTING),
        "copy-source-server-side-encryption-customer-algorithm"
        | "copy-source-server-side-encryption-customer-key"
        | "copy-source-server-side-encryption-customer-key-md5" => Of(COPIES),
        "object-lock-mode" | "object-lock-retain-until-date" | "object-lock-legal-hold" => {
            Of(&["CopyObject", "CreateMultipartUpload", "PutObject"])
        }
        "bucket-object-lock-token" => Unbuilt("A token of object lock"),
        _ if name.starts_with("object-lock-") => Unbuilt("A hold until an event"),
        "write-offset-bytes" => Unbuilt("Appending to an object"),

        // Headers of some operations only.
        "copy-source" | "source-expected-bucket-owner" => Of(COPIES),
        "copy-source-if-match" | "copy-source-if-none-match" => Of(COPIES),
        "copy-source-if-modified-since" | "copy-source-if-unmodified-since" => Of(COPIES),
        "confirm-remove-self-bucket-access" => Of(&["PutBucketPolicy"]),
        "transition-default-minimum-object-size" => Of(&["PutBucketLifecycleConfiguration"]),
        "skip-destination-validation" => Of(&["PutBucketNotificationConfiguration"]),
        "copy-source-range" => Of(&["UploadPartCopy"]),
        // A request that copies nothing has nothing to direct, but clients send these headers when they begin an
        // upload, too. Objects have no annotations here, so it doesn't matter whether those are to be copied.
        "metadata-directive" | "tagging-directive" => Judged(directive),
        "object-annotation-directive" => Judged(annotation_directive),
        "if-match-last-modified-time" | "if-match-size" => Of(&["DeleteObject"]),
        "mp-object-size" => Of(&["CompleteMultipartUpload"]),
        "max-parts" | "part-number-marker" | "object-attributes" => Of(&["GetObjectAttributes"]),

        "bypass-governance-retention" => Of(&["DeleteObject", "DeleteObjects", "PutObjectRetention"]),

        // What these ask for holds anyhow: no requester pays, and there are no optional attributes of an object to
        // list.
        "request-payer" | "optional-object-attributes" => Known,

        // Headers of operations and conditions that aren't built.
        "if-match-initiated-time" => Unbuilt("A condition on the time of an upload's creation"),
        "mfa" => Unbuilt("MFA delete"),
        "object-if-match" => Unbuilt("An object's annotation"),
        "create-session-mode" => Unbuilt("CreateSession"),
        "client-token" => Unbuilt("RenameObject"),
        _ if name.starts_with("rename-source") => Unbuilt("RenameObject"),
        "request-route" | "request-token" | "fwd-status" | "fwd-error-code" | "fwd-error-message" => {
            Unbuilt("WriteGetObjectResponse")
        }
        _ if name.starts_with("fwd-header-") => Unbuilt("WriteGetObjectResponse"),
        _ => return None,
    })
}

/// The writes that check conditions on the current version.
pub const CONDITIONAL: &[&str] = &["CompleteMultipartUpload", "CopyObject", "DeleteObject", "PutObject"];

/// Refuses headers that ask for something that the request wouldn't get.
///
/// # Errors
/// `NotImplemented` for what isn't built, and on a write for an unknown header and for a condition that the write
/// doesn't check; `InvalidToken`; `InvalidArgument` or `InvalidRequest` for a value that S3 doesn't have either; on a
/// write, `InvalidArgument` for a header of other operations.
pub fn refuse_unheeded(headers: &HeaderMap, operation: &Operation) -> Result<(), S3Error> {
    for (name, value) in headers {
        match name.as_str().strip_prefix("x-amz-") {
            Some(name) => check(name, value, operation)?,
            None => check_standard(name, value, operation)?,
        }
    }
    Ok(())
}

/// Refuses, on a write that isn't presigned, a parameter of the query that has the name of a header which would ask for
/// something: only of a presigned URL such parameters count as headers.
///
/// # Errors
/// `InvalidArgument`.
pub fn refuse_in_query(query: &Query, operation: &Operation) -> Result<(), S3Error> {
    let asks = |name: &str| {
        let header = name.to_ascii_lowercase().strip_prefix("x-amz-").map(meaning);
        header.flatten().is_some_and(|meaning| !matches!(meaning, Meaning::Aside))
    };
    match query.iter().find(|(name, _)| asks(name)).filter(|_| operation.is_write()) {
        None => Ok(()),
        Some((name, value)) => {
            let message = "It is heeded as a header, and in the query of a presigned URL alone.";
            Err(S3Error::invalid_argument(name, value, message))
        }
    }
}

/// Whether a write of that operation acts upon the header instead of being refused for it.
#[cfg(test)]
pub fn is_heeded(header: &str, operation: &Operation) -> bool {
    match header.strip_prefix("x-amz-").map(meaning) {
        Some(Some(Meaning::Of(operations))) => operations.contains(&operation.name),
        Some(Some(Meaning::Known | Meaning::Aside | Meaning::Judged(_))) => true,
        Some(_) => false,
        None => HeaderName::try_from(header)
            .is_ok_and(|name| check_standard(&name, &HeaderValue::from_static("*"), operation).is_ok()),
    }
}

/// Checks HTTP's own headers that a write may not ignore (RFC 9110, 13.1 and 14.5): conditions on what it would change,
/// and `Content-Range`, by which its body is only a part of an object. `If-Modified-Since` and `Range` mean nothing on
/// a write.
fn check_standard(name: &HeaderName, value: &HeaderValue, operation: &Operation) -> Result<(), S3Error> {
    let is_asked = match *name {
        IF_MATCH | IF_NONE_MATCH => CONDITIONAL.contains(&operation.name),
        IF_UNMODIFIED_SINCE => false,
        CONTENT_RANGE => operation.name != "PutObject",
        _ => true,
    };
    if !operation.is_write() {
        return Ok(());
    }
    match *name {
        IF_MATCH | IF_NONE_MATCH if is_asked => check_etags(name.as_str(), value),
        _ if is_asked => Ok(()),
        CONTENT_RANGE => {
            let message = "PutObject puts whole objects: the parts of one are those of a multipart upload.";
            Err(S3Error::invalid_argument(name.as_str(), "", message))
        }
        _ => Err(S3Error::not_implemented(&format!("The condition {name} on {}", operation.name))),
    }
}

/// Refuses a condition on ETags that names none, which would be no condition at all.
fn check_etags(name: &str, value: &HeaderValue) -> Result<(), S3Error> {
    let text = value.to_str().unwrap_or_default();
    match text.split(',').all(|etag| etag.trim().is_empty()) {
        true => {
            let message = format!("{name} names no ETag.");
            Err(S3Error::invalid_argument(name, String::from_utf8_lossy(value.as_bytes()), message))
        }
        false => Ok(()),
    }
}

fn check(name: &str, value: &HeaderValue, operation: &Operation) -> Result<(), S3Error> {
    match meaning(name) {
        Some(Meaning::Known | Meaning::Aside) => Ok(()),
        Some(Meaning::Judged(judge)) => judge(name, value),
        Some(Meaning::Unbuilt(what)) => Err(S3Error::not_implemented(what)),
        // Some clients always send this header, and leave it empty as they have no token.
        Some(Meaning::Token) if value.is_empty() => Ok(()),
        Some(Meaning::Token) => Err(Code::InvalidToken.into()),
        Some(Meaning::Of(operations)) if operations.contains(&operation.name) => match name {
            "copy-source-if-match" | "copy-source-if-none-match" => {
                check_etags(&format!("x-amz-{name}"), value)
            }
            _ => Ok(()),
        },
        _ if !operation.is_write() => Ok(()),
        Some(Meaning::Of(_)) => {
            let header = format!("x-amz-{name}");
            let message = format!("{} doesn't take the header {header}.", operation.name);
            Err(S3Error::invalid_argument(header, String::from_utf8_lossy(value.as_bytes()), message))
        }
        None => Err(S3Error::not_implemented(&format!("The header x-amz-{name}"))),
    }
}

fn algorithm(_: &str, value: &HeaderValue) -> Result<(), S3Error> {
    checksum::asked_for(value.to_str().unwrap_or_default()).map(drop)
}

fn checksum_type(_: &str, value: &HeaderValue) -> Result<(), S3Error> {
    checksum::type_named(value.to_str().unwrap_or_default()).map(drop)
}

fn directive(name: &str, value: &HeaderValue) -> Result<(), S3Error> {
    Directive::read(&format!("x-amz-{name}"), value).map(drop)
}

fn annotation_directive(name: &str, value: &HeaderValue) -> Result<(), S3Error> {
    match value.as_bytes() {
        b"COPY" | b"EXCLUDE" => Ok(()),
        other => {
            let header = format!("x-amz-{name}");
            let message = format!("Unknown {header}.");
            Err(S3Error::invalid_argument(header, String::from_utf8_lossy(other), message))
        }
    }
}

fn namespace(_: &str, value: &HeaderValue) -> Result<(), S3Error> {
    match value.as_bytes() {
        b"global" => Ok(()),
        _ => Err(S3Error::not_implemented("A bucket namespace other than global")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;
    use http::HeaderName;

    fn refusal(operation: &str, name: &str, value: &'static str) -> Option<Code> {
        let header = (HeaderName::try_from(name).unwrap(), HeaderValue::from_static(value));
        let row = operations::all().find(|row| row.name == operation).unwrap();
        refuse_unheeded(&[header].into_iter().collect(), row).err().map(|error| error.code())
    }

    #[test]
    fn every_header_of_s3_has_its_line() {
        for name in include_str!("s3-headers.txt").lines() {
            let name = name.strip_prefix("x-amz-").unwrap();
            assert!(meaning(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_write_that_isn_t_presigned_may_not_ask_for_anything_by_a_header_s_name_in_its_query() {
        let code = |operation: &str, query: &str| {
            let row = operations::all().find(|row| row.name == operation).unwrap();
            refuse_in_query(&Query::parse(query).unwrap(), row).err().map(|error| error.code())
        };
        for asks in [
            "X-Amz-Expected-Bucket-Owner=o",
            "x-amz-server-side-encryption=AES256",
            "x-Amz-Storage-Class=A",
            "x-amz-acl=public-read",
            "x-amz-meta-a=b",
            "X-Amz-Object-Lock-Mode=GOVERNANCE",
            "x-amz-mfa=1",
        ] {
            assert_eq!(code("PutObject", asks), Some(Code::InvalidArgument), "{asks}");
            assert_eq!(code("GetObject", asks), None, "{asks}");
        }
        for own in
            ["x-id=PutObject", "x-amz-trace=1", "x-amz-user-agent=a", "x-amz-checksum-crc32=AAAAAA%3D%3D"]
        {
            assert_eq!(code("PutObject", own), None, "{own}");
        }
    }

    #[test]
    fn the_operations_of_a_header_are_operations() {
        for name in include_str!("s3-headers.txt").lines() {
            if let Some(Meaning::Of(names)) = meaning(name.trim_start_matches("x-amz-")) {
                for name in names {
                    assert!(operations::all().any(|row| row.name == *name), "{name}");
                }
            }
        }
    }

    #[test]
    fn headers_of_what_is_not_built_are_refused_and_no_others() {
        let put = |name, value| refusal("PutObject", name, value);
        assert_eq!(put("x-amz-server-side-encryption", "AES256"), None);
        let on_delete = refusal("DeleteObject", "x-amz-server-side-encryption", "AES256");
        assert_eq!(on_delete, Some(Code::InvalidArgument));
        assert_eq!(put("x-amz-tagging", "a=b"), None);
        assert_eq!((put("x-amz-acl", "mine"), put("x-amz-grant-read", "id=1")), (None, None));
        assert_eq!(put("x-amz-object-lock-event-hold", "ON"), Some(Code::NotImplemented));
        assert_eq!(put("x-amz-meta-acl", "public-read"), None);
        assert_eq!(refusal("CreateBucket", "x-amz-bucket-namespace", "global"), None);
        let regional = refusal("CreateBucket", "x-amz-bucket-namespace", "account-regional");
        assert_eq!(regional, Some(Code::NotImplemented));
    }

    #[test]
    fn a_directive_is_one_that_s3_has() {
        for (header, values) in [
            ("x-amz-metadata-directive", ["COPY", "REPLACE"]),
            ("x-amz-tagging-directive", ["COPY", "REPLACE"]),
            ("x-amz-object-annotation-directive", ["COPY", "EXCLUDE"]),
        ] {
            for value in values {
                assert_eq!(refusal("CopyObject", header, value), None, "{header}: {value}");
            }
            assert_eq!(refusal("CopyObject", header, "FOO"), Some(Code::InvalidArgument), "{header}");
        }
    }

    #[test]
    fn a_condition_of_a_write_names_an_etag() {
        for (operation, header) in [
            ("PutObject", "if-none-match"),
            ("PutObject", "if-match"),
            ("DeleteObject", "if-match"),
            ("CopyObject", "x-amz-copy-source-if-none-match"),
        ] {
            for none in ["", " ", ",", " , "] {
                assert_eq!(
                    refusal(operation, header, none),
                    Some(Code::InvalidArgument),
                    "{header}: {none:?}"
                );
            }
            for named in ["*", "\"a\"", "a", ",a", "\"\""] {
                assert_eq!(refusal(operation, header, named), None, "{header}: {named:?}");
            }
        }
        assert_eq!(refusal("GetObject", "if-none-match", ""), None);
    }

    #[test]
    fn unknown_headers_are_refused_on_writes_and_ignored_on_reads() {
        for unknown in ["x-amz-checksum-nonsense", "x-amz-tomorrow"] {
            for write in ["PutObject", "DeleteObject", "CreateMultipartUpload", "DeleteObjects"] {
                assert_eq!(refusal(write, unknown, "1"), Some(Code::NotImplemented), "{write} {unknown}");
            }
            assert_eq!(refusal("GetObject", unknown, "1"), None);
        }
    }

    #[test]
    fn headers_of_other_operations_are_refused_on_writes() {
        assert_eq!(refusal("DeleteObject", "x-amz-if-match-size", "1"), None);
        assert_eq!(refusal("DeleteObject", "x-amz-acl", "private"), Some(Code::InvalidArgument));
        assert_eq!(refusal("DeleteObject", "x-amz-bypass-governance-retention", "true"), None);
        let bypass = refusal("PutObject", "x-amz-bypass-governance-retention", "true");
        assert_eq!(bypass, Some(Code::InvalidArgument));
        assert_eq!(refusal("PutObject", "x-amz-if-match-size", "1"), Some(Code::InvalidArgument));
        assert_eq!(refusal("PutObject", "x-amz-copy-source-if-match", "a"), Some(Code::InvalidArgument));
        assert_eq!(
            refusal("CopyObject", "x-amz-copy-source-range", "bytes=0-1"),
            Some(Code::InvalidArgument)
        );
        assert_eq!(refusal("GetObject", "x-amz-max-parts", "1"), None);
    }

    #[test]
    fn a_value_that_s3_does_not_have_is_refused_on_every_write() {
        for (name, value, code) in [
            ("x-amz-checksum-algorithm", "SHA3", Code::InvalidRequest),
            ("x-amz-checksum-type", "SOME", Code::InvalidRequest),
            ("x-amz-metadata-directive", "MOVE", Code::InvalidArgument),
            ("x-amz-tagging-directive", "", Code::InvalidArgument),
        ] {
            for write in ["PutObject", "UploadPart", "CreateMultipartUpload"] {
                assert_eq!(refusal(write, name, value), Some(code), "{write} {name}");
            }
        }
        assert_eq!(refusal("PutObject", "x-amz-checksum-algorithm", "sha256"), None);
        assert_eq!(refusal("CreateMultipartUpload", "x-amz-metadata-directive", "REPLACE"), None);
    }

    #[test]
    fn a_condition_that_a_write_does_not_check_is_refused() {
        for condition in ["if-match", "if-none-match"] {
            for asks in ["PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject", "GetObject"] {
                assert_eq!(refusal(asks, condition, "a"), None, "{asks} {condition}");
            }
            for write in ["UploadPart", "CreateMultipartUpload", "DeleteObjects", "PutBucketPolicy"] {
                assert_eq!(refusal(write, condition, "a"), Some(Code::NotImplemented), "{write} {condition}");
            }
        }
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(refusal("PutObject", "if-unmodified-since", date), Some(Code::NotImplemented));
        assert_eq!(refusal("PutObject", "if-modified-since", date), None);
        assert_eq!(refusal("GetObject", "if-unmodified-since", date), None);
        assert_eq!(refusal("PutObject", "content-range", "bytes 0-1/9"), Some(Code::InvalidArgument));
        assert_eq!(refusal("UploadPart", "content-range", "bytes 0-1/9"), None);
    }

    #[test]
    fn a_token_of_create_session_is_refused_unless_it_is_empty() {
        for operation in ["PutObject", "GetObject", "ListBuckets"] {
            assert_eq!(refusal(operation, "x-amz-s3session-token", "t"), Some(Code::InvalidToken));
            assert_eq!(refusal(operation, "x-amz-s3session-token", ""), None);
            // Whose token this is was checked with the signature.
            assert_eq!(refusal(operation, "x-amz-security-token", "t"), None);
        }
    }
}
