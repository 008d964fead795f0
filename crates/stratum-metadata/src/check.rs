//! Checks whether the state is consistent: every record names bytes that the keys of the volumes know, every such key
//! has its record, counts add up, and keys that index the same thing agree.
//!
//! It is one pass over all keys in their order, a page at a time. Objects and parts come before volumes, extents and
//! stripes, so what records name has been summed up when the volumes' keys are reached, and is compared there. Memory
//! is taken for each packed stripe, volume and multipart object, not for each object. Bodies in the journal are read
//! through [`Bodies`]; those in volumes aren't read here, but stripe by stripe in `inspect::verify`.

mod finding;
mod identities;
mod keyed;
mod live;
mod versions;

pub use finding::{Finding, Severity};
pub use live::{CheckError, Turns};

use crate::fingerprint::fingerprint;
use crate::keys;
use crate::machine::ReadError;
use crate::owners::in_words;
use crate::record::{Applied, BucketId, BucketUsage, Level, Migrate, Owner, UploadId, decode, level_of};
use crate::tree::{Base, Value};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use stratum_storage::blob::{BlobRef, Index, Place, VolumeId};

/// Keys that are read at a time, with their values.
const PAGE_KEYS: usize = 1024;

/// Reads bodies that are in the journal.
pub trait Bodies {
    /// Checks the owner's body in that entry of the journal; the error says what is wrong with it.
    fn check(&self, owner: &Owner, index: Index, length: u32, crc32c: u32) -> Result<(), String>;
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub keys: u64,
    pub objects: u64,
    pub parts: u64,
    /// Bodies in the journal.
    pub journaled: u64,
}

/// Checks a state that doesn't change meanwhile, against what `applied` says of it. Calls `report` with every
/// finding.
pub(crate) fn check(
    state: &dyn Base,
    applied: &Applied,
    bodies: &dyn Bodies,
    report: &mut dyn FnMut(Finding),
) -> Result<Checked, ReadError> {
    let mut check = Check::new(state, applied.level, bodies, report);
    let mut from = Vec::new();
    loop {
        let mut page: Vec<(Vec<u8>, Value)> = Vec::new();
        state.scan(&from, &[0xff], &mut |key, value| {
            page.push((key.to_vec(), value.clone()));
            if page.len() < PAGE_KEYS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let Some((last, _)) = page.last() else { break };
        from = [last.as_slice(), &[0]].concat();
        for (key, value) in &page {
            check.pair(key, value)?;
        }
    }
    Ok(check.finish(applied.fingerprint))
}

/// How much of a packed stripe records name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Packed {
    live: u64,
    bodies: u32,
}

/// A check under way.
struct Check<'a> {
    state: &'a dyn Base,
    bodies: &'a dyn Bodies,
    report: &'a mut dyn FnMut(Finding),
    checked: Checked,
    /// The level that the state should have, and the one that its own key says.
    level: Level,
    kept_level: Level,
    fingerprint: u128,
    buckets_by_name: u64,
    buckets_by_owner: u64,
    uploads: u64,
    uploads_by_key: u64,
    /// Uploads of whose parts an object is made.
    multipart: HashSet<UploadId>,
    /// The key of the last noncurrent version that was checked.
    last_versions: Option<(BucketId, Vec<u8>)>,
    /// For each bucket that is counted: its stored count, and the bytes and objects found so far.
    usage: HashMap<BucketId, (BucketUsage, u64, u64)>,
    /// Counted bytes and objects of all buckets of an owner together.
    held_by: HashMap<String, (u64, u64)>,
    /// Events found so far, by their target.
    events: HashMap<String, u64>,
    /// How many events wait, by the key of their share.
    event_shares: HashMap<Vec<u8>, u64>,
    /// What records name. Entries are removed when the keys of stripes and volumes are compared with them.
    packed: HashMap<(VolumeId, u64), Packed>,
    live: HashMap<VolumeId, u64>,
    highest_bucket: u64,
    highest_volume: u64,
}

impl<'a> Check<'a> {
    fn new(
        state: &'a dyn Base,
        level: Level,
        bodies: &'a dyn Bodies,
        report: &'a mut dyn FnMut(Finding),
    ) -> Check<'a> {
        Check {
            state,
            bodies,
            report,
            checked: Checked::default(),
            level,
            kept_level: Level::FIRST,
            fingerprint: 0,
            buckets_by_name: 0,
            buckets_by_owner: 0,
            uploads: 0,
            uploads_by_key: 0,
            multipart: HashSet::new(),
            last_versions: None,
            usage: HashMap::new(),
            held_by: HashMap::new(),
            events: HashMap::new(),
            event_shares: HashMap::new(),
            packed: HashMap::new(),
            live: HashMap::new(),
            highest_bucket: 0,
            highest_volume: 0,
        }
    }

    fn found(&mut self, finding: Finding) {
        (self.report)(finding);
    }

    /// Another key's record, if it exists and can be read. If it can't, that is reported when the pass comes to its
    /// key.
    fn get<T: Migrate>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        Ok(self.state.get(key)?.and_then(|value| decode(&value).ok()))
    }

    /// The owner in words, with its bucket's name.
    fn named(&self, owner: &Owner) -> String {
        in_words(owner, |key| Ok(self.state.get(key)?))
    }

    fn has(&self, key: &[u8]) -> Result<bool, ReadError> {
        Ok(self.state.get(key)?.is_some())
    }

    fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
        self.checked.keys += 1;
        if key == keys::applied() {
            return Ok(());
        }
        self.fingerprint = self.fingerprint.wrapping_add(fingerprint(key, value));
        match self.of_the_level(value).and(self.keyed(key, value)?) {
            Ok(()) => {}
            Err(problem) => {
                let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                self.found(Finding::Unreadable { key, problem });
            }
        }
        Ok(())
    }

    /// Nothing may be of a later level than the state: an older binary must be able to read a state that wasn't
    /// raised.
    fn of_the_level(&self, value: &[u8]) -> Result<(), String> {
        match level_of(value) {
            Ok(level) if level > self.level => {
                Err(format!("it is of level {level}, in a state of {}", self.level))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the keys of the volumes agree with what a record names.
    fn blob(&mut self, owner: &Owner, blob: &BlobRef) -> Result<(), ReadError> {
        match &blob.place {
            Place::Empty => {}
            Place::ThisEntry { .. } => self.found(Finding::Unsettled { owner: self.named(owner) }),
            Place::Journal { index, length, crc32c } => {
                self.checked.journaled += 1;
                if let Err(problem) = self.bodies.check(owner, *index, *length, *crc32c) {
                    self.found(Finding::BodyLost { owner: self.named(owner), index: *index, problem });
                }
            }
            Place::Packed(at) => {
                self.volume(owner, at.volume)?;
                *self.live.entry(at.volume).or_default() += u64::from(at.length);
                let packed = self.packed.entry((at.volume, at.stripe)).or_default();
                packed.live += u64::from(at.length);
                packed.bodies += 1;
            }
            Place::Extents(extents) => {
                for extent in extents {
                    self.volume(owner, extent.volume)?;
                    *self.live.entry(extent.volume).or_default() += extent.length;
                    self.extent(owner, extent)?;
                }
            }
        }
        Ok(())
    }

    /// The checks that need all keys to have been seen.
    fn finish(mut self, applied: u128) -> Checked {
        if self.fingerprint != applied {
            self.found(Finding::Fingerprint);
        }
        let (kept, level) = (self.kept_level, self.level);
        if kept != level {
            self.found(Finding::Level { kept, level });
        }
        if self.buckets_by_owner != self.buckets_by_name {
            let (owners, names) = (self.buckets_by_owner, self.buckets_by_name);
            self.found(Finding::BucketOwners { owners, names });
        }
        if self.uploads_by_key != self.uploads {
            let (keys, uploads) = (self.uploads_by_key, self.uploads);
            self.found(Finding::UploadKeys { keys, uploads });
        }
        for (bucket, (kept, bytes, objects)) in std::mem::take(&mut self.usage) {
            if (kept.bytes, kept.objects) != (bytes, objects) {
                let (kept, counted) = ((kept.bytes, kept.objects), (bytes, objects));
                self.found(Finding::BucketUsage { bucket: bucket.0, kept, counted });
            }
        }
        for (target, met) in std::mem::take(&mut self.events) {
            self.found(Finding::EventQueue { target, kept: 0, met });
        }
        let unclaimed: Vec<((VolumeId, u64), Packed)> = self.packed.drain().collect();
        for ((volume, offset), Packed { live, bodies }) in unclaimed {
            self.found(Finding::StripeCount { volume, offset, counted: (live, bodies), kept: None });
        }
        self.checked
    }
}

#[cfg(test)]
mod tests;
