//! The manifest of a checkpoint: what its state has applied, and the range files that hold the state, in the order of their
//! keys. Files that didn't change are named by several checkpoints.

use super::format::{self, Form, FormatError, HEADER_LEN};
use super::frame::Salt;
use super::range::RangeRecord;
use crate::record::Applied;

/// What a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(super) applied: Applied,
    pub(super) ranges: Vec<RangeRecord>,
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Nothing of it can't be written.
        let list = postcard::to_stdvec(&self.ranges).unwrap_or_default();
        let frame = self.salt().header(HEADER_LEN as u64, &list, false);
        [format::header(&self.applied, Form::Manifest).as_slice(), &frame, &list].concat()
    }

    fn salt(&self) -> Salt {
        Salt::new(self.applied.index, self.applied.hash, 0)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, FormatError> {
        let damaged = || FormatError::Damaged(HEADER_LEN as u64);
        let (header, frame) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let (applied, form) = format::parse_header(header)?;
        if form != Form::Manifest {
            return Err(damaged());
        }
        let mut manifest = Manifest { applied, ranges: Vec::new() };
        let list = manifest.salt().parse(HEADER_LEN as u64, frame.to_vec()).ok_or_else(damaged)?;
        manifest.ranges = postcard::from_bytes(&list.bytes).map_err(|_| damaged())?;
        let sum = manifest.ranges.iter().fold(0u128, |sum, range| sum.wrapping_add(range.fingerprint));
        let ascend = manifest.ranges.windows(2).all(|pair| pair[0].first < pair[1].first);
        if sum == applied.fingerprint && ascend { Ok(manifest) } else { Err(damaged()) }
    }
}
