//! Which filesystem a folder lies on: what tells that a disk is not mounted.
//!
//! An unmounted disk leaves an empty folder behind, on the filesystem that the others are mounted on. That is what is
//! looked for: a place on a filesystem above those of the set's drives, where no drive of the set lies. Nothing is
//! kept for it; a number of a device is another one after the next boot.

use super::Set;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder at which the filesystem of a place is mounted; of the nearest folder above it, if it isn't there.
fn mount_point(place: &Path) -> Option<PathBuf> {
    let mut at = place.ancestors().find_map(|above| above.canonicalize().ok())?;
    let device = |folder: &Path| folder.metadata().ok().map(|found| found.dev());
    let own = device(&at)?;
    while let Some(parent) = at.parent()
        && device(parent) == Some(own)
    {
        at = parent.to_owned();
    }
    Some(at)
}

/// Whether a filesystem carries others, and is none of them.
fn is_above(own: &Path, others: &[PathBuf]) -> bool {
    others.iter().all(|other| other != own) && others.iter().any(|other| other.starts_with(own))
}

impl Set {
    /// Where the filesystem of a place is mounted, if the set's drives lie on filesystems beneath it and none lies on
    /// it: the disk of that place is not mounted. Asks the system about every healthy drive; blocks.
    pub fn unmounted(&self, place: &Path) -> Option<PathBuf> {
        let own = mount_point(place)?;
        let drives = self.all_drives();
        let others = drives.iter().filter(|drive| drive.is_healthy());
        let folders = others.filter_map(|drive| drive.io().folder().filter(|folder| *folder != place));
        let others: Vec<PathBuf> = folders.filter_map(mount_point).collect();
        is_above(&own, &others).then_some(own)
    }

    /// Tells of drives that lie where no other does: made just now, on the disk that theirs should be mounted on.
    pub(super) fn warn_of_unmounted(&self) {
        for drive in self.all_drives() {
            if let Some(disk) = drive.io().folder().and_then(|folder| self.unmounted(folder)) {
                let (drive, place, disk) = (drive.label(), drive.io().describe(), disk.display());
                tracing::warn!(drive, place, %disk, "a drive lies on the disk on which the others are mounted: is its own mounted?");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_on_which_the_others_are_mounted_is_not_a_drive_s_own() {
        let others: Vec<PathBuf> = ["/mnt/d0", "/mnt/d1"].map(PathBuf::from).into();
        let above = |own: &str| is_above(Path::new(own), &others);
        assert!(above("/") && above("/mnt"));
        assert!(!above("/mnt/d2") && !above("/mnt/d") && !above("/mnt/d1"));
        assert!(
            !is_above(Path::new("/"), &[PathBuf::from("/"), PathBuf::from("/mnt/d1")]),
            "one lies there already"
        );
        assert!(!is_above(Path::new("/"), &[]));
    }

    #[test]
    fn a_folder_that_isn_t_there_lies_where_it_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let there = mount_point(folder.path()).unwrap();
        assert_eq!(mount_point(&folder.path().join("a/b")).as_ref(), Some(&there));
        assert!(folder.path().canonicalize().unwrap().starts_with(there));
        assert_eq!(mount_point(Path::new("/proc/self")).unwrap(), Path::new("/proc"));
    }
}
