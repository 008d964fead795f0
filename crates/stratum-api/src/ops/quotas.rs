//! Whether what is about to come is within the quotas of its bucket and of the bucket's owner, asked before its bytes are taken.
//!
//! Both are asked again, exactly, when the command is applied: here of what was there before, there of what comes at once, too.

use crate::context::Context;
use crate::error::S3Error;
use crate::key::ObjectKey;
use stratum_metadata::record::{BucketRecord, BucketUsage, Quota, UploadId};

/// Bytes and objects that are there.
#[derive(Clone, Copy)]
struct Held {
    bytes: u64,
    objects: u64,
}

/// How much more there will be.
#[derive(Clone, Copy)]
struct Growth {
    bytes: u64,
    objects: u64,
}

impl Held {
    /// Whether a quota has room for more. What doesn't grow is never too much.
    fn may_grow(self, growth: Growth, quota: &Quota) -> bool {
        let grown = Quota {
            bytes: quota.bytes.filter(|_| growth.bytes > 0),
            objects: quota.objects.filter(|_| growth.objects > 0),
        };
        grown.admits(self.bytes.saturating_add(growth.bytes), self.objects.saturating_add(growth.objects))
    }
}

/// Whether an object of so many bytes may come.
///
/// # Errors
/// `QuotaExceeded`.
pub fn admit_object(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, size: u64) -> Result<(), S3Error> {
    let Some(usage) = ctx.view.usage(bucket.id)? else { return Ok(()) };
    let replaced = match bucket.configuration.versioning {
        None => ctx.view.object(bucket.id, key.as_bytes())?,
        Some(_) => None,
    };
    let before = replaced.as_ref().map_or(0, |replaced| replaced.size);
    let growth = Growth { bytes: size.saturating_sub(before), objects: u64::from(replaced.is_none()) };
    admit(ctx, bucket, &usage, growth)
}

/// Whether a part of so many bytes may come.
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
    fn what_does_not_grow_is_never_too_much() {
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
