//! The index on the machine's own disk. The only file that names sled.
//!
//! One tree holds the whole applied state; a group of commands is one atomic batch. sled 0.34 can panic on damaged
//! files, so every call is guarded: a panic becomes [`TreeError::Panicked`] and the tree is not used again. Its
//! flushing is its own affair: what it loses in a crash, the journal has.

use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// What sled may keep of its pages in memory. It starts empty and fills as keys are used; a hit costs a
/// microsecond, a miss twenty.
const CACHE_BYTES: u64 = 256 << 20;
/// How often sled writes its buffers out by itself.
const FLUSH_EVERY_MS: u64 = 1_000;

/// Why the index did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    #[error(
        "the index failed: {0}; it will be rebuilt from the checkpoint and the journal at the next start"
    )]
    Failed(String),
    #[error(
        "the index is damaged: {0}; it will be rebuilt from the checkpoint and the journal at the next start"
    )]
    Panicked(String),
}

impl From<sled::Error> for TreeError {
    fn from(error: sled::Error) -> Self {
        TreeError::Failed(error.to_string())
    }
}

/// A stored value; cloning it copies no bytes to speak of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(sled::IVec);

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value(bytes.into())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What `apply` and the readers need of the state: a get, and an ordered scan.
pub trait Base {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError>;

    /// Visits the pairs with `from <= key < to` in order until `visit` breaks.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError>;
}

/// The index. A cheap handle.
#[derive(Clone)]
pub struct Tree {
    db: Arc<sled::Db>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree")
    }
}

impl Tree {
    /// Opens the index in a directory, or makes an empty one there.
    pub fn open(dir: &Path) -> Result<Tree, TreeError> {
        guarded(|| {
            let config = sled::Config::default()
                .path(dir)
                .cache_capacity(CACHE_BYTES)
                .mode(sled::Mode::HighThroughput)
                .flush_every_ms(Some(FLUSH_EVERY_MS));
            Ok(Tree { db: Arc::new(config.open()?) })
        })
    }

    /// Writes all of the changes, or none of them if the machine stops meanwhile.
    pub fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>,
    ) -> Result<(), TreeError> {
        guarded(|| {
            let mut batch = sled::Batch::default();
            for (key, value) in changes {
                match value {
                    Some(value) => batch.insert(key, value.0.clone()),
                    None => batch.remove(key),
                }
            }
            Ok(self.db.apply_batch(batch)?)
        })
    }

    /// What it takes of its disk.
    pub fn bytes(&self) -> Result<u64, TreeError> {
        guarded(|| Ok(self.db.size_on_disk()?))
    }

    /// Lets go of the files if nobody else uses them; gives itself back otherwise.
    pub fn close(self) -> Result<(), Tree> {
        Arc::try_unwrap(self.db).map(drop).map_err(|db| Tree { db })
    }

    /// Removes everything.
    pub fn clear(&self) -> Result<(), TreeError> {
        guarded(|| Ok(self.db.clear()?))
    }

    /// Makes everything applied so far durable. Slow: for shutdown.
    pub fn flush(&self) -> Result<(), TreeError> {
        guarded(|| self.db.flush().map(drop).map_err(TreeError::from))
    }
}

impl Base for Tree {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        guarded(|| Ok(self.db.get(key)?.map(Value)))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        guarded(|| {
            if from >= to {
                return Ok(());
            }
            for pair in self.db.range(from..to) {
                let (key, value) = pair?;
                if visit(&key, &Value(value)).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Runs a call of sled; what it panics with becomes an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, TreeError>) -> Result<T, TreeError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(TreeError::Panicked(text.unwrap_or_else(|| "no reason given".into())))
        }
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! A base of plain memory, for tests.

    use super::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Memory(pub(crate) BTreeMap<Vec<u8>, Value>);

    impl Memory {
        pub(crate) fn apply<'a>(&mut self, changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>) {
            for (key, value) in changes {
                match value {
                    Some(value) => drop(self.0.insert(key.to_vec(), value.clone())),
                    None => drop(self.0.remove(key)),
                }
            }
        }
    }

    impl Base for Memory {
        fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
            Ok(self.0.get(key).cloned())
        }

        fn scan(
            &self,
            from: &[u8],
            to: &[u8],
            visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
        ) -> Result<(), TreeError> {
            if from < to {
                for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
                    if visit(key, value).is_break() {
                        break;
                    }
                }
            }
            Ok(())
        }
    }
}
