//! When a backup was made: a small file in the backup says it.

use crate::shown::duration;
use serde::{Deserialize, Serialize};
use std::path::Path;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// The name of that file in the archive.
pub const FILE: &str = "made.json";

/// The moment of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The time, by the clock of the server that made the backup.
    pub at: UnixMillis,
    /// The last entry of the journal that is in the backup.
    pub entry: Index,
}

impl Made {
    pub fn to_json(self) -> Vec<u8> {
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Says in a sentence how old the backup is that was unpacked into `folder`.
    pub fn age(folder: &Path, now: UnixMillis) -> String {
        let text = std::fs::read(folder.join(FILE)).unwrap_or_default();
        match serde_json::from_slice::<Made>(&text) {
            Ok(Made { at, entry }) => {
                let seconds = now.saturating_sub(at) / 1000;
                format!(
                    "The backup is {} old: it was made at entry {entry} of the journal.",
                    duration(seconds)
                )
            }
            Err(_) => "The backup doesn't say when it was made.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_says_how_old_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let told = |now| Made::age(folder.path(), now);
        assert_eq!(told(9), "The backup doesn't say when it was made.");
        std::fs::write(folder.path().join(FILE), Made { at: 1_000, entry: 7 }.to_json()).unwrap();
        assert_eq!(told(3_601_000), "The backup is 1 h 0 min old: it was made at entry 7 of the journal.");
        assert!(told(0).starts_with("The backup is 0 s old"), "a clock that went back");
    }
}
