//! Reads from a request's path and host what the request is addressed to: the service, a bucket, or an object.

use crate::error::{Code, S3Error};
use crate::key::{self, ObjectKey};
use std::borrow::Cow;

/// What a request is addressed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Service,
    /// The bucket's name as it was sent. Whether the name is valid is checked where the bucket is looked up or created.
    Bucket(String),
    Object(String, ObjectKey),
    /// The path of WriteGetObjectResponse. It can't be that of a bucket, whose name has no capitals.
    ObjectResponse,
}

impl Address {
    /// Reads the raw path and, for virtual hosts, the `Host` header.
    ///
    /// # Errors
    /// `KeyTooLongError`, or `InvalidURI` when a name isn't UTF-8.
    pub fn parse(path: &str, host: Option<&str>, domains: &[String]) -> Result<Address, S3Error> {
        match Named::of(path, host, domains)? {
            Named::Service => Ok(Address::Service),
            Named::ObjectResponse => Ok(Address::ObjectResponse),
            Named::Bucket(bucket, "") => Ok(Address::Bucket(bucket.into_owned())),
            Named::Bucket(bucket, raw) => Ok(Address::Object(bucket.into_owned(), key::from_path(raw)?)),
        }
    }

    /// The bucket that the request is addressed to, or whose object it is addressed to.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Address::Bucket(name) | Address::Object(name, _) => Some(name),
            Address::Service | Address::ObjectResponse => None,
        }
    }
}

/// What a request is addressed to, as it was sent.
enum Named<'a> {
    Service,
    ObjectResponse,
    /// A bucket, and the rest of the path, percent-encoded: the object's key.
    Bucket(Cow<'a, str>, &'a str),
}

impl<'a> Named<'a> {
    fn of(path: &'a str, host: Option<&'a str>, domains: &[String]) -> Result<Named<'a>, S3Error> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if let Some(bucket) = host.and_then(|host| bucket_of_host(host, domains)) {
            return Ok(Named::Bucket(lower_case(bucket), path));
        }
        match path {
            "" => Ok(Named::Service),
            "WriteGetObjectResponse" => Ok(Named::ObjectResponse),
            path => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                let bucket = percent_encoding::percent_decode_str(bucket).decode_utf8();
                Ok(Named::Bucket(bucket.map_err(|_| S3Error::new(Code::InvalidURI))?, key))
            }
        }
    }
}

/// The bucket that the path or the host names, for callers that don't need the key.
pub fn bucket_named<'a>(path: &'a str, host: Option<&'a str>, domains: &[String]) -> Option<Cow<'a, str>> {
    match Named::of(path, host, domains).ok()? {
        Named::Bucket(bucket, _) => Some(bucket),
        Named::Service | Named::ObjectResponse => None,
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

/// The bucket that a host names: `photos` of `photos.s3.example.com:9000`, where `s3.example.com` is one of the
/// domains.
pub fn bucket_of_host<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // A fully qualified name may end with the dot of the root domain.
    let name = name.strip_suffix('.').unwrap_or(name);
    let within = |domain: &&String| {
        let at = name.len().checked_sub(domain.len())?;
        let (bucket, suffix) = (name.get(..at)?, name.get(at..)?);
        (suffix.eq_ignore_ascii_case(domain) && (bucket.is_empty() || bucket.ends_with('.')))
            .then_some(bucket)
    };
    // Where one domain is a suffix of another the longer one counts, even if the host is exactly that domain and names
    // no bucket.
    let longest =
        domains.iter().filter(|domain| within(domain).is_some()).max_by_key(|domain| domain.len())?;
    within(&longest)?.strip_suffix('.').filter(|bucket| !bucket.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str, host: &str) -> Address {
        Address::parse(path, Some(host), &["s3.example.com".to_owned()]).unwrap()
    }

    fn object(bucket: &str, key: &str) -> Address {
        Address::Object(bucket.to_owned(), key::from_path(key).unwrap())
    }

    #[test]
    fn a_path_names_a_bucket_and_an_opaque_key() {
        assert_eq!(address("/", "localhost:9000"), Address::Service);
        assert_eq!(address("/b", "localhost"), Address::Bucket("b".into()));
        assert_eq!(address("/b/", "localhost"), Address::Bucket("b".into()));
        assert_eq!(address("/b//a", "localhost"), object("b", "/a"));
        assert_eq!(address("/b/../x", "localhost"), object("b", "../x"));
        assert_eq!(address("/b/a/", "localhost"), object("b", "a/"));
    }

    #[test]
    fn a_virtual_host_names_the_bucket() {
        assert_eq!(address("/", "b.s3.example.com:9000"), Address::Bucket("b".into()));
        assert_eq!(address("/k/1", "a.b.S3.example.com"), object("a.b", "k/1"));
        assert_eq!(address("/b/k", "s3.example.com"), object("b", "k"));
        assert_eq!(address("/b/k", "evils3.example.com"), object("b", "k"));
        assert_eq!(address("/_stratum/metrics", "b.s3.example.com"), object("b", "_stratum/metrics"));
    }

    #[test]
    fn the_longest_domain_that_fits_the_host_counts() {
        let domains = ["example.com".to_owned(), "s3.example.com".to_owned(), "example.com".to_owned()];
        let bucket = |host| bucket_of_host(host, &domains);
        assert_eq!(bucket("b.s3.example.com"), Some("b"));
        assert_eq!(bucket("b.example.com:9000"), Some("b"));
        assert_eq!(bucket("s3.example.com"), None);
        assert_eq!(bucket("b.s3.example.com.:9000"), Some("b"));
        assert_eq!(bucket("s3.example.com."), None);
        assert_eq!(bucket("b.s3.example.com.."), None);
        assert_eq!(bucket(""), None);
    }
}
