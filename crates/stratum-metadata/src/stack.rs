//! What the state consists of: a checkpoint, the changes up to the closing of a tree, and the changes since.
//!
//! A read looks into the open tree, then into what lies below it. While a tree is closed, the next checkpoint is
//! being merged from that tree and the checkpoint before; when it is complete it replaces both.

use crate::checkpoint::{Checkpoint, Closed, Nothing, Void};
use crate::keys;
use crate::layers;
use crate::record::{Applied, decode};
use crate::state::ApplyError;
use crate::tree::{Base, Tree, TreeError, Value};
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What the state consists of. A stack never changes; another one replaces it.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// The tree that takes changes.
    pub(crate) open: Tree,
    pub(crate) below: Below,
}

/// What lies below the open tree.
#[derive(Clone, Debug)]
pub(crate) enum Below {
    /// The store has no checkpoint yet.
    Nothing,
    Checkpoint(Arc<Checkpoint>),
    /// A closed tree, from which the next checkpoint is being merged.
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

    /// The last entry applied to the state below the open tree, with its hash and fingerprint.
    pub(crate) fn applied(&self) -> Applied {
        match self {
            Below::Nothing => Applied::default(),
            Below::Checkpoint(checkpoint) => checkpoint.applied(),
            Below::Closed(closed) => closed.applied,
        }
    }

    /// The same over the checkpoint that this makes of the one that there is.
    fn over(&self, make: impl FnOnce(&Arc<Checkpoint>) -> Arc<Checkpoint>) -> Below {
        match self {
            Below::Nothing => Below::Nothing,
            Below::Checkpoint(checkpoint) => Below::Checkpoint(make(checkpoint)),
            Below::Closed(closed) => {
                Below::Closed(Closed { over: closed.over.as_ref().map(make), ..closed.clone() })
            }
        }
    }

    /// The same, where these blocks count for empty.
    pub(crate) fn with_void(&self, void: &Void) -> Below {
        self.over(|checkpoint| checkpoint.with_void(void))
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
    /// A stack without an index: every call answers that the index is being rebuilt.
    pub(crate) fn away() -> Stack {
        Stack { open: Tree::away(), below: Below::Nothing }
    }

    /// The same, where these blocks count for empty.
    pub(crate) fn with_void(&self, void: &Void) -> Stack {
        Stack { open: self.open.clone(), below: self.below.with_void(void) }
    }

    /// The same, where all that is lost counts for empty.
    pub(crate) fn passing_over_lost(&self) -> Stack {
        Stack { open: self.open.clone(), below: self.below.over(Checkpoint::passing_over_lost) }
    }

    /// A key after `from` up to which a scan may go at a stretch: see [`Checkpoint::stretch`].
    pub(crate) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.below.checkpoint().map_or(Ok(None), |checkpoint| checkpoint.stretch(from))
    }

    /// Whether the open tree of this stack is open in the other, or closed there.
    pub(crate) fn goes_on_in(&self, other: &Stack) -> bool {
        let is_closed_there = matches!(&other.below, Below::Closed(closed) if closed.tree.is(&self.open));
        self.open.is(&other.open) || is_closed_there
    }
}

/// Writes into an empty tree over which state it lies.
pub(crate) fn begin(tree: &Tree, over: &Applied) -> Result<(), TreeError> {
    tree.begin(&over.encode())
}

/// What has been applied to the state below a tree; `None` if the tree was never begun.
pub(crate) fn over(tree: &Tree) -> Result<Option<Applied>, ApplyError> {
    Ok(tree.over()?.map(|stored| decode(&stored)).transpose()?)
}

/// What has been applied to a tree and to the state below it; `None` if the tree was never begun.
pub(crate) fn applied(tree: &Tree) -> Result<Option<Applied>, ApplyError> {
    match tree.change(&keys::applied())?.flatten() {
        Some(stored) => Ok(Some(decode(&stored)?)),
        None => over(tree),
    }
}

/// What counts for empty of what lies below a tree, by what stands in it and in a closed one.
pub(crate) fn void(open: &Tree, below: &Below) -> Result<Void, ApplyError> {
    let closed = match below {
        Below::Closed(closed) => Some(&closed.tree),
        Below::Nothing | Below::Checkpoint(_) => None,
    };
    let mut void = Void::default();
    for tree in closed.into_iter().chain([open]) {
        if let Some(stored) = tree.change(&keys::void())?.flatten() {
            void.0.extend(decode::<Void>(&stored)?.0);
        }
    }
    Ok(void)
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

/// Waits until nobody uses a former stack and the trees that no other stack uses are closed; false if that takes too
/// long. The closing then goes on by itself: for a tree on a disk that hangs it may never end.
pub(crate) fn let_go(stack: Arc<Stack>, patience: Duration) -> bool {
    const LOOK_INTERVAL: Duration = Duration::from_millis(10);
    let (closed, is_closed) = mpsc::channel();
    let close = move || {
        let mut stack = stack;
        while let Err(still) = Arc::try_unwrap(stack).map(drop) {
            stack = still;
            std::thread::sleep(LOOK_INTERVAL);
        }
        let _ = closed.send(());
    };
    let begun = std::thread::Builder::new().name("index closing".into()).spawn(close);
    begun.is_ok() && is_closed.recv_timeout(patience).is_ok()
}
