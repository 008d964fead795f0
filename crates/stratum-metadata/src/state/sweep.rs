//! Removes what fell due and what was dropped, a bounded number of keys at a time.

use super::view::View;
use super::{ApplyError, Step, bodies, uploads};
use crate::command::Outcome;
use crate::keys::{self, DueKind, Tag};
use crate::record::{Completion, Dropped, PartRecord, StoredUpload, UploadId, decode};
use std::ops::ControlFlow;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Place;

/// Keys that one sweep may touch, leaving room for the last part's extents under the bound of 4,096.
const BUDGET_KEYS: usize = 2_048;
/// The most keys that each thing that falls due touches.
const DUE_COST_KEYS: usize = 4;

/// Removes expired uploads and completions, the uploads of deleted buckets, and the parts of dropped uploads.
pub(super) fn sweep(view: &mut View<'_>, now: UnixMillis) -> Step {
    let mut budget = BUDGET_KEYS;
    let mut removed = due(view, now, &mut budget)?;
    removed += deleted_buckets(view, &mut budget)?;
    while let Some((upload, dropped)) = first_dropped(view)?.filter(|_| budget > 0) {
        removed += parts(view, upload, dropped, &mut budget)?;
    }
    Ok(Outcome::Count(removed))
}

fn due(view: &mut View<'_>, now: UnixMillis, budget: &mut usize) -> Result<u64, ApplyError> {
    let mut found = Vec::new();
    view.scan(&keys::start_of(Tag::Due), &keys::due_until(now), |key, _| {
        found.push(key.to_vec());
        Ok(stop_at(found.len(), *budget / 2 / DUE_COST_KEYS))
    })?;
    for key in &found {
        match keys::parse_due(key) {
            Some((DueKind::Upload, upload)) => expire(view, upload)?,
            Some((DueKind::Completion, upload)) => forget_completion(view, upload)?,
            None => {}
        }
        view.remove(key.clone())?;
    }
    *budget -= (found.len() * DUE_COST_KEYS).min(*budget);
    Ok(found.len() as u64)
}

fn expire(view: &mut View<'_>, upload: UploadId) -> Result<(), ApplyError> {
    if let Some(stored) = view.get::<StoredUpload>(keys::upload(upload))? {
        uploads::forget(view, upload, &stored)?;
        uploads::drop_parts(view, upload, Vec::new())?;
    }
    Ok(())
}

fn forget_completion(view: &mut View<'_>, upload: UploadId) -> Result<(), ApplyError> {
    if view.get::<Completion>(keys::completion(upload))?.is_some() {
        view.remove(keys::completion(upload))?;
    }
    Ok(())
}

fn deleted_buckets(view: &mut View<'_>, budget: &mut usize) -> Result<u64, ApplyError> {
    let mut removed = 0;
    let mut buckets = Vec::new();
    view.scan(&keys::start_of(Tag::DeletedBucket), &keys::end_of(Tag::DeletedBucket), |key, _| {
        buckets.push(key.to_vec());
        Ok(stop_at(buckets.len(), 64))
    })?;
    for key in buckets {
        let Some(bucket) = keys::parse_deleted_bucket(&key) else { continue };
        let room = *budget / 2 / DUE_COST_KEYS;
        let mut found = Vec::new();
        let range = keys::uploads_of(bucket);
        view.scan(&range, &keys::end_of_prefix(&range), |key, _| {
            found.extend(keys::parse_upload_by_key(key).map(|(_, upload)| upload));
            Ok(stop_at(found.len(), room))
        })?;
        for upload in &found {
            expire(view, *upload)?;
        }
        if found.len() < room {
            view.remove(key)?;
        }
        removed += found.len() as u64;
        *budget -= (found.len() * DUE_COST_KEYS).min(*budget);
    }
    Ok(removed)
}

fn first_dropped(view: &View<'_>) -> Result<Option<(UploadId, Dropped)>, ApplyError> {
    let mut first = None;
    view.scan(&keys::start_of(Tag::Dropped), &keys::end_of(Tag::Dropped), |key, value| {
        first = keys::parse_dropped(key).zip(Some(decode(value)?));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

/// Removes parts of a dropped upload while the budget lasts; after the last part, the record of the drop is removed,
/// too.
fn parts(
    view: &mut View<'_>,
    upload: UploadId,
    mut dropped: Dropped,
    budget: &mut usize,
) -> Result<u64, ApplyError> {
    let mut garbage = Vec::new();
    let mut cost = 0;
    let mut more = false;
    let range = keys::parts_of(upload);
    view.scan(&keys::part(upload, dropped.next), &keys::end_of_prefix(&range), |_, value| {
        if cost >= *budget {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        let part: PartRecord = decode(value)?;
        if dropped.keep.binary_search(&part.number).is_err() {
            cost += keys_of(&part);
            garbage.push(part);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for part in &garbage {
        bodies::release(view, &part.blob)?;
        view.remove(keys::part(upload, part.number))?;
        dropped.next = part.number;
    }
    if more {
        view.put(keys::dropped(upload), &dropped)?;
    } else {
        view.remove(keys::dropped(upload))?;
    }
    *budget -= (cost + 1).min(*budget);
    Ok(garbage.len() as u64 + 1)
}

/// The most keys that the removal of a part touches.
fn keys_of(part: &PartRecord) -> usize {
    match &part.blob.place {
        Place::Extents(extents) => 1 + 2 * extents.len(),
        _ => 3,
    }
}

fn stop_at(count: usize, room: usize) -> ControlFlow<()> {
    if count < room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
