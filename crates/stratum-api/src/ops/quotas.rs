//! Whether the quotas of a bucket and of its owner have room for a write. This is asked before the write's bytes are
//! read.
//!
//! `apply` asks both quotas again when it applies the write's command. The answer here doesn't count the writes that
//! other requests are making at the same time; that one does, and so is exact.

use crate::context::Context;
use crate::error::S3Error;
use crate::key::ObjectKey;
use stratum_metadata::record::{BucketRecord, BucketUsage, Quota, UploadId};

/// How many bytes and objects a bucket or an owner has.
#[derive(Clone, Copy)]
struct Held {
    bytes: u64,
    objects: u64,
}

/// How many bytes and objects a write adds.
#[derive(Clone, Copy)]
struct Growth {
    bytes: u64,
    objects: u64,
}

impl Held {
    /// Whether a quota has room for a write. A write that adds no bytes, or no objects, is never refused by the bound
    /// on those, even where the quota is exceeded already.
    fn may_grow(self, growth: Growth, quota: &Quota) -> bool {
        let grown = Quota {
            bytes: quota.bytes.filter(|_| growth.bytes > 0),
            objects: quota.objects.filter(|_| growth.objects > 0),
        };
        grown.admits(self.bytes.saturating_add(growth.bytes), self.objects.saturating_add(growth.objects))
    }
}

/// Refuses an object of `size` bytes that a quota has no room for.
///
/// # Errors
/// `QuotaExceeded`.
pub fn admit_object(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, size: u64) -> Result<(), S3Error> {
    let Some(usage) = ctx.view.usage(bucket.id)? else { return Ok(()) };
    let versioning = bucket.configuration.versioning;
    let current = ctx.view.object(bucket.id, key.as_bytes())?;
    let replaced = current.filter(|current| current.gives_way(versioning));
    let before = replaced.as_ref().map_or(0, |replaced| replaced.size);
    let growth = Growth { bytes: size.saturating_sub(before), objects: u64::from(replaced.is_none()) };
    admit(ctx, bucket, &usage, growth)
}

/// Refuses a part of `size` bytes that a quota has no room for.
///
/// # Errors
/// `QuotaExceeded`.
pub fn admit_part(
    ctx: &Context,
    bucket: &BucketRecord,
    upload: UploadId,
    number: u16,
    size: u64,
) -> Result<(), S3Error> {
    let Some(usage) = ctx.view.usage(bucket.id)? else { return Ok(()) };
    let before = ctx.view.part(upload, number)?.map_or(0, |replaced| replaced.size);
    admit(ctx, bucket, &usage, Growth { bytes: size.saturating_sub(before), objects: 0 })
}

fn admit(ctx: &Context, bucket: &BucketRecord, usage: &BucketUsage, growth: Growth) -> Result<(), S3Error> {
    let held = Held { bytes: usage.bytes, objects: usage.objects };
    if !held.may_grow(growth, &usage.quota) {
        return Err(S3Error::quota_exceeded("bucket"));
    }
    let Some(quota) = ctx.view.user_quota(&bucket.owner)? else { return Ok(()) };
    let total = ctx.view.user_total(&bucket.owner)?.unwrap_or_default();
    let held = Held { bytes: total.bytes, objects: total.objects };
    if held.may_grow(growth, &quota) { Ok(()) } else { Err(S3Error::quota_exceeded("user")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_adds_nothing_is_within_every_quota() {
        let quota = Quota { bytes: Some(100), objects: Some(2) };
        let fits = |bytes, objects, more, others| {
            Held { bytes, objects }.may_grow(Growth { bytes: more, objects: others }, &quota)
        };
        assert!(fits(90, 1, 10, 1));
        assert!(!fits(90, 1, 11, 1), "a byte too many");
        assert!(!fits(0, 2, 1, 1), "an object too many");
        assert!(fits(500, 9, 0, 0), "what was too much before may be replaced");
        assert!(!fits(1, 1, u64::MAX, 0));
    }
}
