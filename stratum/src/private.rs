//! Keeps the files of a store private: no other user of the host may read objects, keys and names.
//!
//! The process creates files and folders without rights for group and others, whatever the umask of the shell that
//! started it. At the start the rights of others are taken from the store's folders, which an earlier version or an
//! operator may have left readable. That puts the files in them out of reach, so the files' own rights needn't be
//! changed.

use crate::layout::Layout;
use rustix::fs::Mode;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The mode bits for the rights of group and others.
const OTHERS_MODE_BITS: u32 = 0o077;

/// Sets the umask so that only the user of this process may access what the process creates from now on.
pub fn create_privately() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS_MODE_BITS));
}

/// Writes a small file atomically and durably: it is written under another name and synced, then renamed, so that a
/// crash leaves either the old file or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_folder_of(path)
}

/// The text of a file with secrets. Refuses a file that group or others have any rights to.
///
/// # Errors
/// A sentence that shows nothing of the text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| error.to_string())?;
    let mode = std::fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    match mode & OTHERS_MODE_BITS {
        0 => Ok(text),
        _ => Err("others may read it: take their rights away (chmod 600)".into()),
    }
}

/// Makes the name of a file durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Takes the rights of group and others away from those folders of a store that exist.
///
/// # Errors
/// The rights of a folder can't be read or changed, such as when it belongs to another user.
pub fn close(layout: &Layout) -> Result<(), String> {
    let drives = layout.tiers.iter().flat_map(|tier| &tier.drives);
    for folder in std::iter::once(&layout.meta).chain(drives) {
        close_folder(folder).map_err(|error| {
            format!("{}: its rights can't be taken from other users: {error}", folder.display())
        })?;
    }
    Ok(())
}

fn close_folder(folder: &Path) -> io::Result<()> {
    let mode = match std::fs::metadata(folder) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS_MODE_BITS == 0 {
        return Ok(());
    }
    tracing::warn!(folder = %folder.display(), "other users could look into this folder; it is closed to them now");
    std::fs::set_permissions(folder, Permissions::from_mode(mode & !OTHERS_MODE_BITS & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_rights_of_others_to_the_folders_of_a_store_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(&[home.path().to_owned()], &Config::default());
        let drive = &layout.tiers[0].drives[3];
        for folder in [&layout.meta, drive] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        close(&layout).unwrap();
        for folder in [&layout.meta, drive] {
            assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
