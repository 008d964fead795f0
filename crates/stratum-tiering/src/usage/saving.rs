//! How use is saved to its file and loaded from it.
//!
//! Only changes are handed out, in pieces that hold each lock for a moment. They are appended to the file, which is
//! rewritten when it is twice as long as it need be.

use super::Usage;
use super::accounts::Accounts;
use super::file::{self, Batch, End, HEADER_BYTES, HeadError, Record};
use super::groups::Group;
use super::looks::Look;
use super::table::Gone;
use crate::day::Day;
use crate::signals::Signals;
use std::sync::atomic::Ordering;

/// Entries that are handed out under one lock.
const PIECE_ENTRIES: usize = 2_048;
/// What a record takes besides its fields: its head and its name.
const RECORD_BYTES: usize = 3 + 16;
const OBJECT_BYTES: usize = RECORD_BYTES + Signals::BYTES;
const GROUP_BYTES: usize = OBJECT_BYTES + 16 + 8;
const ACCOUNT_BYTES: usize = 3 + 28;
const LOOK_BYTES: usize = RECORD_BYTES + Look::BYTES;

/// Whether the changes that were handed out are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// All changes were told: the file with them appended says the same as memory.
    Told,
    /// More entries are gone than were kept: the file must be rewritten.
    TooMany,
}

impl Usage {
    /// Loads what this server, or one before it, saved.
    ///
    /// `memory` and `day` are as in [`Usage::new`]. Times are taken as they are: while the clock is behind them, the
    /// object looks as if it had just been used, and is right again when the clock is. What was counted with another
    /// length of the day is left out.
    ///
    /// # Errors
    /// If the header can't be read.
    pub fn from_file(bytes: &[u8], memory: usize, day: Day, now: u64) -> Result<(Usage, End), HeadError> {
        let (seed, counted_by, since, batches) = file::read_header(bytes)?;
        let usage = Usage::new(memory, day, seed);
        if counted_by == day && since > 0 {
            usage.count_since(since.min(now));
        }
        let end = file::read_batches(batches, |record| {
            if counted_by == day || !record.is_counted() {
                usage.load(record, now);
            }
        });
        for shard in &usage.objects {
            shard.lock().forget_changes();
        }
        usage.groups.lock().table.forget_changes();
        usage.looks.lock().table.forget_changes();
        usage.accounts.lock().take_changed();
        Ok((usage, end))
    }

    fn load(&self, record: Record, now: u64) {
        match record {
            Record::Object(name, signals) => *self.shard(name).lock().entry(name, now, self.day) = signals,
            Record::ObjectGone(name) => self.shard(name).lock().remove(name),
            Record::Group(name, group) => {
                // The groups below it have had no read yet by which its time could be renewed.
                let passed = if group.passed > 0 { now } else { 0 };
                *self.groups.lock().table.entry(name, now, self.day) = Group { passed, ..group };
            }
            Record::GroupGone(name) => self.groups.lock().table.remove(name),
            Record::Account(name, account) => self.accounts.lock().set(name, account),
            Record::Look(name, look) => *self.looks.lock().table.entry(name, now, self.day) = look,
            Record::LookGone(name) => self.looks.lock().table.remove(name),
        }
    }

    /// The header that a new file begins with.
    pub fn file_header(&self) -> Vec<u8> {
        let since = self.since.load(Ordering::Relaxed);
        file::write_header(&self.seed, self.day, since).to_vec()
    }

    /// Makes the next changes be all that is known: for a file that is rewritten.
    pub fn mark_all(&self) {
        self.objects.iter().for_each(|shard| shard.lock().mark_all());
        self.groups.lock().table.mark_all();
        self.looks.lock().table.mark_all();
        self.accounts.lock().mark_all();
    }

    /// Hands out what changed since the last call, in pieces that are to be appended to the file in this order.
    ///
    /// # Errors
    /// The first of `write`. What was handed out isn't handed out again, so the file must then be rewritten.
    pub fn take_changes<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Changes, E> {
        let mut changes = Changes::Told;
        let mut write = |batch: Batch| if batch.is_empty() { Ok(()) } else { write(&batch.into_bytes()) };
        for shard in &self.objects {
            let mut batch = Batch::new();
            match shard.lock().take_gone() {
                Gone::Names(names) => names.iter().for_each(|name| batch.put(&Record::ObjectGone(*name))),
                Gone::TooMany => changes = Changes::TooMany,
            }
            write(batch)?;
            pieces(
                |batch| {
                    shard.lock().take_changed(PIECE_ENTRIES, |name, signals| {
                        batch.put(&Record::Object(name, *signals))
                    })
                },
                &mut write,
            )?;
        }
        let mut batch = Batch::new();
        match self.groups.lock().table.take_gone() {
            Gone::Names(names) => names.iter().for_each(|name| batch.put(&Record::GroupGone(*name))),
            Gone::TooMany => changes = Changes::TooMany,
        }
        write(batch)?;
        let groups = |batch: &mut Batch| {
            let each = |name, group: &Group| batch.put(&Record::Group(name, *group));
            self.groups.lock().table.take_changed(PIECE_ENTRIES, each)
        };
        pieces(groups, &mut write)?;
        let mut batch = Batch::new();
        match self.looks.lock().table.take_gone() {
            Gone::Names(names) => names.iter().for_each(|name| batch.put(&Record::LookGone(*name))),
            Gone::TooMany => changes = Changes::TooMany,
        }
        write(batch)?;
        let looks = |batch: &mut Batch| {
            let each = |name, look: &Look| batch.put(&Record::Look(name, *look));
            self.looks.lock().table.take_changed(PIECE_ENTRIES, each)
        };
        pieces(looks, &mut write)?;
        let accounts = self.accounts.lock().take_changed();
        for accounts in accounts.chunks(PIECE_ENTRIES) {
            let mut batch = Batch::new();
            accounts.iter().for_each(|(name, account)| batch.put(&Record::Account(*name, *account)));
            write(batch)?;
        }
        Ok(changes)
    }

    /// About how long the file is if it holds each entry once, in bytes.
    pub fn file_bytes(&self) -> u64 {
        let objects: usize = self.objects.iter().map(|shard| shard.lock().len()).sum();
        let (groups, accounts) = (self.groups.lock().table.len(), Accounts::len(&self.accounts.lock()));
        let looks = self.looks.lock().table.len() * LOOK_BYTES;
        (HEADER_BYTES + objects * OBJECT_BYTES + groups * GROUP_BYTES + accounts * ACCOUNT_BYTES + looks)
            as u64
    }
}

/// Writes batch after batch until there is no more, up to a bound: entries that change meanwhile may wait for the
/// next call.
fn pieces<E>(
    mut fill: impl FnMut(&mut Batch) -> bool,
    write: &mut impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    const MOST_PIECES: usize = 4_096;
    for _ in 0..MOST_PIECES {
        let mut batch = Batch::new();
        let more = fill(&mut batch);
        write(batch)?;
        if !more {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
