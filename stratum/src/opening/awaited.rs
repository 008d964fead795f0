//! A start that lacks drives: it goes on by itself when they are there.
//!
//! Each try says of every drive that it lacks why that is, so it isn't made again and again: only when another disk is mounted
//! somewhere, or a drive's identity came or went, and else after ever longer pauses, for what can't be seen from outside.

use crate::layout::Layout;
use std::fs::Metadata;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use stratum_engine::{Foundation, OpenError};
use stratum_storage::ambient::{Clock, System};

/// How often it is looked whether drives came or went.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long until a try is made though nothing was seen to change, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The drives, once enough are there to start safely. Says what it waits for, and when it goes on.
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
                           second. `stratum rescue` copies out what can be read if they are lost";

/// What can be seen of all drives without opening them: the folder that is there, and its identity.
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
    fn a_drive_that_comes_or_goes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<_> = ["a", "b", "c"].map(|name| dir.path().join(name)).into();
        let layout = Layout::new(&data, &Config::default());
        let (hot, aside) = (data[1].join("hot"), data[1].join("aside"));
        fs::create_dir_all(&hot).unwrap();
        let mut before = Seen::of(&layout);
        let mut changes = |what: &str| {
            let now = Seen::of(&layout);
            assert!(now != before, "{what}");
            assert!(Seen::of(&layout) == now, "{what}, and that is all");
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
        assert!(Seen::of(&layout) == before, "what else lies there doesn't matter");
    }
}
