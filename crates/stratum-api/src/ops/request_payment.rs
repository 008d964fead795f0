//! GetBucketRequestPayment and PutBucketRequestPayment: the bucket's owner pays, as for S3's buckets by default. This
//! server bills nobody.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::xml;
use crate::xml::buckets::{Payer, RequestPaymentConfiguration};
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than the configuration takes.
const MAX_BODY_BYTES: u64 = 4 * 1024;

pub async fn get(_: &Context, _: &BucketRecord) -> S3Result {
    xml::answer(&RequestPaymentConfiguration::of(Payer::BucketOwner))
}

/// Takes the configuration that every bucket has, and refuses the other one.
pub async fn put(_: &Context, _: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    match document.read(RequestPaymentConfiguration::read).await?.payer {
        Payer::BucketOwner => Ok(Response::new(Body::empty())),
        Payer::Requester => Err(S3Error::not_implemented("A bucket whose requesters pay")),
    }
}
