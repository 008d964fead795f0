//! The index's directory, when the index is rebuilt beside itself.
//!
//! At first the index lies in the directory itself. One that is rebuilt gets a numbered directory within it, and the
//! file `current`, replaced by a rename, names the one that counts: sled names its files by path, so its directory
//! can't be renamed under it. What isn't current is removed, at once or at the next start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const CURRENT: &str = "current";
const UNFINISHED: &str = "current.new";

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct IndexDir {
    root: PathBuf,
}

impl IndexDir {
    pub(crate) fn new(root: &Path) -> IndexDir {
        IndexDir { root: root.to_owned() }
    }

    /// Where the index lies. A name that makes no sense names nothing: the index is then rebuilt from the drives.
    pub(crate) fn current(&self) -> PathBuf {
        self.number().map_or_else(|| self.root.clone(), |number| self.numbered(number))
    }

    /// Where the next one is to be built: an empty place.
    pub(crate) fn begin(&self) -> io::Result<Next> {
        let number = self.number().unwrap_or_default() + 1;
        let path = self.numbered(number);
        remove(&path)?;
        Ok(Next { number, path })
    }

    /// From now on it is this one, durably.
    pub(crate) fn switch(&self, next: &Next) -> io::Result<()> {
        let unfinished = self.root.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        write!(file, "{}", next.number)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.root.join(CURRENT))?;
        File::open(&self.root)?.sync_all()
    }

    /// Removes all that isn't the current index. Only while no other is open.
    pub(crate) fn clean(&self) -> io::Result<()> {
        let number = self.number();
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_ours = name == UNFINISHED || name.parse::<u64>().is_ok();
            let is_current = number.is_some_and(|number| name == number.to_string()) || name == CURRENT;
            // Without a number the index is in the root, among its own files.
            if !is_current && (is_ours || number.is_some()) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn number(&self) -> Option<u64> {
        fs::read_to_string(self.root.join(CURRENT)).ok()?.parse().ok()
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.root.join(number.to_string())
    }
}

/// The place of an index that is being built.
#[derive(Debug)]
pub(crate) struct Next {
    number: u64,
    path: PathBuf,
}

impl Next {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_counts_and_the_others_go() {
        let dir = tempfile::tempdir().unwrap();
        let (root, index) = (dir.path(), IndexDir::new(dir.path()));
        fs::write(root.join("db"), "pages").unwrap();
        assert_eq!(index.current(), root);
        // A build that was cut off.
        fs::create_dir(index.begin().unwrap().path()).unwrap();
        index.clean().unwrap();
        assert_eq!(names(root), ["db"]);

        let next = index.begin().unwrap();
        fs::create_dir(next.path()).unwrap();
        index.switch(&next).unwrap();
        assert_eq!(index.current(), root.join("1"));
        index.clean().unwrap();
        assert_eq!(names(root), ["1", "current"]);
        let next = index.begin().unwrap();
        fs::create_dir(next.path()).unwrap();
        index.switch(&next).unwrap();
        index.clean().unwrap();
        assert_eq!(names(root), ["2", "current"]);
    }
}
