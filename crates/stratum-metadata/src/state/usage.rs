//! What buckets hold that a quota is about: counted with each command that changes it, and refused where it would be too much.
//!
//! Of a bucket that nobody bounds this is one look for a key that isn't there, a group. What a user with a quota holds is the
//! sum over their buckets, and kept beside them: each change of a bucket's count goes by [`put`], which changes that, too,
//! for those buckets that are in it. [`sum`] takes them into it by their names, a page a command: the first one with the quota.

use super::view::View;
use super::{ApplyError, Step, buckets};
use crate::buckets::{by_id, id_of};
use crate::command::{Outcome, QuotaOf, Refusal};
use crate::keys;
use crate::record::{
    BucketId, BucketUsage, Counted, ObjectRecord, ObjectSummary, Quota, SummedBelow, UploadBytes, UploadId,
    UserTotal, Version, VersionSummary, decode,
};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

/// Keys that one command counts. In tests so few that a count takes several.
const PAGE: usize = if cfg!(test) { 3 } else { 512 };
/// Buckets that one command takes into their owner's total, each by two more looks.
const SUMMED_TOGETHER: usize = if cfg!(test) { 2 } else { 64 };

/// Sets a quota, or takes it away. A bucket's begins its count where there is none, a user's the sum over their buckets.
pub(super) fn set(view: &mut View<'_>, index: Index, of: QuotaOf, quota: Option<Quota>) -> Step {
    match (of, quota) {
        (QuotaOf::User(owner), Some(quota)) => {
            view.put(keys::user_quota(&owner), &quota)?;
            sum(view, &owner)?;
        }
        (QuotaOf::User(owner), None) => {
            view.remove(keys::user_summed(&owner))?;
            view.remove(keys::user_total(&owner))?;
            view.remove(keys::user_quota(&owner))?;
        }
        (QuotaOf::Bucket(bucket), Some(quota)) => {
            buckets::require(view, bucket)?;
            let begun = BucketUsage {
                counted: Counted::Below(keys::objects_of(bucket)),
                ..BucketUsage::empty(quota, index)
            };
            let before = of_bucket(view, bucket)?;
            let now = before.clone().map_or(begun, |usage| BucketUsage { quota, ..usage });
            put(view, bucket, before.as_ref(), Some(&now))?;
        }
        (QuotaOf::Bucket(bucket), None) => end(view, bucket)?,
    }
    Ok(Outcome::Done)
}

/// A bucket isn't counted any more, and what it held counts for nobody. Its record is still there.
pub(super) fn end(view: &mut View<'_>, bucket: BucketId) -> Result<(), ApplyError> {
    let before = of_bucket(view, bucket)?;
    put(view, bucket, before.as_ref(), None)
}

/// Writes what a bucket holds now, which was `before`, and what follows for its owner's total. Nothing is of one that isn't
/// counted.
fn put(
    view: &mut View<'_>,
    bucket: BucketId,
    before: Option<&BucketUsage>,
    now: Option<&BucketUsage>,
) -> Result<(), ApplyError> {
    let held = |usage: Option<&BucketUsage>| usage.map_or((0, 0), |usage| (usage.bytes, usage.objects));
    let (went, came) = (held(before), held(now));
    if went != came
        && let Some((owner, total)) = total_with(view, bucket)?
    {
        let total = UserTotal {
            bytes: total.bytes.saturating_sub(went.0).saturating_add(came.0),
            objects: total.objects.saturating_sub(went.1).saturating_add(came.1),
        };
        view.put(keys::user_total(&owner), &total)?;
    }
    match (before, now) {
        (_, Some(now)) => view.put(keys::bucket_usage(bucket), now),
        (Some(_), None) => view.remove(keys::bucket_usage(bucket)),
        (None, None) => Ok(()),
    }
}

/// The total that a bucket is in, and whose it is.
fn total_with(view: &mut View<'_>, bucket: BucketId) -> Result<Option<(String, UserTotal)>, ApplyError> {
    let Some(record) = by_id(bucket, |key| view.value(key))? else { return Ok(None) };
    let Some(total) = view.get(keys::user_total(&record.owner))? else { return Ok(None) };
    let below: Option<SummedBelow> = view.get(keys::user_summed(&record.owner))?;
    let is_in = below.is_none_or(|SummedBelow(name)| record.name.as_bytes() < name.as_slice());
    Ok(is_in.then_some((record.owner, total)))
}

/// Takes the next of an owner's buckets into their total, if they have a quota: those that follow by their names.
pub(super) fn sum(view: &mut View<'_>, owner: &str) -> Step {
    let kept: Option<UserTotal> = view.get(keys::user_total(owner))?;
    let below: Option<SummedBelow> = view.get(keys::user_summed(owner))?;
    let is_whole = kept.is_some() && below.is_none();
    if is_whole || !view.contains(keys::user_quota(owner))? {
        return Ok(Outcome::Count(0));
    }
    let (mut total, theirs) = (kept.unwrap_or_default(), keys::buckets_of(owner));
    let (from, mut names) = (below.map_or(Vec::new(), |SummedBelow(name)| name), Vec::<Vec<u8>>::new());
    view.scan(&[theirs.as_slice(), &from].concat(), &keys::end_of_prefix(&theirs), |key, _| {
        names.extend(key.get(theirs.len()..).map(<[u8]>::to_vec));
        Ok(if names.len() < SUMMED_TOGETHER { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for name in &names {
        let Some(under_name) = view.value(&keys::bucket_by_name(name))? else { continue };
        if let Some(usage) = of_bucket(view, id_of(&under_name)?)? {
            total.bytes = total.bytes.saturating_add(usage.bytes);
            total.objects = total.objects.saturating_add(usage.objects);
        }
    }
    view.put(keys::user_total(owner), &total)?;
    match names.last().filter(|_| names.len() == SUMMED_TOGETHER) {
        Some(last) => {
            let next = SummedBelow([last.as_slice(), &[0]].concat());
            view.put(keys::user_summed(owner), &next)?;
        }
        None => view.remove(keys::user_summed(owner))?,
    }
    Ok(Outcome::Count(names.len() as u64))
}

/// A bucket that comes to be is counted from the beginning, if its owner's buckets are.
pub(super) fn begin(view: &mut View<'_>, index: Index, bucket: BucketId, owner: &str) -> Step<()> {
    if view.contains(keys::user_quota(owner))? {
        put(view, bucket, None, Some(&BucketUsage::empty(Quota::default(), index)))?;
    }
    Ok(())
}

/// Counts a page of what was there before the count began.
pub(super) fn count(view: &mut View<'_>, bucket: BucketId) -> Step {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(Outcome::Count(0)) };
    let Counted::Below(from) = before.counted.clone() else { return Ok(Outcome::Count(0)) };
    let mut usage = before.clone();
    let (mut seen, mut last) = (0, None);
    for range in [keys::objects_of(bucket), keys::versions_in(bucket)] {
        let (begin, end) = (from.clone().max(range.clone()), keys::end_of_prefix(&range));
        if begin >= end || seen == PAGE {
            continue;
        }
        view.scan(&begin, &end, |key, value| {
            if let Some(size) = size_of(key, value)? {
                usage.bytes = usage.bytes.saturating_add(size);
                usage.objects += 1;
            }
            seen += 1;
            last = Some(key.to_vec());
            Ok(if seen < PAGE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    usage.counted = match last.filter(|_| seen == PAGE) {
        Some(last) => Counted::Below([last.as_slice(), &[0]].concat()),
        None => Counted::All,
    };
    put(view, bucket, Some(&before), Some(&usage))?;
    Ok(Outcome::Count(seen as u64))
}

fn size_of(key: &[u8], value: &[u8]) -> Result<Option<u64>, crate::record::DecodeError> {
    if keys::is(keys::Tag::Object, key) {
        return Ok(Some(decode::<ObjectSummary>(value)?.size));
    }
    Ok(match decode::<VersionSummary>(value)? {
        VersionSummary::Object(object) => Some(object.size),
        VersionSummary::DeleteMarker(_) => None,
    })
}

/// Refuses an object of so many bytes that comes to a bucket, where `replaced` goes for it and `parts` became it.
pub(super) fn check_object(
    view: &mut View<'_>,
    bucket: BucketId,
    size: u64,
    replaced: Option<&ObjectRecord>,
    upload: Option<UploadId>,
) -> Step<()> {
    let Some(usage) = of_bucket(view, bucket)? else { return Ok(()) };
    let parts = upload.map(|upload| parts_of(view, &usage, upload)).transpose()?.unwrap_or(0);
    let (goes, went) = replaced.map_or((0, 0), |replaced| (replaced.size, 1));
    let bytes = usage.bytes.saturating_add(size).saturating_sub(goes).saturating_sub(parts);
    check(view, bucket, &usage, bytes, (usage.objects + 1).saturating_sub(went))
}

/// Refuses a part that comes to a bucket.
pub(super) fn check_part(
    view: &mut View<'_>,
    bucket: BucketId,
    size: u64,
    replaced: Option<u64>,
) -> Step<()> {
    let Some(usage) = of_bucket(view, bucket)? else { return Ok(()) };
    let bytes = usage.bytes.saturating_add(size).saturating_sub(replaced.unwrap_or(0));
    check(view, bucket, &usage, bytes, usage.objects)
}

/// Refuses what would come to so much in the bucket, by its quota and by its owner's. What doesn't grow is never refused: a
/// bucket over its quota can still be written smaller.
fn check(view: &mut View<'_>, bucket: BucketId, usage: &BucketUsage, bytes: u64, objects: u64) -> Step<()> {
    let more = (bytes.saturating_sub(usage.bytes), objects.saturating_sub(usage.objects));
    let growing = |quota: &Quota| Quota {
        bytes: quota.bytes.filter(|_| more.0 > 0),
        objects: quota.objects.filter(|_| more.1 > 0),
    };
    if !growing(&usage.quota).admits(bytes, objects) {
        return Err(Refusal::QuotaExceeded.into());
    }
    let Some(record) = by_id(bucket, |key| view.value(key))? else { return Ok(()) };
    let Some(quota) = view.get::<Quota>(keys::user_quota(&record.owner))? else { return Ok(()) };
    let total = view.get::<UserTotal>(keys::user_total(&record.owner))?.unwrap_or_default();
    let (bytes, objects) = (total.bytes.saturating_add(more.0), total.objects.saturating_add(more.1));
    if growing(&quota).admits(bytes, objects) { Ok(()) } else { Err(Refusal::UserQuotaExceeded.into()) }
}

/// An object lies under that key from now on.
pub(super) fn came(view: &mut View<'_>, bucket: BucketId, at: &[u8], size: u64) -> Result<(), ApplyError> {
    change(view, bucket, at, |usage| {
        usage.bytes = usage.bytes.saturating_add(size);
        usage.objects += 1;
    })
}

/// No longer.
pub(super) fn went(view: &mut View<'_>, bucket: BucketId, at: &[u8], size: u64) -> Result<(), ApplyError> {
    change(view, bucket, at, |usage| {
        usage.bytes = usage.bytes.saturating_sub(size);
        usage.objects = usage.objects.saturating_sub(1);
    })
}

/// A version's size, where it is an object.
pub(super) fn size_of_version(version: &Version) -> Option<u64> {
    match version {
        Version::Object(record) => Some(record.size),
        Version::DeleteMarker(_) => None,
    }
}

/// A part came to an upload, in place of another of that size.
pub(super) fn part_came(
    view: &mut View<'_>,
    bucket: BucketId,
    upload: UploadId,
    size: u64,
    replaced: Option<u64>,
) -> Result<(), ApplyError> {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(()) };
    let parts = parts_of(view, &before, upload)?;
    let bytes = parts.saturating_add(size).saturating_sub(replaced.unwrap_or(0));
    view.put(keys::upload_bytes(upload), &UploadBytes { since: before.since, bytes })?;
    let held = before.bytes.saturating_sub(parts).saturating_add(bytes);
    put(view, bucket, Some(&before), Some(&BucketUsage { bytes: held, ..before.clone() }))
}

/// An upload is no longer under way.
pub(super) fn upload_went(view: &mut View<'_>, bucket: BucketId, upload: UploadId) -> Result<(), ApplyError> {
    if !view.contains(keys::upload_bytes(upload))? {
        return Ok(());
    }
    if let Some(before) = of_bucket(view, bucket)? {
        let held = before.bytes.saturating_sub(parts_of(view, &before, upload)?);
        put(view, bucket, Some(&before), Some(&BucketUsage { bytes: held, ..before.clone() }))?;
    }
    view.remove(keys::upload_bytes(upload))
}

/// What the parts of an upload count for.
fn parts_of(view: &mut View<'_>, usage: &BucketUsage, upload: UploadId) -> Result<u64, ApplyError> {
    let parts: Option<UploadBytes> = view.get(keys::upload_bytes(upload))?;
    Ok(parts.filter(|parts| parts.since == usage.since).map_or(0, |parts| parts.bytes))
}

fn of_bucket(view: &mut View<'_>, bucket: BucketId) -> Result<Option<BucketUsage>, ApplyError> {
    view.get(keys::bucket_usage(bucket))
}

fn change(
    view: &mut View<'_>,
    bucket: BucketId,
    at: &[u8],
    change: impl FnOnce(&mut BucketUsage),
) -> Result<(), ApplyError> {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(()) };
    if before.has_counted(at) {
        let mut usage = before.clone();
        change(&mut usage);
        put(view, bucket, Some(&before), Some(&usage))?;
    }
    Ok(())
}
