//! The files of checkpoints on the drives: the manifest `checkpoint/<index>`, and the range files
//! `checkpoint/<index>.<number>` that it names. Each is on `m+1` of the hot drives, all copies with the same bytes.
//! The last two checkpoints are kept, with the range files that they name.
//!
//! A drive holds a checkpoint when it holds all of its files. Successive checkpoints share range files, so they are
//! kept on the same drives as long as these take new files.

use super::cache::Memory;
use super::copies::Bad;
use super::format::{self, Form, HEADER_LEN};
use super::manifest::Manifest;
use super::output::{Output, UNFINISHED};
use super::range::{Range, RangeId, RangeRecord, RangeWriter};
use super::single::{self, damaged, read_exact};
use super::stored::Stored;
use crate::record::Applied;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, DriveId, OpenHow, Roster};
use stratum_storage::set::Finding;

pub(super) const DIR: &str = "checkpoint";

/// How large the parts of checkpoints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// How many bytes a block of pairs has before it is compressed.
    pub block_bytes: usize,
    /// How many bytes a range file has.
    pub range_bytes: u64,
    /// How many bytes of keys and values may change since a checkpoint before the next one is due.
    pub changes_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { block_bytes: 32 << 10, range_bytes: 32 << 20, changes_bytes: 16 << 20 }
    }
}

/// The drives that hold checkpoints, how many copies there are of each, and what is kept of checkpoints in memory.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(super) drives: Roster,
    pub(super) copies: usize,
    pub(super) sizes: Sizes,
    pub(super) memory: Arc<Memory>,
    pub(super) bad: Arc<Bad>,
}

/// The files that lie on the drives, by their names.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Manifests and single files.
    pub(super) checkpoints: BTreeMap<Index, Vec<Arc<Drive>>>,
    /// The range files, with their lengths.
    ranges: HashMap<RangeId, Vec<(Arc<Drive>, u64)>>,
    /// Unfinished files, and the drives that they are on.
    unfinished: Vec<(Arc<Drive>, String)>,
}

impl Listing {
    /// Whether every file that the checkpoint names is on some drive.
    fn has_all(&self, stored: &Stored) -> bool {
        match stored {
            Stored::SingleFile(_) => true,
            Stored::Manifest(manifest) => manifest.ranges().all(|record| !self.holders(record).is_empty()),
        }
    }

    /// The drives that hold a range file in its full length.
    pub(super) fn holders(&self, range: &RangeRecord) -> Vec<Arc<Drive>> {
        let holders = self.ranges.get(&range.id).into_iter().flatten();
        holders.filter(|(_, length)| *length == range.bytes).map(|(drive, _)| drive.clone()).collect()
    }

    /// The length of a range file, if all of these drives hold it.
    fn length(&self, id: RangeId, drives: &[Arc<Drive>]) -> Option<u64> {
        let copies = self.ranges.get(&id)?;
        let (_, length) = copies.first()?;
        let holds = |drive: &Arc<Drive>| {
            copies.iter().any(|(holder, held)| holder.id() == drive.id() && held == length)
        };
        drives.iter().all(holds).then_some(*length)
    }
}

impl Files {
    pub(crate) fn new(drives: Roster, copies: usize, sizes: Sizes) -> Files {
        Files { drives, copies, sizes, memory: Arc::default(), bad: Arc::default() }
    }

    /// The same files, of which lost blocks are read as empty ones, to take out what is left.
    pub(crate) fn passing_over_lost(self) -> Files {
        Files { memory: Arc::new(Memory::passing_over_lost()), ..self }
    }

    /// Bytes of keys and values that may change until the next checkpoint is due.
    pub(crate) fn changes_bytes(&self) -> u64 {
        self.sizes.changes_bytes
    }

    /// Whether a read met a bad copy that wasn't written anew yet.
    pub(crate) fn has_bad(&self) -> bool {
        !self.bad.lock().is_empty()
    }

    pub(super) fn listing(&self) -> Listing {
        let mut listing = Listing::default();
        for drive in self.drives.healthy() {
            let entries = match drive.io().list(DIR) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(drive = drive.label(), %error, "the checkpoints cannot be listed");
                    continue;
                }
            };
            for entry in entries {
                if let Some(index) = parse_name(&entry.name) {
                    listing.checkpoints.entry(index).or_default().push(drive.clone());
                } else if let Some(id) = RangeId::parse(&entry.name) {
                    listing.ranges.entry(id).or_default().push((drive.clone(), entry.len));
                } else if entry.name.ends_with(UNFINISHED) {
                    listing.unfinished.push((drive.clone(), entry.name));
                }
            }
        }
        listing
    }

    /// The checkpoints of which any drive holds a manifest or single file, the oldest first.
    pub(crate) fn indexes(&self) -> Vec<Index> {
        self.listing().checkpoints.into_keys().collect()
    }

    /// The checkpoints of which every file is on some drive, those of which it can't be said, and the one that the state
    /// lies on, the oldest first.
    pub(super) fn complete(&self, lies_on: Index) -> Vec<Index> {
        let listing = self.listing();
        let is_complete = |index: &Index| {
            *index == lies_on || !self.stored(&listing, *index).is_ok_and(|stored| !listing.has_all(&stored))
        };
        listing.checkpoints.keys().copied().filter(is_complete).collect()
    }

    /// The checkpoints that are on as many drives as there must be copies, the oldest first.
    pub(crate) fn whole(&self) -> Vec<Index> {
        let listing = self.listing();
        let is_whole = |index: &Index| {
            let stored = self.stored(&listing, *index);
            stored.is_ok_and(|stored| self.holders(&listing, &stored).len() >= self.copies)
        };
        listing.checkpoints.keys().copied().filter(is_whole).collect()
    }

    /// Reads the manifest of a checkpoint, or the header of a single file, from the first copy that can be read.
    pub(super) fn stored(&self, listing: &Listing, index: Index) -> io::Result<Stored> {
        let holders = listing.checkpoints.get(&index).map(Vec::as_slice).unwrap_or_default();
        let mut problem = io::Error::from(io::ErrorKind::NotFound);
        for drive in holders {
            match read_manifest(index, drive) {
                Ok(None) => return single::Reader::open(index, holders).map(Stored::SingleFile),
                Ok(Some(manifest)) => return Ok(Stored::Manifest(manifest)),
                Err(error) => {
                    tracing::warn!(drive = drive.label(), index, %error, "a copy of a checkpoint cannot be read");
                    problem = error;
                }
            }
        }
        Err(problem)
    }

    /// The drives that hold all of a checkpoint.
    pub(super) fn holders(&self, listing: &Listing, stored: &Stored) -> Vec<Arc<Drive>> {
        let named = listing.checkpoints.get(&stored.applied().index).cloned().unwrap_or_default();
        let Stored::Manifest(manifest) = stored else { return named };
        let mut counts: HashMap<DriveId, usize> = HashMap::new();
        for range in manifest.ranges() {
            listing.holders(range).iter().for_each(|drive| *counts.entry(drive.id()).or_default() += 1);
        }
        let holds_all = |drive: &Arc<Drive>| {
            counts.get(&drive.id()).copied().unwrap_or_default() == manifest.ranges().count()
        };
        named.into_iter().filter(holds_all).collect()
    }

    /// Chooses the drives for the next checkpoint: as many healthy ones as there must be copies. Those that hold the
    /// checkpoint before come first.
    pub(super) fn targets(&self, before: &[Arc<Drive>], index: Index) -> io::Result<Vec<Arc<Drive>>> {
        let mut open = self.drives.open_to_new();
        if open.len() < self.copies {
            let text = format!("a checkpoint needs {} healthy drives, there are {}", self.copies, open.len());
            return Err(io::Error::other(text));
        }
        if !open.is_empty() {
            let first = index as usize % open.len();
            open.rotate_left(first);
        }
        // Slow drives come last: the journal waits for a checkpoint to get room, and a checkpoint for its slowest
        // drive.
        let held = |drive: &Arc<Drive>| before.iter().any(|holder| holder.id() == drive.id());
        open.sort_by_key(|drive| (drive.is_better_avoided(), !held(drive)));
        open.truncate(self.copies);
        Ok(open)
    }

    pub(super) fn range(&self, record: RangeRecord, holders: &[Arc<Drive>]) -> Arc<Range> {
        Arc::new(Range::open(record, DIR, holders, self.memory.clone(), self.bad.clone()))
    }

    pub(super) fn begin_range(
        &self,
        applied: &Applied,
        number: u32,
        targets: Vec<Arc<Drive>>,
    ) -> io::Result<RangeWriter> {
        RangeWriter::create(DIR, applied, number, targets, self.sizes.block_bytes)
    }

    /// The range file of that number, if a merge that was cut off had finished it on all of these drives. It can be
    /// used as it is, since the state at a journal entry is always the same.
    pub(super) fn finished_range(
        &self,
        listing: &Listing,
        applied: &Applied,
        number: u32,
        targets: &[Arc<Drive>],
    ) -> Option<RangeRecord> {
        let id = RangeId { index: applied.index, number };
        let bytes = listing.length(id, targets)?;
        RangeRecord::read(id, applied.hash, bytes, DIR, targets).ok()
    }

    /// Writes a manifest to these drives. It counts once it is synced under its name.
    pub(super) fn write_manifest(&self, manifest: &Manifest, targets: Vec<Arc<Drive>>) -> io::Result<u64> {
        let mut output = Output::create(DIR, name(manifest.applied.index), targets)?;
        match output.append(&[&manifest.encode()]) {
            Ok(()) => output.finish(),
            Err(error) => {
                output.abandon();
                Err(error)
            }
        }
    }

    /// Copies a range file to those of these drives that don't hold it. Gives to how many it was copied.
    pub(super) fn place(
        &self,
        range: &Range,
        holders: &[Arc<Drive>],
        targets: &[Arc<Drive>],
    ) -> io::Result<usize> {
        let holds = |drive: &&Arc<Drive>| holders.iter().any(|holder| holder.id() == drive.id());
        let lacking: Vec<Arc<Drive>> = targets.iter().filter(|drive| !holds(drive)).cloned().collect();
        let count = lacking.len();
        if count > 0 {
            range.copy_to(DIR, lacking)?;
            range.reopen(&[holders, targets].concat());
        }
        Ok(count)
    }

    /// Copies a checkpoint to as many healthy drives as there must be copies. A drive that is being drained doesn't
    /// count. Gives how many copies of files were made.
    pub(crate) fn heal(&self, index: Index) -> io::Result<usize> {
        let listing = self.listing();
        let stored = self.stored(&listing, index)?;
        let holders = self.holders(&listing, &stored);
        let targets = self.targets(&holders, index)?;
        if targets.iter().all(|target| holders.iter().any(|holder| holder.id() == target.id())) {
            return Ok(0);
        }
        self.bring(&listing, &stored, &targets)
    }

    /// Copies to these drives what they lack of a checkpoint. Gives how many copies of files were made.
    pub(super) fn bring(
        &self,
        listing: &Listing,
        stored: &Stored,
        targets: &[Arc<Drive>],
    ) -> io::Result<usize> {
        let index = stored.applied().index;
        let named = listing.checkpoints.get(&index).cloned().unwrap_or_default();
        let holds = |drive: &&Arc<Drive>| named.iter().any(|holder| holder.id() == drive.id());
        let lacking: Vec<Arc<Drive>> = targets.iter().filter(|drive| !holds(drive)).cloned().collect();
        let mut made = lacking.len();
        match stored {
            Stored::SingleFile(_) if lacking.is_empty() => {}
            Stored::SingleFile(_) => single::copy(index, &named, lacking)?,
            Stored::Manifest(manifest) => {
                for record in manifest.ranges() {
                    let holders = listing.holders(record);
                    made += self.place(&self.range(record.clone(), &holders), &holders, targets)?;
                }
                if !lacking.is_empty() {
                    self.write_manifest(manifest, lacking)?;
                }
            }
        }
        Ok(made)
    }

    /// Reads every copy of every file of a checkpoint by itself, and writes damaged ones anew.
    pub(crate) fn check(&self, index: Index) -> Vec<Finding> {
        let listing = self.listing();
        let Ok(stored) = self.stored(&listing, index) else { return Vec::new() };
        let named = listing.checkpoints.get(&index).cloned().unwrap_or_default();
        let mut findings = Vec::new();
        let manifest = match &stored {
            Stored::SingleFile(_) => {
                for (drive, problem) in bad_among(&named, |drive| single::read_through(index, drive)) {
                    let written = single::copy(index, &named, vec![drive.clone()]).map(|()| 0);
                    findings.push(finding(&drive, name(index), &problem, written));
                }
                return findings;
            }
            Stored::Manifest(manifest) => manifest,
        };
        for (drive, problem) in bad_among(&named, |drive| is_manifest(index, drive)) {
            let written = self.write_manifest(manifest, vec![drive.clone()]).map(|_| 0);
            findings.push(finding(&drive, name(index), &problem, written));
        }
        for record in manifest.ranges() {
            findings.extend(self.check_range(&listing, record));
        }
        findings
    }

    fn check_range(&self, listing: &Listing, record: &RangeRecord) -> Vec<Finding> {
        let holders = listing.holders(record);
        let bad = bad_among(&holders, |drive| self.verify_copy(record, drive));
        let mend = |(drive, problem): (Arc<Drive>, io::Error)| {
            let range = self.range(record.clone(), &own_first(holders.clone(), &drive));
            let written = range.copy_to(DIR, vec![drive.clone()]);
            self.forget_bad(record.id, &drive);
            if !matches!(written, Ok(0)) {
                // Some blocks may be in no copy. Reading them all makes it known which are lost.
                range.look();
            }
            finding(&drive, record.id.name(), &problem, written)
        };
        bad.into_iter().map(mend).collect()
    }

    /// Reads a drive's copy of a range file from its beginning to its end.
    pub(super) fn verify_copy(&self, record: &RangeRecord, drive: &Arc<Drive>) -> io::Result<()> {
        let range = self.range(record.clone(), std::slice::from_ref(drive));
        let outcome = range.verify().map_err(|error| io::Error::other(error.to_string()));
        // The caller tells what was found, so the copy needn't be noted as bad as well.
        self.forget_bad(record.id, drive);
        outcome
    }

    fn forget_bad(&self, id: RangeId, drive: &Drive) {
        self.bad.lock().remove(&(format!("{DIR}/{}", id.name()), drive.id()));
    }

    /// Writes anew the copies that reads have found bad. Gives how many.
    pub(crate) fn mend(&self) -> usize {
        let bad = std::mem::take(&mut *self.bad.lock());
        if bad.is_empty() {
            return 0;
        }
        let listing = self.listing();
        let records: HashMap<RangeId, RangeRecord> = listing
            .checkpoints
            .keys()
            .filter_map(|index| self.stored(&listing, *index).ok())
            .flat_map(|stored| stored.ranges())
            .map(|record| (record.id, record))
            .collect();
        let mend = |(path, id): &(String, DriveId)| {
            let name = path.strip_prefix(DIR)?.strip_prefix('/')?;
            let record = records.get(&RangeId::parse(name)?)?;
            let drive = self.drives.find(*id).filter(|drive| drive.takes_new())?;
            let holders = own_first(listing.holders(record), &drive);
            let written = self.range(record.clone(), &holders).copy_to(DIR, vec![drive.clone()]);
            self.forget_bad(record.id, &drive);
            match written {
                Ok(lost) => {
                    tracing::info!(drive = drive.label(), path, lost, "a damaged copy was written anew")
                }
                Err(error) => {
                    tracing::error!(drive = drive.label(), path, %error, "a damaged copy could not be written anew")
                }
            }
            Some(())
        };
        bad.iter().filter_map(mend).count()
    }

    /// Removes every checkpoint but the newest and those before it, `keep` in all, of which every file is on some drive;
    /// and the range files that none of the kept ones names, and unfinished files.
    pub(crate) fn retain(&self, keep: usize) {
        let listing = self.listing();
        let (mut kept, mut named) = (BTreeSet::new(), BTreeSet::new());
        for index in listing.checkpoints.keys().rev() {
            if kept.len() >= keep {
                break;
            }
            match self.stored(&listing, *index) {
                // It can't be brought back.
                Ok(stored) if !kept.is_empty() && !listing.has_all(&stored) => continue,
                Ok(stored) => {
                    kept.insert(*index);
                    named.extend(stored.ranges().into_iter().map(|record| record.id));
                }
                Err(error) => {
                    tracing::warn!(index, %error, "nothing of older checkpoints is removed: what this one names isn't known");
                    return;
                }
            }
        }
        for (index, holders) in listing.checkpoints.iter().filter(|(index, _)| !kept.contains(*index)) {
            for drive in holders {
                remove(drive, &name(*index));
            }
        }
        for (id, holders) in listing.ranges.iter().filter(|(id, _)| !named.contains(id)) {
            for (drive, _) in holders {
                remove(drive, &id.name());
            }
        }
        for (drive, name) in &listing.unfinished {
            remove(drive, name);
        }
        self.memory.lost.retain(|id| named.contains(id));
    }

    /// Removes range files that were written for a checkpoint whose merge failed.
    pub(super) fn remove_ranges(&self, ids: impl Iterator<Item = RangeId>, drives: &[Arc<Drive>]) {
        for id in ids {
            for drive in drives {
                remove(drive, &id.name());
            }
        }
    }
}

/// Puts the drive whose copy is written anew first among the holders: other copies may be bad in blocks that are
/// sound in its own, and a block that no copy gives is then copied as it lies in its own.
fn own_first(mut holders: Vec<Arc<Drive>>, drive: &Drive) -> Vec<Arc<Drive>> {
    holders.sort_by_key(|holder| holder.id() != drive.id());
    holders
}

fn bad_among(
    holders: &[Arc<Drive>],
    read: impl Fn(&Arc<Drive>) -> io::Result<()>,
) -> Vec<(Arc<Drive>, io::Error)> {
    holders.iter().filter_map(|drive| Some((drive.clone(), read(drive).err()?))).collect()
}

/// What was found of a bad copy, and whether it was written anew. `written` is the number of blocks that no copy has.
fn finding(drive: &Drive, name: String, problem: &io::Error, written: io::Result<usize>) -> Finding {
    drive.found_rot();
    match &written {
        Ok(0) => {}
        Ok(lost) => {
            tracing::error!(
                drive = drive.label(),
                name,
                lost,
                "no copy of a checkpoint has all of its blocks"
            );
        }
        Err(error) => {
            tracing::error!(drive = drive.label(), name, %error, "a copy of a checkpoint could not be written anew");
        }
    }
    Finding {
        drive: drive.label(),
        file: format!("{DIR}/{name}"),
        problem: format!("a copy of a checkpoint is damaged: {problem}"),
        repaired: matches!(written, Ok(0)),
    }
}

/// Reads a drive's manifest of a checkpoint; none if the checkpoint is a single file.
fn read_manifest(index: Index, drive: &Drive) -> io::Result<Option<Manifest>> {
    let file = drive.io().open(&path(index), OpenHow::Read)?;
    let mut header = [0; HEADER_LEN];
    read_exact(&*file, &mut header, 0)?;
    let (applied, form) = format::parse_header(&header).map_err(damaged)?;
    if applied.index != index {
        return Err(damaged(format::FormatError::Damaged(0)));
    }
    if form == Form::SingleFile {
        return Ok(None);
    }
    let mut bytes = vec![0; file.len()? as usize];
    read_exact(&*file, &mut bytes, 0)?;
    Manifest::parse(&bytes).map(Some).map_err(damaged)
}

fn is_manifest(index: Index, drive: &Drive) -> io::Result<()> {
    match read_manifest(index, drive)? {
        Some(_) => Ok(()),
        None => Err(damaged(format::FormatError::Damaged(0))),
    }
}

/// Removes a file of the directory of checkpoints. Gives whether it was removed.
pub(super) fn remove(drive: &Drive, name: &str) -> bool {
    let removed = match drive.io().remove(&format!("{DIR}/{name}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        removed => removed.and_then(|()| drive.io().sync_dir(DIR)),
    };
    if let Err(error) = &removed {
        tracing::warn!(drive = drive.label(), name, %error, "an old checkpoint could not be removed");
    }
    removed.is_ok()
}

pub(super) fn name(index: Index) -> String {
    format!("{index:016x}")
}

pub(super) fn path(index: Index) -> String {
    format!("{DIR}/{}", name(index))
}

pub(super) fn parse_name(text: &str) -> Option<Index> {
    (text.len() == 16).then(|| Index::from_str_radix(text, 16).ok()).flatten()
}
