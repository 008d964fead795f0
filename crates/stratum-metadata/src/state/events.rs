//! Events: what a command did, for each webhook that is to be notified of it, kept until it has been delivered.

use super::view::View;
use super::{ApplyError, Step};
use crate::command::{Deleted, Outcome};
use crate::keys;
use crate::record::{
    Addressee, EventKind, EventObject, EventQueue, EventRecord, EventShare, Notice, VersionId,
};
use stratum_storage::blob::Index;

/// How many events may wait for a target: at most some 150 MB of the index. Of the buckets of one owner no more may
/// wait than there is room left, so that whoever has many leaves room for others. Further ones are lost, and counted.
/// Few in tests.
const MAX_WAITING_EVENTS: u64 = if cfg!(test) { 4 } else { 100_000 };

/// Enters the events of the command of that entry.
pub(super) fn enter(
    view: &mut View<'_>,
    index: Index,
    notice: Notice,
    outcome: &Outcome,
) -> Result<(), ApplyError> {
    let Notice { to, mut about } = notice;
    let (object, version, fits): (_, _, fn(EventKind) -> bool) = match outcome {
        Outcome::Object(record) => (Some(EventObject::of(record)), Some(record.version), |_| true),
        Outcome::Deleted(Deleted::Nothing) | Outcome::Refused(_) => return Ok(()),
        Outcome::Deleted(Deleted::Marked(marker)) => (None, Some(*marker), EventKind::is_of_a_marker),
        Outcome::Deleted(_) => (None, about.version, |kind| !kind.is_of_a_marker()),
        _ => (None, None, |_| true),
    };
    about.version = version.filter(|version| *version != VersionId::NULL);
    for Addressee { kind, target, rule } in to.into_iter().filter(|to| fits(to.kind)) {
        let record =
            EventRecord { kind, rule, about: about.clone(), object: object.clone(), sequencer: index };
        let at = keys::event_queue(&target);
        let mut queue: EventQueue = view.get(at.clone())?.unwrap_or_default();
        let share_at = keys::event_share(&target, &record.about.owner);
        let mut share: EventShare = view.get(share_at.clone())?.unwrap_or_default();
        if share.waiting < MAX_WAITING_EVENTS.saturating_sub(queue.waiting) {
            queue.waiting += 1;
            share.waiting += 1;
            view.put(share_at, &share)?;
            view.put(keys::event(&target, index), &record)?;
        } else {
            queue.lost += 1;
        }
        view.put(at, &queue)?;
    }
    Ok(())
}

/// Removes events that were delivered, or for which nobody waits any more. When none is left, the queue is removed
/// with its count of lost events.
pub(super) fn forget(view: &mut View<'_>, target: &str, events: Vec<Index>) -> Step {
    let at = keys::event_queue(target);
    let Some(mut queue) = view.get::<EventQueue>(at.clone())? else { return Ok(Outcome::Count(0)) };
    let mut forgotten = 0;
    for index in events {
        let at = keys::event(target, index);
        let Some(event) = view.get::<EventRecord>(at.clone())? else { continue };
        view.remove(at)?;
        forgotten += 1;
        let at = keys::event_share(target, &event.about.owner);
        match view.get::<EventShare>(at.clone())? {
            Some(EventShare { waiting }) if waiting > 1 => {
                view.put(at, &EventShare { waiting: waiting - 1 })?;
            }
            Some(_) => view.remove(at)?,
            // An earlier build kept no shares.
            None => {}
        }
    }
    queue.waiting = queue.waiting.saturating_sub(forgotten);
    match queue {
        EventQueue { waiting: 0, .. } => view.remove(at)?,
        queue => view.put(at, &queue)?,
    }
    Ok(Outcome::Count(forgotten))
}
