//! Which master keys may have wrapped something: a small file on the hot drives names them, without their secrets.
//!
//! A key that is taken out of the configuration too early is missed by nobody until an object is read. With this record a
//! start sees it at once. A key is on the record before it wraps anything, and comes off it when a rotation has found
//! nothing that is wrapped with it. Every backup holds the record as it was then, so that a restore on drives without one brings
//! it back.

use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use stratum_cipher::KeyMark;
use stratum_storage::set::{Set, SetError};

/// The name of the file on the drives.
pub const FILE: &str = "master-keys-used";

/// A key in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    /// In hexadecimal digits.
    mark: String,
}

/// The keys on the record, if there is one that can be read.
pub fn read(set: &Set) -> Option<Vec<KeyMark>> {
    match set.read_replicated(FILE) {
        Ok(content) => parse(&content?),
        Err(error) => {
            tracing::warn!(%error, "which master keys were used isn't known; a new record is begun");
            None
        }
    }
}

fn parse(content: &[u8]) -> Option<Vec<KeyMark>> {
    let lines: Vec<Line> = serde_json::from_slice(content).ok()?;
    let key = |line: Line| {
        let mark = hex::decode(&line.mark).ok()?.try_into().ok()?;
        Some(KeyMark { name: line.name, mark })
    };
    lines.into_iter().map(key).collect()
}

pub fn write(set: &Set, keys: &[KeyMark]) -> Result<(), SetError> {
    set.write_replicated(FILE, &content(keys))
}

/// Puts the keys that the record of an unpacked backup names on the record of these drives: the restored state may need them. Earlier
/// servers' backups have no record.
///
/// # Errors
/// The backup's record can't be read, or the drives' can't be written.
pub fn restore(set: &Set, backup: &Path) -> Result<(), String> {
    let content = match std::fs::read(backup.join(FILE)) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("the backup's {FILE}: {error}")),
    };
    let restored = parse(&content)
        .ok_or(format!("the backup's {FILE} makes no sense to this binary: use a newer one"))?;
    let known = read(set).unwrap_or_default();
    let all = union(&known, &restored);
    match all == known {
        true => Ok(()),
        false => write(set, &all).map_err(|error| error.to_string()),
    }
}

fn content(keys: &[KeyMark]) -> Vec<u8> {
    let line = |key: &KeyMark| Line { name: key.name.clone(), mark: hex::encode(key.mark) };
    serde_json::to_vec(&keys.iter().map(line).collect::<Vec<_>>()).unwrap_or_default()
}

/// The marks of one list and then those of the other, each once.
pub fn union(one: &[KeyMark], other: &[KeyMark]) -> Vec<KeyMark> {
    let mut all = one.to_vec();
    let new = other.iter().filter(|key| !one.iter().any(|known| known.mark == key.mark));
    all.extend(new.cloned());
    all
}

/// The keys in words for people, by their names and the beginnings of their marks.
pub fn in_words(keys: &[KeyMark]) -> String {
    let word = |key: &KeyMark| {
        let mark: String = hex::encode(key.mark).chars().take(8).collect();
        let name = if key.name.is_empty() { "the one that the server made" } else { &key.name };
        format!("{name} ({mark})")
    };
    keys.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::layout::Layout;
    use std::sync::Arc;
    use stratum_storage::ambient::System;
    use stratum_storage::drive::Threads;

    #[test]
    fn the_record_is_read_back_and_names_each_key_once() {
        let key = |name: &str, mark| KeyMark { name: name.into(), mark: [mark; 8] };
        let (a, b) = (key("a", 1), key("b", 2));
        assert_eq!(parse(&content(&[a.clone(), b.clone()])), Some(vec![a.clone(), b.clone()]));
        assert_eq!(union(std::slice::from_ref(&a), &[key("other", 1), b.clone()]), [a.clone(), b.clone()]);
        assert_eq!(in_words(&[a, b]), "a (01010101), b (02020202)");
        assert_eq!((parse(b"rot"), parse(br#"[{"name":"a","mark":"01"}]"#)), (None, None));
    }

    #[test]
    fn a_restore_adds_the_keys_of_the_backup_and_takes_none_away() {
        let root = tempfile::tempdir().unwrap();
        let data = ["a", "b", "c", "d"].map(|name| root.path().join(name));
        let layout = Layout::new(&data, &Config::default());
        let set = Set::open(&layout.set_config(Threads::Caller), Arc::new(System), &System).unwrap();
        let key = |name: &str, mark| KeyMark { name: name.into(), mark: [mark; 8] };
        let (a, b) = (key("a", 1), key("b", 2));
        let backup = root.path().join("backup");
        std::fs::create_dir(&backup).unwrap();
        restore(&set, &backup).unwrap();
        assert_eq!(read(&set), None, "an earlier server's backup has no record");
        write(&set, std::slice::from_ref(&a)).unwrap();
        for _ in 0..2 {
            std::fs::write(backup.join(FILE), content(std::slice::from_ref(&b))).unwrap();
            restore(&set, &backup).unwrap();
            assert_eq!(read(&set), Some(vec![a.clone(), b.clone()]));
        }
        std::fs::write(backup.join(FILE), b"{}").unwrap();
        assert!(restore(&set, &backup).unwrap_err().contains("use a newer one"));
    }
}
