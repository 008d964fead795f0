//! A note on the drives of which blocks are lost, so that a start knows of them at once, and not only when somebody
//! needs one.
//!
//! The note has a line for each block, with the file's path and the block's offset. It proves nothing: a block that
//! is noted is read, and counts as lost only if that fails. So if a copy of the note is old, cut off or missing, a
//! loss is found later, and nothing worse happens.

use super::files::DIR;
use super::output::Output;
use super::{Checkpoint, Files, Void};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use stratum_storage::drive::OpenHow;

const NAME: &str = "lost";
/// How much of a note is read at most.
const MAX_BYTES: u64 = 1 << 20;

impl Files {
    /// The blocks that are noted on any drive.
    pub(crate) fn noted_lost(&self) -> Void {
        let mut noted = BTreeSet::new();
        for drive in self.drives.healthy() {
            let Ok(file) = drive.io().open(&format!("{DIR}/{NAME}"), OpenHow::Read) else { continue };
            let mut bytes = vec![0; file.len().unwrap_or_default().min(MAX_BYTES) as usize];
            if file.read_at(&mut bytes, 0).is_ok_and(|read| read == bytes.len()) {
                noted.extend(String::from_utf8_lossy(&bytes).lines().filter_map(parse));
            }
        }
        Void(noted)
    }

    /// Writes the note to every drive that takes new files.
    pub(crate) fn note_lost(&self, lost: &Void) -> io::Result<()> {
        let mut text = String::new();
        for (file, offset) in &lost.0 {
            // Writing to a string doesn't fail.
            let _ = writeln!(text, "{file} {offset}");
        }
        let mut output = Output::create(DIR, NAME.into(), self.drives.open_to_new())?;
        match output.append(&[text.as_bytes()]) {
            Ok(()) => output.finish().map(drop),
            Err(error) => {
                output.abandon();
                Err(error)
            }
        }
    }
}

fn parse(line: &str) -> Option<(String, u64)> {
    let (file, offset) = line.split_once(' ')?;
    Some((file.to_owned(), offset.parse().ok()?))
}

impl Checkpoint {
    /// The blocks of the checkpoint that are known to be lost.
    pub(crate) fn lost(&self) -> Void {
        Void(self.lost_blocks().iter().map(|block| (block.file.clone(), block.offset)).collect())
    }

    /// Reads the checkpoint's blocks that are noted, so that those that are still lost are known.
    pub(crate) fn look_at(&self, noted: &Void) {
        for range in self.ranges() {
            noted.of(range).into_iter().for_each(|offset| range.look_at(offset));
        }
    }
}
