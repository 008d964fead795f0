//! What keeps a drive's directory open: its root, which also holds the lock, and the way back to it.
//!
//! A drive that failed, was replaced or was taken out must be free to be unmounted, repaired and mounted again, so
//! nothing of it stays open. One that failed may still answer reads, and what it holds may be the last copy: whoever
//! reads it opens what it needs for that one read. What a thread uses that hangs in the kernel is closed when it
//! returns.

use super::{DriveIo, FileIo, Way};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};
use tracing_mutex::parkinglot::{Mutex, RwLock};

/// A drive's directory.
#[derive(Debug)]
pub(super) struct DirectoryHold {
    state: RwLock<DirectoryState>,
    /// What was open when it was let go of.
    former: Mutex<Former>,
}

#[derive(Debug)]
enum DirectoryState {
    Open(Arc<dyn DriveIo>),
    /// Nothing stays open; what is read is opened anew.
    LetGo(Arc<dyn Way>),
    /// Nothing is read any more, either.
    Left,
}

#[derive(Debug, Default)]
struct Former {
    root: Option<Weak<dyn DriveIo>>,
    files: Vec<Weak<dyn FileIo>>,
}

impl DirectoryHold {
    pub(super) fn new(io: Arc<dyn DriveIo>) -> DirectoryHold {
        DirectoryHold { state: RwLock::new(DirectoryState::Open(io)), former: Mutex::default() }
    }

    /// The open directory. One that was let go of is opened again, for as long as the answer lives; that may block.
    pub(super) fn io(&self) -> io::Result<Arc<dyn DriveIo>> {
        let way = match &*self.state.read() {
            DirectoryState::Open(io) => return Ok(io.clone()),
            DirectoryState::LetGo(way) => way.clone(),
            DirectoryState::Left => {
                return Err(io::Error::new(ErrorKind::NotConnected, "the drive has left the set"));
            }
        };
        way.open()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.state.read(), DirectoryState::Open(_))
    }

    /// Whether a thread uses the root now, or what was given up.
    pub(super) fn is_in_use(&self) -> bool {
        // The state itself holds one reference.
        let is_used = matches!(&*self.state.read(), DirectoryState::Open(io) if Arc::strong_count(io) > 1);
        is_used || self.still_open() > 0
    }

    /// Gives the root up, so that it is closed when whoever uses it is done. One to which there is no way back is kept.
    pub(super) fn let_go(&self) -> Option<Arc<dyn DriveIo>> {
        let mut state = self.state.write();
        let way = match &*state {
            DirectoryState::Open(io) => io.way()?,
            DirectoryState::LetGo(_) | DirectoryState::Left => return None,
        };
        self.opened(std::mem::replace(&mut *state, DirectoryState::LetGo(way)))
    }

    /// Gives the root up for good.
    pub(super) fn leave(&self) -> Option<Arc<dyn DriveIo>> {
        let former = std::mem::replace(&mut *self.state.write(), DirectoryState::Left);
        self.opened(former)
    }

    fn opened(&self, former: DirectoryState) -> Option<Arc<dyn DriveIo>> {
        let DirectoryState::Open(root) = former else { return None };
        self.former.lock().root = Some(Arc::downgrade(&root));
        Some(root)
    }

    /// Counts these files among those that are given up.
    pub(super) fn giving_up(&self, files: &[Arc<dyn FileIo>]) {
        self.former.lock().files.extend(files.iter().map(Arc::downgrade));
    }

    /// How many handles that were given up somebody still uses.
    pub(super) fn still_open(&self) -> usize {
        let mut former = self.former.lock();
        former.files.retain(|file| file.strong_count() > 0);
        former.files.len() + usize::from(former.root.as_ref().is_some_and(|root| root.strong_count() > 0))
    }
}
