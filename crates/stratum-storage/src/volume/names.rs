//! What shard files are called, and which of them a drive has.

use crate::blob::VolumeId;
use crate::drive::{Drive, Entry};
use std::io::{self, ErrorKind};

/// The directory of shard files on a drive.
pub(crate) const DIRECTORY: &str = "volumes";

/// The path of a shard file under its drive's root.
pub(crate) fn shard_path(volume: VolumeId, shard: u8, generation: u32) -> String {
    format!("{DIRECTORY}/{volume}.s{shard:02}.g{generation}")
}

/// What is added to a name while its file is written; no record ever names such a file.
const UNFINISHED: &str = ".tmp";

/// The name of a shard file while it is written.
pub(crate) fn unfinished(path: &str) -> String {
    format!("{path}{UNFINISHED}")
}

/// The name that an unfinished file was to get; nothing if it isn't one.
pub(crate) fn finished(name: &str) -> Option<&str> {
    name.strip_suffix(UNFINISHED)
}

/// What a shard file's name says.
pub(crate) fn parse_name(name: &str) -> Option<(VolumeId, u8, u32)> {
    let mut parts = name.strip_prefix('v')?.splitn(3, '.');
    let volume = VolumeId(u64::from_str_radix(parts.next()?, 16).ok()?);
    let shard = parts.next()?.strip_prefix('s')?.parse().ok()?;
    let generation = parts.next()?.strip_prefix('g')?.parse().ok()?;
    (shard_path(volume, shard, generation).strip_prefix(DIRECTORY)? == format!("/{name}"))
        .then_some((volume, shard, generation))
}

/// The number in a shard file's name, whatever follows it.
pub(crate) fn volume_of_path(path: &str) -> Option<u64> {
    let digits = path.strip_prefix(DIRECTORY)?.strip_prefix("/v")?.get(..16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The shard files of a drive. One without the directory has none.
pub(crate) fn list_drive(drive: &Drive) -> io::Result<Vec<Entry>> {
    match drive.io().list(DIRECTORY) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = "v000000000000002a.s03.g12";
        assert_eq!(parse_name(name), Some((VolumeId(42), 3, 12)));
        for other in ["v2a.s03.g12", "v000000000000002a.s3.g12", "v000000000000002a.s03.g12.tmp", "v", ""] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
