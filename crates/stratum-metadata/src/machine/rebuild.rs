//! The index is copied into an empty one while it is used, and then the copy is used.
//!
//! The copy goes over the keys in order, a step at a time, under the lock of those who drain. Between two steps drains
//! go on: what they change below the cursor goes into the copy too, what they change above it is copied later. So after
//! each step the copy is the index up to the cursor, and at the end all of it. It says what it has applied only then;
//! until it is durable and named as the current one, a start finds the old one.

use super::{Machine, UNFINISHED, mark};
use crate::keys;
use crate::tree::{Base, Tree, TreeError, Value};
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

/// Bytes of keys and values that are copied in a step; drains wait that long. Tests have small states, and many steps.
const STEP: usize = if cfg!(test) { 2 << 10 } else { 256 << 10 };
/// Between two steps the drains go first.
const PAUSE: Duration = Duration::from_millis(5);
/// The first key after the one that says what was applied.
const FIRST: &[u8] = &[keys::Tag::Applied as u8 + 1];

/// A copy that is being made.
#[derive(Debug)]
pub(super) struct Successor {
    tree: Tree,
    /// Keys below this have been copied.
    cursor: Vec<u8>,
    /// It missed a change.
    failed: Option<TreeError>,
}

/// Why the index stays where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the index's directory: {0}")]
    Directory(#[from] io::Error),
}

impl Machine {
    /// What the index takes of its disk.
    pub(crate) fn index_bytes(&self) -> Result<u64, TreeError> {
        self.tree().bytes()
    }

    /// Whether the next start would find the index that is used.
    pub(crate) fn is_in_place(&self) -> bool {
        self.tree().is_in_place()
    }

    /// Copies the index into an empty one and goes on with that. `switch` makes it the one that the next start finds.
    /// Gives the old one back. Blocks for long; one at a time.
    pub(crate) fn rebuild_index(
        &self,
        into: Tree,
        switch: impl FnOnce() -> io::Result<()>,
    ) -> Result<Tree, RebuildError> {
        mark(&into, &UNFINISHED)?;
        *self.successor.lock() = Some(Successor { tree: into.clone(), cursor: FIRST.to_vec(), failed: None });
        let outcome = self.copy(&into).and_then(|()| self.exchange(into, switch));
        *self.successor.lock() = None;
        outcome
    }

    fn copy(&self, into: &Tree) -> Result<(), RebuildError> {
        while self.copy_step()? {
            std::thread::sleep(PAUSE);
        }
        // Most of it, while nobody waits.
        Ok(into.flush()?)
    }

    /// Copies the next keys; false at the end.
    fn copy_step(&self) -> Result<bool, RebuildError> {
        let _alone = self.draining.lock();
        let mut guard = self.successor.lock();
        let Some(successor) = guard.as_mut() else { return Ok(false) };
        let (mut pairs, mut bytes, mut last): (Vec<(Vec<u8>, Value)>, usize, bool) = (Vec::new(), 0, true);
        let step = &mut |key: &[u8], value: &Value| {
            bytes += key.len() + value.len();
            pairs.push((key.to_vec(), value.clone()));
            last = bytes < STEP;
            if last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.ask(|tree| tree.scan(&successor.cursor, &[0xff], step))?;
        successor.tree.apply(pairs.iter().map(|(key, value)| (key.as_slice(), Some(value))))?;
        successor.cursor = match pairs.pop() {
            Some((key, _)) if !last => [key.as_slice(), &[0]].concat(),
            _ => vec![0xff],
        };
        Ok(!last)
    }

    /// The copy is whole: it says so, durably, and is used from now on.
    fn exchange(&self, into: Tree, switch: impl FnOnce() -> io::Result<()>) -> Result<Tree, RebuildError> {
        let _alone = self.draining.lock();
        if let Some(error) = self.successor.lock().take().and_then(|successor| successor.failed) {
            return Err(error.into());
        }
        self.check()?;
        let applied = self.ask(|tree| tree.get(&keys::applied()))?;
        into.apply(std::iter::once((keys::applied().as_slice(), applied.as_ref())))?;
        into.flush()?;
        switch()?;
        Ok(std::mem::replace(&mut *self.tree.write(), into))
    }

    /// What was drained into the index goes into the copy as far as that has come. To be called with the drains' lock.
    pub(super) fn follow<'a>(&self, changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>) {
        let mut guard = self.successor.lock();
        let Some(successor) = guard.as_mut().filter(|successor| successor.failed.is_none()) else { return };
        let cursor = successor.cursor.as_slice();
        let copied = changes.filter(|(key, _)| (FIRST..cursor).contains(key));
        if let Err(error) = successor.tree.apply(copied) {
            tracing::warn!(%error, "the index that is being rebuilt can't be written; the old one stays");
            successor.failed = Some(error);
        }
    }
}
