//! The files of a checkpoint as they lie on drives, read to be copied to a remote store, and read back from there.
//!
//! A file of the same name may have other bytes in another history of the store, for example after a restore. Its
//! *stamp* tells the two apart: for a range file the hash that the manifest has of it, for a manifest the hash of its
//! bytes.

use super::Checkpoint;
use super::files;
use super::frame::{Passing, Salt};
use super::manifest::Manifest;
use super::range::{self, Pieces, Range, RangeId, RangeRecord};
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::remote::state::{Pieces as Read, StateFile};
use xxhash_rust::xxh3::xxh3_128;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A checkpoint's files. They stay readable if they are removed from the drives meanwhile.
#[derive(Debug)]
pub struct CarriedCheckpoint {
    /// The journal entry that the checkpoint is as of.
    pub index: Index,
    manifest: Vec<u8>,
    ranges: Vec<Arc<Range>>,
}

/// What a manifest says, for a reader that has its bytes and no drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadManifest {
    /// The journal entry that the state is as of.
    pub index: Index,
    /// The range files that the manifest names, without which it is useless.
    pub names: Vec<StateFile>,
}

impl CarriedCheckpoint {
    /// The files of a checkpoint; none if it is a single file, which the next checkpoint replaces.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Option<CarriedCheckpoint> {
        let levels = checkpoint.levels()?;
        let records = |ranges: &[Arc<Range>]| ranges.iter().map(|range| range.record.clone()).collect();
        let manifest = Manifest {
            applied: checkpoint.applied(),
            base: records(levels.base.ranges()),
            run: records(levels.run.ranges()),
            sunk: records(levels.sunk.ranges()),
        };
        let (index, manifest) = (checkpoint.applied().index, manifest.encode());
        Some(CarriedCheckpoint { index, manifest, ranges: levels.ranges().cloned().collect() })
    }

    /// The manifest. It must be written last, since a checkpoint counts by its manifest.
    pub fn manifest(&self) -> StateFile {
        let (stamp, length) = (xxh3_128(&self.manifest), self.manifest.len() as u64);
        StateFile { name: files::name(self.index), stamp, length }
    }

    /// The range files.
    pub fn ranges(&self) -> impl Iterator<Item = StateFile> {
        self.ranges.iter().map(|range| named(&range.record))
    }

    /// Reads a file piece by piece; an empty piece is the end. All bytes are verified. Blocks.
    pub fn read(&self, file: &StateFile) -> Read {
        let found = self.ranges.iter().find(|range| named(&range.record) == *file);
        let mut pieces = found.map(|range| Pieces::of(range.clone()));
        let mut manifest = (self.manifest() == *file).then(|| self.manifest.clone());
        Box::new(move || match &mut pieces {
            Some(pieces) => pieces.next(PIECE_BYTES),
            None => Ok(manifest.take().unwrap_or_default()),
        })
    }
}

/// A range file's bytes as they come from elsewhere: whether they are what was written. Its name and stamp say enough for that.
pub struct RangeCheck {
    header: [u8; range::HEADER_LEN],
    frames: Passing,
    /// How many bytes came, and how many are to come in all.
    seen: u64,
    length: u64,
}

impl RangeCheck {
    /// Nothing of a file that isn't a range file.
    pub fn of(file: &StateFile) -> Option<RangeCheck> {
        let id = RangeId::parse(&file.name)?;
        let salt = Salt::new(id.index, file.stamp, id.number);
        Some(RangeCheck {
            header: range::header(id, file.stamp),
            frames: Passing::new(salt, range::HEADER_LEN as u64),
            seen: 0,
            length: file.length,
        })
    }

    /// Takes the next bytes; false as soon as they aren't what was written.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        let of_header = self.header.get(self.seen as usize..).unwrap_or_default();
        let (begin, rest) = piece.split_at(piece.len().min(of_header.len()));
        let is_header = of_header.starts_with(begin);
        self.seen += piece.len() as u64;
        is_header && self.seen <= self.length && self.frames.take(rest)
    }

    /// Whether all of it came.
    pub fn is_whole(&self) -> bool {
        self.seen == self.length && self.frames.is_between_frames()
    }
}

/// A range file of which something is lost: drives that are well hold it, and none of them gives some block. Who has a copy of the file
/// has what was in it.
#[derive(Clone, Debug)]
pub struct LostFile(Arc<Range>);

impl LostFile {
    pub(crate) fn all_of(checkpoint: &Checkpoint) -> impl Iterator<Item = LostFile> {
        checkpoint.ranges().filter(|range| range.lost().is_some()).cloned().map(LostFile)
    }

    /// Its name, and what tells it from all other files of that name.
    pub fn file(&self) -> StateFile {
        named(&self.0.record)
    }

    /// Writes to the drives what none of them gives of the file, from a copy of it; says how many blocks that were. If these bytes aren't
    /// the file's, nothing is written, and it says nothing. Blocks.
    ///
    /// # Errors
    /// No drive takes it.
    pub fn put_back(&self, copy: &[u8]) -> io::Result<Option<usize>> {
        self.0.put_back(copy)
    }
}

fn named(record: &RangeRecord) -> StateFile {
    StateFile { name: record.id.name(), stamp: record.hash, length: record.bytes }
}

impl ReadManifest {
    /// Whether a file of that name is a manifest, and no range file.
    pub fn is_named(name: &str) -> bool {
        files::parse_name(name).is_some() && RangeId::parse(name).is_none()
    }

    /// Reads a manifest. Gives none if its bytes don't fit the stamp, or a newer binary wrote it.
    pub fn parse(stamp: u128, bytes: &[u8]) -> Option<ReadManifest> {
        let manifest = Manifest::parse(bytes).ok().filter(|_| xxh3_128(bytes) == stamp)?;
        Some(ReadManifest { index: manifest.applied.index, names: manifest.ranges().map(named).collect() })
    }
}
