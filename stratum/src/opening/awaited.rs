//! A start that lacks drives waits for them, and goes on by itself when they are there.
//!
//! Each attempt to open the drives logs why each missing drive is missing, so attempts must not follow each other
//! quickly. An attempt is made when the folder or the identity file of a drive has changed, as when a disk was mounted.
//! Since a drive may also come back without such a change, an attempt is made after ever longer pauses as well.

use crate::layout::Layout;
use std::fs::Metadata;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use stratum_engine::{Foundation, OpenError};
use stratum_storage::ambient::{Clock, System};

/// How often the folders of the drives are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The first and the longest pause after which an attempt is made although no change was seen.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Opens the drives, once enough are there to start safely. While it waits, the log says for which drives.
pub(super) fn await_foundation(layout: &Layout, address: SocketAddr) -> Result<Foundation, OpenError> {
    let (began, mut waiting) = (System.monotonic(), None);
    loop {
        let seen = Seen::of(layout);
        match super::foundation(layout) {
            Err(error) if error.is_for_want_of_drives() => {
                let waited = System.monotonic().saturating_sub(began).as_secs();
                tracing::error!(%error, %address, waited_s = waited, "{NOT_SERVING}");
            }
            outcome => {
                if waiting.is_some() && outcome.is_ok() {
                    let waited = System.monotonic().saturating_sub(began).as_secs();
                    tracing::info!(waited_s = waited, "enough drives are there: the start goes on");
                }
                return outcome;
            }
        }
        let pause = waiting.get_or_insert(FIRST_PAUSE);
        let until = System.monotonic() + *pause;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        while System.monotonic() < until && Seen::of(layout) == seen {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

const NOT_SERVING: &str = "not serving: drives are missing. Mount them, or bring them back: the start goes on by itself within a \
                           second. If they are lost, `stratum drive replace-stopped PATH...` takes new, empty disks in their \
                           place, and `stratum rescue` copies out what can be read if too many are";

/// What can be seen of all drives without opening them: device, inode and time of each drive's folder and identity
/// files.
#[derive(PartialEq, Eq)]
struct Seen(Vec<Option<(u64, u64, i64)>>);

impl Seen {
    fn of(layout: &Layout) -> Seen {
        let drives = layout.tiers.iter().flat_map(|tier| &tier.drives);
        Seen(
            drives
                .flat_map(|drive| ["", "identity", "identity.copy"].map(|file| look(&drive.join(file))))
                .collect(),
        )
    }
}

fn look(path: &Path) -> Option<(u64, u64, i64)> {
    let which = |file: Metadata| (file.dev(), file.ino(), if file.is_dir() { 0 } else { file.mtime_nsec() });
    std::fs::metadata(path).ok().map(which)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::fs;

    #[test]
    fn a_drive_that_appears_or_disappears_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<_> = ["a", "b", "c"].map(|name| dir.path().join(name)).into();
        let layout = Layout::new(&data, &Config::default());
        let (hot, aside) = (data[1].join("hot"), data[1].join("aside"));
        fs::create_dir_all(&hot).unwrap();
        let mut before = Seen::of(&layout);
        let mut changes = |what: &str| {
            let now = Seen::of(&layout);
            assert!(now != before, "{what}");
            assert!(Seen::of(&layout) == now, "{what} changes what is seen only once");
            before = now;
        };
        fs::write(hot.join("identity"), b"whose").unwrap();
        changes("an identity");
        fs::rename(&hot, &aside).unwrap();
        changes("a folder that is gone");
        fs::create_dir(&hot).unwrap();
        changes("another folder");
        fs::rename(aside.join("identity"), hot.join("identity")).unwrap();
        changes("the identity in it");
        fs::write(hot.join("else"), b"").unwrap();
        assert!(Seen::of(&layout) == before, "other files in the folder don't matter");
    }
}
