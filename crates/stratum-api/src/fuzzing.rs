//! Doors for the fuzz targets to what reads a stranger's bytes, and for tests to the table of operations. Not an interface.

use crate::address::Address;
use crate::conditions::parse_etags;
use crate::operation::{Place, Qualifier};
use crate::operations;
use crate::query::Query;
use crate::range;
use crate::xml;
use crate::xml::acl::{OwnershipControls, PublicAccessBlockConfiguration};
use crate::xml::buckets::{CreateBucketConfiguration, RequestPaymentConfiguration, VersioningConfiguration};
use crate::xml::delete::Delete;
use crate::xml::encryption::ServerSideEncryptionConfiguration;
use crate::xml::multipart::CompleteMultipartUpload;
use http::{HeaderMap, Method};
use stratum_auth::Identities;

/// Every document that a request can carry.
pub fn documents(bytes: &[u8]) {
    let _ =
        (CreateBucketConfiguration::read(bytes), Delete::read(bytes), CompleteMultipartUpload::read(bytes));
    let _ = (PublicAccessBlockConfiguration::read(bytes), OwnershipControls::read(bytes));
    let _ = xml::acl::read(bytes, "root", &Identities::default());
    let _ = (VersioningConfiguration::read(bytes), RequestPaymentConfiguration::read(bytes));
    let encryption = ServerSideEncryptionConfiguration::read(bytes);
    let _ = encryption.map(ServerSideEncryptionConfiguration::default);
}

/// A request of an operation, and the rights that it needs.
#[derive(Debug)]
pub struct Example {
    pub operation: &'static str,
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub actions: Vec<&'static str>,
}

/// A request of every operation on the bucket `bucket` or its object `k`, from the table: whatever holds of all operations
/// can be tried on those that come, too.
pub fn examples() -> Vec<Example> {
    let example = |row: &'static operations::Row| {
        let path = match row.place {
            Place::Bucket => "/bucket",
            Place::Object => "/bucket/k",
            Place::Service | Place::ObjectResponse => return None,
        };
        let mut query: Vec<String> = row.subresource.map(|name| format!("{name}=")).into_iter().collect();
        let mut headers = Vec::new();
        for qualifier in row.qualifiers {
            match *qualifier {
                Qualifier::Parameter(name) => query.push(format!("{name}=1")),
                Qualifier::Value(name, value) => query = vec![format!("{name}={value}")],
                Qualifier::Header(name) => headers.push((name, "bucket/k")),
            }
        }
        let actions = row.actions(false).chain(row.source_actions(false)).chain(row.actions_on_each(false));
        Some(Example {
            operation: row.name,
            method: row.method.name(),
            target: format!("{path}?{}", query.join("&")),
            headers,
            actions: actions.collect(),
        })
    };
    operations::all().filter_map(example).collect()
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
