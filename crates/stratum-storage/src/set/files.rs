//! Small files of a drive, read and replaced whole.

use crate::drive::{DriveIo, OpenHow};
use std::io::{self, ErrorKind};

/// What is added to a name while its file is written.
const UNFINISHED: &str = ".new";

/// The name that [`replace`] may leave behind when it is interrupted.
pub(super) fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// Reads a file of the root, at most `limit` bytes of it.
pub(super) fn read(io: &dyn DriveIo, name: &str, limit: usize) -> io::Result<Vec<u8>> {
    let file = io.open(name, OpenHow::Read)?;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(limit);
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Writes a file of the root under a temporary name, syncs it, and renames it over the old one; durable on return,
/// and at every moment before either the old or the new one.
pub(super) fn replace(io: &dyn DriveIo, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = unfinished(name);
    match io.remove(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = io.open(&temporary, OpenHow::CreateNew)?;
    file.write_at(&[bytes], 0)?;
    file.sync()?;
    io.rename(&temporary, name)?;
    io.sync_dir("")
}

/// Takes fixed-size fields off the front of bytes, for as long as there are any.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { rest: bytes }
}

pub(super) struct Fields<'a> {
    pub(super) rest: &'a [u8],
}

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }
}
