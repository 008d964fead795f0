//! Which operation a request means.
//!
//! S3 says it with the method, the shape of the path (service, bucket, object), subresources in the query and, for
//! copies, a header. [`Address`] is the path and host understood; [`Operation`] is the whole. What an operation
//! takes besides its place is read by its own file in `ops`. Unknown query parameters are ignored, as S3 does;
//! subresources that S3 has and this server doesn't are recognised, so that they are refused and not mistaken for
//! something else.

use crate::error::{Code, S3Error};
use crate::key::{self, ObjectKey};
use crate::query::Query;
use http::{HeaderMap, Method};

/// What the path and the host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Service,
    /// The name as it was sent: whether it is a valid one shows when it is looked up or created.
    Bucket(String),
    Object(String, ObjectKey),
}

/// A request's operation, with the bucket and key that it needs and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    ListBuckets,
    CreateBucket(String),
    Bucket(String, BucketOperation),
    Object(String, ObjectKey, ObjectOperation),
}

/// What is done with a bucket that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketOperation {
    Head,
    Delete,
    GetLocation,
    GetVersioning,
    GetAcl,
    PutAcl,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    /// An operation that S3 has and this server doesn't.
    Unbuilt(&'static str),
}

/// What is done with an object or an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectOperation {
    Put,
    Copy,
    Get,
    Head,
    GetAttributes,
    GetAcl,
    PutAcl,
    Delete,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    /// An operation that S3 has and this server doesn't.
    Unbuilt(&'static str),
}

/// Bucket subresources that aren't built, by their query parameter.
const UNBUILT_OF_BUCKETS: &[&str] = &[
    "tagging",
    "versioning",
    "policy",
    "policyStatus",
    "lifecycle",
    "cors",
    "encryption",
    "object-lock",
    "website",
    "logging",
    "notification",
    "replication",
    "requestPayment",
    "accelerate",
    "analytics",
    "inventory",
    "metrics",
    "intelligent-tiering",
    "ownershipControls",
    "publicAccessBlock",
    "metadataTable",
    "metadataConfiguration",
    "session",
    "abac",
];

/// Object subresources that aren't built.
const UNBUILT_OF_OBJECTS: &[&str] = &[
    "tagging",
    "legal-hold",
    "retention",
    "torrent",
    "restore",
    "select",
    "renameObject",
    "encryption",
    "append",
];

impl Address {
    /// Reads the raw path and, for virtual hosts, the `Host`.
    ///
    /// # Errors
    /// `KeyTooLongError`, or `InvalidURI` when a name isn't UTF-8.
    pub fn parse(path: &str, host: Option<&str>, domains: &[String]) -> Result<Address, S3Error> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if let Some(bucket) = host.and_then(|host| bucket_of_host(host, domains)) {
            return Address::of(bucket.to_ascii_lowercase(), path);
        }
        if path.is_empty() {
            return Ok(Address::Service);
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = percent_encoding::percent_decode_str(bucket).decode_utf8();
        let bucket = bucket.map_err(|_| S3Error::new(Code::InvalidURI))?.into_owned();
        Address::of(bucket, key)
    }

    fn of(bucket: String, raw_key: &str) -> Result<Address, S3Error> {
        match raw_key {
            "" => Ok(Address::Bucket(bucket)),
            raw => Ok(Address::Object(bucket, key::from_path(raw)?)),
        }
    }
}

/// `photos` of `photos.s3.example.com:9000`, where `s3.example.com` is one of the domains.
pub fn bucket_of_host<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // The root of all names, which whoever spells a name out to its end adds.
    let name = name.strip_suffix('.').unwrap_or(name);
    let within = |domain: &&String| {
        let at = name.len().checked_sub(domain.len())?;
        let (bucket, suffix) = (name.get(..at)?, name.get(at..)?);
        (suffix.eq_ignore_ascii_case(domain) && (bucket.is_empty() || bucket.ends_with('.')))
            .then_some(bucket)
    };
    // Of two domains of which one is the other's suffix the longer one is meant, by its own name too.
    let longest =
        domains.iter().filter(|domain| within(domain).is_some()).max_by_key(|domain| domain.len())?;
    within(&longest)?.strip_suffix('.').filter(|bucket| !bucket.is_empty())
}

impl Operation {
    /// # Errors
    /// `MethodNotAllowed` when the method means nothing there.
    pub fn recognise(
        method: &Method,
        address: Address,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Operation, S3Error> {
        match address {
            Address::Service => match *method {
                Method::GET => Ok(Operation::ListBuckets),
                _ => Err(not_allowed(method, "SERVICE", "GET")),
            },
            Address::Bucket(name) => bucket_operation(method, name, query),
            Address::Object(bucket, key) => {
                let operation = object_operation(method, query, headers)?;
                Ok(Operation::Object(bucket, key, operation))
            }
        }
    }

    /// The name in S3's API reference, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::ListBuckets => "ListBuckets",
            Operation::CreateBucket(_) => "CreateBucket",
            Operation::Bucket(_, operation) => match operation {
                BucketOperation::Head => "HeadBucket",
                BucketOperation::Delete => "DeleteBucket",
                BucketOperation::GetLocation => "GetBucketLocation",
                BucketOperation::GetVersioning => "GetBucketVersioning",
                BucketOperation::GetAcl => "GetBucketAcl",
                BucketOperation::PutAcl => "PutBucketAcl",
                BucketOperation::ListObjects => "ListObjects",
                BucketOperation::ListObjectsV2 => "ListObjectsV2",
                BucketOperation::ListObjectVersions => "ListObjectVersions",
                BucketOperation::ListMultipartUploads => "ListMultipartUploads",
                BucketOperation::DeleteObjects => "DeleteObjects",
                BucketOperation::Unbuilt(_) => "Unbuilt",
            },
            Operation::Object(_, _, operation) => match operation {
                ObjectOperation::Put => "PutObject",
                ObjectOperation::Copy => "CopyObject",
                ObjectOperation::Get => "GetObject",
                ObjectOperation::Head => "HeadObject",
                ObjectOperation::GetAttributes => "GetObjectAttributes",
                ObjectOperation::GetAcl => "GetObjectAcl",
                ObjectOperation::PutAcl => "PutObjectAcl",
                ObjectOperation::Delete => "DeleteObject",
                ObjectOperation::CreateMultipartUpload => "CreateMultipartUpload",
                ObjectOperation::UploadPart => "UploadPart",
                ObjectOperation::UploadPartCopy => "UploadPartCopy",
                ObjectOperation::CompleteMultipartUpload => "CompleteMultipartUpload",
                ObjectOperation::AbortMultipartUpload => "AbortMultipartUpload",
                ObjectOperation::ListParts => "ListParts",
                ObjectOperation::Unbuilt(_) => "Unbuilt",
            },
        }
    }
}

fn bucket_operation(method: &Method, name: String, query: &Query) -> Result<Operation, S3Error> {
    use BucketOperation::*;
    let operation = if *method == Method::GET && query.has("versioning") {
        GetVersioning
    } else if let Some(what) = unbuilt(query, UNBUILT_OF_BUCKETS) {
        Unbuilt(what)
    } else {
        match *method {
            Method::GET if query.has("acl") => GetAcl,
            Method::PUT if query.has("acl") => PutAcl,
            _ if query.has("acl") => Unbuilt("acl"),
            Method::GET if query.has("location") => GetLocation,
            Method::GET if query.has("uploads") => ListMultipartUploads,
            Method::GET if query.has("versions") => ListObjectVersions,
            Method::GET if query.get("list-type") == Some("2") => ListObjectsV2,
            Method::GET => ListObjects,
            Method::HEAD => Head,
            Method::PUT => return Ok(Operation::CreateBucket(name)),
            Method::DELETE => Delete,
            Method::POST if query.has("delete") => DeleteObjects,
            Method::POST => Unbuilt("POST Object"),
            Method::OPTIONS => Unbuilt("CORS"),
            _ => return Err(not_allowed(method, "BUCKET", "GET, HEAD, PUT, POST, DELETE")),
        }
    };
    Ok(Operation::Bucket(name, operation))
}

fn object_operation(method: &Method, query: &Query, headers: &HeaderMap) -> Result<ObjectOperation, S3Error> {
    use ObjectOperation::*;
    if let Some(what) = unbuilt(query, UNBUILT_OF_OBJECTS) {
        return Ok(Unbuilt(what));
    }
    let upload = query.has("uploadId");
    let copy = headers.contains_key("x-amz-copy-source");
    Ok(match *method {
        Method::GET if query.has("attributes") => GetAttributes,
        Method::GET if query.has("acl") => GetAcl,
        Method::PUT if query.has("acl") => PutAcl,
        // Never taken for something else: a DELETE of these would be one of the object.
        _ if query.has("acl") => Unbuilt("acl"),
        _ if query.has("attributes") => Unbuilt("attributes"),
        Method::GET if upload => ListParts,
        Method::GET => Get,
        Method::HEAD => Head,
        Method::PUT if upload && copy => UploadPartCopy,
        Method::PUT if upload => UploadPart,
        Method::PUT if copy => Copy,
        Method::PUT => Put,
        Method::DELETE if upload => AbortMultipartUpload,
        Method::DELETE => Delete,
        Method::POST if query.has("uploads") => CreateMultipartUpload,
        Method::POST if upload => CompleteMultipartUpload,
        Method::OPTIONS => Unbuilt("CORS"),
        _ => return Err(not_allowed(method, "OBJECT", "GET, HEAD, PUT, DELETE")),
    })
}

fn unbuilt(query: &Query, known: &[&'static str]) -> Option<&'static str> {
    query.iter().find_map(|(name, _)| known.iter().find(|known| **known == name).copied())
}

fn not_allowed(method: &Method, resource: &'static str, allowed: &'static str) -> S3Error {
    S3Error::new(Code::MethodNotAllowed)
        .with("Method", method.as_str())
        .with("ResourceType", resource)
        .header(http::header::ALLOW, http::HeaderValue::from_static(allowed))
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
    fn the_longest_domain_is_the_hosts() {
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

    fn recognise(method: Method, path: &str, query: &str, copy: bool) -> Operation {
        let mut headers = HeaderMap::new();
        if copy {
            headers.insert("x-amz-copy-source", http::HeaderValue::from_static("b/k"));
        }
        let query = Query::parse(query).unwrap();
        Operation::recognise(&method, address(path, "localhost"), &query, &headers).unwrap()
    }

    #[test]
    fn subresources_and_headers_choose_the_operation() {
        let names = [
            (Method::GET, "/", "x-id=ListBuckets", false, "ListBuckets"),
            (Method::GET, "/b", "list-type=2&prefix=acl", false, "ListObjectsV2"),
            (Method::GET, "/b", "list-type=1", false, "ListObjects"),
            (Method::GET, "/b", "versions", false, "ListObjectVersions"),
            (Method::GET, "/b", "versioning", false, "GetBucketVersioning"),
            (Method::PUT, "/b", "versioning", false, "Unbuilt"),
            (Method::POST, "/b", "delete", false, "DeleteObjects"),
            (Method::PUT, "/b", "", false, "CreateBucket"),
            (Method::PUT, "/b/k", "x-id=PutObject", false, "PutObject"),
            (Method::PUT, "/b/k", "", true, "CopyObject"),
            (Method::PUT, "/b/k", "uploadId=1&partNumber=1", true, "UploadPartCopy"),
            (Method::PUT, "/b/k", "uploadId=1&partNumber=1", false, "UploadPart"),
            (Method::POST, "/b/k", "uploads", false, "CreateMultipartUpload"),
            (Method::GET, "/b/k", "acl", false, "GetObjectAcl"),
            (Method::PUT, "/b", "acl", false, "PutBucketAcl"),
            (Method::DELETE, "/b", "acl", false, "Unbuilt"),
            (Method::DELETE, "/b/k", "acl", false, "Unbuilt"),
            (Method::DELETE, "/b/k", "attributes", false, "Unbuilt"),
            (Method::GET, "/b/k", "attributes", false, "GetObjectAttributes"),
            (Method::GET, "/b/k", "partNumber=1", false, "GetObject"),
        ];
        for (method, path, query, copy, name) in names {
            assert_eq!(recognise(method.clone(), path, query, copy).name(), name, "{method} {path}?{query}");
        }
    }

    #[test]
    fn a_method_without_meaning_is_refused() {
        let query = Query::default();
        let refused = Operation::recognise(&Method::DELETE, Address::Service, &query, &HeaderMap::new());
        assert_eq!(refused.unwrap_err().code(), Code::MethodNotAllowed);
    }
}
