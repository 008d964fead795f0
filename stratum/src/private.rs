//! Keeps the files of a store private: no other user of the host may read objects, keys and names.
//!
//! The process creates files and folders without rights for group and others, whatever the umask of the shell that
//! started it. The rights of others are taken from the folders `meta` as they are used, and from a drive's folder when
//! the drive joins its set (`stratum_storage`): an earlier version or an operator may have left them readable. That puts
//! the files in them out of reach, so the files' own rights needn't be changed.

use rustix::fs::Mode;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The mode bits for the rights of group and others.
const OTHERS_MODE_BITS: u32 = 0o077;
/// The mode bits of a private file.
const PRIVATE_MODE_BITS: u32 = 0o600;
/// How many unfinished files of one name may lie in a folder that isn't the server's own.
const MAX_UNFINISHED_FILES: u32 = 16;

/// Sets the umask so that only the user of this process may access what the process creates from now on.
pub fn create_privately() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS_MODE_BITS));
}

/// Makes a file to which only its owner has rights.
///
/// # Errors
/// Something is at that path already, be it a link that leads nowhere; or the file system gives others rights to the
/// file. A file that is there already is never taken: it keeps its rights when it is opened, and may be another
/// program's.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(PRIVATE_MODE_BITS).open(path)?;
    if file.metadata()?.permissions().mode() & OTHERS_MODE_BITS == 0 {
        return Ok(file);
    }
    let _ = std::fs::remove_file(path);
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        "the file system gives other users rights to new files: choose a folder on one that keeps rights, or mount this \
         one with umask=077",
    ))
}

/// A private file that replaces another: it is written under a temporary name, and takes its own name only when it is
/// whole, so that a crash leaves either the old file or the new one. Dropped before that, it is removed.
pub struct Replacement {
    file: File,
    unfinished: Unfinished,
    path: PathBuf,
}

/// The temporary name of a file. A drop removes the file, unless the name was taken away.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Replacement {
    /// Begins a file in a folder of the server's own. What an earlier run has left unfinished there is removed.
    pub fn in_own_folder(path: &Path) -> io::Result<Replacement> {
        let temporary = path.with_extension("tmp");
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Replacement::begin(temporary, path),
        }
    }

    /// Begins a file in a folder that may be anybody's, as `PATH.new`, or `PATH.new2` and so on. What is there already
    /// may belong to somebody else or be written by another process, so it stays as it is.
    pub fn in_any_folder(path: &Path) -> io::Result<Replacement> {
        for number in 1..=MAX_UNFINISHED_FILES {
            let mut temporary = path.to_owned().into_os_string();
            temporary.push(".new");
            if number > 1 {
                temporary.push(number.to_string());
            }
            match Replacement::begin(temporary.into(), path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                begun => return begun,
            }
        }
        Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "{MAX_UNFINISHED_FILES} unfinished files lie beside it, with .new in their names: remove them"
            ),
        ))
    }

    fn begin(temporary: PathBuf, path: &Path) -> io::Result<Replacement> {
        let file = create(&temporary)?;
        Ok(Replacement { file, unfinished: Unfinished(Some(temporary)), path: path.to_owned() })
    }

    /// The file, to be written and read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable and gives it its own name.
    ///
    /// # Errors
    /// The file couldn't be synced or renamed, and is removed; or its name couldn't be made durable.
    pub fn finish(mut self) -> io::Result<File> {
        self.file.sync_all()?;
        if let Some(temporary) = &self.unfinished.0 {
            std::fs::rename(temporary, &self.path)?;
        }
        self.unfinished.0 = None;
        sync_folder_of(&self.path)?;
        Ok(self.file)
    }
}

/// Writes a small file of the server's own atomically and durably.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let replacement = Replacement::in_own_folder(path)?;
    replacement.file().write_all(bytes)?;
    replacement.finish().map(drop)
}

/// The text of a file with secrets. Refuses a file that group or others have any rights to.
///
/// # Errors
/// A sentence that shows nothing of the text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
    if mode & OTHERS_MODE_BITS != 0 {
        return Err("others may read it: take their rights away (chmod 600)".into());
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Makes the name of a file durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes the rights of group and others away from a folder of the server's own that isn't a drive's, if it exists.
///
/// # Errors
/// The rights of the folder can't be read or changed, such as when it belongs to another user.
pub fn close(folder: &Path) -> io::Result<()> {
    let mode = match std::fs::metadata(folder) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS_MODE_BITS == 0 {
        return Ok(());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(mode & !OTHERS_MODE_BITS & 0o7777))?;
    tracing::warn!(folder = %folder.display(), "other users could look into this folder; it is closed to them now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A file that others may read, as somebody else could have made it.
    fn make_readable(path: &Path) {
        std::fs::write(path, "somebody's").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }

    #[test]
    fn a_file_that_is_there_is_neither_overwritten_nor_are_its_rights_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let [backup, taken] = ["b", "b.new"].map(|name| folder.path().join(name));
        make_readable(&backup);
        make_readable(&taken);
        let replacement = Replacement::in_any_folder(&backup).unwrap();
        replacement.file().write_all(b"secret").unwrap();
        let beside = folder.path().join("b.new2");
        assert_eq!((mode(&beside), std::fs::read_to_string(&taken).unwrap()), (0o600, "somebody's".into()));
        replacement.finish().unwrap();
        assert_eq!((mode(&backup), std::fs::read_to_string(&backup).unwrap()), (0o600, "secret".into()));
        assert!(!beside.exists() && taken.exists());
        assert_eq!(create(&backup).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_link_at_the_temporary_name_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [own, link, elsewhere] = ["f", "f.tmp", "elsewhere"].map(|name| folder.path().join(name));
        make_readable(&elsewhere);
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        write(&own, b"secret").unwrap();
        assert_eq!((mode(&own), std::fs::read_to_string(&own).unwrap()), (0o600, "secret".into()));
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "somebody's");
        assert!(!std::fs::symlink_metadata(&own).unwrap().is_symlink() && !link.exists());
    }

    #[test]
    fn what_an_earlier_run_left_in_the_servers_folder_is_replaced_with_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let [own, left] = ["f", "f.tmp"].map(|name| folder.path().join(name));
        make_readable(&left);
        write(&own, b"secret").unwrap();
        assert_eq!((mode(&own), left.exists()), (0o600, false));
    }

    #[test]
    fn a_file_that_is_not_finished_is_removed_and_others_beside_it_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let begun: Vec<_> =
            (0..MAX_UNFINISHED_FILES).map(|_| Replacement::in_any_folder(&path).unwrap()).collect();
        let refused = Replacement::in_any_folder(&path).err().unwrap().to_string();
        assert!(refused.contains(".new in their names: remove them"), "{refused}");
        drop(begun);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_rights_of_others_to_a_folder_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let [meta, absent] = ["meta", "absent"].map(|name| home.path().join(name));
        std::fs::create_dir(&meta).unwrap();
        std::fs::set_permissions(&meta, Permissions::from_mode(0o755)).unwrap();
        close(&meta).unwrap();
        close(&absent).unwrap();
        assert_eq!((mode(&meta), absent.exists()), (0o700, false));
    }
}
