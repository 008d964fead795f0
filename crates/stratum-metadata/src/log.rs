//! What this crate needs of this machine's journal: to append a group, read entries back, keep them safe, and release
//! them.
//!
//! Which groups are appended, and when one counts as committed, is decided by the [`order`](crate::order), which
//! alone appends.
//!
//! [`journal`] is the real journal; tests put one in memory in its place.

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
    /// How much of a group's bytes it takes.
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

/// Why the journal could not be read or maintained. Errors of appending are [`CommitError`]s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is not available: {0}")]
pub struct LogError(pub String);

/// An entry that was read back and verified. Its body is read separately ([`LocalLog::body`]), since a restart needs
/// none.
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
    /// The share of the cap that is used: from 0 to 1, and above it.
    pub fn share(self) -> f32 {
        if self.cap == 0 { 0.0 } else { self.bytes as f32 / self.cap as f32 }
    }
}

/// Segments that are complete and take no more entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSegment {
    pub first: Index,
    pub last: Index,
    pub bytes: u64,
}

/// The entries of a replay, in order and without a gap.
pub type Replay<'a> = Box<dyn Iterator<Item = Result<Replayed, LogError>> + Send + 'a>;

/// The journal of this machine's drives. All calls block; one group is in flight at a time.
pub trait LocalLog: Send + Sync + 'static {
    /// Returns once the whole group is durable on every member of the journal's epoch.
    fn append(&self, group: Vec<LogEntry>, urgency: Urgency) -> Result<Appended, CommitError>;
    /// The most bytes of entries that a group may have.
    fn max_group(&self) -> usize;
    /// Whether entries of so many bytes can be appended now.
    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool;
    /// The index of the oldest entry in the journal, or the one that its first entry will get.
    fn first(&self) -> Index;
    /// The index of the last entry; 0 if there never was one.
    fn last(&self) -> Index;
    /// The hash of an entry, if that is still in the journal.
    fn hash_at(&self, index: Index) -> Option<u128>;
    /// All entries from `from` on, each verified as far as `verify` says.
    fn replay(&self, from: Index, verify: Verify) -> Replay<'_>;
    /// The verified body of an entry that is still in the journal. `length` and `crc32c` are those in the body's
    /// record.
    fn body(&self, index: Index, length: u32, crc32c: u32) -> Result<Bytes, LogError>;
    /// The body of an entry, from any copy on any drive: for a caller that would otherwise give the body up.
    fn search(&self, index: Index, length: u32, crc32c: u32) -> Search;
    /// The entries whose bodies can't be read now, as far as is known.
    fn lost_bodies(&self) -> LostBodies;
    fn usage(&self) -> Usage;
    /// Oldest first.
    fn closed_segments(&self) -> Vec<ClosedSegment>;
    /// Says that the journal has no live body in entries up to `packed`, and that a checkpoint covers all entries up
    /// to `checkpointed`: segments below both may be removed.
    fn release(&self, packed: Index, checkpointed: Index);
    /// Sets the most bytes that a member may hold.
    fn set_cap(&self, bytes: u64);
    /// The number of the journal's epoch, which changes whenever its drives or their roles do.
    fn epoch(&self) -> u64;
    /// Copies every segment that lost a copy to another drive; returns how many segments still lack copies.
    fn heal(&self) -> Result<usize, LogError>;
    /// Makes members of those of these drives that are healthy and aren't members yet.
    fn join(&self, drives: &[Arc<Drive>]) -> Result<(), LogError>;
    /// Removes members that are lost or being drained, once everything on them is on enough other drives.
    fn forget_lost(&self) -> Result<usize, LogError>;
}

#[cfg(test)]
pub(crate) mod memory {
    //! A log in memory, for tests: it can be shared, so that a "restart" finds what was appended.

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

        /// Makes a replay panic.
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
