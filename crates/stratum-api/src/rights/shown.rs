//! The headers of GetObject and HeadObject that take a right of their own to be seen: whoever may read an object isn't
//! told by that how it is locked, nor how many tags it has.
//!
//! Source: Amazon S3 API Reference, GetObject and HeadObject, "Response Elements".

use super::facts::Asker;
use super::{Resource, Verdict, beside, judge};
use crate::context::Context;
use crate::error::S3Error;
use crate::headers::TAGGING_COUNT;
use crate::key::ObjectKey;
use crate::lock;
use crate::version;
use http::{HeaderMap, HeaderName};
use stratum_metadata::record::BucketRecord;

/// The headers, each with the action that the caller must be allowed.
const GUARDED: [(HeaderName, &str); 4] = [
    (lock::MODE, "s3:GetObjectRetention"),
    (lock::UNTIL, "s3:GetObjectRetention"),
    (lock::HOLD, "s3:GetObjectLegalHold"),
    (TAGGING_COUNT, "s3:GetObjectTagging"),
];

/// Takes those headers out of the answer to a read that its caller may not see.
///
/// # Errors
/// As [`judge`].
pub fn withhold(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    out: &mut HeaderMap,
) -> Result<(), S3Error> {
    let (asker, version) = (Asker::of(ctx), ctx.query.get(version::PARAMETER));
    let object = Resource::Object(bucket, key, version);
    for (name, action) in GUARDED.iter().filter(|(name, _)| out.contains_key(name)).collect::<Vec<_>>() {
        // The audit isn't told: nothing was asked for that is refused.
        if !matches!(judge(&asker, beside::on(action, &object), &object)?, Verdict::Allowed(_)) {
            out.remove(name);
        }
    }
    Ok(())
}
