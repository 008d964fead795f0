//! A checkpoint that isn't open yet, of which only the manifest or the header of a single file has been read.

use super::files::{Files, Listing};
use super::image::Image;
use super::level::Level;
use super::levels::Levels;
use super::manifest::Manifest;
use super::range::{Range, RangeRecord};
use super::single;
use super::{Checkpoint, CheckpointError};
use crate::record::Applied;
use std::sync::Arc;

/// A stored checkpoint in one of its two forms.
pub(crate) enum Stored {
    SingleFile(single::Reader),
    Manifest(Manifest),
}

impl Stored {
    pub(crate) fn applied(&self) -> Applied {
        match self {
            Stored::SingleFile(reader) => reader.applied(),
            Stored::Manifest(manifest) => manifest.applied,
        }
    }

    /// The range files that the checkpoint names.
    pub(super) fn ranges(self) -> Vec<RangeRecord> {
        match self {
            Stored::SingleFile(_) => Vec::new(),
            Stored::Manifest(Manifest { base, run, sunk, .. }) => [base, run, sunk].concat(),
        }
    }

    /// Opens the checkpoint to read keys.
    ///
    /// # Errors
    /// A range file that the checkpoint names is on no drive, or a single file isn't whole. Blocks of range files are
    /// verified only when they are read.
    pub(super) fn open(self, files: &Files, listing: &Listing) -> Result<Checkpoint, CheckpointError> {
        match self {
            Stored::SingleFile(reader) => Ok(Checkpoint::of_image(Image::open(reader)?)),
            Stored::Manifest(Manifest { applied, base, run, sunk }) => {
                let open = |record: RangeRecord| {
                    let holders = listing.holders(&record);
                    match holders.is_empty() {
                        true => Err(CheckpointError::NotThere(record.id.name())),
                        false => Ok(files.range(record, &holders)),
                    }
                };
                let level = |records: Vec<RangeRecord>| -> Result<Level, CheckpointError> {
                    let ranges: Result<Vec<Arc<Range>>, _> = records.into_iter().map(open).collect();
                    Ok(Level::new(ranges?))
                };
                let levels = Levels { base: level(base)?, sunk: level(sunk)?, run: level(run)? };
                Ok(Checkpoint::of_levels(applied, levels))
            }
        }
    }
}
