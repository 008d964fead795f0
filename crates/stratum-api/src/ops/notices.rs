//! Notices: whom notifications tell of what an operation does. An operation's command carries the notice, so that the
//! change and its events are made together or not at all.

use crate::context::Context;
use crate::error::S3Error;
use crate::key::ObjectKey;
use stratum_metadata::record::{Addressee, BucketRecord, EventKind, Happening, Notice, VersionId};

/// The notice for those who are to be told if one of these events happens to a key, or to the version of it that was
/// named. None where nobody is.
///
/// # Errors
/// Failures of the store.
pub fn of_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    version: Option<VersionId>,
    kinds: &[EventKind],
) -> Result<Option<Box<Notice>>, S3Error> {
    let Some(rules) = ctx.store.notifications.of(&ctx.view, bucket)? else { return Ok(None) };
    let to = rules.addressees(kinds, key.as_bytes());
    Ok(notice(ctx, bucket, Some(key), version, to))
}

/// The notice for those who are to be told something of a bucket. None where nobody is.
pub fn of_bucket(ctx: &Context, bucket: &BucketRecord, to: Vec<Addressee>) -> Option<Box<Notice>> {
    notice(ctx, bucket, None, None, to)
}

fn notice(
    ctx: &Context,
    bucket: &BucketRecord,
    key: Option<&ObjectKey>,
    version: Option<VersionId>,
    to: Vec<Addressee>,
) -> Option<Box<Notice>> {
    if to.is_empty() {
        return None;
    }
    let about = Happening {
        bucket: bucket.name.clone(),
        owner: bucket.owner.clone(),
        region: bucket.region.clone(),
        key: key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        version,
        time: ctx.now,
        by: ctx.caller.id().unwrap_or(ctx.account.id()).to_owned(),
        source: ctx.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        request: ctx.request_id.as_str().to_owned(),
    };
    Some(Box::new(Notice { to, about }))
}
