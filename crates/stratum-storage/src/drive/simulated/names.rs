//! A simulated drive's names: what lookups see, what a crash surely leaves, and the changes in between.

use super::content::Content;
use super::{Dice, Entry};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// A file, with or without names.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) content: Mutex<Content>,
    pub(super) links: AtomicU32,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir,
    File(Arc<Inode>),
}

/// Full paths to what they name; the root has none.
type Tree = BTreeMap<String, Node>;

/// Names that change together or not at all: a rename takes one away and sets another.
type NameChange = Vec<(String, Option<Node>)>;

#[derive(Debug, Default)]
pub(super) struct Names {
    current: Tree,
    durable: Tree,
    pending: Vec<NameChange>,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn error<T>(kind: ErrorKind, path: &str) -> io::Result<T> {
    Err(io::Error::new(kind, format!("{path}: {kind}")))
}

fn apply(tree: &mut Tree, change: &NameChange) {
    for (path, node) in change {
        match node {
            Some(node) => tree.insert(path.clone(), node.clone()),
            None => tree.remove(path),
        };
    }
}

impl Names {
    pub(super) fn get(&self, path: &str) -> io::Result<&Node> {
        self.current.get(path).map_or_else(|| error(ErrorKind::NotFound, path), Ok)
    }

    pub(super) fn file(&self, path: &str) -> io::Result<Arc<Inode>> {
        match self.get(path)? {
            Node::File(inode) => Ok(inode.clone()),
            Node::Dir => error(ErrorKind::IsADirectory, path),
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Arc<Inode>)> {
        self.current.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((path.as_str(), inode)),
            Node::Dir => None,
        })
    }

    fn need_dir(&self, path: &str) -> io::Result<()> {
        match path.is_empty() || matches!(self.get(path)?, Node::Dir) {
            true => Ok(()),
            false => error(ErrorKind::NotADirectory, path),
        }
    }

    fn change(&mut self, change: NameChange) {
        for (path, node) in &change {
            if let Some(Node::File(inode)) = self.current.get(path) {
                inode.links.fetch_sub(1, Ordering::Relaxed);
            }
            if let Some(Node::File(inode)) = node {
                inode.links.fetch_add(1, Ordering::Relaxed);
            }
        }
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Arc<Inode>> {
        self.need_dir(parent(path))?;
        if self.current.contains_key(path) {
            return error(ErrorKind::AlreadyExists, path);
        }
        let inode = Arc::new(Inode::default());
        self.change(vec![(path.to_owned(), Some(Node::File(inode.clone())))]);
        Ok(inode)
    }

    pub(super) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for dir in ends.map(|end| &path[..end]).filter(|dir| !dir.is_empty()) {
            match self.current.get(dir) {
                Some(Node::Dir) => {}
                Some(Node::File(_)) => return error(ErrorKind::NotADirectory, dir),
                None => self.change(vec![(dir.to_owned(), Some(Node::Dir))]),
            }
        }
        Ok(())
    }

    /// Renames a file; directories are never renamed.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.file(from)?;
        self.need_dir(parent(to))?;
        if let Some(Node::Dir) = self.current.get(to) {
            return error(ErrorKind::IsADirectory, to);
        }
        if from != to {
            self.change(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(inode)))]);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        if let Node::Dir = self.get(path)?
            && self.current.keys().any(|known| parent(known) == path)
        {
            return error(ErrorKind::DirectoryNotEmpty, path);
        }
        self.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.need_dir(dir)?;
        let children = self.current.iter().filter(|(path, _)| parent(path) == dir);
        Ok(children
            .map(|(path, node)| {
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                match node {
                    Node::Dir => Entry { name, is_dir: true, len: 0 },
                    Node::File(inode) => Entry { name, is_dir: false, len: inode.content.lock().len() },
                }
            })
            .collect())
    }

    /// Makes what changed in a directory durable. A rename into another is durable as a whole, and so is whatever
    /// happened to its names before: a journal never replays a later change of a name without the earlier ones.
    pub(super) fn sync_dir(&mut self, dir: &str) -> io::Result<()> {
        self.need_dir(dir)?;
        let mut wanted: HashSet<String> = HashSet::new();
        let mut commits = vec![false; self.pending.len()];
        for (commit, change) in commits.iter_mut().zip(&self.pending).rev() {
            if change.iter().any(|(path, _)| parent(path) == dir || wanted.contains(path)) {
                *commit = true;
                wanted.extend(change.iter().map(|(path, _)| path.clone()));
            }
        }
        let mut commits = commits.into_iter();
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let commit = commits.next().unwrap_or_default();
            if commit {
                apply(durable, change);
            }
            !commit
        });
        Ok(())
    }

    /// Each unsynced change of names is kept or lost; so are the unsynced bytes of the files that remain.
    pub(super) fn crash(&mut self, dice: &Dice) {
        for change in std::mem::take(&mut self.pending) {
            if dice.roll(2) == 0 {
                apply(&mut self.durable, &change);
            }
        }
        drop_orphans(&mut self.durable);
        self.replace(self.durable.clone());
        for (_, inode) in self.files() {
            inode.content.lock().crash(dice);
        }
    }

    /// A deep copy of what a crash surely leaves.
    pub(super) fn durable_only(&self) -> Names {
        let mut tree = self.durable.clone();
        drop_orphans(&mut tree);
        for node in tree.values_mut() {
            if let Node::File(inode) = node {
                let content = Mutex::new(inode.content.lock().durable_only());
                *inode = Arc::new(Inode { content, links: AtomicU32::new(1) });
            }
        }
        Names { current: tree.clone(), durable: tree, pending: Vec::new() }
    }

    /// All names go, at once and durably.
    pub(super) fn erase(&mut self) {
        self.replace(Tree::new());
    }

    fn replace(&mut self, tree: Tree) {
        for (_, inode) in self.files() {
            inode.links.store(0, Ordering::Relaxed);
        }
        *self = Names { current: tree.clone(), durable: tree, pending: Vec::new() };
        for (_, inode) in self.files() {
            inode.links.store(1, Ordering::Relaxed);
        }
    }
}

/// Drops the names that can't be reached, since their directory isn't there.
fn drop_orphans(tree: &mut Tree) {
    let mut dirs: HashSet<String> = HashSet::from([String::new()]);
    // A directory sorts before what is in it.
    tree.retain(|path, node| {
        let reachable = dirs.contains(parent(path));
        if reachable && matches!(node, Node::Dir) {
            dirs.insert(path.clone());
        }
        reachable
    });
}
