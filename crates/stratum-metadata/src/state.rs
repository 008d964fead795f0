//! The state machine: what each command does to the state, and nothing else.
//!
//! [`apply`] has no clock, no randomness and no I/O but the [`View`], so the same entries always lead to the same
//! state. It reads through the writes of its own group: of two conditional writes that race within a group, one wins.
//! Every function first looks, then refuses or writes; a refused command changes nothing.

mod bodies;
mod buckets;
mod encryption;
mod events;
mod give_up;
mod identities;
mod level;
mod locks;
mod loose;
mod objects;
mod owners;
mod reclaim;
mod relocate;
mod sweep;
mod tiers;
mod uploads;
mod usage;
mod versions;
mod view;
mod volumes;

pub(crate) use bodies::Freed;
pub(crate) use give_up::is_dispensable;
pub(crate) use loose::apply_loosely;
pub(crate) use view::{Change, View};

use crate::command::{Command, Outcome, Proposed, Refusal};
use crate::record::{DecodeError, TakesLevel};
use crate::tree::TreeError;
use stratum_storage::blob::{Index, VolumeId};

/// The state could not be read, so it cannot be changed: serving must stop.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("a stored record can't be read: {0}")]
    Record(#[from] DecodeError),
    /// Entries between the two were never applied.
    #[error("entry {index} doesn't follow entry {applied}, which was applied last")]
    Gap { applied: Index, index: Index },
    #[error("a record can't be written: {0}")]
    Level(#[from] TakesLevel),
    /// More was released than was counted as live.
    #[error("what is counted as live in {0} doesn't agree with what lies there; `stratum fsck` says where")]
    Miscounted(VolumeId),
}

/// Why a step of `apply` ended early.
enum Stop {
    Refused(Refusal),
    Failed(ApplyError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl<E: Into<ApplyError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

type Step<T = Outcome> = Result<T, Stop>;

/// Applies the command of the entry with that index.
pub(crate) fn apply(
    view: &mut View<'_>,
    index: Index,
    proposed: impl Into<Proposed>,
) -> Result<Outcome, ApplyError> {
    let Proposed { by, notice, command } = proposed.into();
    view.proposed_by(by);
    match carry_out(view, index, command) {
        Ok(outcome) => {
            if let Some(notice) = notice {
                events::enter(view, index, *notice, &outcome)?;
            }
            Ok(outcome)
        }
        Err(Stop::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn carry_out(view: &mut View<'_>, index: Index, command: Command) -> Step {
    match command {
        Command::CreateBucket(new) => buckets::create(view, index, new),
        Command::DeleteBucket { bucket } => buckets::delete(view, bucket),
        Command::PutObject { bucket, key, record, condition } => {
            objects::put(view, index, bucket, key, record, &condition)
        }
        Command::DeleteObject(deletion) => objects::delete(view, index, deletion),
        Command::CreateUpload { upload, record, expires } => uploads::create(view, upload, record, expires),
        Command::PutPart { bucket, upload, part } => uploads::put_part(view, index, bucket, upload, part),
        Command::CompleteUpload { bucket, key, upload, parts, record, condition, remember_until } => {
            let object = uploads::Completed { bucket, key, upload, record, remember_until };
            uploads::complete_comparing(view, index, object, &condition, &parts)
        }
        Command::AbortUpload { bucket, key, upload } => uploads::abort(view, bucket, &key, upload),
        Command::Sweep { now } => sweep::sweep(view, now),
        Command::Relocate { stripe: _, moves } => relocate::relocate(view, moves),
        Command::Volume(event) => volumes::event(view, event),
        Command::UploadPart { bucket, upload, part } => {
            uploads::upload_part(view, index, bucket, upload, part)
        }
        Command::CompleteMultipartUpload {
            bucket,
            key,
            upload,
            last_part,
            has_spare,
            record,
            condition,
            remember_until,
        } => {
            let object = uploads::Completed { bucket, key, upload, record, remember_until };
            uploads::complete(view, index, object, &condition, last_part, has_spare)
        }
        Command::SetLevel(level) => level::set(view, level),
        Command::DecideTiers(changes) => tiers::decide(view, changes),
        Command::ConfigureBucket { bucket, change } => buckets::configure(view, index, bucket, change),
        Command::ConfigureObject { bucket, key, version, change } => {
            objects::configure(view, bucket, &key, version, change)
        }
        Command::RewrapKeys(changes) => encryption::rewrap(view, changes),
        Command::SetQuota { of, quota } => usage::set(view, index, of, quota),
        Command::CountUsage { bucket } => usage::count(view, bucket),
        Command::SumUsage { owner } => usage::sum(view, &owner),
        Command::ChangeIdentities(changes) => identities::change(view, index, changes),
        Command::ForgetEvents { target, events } => events::forget(view, &target, events),
        Command::GiveUp(given_up) => give_up::give_up(view, index, given_up),
        Command::Reclaim(unnamed) => reclaim::reclaim(view, unnamed),
        Command::FollowLifecycle { put, action } => {
            buckets::require_lifecycle(view, action.bucket(), put)?;
            carry_out(view, index, action.unconditional())
        }
    }
}

#[cfg(test)]
mod tests;
