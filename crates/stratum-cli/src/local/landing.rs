//! Writes files: each is written beside its place under a temporary name and then renamed, so that it is there whole
//! or not at all.
//!
//! A name below a target folder never leads out of it, since no symbolic link between the two is followed. Somebody
//! else who may write in the target folder could put a link there between the check and the use: don't download into
//! such a folder.

use super::lasting::Lasting;
use super::names::relative_path;
use std::collections::HashSet;
use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tempfile::{Builder, NamedTempFile};

/// The permissions of a new file, of which the umask takes its part away.
const FILE_MODE: u32 = 0o666;
/// How much is written by one call.
const WRITTEN_BYTES: usize = 256 << 10;

/// A folder that files are put into.
#[derive(Debug)]
pub struct Root {
    folder: PathBuf,
    /// Folders below the root that are known to be folders and no links.
    seen: Mutex<HashSet<PathBuf>>,
}

impl Root {
    pub fn new(folder: PathBuf) -> Root {
        Root { folder, seen: Mutex::default() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a name below the root, if a file can have that name.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
        relative_path(name).map(|relative| self.folder.join(relative))
    }

    /// The path of a name below the root. The folders on the way to it are made.
    pub fn prepare(&self, name: &str) -> Result<PathBuf, String> {
        let relative = relative_path(name)?;
        make(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        self.descend(relative.parent().unwrap_or(Path::new("")))?;
        Ok(self.folder.join(relative))
    }

    /// Makes the folder that a key which ends with a slash stands for.
    pub fn make_folder(&self, name: &str) -> Result<(), String> {
        let relative = relative_path(name)?;
        make(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        self.descend(&relative)
    }

    fn descend(&self, relative: &Path) -> Result<(), String> {
        let mut path = self.folder.clone();
        for part in relative {
            path.push(part);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.contains(&path) {
                continue;
            }
            let told = |problem: &str| format!("{}: {problem}", path.display());
            match fs::create_dir(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(told(&error.to_string()));
                }
                _ => {}
            }
            let metadata = fs::symlink_metadata(&path).map_err(|error| told(&error.to_string()))?;
            if metadata.is_symlink() {
                return Err(told("it is a symbolic link, which is never written through"));
            }
            if !metadata.is_dir() {
                return Err(told("it is a file, but a folder is needed there"));
            }
            seen.insert(path.clone());
        }
        Ok(())
    }
}

/// Makes a folder and those above it.
fn make(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() { Ok(()) } else { fs::create_dir_all(folder) }
}

/// Removes a folder that is in a file's place, if nothing but folders is in it: the files in it may just have been
/// deleted. A folder that holds a file stays, and is refused.
pub fn make_way(to: &Path) -> Result<(), String> {
    match fs::remove_dir(to) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
            let made = is_hollow(to) && remove_hollow(to).is_ok();
            made.then_some(())
                .ok_or_else(|| format!("{}: a folder is there, but a file is to be written", to.display()))
        }
        _ => Ok(()),
    }
}

fn is_hollow(folder: &Path) -> bool {
    let is_one =
        |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_hollow(&entry.path());
    fs::read_dir(folder).is_ok_and(|mut inside| inside.all(|entry| entry.is_ok_and(is_one)))
}

/// Removes a folder with the empty folders in it. A file that was put there meanwhile stays and makes this fail.
fn remove_hollow(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        remove_hollow(&entry?.path())?;
    }
    fs::remove_dir(folder)
}

/// What lies where a file was named to be.
pub enum Target {
    /// Nothing, or a file that is replaced.
    File,
    Folder,
    /// A device or a pipe: it is written to as it is.
    Stream,
}

impl Target {
    /// Looks what lies at the path.
    pub fn of(path: &Path) -> Result<Target, String> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Target::Folder),
            Ok(metadata) if metadata.is_file() => Ok(Target::File),
            Ok(metadata) if metadata.file_type().is_block_device() => {
                Err("it is a block device: write to it by a pipe, if that is meant".into())
            }
            Ok(_) => Ok(Target::Stream),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Target::File),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A file on its way to its place.
pub struct Landing {
    passing: Passing,
    to: PathBuf,
    clobbers: bool,
}

enum Passing {
    /// The file is removed when this is dropped.
    Temporary(NamedTempFile),
    /// The file stays when this is dropped, so that a later process can go on with it.
    Kept(File, PathBuf),
}

impl Landing {
    /// A file that is removed if it isn't finished.
    pub fn new(to: PathBuf, clobbers: bool) -> io::Result<Landing> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make(folder)?;
        let temporary = Builder::new()
            .prefix(".stratum-")
            .suffix(".partial")
            .permissions(fs::Permissions::from_mode(FILE_MODE))
            .tempfile_in(folder)?;
        Ok(Landing { passing: Passing::Temporary(temporary), to, clobbers })
    }

    /// A file that stays under the name `passing` until it is finished.
    pub fn kept(to: PathBuf, passing: PathBuf, clobbers: bool) -> io::Result<Landing> {
        make(passing.parent().unwrap_or(Path::new("")))?;
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&passing)?;
        Ok(Landing { passing: Passing::Kept(file, passing), to, clobbers })
    }

    fn file(&self) -> &File {
        match &self.passing {
            Passing::Temporary(temporary) => temporary.as_file(),
            Passing::Kept(file, _) => file,
        }
    }

    /// Writes in small calls, since the system lets only one writer of a file in at a time, and delays a writer when
    /// the disk is behind.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        bytes.chunks(WRITTEN_BYTES).try_for_each(|chunk| {
            self.file().write_all_at(chunk, offset)?;
            offset += chunk.len() as u64;
            Ok(())
        })
    }

    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file().read_exact_at(bytes, offset)
    }

    /// Reserves room for the whole file, so that a full disk is seen before any byte is asked for.
    pub fn reserve(&self, size: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        if size == 0 {
            return Ok(());
        }
        match fallocate(self.file(), FallocateFlags::KEEP_SIZE, 0, size) {
            // Not every file system can reserve room.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => Ok(()),
            reserved => Ok(reserved?),
        }
    }

    /// Renames the file to its place, where it replaces an older one if it may. With `lasting` it outlasts a power
    /// loss from then on.
    pub fn land(self, modified: Option<SystemTime>, lasting: Option<&Lasting>) -> io::Result<()> {
        if let Some(modified) = modified {
            self.file().set_times(FileTimes::new().set_modified(modified))?;
        }
        if lasting.is_some() {
            self.file().sync_all()?;
        }
        match (self.passing, self.clobbers) {
            (Passing::Temporary(temporary), true) => {
                temporary.persist(&self.to).map_err(|error| error.error)?;
            }
            (Passing::Temporary(temporary), false) => {
                temporary.persist_noclobber(&self.to).map_err(|error| error.error)?;
            }
            (Passing::Kept(_, passing), true) => fs::rename(passing, &self.to)?,
            (Passing::Kept(_, passing), false) => {
                fs::hard_link(&passing, &self.to)?;
                fs::remove_file(passing)?;
            }
        }
        lasting.map_or(Ok(()), |lasting| lasting.keep(&self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_written_through_a_link_below_the_target() {
        let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(away.path(), home.path().join("link")).unwrap();
        fs::write(home.path().join("file"), "x").unwrap();
        let root = Root::new(home.path().to_owned());
        assert!(root.prepare("link/x").unwrap_err().contains("symbolic link"));
        assert!(root.prepare("file/x").unwrap_err().contains("it is a file"));
        assert!(root.prepare("../x").is_err());
        assert_eq!(root.prepare("a/b/c"), Ok(home.path().join("a/b/c")));
        assert!(home.path().join("a/b").is_dir() && fs::read_dir(away.path()).unwrap().next().is_none());
    }

    #[test]
    fn a_folder_without_files_makes_way_and_nothing_else_does() {
        let home = tempfile::tempdir().unwrap();
        let [empty, full, file, link] = ["empty", "full", "file", "link"].map(|name| home.path().join(name));
        fs::create_dir_all(empty.join("in/it")).unwrap();
        fs::create_dir_all(full.join("in/it")).unwrap();
        fs::write(full.join("in/file"), "x").unwrap();
        fs::write(&file, "x").unwrap();
        symlink(&empty, &link).unwrap();
        assert_eq!(
            (make_way(&link), make_way(&file), make_way(&home.path().join("none"))),
            (Ok(()), Ok(()), Ok(()))
        );
        assert!(empty.exists() && file.exists() && link.symlink_metadata().is_ok());
        assert_eq!(make_way(&empty), Ok(()));
        assert!(!empty.exists() && make_way(&full).unwrap_err().contains("a folder is there"));
        assert!(full.join("in/it").exists(), "nothing of it goes");
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("file");
        fs::write(&to, "old").unwrap();
        let landing = Landing::new(to.clone(), true).unwrap();
        landing.write_at(b"new and", 0).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        drop(landing);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing stays");
        let landing = Landing::new(to.clone(), true).unwrap();
        landing.write_at(b"new", 0).unwrap();
        landing.land(Some(SystemTime::UNIX_EPOCH), Some(&Lasting::default())).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
        let again = Landing::new(to, false).unwrap().land(None, None);
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
