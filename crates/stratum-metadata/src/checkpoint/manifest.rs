//! The manifest of a checkpoint: what its state has applied, and the range files that hold the state, level by level
//! and each level in the order of its keys. A file in which nothing changed is named by several checkpoints.

use super::format::{self, Form, FormatError, HEADER_LEN};
use super::frame::Salt;
use super::range::RangeRecord;
use crate::record::Applied;

/// The contents of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(super) applied: Applied,
    pub(super) base: Vec<RangeRecord>,
    /// What changed since the base was merged.
    pub(super) run: Vec<RangeRecord>,
    /// Files of runs that sank between run and base, because a block of them is lost.
    pub(super) sunk: Vec<RangeRecord>,
}

impl Manifest {
    /// All range files that the manifest names.
    pub(super) fn ranges(&self) -> impl Iterator<Item = &RangeRecord> {
        [&self.base, &self.run, &self.sunk].into_iter().flatten()
    }

    fn form(&self) -> Form {
        match (self.run.is_empty(), self.sunk.is_empty()) {
            (_, false) => Form::ManifestWithSunk,
            (false, true) => Form::ManifestWithRun,
            (true, true) => Form::Manifest,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let list = match self.form() {
            Form::ManifestWithSunk => postcard::to_stdvec(&(&self.base, &self.run, &self.sunk)),
            Form::ManifestWithRun => postcard::to_stdvec(&(&self.base, &self.run)),
            Form::Manifest | Form::SingleFile => postcard::to_stdvec(&self.base),
        };
        // Encoding can't fail: the lists hold only numbers and bytes.
        let list = list.unwrap_or_default();
        let frame = self.salt().header(HEADER_LEN as u64, &list, false);
        [format::header(&self.applied, self.form()).as_slice(), &frame, &list].concat()
    }

    fn salt(&self) -> Salt {
        Salt::new(self.applied.index, self.applied.hash, 0)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, FormatError> {
        let damaged = || FormatError::Damaged(HEADER_LEN as u64);
        let (header, frame) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let (applied, form) = format::parse_header(header)?;
        let mut manifest = Manifest { applied, base: Vec::new(), run: Vec::new(), sunk: Vec::new() };
        let list = manifest.salt().parse(HEADER_LEN as u64, frame.to_vec()).ok_or_else(damaged)?;
        match form {
            Form::SingleFile => return Err(damaged()),
            Form::Manifest => manifest.base = postcard::from_bytes(&list.bytes).map_err(|_| damaged())?,
            Form::ManifestWithRun => {
                (manifest.base, manifest.run) = postcard::from_bytes(&list.bytes).map_err(|_| damaged())?;
            }
            Form::ManifestWithSunk => {
                (manifest.base, manifest.run, manifest.sunk) =
                    postcard::from_bytes(&list.bytes).map_err(|_| damaged())?;
            }
        }
        if manifest.makes_sense() && manifest.form() == form { Ok(manifest) } else { Err(damaged()) }
    }

    /// Whether the files of each level follow one another and, where all of the state is in the base, add up to its
    /// fingerprint.
    fn makes_sense(&self) -> bool {
        let ascend = |ranges: &[RangeRecord]| ranges.windows(2).all(|pair| pair[0].first < pair[1].first);
        let sum = self.base.iter().fold(0u128, |sum, range| sum.wrapping_add(range.fingerprint));
        let is_in_base = self.run.is_empty() && self.sunk.is_empty();
        let is_proven = !is_in_base || sum == self.applied.fingerprint;
        is_proven && ascend(&self.base) && ascend(&self.run) && ascend(&self.sunk)
    }
}
