//! Room that is kept for the index on the disk of its home: the *ballast*, a file that takes as much as two trees.
//!
//! Where that disk is full to the last byte, sled fails, and no other tree can be begun there: nothing would be served,
//! not even the deletes that make room. So the ballast is given up when the index failed and the disk lacks room, before
//! the index is rebuilt, and is made again when there is plenty. Where there is little it isn't made, since it might be
//! what fills the disk.

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing_mutex::parkinglot::Mutex;

/// The size of the ballast, as a multiple of the bytes of changes at which a tree is closed: two trees are there while
/// one of them is merged, and sled takes about twice what it holds.
const BALLAST_FACTOR: u64 = 4;
/// The ballast is made if this multiple of its size stays free beside it.
const LEFT_FACTOR: u64 = 3;
/// The disk lacks room if less than one of so many parts of the ballast is free there.
const LACK_DIVISOR: u64 = 4;
/// How much is written at a time where the file system can't allocate without writing.
const CHUNK_BYTES: usize = 64 << 10;
/// The end of the ballast's name, which begins with that of the home.
const ENDING: &str = ".ballast";

/// Whether room is kept for the index on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ballast {
    /// Not yet, or the disk has little room.
    #[default]
    None,
    Kept,
    /// The disk was full, and the index uses that room.
    GivenUp,
}

/// The room that is kept beside the home of the index.
#[derive(Debug)]
pub(crate) struct Room {
    path: PathBuf,
    bytes: u64,
    now: Mutex<Ballast>,
}

impl Room {
    /// The room beside `home` for trees that are closed at so many bytes of changes.
    pub(crate) fn beside(home: &Path, changes_bytes: u64) -> Room {
        let mut name = home.as_os_str().to_owned();
        name.push(ENDING);
        let bytes = changes_bytes.saturating_mul(BALLAST_FACTOR);
        Room { path: name.into(), bytes, now: Mutex::default() }
    }

    pub(crate) fn ballast(&self) -> Ballast {
        *self.now.lock()
    }

    /// Gives the ballast up if the disk lacks room. Says whether it did.
    pub(crate) fn make_way(&self) -> bool {
        let lacks_room = || self.free().is_ok_and(|free| free < self.bytes / LACK_DIVISOR);
        if !self.path.exists() || !lacks_room() {
            return false;
        }
        let path = self.path.display();
        match fs::remove_file(&self.path) {
            Ok(()) => {
                let bytes = self.bytes;
                tracing::error!(%path, bytes, "the disk of the index is full: the room that was kept there is used now; free some space");
                *self.now.lock() = Ballast::GivenUp;
                true
            }
            Err(error) => {
                tracing::error!(%path, %error, "the disk of the index is full, and the room that is kept there can't be used");
                false
            }
        }
    }

    /// Makes the ballast if it isn't there and the disk has plenty of room. To be called while the disk of the home is
    /// there: it would be made on the disk beneath otherwise. Blocks; whoever asks for the status meanwhile doesn't.
    pub(crate) fn keep(&self) {
        let made = self.make();
        let mut now = self.now.lock();
        match made {
            Ok(true) if *now == Ballast::GivenUp => {
                tracing::info!(path = %self.path.display(), "the disk of the index has room again, some of which is kept for it");
                *now = Ballast::Kept;
            }
            Ok(true) => *now = Ballast::Kept,
            Ok(false) if *now == Ballast::Kept => *now = Ballast::None,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "no room can be kept for the index");
                if *now == Ballast::Kept {
                    *now = Ballast::None;
                }
            }
        }
    }

    /// Whether the ballast is there now.
    fn make(&self) -> io::Result<bool> {
        if self.bytes == 0 {
            return Ok(false);
        }
        // A file with holes, such as a copy, keeps nothing.
        let is_whole = |file: fs::Metadata| file.blocks() * 512 >= self.bytes;
        if fs::metadata(&self.path).is_ok_and(is_whole) {
            return Ok(true);
        }
        if self.free()? < self.bytes.saturating_mul(1 + LEFT_FACTOR) {
            return Ok(false);
        }
        let made = fill(&File::create(&self.path)?, self.bytes);
        if made.is_err() {
            fs::remove_file(&self.path)?;
        }
        made.map(|()| true)
    }

    /// What is free on the disk, in bytes.
    fn free(&self) -> io::Result<u64> {
        #[cfg(test)]
        if let Some(free) = crate::tree::faults::free_beside(&self.path) {
            return Ok(free);
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let stat = statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Has a new file take so many bytes of its disk.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    if fallocate(file, FallocateFlags::empty(), 0, bytes).is_ok() {
        return Ok(());
    }
    // Such a file system may compress what repeats.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut chunk = vec![0u8; CHUNK_BYTES];
    for eight in chunk.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        eight.copy_from_slice(&state.to_le_bytes());
    }
    let mut left = bytes;
    while left > 0 {
        let some = chunk.get(..left.min(CHUNK_BYTES as u64) as usize).unwrap_or(&chunk);
        file.write_all(some)?;
        left -= some.len() as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_takes_its_room_and_is_made_again_where_it_has_holes() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::beside(&dir.path().join("sled"), 1 << 20);
        let path = dir.path().join("sled.ballast");
        room.keep();
        let taken = || fs::metadata(&path).unwrap().blocks() * 512;
        assert!(room.ballast() == Ballast::Kept && taken() >= 4 << 20, "{}", taken());
        File::create(&path).unwrap().set_len(4 << 20).unwrap();
        room.keep();
        assert!(taken() >= 4 << 20, "{}", taken());
        // There is room, so it stays.
        assert!(!room.make_way() && path.exists());
        let file = File::create(&path).unwrap();
        fill(&file, 100_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 100_000);
    }
}
