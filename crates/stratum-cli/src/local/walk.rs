//! Finds all files below a folder in the order of their names as keys, so that they can be compared with a bucket's
//! listing while both are still coming.

use clap::ValueEnum;
use futures_util::Stream;
use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// How many files may wait for the stream's reader.
const AHEAD: usize = 1024;

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
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a folder: say --recursive".into());
    }
    if !metadata.is_file() {
        return Err("it is no regular file: pipe its content through `-`".into());
    }
    Ok(file(path.to_owned(), &metadata))
}

/// All files below a folder.
pub fn walk(root: &Path, symlinks: Symlinks) -> impl Stream<Item = Walked> + Send + use<> {
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut walk = Walk { symlinks, sender, folders: Vec::new() };
        walk.enter(&root, "");
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
            return self.enter(&path, &name);
        }
        let walked = match fs::metadata(&path) {
            Ok(metadata) => Walked::File(name, file(path, &metadata)),
            Err(error) => Walked::Unusable { path, problem: error.to_string() },
        };
        self.sender.blocking_send(walked).is_ok()
    }

    fn unusable(&self, path: PathBuf, problem: &str) -> bool {
        self.sender.blocking_send(Walked::Unusable { path, problem: problem.to_owned() }).is_ok()
    }

    fn enter(&mut self, path: &Path, prefix: &str) -> bool {
        let entered = fs::metadata(path).and_then(|metadata| {
            Ok(((metadata.dev(), metadata.ino()), fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?))
        });
        let (identity, found) = match entered {
            Ok(entered) => entered,
            Err(error) => return self.unusable(path.to_owned(), &error.to_string()),
        };
        if self.folders.iter().any(|folder| folder.identity == identity) {
            return self.unusable(path.to_owned(), "it leads back to a folder that it lies in");
        }
        let mut entries = Vec::with_capacity(found.len());
        for entry in found {
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
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
                return Err("it is a symbolic link: say --symlinks follow, or --symlinks skip".into());
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

fn file(path: PathBuf, metadata: &Metadata) -> LocalFile {
    // A file system that keeps no modification times has every file count as old, so only a difference in size has it
    // copied by `sync`.
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    LocalFile { path, size: metadata.len(), modified }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::os::unix::ffi::OsStringExt;
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
