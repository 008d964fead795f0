//! One file of which several drives hold the same bytes. Where one copy is bad or late, another one is read.
//!
//! Most reads are answered by the page cache on the calling thread. The others are answered by whichever drive gives
//! the bytes first.

use super::frame::{FRAME_HEADER_LEN, Framed, Salt};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use stratum_storage::drive::hedged::{self, Copy, Unread};
use stratum_storage::drive::{self, Drive, DriveId, OpenHow};
use tracing_mutex::parkinglot::{Mutex, RwLock};

/// Copies in which something bad was read: the file, and the drive that holds it.
pub(super) type Bad = Mutex<BTreeSet<(String, DriveId)>>;

/// Why no copy gave a frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFrame {
    /// Healthy drives hold the file, and none of them gives what was written.
    #[error("{file} can't be read at byte {offset} on any of {}", labels(.drives).join(", "))]
    Lost { file: String, offset: u64, drives: Vec<Arc<Drive>> },
    /// No healthy drive holds the file, or none of them answers.
    #[error("{0}")]
    Away(String),
}

impl From<NoFrame> for io::Error {
    fn from(error: NoFrame) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

pub(super) fn labels(drives: &[Arc<Drive>]) -> Vec<String> {
    drives.iter().map(|drive| drive.label()).collect()
}

/// A file on several drives.
#[derive(Debug)]
pub(super) struct Copies {
    path: String,
    salt: Salt,
    copies: RwLock<Vec<Copy>>,
    bad: Arc<Bad>,
}

impl Copies {
    pub(super) fn new(path: String, salt: Salt, holders: &[Arc<Drive>], bad: Arc<Bad>) -> Copies {
        let copies = Copies { path, salt, copies: RwLock::default(), bad };
        copies.reopen(holders);
        copies
    }

    /// Reads from the copies on these drives from now on.
    pub(super) fn reopen(&self, holders: &[Arc<Drive>]) {
        let open = |drive: &Arc<Drive>| match drive.io().open(&self.path, OpenHow::Read) {
            Ok(file) => Some(Copy { drive: drive.clone(), file }),
            Err(error) => {
                tracing::warn!(drive = drive.label(), file = self.path, %error, "a copy can't be read");
                None
            }
        };
        *self.copies.write() = holders.iter().filter_map(open).collect();
    }

    /// The drives that hold it.
    pub(super) fn holders(&self) -> Vec<Arc<Drive>> {
        self.copies.read().iter().map(|copy| copy.drive.clone()).collect()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn salt(&self) -> Salt {
        self.salt
    }

    /// Reads and verifies the frame of that length at `offset`.
    ///
    /// # Errors
    /// No copy gives the frame.
    pub(super) fn frame(&self, offset: u64, length: usize) -> Result<Framed, NoFrame> {
        let mut copies = self.copies.read().clone();
        if copies.is_empty() {
            return Err(self.nowhere(offset));
        }
        // Different blocks are read from different drives, and those that are late come last.
        let first = (offset / length.max(1) as u64) as usize % copies.len();
        copies.rotate_left(first);
        hedged::soonest_first(&mut copies);
        if let Some(framed) = self.cached(&copies[0], offset, length) {
            return Ok(framed);
        }
        let (mut bad, verify) = (BTreeMap::new(), |bytes| self.salt.parse(offset, bytes));
        let read = hedged::read(&copies, offset, length, verify, |drive, error| {
            bad.insert(drive.id(), error);
        });
        match read {
            Ok(framed) => {
                for copy in &copies {
                    if let Some(error) = bad.remove(&copy.drive.id()) {
                        self.mark_bad(&copy.drive, offset, error);
                    }
                }
                Ok(framed)
            }
            Err(Unread::Bad) if copies.iter().any(|copy| copy.drive.is_healthy()) => {
                Err(self.nowhere(offset))
            }
            Err(_) => Err(NoFrame::Away(self.nowhere(offset).to_string())),
        }
    }

    /// The bytes of the first copy that can be read there, whether they verify or not; zeros if none can be read.
    pub(super) fn raw(&self, offset: u64, length: usize) -> Vec<u8> {
        let read = |copy: &Copy| {
            let mut bytes = vec![0; length];
            matches!(copy.file.read_at(&mut bytes, offset), Ok(read) if read == length).then_some(bytes)
        };
        let copies = self.copies.read().clone();
        copies.iter().find_map(read).unwrap_or_else(|| vec![0; length])
    }

    /// The frame from the page cache, if that holds a good one of this copy.
    fn cached(&self, copy: &Copy, offset: u64, length: usize) -> Option<Framed> {
        let mut bytes = vec![0; length];
        match copy.file.read_at_cached(&mut bytes, offset) {
            Ok(read) if read == length => self.salt.parse(offset, bytes),
            _ => None,
        }
    }

    /// Something else was read than was written: to be written anew.
    fn mark_bad(&self, drive: &Drive, offset: u64, error: Option<io::Error>) {
        if error.as_ref().is_some_and(drive::is_out) {
            return;
        }
        let problem = error.map_or_else(|| "it doesn't verify".to_owned(), |error| error.to_string());
        tracing::warn!(
            drive = drive.label(),
            file = self.path,
            offset,
            problem,
            "a block is bad in this copy"
        );
        drive.found_rot();
        self.bad.lock().insert((self.path.clone(), drive.id()));
    }

    /// The error for a frame that no copy gave.
    fn nowhere(&self, offset: u64) -> NoFrame {
        let drives: Vec<Arc<Drive>> = self.copies.read().iter().map(|copy| copy.drive.clone()).collect();
        match drives.is_empty() {
            true => NoFrame::Away(format!("no drive that is there holds {}", self.path)),
            false => NoFrame::Lost { file: self.path.clone(), offset, drives },
        }
    }

    /// Reads frames one after the other, from `offset` to `end`.
    pub(super) fn frames(
        &self,
        offset: u64,
        end: u64,
    ) -> impl Iterator<Item = Result<(u64, Framed), NoFrame>> + '_ {
        let mut next = Some(offset).filter(|offset| *offset < end);
        std::iter::from_fn(move || {
            let offset = next.take()?;
            let framed = self.length_at(offset, end).and_then(|length| {
                next = Some(offset + length as u64).filter(|next| *next < end);
                self.frame(offset, length)
            });
            Some(framed.map(|framed| (offset, framed)))
        })
    }

    /// The length of the frame at `offset`. Where copies differ, it is the one whose frame verifies.
    fn length_at(&self, offset: u64, end: u64) -> Result<usize, NoFrame> {
        let copies = self.copies.read().clone();
        let mut lengths: Vec<usize> = Vec::new();
        for copy in copies.iter() {
            let mut header = [0; FRAME_HEADER_LEN];
            if matches!(copy.file.read_at(&mut header, offset), Ok(FRAME_HEADER_LEN)) {
                let length = Salt::length(header);
                if offset + length as u64 <= end && !lengths.contains(&length) {
                    lengths.push(length);
                }
            }
        }
        match lengths.as_slice() {
            [] => Err(self.nowhere(offset)),
            [length] => Ok(*length),
            several => {
                let sound = several.iter().find(|length| self.frame(offset, **length).is_ok());
                sound.copied().ok_or_else(|| self.nowhere(offset))
            }
        }
    }
}
