//! Configurations of a bucket of which there can be none here: asking for one has a true answer, taking it away changes
//! nothing, putting what is already so does neither, and putting another isn't built.
//!
//! Tools that look after buckets ask for all of them before they do anything.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::ops::no_content;
use crate::xml;
use crate::xml::unconfigured::{Empty, List};
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

/// Enough to see what is asked for, in bytes.
const MAX_BODY: u64 = 256 * 1024;

/// A document that says nothing, by the name of its root.
pub fn empty(root: &'static str) -> S3Result {
    xml::answer(&Empty::named(root))
}

/// A page of configurations with ids, by the name of its root.
pub fn none(root: &'static str) -> S3Result {
    xml::answer(&List::named(root))
}

/// That there is none.
pub fn absent(code: Code) -> S3Result {
    Err(code.into())
}

/// What isn't there is gone.
pub fn deleted() -> S3Result {
    Ok(no_content())
}

/// Takes a document that asks for nothing, which is what is so.
pub async fn put(
    _: &Context,
    _: &BucketRecord,
    body: RequestBody,
    root: &'static str,
    what: &str,
) -> S3Result {
    let document = xml::read::document(&body.document(MAX_BODY).await?, root)?;
    let asks = |child: &xml::read::Element| {
        // Suspended is what a transfer acceleration that never was is.
        !(child.name == "Status" && child.text.trim() == "Suspended")
    };
    match document.children.iter().any(asks) {
        false => Ok(Response::new(Body::empty())),
        true => Err(S3Error::not_implemented(what)),
    }
}
