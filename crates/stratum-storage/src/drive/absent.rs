//! The files of a drive that is not there: every operation says so.

use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space};
use std::io;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Absent {
    pub(super) label: String,
}

impl Absent {
    fn refuse<T>(&self) -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::NotConnected, format!("drive {} is missing", self.label)))
    }
}

impl DriveIo for Absent {
    fn open(&self, _: &str, _: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        self.refuse()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        self.refuse()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        self.refuse()
    }

    fn list(&self, _: &str) -> io::Result<Vec<Entry>> {
        self.refuse()
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        self.refuse()
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        self.refuse()
    }

    fn space(&self) -> io::Result<Space> {
        self.refuse()
    }

    /// No device that a present drive could be on.
    fn domain(&self) -> Domain {
        Domain::here(u64::MAX)
    }

    fn lock(&self) -> io::Result<()> {
        self.refuse()
    }

    fn is_same_root(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("{} (missing)", self.label)
    }
}
