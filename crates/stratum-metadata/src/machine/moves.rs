//! Remembers which keys had a version moved recently, for reads that look into the two places of versions one after
//! the other.

use super::Index;
use crate::keys;
use crate::record::BucketId;
use std::collections::{BTreeSet, VecDeque};

/// How many moves are remembered.
const REMEMBERED_MOVES: usize = 4096;

/// The last moves of versions between the current objects and the noncurrent versions.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// For each move: the last entry of the group that made it, the bucket and the key.
    remembered: VecDeque<(Index, BucketId, Vec<u8>)>,
    /// Every move that was forgotten was made by this entry or an earlier one.
    forgotten_through: Index,
}

impl Moves {
    /// The moves of a machine that has applied all entries up to this one.
    pub(super) fn after(applied: Index) -> Moves {
        Moves { remembered: VecDeque::new(), forgotten_through: applied }
    }

    /// Remembers that a group wrote or removed this key of a noncurrent version.
    pub(super) fn remember(&mut self, index: Index, key: &[u8]) {
        let Some((bucket, key, _)) = keys::parse_version(key) else { return };
        if self.remembered.len() == REMEMBERED_MOVES
            && let Some((oldest, ..)) = self.remembered.pop_front()
        {
            self.forgotten_through = oldest;
        }
        self.remembered.push_back((index, bucket, key));
    }

    /// The bucket's keys that had a version moved after that entry; `None` if some of those moves were forgotten.
    pub(super) fn since(&self, entry: Index, bucket: BucketId) -> Option<BTreeSet<Vec<u8>>> {
        let later = self.remembered.iter().rev().take_while(|(index, ..)| *index > entry);
        let keys = later.filter(|(_, of, _)| *of == bucket).map(|(_, _, key)| key.clone());
        (self.forgotten_through <= entry).then(|| keys.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_since_an_entry_are_known_until_one_is_forgotten() {
        let (one, other) = (BucketId(1), BucketId(2));
        let mut moves = Moves::after(10);
        assert_eq!(moves.since(9, one), None);
        moves.remember(11, &keys::version(one, b"a", 3));
        moves.remember(12, &keys::version(other, b"b", 3));
        moves.remember(12, &keys::version(one, b"c", 3));
        let keys = |keys: &[&[u8]]| Some(keys.iter().map(|key| key.to_vec()).collect());
        assert_eq!(moves.since(10, one), keys(&[b"a", b"c"]));
        assert_eq!(moves.since(11, one), keys(&[b"c"]));
        assert_eq!(moves.since(12, one), keys(&[]));
        for index in 13..13 + REMEMBERED_MOVES as u64 {
            moves.remember(index, &keys::version(other, b"b", index));
        }
        assert_eq!((moves.since(11, one), moves.since(12, one)), (None, keys(&[])));
    }
}
