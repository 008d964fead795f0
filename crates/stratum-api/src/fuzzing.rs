//! Doors for the fuzz targets to what reads a stranger's bytes. Not an interface.

use crate::address::Address;
use crate::conditions::parse_etags;
use crate::operations;
use crate::query::Query;
use crate::range;
use crate::xml::buckets::{CreateBucketConfiguration, RequestPaymentConfiguration, VersioningConfiguration};
use crate::xml::delete::Delete;
use crate::xml::multipart::CompleteMultipartUpload;
use http::{HeaderMap, Method};

/// Every document that a request can carry.
pub fn documents(bytes: &[u8]) {
    let _ =
        (CreateBucketConfiguration::read(bytes), Delete::read(bytes), CompleteMultipartUpload::read(bytes));
    let _ = (VersioningConfiguration::read(bytes), RequestPaymentConfiguration::read(bytes));
}

/// What a request asks for, from its raw parts.
pub fn operation(method: &str, path: &str, query: &str, host: &str) {
    let domains = ["s3.example.com".to_owned()];
    let (Ok(method), Ok(query)) = (method.parse::<Method>(), Query::parse(query)) else { return };
    if let Ok(address) = Address::parse(path, Some(host), &domains) {
        let _ = operations::recognise(&method, &address, &query, &HeaderMap::new());
    }
}

/// Headers with a grammar of their own. A range that is granted lies in the object.
pub fn headers(text: &str, size: u64) {
    let _ = parse_etags(text);
    if let Ok(Some(range)) = range::requested(text, size) {
        assert!(range.start < range.end && range.end <= size, "{range:?} of {size}");
    }
}
