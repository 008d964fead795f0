//! Where the trees of changes lie: in their home directory or, while that can't hold one, in the folder of a drive.
//!
//! Each tree has a numbered directory. The file `current`, replaced by a rename, names the trees that count: the open
//! one last, and before it the one that was closed and is in no checkpoint yet. If the home can't be written (its
//! disk fails, is full, or is read-only), `index/` in the folder of a healthy drive takes its place. The home lies in a
//! data folder, beside the folders of drives: while none of these is there, their disk isn't either, and what would be
//! written to the home would lie on the disk below. Numbers only grow, over all places: the highest one counts, and
//! trees that aren't current are removed, at once or at the next start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use stratum_storage::drive::{Drive, Roster};

const CURRENT: &str = "current";
const UNFINISHED: &str = "current.new";
/// The directory in a drive's folder.
const AWAY: &str = "index";

/// The places where trees may lie.
#[derive(Clone, Debug)]
pub(crate) struct IndexDir {
    home: PathBuf,
    /// The data folder that the home lies in, if that has drives, too.
    shared: Option<PathBuf>,
    drives: Roster,
}

impl IndexDir {
    pub(crate) fn new(home: &Path, drives: Roster) -> IndexDir {
        // The folders of drives are absolute, and a data folder may be named from where the server was started.
        let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
        let has_drives = |folder: &&Path| drives.now().iter().any(|drive| lies_in(drive, folder));
        let shared = home.parent().and_then(Path::parent).filter(has_drives).map(Path::to_owned);
        IndexDir { home, shared, drives }
    }

    /// The places where a tree may lie now, the home first. Asks the drives, and blocks for as long as that takes.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        // A disk may have gone a moment ago, which nobody has noticed: no tree is to be begun on the disk beneath.
        let there: Vec<_> = self.drives.healthy().into_iter().filter(|drive| drive.check()).collect();
        let away = there.iter().filter_map(|drive| Some(drive.io().folder()?.join(AWAY)));
        self.home_is_there().then(|| self.home.clone()).into_iter().chain(away).collect()
    }

    /// Whether the disk of the home is there. Asks the drives, and blocks for as long as that takes.
    pub(crate) fn home_is_there(&self) -> bool {
        self.shared.as_ref().is_none_or(|folder| {
            self.drives.now().iter().filter(|drive| lies_in(drive, folder)).any(|drive| {
                drive.check();
                drive.is_healthy()
            })
        })
    }

    /// The directories of the trees that count, the open one last. A `current` that makes no sense names none; the
    /// state is then rebuilt from the drives.
    pub(crate) fn current(&self) -> Vec<PathBuf> {
        let (place, numbers) = self.newest();
        numbers.iter().map(|number| place.join(number.to_string())).collect()
    }

    /// Whether the open tree lies in its home.
    pub(crate) fn is_home(&self) -> bool {
        self.newest().0 == self.home
    }

    fn newest(&self) -> (PathBuf, Vec<u64>) {
        let mut newest = (self.home.clone(), numbers(&self.home));
        for place in self.places() {
            let numbers = numbers(&place);
            if numbers.last() > newest.1.last() {
                newest = (place, numbers);
            }
        }
        newest
    }

    /// An empty directory in `place` for the next tree, which is then the only one that counts.
    pub(crate) fn begin(&self, place: &Path) -> io::Result<Next> {
        fs::create_dir_all(place)?;
        let number = self.newest().1.last().copied().unwrap_or_default() + 1;
        let next = Next { place: place.to_owned(), number, after: None };
        remove(&next.path())?;
        Ok(next)
    }

    /// As [`IndexDir::begin`], but the open tree still counts, too. If that lies in another place, `current` can't
    /// name both; a start then replays the journal instead.
    pub(crate) fn begin_after(&self, place: &Path) -> io::Result<Next> {
        let (current, numbers) = self.newest();
        let after = numbers.last().copied().filter(|_| current == place);
        Ok(Next { after, ..self.begin(place)? })
    }

    /// From now on only the open tree counts, durably; the others are removed.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let (place, numbers) = self.newest();
        if let Some(number) = numbers.last().copied() {
            Next { place, number, after: None }.switch()?;
        }
        self.clean();
        Ok(())
    }

    /// Removes all trees in every place.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.places().iter().try_for_each(|place| remove(place))
    }

    /// Removes all trees that aren't current, as far as possible. To be called only while none of them is needed.
    pub(crate) fn clean(&self) {
        let (current, numbers) = self.newest();
        for place in self.places() {
            let cleaned = match place == current {
                true => remove_others(&place, &numbers),
                false => remove(&place),
            };
            if let Err(error) = cleaned {
                tracing::warn!(place = %place.display(), %error, "what is left of former trees can't be removed");
            }
        }
    }
}

/// The directory of a tree that is to be opened.
#[derive(Debug)]
pub(crate) struct Next {
    place: PathBuf,
    number: u64,
    /// The number of an older tree that still counts, too.
    after: Option<u64>,
}

impl Next {
    pub(crate) fn path(&self) -> PathBuf {
        self.place.join(self.number.to_string())
    }

    /// From now on this tree is the open one, durably.
    pub(crate) fn switch(&self) -> io::Result<()> {
        let unfinished = self.place.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        match self.after {
            Some(after) => write!(file, "{after} {}", self.number)?,
            None => write!(file, "{}", self.number)?,
        }
        file.sync_all()?;
        fs::rename(&unfinished, self.place.join(CURRENT))?;
        File::open(&self.place)?.sync_all()?;
        self.place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

fn lies_in(drive: &Drive, folder: &Path) -> bool {
    drive.io().folder().is_some_and(|own| own.starts_with(folder))
}

/// The numbers that `current` names in a place, rising.
fn numbers(place: &Path) -> Vec<u64> {
    let text = fs::read_to_string(place.join(CURRENT)).unwrap_or_default();
    let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    numbers.ok().filter(|numbers| numbers.is_sorted()).unwrap_or_default()
}

/// Removes everything in a place except the trees with these numbers, also what a server left there that had no
/// numbers.
fn remove_others(place: &Path, numbers: &[u64]) -> io::Result<()> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_current = name == CURRENT || numbers.iter().any(|number| name == number.to_string());
        // If `current` names no tree, nothing is known of what lies there.
        if !is_current && !numbers.is_empty() {
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
    use stratum_storage::drive::{DriveId, Threads};

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
    fn the_current_tree_stays_and_the_others_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, index) = (dir.path(), IndexDir::new(dir.path(), Vec::new().into()));
        fs::write(root.join("db"), "pages of a server that had no numbers").unwrap();
        assert!(index.current().is_empty());
        // A tree that was begun when the server ended.
        fs::create_dir(index.begin(root).unwrap().path()).unwrap();
        index.clean();
        assert_eq!(names(root), ["1", "db"]);

        build(&index, root);
        assert_eq!(index.current(), [root.join("1")]);
        assert_eq!(names(root), ["1", "current"]);
        build(&index, root);
        assert_eq!(names(root), ["2", "current"]);
    }

    #[test]
    fn a_closed_tree_counts_until_settle() {
        let dir = tempfile::tempdir().unwrap();
        let (root, index) = (dir.path(), IndexDir::new(dir.path(), Vec::new().into()));
        build(&index, root);
        let next = index.begin_after(root).unwrap();
        fs::create_dir(next.path()).unwrap();
        assert_eq!(index.current(), [root.join("1")]);
        next.switch().unwrap();
        assert_eq!(index.current(), [root.join("1"), root.join("2")]);
        index.clean();
        assert_eq!(names(root), ["1", "2", "current"]);
        index.settle().unwrap();
        assert_eq!(index.current(), [root.join("2")]);
        assert_eq!(names(root), ["2", "current"]);
    }

    #[test]
    fn the_index_moves_to_a_drive_and_home_again() {
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
        assert_eq!((index.current(), index.is_home()), (vec![away.join("2")], false));
        assert!(!home.exists(), "what failed there is never found again");
        assert!(index.home_is_there());
        // Nothing is made of a drive that has failed.
        drives[1].fail("pulled");
        assert_eq!((index.current(), index.is_home()), (Vec::new(), true));
        build(&index, &home);
        assert_eq!(index.current(), [home.join("1")]);
    }

    #[test]
    fn a_home_whose_disk_is_gone_gets_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        let drive = |position: u16| {
            let io = RealDrive::create(&dir.path().join(format!("data{position}/hot"))).unwrap();
            let (id, clock) = (DriveId(u128::from(position)), Arc::new(System));
            Arc::new(Drive::new(id, Tier::Hot, position, Arc::new(io), Threads::Caller, clock))
        };
        let (home, drives) = (dir.path().join("data0/meta/sled"), vec![drive(0), drive(1)]);
        let index = IndexDir::new(&home, drives.clone().into());
        let away = dir.path().join("data1/hot/index");
        assert_eq!(index.places(), [home.clone(), dir.path().join("data0/hot/index"), away.clone()]);
        build(&index, &home);
        drives[0].fail("unmounted");
        assert_eq!(index.places(), std::slice::from_ref(&away));
        build(&index, &away);
        assert!(!index.is_home() && !index.home_is_there());
        drop(drives);
    }

    /// A data folder with its drive, in the working directory.
    fn data_folder() -> (tempfile::TempDir, Arc<Drive>) {
        let dir = tempfile::tempdir_in(".").unwrap();
        let folder = std::path::absolute(dir.path()).unwrap();
        let io = RealDrive::create(&folder.join("hot")).unwrap();
        let drive = Drive::new(DriveId(1), Tier::Hot, 0, Arc::new(io), Threads::Caller, Arc::new(System));
        (dir, Arc::new(drive))
    }

    #[test]
    fn a_disk_that_went_unnoticed_gets_no_tree_where_its_folder_is_named_from_here() {
        let (dir, drive) = data_folder();
        let folder = std::path::absolute(dir.path()).unwrap();
        let here = std::path::absolute(".").unwrap();
        let home = folder.strip_prefix(&here).unwrap().join("meta/sled");
        let index = IndexDir::new(&home, vec![drive.clone()].into());
        assert_eq!(index.places(), [folder.join("meta/sled"), folder.join("hot/index")]);
        // The folder of the mount point is still there.
        fs::rename(folder.join("hot"), folder.join("unmounted")).unwrap();
        fs::create_dir(folder.join("hot")).unwrap();
        assert!(drive.is_healthy() && index.places().is_empty());
        assert!(!drive.is_healthy());
    }
}
