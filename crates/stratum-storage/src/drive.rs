//! The one seam through which bytes reach a disk.
//!
//! [`DriveIo`] and [`FileIo`] are what the rest of the crate may ask of a drive: few, blocking, relative to the
//! drive's root, and each with the durability that POSIX gives it and no more. [`real`] is a directory of the
//! machine; [`simulated`] is memory that forgets what was not synced. Everything above is written once and runs
//! on both.
//!
//! Rules that every caller keeps: a new file is written under a temporary name, synced, renamed, and each new
//! directory entry up to the root is synced; a failed write or sync is never tried again, it latches the drive.

pub mod lane;
pub mod real;
pub mod simulated;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHow {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write. Its directory exists.
    CreateNew,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
    /// The file's length in bytes; 0 for a directory.
    pub len: u64,
}

/// Bytes on the device that the drive lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What an unprivileged writer may still use.
    pub free: u64,
}

/// One drive's file operations. Paths are relative to its root, `/`-separated, without `.` or `..`.
pub trait DriveIo: Send + Sync + Debug + 'static {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>>;
    /// Replaces `to` if it exists. Durable only after `sync_dir` of both parents.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names in a directory ("" is the root), in no order. `NotFound` if it is not there.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>>;
    /// Makes a directory and its missing parents; it may be there already.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes a directory's entries durable ("" is the root).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    fn space(&self) -> io::Result<Space>;
    /// A number that two drives share exactly when they are on the same device.
    fn device(&self) -> u64;
    /// Takes the lock that keeps a second server off this drive, for as long as the `DriveIo` lives.
    /// `WouldBlock` when another process holds it.
    fn lock(&self) -> io::Result<()>;
    /// Whether the root is still the same directory that was opened.
    fn is_same_root(&self) -> bool;
    /// Where it is, for people.
    fn describe(&self) -> String;
}

/// An open file. Reads and writes carry their offset, so that a file can be shared between threads.
pub trait FileIo: Send + Sync + Debug + 'static {
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads only what the page cache holds (`preadv2(RWF_NOWAIT)`); `WouldBlock` when it does not hold all of it.
    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of the slices, one after the other, from `offset`.
    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()>;
    /// `fdatasync`: everything written before the call is durable when it returns.
    fn sync(&self) -> io::Result<()>;
    /// Starts writing a range back without waiting for it; a hint that may do nothing.
    fn start_writeback(&self, offset: u64, len: u64);
    fn len(&self) -> io::Result<u64>;
    /// Truncates or extends (with a hole).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves blocks for a range, extending the file over it.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Frees the blocks of a range, which reads as zeros afterwards; the length stays.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Whether the open file still has a name (`nlink` > 0).
    fn is_linked(&self) -> bool;
}
