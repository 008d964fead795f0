//! Where the index lies: in its home, or, while that can't take it, in the folder of a drive.
//!
//! At first the index lies in its home itself. One that is built anew, beside itself or after a failure, gets a
//! numbered directory within, and the file `current`, replaced by a rename, names the one that counts: sled names its
//! files by path, so its directory can't be renamed under it. A home that can't be written (its disk fails, is full, or
//! is read-only) is left for `index/` in the folder of a healthy drive. Numbers only grow, over all places: the highest
//! counts, and what isn't current is removed, at once or at the next start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use stratum_storage::drive::Roster;

const CURRENT: &str = "current";
const UNFINISHED: &str = "current.new";
/// In a drive's folder.
const AWAY: &str = "index";

/// The places for it.
#[derive(Clone, Debug)]
pub(crate) struct IndexDir {
    home: PathBuf,
    drives: Roster,
}

impl IndexDir {
    pub(crate) fn new(home: &Path, drives: Roster) -> IndexDir {
        IndexDir { home: home.to_owned(), drives }
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where it may lie now, its home first.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let healthy = self.drives.healthy();
        let away = healthy.iter().filter_map(|drive| Some(drive.io().folder()?.join(AWAY)));
        std::iter::once(self.home.clone()).chain(away).collect()
    }

    /// Where the index lies. A name that makes no sense names nothing: the index is then rebuilt from the drives.
    pub(crate) fn current(&self) -> PathBuf {
        let (place, number) = self.newest();
        number.map_or_else(|| place.clone(), |number| place.join(number.to_string()))
    }

    /// Whether it lies in its home.
    pub(crate) fn is_home(&self) -> bool {
        self.newest().0 == self.home
    }

    fn newest(&self) -> (PathBuf, Option<u64>) {
        let mut newest = (self.home.clone(), number(&self.home));
        for place in self.places() {
            let number = number(&place);
            if number > newest.1 {
                newest = (place, number);
            }
        }
        newest
    }

    /// Where the next one is to be built in a place: empty.
    pub(crate) fn begin(&self, place: &Path) -> io::Result<Next> {
        fs::create_dir_all(place)?;
        let number = self.newest().1.unwrap_or_default() + 1;
        let next = Next { place: place.to_owned(), number };
        remove(&next.path())?;
        Ok(next)
    }

    /// Removes the index, and all others, in every place.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.places().iter().try_for_each(|place| remove(place))
    }

    /// Removes all that isn't the current index, as far as that can be. Only while no other is needed.
    pub(crate) fn clean(&self) {
        let (current, number) = self.newest();
        for place in self.places() {
            let cleaned = match place == current {
                true => remove_others(&place, number),
                false => remove(&place),
            };
            if let Err(error) = cleaned {
                tracing::warn!(place = %place.display(), %error, "what is left of former indexes can't be removed");
            }
        }
    }
}

/// The place of an index that is being built.
#[derive(Debug)]
pub(crate) struct Next {
    place: PathBuf,
    number: u64,
}

impl Next {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.join(self.number.to_string())
    }

    /// From now on it is this one, durably.
    pub(crate) fn switch(&self) -> io::Result<()> {
        let unfinished = self.place.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        write!(file, "{}", self.number)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.place.join(CURRENT))?;
        File::open(&self.place)?.sync_all()?;
        self.place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

fn number(place: &Path) -> Option<u64> {
    fs::read_to_string(place.join(CURRENT)).ok()?.parse().ok()
}

/// Removes what lies in a place beside the index of that number.
fn remove_others(place: &Path, number: Option<u64>) -> io::Result<()> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name == UNFINISHED || name.parse::<u64>().is_ok();
        let is_current = number.is_some_and(|number| name == number.to_string()) || name == CURRENT;
        // Without a number the index is in the place itself, among its own files.
        if !is_current && (is_ours || number.is_some()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
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
    use std::sync::Arc;
    use stratum_storage::ambient::System;
    use stratum_storage::blob::Tier;
    use stratum_storage::drive::real::RealDrive;
    use stratum_storage::drive::{Drive, DriveId, Threads};

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn build(index: &IndexDir, place: &Path) {
        let next = index.begin(place).unwrap();
        fs::create_dir(next.path()).unwrap();
        next.switch().unwrap();
        index.clean();
    }

    #[test]
    fn one_counts_and_the_others_go() {
        let dir = tempfile::tempdir().unwrap();
        let (root, index) = (dir.path(), IndexDir::new(dir.path(), Vec::new().into()));
        fs::write(root.join("db"), "pages").unwrap();
        assert_eq!(index.current(), root);
        // A build that was cut off.
        fs::create_dir(index.begin(root).unwrap().path()).unwrap();
        index.clean();
        assert_eq!(names(root), ["db"]);

        build(&index, root);
        assert_eq!(index.current(), root.join("1"));
        assert_eq!(names(root), ["1", "current"]);
        build(&index, root);
        assert_eq!(names(root), ["2", "current"]);
    }

    #[test]
    fn it_moves_to_a_drive_and_home_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("meta/sled");
        let drive = |position: u16| {
            let io = RealDrive::create(&dir.path().join(format!("hot/{position}"))).unwrap();
            let (id, clock) = (DriveId(u128::from(position)), Arc::new(System));
            Arc::new(Drive::new(id, Tier::Hot, position, Arc::new(io), Threads::Caller, clock))
        };
        let drives = vec![drive(0), drive(1)];
        let index = IndexDir::new(&home, drives.clone().into());
        build(&index, &home);
        let away = index.places()[2].clone();
        assert_eq!(away, dir.path().join("hot/1/index"));
        build(&index, &away);
        assert_eq!((index.current(), index.is_home()), (away.join("2"), false));
        assert!(!home.exists(), "what failed there is never found again");
        // Nothing is made of a drive that has failed.
        drives[1].fail("pulled");
        assert_eq!((index.current(), index.is_home()), (home.clone(), true));
        build(&index, &home);
        assert_eq!(index.current(), home.join("1"));
    }
}
