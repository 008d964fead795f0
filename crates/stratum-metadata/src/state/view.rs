//! The state as a group sees it: the base, with what the group has written so far over it.

use super::bodies::Freed;
use crate::keys;
use crate::layers::merge;
use crate::record::{DecodeError, Level, Migrate, decode, encode};
use crate::tree::{Base, TreeError, Value};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use stratum_storage::volume::WriterId;

use super::ApplyError;

/// A key that the group read or wrote.
struct Slot {
    /// The value in the base.
    base: Option<Value>,
    /// The value after the group's changes.
    now: Option<Value>,
    written: bool,
}

/// A key that the group changed.
pub(crate) struct Change<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
}

/// The state, read through the group's pending writes. Each key is read from the base once.
pub(crate) struct View<'a> {
    base: &'a dyn Base,
    slots: BTreeMap<Vec<u8>, Slot>,
    freed: Vec<Freed>,
    /// The state's level, once it is known.
    level: Option<Level>,
    /// The writer that proposed the command that is being applied.
    proposer: Option<WriterId>,
    /// What the fingerprint changes by beside what the changes say.
    correction: u128,
}

impl<'a> View<'a> {
    pub(crate) fn new(base: &'a dyn Base) -> Self {
        View { base, slots: BTreeMap::new(), freed: Vec::new(), level: None, proposer: None, correction: 0 }
    }

    /// [`View::new`] for a base whose level is known.
    pub(crate) fn at(base: &'a dyn Base, level: Level) -> Self {
        View { level: Some(level), ..View::new(base) }
    }

    /// The level at which records are written.
    pub(crate) fn level(&mut self) -> Result<Level, ApplyError> {
        if let Some(level) = self.level {
            return Ok(level);
        }
        let stored = self.base.get(&keys::level())?;
        let level = stored.map_or(Ok(Level::FIRST), |value| decode(&value))?;
        self.level = Some(level);
        Ok(level)
    }

    /// From now on records are written at that level.
    pub(super) fn raise(&mut self, level: Level) -> Result<(), ApplyError> {
        self.level = Some(level);
        self.put(keys::level(), &level)
    }

    pub(super) fn proposed_by(&mut self, proposer: Option<WriterId>) {
        self.proposer = proposer;
    }

    pub(super) fn proposer(&self) -> Option<WriterId> {
        self.proposer
    }

    /// What the group changed so far, in the order of the keys.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.written && slot.base != slot.now)
            .map(|(key, slot)| Change { key, before: slot.base.as_ref(), after: slot.now.as_ref() })
    }

    /// The places that have no owner any more after the group.
    pub(crate) fn into_freed(self) -> Vec<Freed> {
        self.freed
    }

    /// The fingerprint changes by so much more than the changes say: of keys that went nobody knows what they held.
    pub(super) fn correct(&mut self, by: u128) {
        self.correction = self.correction.wrapping_add(by);
    }

    pub(crate) fn correction(&self) -> u128 {
        self.correction
    }

    pub(super) fn free(&mut self, freed: Freed) {
        self.freed.push(freed);
    }

    fn slot(&mut self, key: Vec<u8>) -> Result<&mut Slot, TreeError> {
        use std::collections::btree_map::Entry;
        Ok(match self.slots.entry(key) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(vacant) => {
                let base = self.base.get(vacant.key())?;
                vacant.insert(Slot { now: base.clone(), base, written: false })
            }
        })
    }

    pub(crate) fn contains(&mut self, key: Vec<u8>) -> Result<bool, ApplyError> {
        Ok(self.slot(key)?.now.is_some())
    }

    /// A key's stored bytes.
    pub(super) fn value(&mut self, key: &[u8]) -> Result<Option<Value>, ApplyError> {
        Ok(self.slot(key.to_vec())?.now.clone())
    }

    pub(super) fn get<T: Migrate>(&mut self, key: Vec<u8>) -> Result<Option<T>, ApplyError> {
        match &self.slot(key)?.now {
            Some(value) => Ok(Some(decode(value)?)),
            None => Ok(None),
        }
    }

    pub(super) fn put<T: Migrate>(&mut self, key: Vec<u8>, record: &T) -> Result<(), ApplyError> {
        let value = Value::from(encode(self.level()?, record)?.as_slice());
        let slot = self.slot(key)?;
        (slot.now, slot.written) = (Some(value), true);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) -> Result<(), ApplyError> {
        let slot = self.slot(key)?;
        (slot.now, slot.written) = (None, true);
        Ok(())
    }

    /// Visits the pairs with `from <= key < to` in order, pending writes included, until `visit` breaks or fails.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, DecodeError>,
    ) -> Result<(), ApplyError> {
        let mut failed = None;
        let mut show = |key: &[u8], value: &Value| match visit(key, value) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let range = self.slots.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let pending = range.filter(|(_, slot)| slot.written);
        let pending = pending.map(|(key, slot)| Ok((key, slot.now.as_ref())));
        merge(pending, self.base, from, to, &mut show)?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
