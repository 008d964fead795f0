//! The state as it lies: a checkpoint, what changed until a tree of changes was closed, and what has changed since.
//!
//! A read looks into the open tree, then into what lies below it. While a tree is closed, the next checkpoint is being
//! merged from it and the one before; when that is there it takes the place of both.

use crate::checkpoint::{Checkpoint, Closed, Nothing};
use crate::keys;
use crate::layers;
use crate::record::{Applied, decode};
use crate::state::ApplyError;
use crate::tree::{Base, Tree, TreeError, Value};
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What the state lies in. It never changes; another one takes its place.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Takes what changes.
    pub(crate) open: Tree,
    pub(crate) below: Below,
}

/// What lies below the open tree.
#[derive(Clone, Debug)]
pub(crate) enum Below {
    /// Of a store that has no checkpoint yet.
    Nothing,
    Checkpoint(Arc<Checkpoint>),
    /// The next checkpoint is to be merged from it.
    Closed(Closed),
}

impl Below {
    pub(crate) fn checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        match self {
            Below::Nothing => None,
            Below::Checkpoint(checkpoint) => Some(checkpoint),
            Below::Closed(closed) => closed.over.as_ref(),
        }
    }

    /// What its state has applied.
    pub(crate) fn applied(&self) -> Applied {
        match self {
            Below::Nothing => Applied::default(),
            Below::Checkpoint(checkpoint) => checkpoint.applied(),
            Below::Closed(closed) => closed.applied,
        }
    }

    fn state(&self) -> &dyn Base {
        match self {
            Below::Nothing => &Nothing,
            Below::Checkpoint(checkpoint) => checkpoint.as_ref(),
            Below::Closed(closed) => closed,
        }
    }
}

impl From<Option<Arc<Checkpoint>>> for Below {
    fn from(checkpoint: Option<Arc<Checkpoint>>) -> Below {
        checkpoint.map_or(Below::Nothing, Below::Checkpoint)
    }
}

impl Stack {
    /// Nothing of it is there: every call says so.
    pub(crate) fn away() -> Stack {
        Stack { open: Tree::away(), below: Below::Nothing }
    }

    /// A key after `from` up to which a scan may go at a stretch: see [`Checkpoint::stretch`].
    pub(crate) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.below.checkpoint().map_or(Ok(None), |checkpoint| checkpoint.stretch(from))
    }

    /// Whether the other goes on with the tree that takes changes here.
    pub(crate) fn goes_on_in(&self, other: &Stack) -> bool {
        let is_closed_there = matches!(&other.below, Below::Closed(closed) if closed.tree.is(&self.open));
        self.open.is(&other.open) || is_closed_there
    }
}

/// Says in an empty tree over what state it lies: by what that has applied.
pub(crate) fn begin(tree: &Tree, over: &Applied) -> Result<(), TreeError> {
    tree.begin(&over.encode())
}

/// What the state below a tree has applied; nothing if it was never begun.
pub(crate) fn over(tree: &Tree) -> Result<Option<Applied>, ApplyError> {
    Ok(tree.over()?.map(|stored| decode(&stored)).transpose()?)
}

/// What the state of a tree and of what lies below has applied; nothing if it was never begun.
pub(crate) fn applied(tree: &Tree) -> Result<Option<Applied>, ApplyError> {
    match tree.change(&keys::applied())?.flatten() {
        Some(stored) => Ok(Some(decode(&stored)?)),
        None => over(tree),
    }
}

impl Base for Stack {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        match self.open.change(key)? {
            Some(value) => Ok(value),
            None => self.below.state().get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        self.open.changes(from, to, |changes| layers::merge(changes, self.below.state(), from, to, visit))
    }
}

/// Waits until nobody uses what a state lay in, and what no other state lies in is closed; false if that takes too long. It
/// goes on by itself: a tree on a disk that hangs may never be done with closing.
pub(crate) fn let_go(stack: Arc<Stack>, patience: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    let (closed, is_closed) = mpsc::channel();
    let close = move || {
        let mut stack = stack;
        while let Err(still) = Arc::try_unwrap(stack).map(drop) {
            stack = still;
            std::thread::sleep(STEP);
        }
        let _ = closed.send(());
    };
    let begun = std::thread::Builder::new().name("index closing".into()).spawn(close);
    begun.is_ok() && is_closed.recv_timeout(patience).is_ok()
}
