//! The copy of the state that lies beside the volumes: whoever has lost every drive reads in it whose bytes they hold.
//!
//! It is a checkpoint's files, each an object under [`STATE`]. Its name is the file's name on a drive and a *stamp*, which tells
//! its bytes from all others that a file of that name ever had, so an object is never written over with another. A file is sent,
//! read again and compared before anything names it, and the manifest comes last. So a manifest that is there names files that were
//! right, and only what the newest ones name needn't be sent again.
//!
//! What a copy names must not go before there is another: a volume that nothing lives in any more stays until a copy was finished
//! that was begun after it was dropped ([`Remote::may_go`]).

use super::{Listed, Operation, Remote, RemoteError};
use crate::ambient::UnixMillis;
use crate::blob::VolumeId;
use crate::blocking;
use crate::pace::{Class, Pace};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Under which the files of the state's copies lie.
pub const STATE: &str = "state";
/// The longest name that a file has.
const MAX_NAME_BYTES: usize = 64;

/// A file of a copy: its name on a drive, and what tells its bytes from others that had this name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateFile {
    pub name: String,
    pub stamp: u128,
    /// In bytes.
    pub length: u64,
}

impl StateFile {
    /// Its object's name.
    pub fn object(&self) -> String {
        format!("{STATE}/{}-{:032x}", self.name, self.stamp)
    }

    /// What an object is, by its name. Such a file's name has no place in it but a folder's.
    pub fn parse(object: &str, length: u64) -> Option<StateFile> {
        let (name, stamp) = object.strip_prefix(STATE)?.strip_prefix('/')?.split_once('-')?;
        let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'.';
        let is_name = name.bytes().all(is_plain) && !name.starts_with('.') && name.len() <= MAX_NAME_BYTES;
        let file = StateFile { name: name.into(), stamp: u128::from_str_radix(stamp, 16).ok()?, length };
        (is_name && !name.is_empty() && file.object() == object).then_some(file)
    }
}

/// Why a file didn't come there.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It can't be read here.
    #[error("the copy of the state that is here can't be read: {0}")]
    Local(#[from] io::Error),
}

/// Gives a file's bytes, some at a time; none at its end. Blocks.
pub type Pieces = Box<dyn FnMut() -> io::Result<Vec<u8>> + Send>;

/// How many copies were begun and finished, and what waits for one to be finished.
#[derive(Debug, Default)]
pub(super) struct StateCopies {
    /// Whether copies are made, so that one may name what is to go.
    are_made: bool,
    begun: u64,
    /// The last one that was finished.
    finished: u64,
    /// How many had been begun when somebody wanted the volume to go.
    waiting: HashMap<VolumeId, u64>,
}

impl Remote {
    /// From now on copies of the state are made, and an earlier run may have made one.
    pub fn keeps_state(&self) {
        self.copies.lock().are_made = true;
    }

    /// A copy is begun, which names nothing that was dropped before. Gives its number.
    pub fn state_begins(&self) -> u64 {
        let mut copies = self.copies.lock();
        copies.begun += 1;
        copies.begun
    }

    /// That copy is there.
    pub fn state_is_there(&self, number: u64) {
        let mut copies = self.copies.lock();
        copies.finished = copies.finished.max(number);
    }

    /// Whether something waits for a copy, to be removed then.
    pub fn wants_state(&self) -> bool {
        !self.copies.lock().waiting.is_empty()
    }

    /// Whether no copy of the state names a dropped volume any more.
    pub(crate) fn may_go(&self, volume: VolumeId) -> bool {
        let mut copies = self.copies.lock();
        let begun = copies.begun;
        let since = *copies.waiting.entry(volume).or_insert(begun);
        let may_go = !copies.are_made || copies.finished > since;
        if may_go {
            copies.waiting.remove(&volume);
        }
        may_go
    }

    /// All files of copies that are there, and when they came by the remote's clock.
    pub async fn state_files(&self) -> Result<Vec<(StateFile, UnixMillis)>, RemoteError> {
        let (mut files, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.ask(Operation::Look, self.store.list(STATE, after.as_deref())).await?;
            let Some(last) = page.last() else { return Ok(files) };
            after = Some(last.name.clone());
            let file =
                |listed: Listed| Some((StateFile::parse(&listed.name, listed.length)?, listed.modified));
            files.extend(page.into_iter().filter_map(file));
        }
    }

    /// The bytes of a range of a file; fewer where it ends before.
    pub async fn read_state(&self, file: &StateFile, range: Range<u64>) -> Result<Bytes, RemoteError> {
        self.read_range(&file.object(), range).await
    }

    /// Brings a file there and reads it again.
    pub async fn bring_state(
        &self,
        file: &StateFile,
        mut pieces: Pieces,
        pace: &Arc<Pace>,
    ) -> Result<(), StateError> {
        let mut sending = self.send(file.object()).await?;
        loop {
            let read = blocking::spawn(move || (pieces(), pieces)).await;
            let (piece, rest) = match read.map_err(io::Error::other) {
                Ok((Ok(piece), rest)) => (piece, rest),
                Ok((Err(error), _)) | Err(error) => {
                    sending.give_up().await;
                    return Err(error.into());
                }
            };
            if piece.is_empty() {
                break;
            }
            pieces = rest;
            drop(pace.turn(Class::Transition, piece.len() as u64).await);
            if let Err(error) = sending.push(&piece).await {
                sending.give_up().await;
                return Err(error.into());
            }
        }
        let sent = sending.finish().await?;
        if let Err(error) = sent.compare().await {
            sent.take_back().await;
            return Err(error.into());
        }
        Ok(())
    }

    /// Removes a file that no copy names.
    pub async fn remove_state(&self, file: &StateFile) -> Result<(), RemoteError> {
        self.remove(&file.object()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_name_is_no_file_of_a_copy() {
        for (name, stamp) in [("000000000000002a", 7), ("000000000000002a.80000001", u128::MAX)] {
            let file = StateFile { name: name.into(), stamp, length: 9 };
            assert_eq!(StateFile::parse(&file.object(), 9), Some(file));
        }
        let stamp = format!("{:032x}", 7);
        for name in ["../../etc", "a/b", ".", "..", "", "x"] {
            assert_eq!(StateFile::parse(&format!("state/{name}-{stamp}"), 9), None, "{name}");
        }
        for object in ["state/2a-7", "state/2a", "volumes/2a-00000000000000000000000000000007", "state/2a-"] {
            assert_eq!(StateFile::parse(object, 9), None, "{object}");
        }
    }
}
