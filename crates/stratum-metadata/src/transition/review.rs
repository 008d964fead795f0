//! Reviews that are due, and what the state says of their objects. All of this blocks.
//!
//! The place of each body is looked up once: here for an object of one body, and for an object of parts while it is
//! carried, a page of parts at a time.

use super::{Foreseen, Stray, Transitions, tier_of};
use crate::command::{Pinning, TierChange, TierCondition};
use crate::keys;
use crate::machine::ReadError;
use crate::owned::{self, Owned};
use crate::record::{Body, BucketId, DecodeError, ObjectRecord, Owner, PartSummary, VersionId, decode};
use crate::relocate::blob_of;
use crate::tree::Base;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Index, Place, Tier};

/// Parts that are looked up together.
const PARTS_A_LOOKUP: usize = 256;

/// A review that is due.
#[derive(Clone, Debug)]
pub(super) struct Review {
    time: UnixMillis,
    bucket: BucketId,
    key: Vec<u8>,
    version: VersionId,
    committed: Index,
}

/// An object that belongs in a tier and may lie in another.
pub(super) struct Wanted {
    pub review: Review,
    pub foreseen: Foreseen,
    pub bodies: Bodies,
}

/// The bodies of an object.
pub(super) enum Bodies {
    /// One body that lies elsewhere: its bytes of plaintext, and its blob.
    One(u64, BlobRef),
    /// Parts, whose places have not been looked up.
    Parts,
}

/// Reviews, sorted by what is to be done.
#[derive(Default)]
pub(super) struct Sorted {
    /// Objects to be moved, by the tier in which they belong.
    pub elsewhere: BTreeMap<Tier, Vec<Wanted>>,
    /// Objects for which nothing is to be done.
    pub at_home: Vec<TierChange>,
}

impl Review {
    fn parse(key: &[u8], value: &[u8]) -> Result<Review, DecodeError> {
        let (time, bucket, key, committed) = keys::parse_review(key).ok_or(DecodeError::Empty)?;
        Ok(Review { time, bucket, key, version: decode(value)?, committed })
    }

    /// The first key after this one among the reviews.
    pub fn next_key(&self) -> Vec<u8> {
        [keys::review(self.time, self.bucket, &self.key, self.committed), vec![0]].concat()
    }

    pub fn owner(&self) -> Owner {
        let Review { bucket, key, version, committed, .. } = self.clone();
        Owner::Object { bucket, key, version, committed }
    }

    /// Says that the review is done, and when the next one is, if ever.
    pub fn done(self, next: Option<UnixMillis>) -> TierChange {
        let Review { time, bucket, key, version, committed } = self;
        let pinning = Pinning::Leave;
        TierChange {
            bucket,
            key,
            version,
            committed,
            condition: TierCondition::Reviewed(time),
            decision: None,
            pinning,
            review: next,
        }
    }
}

impl Transitions {
    /// The first reviews that are due, from a key on.
    pub(super) fn due(
        &self,
        now: UnixMillis,
        from: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Review>, ReadError> {
        let (mut due, mut failed) = (Vec::new(), None);
        let from = from.unwrap_or_else(|| keys::start_of(keys::Tag::Review));
        self.mover.metadata.state().scan(&from, &keys::reviews_until(now), |key, value| {
            match Review::parse(key, value) {
                Ok(review) => due.push(review),
                Err(error) => failed = Some(error),
            }
            if failed.is_none() && due.len() < most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(due), |error| Err(error.into()))
    }

    pub(super) fn sort(&self, due: Vec<Review>, now: UnixMillis) -> Result<Sorted, ReadError> {
        let mut sorted = Sorted::default();
        for review in due {
            let record = self.record(&review)?;
            let wanted = record.and_then(|record| {
                let tier = record.attributes.belongs_in(now)?;
                let foreseen = self.foresight.foresee(review.bucket, &review.key, &record);
                Some((tier, foreseen, self.bodies(record, tier)?))
            });
            match wanted {
                Some((tier, foreseen, bodies)) => {
                    let wanted = Wanted { review, foreseen, bodies };
                    sorted.elsewhere.entry(tier).or_default().push(wanted);
                }
                None => sorted.at_home.push(review.done(None)),
            }
        }
        Ok(sorted)
    }

    /// The bodies of an object that may lie elsewhere.
    fn bodies(&self, record: ObjectRecord, tier: Tier) -> Option<Bodies> {
        match record.body {
            Body::Blob(blob) => self.is_stray(&blob, tier).then_some(Bodies::One(record.size, blob)),
            Body::Parts { .. } => Some(Bodies::Parts),
        }
    }

    /// A page of the object's parts that lie elsewhere, from a part number on, and where the next page begins.
    pub(super) fn parts(
        &self,
        object: usize,
        review: &Review,
        foreseen: Foreseen,
        tier: Tier,
        from: usize,
    ) -> Result<(Vec<Stray>, Option<usize>), ReadError> {
        let Some(ObjectRecord { body: Body::Parts { upload, parts }, .. }) = self.record(review)? else {
            return Ok((Vec::new(), None));
        };
        let mut strays = Vec::new();
        for PartSummary { number, size, .. } in parts.iter().skip(from).take(PARTS_A_LOOKUP) {
            let owner = Owner::Part { upload, number: *number };
            let found = blob_of(self.mover.metadata.state(), &owner)?;
            if let Some(from) = found.filter(|blob| self.is_stray(blob, tier)) {
                strays.push(Stray { object, owner, size: *size, foreseen, from });
            }
        }
        let next = from + PARTS_A_LOOKUP;
        Ok((strays, (next < parts.len()).then_some(next)))
    }

    fn is_stray(&self, blob: &BlobRef, tier: Tier) -> bool {
        blob.place != Place::Empty && tier_of(&self.mover.volumes.table, blob) != Some(tier)
    }

    fn record(&self, review: &Review) -> Result<Option<ObjectRecord>, ReadError> {
        let state = self.mover.metadata.state();
        Ok(match owned::find(&review.owner(), |key| state.get(key).map_err(ReadError::from))? {
            Some((_, Owned::Current(record) | Owned::NonCurrent(record))) => Some(record),
            Some((_, Owned::Part(_))) | None => None,
        })
    }
}
