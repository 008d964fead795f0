//! Finds all files below a folder in the order of their names as keys, so that they can be compared with a bucket's
//! listing while both are still coming.

use clap::ValueEnum;
use futures_util::Stream;
use rustix::fs::{Dir, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// How many files may wait for the stream's reader.
const FILES_AHEAD: usize = 1024;

/// What is done with a symbolic link that is found in a folder.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Symlinks {
    /// Report it, and count it as failed.
    #[default]
    Refuse,
    /// Take what it leads to in its place.
    Follow,
    /// Leave it out without a word.
    Skip,
}

/// A file.
#[derive(Clone, Debug)]
pub struct LocalFile {
    pub path: PathBuf,
    pub size: u64,
    pub modified: SystemTime,
    /// Whether a symbolic link in its place means the file that it leads to. One that somebody put there since the
    /// file was found isn't followed otherwise.
    pub follows: bool,
}

impl LocalFile {
    /// Looks at what is at the path.
    ///
    /// # Errors
    /// Why it is no file that can be read, in words.
    fn at(path: &Path, follows: bool) -> Result<LocalFile, String> {
        let looked = if follows { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let metadata = looked.map_err(|error| error.to_string())?;
        match metadata.file_type() {
            kind if kind.is_file() => Ok(file(path.to_owned(), &metadata, follows)),
            kind if kind.is_dir() => Err("it is a folder: say --recursive".into()),
            kind if kind.is_symlink() => Err(IS_LINK.into()),
            _ => Err("it is no regular file: pipe its content through `-`".into()),
        }
    }

    /// The file as it is now.
    ///
    /// # Errors
    /// Why it is no file any more that can be read, in words.
    pub fn again(&self) -> Result<LocalFile, String> {
        LocalFile::at(&self.path, self.follows)
    }

    /// Opens the file, to read it.
    ///
    /// # Errors
    /// Why it can't be read, in words.
    pub fn open(&self) -> Result<File, String> {
        // Without waiting, since a named pipe that was put in its place would wait for a writer.
        let flags = if self.follows { OFlags::NONBLOCK } else { OFlags::NONBLOCK | OFlags::NOFOLLOW };
        let file = opened(&self.path, flags)?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(file),
            Ok(_) => Err("it is no regular file any more".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

const IS_LINK: &str = "it is a symbolic link: say --symlinks follow, or --symlinks skip";

fn opened(path: &Path, flags: OFlags) -> Result<File, String> {
    let opened = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => IS_LINK.into(),
        _ => error.to_string(),
    })
}

/// Something that was found below the folder.
pub enum Walked {
    /// A file, and its name below the folder.
    File(String, LocalFile),
    /// Something that can't be read, and below which more files may lie.
    Unusable { path: PathBuf, problem: String },
}

/// Looks at a file that the command line names.
///
/// # Errors
/// Why it can't be read, in words.
pub fn look(path: &Path) -> Result<LocalFile, String> {
    LocalFile::at(path, true)
}

/// All files below a folder.
pub fn walk(root: &Path, symlinks: Symlinks) -> impl Stream<Item = Walked> + Send + use<> {
    let (sender, mut receiver) = mpsc::channel(FILES_AHEAD);
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut walk = Walk { symlinks, sender, folders: Vec::new() };
        walk.enter(&root, "", true);
        while walk.step() {}
    });
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

struct Walk {
    symlinks: Symlinks,
    sender: mpsc::Sender<Walked>,
    /// The folders from the root down to the one that is being read.
    folders: Vec<Folder>,
}

struct Folder {
    /// The folder's device and inode, by which a link that leads back to it is recognised.
    identity: (u64, u64),
    /// The entries that are left to be looked at. The name of a folder ends with a slash, by which it sorts as its
    /// keys do.
    entries: VecDeque<(String, PathBuf)>,
}

impl Walk {
    /// Looks at the next entry. Gives false at the end, or when the stream was dropped.
    fn step(&mut self) -> bool {
        let Some(folder) = self.folders.last_mut() else { return false };
        let Some((name, path)) = folder.entries.pop_front() else {
            self.folders.pop();
            return true;
        };
        if name.ends_with('/') {
            return self.enter(&path, &name, self.follows());
        }
        // The folder was read a while ago, so that something else may be there by now.
        let walked = match LocalFile::at(&path, self.follows()) {
            Ok(file) => Walked::File(name, file),
            Err(problem) => Walked::Unusable { path, problem },
        };
        self.sender.blocking_send(walked).is_ok()
    }

    fn unusable(&self, path: PathBuf, problem: &str) -> bool {
        self.sender.blocking_send(Walked::Unusable { path, problem: problem.to_owned() }).is_ok()
    }

    fn follows(&self) -> bool {
        self.symlinks == Symlinks::Follow
    }

    fn enter(&mut self, path: &Path, prefix: &str, follows: bool) -> bool {
        let (identity, found) = match entries_of(path, follows) {
            Ok(entered) => entered,
            Err(problem) => return self.unusable(path.to_owned(), &problem),
        };
        if self.folders.iter().any(|folder| folder.identity == identity) {
            return self.unusable(path.to_owned(), "it leads back to a folder that it lies in");
        }
        let mut entries = Vec::with_capacity(found.len());
        for name in found {
            let path = path.join(&name);
            let Ok(name) = name.into_string() else {
                if !self.unusable(path, "its name isn't UTF-8, as keys are") {
                    return false;
                }
                continue;
            };
            match self.kind(&path) {
                Ok(Kind::File) => entries.push((format!("{prefix}{name}"), path)),
                Ok(Kind::Folder) => entries.push((format!("{prefix}{name}/"), path)),
                Ok(Kind::Nothing) => {}
                Err(problem) if self.unusable(path, &problem) => {}
                Err(_) => return false,
            }
        }
        entries.sort();
        self.folders.push(Folder { identity, entries: entries.into() });
        true
    }

    fn kind(&self, path: &Path) -> Result<Kind, String> {
        let told = |error: std::io::Error| error.to_string();
        let metadata = fs::symlink_metadata(path).map_err(told)?;
        let metadata = match (metadata.is_symlink(), self.symlinks) {
            (false, _) => metadata,
            (true, Symlinks::Follow) => fs::metadata(path).map_err(told)?,
            (true, Symlinks::Skip) => return Ok(Kind::Nothing),
            (true, Symlinks::Refuse) => {
                return Err(IS_LINK.into());
            }
        };
        match metadata.file_type() {
            kind if kind.is_file() => Ok(Kind::File),
            kind if kind.is_dir() => Ok(Kind::Folder),
            _ => Err("it is neither a file nor a folder".into()),
        }
    }
}

enum Kind {
    File,
    Folder,
    Nothing,
}

/// A folder's device and inode, and the names in it. With `follows` the path may be a link to it.
fn entries_of(path: &Path, follows: bool) -> Result<((u64, u64), Vec<OsString>), String> {
    let flags = if follows { OFlags::DIRECTORY } else { OFlags::DIRECTORY | OFlags::NOFOLLOW };
    let folder = opened(path, flags)?;
    let metadata = folder.metadata().map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for entry in Dir::new(folder).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(OsString::from_vec(name.to_vec())),
        }
    }
    Ok(((metadata.dev(), metadata.ino()), names))
}

fn file(path: PathBuf, metadata: &Metadata, follows: bool) -> LocalFile {
    // A file system that keeps no modification times has every file count as old, so only a difference in size has it
    // copied by `sync`.
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    LocalFile { path, size: metadata.len(), modified, follows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::os::unix::fs::symlink;

    async fn walked(root: &Path, symlinks: Symlinks) -> (Vec<String>, usize) {
        let found: Vec<Walked> = walk(root, symlinks).collect().await;
        let unusable = found.iter().filter(|walked| matches!(walked, Walked::Unusable { .. })).count();
        let names = found.into_iter().filter_map(|walked| match walked {
            Walked::File(name, _) => Some(name),
            Walked::Unusable { .. } => None,
        });
        (names.collect(), unusable)
    }

    #[tokio::test]
    async fn files_come_in_the_order_of_keys() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/b", "a.b", "a0", "ü", "a/c/d"] {
            fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            fs::write(root.path().join(name), name).unwrap();
        }
        let (names, _) = walked(root.path(), Symlinks::Refuse).await;
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!((names.len(), &names), (5, &sorted));
    }

    #[test]
    fn a_link_that_took_the_place_of_a_file_or_folder_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let [secret, file, folder] = ["secret", "file", "folder"].map(|name| home.path().join(name));
        fs::write(&secret, "x").unwrap();
        fs::write(&file, "x").unwrap();
        let found = LocalFile::at(&file, false).unwrap();
        assert!(found.open().is_ok() && entries_of(home.path(), false).unwrap().1.len() == 2);
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        symlink(home.path(), &folder).unwrap();
        for problem in
            [found.open().unwrap_err(), found.again().unwrap_err(), LocalFile::at(&file, false).unwrap_err()]
        {
            assert_eq!(problem, IS_LINK);
        }
        assert!(entries_of(&folder, false).is_err() && entries_of(&folder, true).is_ok());
        assert!(LocalFile { follows: true, ..found }.open().is_ok());
    }

    #[tokio::test]
    async fn links_and_names_that_are_not_utf8_are_reported() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("file"), "x").unwrap();
        fs::write(root.path().join(std::ffi::OsString::from_vec(vec![b'a', 0xff])), "x").unwrap();
        symlink("file", path("link")).unwrap();
        symlink(".", path("loop")).unwrap();
        assert_eq!(walked(root.path(), Symlinks::Refuse).await, (vec!["file".into()], 3));
        assert_eq!(walked(root.path(), Symlinks::Skip).await, (vec!["file".into()], 1));
        assert_eq!(walked(root.path(), Symlinks::Follow).await, (vec!["file".into(), "link".into()], 2));
        assert_eq!(walked(&path("nowhere"), Symlinks::Follow).await, (vec![], 1));
    }
}
