//! The paths of files and folders in a configuration. An empty path is refused, since it would mean the folder in which
//! the server was started.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::path::PathBuf;
use toml::Spanned;

const NAMES_NO_FILE: &str = "names no file";

/// The path of a file.
pub fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() { Err(D::Error::custom(NAMES_NO_FILE)) } else { Ok(path) }
}

/// The path of a file and where it stands.
pub fn file_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<PathBuf>, D::Error> {
    let path = Spanned::<PathBuf>::deserialize(deserializer)?;
    match path.get_ref().as_os_str().is_empty() {
        true => Err(D::Error::custom(NAMES_NO_FILE)),
        false => Ok(path),
    }
}

/// The path of a file, for a field that may be absent.
pub fn some_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    file(deserializer).map(Some)
}

/// The path of a file and where it stands, for a field that may be absent.
pub fn some_file_there<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Spanned<PathBuf>>, D::Error> {
    file_there(deserializer).map(Some)
}

/// The paths of folders, for a field that may be absent: a list that is written must name at least one.
pub fn folders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let all = Vec::<PathBuf>::deserialize(deserializer)?;
    match all.is_empty() || all.iter().any(|folder| folder.as_os_str().is_empty()) {
        true => Err(D::Error::custom("names no folder: leave it out, or name one for each drive")),
        false => Ok(all),
    }
}
