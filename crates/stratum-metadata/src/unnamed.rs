//! What counts as live of volumes and uploads, and nobody names: what records that were given up leave behind.
//!
//! One pass over a state that stands still. Objects and parts come before stripes and extents in the order of the keys, so what they
//! name of a packed stripe is added up by then. Memory is taken for each packed stripe and each multipart object, as by a check.

use crate::checkpoint::CheckpointError;
use crate::command::{Command, Outcome, Unnamed, UnnamedOfStripe};
use crate::fate::CommitError;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::owned;
use crate::record::{
    Body, DecodeError, ExtentRecord, ObjectRecord, PartRecord, StripeRecord, UploadId, Version, decode,
};
use crate::store::Metadata;
use crate::tree::Base;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use stratum_storage::blob::{BlobRef, Extent, Place, VolumeId};

/// What one command gives back at most.
const ENTRIES_A_COMMAND: usize = 256;

/// What was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaimed {
    /// Extents of larger bodies.
    pub extents: u64,
    /// Packed stripes of which some was.
    pub stripes: u64,
    /// Uploads whose parts are swept from now on.
    pub uploads: u64,
}

/// Why nothing was given back, or not all of it. What was stays so, and the rest may be asked for again.
#[derive(Debug, thiserror::Error)]
pub enum ReclaimError {
    #[error("a part of the index is lost, and may name it: nothing is given back while that isn't given up")]
    Lost,
    #[error("the restored state isn't accepted yet, so nothing is given back")]
    HeldBack,
    #[error("it is being looked for already")]
    UnderWay,
    #[error("the state can't be looked through: {0}")]
    Checkpoint(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<CheckpointError> for ReclaimError {
    fn from(error: CheckpointError) -> ReclaimError {
        ReclaimError::Checkpoint(error.to_string())
    }
}

impl Metadata {
    /// Gives back what nobody names of what counts as live. Reads all of the index; blocks.
    pub fn reclaim(&self) -> Result<Reclaimed, ReclaimError> {
        // What two found would be given back twice.
        let _alone = self.reclaiming().try_lock().ok_or(ReclaimError::UnderWay)?;
        if self.is_held_back() {
            return Err(ReclaimError::HeldBack);
        }
        let state = self.current_state()?;
        let unnamed = unnamed(state.as_ref());
        if state.has_lost() {
            return Err(ReclaimError::Lost);
        }
        let Unnamed { extents, stripes, uploads } = unnamed?;
        let mut done = Reclaimed::default();
        for extents in extents.chunks(ENTRIES_A_COMMAND) {
            done.extents += self.give_back(Unnamed { extents: extents.to_vec(), ..Unnamed::default() })?;
        }
        for stripes in stripes.chunks(ENTRIES_A_COMMAND) {
            done.stripes += self.give_back(Unnamed { stripes: stripes.to_vec(), ..Unnamed::default() })?;
        }
        for uploads in uploads.chunks(ENTRIES_A_COMMAND) {
            done.uploads += self.give_back(Unnamed { uploads: uploads.to_vec(), ..Unnamed::default() })?;
        }
        if done != Reclaimed::default() {
            tracing::warn!(done.extents, done.stripes, done.uploads, "gave back what nobody names");
        }
        Ok(done)
    }

    fn give_back(&self, unnamed: Unnamed) -> Result<u64, CommitError> {
        match self.commit_blocking(Command::Reclaim(unnamed))? {
            Outcome::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }
}

/// What nobody names of a state. A checkpoint has all of it; in tests plain memory.
pub(crate) fn unnamed(state: &dyn Base) -> Result<Unnamed, ReadError> {
    let (mut look, mut failed) = (Look::of(state), None);
    state.scan(&keys::start_of(Tag::Object), &keys::end_of(Tag::Stripe), &mut |key, value| match look
        .at(key, value)
    {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    let Look { mut unnamed, orphans, .. } = look;
    unnamed.uploads = orphans.into_iter().collect();
    failed.map_or(Ok(unnamed), Err)
}

struct Look<'a> {
    state: &'a dyn Base,
    /// Uploads that objects are made of.
    made: HashSet<UploadId>,
    /// What records name of packed stripes: bytes and bodies.
    packed: HashMap<(VolumeId, u64), (u64, u32)>,
    /// Uploads that are gone, whose parts no object is made of and nobody sweeps.
    orphans: BTreeSet<UploadId>,
    unnamed: Unnamed,
}

impl<'a> Look<'a> {
    fn of(state: &'a dyn Base) -> Look<'a> {
        Look {
            state,
            made: HashSet::new(),
            packed: HashMap::new(),
            orphans: BTreeSet::new(),
            unnamed: Unnamed::default(),
        }
    }

    fn at(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
        match keys::kind_of(key) {
            Some(Tag::Object) => self.object(&decode(value)?),
            Some(Tag::Version) => match decode(value)? {
                Version::Object(record) => self.object(&record),
                Version::DeleteMarker(_) => {}
            },
            Some(Tag::Part) => {
                let upload = key.get(1..).and_then(<[u8]>::first_chunk).ok_or(DecodeError::Empty)?;
                self.part(UploadId(u128::from_be_bytes(*upload)), &decode(value)?)?;
            }
            Some(Tag::Extent) => self.extent(key, decode(value)?)?,
            Some(Tag::Stripe) => self.stripe(key, decode(value)?)?,
            _ => {}
        }
        Ok(())
    }

    fn object(&mut self, record: &ObjectRecord) {
        match &record.body {
            Body::Blob(blob) => self.blob(blob),
            Body::Parts { upload, .. } => drop(self.made.insert(*upload)),
        }
    }

    /// What a part names counts as named, whoever names the part: it is given back when that is swept.
    fn part(&mut self, upload: UploadId, part: &PartRecord) -> Result<(), ReadError> {
        self.blob(&part.blob);
        let is_known = self.made.contains(&upload) || self.orphans.contains(&upload);
        if !is_known && !self.has(&keys::upload(upload))? && !self.has(&keys::dropped(upload))? {
            self.orphans.insert(upload);
        }
        Ok(())
    }

    fn has(&self, key: &[u8]) -> Result<bool, ReadError> {
        Ok(self.state.get(key)?.is_some())
    }

    fn blob(&mut self, blob: &BlobRef) {
        if let Place::Packed(at) = &blob.place {
            let (live, bodies) = self.packed.entry((at.volume, at.stripe)).or_default();
            (*live, *bodies) = (*live + u64::from(at.length), *bodies + 1);
        }
    }

    fn extent(&mut self, key: &[u8], record: ExtentRecord) -> Result<(), ReadError> {
        let (volume, start) = place_of(key)?;
        let extent = Extent { volume, start, length: record.length };
        if !owned::names(&record.owner, &extent, |key| self.state.get(key).map_err(ReadError::from))? {
            self.unnamed.extents.push((volume, start));
        }
        Ok(())
    }

    fn stripe(&mut self, key: &[u8], record: StripeRecord) -> Result<(), ReadError> {
        let (volume, stripe) = place_of(key)?;
        let (live, bodies) = self.packed.remove(&(volume, stripe)).unwrap_or_default();
        // One that has less than is named is no matter of what was given up; a check tells of it.
        let left = record.live.checked_sub(live).zip(record.bodies.checked_sub(bodies));
        if let Some((live, bodies)) = left.filter(|left| *left != (0, 0)) {
            self.unnamed.stripes.push(UnnamedOfStripe { volume, stripe, live, bodies });
        }
        Ok(())
    }
}

/// The volume and offset of an extent's or a stripe's key.
fn place_of(key: &[u8]) -> Result<(VolumeId, u64), ReadError> {
    let volume =
        key.get(1..).and_then(<[u8]>::first_chunk).map(|volume| VolumeId(u64::from_be_bytes(*volume)));
    Ok(volume.zip(keys::parse_offset(key)).ok_or(DecodeError::Empty)?)
}
