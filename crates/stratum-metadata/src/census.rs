//! How much the store holds, counted by looking.
//!
//! A count that every PUT kept up would be one more key written by each; so it is a scan, of a second or so for a
//! million objects, for whoever asks now and then.

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
    /// What is current under its key.
    pub objects: u64,
    /// Versions of objects that aren't current, and delete markers.
    pub versions: u64,
    pub delete_markers: u64,
    /// The sizes of all objects, those that aren't current among them, as clients see them, in bytes.
    pub bytes: u64,
    /// Payload of packed stripes that nothing names: bodies that are gone, and the directories. What else is freed is
    /// punched at once and is no garbage.
    pub garbage: u64,
}

impl Metadata {
    /// Counts all objects and all packed stripes. Blocks for as long as that takes; holds nobody else up.
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

    /// How many objects, each of their versions by itself, name bytes of pieces that are among these; an upload counts as one, whether
    /// it is under way or became an object. Blocks as long as [`Metadata::census`].
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

    /// In words, what keeps the journal from being packed, if anything does.
    pub fn packing_hindrance(&self) -> Option<String> {
        self.upkeep().waiting().note()
    }

    /// The first entry that is still in the journal: what was before it was packed, or is lost.
    pub fn first_entry(&self) -> Index {
        self.log().first()
    }

    /// Shows every record of a kind.
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
