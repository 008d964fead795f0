//! GetBucketVersioning: no bucket here was ever versioned, which S3 says by leaving the status out.

use crate::context::Context;
use crate::error::S3Result;
use crate::xml;
use crate::xml::buckets::VersioningConfiguration;
use stratum_metadata::record::BucketRecord;

pub async fn handle(_: &Context, _: &BucketRecord) -> S3Result {
    xml::answer(&VersioningConfiguration::default())
}
