//! Has files outlast a power loss, for those whose source is deleted once they are there.
//!
//! A file lasts once its bytes are on the drive, and its name in its folder, and that folder's name in the one above it,
//! up to the root. Whoever writes the file syncs its bytes; the names are synced here.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The folders of which it is known that their names last. Folders aren't moved or removed by who asks.
#[derive(Debug, Default)]
pub struct Lasting {
    folders: Mutex<HashSet<PathBuf>>,
}

impl Lasting {
    /// Returns once the name of a file or folder lasts, with those of all folders above it.
    pub fn keep(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let mut named = path.as_path();
        while let Some(folder) = named.parent() {
            if named != path && self.folders().contains(named) {
                break;
            }
            match sync(folder) {
                // A folder above, in which this user may make nothing, has no new name that must last.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && named != path => {}
                synced => synced?,
            }
            if named != path {
                self.folders().insert(named.to_owned());
            }
            named = folder;
        }
        Ok(())
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fsync(File::open(folder)?) {
        // Not every file system can sync a folder, and nothing was made in one that can only be read.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::ROFS) => Ok(()),
        synced => Ok(synced?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_all_folders_above_are_kept_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().canonicalize().unwrap().join("a/b");
        std::fs::create_dir_all(&folder).unwrap();
        let lasting = Lasting::default();
        lasting.keep(&folder.join("file")).unwrap();
        for above in folder.ancestors().filter(|above| above.parent().is_some()) {
            assert!(lasting.folders().contains(above), "{}", above.display());
        }
        let known = lasting.folders().len();
        lasting.keep(&folder.join("other")).unwrap();
        assert_eq!(lasting.folders().len(), known);
        std::fs::remove_dir(&folder).unwrap();
        assert!(lasting.keep(&folder.join("file")).is_err(), "the file's own folder is synced each time");
    }
}
