//! Checkpoints: a copy of the whole state at a journal index, from which the rest is replayed.
//!
//! sled is an index that can be lost, and the journal is only as long as its cap; a checkpoint is what stands
//! between. It is consistent (one moment's state, though the applier goes on: the machine's scan), proven (the
//! fingerprint of what was scanned must be the state's, so a key that sled lost never becomes truth), and on `m+1`
//! drives ([`files`]).

mod audit;
mod export;
mod files;
mod format;
mod image;

pub use audit::{AuditedCopy, audit, copy_checkpoint, remove_bad_copies};
pub use export::Export;

pub(crate) use files::{Files, Reader};
pub(crate) use image::Image;

use crate::machine::{Machine, Pairs, ScanError, fingerprint};
use crate::record::Applied;
use crate::tree::TreeError;
use files::Writer;
use format::FormatError;
use std::io;
use stratum_storage::blob::Index;
use stratum_storage::set::Finding;

/// How many checkpoints are kept, and the journal since the oldest of them.
pub(crate) const KEPT: usize = 2;
/// Old values that a scan may keep, in bytes; past that the checkpoint is given up.
const IMAGES: usize = 64 << 20;

/// Why there is no new checkpoint. The next one may succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{0}; it will be taken later")]
    Scan(#[from] ScanError),
    #[error("the index holds something else than was applied: it must be rebuilt from the last checkpoint")]
    Mismatch,
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the drives did not take it: {0}")]
    Drives(#[from] io::Error),
}

/// Why no checkpoint was loaded, though there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Never passed over for an older one: the newer build may have let go of the journal between them.
    #[error(transparent)]
    Newer(FormatError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("no checkpoint is whole; of the oldest: {0}")]
    Damaged(CheckpointError),
}

/// What a checkpoint is taken of.
pub(crate) trait Source {
    /// Begins a scan between two groups, and says what has been applied by then.
    fn begin(&self) -> Applied;
    /// The next pairs, in order; `None` at the end.
    fn next(&self) -> Result<Option<Pairs>, ScanError>;
    fn end(&self);
}

impl Source for Machine {
    fn begin(&self) -> Applied {
        self.start_scan(IMAGES)
    }

    fn next(&self) -> Result<Option<Pairs>, ScanError> {
        if self.scan_is_done() { Ok(None) } else { self.next_of_scan(format::BLOCK_BYTES).map(Some) }
    }

    fn end(&self) {
        self.end_scan();
    }
}

/// A checkpoint that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) applied: Applied,
    pub(crate) bytes: u64,
}

/// Takes a checkpoint. Blocks, for as long as writing the state takes.
pub(crate) fn take(source: &impl Source, files: &Files) -> Result<Taken, CheckpointError> {
    let applied = source.begin();
    let taken = write(source, files, applied);
    source.end();
    if taken.is_ok() {
        files.retain(KEPT);
    }
    taken
}

fn write(source: &impl Source, files: &Files, applied: Applied) -> Result<Taken, CheckpointError> {
    let mut writer = files.create(applied.index)?;
    let scanned = writer.append(&[&format::header(&applied)]).map_err(CheckpointError::from);
    match scanned.and_then(|()| scan(source, &mut writer)) {
        Ok((pairs, seen)) if seen == applied.fingerprint => {
            Ok(Taken { applied, bytes: writer.finish(pairs)? })
        }
        Ok(_) => {
            writer.abandon();
            Err(CheckpointError::Mismatch)
        }
        Err(error) => {
            writer.abandon();
            Err(error)
        }
    }
}

/// Writes all pairs; gives their number and their fingerprint.
fn scan(source: &impl Source, writer: &mut Writer) -> Result<(u64, u128), CheckpointError> {
    let (mut count, mut sum, mut block) = (0, 0u128, Vec::with_capacity(format::BLOCK_BYTES * 2));
    while let Some(pairs) = source.next()? {
        for (key, value) in &pairs {
            count += 1;
            sum = sum.wrapping_add(fingerprint(key, value));
            format::push_pair(&mut block, key, value);
        }
        if block.len() >= format::BLOCK_BYTES {
            writer.block(&block)?;
            block.clear();
        }
    }
    if !block.is_empty() {
        writer.block(&block)?;
    }
    Ok((count, sum))
}

/// Reads the newest checkpoint that is whole, giving its pairs to `insert` a block at a time. `anew` is called
/// before the first pair of each one that is tried. `None` if there is none at all.
pub(crate) fn load(
    files: &Files,
    mut anew: impl FnMut() -> Result<(), TreeError>,
    mut insert: impl FnMut(&[(&[u8], &[u8])]) -> Result<(), TreeError>,
) -> Result<Option<Applied>, LoadError> {
    let mut problem = None;
    for (index, holders) in files.list().into_iter().rev() {
        let read = Reader::open(index, &holders).map_err(CheckpointError::from).and_then(|reader| {
            anew()?;
            read(reader, &mut insert)
        });
        match read {
            Ok(applied) => return Ok(Some(applied)),
            Err(CheckpointError::Tree(error)) => return Err(error.into()),
            Err(error) => {
                if let Some(newer) = newer(&error) {
                    return Err(LoadError::Newer(newer));
                }
                tracing::error!(index, %error, "a checkpoint can't be read; trying the one before");
                problem = Some(error);
            }
        }
    }
    problem.map_or(Ok(None), |problem| Err(LoadError::Damaged(problem)))
}

/// The checkpoints of which some copy can be read, the newest first: what each is as of, and what reads it.
///
/// # Errors
/// [`LoadError::Newer`] if a newer build wrote one.
pub(crate) fn readable(files: &Files) -> Result<Vec<Reader>, LoadError> {
    let mut found = Vec::new();
    for (index, holders) in files.list().into_iter().rev() {
        match Reader::open(index, &holders).map_err(CheckpointError::from) {
            Ok(reader) => found.push(reader),
            Err(error) => match newer(&error) {
                Some(newer) => return Err(LoadError::Newer(newer)),
                None => tracing::error!(index, %error, "a checkpoint can't be read"),
            },
        }
    }
    Ok(found)
}

/// The version that a newer build wrote, if that is what the error says.
fn newer(error: &CheckpointError) -> Option<FormatError> {
    let CheckpointError::Drives(error) = error else { return None };
    let format = error.get_ref()?.downcast_ref::<FormatError>()?;
    matches!(format, FormatError::Newer(_)).then(|| format.clone())
}

/// Reads a checkpoint, giving its pairs to `insert` a block at a time; an error unless it is whole.
pub(crate) fn read(
    mut reader: Reader,
    insert: &mut impl FnMut(&[(&[u8], &[u8])]) -> Result<(), TreeError>,
) -> Result<Applied, CheckpointError> {
    let applied = reader.applied();
    let (mut count, mut sum) = (0, 0u128);
    while let Some(block) = reader.next_block()? {
        let pairs: Result<Vec<_>, _> = format::pairs(&block).collect();
        let pairs = pairs.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        count += pairs.len() as u64;
        let shares = pairs.iter().map(|(key, value)| fingerprint(key, value));
        sum = shares.fold(sum, u128::wrapping_add);
        insert(&pairs)?;
    }
    if count == reader.pairs() && sum == applied.fingerprint {
        Ok(applied)
    } else {
        Err(CheckpointError::Mismatch)
    }
}

/// Reads bytes as each part of a checkpoint's file.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk() {
        let _ = format::parse_header(header);
    }
    if let Some(frame) = bytes.first_chunk() {
        let _ = format::parse_frame(*frame, 0);
    }
    let _ = format::verify(0, 0, bytes, 0);
    let read: usize = format::pairs(bytes).flatten().map(|(key, value)| key.len() + value.len()).sum();
    assert!(read <= bytes.len());
}

/// Brings the kept checkpoints back to full number after a drive was lost. Says how many copies were made; while
/// it fails, the lost drive still counts as missing.
pub(crate) fn heal(files: &Files) -> io::Result<usize> {
    let kept: Vec<Index> = files.list().into_keys().rev().take(KEPT).collect();
    kept.into_iter().map(|index| files.heal(index)).sum()
}

/// Reads all copies of the kept checkpoints, and writes anew those that are damaged.
pub(crate) fn check(files: &Files) -> Vec<Finding> {
    let kept: Vec<Index> = files.list().into_keys().rev().take(KEPT).collect();
    kept.into_iter().flat_map(|index| files.check(index)).collect()
}

#[cfg(test)]
mod tests {
    mod fixture;

    use super::*;
    use crate::tree::memory::Memory;
    use crate::tree::{Base, Value};
    use parking_lot::Mutex;
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use stratum_storage::ambient::Simulated;
    use stratum_storage::blob::Tier;
    use stratum_storage::drive::simulated::{Power, SimulatedDrive};
    use stratum_storage::drive::{Drive, DriveId, Threads};

    /// A state that stands still.
    struct Still {
        memory: Memory,
        applied: Applied,
        scanned: Mutex<usize>,
    }

    impl Still {
        fn new(index: Index, pairs: u16) -> Still {
            let pair =
                |number: u16| ([&[2], number.to_be_bytes().as_slice()].concat(), vec![number as u8; 300]);
            Still::of(index, (0..pairs).map(pair).collect())
        }

        fn of(index: Index, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Still {
            let mut memory = Memory::default();
            let mut sum = 0u128;
            for (key, value) in pairs {
                sum = sum.wrapping_add(fingerprint(&key, &value));
                let value = Value::from(value.as_slice());
                memory.apply(std::iter::once((key.as_slice(), Some(&value))));
            }
            let applied = Applied { index, hash: 5, fingerprint: sum, level: crate::record::Level::FIRST };
            Still { memory, applied, scanned: Mutex::new(0) }
        }
    }

    impl Source for Still {
        fn begin(&self) -> Applied {
            *self.scanned.lock() = 0;
            self.applied
        }

        fn next(&self) -> Result<Option<Pairs>, ScanError> {
            let mut scanned = self.scanned.lock();
            let pairs: Vec<_> = self.memory.0.clone().into_iter().skip(*scanned).take(900).collect();
            *scanned += pairs.len();
            Ok(Some(pairs).filter(|pairs| !pairs.is_empty()))
        }

        fn end(&self) {}
    }

    struct Drives {
        simulated: Vec<Arc<SimulatedDrive>>,
        files: Files,
    }

    fn drives() -> Drives {
        let power = Arc::new(Power::default());
        let simulated: Vec<_> =
            (0..6).map(|number| SimulatedDrive::new(&format!("hot/{number}"), 1, &power)).collect();
        let attached = simulated.iter().zip(0..).map(|(drive, position)| {
            let (id, clock) = (DriveId(u128::from(position)), Arc::new(Simulated::new(0, 0)));
            Arc::new(Drive::new(id, Tier::Hot, position, drive.attach(), Threads::Caller, clock))
        });
        let files = Files::new(attached.collect::<Vec<_>>().into(), 3);
        Drives { simulated, files }
    }

    fn loaded(files: &Files) -> Result<Option<(Applied, Memory)>, LoadError> {
        let memory = Mutex::new(Memory::default());
        let insert = |pairs: &[(&[u8], &[u8])]| {
            for (key, value) in pairs {
                let value = Value::from(*value);
                memory.lock().apply(std::iter::once((*key, Some(&value))));
            }
            Ok(())
        };
        let anew = || {
            *memory.lock() = Memory::default();
            Ok(())
        };
        let applied = load(files, anew, insert)?;
        Ok(applied.map(|applied| (applied, memory.into_inner())))
    }

    fn path(index: Index) -> String {
        format!("checkpoint/{index:016x}")
    }

    #[test]
    fn what_was_taken_is_loaded() {
        let drives = drives();
        assert!(loaded(&drives.files).unwrap().is_none());
        let still = Still::new(9, 5_000);
        take(&still, &drives.files).unwrap();
        let (applied, memory) = loaded(&drives.files).unwrap().unwrap();
        assert_eq!(applied, still.applied);
        assert!(memory == still.memory);
        let copies = drives.files.list().remove(&9).unwrap();
        assert_eq!(copies.len(), 3);
    }

    #[test]
    fn a_state_that_is_not_what_was_applied_is_thrown_away() {
        let drives = drives();
        let mut still = Still::new(9, 100);
        let lost = [2, 0, 50];
        still.memory.apply(std::iter::once((lost.as_slice(), None)));
        assert!(matches!(take(&still, &drives.files), Err(CheckpointError::Mismatch)));
        assert!(still.memory.get(&lost).unwrap().is_none());
        assert!(drives.files.list().is_empty());
        assert!(drives.simulated.iter().all(|drive| drive.files().is_empty()));
    }

    #[test]
    fn the_last_two_are_kept() {
        let drives = drives();
        for index in 1..=4 {
            take(&Still::new(index, 10), &drives.files).unwrap();
        }
        assert_eq!(drives.files.list().into_keys().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn blocks_that_are_bad_in_one_copy_come_from_another() {
        let drives = drives();
        let still = Still::new(9, 5_000);
        take(&still, &drives.files).unwrap();
        let holders = drives.files.list().remove(&9).unwrap();
        for (number, holder) in holders.iter().enumerate() {
            let simulated = &drives.simulated[usize::from(holder.position())];
            simulated.flip_bit(&path(9), 8 * (100_000 + 400_000 * number as u64)).unwrap();
        }
        let (_, memory) = loaded(&drives.files).unwrap().unwrap();
        assert!(memory == still.memory);
    }

    #[test]
    fn one_that_is_bad_in_every_copy_gives_way_to_the_one_before() {
        let drives = drives();
        take(&Still::new(8, 100), &drives.files).unwrap();
        take(&Still::new(9, 5_000), &drives.files).unwrap();
        for holder in drives.files.list().remove(&9).unwrap() {
            drives.simulated[usize::from(holder.position())].flip_bit(&path(9), 8 * 100_000).unwrap();
        }
        assert_eq!(loaded(&drives.files).unwrap().unwrap().0.index, 8);
    }

    #[test]
    fn one_of_a_newer_format_is_not_passed_over_for_an_older() {
        const VERSION_BIT: u64 = 8 * 8 + 1;
        let drives = drives();
        take(&Still::new(8, 100), &drives.files).unwrap();
        take(&Still::new(9, 100), &drives.files).unwrap();
        for holder in drives.files.list().remove(&9).unwrap() {
            drives.simulated[usize::from(holder.position())].flip_bit(&path(9), VERSION_BIT).unwrap();
        }
        assert!(matches!(loaded(&drives.files), Err(LoadError::Newer(FormatError::Newer(3)))));
    }

    #[test]
    fn rot_is_found_in_every_copy_and_written_anew() {
        let drives = drives();
        let still = Still::new(9, 5_000);
        take(&still, &drives.files).unwrap();
        assert_eq!(check(&drives.files), []);
        let holders = drives.files.list().remove(&9).unwrap();
        for (number, holder) in holders.iter().enumerate() {
            let simulated = &drives.simulated[usize::from(holder.position())];
            simulated.flip_bit(&path(9), 8 * (100_000 + 400_000 * number as u64)).unwrap();
        }
        let findings = check(&drives.files);
        assert_eq!(findings.len(), 3);
        assert!(findings.iter().all(|finding| finding.repaired), "{findings:?}");
        assert_eq!(check(&drives.files), []);
        holders[0].fail("pulled");
        holders[1].fail("pulled");
        let (_, memory) = loaded(&drives.files).unwrap().unwrap();
        assert!(memory == still.memory, "any one copy will do again");
    }

    #[test]
    fn what_is_bad_in_every_copy_is_told() {
        let drives = drives();
        take(&Still::new(9, 5_000), &drives.files).unwrap();
        for holder in drives.files.list().remove(&9).unwrap() {
            drives.simulated[usize::from(holder.position())].flip_bit(&path(9), 8 * 100_000).unwrap();
        }
        let findings = check(&drives.files);
        assert!(findings.len() == 3 && findings.iter().all(|finding| !finding.repaired));
    }

    #[test]
    fn a_lost_copy_is_made_again_elsewhere() {
        let drives = drives();
        let still = Still::new(9, 1_000);
        take(&still, &drives.files).unwrap();
        let holders = drives.files.list().remove(&9).unwrap();
        holders[0].fail("pulled");
        holders[1].fail("pulled");
        assert_eq!(heal(&drives.files).unwrap(), 2);
        assert_eq!(drives.files.list().remove(&9).unwrap().len(), 3);
        holders[2].fail("pulled");
        let (_, memory) = loaded(&drives.files).unwrap().unwrap();
        assert!(memory == still.memory);
        assert_eq!(heal(&drives.files).unwrap(), 1);
    }

    #[test]
    fn a_checkpoint_is_read_key_by_key() {
        let drives = drives();
        let still = Still::new(9, 5_000);
        take(&still, &drives.files).unwrap();
        let holders = drives.files.list().remove(&9).unwrap();
        let open = || Image::open(Reader::open(9, &holders).unwrap(), &mut |_| Ok(()));
        let image = open().unwrap();
        let pairs = |base: &dyn Base, from: &[u8], to: &[u8], max: usize| {
            let mut pairs = Vec::new();
            base.scan(from, to, &mut |key, value| {
                pairs.push((key.to_vec(), value.clone()));
                if pairs.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .unwrap();
            pairs
        };
        assert!(pairs(&image, &[], &[0xff], usize::MAX) == pairs(&still.memory, &[], &[0xff], usize::MAX));
        for number in (0..5_100u16).step_by(7) {
            let key = [&[2], number.to_be_bytes().as_slice()].concat();
            assert_eq!(image.get(&key).unwrap(), still.memory.get(&key).unwrap(), "{number}");
            let between = [key.as_slice(), &[0]].concat();
            assert_eq!(image.get(&between).unwrap(), None);
            let end = [2, 0x0a, 0];
            assert!(pairs(&image, &between, &end, 3) == pairs(&still.memory, &between, &end, 3), "{number}");
        }
        assert_eq!(image.get(&[1]).unwrap(), None);
        assert_eq!(image.get(&[3]).unwrap(), None);
        for holder in &holders {
            drives.simulated[usize::from(holder.position())].flip_bit(&path(9), 8 * 400_000).unwrap();
        }
        assert!(open().is_err(), "no copy has that block");
    }
}
