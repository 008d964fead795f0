//! A drive that is looked at and never changed: what the tools for a stopped server see of it.
//!
//! Files open for reading whatever was asked for, so that code which opens them to write later runs on a filesystem
//! that is mounted read-only; every change is refused here, so that no caller has to be trusted.

use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// A [`DriveIo`] of which nothing can be changed.
#[derive(Debug)]
pub struct ReadOnly {
    io: Arc<dyn DriveIo>,
}

impl ReadOnly {
    /// Nothing that the drive holds is changed through this.
    pub fn new(io: Arc<dyn DriveIo>) -> Arc<ReadOnly> {
        Arc::new(ReadOnly { io })
    }
}

fn refuse<T>() -> io::Result<T> {
    Err(ErrorKind::ReadOnlyFilesystem.into())
}

impl DriveIo for ReadOnly {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        match how {
            OpenHow::Read | OpenHow::Write => {
                Ok(Arc::new(ReadOnlyFile { file: self.io.open(path, OpenHow::Read)? }))
            }
            OpenHow::CreateNew => refuse(),
        }
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refuse()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refuse()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.io.list(dir)
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        refuse()
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        refuse()
    }

    fn space(&self) -> io::Result<Space> {
        self.io.space()
    }

    fn domain(&self) -> Domain {
        self.io.domain()
    }

    fn lock(&self) -> io::Result<()> {
        self.io.lock()
    }

    fn is_same_root(&self) -> bool {
        self.io.is_same_root()
    }

    fn describe(&self) -> String {
        self.io.describe()
    }

    fn folder(&self) -> Option<&Path> {
        self.io.folder()
    }
}

#[derive(Debug)]
struct ReadOnlyFile {
    file: Arc<dyn FileIo>,
}

impl FileIo for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at_cached(buf, offset)
    }

    fn write_at(&self, _: &[&[u8]], _: u64) -> io::Result<()> {
        refuse()
    }

    fn sync(&self) -> io::Result<()> {
        refuse()
    }

    fn start_writeback(&self, _: u64, _: u64) {}

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        refuse()
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        refuse()
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        refuse()
    }

    fn is_linked(&self) -> bool {
        self.file.is_linked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::simulated::{Power, SimulatedDrive};

    #[test]
    fn files_are_read_and_nothing_is_changed() {
        let disk = SimulatedDrive::new("disk", 1, &Arc::new(Power::default()));
        let io = disk.attach();
        io.open("file", OpenHow::CreateNew).unwrap().write_at(&[b"bytes"], 0).unwrap();
        let only = ReadOnly::new(io.clone());
        let file = only.open("file", OpenHow::Write).unwrap();
        let mut bytes = [0; 5];
        assert_eq!((file.read_at(&mut bytes, 0).unwrap(), &bytes), (5, b"bytes"));
        let refusals = [
            file.write_at(&[b"x"], 0),
            file.set_len(0),
            file.allocate(0, 9),
            file.punch(0, 1),
            file.sync(),
            only.rename("file", "other"),
            only.remove("file"),
            only.create_dir("dir"),
            only.sync_dir(""),
            only.open("new", OpenHow::CreateNew).map(drop),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
        }
        assert_eq!(io.list("").unwrap().len(), 1);
    }
}
