//! The files of a checkpoint as they lie on drives, read out to be kept elsewhere, too; and what such a file says of others.
//!
//! A file of a name may have had other bytes in another history of the store, as after a restore. Its *stamp* tells them apart: of
//! a range file the hash that the manifest says of it, of a manifest the hash of its bytes.

use super::Checkpoint;
use super::files;
use super::manifest::Manifest;
use super::range::{Pieces, Range, RangeId, RangeRecord};
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::remote::state::{Pieces as Read, StateFile};
use xxhash_rust::xxh3::xxh3_128;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A checkpoint's files. What is removed from the drives meanwhile stays readable.
#[derive(Debug)]
pub struct CarriedCheckpoint {
    /// The entry of the journal that it is as of.
    pub index: Index,
    manifest: Vec<u8>,
    ranges: Vec<Arc<Range>>,
}

/// What a manifest says, for who has its bytes and no drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadManifest {
    /// The entry of the journal that the state is as of.
    pub index: Index,
    /// The files without which it is nothing.
    pub names: Vec<StateFile>,
}

impl CarriedCheckpoint {
    /// Nothing of a single file, which the next checkpoint replaces.
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

    /// The manifest: it counts when all that it names is there.
    pub fn manifest(&self) -> StateFile {
        let (stamp, length) = (xxh3_128(&self.manifest), self.manifest.len() as u64);
        StateFile { name: files::name(self.index), stamp, length }
    }

    /// The range files.
    pub fn ranges(&self) -> impl Iterator<Item = StateFile> {
        self.ranges.iter().map(|range| named(&range.record))
    }

    /// Reads a file of it, some bytes at a time and none at its end; each is verified. Blocks.
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

fn named(record: &RangeRecord) -> StateFile {
    StateFile { name: record.id.name(), stamp: record.hash, length: record.bytes }
}

impl ReadManifest {
    /// Whether a file of that name is a manifest, and no range file.
    pub fn is_named(name: &str) -> bool {
        files::parse_name(name).is_some() && RangeId::parse(name).is_none()
    }

    /// What the bytes of a manifest say; nothing if they aren't what was written, or a newer binary wrote them.
    pub fn parse(stamp: u128, bytes: &[u8]) -> Option<ReadManifest> {
        let manifest = Manifest::parse(bytes).ok().filter(|_| xxh3_128(bytes) == stamp)?;
        Some(ReadManifest { index: manifest.applied.index, names: manifest.ranges().map(named).collect() })
    }
}
