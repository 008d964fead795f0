//! GetBucketRequestPayment and PutBucketRequestPayment: the owner pays, since nothing here costs whoever asks.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::xml;
use crate::xml::buckets::{Payer, RequestPaymentConfiguration};
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

/// More than the configuration ever needs, in bytes.
const MAX_BODY: u64 = 4 * 1024;

pub async fn get(_: &Context, _: &BucketRecord) -> S3Result {
    xml::answer(&RequestPaymentConfiguration::of(Payer::BucketOwner))
}

/// Takes what already is so, and nothing else.
pub async fn put(_: &Context, _: &BucketRecord, body: RequestBody) -> S3Result {
    match RequestPaymentConfiguration::read(&body.document(MAX_BODY).await?)?.payer {
        Payer::BucketOwner => Ok(Response::new(Body::empty())),
        Payer::Requester => Err(S3Error::not_implemented("A bucket whose requesters pay")),
    }
}
