//! When a backup was made, and of which store: a small file in the backup says it.

use crate::shown::duration;
use serde::{Deserialize, Serialize};
use std::path::Path;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;
use stratum_storage::set::SetId;

/// The name of that file in the archive.
pub const FILE: &str = "made.json";

/// The moment of a backup, and its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The time, by the clock of the server that made the backup.
    pub at: UnixMillis,
    /// The last entry of the journal that is in the backup.
    pub entry: Index,
    /// The id of the set of drives. Backups of earlier servers don't have it.
    #[serde(default)]
    pub set: Option<String>,
}

impl Made {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the file in the folder into which a backup was unpacked.
    fn read(folder: &Path) -> Option<Made> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Refuses the backup that was unpacked into `folder` if it is of another store than the drives. Gives a sentence
    /// if that can't be known.
    pub fn check_set(folder: &Path, drives: Option<SetId>) -> Result<Option<String>, String> {
        let set = Made::read(folder).and_then(|made| made.set);
        match (set, drives.map(|set| set.to_string())) {
            (Some(set), Some(drives)) if set != drives => Err(format!(
                "the backup is of another store ({set}) than these drives ({drives}): give the backup of this one"
            )),
            (None, _) => Ok(Some(
                "the backup doesn't say which store it is of: make sure that it is this one's".into(),
            )),
            (Some(_), _) => Ok(None),
        }
    }

    /// Says in a sentence how old the backup is that was unpacked into `folder`.
    pub fn age(folder: &Path, now: UnixMillis) -> String {
        match Made::read(folder) {
            Some(Made { at, entry, .. }) => {
                let seconds = now.saturating_sub(at) / 1000;
                format!(
                    "The backup is {} old: it was made at entry {entry} of the journal.",
                    duration(seconds)
                )
            }
            None => "The backup doesn't say when it was made.".to_owned(),
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
        std::fs::write(folder.path().join(FILE), Made { at: 1_000, entry: 7, set: None }.to_json()).unwrap();
        assert_eq!(told(3_601_000), "The backup is 1 h 0 min old: it was made at entry 7 of the journal.");
        assert!(told(0).starts_with("The backup is 0 s old"), "a clock that went back");
    }

    #[test]
    fn a_backup_of_another_store_is_refused_and_one_that_does_not_say_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &[u8]| std::fs::write(folder.path().join(FILE), text).unwrap();
        write(&Made { at: 1, entry: 7, set: Some(SetId(5).to_string()) }.to_json());
        assert_eq!(Made::check_set(folder.path(), Some(SetId(5))), Ok(None));
        assert_eq!(Made::check_set(folder.path(), None), Ok(None));
        assert!(Made::check_set(folder.path(), Some(SetId(6))).is_err());
        write(br#"{"at":1,"entry":7}"#);
        assert!(Made::check_set(folder.path(), Some(SetId(6))).unwrap().is_some());
    }
}
