//! Makes one map in which each name comes once, of headers that come more than once and headers that come in a
//! presigned query.
//!
//! By RFC 9110, 5.3, the lines of a list are one list, however they were split on the way. Two different lines of a
//! header that holds one value leave open which of them counts, and a proxy in between may have used the other one.
//! Operations and all policies read headers after this. Only the check of the signature, CORS and the logs read them
//! as they were sent.

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::query::Query;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, DATE, EXPECT,
    EXPIRES, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, REFERER,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_auth::Version;

/// How often a header may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arity {
    /// It holds a list, so its lines are joined by commas.
    List,
    /// It comes once, or several times with the same value. Policies ask about the referer and the user agent, and one
    /// that denies by the second line must not be shown the first.
    One,
    /// Any other header. Its lines stay as they are, and whoever reads such a header takes the first.
    Unread,
}

fn arity(name: &HeaderName) -> Arity {
    const LISTS: [HeaderName; 6] =
        [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, EXPECT, IF_MATCH, IF_NONE_MATCH];
    const ONES: [HeaderName; 11] = [
        CONTENT_DISPOSITION,
        CONTENT_TYPE,
        DATE,
        EXPIRES,
        HOST,
        IF_MODIFIED_SINCE,
        IF_RANGE,
        IF_UNMODIFIED_SINCE,
        RANGE,
        REFERER,
        USER_AGENT,
    ];
    match name.as_str().strip_prefix("x-amz-") {
        Some("copy-source-if-match" | "copy-source-if-none-match" | "object-attributes" | "trailer") => {
            Arity::List
        }
        Some("optional-object-attributes" | "user-agent" | "te") => Arity::List,
        Some(name) if name.starts_with("meta-") || name.starts_with("grant-") => Arity::List,
        Some(_) => Arity::One,
        None if LISTS.contains(name) => Arity::List,
        None if ONES.contains(name) || name == "content-md5" => Arity::One,
        None => Arity::Unread,
    }
}

/// Makes one line of every header that comes in several.
///
/// # Errors
/// `InvalidArgument` for different values of a header that holds one.
pub fn fold(headers: &mut HeaderMap) -> Result<(), S3Error> {
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let repeated: Vec<HeaderName> =
        headers.keys().filter(|name| headers.get_all(*name).iter().nth(1).is_some()).cloned().collect();
    for name in repeated {
        let lines: Vec<&HeaderValue> = headers.get_all(&name).iter().collect();
        let first = lines.first().copied();
        let folded = match arity(&name) {
            Arity::List => joined(&lines),
            Arity::One if lines.iter().all(|line| Some(*line) == first) => first.cloned(),
            Arity::One => {
                let message = format!("The header {name} may come only once.");
                return Err(S3Error::invalid_argument(name.as_str(), "", message));
            }
            Arity::Unread => continue,
        };
        if let Some(value) = folded {
            headers.insert(name, value);
        }
    }
    Ok(())
}

fn joined(lines: &[&HeaderValue]) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    HeaderValue::from_bytes(&lines.join(&b","[..])).ok()
}

/// Adds to the headers those that a URL, presigned by that version, carries in its query, their names in upper or lower
/// case. The parameters that make up the signature aren't headers. In version 4, neither are those about the body's
/// checksum: the URL is signed before there is a body, and S3 heeds a checksum in a header only. In version 2 a
/// parameter is signed as the header of its name. So it counts as that header there, or whoever has a URL for one body
/// could put another.
///
/// # Errors
/// `InvalidRequest` for a parameter that can't be a header, and what [`fold`] refuses.
pub fn hoist(query: &Query, presigned: Option<Version>, headers: &mut HeaderMap) -> Result<(), S3Error> {
    let Some(version) = presigned else { return fold(headers) };
    let is_ignored = |name: &str| match version {
        Version::V2 => name == SDK_CHECKSUM,
        Version::V4 => is_of_the_body(name),
    };
    for (name, value) in query.iter() {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || is_signatures(&name) || is_ignored(&name) {
            continue;
        }
        let name = HeaderName::try_from(name).map_err(|_| S3Error::new(Code::InvalidRequest))?;
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| S3Error::new(Code::InvalidRequest))?;
        headers.append(name, value);
    }
    fold(headers)
}

fn is_signatures(name: &str) -> bool {
    matches!(
        name,
        "x-amz-algorithm"
            | "x-amz-content-sha256"
            | "x-amz-credential"
            | "x-amz-date"
            | "x-amz-expires"
            | "x-amz-signature"
            | "x-amz-signedheaders"
    )
}

/// Names the checksum that an SDK was asked to compute. SDKs presign it into URLs, for which they compute none.
const SDK_CHECKSUM: &str = "x-amz-sdk-checksum-algorithm";

fn is_of_the_body(name: &str) -> bool {
    name == SDK_CHECKSUM || checksum::by_header(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(lines: &[(&str, &str)]) -> Result<HeaderMap, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        fold(&mut headers).map_err(|error| error.code()).map(|()| headers)
    }

    #[test]
    fn the_lines_of_a_list_are_one_list() {
        for name in [
            "if-match",
            "if-none-match",
            "cache-control",
            "content-encoding",
            "content-language",
            "x-amz-copy-source-if-none-match",
            "x-amz-object-attributes",
            "x-amz-trailer",
            "x-amz-meta-a",
            "x-amz-grant-read",
        ] {
            let headers = folded(&[(name, "a"), ("x-other", "x"), (name, "b"), (name, "*")]).unwrap();
            let lines: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(lines, ["a,b,*"], "{name}");
        }
    }

    #[test]
    fn two_values_of_a_header_that_holds_one_are_refused() {
        for name in [
            "range",
            "content-md5",
            "x-amz-copy-source",
            "x-amz-content-sha256",
            "x-amz-acl",
            "if-modified-since",
            "referer",
            "user-agent",
        ] {
            assert_eq!(folded(&[(name, "a"), (name, "b")]).unwrap_err(), Code::InvalidArgument, "{name}");
            assert_eq!(
                folded(&[(name, "a"), (name, "a")]).unwrap().get_all(name).iter().count(),
                1,
                "{name}"
            );
        }
        assert!(folded(&[("accept", "a"), ("accept", "b")]).is_ok());
    }

    fn hoisted(presigned: Option<Version>, query: &str, lines: &[(&str, &str)]) -> Result<HeaderMap, Code> {
        let mut headers = folded(lines)?;
        let query = Query::parse(query).unwrap();
        hoist(&query, presigned, &mut headers).map_err(|error| error.code()).map(|()| headers)
    }

    #[test]
    fn names_in_a_presigned_query_are_read_in_either_case() {
        for version in [Version::V2, Version::V4] {
            let headers = hoisted(
                Some(version),
                "X-Amz-Date=1&X-Amz-Server-Side-Encryption=AES256&x-amz-acl=private&other=1&x-amz-content-sha256=1",
                &[("x-amz-acl", "private")],
            );
            let headers = headers.unwrap();
            assert_eq!(headers.len(), 2);
            assert_eq!(headers["x-amz-server-side-encryption"], "AES256");
            let two = hoisted(Some(version), "X-Amz-Acl=private", &[("x-amz-acl", "public-read")]);
            assert_eq!(two.unwrap_err(), Code::InvalidArgument);
        }
        assert!(hoisted(None, "x-amz-acl=private", &[]).unwrap().is_empty());
    }

    #[test]
    fn a_checksum_in_a_query_counts_in_version_2_alone() {
        let query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
        assert!(hoisted(Some(Version::V4), query, &[]).unwrap().is_empty());
        assert_eq!(hoisted(Some(Version::V4), "x-amz-checksum-other=1", &[]).unwrap().len(), 1);
        let headers = hoisted(Some(Version::V2), query, &[]).unwrap();
        assert_eq!(
            (headers.len(), &headers["x-amz-checksum-crc32"]),
            (1, &HeaderValue::from_static("AAAAAA=="))
        );
    }
}
