//! Gives fuzz targets access to everything that reads a stranger's bytes, and tests access to the table of operations.
//! This is no public interface.

use crate::address::Address;
use crate::conditions::{strong_etags, weak_etags};
use crate::form::Form;
use crate::iam;
pub use crate::operation::{Bearer, Because, Brings};
use crate::operation::{Need, Qualifier, Scope, on};
use crate::operations;
use crate::post_policy::PostPolicy;
use crate::query::Query;
use crate::range;
use crate::tags::Tagged;
use crate::xml;
use crate::xml::acl::{Grantees, OwnershipControls, PublicAccessBlockConfiguration};
use crate::xml::buckets::{CreateBucketConfiguration, RequestPaymentConfiguration, VersioningConfiguration};
use crate::xml::delete::Delete;
use crate::xml::encryption::ServerSideEncryptionConfiguration;
use crate::xml::multipart::CompleteMultipartUpload;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use multer::Multipart;
use std::convert::Infallible;
use stratum_auth::Identities;

/// Reads the bytes as each of the documents that a request can carry.
pub fn documents(bytes: &[u8]) {
    let _ =
        (CreateBucketConfiguration::read(bytes), Delete::read(bytes), CompleteMultipartUpload::read(bytes));
    let _ = (PublicAccessBlockConfiguration::read(bytes), OwnershipControls::read(bytes));
    let _ = xml::acl::read(bytes, "root", &Identities::default());
    let _ = (VersioningConfiguration::read(bytes), RequestPaymentConfiguration::read(bytes));
    let encryption = ServerSideEncryptionConfiguration::read(bytes);
    let _ = encryption.map(ServerSideEncryptionConfiguration::default);
    round_trips(bytes);
}

/// Reads the bytes as the documents that must come back as they were accepted when they are written and read again.
fn round_trips(bytes: &[u8]) {
    if let Ok(tags) = xml::tagging::read(bytes, Tagged::Bucket) {
        let again = xml::write(&xml::tagging::Tagging::of(&tags))
            .map(|text| xml::tagging::read(&text, Tagged::Bucket));
        assert!(matches!(again, Ok(Ok(again)) if again == tags), "{tags:?}");
    }
    if let Ok(lock) = xml::lock::read_configuration(bytes) {
        let text = xml::write(&xml::lock::ObjectLockConfiguration::of(&lock));
        let again = text.map(|text| xml::lock::read_configuration(&text));
        assert!(matches!(again, Ok(Ok(again)) if again == lock), "{lock:?}");
    }
    let _ = (xml::lock::read_retention(bytes), xml::lock::read_legal_hold(bytes));
    if let Ok(rules) = xml::cors::read(bytes) {
        let again = xml::cors::text(&rules).and_then(|text| xml::cors::read(text.as_bytes()));
        assert!(matches!(again, Ok(again) if again == rules), "{rules:?}");
    }
    let id = || "made".to_owned();
    if let Ok(website) = xml::website::read(bytes) {
        let again = xml::website::text(&website).and_then(|text| xml::website::read(text.as_bytes()));
        assert_eq!(again.ok(), Some(website));
    }
    if let Ok(logging) = xml::logging::read(bytes, Grantees::Kept) {
        let again = xml::logging::text(logging.as_ref(), &Identities::default())
            .and_then(|text| xml::logging::read(text.as_bytes(), Grantees::Kept));
        assert_eq!(again.ok(), Some(logging));
    }
    if let Ok(rules) = xml::notification::read(bytes, || "id".to_owned()) {
        let text = xml::write(&xml::notification::NotificationConfiguration::of(&rules));
        let again = text.map(|text| xml::notification::read(&text, || "id".to_owned()).ok());
        // Rules for topics are written before those for queues, so only the number of rules is compared.
        assert!(again.is_ok_and(|again| again.is_some_and(|again| again.0.len() == rules.0.len())));
    }
    if let Ok(rules) = xml::lifecycle::read(bytes, id) {
        let text = xml::write(&xml::lifecycle::LifecycleConfiguration::of(&rules));
        let again = text.map(|text| xml::lifecycle::read(&text, id));
        assert!(matches!(again, Ok(Ok(ref again)) if *again == rules), "{rules:?} {again:?}");
        let kept = rules.to_document().map(|text| stratum_lifecycle::Rules::from_document(&text));
        assert!(matches!(kept, Ok(Ok(kept)) if kept == rules), "{rules:?}");
    }
}

/// Reads the bytes as a form of IAM or STS.
pub fn iam(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if iam::is_taken(bytes) {
        assert!(text.contains("Action") || text.contains('%'), "{text}");
    }
}

/// Reads the bytes as a browser's form, in pieces as long as the first byte says, and as the policy that signs such a
/// form.
pub fn form(bytes: &[u8]) {
    let Some((length, body)) = bytes.split_first() else { return };
    let _ = PostPolicy::parse(body);
    let pieces: Vec<_> = body
        .chunks(usize::from(*length).max(1))
        .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)))
        .collect();
    let multipart = Multipart::new(stream::iter(pieces), "edge");
    if let Some(Ok(form)) = Form::of(multipart).now_or_never() {
        let file = form.file.into_body(u64::MAX);
        let _ = file.collect().now_or_never();
    }
}

/// A request of an operation, and the actions that its caller must be allowed.
#[derive(Clone, Debug)]
pub struct Example {
    pub operation: &'static str,
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: &'static str,
    pub actions: Vec<&'static str>,
}

/// Requests of all operations on the bucket `bucket` or its object `k`. An operation that needs another right for a
/// named version has a second request, which names one. The requests are made from the table of operations, so that
/// what must hold of all operations is also tried on new ones.
pub fn examples() -> Vec<Example> {
    let example = |row: &'static operations::Row, names_version: bool| {
        let path = match row.scope {
            Scope::Bucket => "/bucket",
            Scope::Object => "/bucket/k",
            Scope::Service | Scope::ObjectResponse => return None,
        };
        let here = |named| row.actions(named).collect::<Vec<_>>();
        let of_source = |named| row.source_actions(named).collect::<Vec<_>>();
        let of_version = row.parameters.contains(&"versionId") && here(false) != here(true);
        if names_version && !of_version && of_source(false).is_empty() {
            return None;
        }
        let mut query: Vec<String> = row.subresource.map(|name| format!("{name}=")).into_iter().collect();
        let mut headers = Vec::new();
        for qualifier in row.qualifiers {
            match *qualifier {
                Qualifier::Parameter(name) => query.push(format!("{name}=1")),
                Qualifier::Value(name, value) => query = vec![format!("{name}={value}")],
                Qualifier::Header(name) if names_version => headers.push((name, "bucket/k?versionId=null")),
                Qualifier::Header(name) => headers.push((name, "bucket/k")),
            }
        }
        if names_version && of_version {
            query.push("versionId=null".into());
        }
        let of_each: Vec<_> = row.actions_on_each(false).collect();
        Some(Example {
            operation: row.name,
            method: row.method.name(),
            target: format!("{path}?{}", query.join("&")),
            headers,
            // What is to be done to each takes one that it is done to.
            body: if of_each.is_empty() { "" } else { "<Delete><Object><Key>k</Key></Object></Delete>" },
            actions: [here(names_version && of_version), of_source(names_version)]
                .into_iter()
                .flatten()
                .chain(of_each)
                .collect(),
        })
    };
    operations::all()
        .flat_map(|row| [false, true].into_iter().filter_map(move |named| example(row, named)))
        .collect()
}

/// A request of an operation with what brings more rights than the operation's own.
#[derive(Clone, Debug)]
pub struct Laden {
    pub example: Example,
    pub brings: Brings,
    /// The rights that it takes beside those of the example.
    pub actions: Vec<&'static str>,
}

/// A request of each operation with each thing that it can bring.
pub fn laden_examples() -> Vec<Laden> {
    let of = |example: Example| {
        let row = operations::all()
            .find(|row| row.name == example.operation && row.method.name() == example.method);
        let brings = row.into_iter().flat_map(|row| row.brings());
        brings.map(|brings| laden(&example, *brings)).collect::<Vec<_>>()
    };
    examples().into_iter().flat_map(of).collect()
}

fn laden(bare: &Example, brings: Brings) -> Laden {
    let mut example = bare.clone();
    match brings.by {
        Bearer::Header { name, example: value, .. } => example.headers.push((name, value)),
        Bearer::Document(text) => example.body = text,
        // The source is the example's object, which isn't copied to itself.
        Bearer::TaggedSource => example.target = example.target.replacen("/k", "/copy", 1),
    }
    let of_version = |text: &str| text.contains("versionId");
    let action = |need: &Need| match *need {
        Need::Here(action) => on(action, of_version(&example.target)),
        Need::OfSource(action) => on(action, example.headers.iter().any(|(_, value)| of_version(value))),
        Need::OfEach(action) => action,
    };
    let actions = brings.needs.iter().map(action).collect();
    Laden { example, brings, actions }
}

/// What a request asks for, from its raw parts.
pub fn operation(method: &str, path: &str, query: &str, host: &str) {
    let domains = ["s3.example.com".to_owned()];
    let (Ok(method), Ok(query)) = (method.parse::<Method>(), Query::parse(query)) else { return };
    if let Ok(address) = Address::parse(path, Some(host), &domains) {
        let _ = operations::recognise(&method, &address, &query, &HeaderMap::new());
    }
}

/// Reads headers that have a grammar of their own. A range that is granted must lie in the object.
pub fn headers(text: &str, size: u64) {
    let _ = (strong_etags(text), weak_etags(text));
    if let Ok(Some(range)) = range::requested(text, size) {
        assert!(range.start < range.end && range.end <= size, "{range:?} of {size}");
    }
}
