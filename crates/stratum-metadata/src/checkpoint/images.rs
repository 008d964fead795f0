//! What lets a checkpoint be consistent while the applier goes on: old values, kept until the scan has passed.
//!
//! A checkpoint is the state as of the moment its pass began. The scan moves through the keys in order; before the
//! applier changes a key that lies ahead of the scan, and only the first time, it leaves the old value here, and the
//! scan takes that in place of what it finds. Behind the scan nothing matters any more. The applier never waits: when
//! too much has been kept, the pass is given up.

use crate::tree::{Base, TreeError, Value};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_storage::ambient::Clock;

/// Old values kept at the most, in bytes.
const BOUND: usize = 64 << 20;
/// What a kept value costs beside its bytes.
const OVERHEAD: usize = 96;
/// How long one slice of the scan may hold the readers' lock.
const SLICE: Duration = Duration::from_millis(1);
/// Pairs between two looks at the clock.
const STRIDE: usize = 64;

/// The old values of a running pass; nothing at all when none runs.
#[derive(Debug, Default)]
pub(crate) struct Images {
    running: AtomicBool,
    pass: Mutex<Option<Pass>>,
}

#[derive(Debug)]
struct Pass {
    /// Every key below has been scanned.
    cursor: Vec<u8>,
    /// Of keys at or above the cursor: the value at the pass's beginning, `None` if there was none.
    saved: BTreeMap<Vec<u8>, Option<Value>>,
    bytes: usize,
}

/// How a slice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    Done,
    /// Too many old values had to be kept; try again when less is written.
    GivenUp,
}

impl Images {
    /// Begins a pass over the keys from `first` on. Under the exclusive lock, between two groups.
    pub(crate) fn begin(&self, first: Vec<u8>) {
        *self.pass.lock() = Some(Pass { cursor: first, saved: BTreeMap::new(), bytes: 0 });
        self.running.store(true, Ordering::Release);
    }

    /// Ends the pass, whether it was done or not.
    pub(crate) fn end(&self) {
        self.running.store(false, Ordering::Release);
        *self.pass.lock() = None;
    }

    /// From 0 to 1: how near the pass is to being given up. Admission slows by it.
    pub(crate) fn pressure(&self) -> f32 {
        if !self.running.load(Ordering::Acquire) {
            return 0.0;
        }
        self.pass.lock().as_ref().map_or(0.0, |pass| pass.bytes as f32 / BOUND as f32)
    }

    /// Called by the applier under the exclusive lock, for every key that a group changes, before it does.
    pub(crate) fn before_change(&self, key: &[u8], old: Option<&Value>) {
        if !self.running.load(Ordering::Acquire) {
            return;
        }
        let mut slot = self.pass.lock();
        let Some(pass) = slot.as_mut() else { return };
        if key < pass.cursor.as_slice() || pass.saved.contains_key(key) {
            return;
        }
        pass.bytes += key.len() + old.map_or(0, |value| value.len()) + OVERHEAD;
        pass.saved.insert(key.to_vec(), old.cloned());
        if pass.bytes > BOUND {
            *slot = None;
        }
    }

    /// Reads on for a slice, under the shared lock: visits each pair as it was when the pass began, in order.
    pub(crate) fn slice(
        &self,
        tree: &impl Base,
        end: &[u8],
        clock: &dyn Clock,
        visit: &mut dyn FnMut(&[u8], &Value),
    ) -> Result<Step, TreeError> {
        let mut slot = self.pass.lock();
        let Some(pass) = slot.as_mut() else { return Ok(Step::GivenUp) };
        let (until, mut seen) = (clock.monotonic() + SLICE, 0);
        let (from, saved) = (pass.cursor.clone(), &mut pass.saved);
        let (mut bytes, mut next) = (pass.bytes, None);
        tree.scan(&from, end, &mut |key, value| {
            deleted_before(key, saved, &mut bytes, visit);
            match saved.remove(key) {
                None => visit(key, value),
                Some(old) => {
                    bytes -= cost(key, old.as_ref()).min(bytes);
                    if let Some(old) = old {
                        visit(key, &old);
                    }
                }
            }
            seen += 1;
            if seen % STRIDE == 0 && clock.monotonic() >= until {
                next = Some([key, &[0]].concat());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if next.is_none() {
            deleted_before(end, saved, &mut bytes, visit);
        }
        pass.bytes = bytes;
        Ok(match next {
            Some(cursor) => {
                pass.cursor = cursor;
                Step::More
            }
            None => Step::Done,
        })
    }
}

/// The pairs that were there when the pass began and are gone now, up to `key`.
fn deleted_before(
    key: &[u8],
    saved: &mut BTreeMap<Vec<u8>, Option<Value>>,
    bytes: &mut usize,
    visit: &mut dyn FnMut(&[u8], &Value),
) {
    while let Some(first) = saved.first_entry() {
        if first.key().as_slice() >= key {
            return;
        }
        let (gone, old) = first.remove_entry();
        *bytes -= cost(&gone, old.as_ref()).min(*bytes);
        if let Some(old) = old {
            visit(&gone, &old);
        }
    }
}

fn cost(key: &[u8], old: Option<&Value>) -> usize {
    key.len() + old.map_or(0, |value| value.len()) + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::memory::Memory;
    use proptest::prelude::*;
    use stratum_storage::ambient::UnixMillis;

    /// A clock that says a slice is over at every look.
    #[derive(Debug, Default)]
    struct Hurried(std::sync::atomic::AtomicU64);

    impl Clock for Hurried {
        fn now(&self) -> UnixMillis {
            0
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    fn key(number: u16) -> Vec<u8> {
        [&[2], number.to_be_bytes().as_slice()].concat()
    }

    fn change(tree: &mut Memory, images: &Images, key: Vec<u8>, value: Option<u8>) {
        images.before_change(&key, tree.get(&key).unwrap().as_ref());
        let value = value.map(|byte| Value::from([byte].as_slice()));
        tree.apply(std::iter::once((key.as_slice(), value.as_ref())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is written between the slices, the pass shows the state of its beginning.
        #[test]
        fn a_pass_shows_the_state_of_its_beginning(
            before in prop::collection::vec((0..400u16, any::<u8>()), 0..400),
            between in prop::collection::vec((0..500u16, any::<Option<u8>>()), 0..200),
        ) {
            let (mut tree, images) = (Memory::default(), Images::default());
            for (number, byte) in before {
                change(&mut tree, &images, key(number), Some(byte));
            }
            let expected = tree.clone();
            images.begin(vec![2]);
            let (clock, mut seen, mut writes) = (Hurried::default(), Memory::default(), between.into_iter());
            let mut last = Vec::new();
            loop {
                let mut visit = |key: &[u8], value: &Value| {
                    assert!(key > last.as_slice(), "out of order");
                    last = key.to_vec();
                    seen.apply(std::iter::once((key, Some(value))));
                };
                if images.slice(&tree, &[3], &clock, &mut visit).unwrap() == Step::Done {
                    break;
                }
                for (number, value) in writes.by_ref().take(30) {
                    change(&mut tree, &images, key(number), value);
                }
            }
            images.end();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn too_many_old_values_end_the_pass_and_not_the_applier() {
        let images = Images::default();
        images.begin(vec![2]);
        let large = Value::from(vec![0; 1 << 20].as_slice());
        for number in 0..100 {
            images.before_change(&key(number), Some(&large));
        }
        let mut visit = |_: &[u8], _: &Value| ();
        let step = images.slice(&Memory::default(), &[3], &Hurried::default(), &mut visit).unwrap();
        assert_eq!(step, Step::GivenUp);
    }
}
