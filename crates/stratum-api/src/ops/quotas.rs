//! Whether what is about to come is within the quotas of its bucket and of the bucket's owner, asked before its bytes are taken.
//!
//! A bucket's quota is asked again, exactly, when the command is applied. An owner's goes by what their buckets held up to a
//! second ago ([`Quotas`](crate::quota::Quotas)): what comes at once may pass it by what is on its way.

use crate::context::Context;
use crate::error::S3Error;
use crate::key::ObjectKey;
use crate::quota::{Growth, Held};
use stratum_metadata::record::{BucketRecord, BucketUsage, UploadId};

/// Whether an object of so many bytes may come.
///
/// # Errors
/// `QuotaExceeded`.
pub async fn admit_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    size: u64,
) -> Result<(), S3Error> {
    let Some(usage) = ctx.view.usage(bucket.id)? else { return Ok(()) };
    let replaced = match bucket.configuration.versioning {
        None => ctx.view.object(bucket.id, key.as_bytes())?,
        Some(_) => None,
    };
    let before = replaced.as_ref().map_or(0, |replaced| replaced.size);
    let growth = Growth { bytes: size.saturating_sub(before), objects: u64::from(replaced.is_none()) };
    admit(ctx, bucket, &usage, growth).await
}

/// Whether a part of so many bytes may come.
///
/// # Errors
/// `QuotaExceeded`.
pub async fn admit_part(
    ctx: &Context,
    bucket: &BucketRecord,
    upload: UploadId,
    number: u16,
    size: u64,
) -> Result<(), S3Error> {
    let Some(usage) = ctx.view.usage(bucket.id)? else { return Ok(()) };
    let before = ctx.view.part(upload, number)?.map_or(0, |replaced| replaced.size);
    admit(ctx, bucket, &usage, Growth { bytes: size.saturating_sub(before), objects: 0 }).await
}

async fn admit(
    ctx: &Context,
    bucket: &BucketRecord,
    usage: &BucketUsage,
    growth: Growth,
) -> Result<(), S3Error> {
    let held = Held { bytes: usage.bytes, objects: usage.objects };
    if !held.may_grow(growth, &usage.quota) {
        return Err(S3Error::quota_exceeded("bucket"));
    }
    let Some(quota) = ctx.view.user_quota(&bucket.owner)? else { return Ok(()) };
    let (quotas, now) = (&ctx.store.quotas, ctx.store.clock.monotonic());
    let held = match quotas.known(&bucket.owner, now) {
        Some(held) => held,
        None => {
            let usage = ctx.view.usage_of(&bucket.owner).await?;
            let held = Held { bytes: usage.bytes, objects: usage.objects };
            quotas.remember(&bucket.owner, held, now);
            held
        }
    };
    if !held.may_grow(growth, &quota) {
        return Err(S3Error::quota_exceeded("user"));
    }
    quotas.grow(&bucket.owner, growth);
    Ok(())
}
