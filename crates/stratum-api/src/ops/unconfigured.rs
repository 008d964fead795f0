//! Configurations of a bucket that this server doesn't implement, so that no bucket has any of them. A Get says so, a
//! Delete changes nothing, a Put of a configuration that asks for nothing succeeds, and a Put of any other is not
//! implemented.
//!
//! These are answered because tools that manage buckets read every configuration before they do anything.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::ops::no_content;
use crate::xml;
use crate::xml::unconfigured::{Empty, List};
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: enough to see what it asks for.
const MAX_BODY_BYTES: u64 = 256 * 1024;

/// Answers an empty document with this root element.
pub fn empty(root: &'static str) -> S3Result {
    xml::answer(&Empty::named(root))
}

/// Answers an empty list of configurations with this root element.
pub fn none(root: &'static str) -> S3Result {
    xml::answer(&List::named(root))
}

/// Answers the error that says that there is no such configuration.
pub fn absent(code: Code) -> S3Result {
    Err(code.into())
}

/// Answers a Delete, which has nothing to delete.
pub fn deleted() -> S3Result {
    Ok(no_content())
}

/// Takes a document that asks for nothing, and refuses any other.
pub async fn put(
    _: &Context,
    _: &BucketRecord,
    body: RequestBody,
    root: &'static str,
    what: &str,
) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let asked = document.read(move |bytes| xml::read::document(bytes, root)).await?;
    let asks = |child: &xml::read::Element| {
        // Transfer acceleration that was never enabled is suspended already.
        !(child.name == "Status" && child.text().is_ok_and(|text| text.trim() == "Suspended"))
    };
    match asked.children.iter().any(asks) {
        false => Ok(Response::new(Body::empty())),
        true => Err(S3Error::not_implemented(what)),
    }
}
