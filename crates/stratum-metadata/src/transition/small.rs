//! Small bodies: those of one stripe are read together, those in the journal a few at a time, and all are coded anew
//! for the stripes of another tier. A sealed body is packed as it is.

use super::{CLASS, Foreseen, Stray, TransitionError, Transitions};
use crate::relocate::{Small, blob_of};
use bytes::Bytes;
use std::collections::BTreeMap;
use stratum_bodies::{MAX_SMALL_BODY_BYTES, code, decode};
use stratum_frames::{Coding, Compression};
use stratum_storage::blob::{Form, PackedAt, Place, Tier, VolumeId};
use stratum_storage::blocking;

/// A stripe is read as a whole if the wanted bodies are at least one part in so many of it: reading a whole stripe
/// takes a drive little longer than reading a piece.
const WHOLE_READ_DIVISOR: u64 = 8;
/// The most bodies in the journal that are read together: 2 MiB.
const BODIES_A_READ: usize = 64;

/// Bodies that are read in one go.
#[derive(Debug)]
pub(super) enum Job {
    /// Bodies of one stripe, which is read as a whole.
    Stripe(PackedAt, Vec<Stray>),
    Journal(Vec<Stray>),
    /// One body by itself.
    One(Stray),
}

impl Job {
    pub fn of(bodies: Vec<Stray>) -> Vec<Job> {
        let mut stripes: BTreeMap<(VolumeId, u64), Vec<(PackedAt, Stray)>> = BTreeMap::new();
        let (mut journal, mut alone) = (Vec::new(), Vec::new());
        for body in bodies {
            match body.from.place {
                Place::Packed(at) if body.size <= MAX_SMALL_BODY_BYTES => {
                    stripes.entry((at.volume, at.stripe)).or_default().push((at, body));
                }
                Place::Journal { .. } => journal.push(body),
                _ => alone.push(Job::One(body)),
            }
        }
        let mut jobs = Vec::new();
        for of_one in stripes.into_values() {
            let wanted: u64 = of_one.iter().map(|(at, _)| u64::from(at.length)).sum();
            let Some(at) =
                of_one.first().map(|(at, _)| PackedAt { offset: 0, length: at.payload, crc32c: 0, ..*at })
            else {
                continue;
            };
            let bodies = of_one.into_iter().map(|(_, body)| body);
            if wanted * WHOLE_READ_DIVISOR >= u64::from(at.payload) {
                jobs.push(Job::Stripe(at, bodies.collect()));
            } else {
                jobs.extend(bodies.map(Job::One));
            }
        }
        while !journal.is_empty() {
            let rest = journal.split_off(journal.len().min(BODIES_A_READ));
            jobs.push(Job::Journal(std::mem::replace(&mut journal, rest)));
        }
        jobs.extend(alone);
        jobs
    }

    /// The most memory that the job takes, in bytes.
    pub fn memory(&self, transitions: &Transitions, to: Tier) -> u64 {
        match self {
            // In memory as read, and as coded.
            Job::Stripe(at, _) => 3 * u64::from(at.payload) + transitions.mover.volumes.reader.memory(),
            Job::Journal(bodies) => 3 * bodies.iter().map(|body| body.size).sum::<u64>(),
            Job::One(body) => transitions.memory(body.size, to),
        }
    }
}

/// The result of reading and coding small bodies.
#[derive(Default)]
pub(super) struct Recoded {
    /// Bodies to be packed.
    pub smalls: Vec<(Stray, Small)>,
    /// Bodies that stay where they are, and why.
    pub unreadable: Vec<(Stray, String)>,
}

impl Transitions {
    pub(super) async fn of_stripe(
        &self,
        at: PackedAt,
        bodies: Vec<Stray>,
        to: Tier,
    ) -> Result<Recoded, TransitionError> {
        let turn = self.mover.pace.turn(CLASS, at.payload.into()).await;
        let payload = self.mover.read_payload(&at).await;
        drop(turn);
        // Nothing in the stripe is live any more. If a body is elsewhere, the next look finds it.
        let Some(payload) = payload? else { return Ok(Recoded::default()) };
        let stored = bodies.into_iter().map(move |body| {
            let stored = match body.from.place {
                Place::Packed(at) => {
                    let begin = at.offset as usize;
                    payload
                        .get(begin..begin + at.length as usize)
                        .filter(|stored| crc32c::crc32c(stored) == at.crc32c)
                }
                _ => None,
            };
            let stored = stored.map(Bytes::copy_from_slice).ok_or_else(|| "its checksum is wrong".to_owned());
            (body, stored)
        });
        self.recode(stored, to).await
    }

    pub(super) async fn of_journal(&self, bodies: Vec<Stray>, to: Tier) -> Result<Recoded, TransitionError> {
        let metadata = self.mover.metadata.clone();
        let read = move || -> Result<Vec<_>, crate::machine::ReadError> {
            let mut read = Vec::new();
            for body in bodies {
                let Place::Journal { index, length, crc32c } = body.from.place else { continue };
                match metadata.log().body(index, length, crc32c) {
                    Ok(stored) => read.push((body, Ok(stored))),
                    // The body was packed meanwhile: it is looked at again.
                    Err(_) if blob_of(metadata.state(), &body.owner)?.as_ref() != Some(&body.from) => {}
                    Err(error) => read.push((body, Err(error.to_string()))),
                }
            }
            Ok(read)
        };
        let read = blocking::spawn(read).await??;
        self.recode(read.into_iter(), to).await
    }

    /// Codes stored bytes with the tier's codec. Errors of reading are passed on.
    async fn recode(
        &self,
        bodies: impl Iterator<Item = (Stray, Result<Bytes, String>)> + Send + 'static,
        to: Tier,
    ) -> Result<Recoded, TransitionError> {
        let codec = self.codecs.of(to);
        let recode_all = move || {
            let mut recoded = Recoded::default();
            for (body, stored) in bodies {
                match stored.and_then(|stored| recode(&body, &stored, codec)) {
                    Ok(small) => recoded.smalls.push((body, small)),
                    Err(reason) => recoded.unreadable.push((body, reason)),
                }
            }
            recoded
        };
        Ok(self.priority().spawn(recode_all).await?)
    }
}

fn recode(body: &Stray, stored: &Bytes, codec: Option<Compression>) -> Result<Small, String> {
    let (owner, from) = (body.owner.clone(), body.from.clone());
    if from.form == Form::Sealed {
        return Ok(Small::new(owner, from, Form::Sealed, stored.clone()));
    }
    let codec = codec.filter(|_| body.foreseen != Foreseen::HardlyShrinks);
    let plaintext = decode(from.form, stored, body.size, None).map_err(|error| error.to_string())?;
    let coding = Coding { compression: codec, seal: None };
    let (form, stored) = code(coding, &plaintext).map_err(|error| error.to_string())?;
    Ok(Small::new(owner, from, form, stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BucketId, Owner, VersionId};
    use stratum_storage::blob::BlobRef;

    fn stray(object: usize, size: u64, place: Place) -> Stray {
        let owner =
            Owner::Object { bucket: BucketId(1), key: vec![1], version: VersionId::NULL, committed: 0 };
        Stray { object, owner, size, foreseen: Foreseen::Nothing, from: BlobRef::plain(place) }
    }

    #[test]
    fn bodies_of_a_stripe_are_read_together_where_that_is_worth_it() {
        let packed = |stripe, length| {
            Place::Packed(PackedAt {
                volume: VolumeId(1),
                stripe,
                payload: 100_000,
                offset: 0,
                length,
                crc32c: 0,
            })
        };
        let journal = |index| Place::Journal { index, length: 10, crc32c: 0 };
        let mut bodies = vec![
            stray(0, 9_000, packed(4096, 9_000)),
            stray(1, 9_000, packed(900_000, 9_000)),
            stray(2, 9_000, packed(4096, 9_000)),
            // With many bytes of plaintext.
            stray(3, MAX_SMALL_BODY_BYTES + 1, packed(4096, 30_000)),
            stray(4, 1 << 30, Place::Extents(Vec::new())),
        ];
        bodies.extend((0..100).map(|number| stray(5 + number, 10, journal(number as u64))));
        let told = |job: &Job| match job {
            Job::Stripe(at, bodies) => format!("stripe {} of {}", at.stripe, bodies.len()),
            Job::Journal(bodies) => format!("journal of {}, from {}", bodies.len(), bodies[0].object),
            Job::One(body) => format!("one, {}", body.object),
        };
        let told: Vec<String> = Job::of(bodies).iter().map(told).collect();
        let expected = [
            "stripe 4096 of 2",
            "one, 1",
            "journal of 64, from 5",
            "journal of 36, from 69",
            "one, 3",
            "one, 4",
        ];
        assert_eq!(told, expected);
    }
}
