//! Which blocks are lost, noted on the drives: a start knows of them at once, and not only when somebody asks for one.
//!
//! A line for each: the file's name and where in it the block begins. It proves nothing: what is noted is read, and is lost only
//! if it still is. So a copy of the note that is old, cut off or gone costs nothing but that a loss is found later.

use super::files::DIR;
use super::output::Output;
use super::{Checkpoint, Files, Void};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use stratum_storage::drive::OpenHow;

const NAME: &str = "lost";
/// No more of a note is read.
const MAX_BYTES: u64 = 1 << 20;

impl Files {
    /// What is noted on any drive.
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

    /// Notes it on every drive that takes something.
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
    /// What of it is lost.
    pub(crate) fn lost(&self) -> Void {
        Void(self.lost_blocks().iter().map(|block| (block.file.clone(), block.offset)).collect())
    }

    /// Reads what is noted of it, so that it is known if it is lost.
    pub(crate) fn look_at(&self, noted: &Void) {
        for range in self.ranges() {
            noted.of(range).into_iter().for_each(|offset| range.look_at(offset));
        }
    }
}
