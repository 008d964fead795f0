//! What this crate asks of this machine's journal: append a group, read it back, look after it, let go of it.
//!
//! Which groups there are and when one counts is not its business but that of the [`order`](crate::order), which alone
//! appends.
//!
//! [`journal`] is the real one; tests put one of plain memory in its place.

mod journal;

use crate::command::Urgency;
use crate::fate::CommitError;
use bytes::Bytes;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::Drive;
use stratum_storage::journal::{LostBodies, Search, Verify, entry_len};

/// One entry of a group: a command's bytes, and the body that rides with it.
#[derive(Clone, Debug)]
pub struct LogEntry {
    pub command: Vec<u8>,
    pub body: Bytes,
}

impl LogEntry {
    /// What it takes of a group, in bytes.
    pub fn bytes(&self) -> usize {
        entry_len(self.command.len(), self.body.len())
    }
}

/// A group that is durable on every member.
#[derive(Clone, Debug)]
pub struct Appended {
    pub first: Index,
    /// The hash of each entry, in order.
    pub hashes: Vec<u128>,
}

/// Why the journal could not be read or looked after. Of appending, [`CommitError`] tells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is not available: {0}")]
pub struct LogError(pub String);

/// An entry as it is read back, verified. Its body is read for itself ([`LocalLog::body`]): a restart needs none.
#[derive(Clone, Debug)]
pub struct Replayed {
    pub index: Index,
    pub hash: u128,
    pub command: Bytes,
}

/// How full the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub cap: u64,
}

impl Usage {
    /// From 0 to 1, and past it.
    pub fn share(self) -> f32 {
        if self.cap == 0 { 0.0 } else { self.bytes as f32 / self.cap as f32 }
    }
}

/// Whole segments that will take no more entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSegment {
    pub first: Index,
    pub last: Index,
    pub bytes: u64,
}

/// The entries of a replay, in order, without a hole.
pub type Replay<'a> = Box<dyn Iterator<Item = Result<Replayed, LogError>> + Send + 'a>;

/// The journal of this machine's drives. All calls block; one group is in flight at a time.
pub trait LocalLog: Send + Sync + 'static {
    /// Returns once the whole group is durable on every member of the journal's epoch.
    fn append(&self, group: Vec<LogEntry>, urgency: Urgency) -> Result<Appended, CommitError>;
    /// The most bytes of entries that a group may have.
    fn max_group(&self) -> usize;
    /// Whether entries of so many bytes can be appended, as full as it is now.
    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool;
    /// The index that the oldest entry still has, or that the first one will get.
    fn first(&self) -> Index;
    /// The last entry's index; 0 if there never was one.
    fn last(&self) -> Index;
    /// The hash of an entry that is still there.
    fn hash_at(&self, index: Index) -> Option<u128>;
    /// All entries from `from` on, with as much of each verified.
    fn replay(&self, from: Index, verify: Verify) -> Replay<'_>;
    /// The body of an entry that is still there, verified; its record has its length and check.
    fn body(&self, index: Index, length: u32, crc32c: u32) -> Result<Bytes, LogError>;
    /// The body of an entry, from any copy that any drive may have: for who would go on without it.
    fn search(&self, index: Index, length: u32, crc32c: u32) -> Search;
    /// Whose bodies can't be read now, as far as is known.
    fn lost_bodies(&self) -> LostBodies;
    fn usage(&self) -> Usage;
    /// Oldest first.
    fn closed_segments(&self) -> Vec<ClosedSegment>;
    /// Everything up to `packed` has no live body left in the journal, and a checkpoint covers all up to
    /// `checkpointed`: what lies below both may go.
    fn release(&self, packed: Index, checkpointed: Index);
    /// The bytes that a member may hold.
    fn set_cap(&self, bytes: u64);
    /// The number of its epoch: another one whenever its drives, or what they are to it, change.
    fn epoch(&self) -> u64;
    /// Brings every segment that lost a copy back to full number; says how many are still short of it.
    fn heal(&self) -> Result<usize, LogError>;
    /// Takes the healthy ones of these drives into its set, if they aren't in it.
    fn join(&self, drives: &[Arc<Drive>]) -> Result<(), LogError>;
    /// Lets drives that are lost or on their way out leave its set: only when everything is on enough others.
    fn forget_lost(&self) -> Result<usize, LogError>;
}

#[cfg(test)]
pub(crate) mod memory {
    //! A log of plain memory, for tests: it can be shared, so that a "restart" finds what was appended.

    use super::*;
    use tracing_mutex::parkinglot::Mutex;
    use xxhash_rust::xxh3::xxh3_128_with_seed;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct MemoryLog(Arc<Mutex<State>>);

    #[derive(Debug, Default)]
    struct State {
        /// Entries with indexes from `first`.
        entries: Vec<(Replayed, Bytes)>,
        released: Index,
        usage: Usage,
        fail: Option<CommitError>,
        panics: bool,
    }

    impl MemoryLog {
        pub(crate) fn fail_with(&self, error: Option<CommitError>) {
            self.0.lock().fail = error;
        }

        /// Whether whoever replays it panics.
        pub(crate) fn panic_at_replay(&self, panics: bool) {
            self.0.lock().panics = panics;
        }

        pub(crate) fn set_usage(&self, usage: Usage) {
            self.0.lock().usage = usage;
        }
    }

    impl LocalLog for MemoryLog {
        fn append(&self, group: Vec<LogEntry>, _: Urgency) -> Result<Appended, CommitError> {
            let mut state = self.0.lock();
            if let Some(error) = &state.fail {
                return Err(error.clone());
            }
            let first = state.released + state.entries.len() as u64 + 1;
            let mut hashes = Vec::new();
            for (index, entry) in (first..).zip(group) {
                let before = state.entries.last().map_or(0, |(entry, _)| entry.hash);
                let hash = xxh3_128_with_seed(&entry.command, before as u64);
                hashes.push(hash);
                state.entries.push((Replayed { index, hash, command: entry.command.into() }, entry.body));
            }
            Ok(Appended { first, hashes })
        }

        fn max_group(&self) -> usize {
            usize::MAX
        }

        fn has_room(&self, _: usize, urgency: Urgency) -> bool {
            urgency != Urgency::Ordinary || self.usage().share() < 0.95
        }

        fn first(&self) -> Index {
            self.0.lock().released + 1
        }

        fn last(&self) -> Index {
            let state = self.0.lock();
            state.released + state.entries.len() as u64
        }

        fn hash_at(&self, index: Index) -> Option<u128> {
            self.0.lock().entries.iter().find(|(entry, _)| entry.index == index).map(|(entry, _)| entry.hash)
        }

        fn replay(&self, from: Index, _: Verify) -> Replay<'_> {
            assert!(!self.0.lock().panics, "at replay, by plan");
            let entries = self.0.lock().entries.clone();
            Box::new(entries.into_iter().map(|(entry, _)| Ok(entry)).skip_while(
                move |entry: &Result<Replayed, LogError>| {
                    entry.as_ref().is_ok_and(|entry| entry.index < from)
                },
            ))
        }

        fn body(&self, index: Index, _: u32, _: u32) -> Result<Bytes, LogError> {
            let state = self.0.lock();
            let found = state.entries.iter().find(|(entry, _)| entry.index == index);
            found.map(|(_, body)| body.clone()).ok_or(LogError("gone".into()))
        }

        fn search(&self, index: Index, length: u32, crc32c: u32) -> Search {
            self.body(index, length, crc32c).map_or(Search::Gone, Search::Found)
        }

        fn lost_bodies(&self) -> LostBodies {
            LostBodies::default()
        }

        fn usage(&self) -> Usage {
            self.0.lock().usage
        }

        fn closed_segments(&self) -> Vec<ClosedSegment> {
            let state = self.0.lock();
            let entries = state.entries.chunks(64).filter(|chunk| chunk.len() == 64);
            let bytes = |chunk: &[(Replayed, Bytes)]| chunk.iter().map(|(_, body)| body.len() as u64).sum();
            entries
                .filter_map(|chunk| {
                    let (first, last) = (chunk.first()?.0.index, chunk.last()?.0.index);
                    Some(ClosedSegment { first, last, bytes: bytes(chunk) })
                })
                .collect()
        }

        fn release(&self, packed: Index, checkpointed: Index) {
            let mut state = self.0.lock();
            let through = packed.min(checkpointed) / 64 * 64;
            while state.released < through && state.entries.len() > 64 {
                state.entries.drain(..64);
                state.released += 64;
            }
        }

        fn set_cap(&self, bytes: u64) {
            self.0.lock().usage.cap = bytes;
        }

        fn epoch(&self) -> u64 {
            0
        }

        fn heal(&self) -> Result<usize, LogError> {
            Ok(0)
        }

        fn join(&self, _: &[Arc<Drive>]) -> Result<(), LogError> {
            Ok(())
        }

        fn forget_lost(&self) -> Result<usize, LogError> {
            Ok(0)
        }
    }
}
