//! GetBucketLocation: the name of the bucket's region; an empty element for us-east-1, the classic region.

use crate::context::Context;
use crate::error::S3Result;
use crate::ops::create_bucket::CLASSIC_REGION;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::LocationConstraint;
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, _: &BucketRecord) -> S3Result {
    let region = Some(ctx.store.settings.region.clone()).filter(|region| region != CLASSIC_REGION);
    xml::answer(&LocationConstraint { xmlns: Namespace, region })
}
