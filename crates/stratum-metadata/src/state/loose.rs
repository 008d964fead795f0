//! What a command would have done, where it isn't known what came before it.
//!
//! For rescue only, beyond a hole in the journal. `apply` would refuse an object whose bucket or volume the hole
//! swallowed; here the record is kept as it came, and nothing is counted or claimed: the state is only read from then
//! on. Conditions are still asked of what is known, since a write that was refused must not replace one that wasn't.

use super::view::View;
use super::{ApplyError, Step, Stop, bodies, buckets, objects, relocate, volumes};
use crate::command::Command;
use crate::keys;
use crate::record::Body;
use stratum_storage::blob::Index;
use stratum_storage::volume::VolumeEvent;

/// Keeps what the command of that entry says of objects, parts, buckets and volumes.
pub(crate) fn apply_loosely(view: &mut View<'_>, index: Index, command: Command) -> Result<(), ApplyError> {
    match keep(view, index, command) {
        Ok(()) | Err(Stop::Refused(_)) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn keep(view: &mut View<'_>, index: Index, command: Command) -> Step<()> {
    match command {
        Command::CreateBucket(new) => drop(buckets::create(view, new)?),
        Command::DeleteBucket { bucket } => drop(buckets::delete(view, bucket)?),
        Command::PutObject { bucket, key, mut record, condition } => {
            objects::check(&condition, objects::current(view, bucket, &key)?.as_ref())?;
            if let Body::Blob(blob) = &mut record.body {
                bodies::settle(blob, index);
            }
            view.put(keys::object(bucket, &key), &record)?;
        }
        Command::DeleteObject { bucket, key, condition } => {
            if let Some(current) = objects::current(view, bucket, &key)? {
                objects::check(&condition, Some(&current))?;
                view.remove(keys::object(bucket, &key))?;
            }
        }
        Command::PutPart { bucket: _, upload, mut part }
        | Command::UploadPart { bucket: _, upload, mut part } => {
            bodies::settle(&mut part.blob, index);
            view.put(keys::part(upload, part.number), &part)?;
        }
        Command::CompleteUpload { bucket, key, record, condition, .. }
        | Command::CompleteMultipartUpload { bucket, key, record, condition, .. } => {
            objects::check(&condition, objects::current(view, bucket, &key)?.as_ref())?;
            view.put(keys::object(bucket, &key), &record)?;
        }
        Command::Relocate { stripe: _, moves } => {
            for moved in moves {
                relocate::swap(view, &moved.owner, &moved.from, &moved.to)?;
            }
        }
        Command::Volume(event @ VolumeEvent::Opened { .. }) => drop(volumes::event(view, event)?),
        // Uploads under way are not rescued, and garbage may stay.
        Command::CreateUpload { .. }
        | Command::AbortUpload { .. }
        | Command::Sweep { .. }
        | Command::DecideTiers(_)
        | Command::SetLevel(_)
        | Command::Volume(_) => {}
    }
    Ok(())
}
