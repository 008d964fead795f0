//! Implements this crate's log by the drives' journal.

use super::{Appended, ClosedSegment, LocalLog, LogEntry, LogError, Replay, Replayed, Usage};
use crate::command::Urgency;
use crate::fate::{CommitError, NotWritten, UnknownOutcome};
use bytes::Bytes;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::Drive;
use stratum_storage::journal::{self, AppendError, Class, Journal, LostBodies, NewEntry, Search, Verify};

impl LocalLog for Journal {
    fn append(&self, group: Vec<LogEntry>, urgency: Urgency) -> Result<Appended, CommitError> {
        let entry = |LogEntry { command, body }| NewEntry { command, body };
        let appended = Journal::append(self, group.into_iter().map(entry).collect(), urgency.into())?;
        let hashes = appended.hashes.into_iter().map(|hash| hash.0).collect();
        Ok(Appended { first: appended.first, hashes })
    }

    fn max_group(&self) -> usize {
        self.max_entries()
    }

    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool {
        Journal::has_room(self, bytes, urgency.into())
    }

    fn first(&self) -> Index {
        Journal::first(self)
    }

    fn last(&self) -> Index {
        Journal::last(self).0
    }

    fn hash_at(&self, index: Index) -> Option<u128> {
        Journal::hash_at(self, index).map(|hash| hash.0)
    }

    fn replay(&self, from: Index, verify: Verify) -> Replay<'_> {
        let entries = Journal::replay(self, from, verify);
        Box::new(entries.map(|entry| match entry {
            Ok(entry) => Ok(Replayed { index: entry.index, hash: entry.hash.0, command: entry.command }),
            Err(error) => Err(LogError(error.to_string())),
        }))
    }

    fn body(&self, index: Index, length: u32, crc32c: u32) -> Result<Bytes, LogError> {
        self.read_body(index, length, crc32c).map_err(|error| LogError(error.to_string()))
    }

    fn search(&self, index: Index, length: u32, crc32c: u32) -> Search {
        Journal::search(self, index, length, crc32c)
    }

    fn lost_bodies(&self) -> LostBodies {
        Journal::lost_bodies(self)
    }

    fn usage(&self) -> Usage {
        // Bytes that are freed with the next segment count as free already.
        let usage = Journal::usage(self);
        Usage { bytes: usage.bytes.saturating_sub(usage.releasable), cap: usage.cap }
    }

    fn closed_segments(&self) -> Vec<ClosedSegment> {
        let closed = self.spans().into_iter().filter(|span| !span.active);
        closed.map(|span| ClosedSegment { first: span.first, last: span.last, bytes: span.bytes }).collect()
    }

    fn release(&self, packed: Index, checkpointed: Index) {
        Journal::release(self, packed, checkpointed);
    }

    fn set_cap(&self, bytes: u64) {
        Journal::set_cap(self, bytes);
    }

    fn epoch(&self) -> u64 {
        Journal::epoch(self)
    }

    fn heal(&self) -> Result<usize, LogError> {
        let healed = Journal::heal(self).map_err(|error| LogError(error.to_string()))?;
        Ok(healed.short)
    }

    fn join(&self, drives: &[Arc<Drive>]) -> Result<(), LogError> {
        let joined = Journal::join(self, drives);
        joined.map(drop).map_err(|error| LogError(error.to_string()))
    }

    fn forget_lost(&self) -> Result<usize, LogError> {
        Journal::forget_lost(self).map_err(|error| LogError(error.to_string()))
    }
}

impl From<Urgency> for Class {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Ordinary => Class::Ordinary,
            Urgency::MakesRoom => Class::MakesRoom,
            Urgency::Packing => Class::Packing,
        }
    }
}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotWritten(journal::NotWritten::Full) => NotWritten::Busy.into(),
            AppendError::NotWritten(journal::NotWritten::NoSpace) => NotWritten::NoSpace.into(),
            AppendError::NotWritten(
                other @ (journal::NotWritten::Unavailable { .. } | journal::NotWritten::TooLarge { .. }),
            ) => NotWritten::Unavailable(other.to_string()).into(),
            AppendError::Unknown(unknown) => UnknownOutcome(unknown.to_string()).into(),
        }
    }
}
