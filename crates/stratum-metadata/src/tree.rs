//! What changed since the checkpoint, on the machine's own disk. The only file that names sled.
//!
//! A tree holds keys with their new values, and those that were removed; a checkpoint lies below it, and the state is the one
//! over the other. What several groups of commands changed is one atomic batch. sled 0.34 can panic on damaged
//! files, so every call is guarded: a panic becomes [`TreeError::Panicked`] and the tree is not used again. Its
//! flushing is its own affair: what it loses in a crash, the journal has. It keeps more than it is told to and gives no
//! space back, so a tree is thrown away before it is large.
//!
//! sled reads and writes one file through a descriptor, so it goes on when that file is deleted, and nobody would find
//! it at the next start: [`Tree::is_in_place`] is for who looks after it.

use crate::fingerprint::fingerprint;
use crate::lost::LostBlock;
use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::panics;

/// What sled may keep of its pages in memory, counted as they lie on disk: in memory they are twice as much, and two trees
/// are there while a checkpoint is merged. It starts empty and fills as keys are used; a hit costs a microsecond, a miss
/// twenty.
const CACHE_BYTES: u64 = 16 << 20;
/// How often sled writes its buffers out by itself.
const FLUSH_INTERVAL_MILLIS: u64 = 1_000;
/// sled's name for its file.
const FILE: &str = "db";
/// The key of what the tree lies over, and that of the sum of what it holds. They are no keys of the state.
const OVER: &[u8] = &[0];
const SUM: &[u8] = &[0, 0];
/// The first key of the state.
const FIRST: &[u8] = &[1];
/// Before a value, and alone in place of one that was removed.
const PRESENT: u8 = 1;
const REMOVED: u8 = 0;

/// Why the index did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    #[error("the index failed: {0}")]
    Failed(String),
    #[error("the index is damaged: {0}")]
    Panicked(String),
    /// It failed, and there is no other yet.
    #[error("the index failed and is being rebuilt; try again")]
    Away,
    /// It is well but for this: what lies there can't be known.
    #[error("{0}")]
    Lost(Arc<LostBlock>),
}

impl From<sled::Error> for TreeError {
    fn from(error: sled::Error) -> Self {
        TreeError::Failed(error.to_string())
    }
}

/// A stored value; cloning it copies no bytes to speak of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(sled::IVec);

impl Value {
    /// What is stored of a change.
    fn of_change(value: Option<&Value>) -> Value {
        value.map_or_else(
            || [REMOVED].as_slice().into(),
            |value| [&[PRESENT], &value[..]].concat().as_slice().into(),
        )
    }

    /// The new value that a stored change says; nothing if the key was removed.
    pub(crate) fn as_change(&self) -> Option<Value> {
        match self.first() {
            Some(&PRESENT) => Some(Value(self.0.subslice(1, self.0.len() - 1))),
            _ => None,
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
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

/// Changes over a checkpoint. A cheap handle.
#[derive(Clone)]
pub(crate) struct Tree {
    open: Option<Arc<Open>>,
}

struct Open {
    /// There until it is dropped.
    db: Option<sled::Db>,
    dir: PathBuf,
    /// Device and number of its file.
    file: Option<(u64, u64)>,
}

impl Drop for Open {
    /// sled writes out what it has when it goes, and may panic at that, too.
    fn drop(&mut self) {
        let db = self.db.take();
        let close = || {
            drop(db);
            Ok(())
        };
        if let Err(error) = guarded(&self.dir, close) {
            tracing::debug!(%error, "an index went badly");
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree")
    }
}

impl Tree {
    /// Opens the tree in a directory, or makes an empty one there.
    pub(crate) fn open(dir: &Path) -> Result<Tree, TreeError> {
        guarded(dir, || {
            let config = sled::Config::default()
                .path(dir)
                .cache_capacity(CACHE_BYTES)
                .mode(sled::Mode::HighThroughput)
                .flush_every_ms(Some(FLUSH_INTERVAL_MILLIS));
            let db = Some(config.open()?);
            Ok(Tree { open: Some(Arc::new(Open { db, dir: dir.to_owned(), file: file_in(dir) })) })
        })
    }

    /// None: every call says so.
    pub(crate) fn away() -> Tree {
        Tree { open: None }
    }

    /// Whether it is the very same, opened once.
    pub(crate) fn is(&self, other: &Tree) -> bool {
        match (&self.open, &other.open) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether a start would find the file that this is.
    pub(crate) fn is_in_place(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.file == file_in(&open.dir))
    }

    fn call<T>(&self, call: impl FnOnce(&sled::Db) -> Result<T, TreeError>) -> Result<T, TreeError> {
        let open = self.open.as_ref().ok_or(TreeError::Away)?;
        let db = open.db.as_ref().ok_or(TreeError::Away)?;
        guarded(&open.dir, || call(db))
    }

    /// Writes all of the changes, or none of them if the machine stops meanwhile.
    pub(crate) fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>,
    ) -> Result<(), TreeError> {
        self.call(|db| {
            let mut batch = sled::Batch::default();
            let mut sum = db.get(SUM)?.and_then(|stored| sum_of(&stored));
            for (key, value) in changes {
                let change = Value::of_change(value);
                if let Some(sum) = &mut sum {
                    let before = db.get(key)?.map_or(0, |before| fingerprint(key, &before));
                    *sum = sum.wrapping_sub(before).wrapping_add(fingerprint(key, &change));
                }
                batch.insert(key, change.0);
            }
            if let Some(sum) = sum {
                batch.insert(SUM, &sum.to_le_bytes());
            }
            Ok(db.apply_batch(batch)?)
        })
    }

    /// Says of an empty tree what it lies over.
    pub(crate) fn begin(&self, over: &[u8]) -> Result<(), TreeError> {
        self.call(|db| {
            let mut batch = sled::Batch::default();
            batch.insert(OVER, over);
            batch.insert(SUM, &0u128.to_le_bytes());
            Ok(db.apply_batch(batch)?)
        })
    }

    /// Whether it holds just what was written, by the sum that is kept beside it: a key that sled lost would be missing from
    /// that. Nothing of a tree that an older binary began. Reads all of it.
    pub(crate) fn is_whole(&self) -> Result<Option<bool>, TreeError> {
        self.call(|db| {
            let Some(sum) = db.get(SUM)?.and_then(|stored| sum_of(&stored)) else { return Ok(None) };
            let mut found = 0u128;
            for pair in db.range(FIRST..) {
                let (key, change) = pair?;
                found = found.wrapping_add(fingerprint(&key, &change));
            }
            Ok(Some(found == sum))
        })
    }

    /// What the tree was begun with; nothing if it was never begun.
    pub(crate) fn over(&self) -> Result<Option<Value>, TreeError> {
        self.call(|db| Ok(db.get(OVER)?.map(Value)))
    }

    /// A key's value if it changed: `Some(None)` if it was removed.
    pub(crate) fn change(&self, key: &[u8]) -> Result<Option<Option<Value>>, TreeError> {
        self.call(|db| Ok(db.get(key)?.map(|change| Value(change).as_change())))
    }

    /// Whether a key with `from <= key < to` changed.
    pub(crate) fn changes_between(&self, from: &[u8], to: &[u8]) -> Result<bool, TreeError> {
        self.call(|db| match from.max(FIRST) < to {
            true => Ok(db.range(from.max(FIRST)..to).next().transpose()?.is_some()),
            false => Ok(false),
        })
    }

    /// Shows the keys with `from <= key < to` that changed, in order.
    pub(crate) fn changes<T>(
        &self,
        from: &[u8],
        to: &[u8],
        see: impl FnOnce(&mut dyn Iterator<Item = Result<TreeChange, TreeError>>) -> Result<T, TreeError>,
    ) -> Result<T, TreeError> {
        self.stored(from, to, |stored| {
            see(&mut stored.map(|pair| pair.map(|(key, change)| (key, change.as_change()))))
        })
    }

    /// Shows them as they are stored.
    pub(crate) fn stored<T>(
        &self,
        from: &[u8],
        to: &[u8],
        see: impl FnOnce(&mut dyn Iterator<Item = Result<(Value, Value), TreeError>>) -> Result<T, TreeError>,
    ) -> Result<T, TreeError> {
        self.call(|db| {
            // An iterator of sled over a range that ends before it begins panics.
            let from = from.max(FIRST).min(to);
            let stored = db.range(from..to).map(|pair| pair.map(|(key, stored)| (Value(key), Value(stored))));
            see(&mut stored.map(|pair| pair.map_err(TreeError::from)))
        })
    }

    /// How many bytes the tree takes of its disk.
    pub(crate) fn bytes(&self) -> Result<u64, TreeError> {
        self.call(|db| Ok(db.size_on_disk()?))
    }

    /// Loses a key, as sled might.
    #[cfg(test)]
    pub(crate) fn lose(&self, key: &[u8]) {
        let lost = self.call(|db| Ok(db.remove(key)?));
        assert!(matches!(lost, Ok(Some(_))), "there is one to lose");
    }

    /// Makes everything applied so far durable. Slow: for shutdown.
    pub(crate) fn flush(&self) -> Result<(), TreeError> {
        self.call(|db| db.flush().map(drop).map_err(TreeError::from))
    }
}

/// A key that changed, and its value if it wasn't removed.
pub(crate) type TreeChange = (Value, Option<Value>);

fn sum_of(stored: &[u8]) -> Option<u128> {
    stored.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
}

fn file_in(dir: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(dir.join(FILE)).ok()?;
    Some((file.dev(), file.ino()))
}

/// Runs a call of sled; what it panics with becomes an error.
fn guarded<T>(_dir: &Path, call: impl FnOnce() -> Result<T, TreeError>) -> Result<T, TreeError> {
    let call = || {
        #[cfg(test)]
        faults::check(_dir)?;
        call()
    };
    panics::caught(call).unwrap_or_else(|words| Err(TreeError::Panicked(words)))
}

#[cfg(test)]
pub(crate) mod faults {
    //! Has the indexes under a folder fail, for tests.

    use super::*;
    use tracing_mutex::parkinglot::Mutex;

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Fault {
        Error,
        Panic,
    }

    struct Plan {
        folder: PathBuf,
        /// Calls that go well before.
        after: u32,
        /// Calls that fail.
        times: u32,
        fault: Fault,
    }

    static PLANS: Mutex<Vec<Plan>> = Mutex::new(Vec::new());
    /// Folders on a disk that is full as long as the file beside each is there.
    static FULL: Mutex<Vec<(PathBuf, PathBuf)>> = Mutex::new(Vec::new());

    /// From now on the disk of the folder is full, but for what that file takes.
    pub(crate) fn fill(folder: &Path, ballast: &Path) {
        FULL.lock().push((folder.to_owned(), ballast.to_owned()));
    }

    /// What is free beside such a file, if the disk is planned to be full: never enough to make the file again.
    pub(crate) fn free_beside(ballast: &Path) -> Option<u64> {
        FULL.lock().iter().any(|(_, planned)| planned == ballast).then_some(0)
    }

    /// From the next call but `after` on, so many calls of the indexes under the folder fail.
    pub(crate) fn plan(folder: &Path, after: u32, times: u32, fault: Fault) {
        PLANS.lock().push(Plan { folder: folder.to_owned(), after, times, fault });
    }

    pub(crate) fn forget(folder: &Path) {
        PLANS.lock().retain(|plan| plan.folder != folder);
        FULL.lock().retain(|(planned, _)| planned != folder);
    }

    pub(super) fn check(dir: &Path) -> Result<(), TreeError> {
        if FULL.lock().iter().any(|(folder, ballast)| dir.starts_with(folder) && ballast.exists()) {
            return Err(TreeError::Failed("no space left on device, by plan".into()));
        }
        let fault = {
            let mut plans = PLANS.lock();
            plans.iter_mut().filter(|plan| dir.starts_with(&plan.folder)).find_map(Plan::take)
        };
        match fault {
            None => Ok(()),
            Some(Fault::Error) => Err(TreeError::Failed("by plan".into())),
            Some(Fault::Panic) => panic!("by plan"),
        }
    }

    impl Plan {
        fn take(&mut self) -> Option<Fault> {
            if self.after > 0 {
                self.after -= 1;
                return None;
            }
            self.times = self.times.checked_sub(1)?;
            Some(self.fault)
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
