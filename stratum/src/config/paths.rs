//! Files and folders that a configuration names. An empty name is none: it would be looked for, in vain, where the server was
//! started.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::path::PathBuf;

const NAMES_NO_FILE: &str = "names no file";

/// A file.
pub fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() { Err(D::Error::custom(NAMES_NO_FILE)) } else { Ok(path) }
}

/// A file, where one is named at all.
pub fn some_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    file(deserializer).map(Some)
}

/// At least one folder, where any are named at all.
pub fn folders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let all = Vec::<PathBuf>::deserialize(deserializer)?;
    match all.is_empty() || all.iter().any(|folder| folder.as_os_str().is_empty()) {
        true => Err(D::Error::custom("names no folder: leave it out, or name one for each drive")),
        false => Ok(all),
    }
}
