//! How much the store holds, counted on demand.
//!
//! To keep a count up to date, every PUT would have to write one more key. So it is a scan, which takes about a
//! second for a million objects.

use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::owners::{Piece, each_owner_in};
use crate::record::{Migrate, ObjectSummary, Owner, StripeRecord, VersionSummary, decode};
use crate::store::Metadata;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::ControlFlow;
use stratum_storage::blob::Index;
use stratum_storage::journal::LostBodies;

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    pub buckets: u64,
    /// Objects that are current under their keys.
    pub objects: u64,
    /// Versions of objects that aren't current, and delete markers.
    pub versions: u64,
    pub delete_markers: u64,
    /// The sizes of all versions, as clients see them, in bytes.
    pub bytes: u64,
    /// Payload bytes of packed stripes that no record names: deleted bodies, and the directories of the stripes.
    /// Other freed space is punched at once and is no garbage.
    pub garbage: u64,
}

impl Metadata {
    /// Counts all objects and all packed stripes. Blocks for as long as that takes, but delays no other caller.
    pub fn census(&self) -> Result<Census, ReadError> {
        let mut census = Census::default();
        self.count(Tag::BucketByOwner, |()| census.buckets += 1)?;
        self.count(Tag::Object, |object: ObjectSummary| {
            census.objects += 1;
            census.bytes += object.size;
        })?;
        self.count(Tag::Version, |version: VersionSummary| match version {
            VersionSummary::Object(object) => {
                census.versions += 1;
                census.bytes += object.size;
            }
            VersionSummary::DeleteMarker(_) => census.delete_markers += 1,
        })?;
        self.count(Tag::Stripe, |stripe: StripeRecord| {
            census.garbage += u64::from(stripe.payload).saturating_sub(stripe.live);
        })?;
        Ok(census)
    }

    /// How many objects name bytes of pieces for which `is_among` is true. Each version counts by itself; an upload
    /// counts once, whether it is under way or became an object. Blocks as long as [`Metadata::census`].
    pub fn objects_in(&self, is_among: &dyn Fn(Piece) -> bool) -> Result<u64, ReadError> {
        let (mut objects, mut uploads) = (0, HashSet::new());
        each_owner_in(self.state(), is_among, |owner| match owner {
            Owner::Object { .. } => objects += 1,
            Owner::Part { upload, .. } => drop(uploads.insert(upload)),
        })?;
        Ok(objects + uploads.len() as u64)
    }

    /// The entries of the journal whose bodies can't be read now, as far as is known.
    pub fn lost_bodies(&self) -> LostBodies {
        self.log().lost_bodies()
    }

    /// What keeps the journal from being packed, in words; `None` if nothing does.
    pub fn packing_hindrance(&self) -> Option<String> {
        self.upkeep().waiting().note()
    }

    /// The first entry that is still in the journal: everything before it was packed, or is lost.
    pub fn first_entry(&self) -> Index {
        self.log().first()
    }

    /// Calls `see` with every record of a kind.
    fn count<T: Migrate>(&self, tag: Tag, mut see: impl FnMut(T)) -> Result<(), ReadError> {
        let mut failed = None;
        self.state().scan(&keys::start_of(tag), &keys::end_of(tag), |_, value| match decode(value) {
            Ok(record) => {
                see(record);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
