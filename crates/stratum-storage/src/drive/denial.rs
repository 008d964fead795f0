//! Why the system lets the server not into a folder, in words that say what to do: "Permission denied" alone names
//! neither the folder, which may lie far above the path, nor whose it is.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The bits of a mode that `chmod` sets.
const MODE_BITS: u32 = 0o7777;

/// The error of something that was done at that path; where it was denied, one that says whose the path is.
pub fn explained(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    match Denial::at(path, rustix::process::geteuid().as_raw()) {
        Some(denial) => io::Error::new(ErrorKind::PermissionDenied, denial.to_string()),
        None => error,
    }
}

/// What was found at a path at which something was denied.
#[derive(Debug, PartialEq, Eq)]
struct Denial {
    /// The path itself, or the nearest folder above it that can be seen.
    place: PathBuf,
    owner: u32,
    mode: u32,
    /// As whom the server runs.
    user: u32,
}

impl Denial {
    fn at(path: &Path, user: u32) -> Option<Denial> {
        path.ancestors().filter(|place| !place.as_os_str().is_empty()).find_map(|place| {
            let found = std::fs::metadata(place).ok()?;
            let mode = found.permissions().mode() & MODE_BITS;
            Some(Denial { place: place.to_owned(), owner: found.uid(), mode, user })
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denial { place, owner, mode, user } = self;
        let place = place.display();
        write!(
            f,
            "permission denied: {place} belongs to user {owner} with mode {mode:o}, and the server runs as user {user}; "
        )?;
        match (owner == user, user) {
            (false, 1..) => write!(f, "give it to that user (`chown -R {user} {place}`), or run the server as its owner"),
            (true, 1..) => write!(f, "give its owner all rights there (`chmod -R u+rwX {place}`)"),
            (_, 0) => f.write_str("something beyond its rights refuses it: a read-only or squashing export, or the system's policy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn a_denial_says_whose_the_folder_is_as_whom_the_server_runs_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        let owner = std::fs::metadata(folder.path()).unwrap().uid();
        let path = folder.path().join("hot/0");
        let told = |user| Denial::at(&path, user).unwrap().to_string();
        let place = folder.path().display();
        assert_eq!(
            told(owner + 5),
            format!(
                "permission denied: {place} belongs to user {owner} with mode 750, and the server runs as user {0}; give it \
                 to that user (`chown -R {0} {place}`), or run the server as its owner",
                owner + 5
            )
        );
        let own = Denial { place: "/d".into(), owner: 7, mode: 0o500, user: 7 }.to_string();
        assert!(own.ends_with("give its owner all rights there (`chmod -R u+rwX /d`)"), "{own}");
        let root = Denial { place: "/d".into(), owner: 7, mode: 0o500, user: 0 }.to_string();
        assert!(root.contains("as user 0; something beyond its rights"), "{root}");
    }

    #[test]
    fn only_denials_are_explained() {
        let path = Path::new("/");
        let full = explained(path, ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let denied = explained(path, ErrorKind::PermissionDenied.into());
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        assert!(denied.to_string().starts_with("permission denied: / belongs to user "), "{denied}");
    }
}
