//! Writes a file to several drives at once. It gets its name on each of them once it is whole and synced there.

use std::io;
use std::sync::Arc;
use stratum_storage::drive::{Drive, FileIo, OpenHow};

/// What is added to the name of a file that is not whole yet.
pub(super) const UNFINISHED: &str = ".new";

/// A file that is being written.
pub(super) struct Output {
    dir: &'static str,
    name: String,
    drives: Vec<Arc<Drive>>,
    files: Vec<Arc<dyn FileIo>>,
    offset: u64,
}

impl Output {
    pub(super) fn create(dir: &'static str, name: String, drives: Vec<Arc<Drive>>) -> io::Result<Output> {
        let path = format!("{dir}/{name}{UNFINISHED}");
        let mut files = Vec::new();
        for drive in &drives {
            drive.io().create_dir(dir)?;
            drive.io().sync_dir("")?;
            match drive.io().remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => files.push(drive.io().open(&path, OpenHow::CreateNew)?),
            }
        }
        Ok(Output { dir, name, drives, files, offset: 0 })
    }

    /// The offset of the next bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn append(&mut self, bufs: &[&[u8]]) -> io::Result<()> {
        let length: u64 = bufs.iter().map(|buf| buf.len() as u64).sum();
        for file in &self.files {
            file.write_at(bufs, self.offset)?;
            file.start_writeback(self.offset, length);
        }
        self.offset += length;
        Ok(())
    }

    /// Syncs the file, gives it its name, and syncs the directory, on every drive. Gives the file's length.
    pub(super) fn finish(self) -> io::Result<u64> {
        let to = format!("{}/{}", self.dir, self.name);
        let from = format!("{to}{UNFINISHED}");
        for (drive, file) in self.drives.iter().zip(&self.files) {
            file.sync()?;
            drive.io().rename(&from, &to)?;
            drive.io().sync_dir(self.dir)?;
        }
        Ok(self.offset)
    }

    /// Removes the unfinished file.
    pub(super) fn abandon(self) {
        for drive in &self.drives {
            let path = format!("{}/{}{UNFINISHED}", self.dir, self.name);
            if let Err(error) = drive.io().remove(&path) {
                tracing::warn!(drive = drive.label(), path, %error, "an unfinished file could not be removed");
            }
        }
    }
}
