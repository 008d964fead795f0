//! Tells a read which keys had a version moved while it looked into the two places of versions one after the other.
//!
//! Such a read watches a range of the noncurrent versions: whatever moves a version writes or removes one of those.

use super::Machine;
use crate::keys;
use crate::tree::TreeError;
use std::collections::{BTreeMap, BTreeSet};

/// How many keys a watch keeps at most: as many as a page of versions may have lines.
const WATCHED_KEYS: usize = 1000;

/// The watches of all reads that are going on.
#[derive(Debug, Default)]
pub(super) struct Moves {
    watched: BTreeMap<u64, Watched>,
    next: u64,
}

#[derive(Debug)]
struct Watched {
    from: Vec<u8>,
    to: Vec<u8>,
    moved: Moved,
}

/// The keys that had a version moved while they were watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) keys: BTreeSet<Vec<u8>>,
    /// The last key of which it is known, if more were moved than a watch keeps. The first ones are kept.
    pub(crate) until: Option<Vec<u8>>,
}

/// Watches a range until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    machine: &'a Machine,
    id: u64,
}

impl Machine {
    /// Watches the noncurrent versions with `from <= key < to` from this moment on.
    pub(crate) fn watch(&self, from: Vec<u8>, to: Vec<u8>) -> Watch<'_> {
        // Under this lock no group becomes visible, so a watch knows of all moves that come after it was begun.
        let _moment = self.layers.read();
        let mut moves = self.moves.lock();
        let id = moves.next;
        moves.next += 1;
        moves.watched.insert(id, Watched { from, to, moved: Moved::default() });
        Watch { machine: self, id }
    }
}

impl Watch<'_> {
    /// The keys that had a version moved so far. Any move that a read may have seen is among them.
    ///
    /// # Errors
    /// If another state has taken the place of the one that was watched.
    pub(crate) fn moved(&self) -> Result<Moved, TreeError> {
        let moves = self.machine.moves.lock();
        moves.watched.get(&self.id).map(|watched| watched.moved.clone()).ok_or(TreeError::Away)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.machine.moves.lock().watched.remove(&self.id);
    }
}

impl Moves {
    /// Tells the watches of keys that a group writes or removes. It comes before anybody can see the change.
    pub(super) fn tell<'a>(&mut self, changed: impl Iterator<Item = &'a [u8]>) {
        if self.watched.is_empty() {
            return;
        }
        for key in changed.filter(|key| keys::is(keys::Tag::Version, key)) {
            for watched in self.watched.values_mut().filter(|watched| watched.holds(key)) {
                watched.moved.enter(key);
            }
        }
    }

    /// Ends all watches, since another state takes the place of the one that is watched.
    pub(super) fn end(&mut self) {
        self.watched.clear();
    }
}

impl Watched {
    fn holds(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && key < self.to.as_slice()
    }
}

impl Moved {
    fn enter(&mut self, version: &[u8]) {
        let Some((_, key, _)) = keys::parse_version(version) else { return };
        if self.until.as_ref().is_some_and(|until| key > *until) {
            return;
        }
        self.keys.insert(key);
        if self.keys.len() > WATCHED_KEYS {
            self.keys.pop_last();
            self.until = self.keys.last().cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BucketId;

    const BUCKET: BucketId = BucketId(2);

    fn moves(from: &[u8], to: &[u8]) -> Moves {
        let (from, to) = (keys::version_prefix(BUCKET, from), keys::version_prefix(BUCKET, to));
        let watched = BTreeMap::from([(0, Watched { from, to, moved: Moved::default() })]);
        Moves { watched, next: 1 }
    }

    fn tell(moves: &mut Moves, changed: &[Vec<u8>]) -> Moved {
        moves.tell(changed.iter().map(Vec::as_slice));
        moves.watched[&0].moved.clone()
    }

    #[test]
    fn a_watch_is_told_of_the_versions_in_its_range_and_of_nothing_else() {
        let mut moves = moves(b"b", b"d");
        let version = |bucket, key: &[u8]| keys::version(bucket, key, 3);
        let mut changed = vec![keys::object(BUCKET, b"b"), version(BucketId(3), b"b")];
        changed.extend([&b"a"[..], b"b", b"c\0x", b"b", b"d"].map(|key| version(BUCKET, key)));
        let keys = [b"b".to_vec(), b"c\0x".to_vec()].into();
        assert_eq!(tell(&mut moves, &changed), Moved { keys, until: None });
        moves.end();
        assert!(moves.watched.is_empty());
    }

    #[test]
    fn of_more_moves_than_it_keeps_a_watch_knows_those_of_the_first_keys() {
        let mut moves = moves(b"", b"\xff");
        let key = |at: usize| format!("{at:05}").into_bytes();
        let all: Vec<_> = (0..WATCHED_KEYS + 7).map(|at| keys::version(BUCKET, &key(at), 3)).collect();
        let (last, first) = all.split_at(9);
        tell(&mut moves, first);
        let moved = tell(&mut moves, last);
        assert_eq!(moved.keys, (0..WATCHED_KEYS).map(key).collect());
        assert_eq!(moved.until, Some(key(WATCHED_KEYS - 1)));
    }
}
