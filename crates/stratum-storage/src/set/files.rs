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
    remove_if_there(io, &temporary)?;
    let file = io.open(&temporary, OpenHow::CreateNew)?;
    file.write_at(&[bytes], 0)?;
    file.sync()?;
    io.rename(&temporary, name)?;
    io.sync_dir("")
}

/// What is written to see whether a drive takes writes. A name that means nothing at any start.
const PROBE: &str = "probe";

/// Writes, syncs and removes a small file: whether a drive that had failed can be written to again.
pub(super) fn probe(io: &dyn DriveIo) -> io::Result<()> {
    let name = unfinished(PROBE);
    remove_if_there(io, &name)?;
    let file = io.open(&name, OpenHow::CreateNew)?;
    file.write_at(&[&[0; 4096]], 0)?;
    file.sync()?;
    io.remove(&name)?;
    io.sync_dir("")
}

fn remove_if_there(io: &dyn DriveIo, name: &str) -> io::Result<()> {
    match io.remove(name) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
