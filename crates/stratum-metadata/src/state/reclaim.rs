//! What nobody names is given back. Who looked for it saw the state of one moment; what nobody names once nobody names later, since
//! the record that did is gone and no other can come to: bytes are claimed by who writes them. All the same each extent's owner is
//! asked again, and a stripe gives no more than it has.

use super::view::View;
use super::{ApplyError, Step, bodies, uploads};
use crate::command::{Outcome, Unnamed};
use crate::keys;
use crate::owned;
use crate::record::ExtentRecord;
use stratum_storage::blob::{BlobRef, Extent, Place, VolumeId};

pub(super) fn reclaim(view: &mut View<'_>, unnamed: Unnamed) -> Step {
    let Unnamed { extents, stripes, uploads } = unnamed;
    let mut given_back = 0;
    for (volume, start) in extents {
        given_back += u64::from(extent(view, volume, start)?);
    }
    for stripe in stripes {
        given_back += u64::from(bodies::release_unnamed(view, &stripe)?);
    }
    for upload in uploads {
        // Its parts are swept like those of any upload that was dropped.
        if !view.contains(keys::upload(upload))? && !view.contains(keys::dropped(upload))? {
            uploads::drop_parts(view, upload, Vec::new())?;
            given_back += 1;
        }
    }
    Ok(Outcome::Count(given_back))
}

fn extent(view: &mut View<'_>, volume: VolumeId, start: u64) -> Result<bool, ApplyError> {
    let Some(ExtentRecord { owner, length }) = view.get(keys::extent(volume, start))? else {
        return Ok(false);
    };
    let extent = Extent { volume, start, length };
    if owned::names(&owner, &extent, |key| view.value(key))? {
        return Ok(false);
    }
    bodies::release(view, &BlobRef::plain(Place::Extents(vec![extent])))?;
    Ok(true)
}
