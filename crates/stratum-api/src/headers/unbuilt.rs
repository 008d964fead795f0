//! Headers that ask for what isn't built: refused, since a 200 that did nothing would be a lie.

use crate::error::S3Error;
use http::{HeaderMap, HeaderValue};

/// # Errors
/// `NotImplemented` for encryption, tags, locks, grants, and ACLs other than what every object has here: its owner's
/// full control. `InvalidArgument` for an ACL that S3 doesn't have either.
pub fn refuse_unbuilt(headers: &HeaderMap) -> Result<(), S3Error> {
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("x-amz-") {
            refuse(name, value)?;
        }
    }
    Ok(())
}

fn refuse(name: &str, value: &HeaderValue) -> Result<(), S3Error> {
    let what = match name {
        "acl" => return acl(value),
        "tagging" => "Object tagging",
        "bucket-object-lock-enabled" if value.as_bytes().eq_ignore_ascii_case(b"false") => return Ok(()),
        "bucket-object-lock-enabled" => "Object lock",
        "object-ownership" if value.as_bytes() == b"BucketOwnerEnforced" => return Ok(()),
        "object-ownership" => "Object ownership other than BucketOwnerEnforced",
        "write-offset-bytes" => "Appending to an object",
        "rename-source" => "RenameObject",
        _ if name.starts_with("server-side-encryption") => "Server-side encryption",
        _ if name.starts_with("copy-source-server-side-encryption") => "Server-side encryption",
        _ if name.starts_with("object-lock-") => "Object lock",
        _ if name.starts_with("grant-") => "Granting access by header",
        _ => return Ok(()),
    };
    Err(S3Error::not_implemented(what))
}

fn acl(value: &HeaderValue) -> Result<(), S3Error> {
    match value.as_bytes() {
        b"private" | b"bucket-owner-full-control" => Ok(()),
        b"public-read"
        | b"public-read-write"
        | b"authenticated-read"
        | b"aws-exec-read"
        | b"bucket-owner-read"
        | b"log-delivery-write" => {
            Err(S3Error::not_implemented("An ACL other than private and bucket-owner-full-control"))
        }
        other => Err(S3Error::invalid_argument("x-amz-acl", String::from_utf8_lossy(other), "Invalid ACL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use http::HeaderName;

    fn refusal(name: &'static str, value: &'static str) -> Option<Code> {
        let header = (HeaderName::from_static(name), HeaderValue::from_static(value));
        refuse_unbuilt(&[header].into_iter().collect()).err().map(|error| error.code())
    }

    #[test]
    fn what_is_not_built_is_refused_and_nothing_else() {
        assert_eq!(refusal("x-amz-server-side-encryption", "AES256"), Some(Code::NotImplemented));
        assert_eq!(refusal("x-amz-grant-read", "id=1"), Some(Code::NotImplemented));
        assert_eq!(refusal("x-amz-object-lock-mode", "GOVERNANCE"), Some(Code::NotImplemented));
        assert_eq!(refusal("x-amz-tagging", "a=b"), Some(Code::NotImplemented));
        assert_eq!(refusal("x-amz-acl", "public-read"), Some(Code::NotImplemented));
        assert_eq!(refusal("x-amz-acl", "mine"), Some(Code::InvalidArgument));
        assert_eq!(refusal("x-amz-acl", "private"), None);
        assert_eq!(refusal("x-amz-bypass-governance-retention", "true"), None);
        assert_eq!(refusal("x-amz-meta-acl", "public-read"), None);
    }
}
