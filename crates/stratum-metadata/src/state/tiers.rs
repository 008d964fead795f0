//! The tiers in which versions belong, and when each version's tier is reviewed.
//!
//! A version has a key among the reviews exactly if its record has a time of review: the key is written and removed
//! with what the record says.

use super::view::View;
use super::{ApplyError, Step, owners};
use crate::command::{Outcome, Pinning, TierChange, TierCondition};
use crate::keys;
use crate::owned::{self, Owned};
use crate::record::{BucketId, ObjectRecord, Owner};

/// Applies each change by itself. A decision doesn't change where the version's bytes are: they are copied and moved
/// later.
pub(super) fn decide(view: &mut View<'_>, changes: Vec<TierChange>) -> Step {
    let mut applied = 0;
    for change in changes {
        applied += u64::from(apply(view, change)?);
    }
    Ok(Outcome::Count(applied))
}

fn apply(view: &mut View<'_>, change: TierChange) -> Result<bool, ApplyError> {
    let TierChange { bucket, key, version, committed, condition, decision, pinning, review } = change;
    let owner = Owner::Object { bucket, key: key.clone(), version, committed };
    let Some((at, mut owned)) = owned::find(&owner, |key| view.value(key))? else {
        // A version that went by its own command left the reviews with it; one that was given up did not.
        if let TierCondition::Reviewed(time) = condition {
            view.remove(keys::review(time, bucket, &key, committed))?;
        }
        return Ok(false);
    };
    let (Owned::Current(record) | Owned::NonCurrent(record)) = &mut owned else { return Ok(false) };
    if !condition.holds(record) {
        return Ok(false);
    }
    if let Some(decision) = decision {
        record.attributes.tiering.push(decision);
    }
    match pinning {
        Pinning::Leave => {}
        Pinning::Set(pin) => record.attributes.pin = Some(pin),
        Pinning::Clear => record.attributes.pin = None,
    }
    leave_reviews(view, bucket, &key, record)?;
    record.attributes.review = review;
    enter_reviews(view, bucket, &key, record)?;
    owners::put(view, at, owned)?;
    Ok(true)
}

/// Adds a stored version to the reviews, if its record has a time of review.
pub(super) fn enter_reviews(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    record: &ObjectRecord,
) -> Result<(), ApplyError> {
    match review_of(bucket, key, record) {
        Some(review) => view.put(review, &record.version),
        None => Ok(()),
    }
}

/// Removes a version from the reviews, before it is deleted or its review changes.
pub(super) fn leave_reviews(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    record: &ObjectRecord,
) -> Result<(), ApplyError> {
    match review_of(bucket, key, record) {
        Some(review) => view.remove(review),
        None => Ok(()),
    }
}

/// The key of a version's review, if its record has a time of review.
fn review_of(bucket: BucketId, key: &[u8], record: &ObjectRecord) -> Option<Vec<u8>> {
    record.attributes.review.map(|time| keys::review(time, bucket, key, record.committed))
}
