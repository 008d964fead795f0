//! Changes that lie over a state and are only in memory yet.
//!
//! A batch costs sled two writes of its log, however small it is. So the changes of groups first go into memory,
//! where every read looks first, and those of a few milliseconds become one batch. Nothing can be lost: the journal
//! has it all, and a start replays what sled lacks.

use crate::tree::{Base, TreeError, Value};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Keys with their new values; `None` for a key that was removed.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Value>>;

/// The changes that the index doesn't hold yet: the recent ones, and under them those that are being written into it.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    recent: Changes,
    /// About how much memory `recent` takes.
    bytes: usize,
    /// Stays visible until the index has all of it.
    draining: Arc<Changes>,
}

impl Layers {
    /// Adds changes. Returns about how many bytes of changes wait now.
    pub(crate) fn put<'a>(&mut self, changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>) -> usize {
        for (key, value) in changes {
            self.bytes += 96 + key.len() + value.map_or(0, |value| value.len());
            self.recent.insert(key.to_vec(), value.cloned());
        }
        self.bytes
    }

    /// A key's value if it changed recently: `Some(None)` if it was removed.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Value>> {
        self.recent.get(key).or_else(|| self.draining.get(key)).cloned()
    }

    /// Takes the changes that are to be written into the index next; [`Layers::drained`] is called when that is done.
    pub(crate) fn drain(&mut self) -> Arc<Changes> {
        self.draining = Arc::new(std::mem::take(&mut self.recent));
        self.bytes = 0;
        self.draining.clone()
    }

    pub(crate) fn drained(&mut self) {
        self.draining = Arc::default();
    }

    /// Visits the pairs with `from <= key < to` in order until `visit` breaks: those of the index with all changes
    /// applied.
    pub(crate) fn scan(
        &self,
        index: &dyn Base,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let lower = Layer { changes: &self.draining, below: index };
        Layer { changes: &self.recent, below: &lower }.scan(from, to, visit)
    }
}

/// Changes, and the base under them.
struct Layer<'a> {
    changes: &'a Changes,
    below: &'a dyn Base,
}

impl Base for Layer<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        if from >= to {
            return Ok(());
        }
        let over = self.changes.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        merge(over.map(|(key, value)| Ok((key, value.as_ref()))), self.below, from, to, visit)
    }
}

/// Visits the pairs of `below` with the changes of `over` applied, both in order.
pub(crate) fn merge<K: AsRef<[u8]>, V: Borrow<Value>>(
    over: impl Iterator<Item = Result<(K, Option<V>), TreeError>>,
    below: &dyn Base,
    from: &[u8],
    to: &[u8],
    visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
) -> Result<(), TreeError> {
    let failed = RefCell::new(None);
    let sound = over.map_while(|change| change.map_err(|error| *failed.borrow_mut() = Some(error)).ok());
    // Once the changes can't be read any further, nothing more is shown from below: it may have been changed.
    merge_sound(sound, below, from, to, &mut |key, value| match failed.borrow().is_some() {
        true => ControlFlow::Break(()),
        false => visit(key, value),
    })?;
    failed.into_inner().map_or(Ok(()), Err)
}

fn merge_sound<K: AsRef<[u8]>, V: Borrow<Value>>(
    over: impl Iterator<Item = (K, Option<V>)>,
    below: &dyn Base,
    from: &[u8],
    to: &[u8],
    visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
) -> Result<(), TreeError> {
    let mut over = over.peekable();
    let mut stopped = false;
    below.scan(from, to, &mut |key, value| {
        while let Some((other, change)) = over.next_if(|(other, _)| other.as_ref() < key) {
            if change.is_some_and(|value| visit(other.as_ref(), value.borrow()).is_break()) {
                stopped = true;
                return ControlFlow::Break(());
            }
        }
        let flow = match over.next_if(|(other, _)| other.as_ref() == key) {
            Some((_, None)) => ControlFlow::Continue(()),
            Some((_, Some(value))) => visit(key, value.borrow()),
            None => visit(key, value),
        };
        stopped = flow.is_break();
        flow
    })?;
    while let Some((key, change)) = over.next().filter(|_| !stopped) {
        stopped = change.is_some_and(|value| visit(key.as_ref(), value.borrow()).is_break());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::memory::Memory;
    use proptest::prelude::*;

    fn value(byte: u8) -> Value {
        Value::from([byte].as_slice())
    }

    proptest! {
        #[test]
        fn a_scan_shows_the_index_with_all_changes_applied(
            below in proptest::collection::btree_map(0u8..20, 0u8..9, 0..12),
            draining in proptest::collection::btree_map(0u8..20, proptest::option::of(10u8..19), 0..12),
            recent in proptest::collection::btree_map(0u8..20, proptest::option::of(20u8..29), 0..12),
            from in 0u8..20, to in 0u8..21, most in 1usize..20,
        ) {
            let mut index = Memory::default();
            let mut expected: BTreeMap<u8, Value> = BTreeMap::new();
            for (key, byte) in &below {
                index.0.insert(vec![*key], value(*byte));
                expected.insert(*key, value(*byte));
            }
            let mut layers = Layers::default();
            for (turn, changes) in [draining, recent].into_iter().enumerate() {
                for (key, byte) in changes {
                    let change = byte.map(value);
                    layers.put(std::iter::once(([key].as_slice(), change.as_ref())));
                    match change {
                        Some(value) => drop(expected.insert(key, value)),
                        None => drop(expected.remove(&key)),
                    }
                }
                if turn == 0 {
                    layers.drain();
                }
            }
            let mut seen = Vec::new();
            layers.scan(&index, &[from], &[to], &mut |key, value| {
                seen.push((key[0], value.clone()));
                if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }).unwrap();
            let pairs = expected.clone().into_iter().filter(|(key, _)| (from..to).contains(key));
            prop_assert_eq!(seen, pairs.take(most).collect::<Vec<_>>());
            for key in 0..20u8 {
                let found = layers.get(&[key]).unwrap_or_else(|| index.0.get([key].as_slice()).cloned());
                prop_assert_eq!(found.as_ref(), expected.get(&key));
            }
        }
    }
}
