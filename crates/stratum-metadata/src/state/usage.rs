//! What buckets hold to which a quota applies: every command that changes it counts it, and a command that would
//! exceed a quota is refused.
//!
//! For a bucket without a quota this costs one lookup of a key that doesn't exist, for each group. The total of a
//! user with a quota is the sum over the user's buckets, and is kept beside their counts: every change of a bucket's
//! count goes through [`put`], which also changes the total if the bucket has been added to it. [`sum`] adds the
//! buckets by name, a page a command, beginning with the command that sets the quota.

use super::view::View;
use super::{ApplyError, Step, buckets};
use crate::buckets::{id_of, summary_by_id};
use crate::command::{Outcome, QuotaOf, Refusal};
use crate::keys;
use crate::record::{
    BucketId, BucketUsage, Counted, ObjectRecord, ObjectSummary, Quota, SummedBelow, UploadBytes, UploadId,
    UserTotal, Version, VersionSummary, decode,
};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

/// Keys that one command counts. Few in tests, so that a count takes several commands.
const PAGE_KEYS: usize = if cfg!(test) { 3 } else { 512 };
/// Buckets that one command adds to their owner's total, each with two more lookups.
const BUCKETS_A_SUM: usize = if cfg!(test) { 2 } else { 64 };

/// Sets or removes a quota. A bucket's quota begins its count if there is none; a user's begins the sum over the
/// buckets.
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
            let begun = begun(bucket, quota, index);
            let before = of_bucket(view, bucket)?;
            let now = before.clone().map_or(begun, |usage| BucketUsage { quota, ..usage });
            put(view, bucket, before.as_ref(), Some(&now))?;
        }
        (QuotaOf::Bucket(bucket), None) => end(view, bucket)?,
    }
    Ok(Outcome::Done)
}

/// Ends the count of a bucket, whose record must still exist; what it held is taken off its owner's total.
pub(super) fn end(view: &mut View<'_>, bucket: BucketId) -> Result<(), ApplyError> {
    let before = of_bucket(view, bucket)?;
    put(view, bucket, before.as_ref(), None)
}

/// Replaces a bucket's usage `before` by `now`, and changes its owner's total by the difference. `None` stands for a
/// bucket that isn't counted.
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
            bytes: more(less(total.bytes, went.0), came.0),
            objects: more(less(total.objects, went.1), came.1),
        };
        view.put(keys::user_total(&owner), &total)?;
    }
    match (before, now) {
        (_, Some(now)) => view.put(keys::bucket_usage(bucket), now),
        (Some(_), None) => view.remove(keys::bucket_usage(bucket)),
        (None, None) => Ok(()),
    }
}

/// The total to which a bucket has been added, and its owner.
fn total_with(view: &mut View<'_>, bucket: BucketId) -> Result<Option<(String, UserTotal)>, ApplyError> {
    let Some(record) = summary_by_id(bucket, |key| view.value(key))? else { return Ok(None) };
    let Some(total) = view.get(keys::user_total(&record.owner))? else { return Ok(None) };
    let below: Option<SummedBelow> = view.get(keys::user_summed(&record.owner))?;
    let is_in = below.is_none_or(|SummedBelow(name)| record.name.as_bytes() < name.as_slice());
    Ok(is_in.then_some((record.owner, total)))
}

/// Begins a bucket's count anew, if it is counted: what it was isn't known any more.
pub(super) fn begin_anew(view: &mut View<'_>, index: Index, bucket: BucketId) -> Result<(), ApplyError> {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(()) };
    put(view, bucket, Some(&before), Some(&begun(bucket, before.quota, index)))
}

/// A count that is to go over all that is there.
fn begun(bucket: BucketId, quota: Quota, since: Index) -> BucketUsage {
    let counted = Counted::Below(keys::objects_of(bucket));
    BucketUsage { counted, ..BucketUsage::empty(quota, since) }
}

/// Adds the next of an owner's buckets, by name, to the owner's total, if there is a quota.
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
        Ok(if names.len() < BUCKETS_A_SUM { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for name in &names {
        let Some(under_name) = view.value(&keys::bucket_by_name(name))? else { continue };
        if let Some(usage) = of_bucket(view, id_of(&under_name)?)? {
            total.bytes = more(total.bytes, usage.bytes);
            total.objects = more(total.objects, usage.objects);
        }
    }
    view.put(keys::user_total(owner), &total)?;
    match names.last().filter(|_| names.len() == BUCKETS_A_SUM) {
        Some(last) => {
            let next = SummedBelow([last.as_slice(), &[0]].concat());
            view.put(keys::user_summed(owner), &next)?;
        }
        None => view.remove(keys::user_summed(owner))?,
    }
    Ok(Outcome::Count(names.len() as u64))
}

/// Counts a new bucket from its beginning, if its owner has a quota.
pub(super) fn begin(view: &mut View<'_>, index: Index, bucket: BucketId, owner: &str) -> Step<()> {
    if view.contains(keys::user_quota(owner))? {
        put(view, bucket, None, Some(&BucketUsage::empty(Quota::default(), index)))?;
    }
    Ok(())
}

/// Counts a page of what the bucket held before its count began.
pub(super) fn count(view: &mut View<'_>, bucket: BucketId) -> Step {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(Outcome::Count(0)) };
    let Counted::Below(from) = before.counted.clone() else { return Ok(Outcome::Count(0)) };
    let mut usage = before.clone();
    let (mut seen, mut last) = (0, None);
    for range in [keys::objects_of(bucket), keys::versions_in(bucket)] {
        let (begin, end) = (from.clone().max(range.clone()), keys::end_of_prefix(&range));
        if begin >= end || seen == PAGE_KEYS {
            continue;
        }
        view.scan(&begin, &end, |key, value| {
            if let Some(size) = size_of(key, value)? {
                usage.bytes = more(usage.bytes, size);
                usage.objects = more(usage.objects, 1);
            }
            seen += 1;
            last = Some(key.to_vec());
            Ok(if seen < PAGE_KEYS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    usage.counted = match last.filter(|_| seen == PAGE_KEYS) {
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

/// Refuses an object of `size` bytes if it would exceed a quota. It takes the place of `replaced`, and is made of the
/// parts of `upload` if that is given.
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

/// Refuses a part of `size` bytes if it would exceed a quota.
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

/// Refuses what would make the bucket hold so much, by its own quota and by its owner's. Only growth is refused: a
/// bucket over its quota can still be overwritten with less.
fn check(view: &mut View<'_>, bucket: BucketId, usage: &BucketUsage, bytes: u64, objects: u64) -> Step<()> {
    let more = (bytes.saturating_sub(usage.bytes), objects.saturating_sub(usage.objects));
    let growing = |quota: &Quota| Quota {
        bytes: quota.bytes.filter(|_| more.0 > 0),
        objects: quota.objects.filter(|_| more.1 > 0),
    };
    if !growing(&usage.quota).admits(bytes, objects) {
        return Err(Refusal::QuotaExceeded.into());
    }
    let Some(record) = summary_by_id(bucket, |key| view.value(key))? else { return Ok(()) };
    let Some(quota) = view.get::<Quota>(keys::user_quota(&record.owner))? else { return Ok(()) };
    let total = view.get::<UserTotal>(keys::user_total(&record.owner))?.unwrap_or_default();
    let (bytes, objects) = (total.bytes.saturating_add(more.0), total.objects.saturating_add(more.1));
    if growing(&quota).admits(bytes, objects) { Ok(()) } else { Err(Refusal::UserQuotaExceeded.into()) }
}

/// Counts a version that was stored under that key.
pub(super) fn came(view: &mut View<'_>, bucket: BucketId, at: &[u8], size: u64) -> Result<(), ApplyError> {
    change(view, bucket, at, |usage| {
        usage.bytes = more(usage.bytes, size);
        usage.objects = more(usage.objects, 1);
    })
}

/// Takes back what [`came`] counted, as the version was removed.
pub(super) fn went(view: &mut View<'_>, bucket: BucketId, at: &[u8], size: u64) -> Result<(), ApplyError> {
    change(view, bucket, at, |usage| {
        usage.bytes = less(usage.bytes, size);
        usage.objects = less(usage.objects, 1);
    })
}

/// A version's size, where it is an object.
pub(super) fn size_of_version(version: &Version) -> Option<u64> {
    match version {
        Version::Object(record) => Some(record.size),
        Version::DeleteMarker(_) => None,
    }
}

/// Counts a part of an upload, which replaced one of `replaced` bytes if that is given.
pub(super) fn part_came(
    view: &mut View<'_>,
    bucket: BucketId,
    upload: UploadId,
    size: u64,
    replaced: Option<u64>,
) -> Result<(), ApplyError> {
    let Some(before) = of_bucket(view, bucket)? else { return Ok(()) };
    let parts = parts_of(view, &before, upload)?;
    // A part that was there before the count began isn't in it.
    let bytes = more(parts, size).saturating_sub(replaced.unwrap_or(0));
    view.put(keys::upload_bytes(upload), &UploadBytes { since: before.since, bytes })?;
    let held = more(less(before.bytes, parts), bytes);
    put(view, bucket, Some(&before), Some(&BucketUsage { bytes: held, ..before.clone() }))
}

/// Takes the parts of an upload off the count, as it is no longer under way.
pub(super) fn upload_went(view: &mut View<'_>, bucket: BucketId, upload: UploadId) -> Result<(), ApplyError> {
    if !view.contains(keys::upload_bytes(upload))? {
        return Ok(());
    }
    if let Some(before) = of_bucket(view, bucket)? {
        let held = less(before.bytes, parts_of(view, &before, upload)?);
        put(view, bucket, Some(&before), Some(&BucketUsage { bytes: held, ..before.clone() }))?;
    }
    view.remove(keys::upload_bytes(upload))
}

/// How many bytes the parts of an upload add to the count.
fn parts_of(view: &mut View<'_>, usage: &BucketUsage, upload: UploadId) -> Result<u64, ApplyError> {
    let parts: Option<UploadBytes> = view.get(keys::upload_bytes(upload))?;
    Ok(parts.filter(|parts| parts.since == usage.since).map_or(0, |parts| parts.bytes))
}

/// An account with what came added.
fn more(account: u64, came: u64) -> u64 {
    account.checked_add(came).unwrap_or_else(|| wrong_account(u64::MAX))
}

/// An account with what went taken off.
fn less(account: u64, went: u64) -> u64 {
    account.checked_sub(went).unwrap_or_else(|| wrong_account(0))
}

/// Tells that an account doesn't add up, and goes on from the number nearest to what it should be: a quota that is
/// miscounted is no reason to take the store out of service.
fn wrong_account(nearest: u64) -> u64 {
    metrics::counter!("stratum_miscounted_usage_total").increment(1);
    tracing::error!(
        "what is counted for a quota doesn't agree with what came and went; please report it. To have all of it \
         counted anew, remove the quotas of the bucket and of its owner and set them again"
    );
    nearest
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_does_not_add_up_goes_on_from_the_nearest_number() {
        assert_eq!((more(1, 2), less(3, 3)), (3, 0));
        assert_eq!((more(u64::MAX, 1), less(1, 2)), (u64::MAX, 0));
    }
}
