//! What was done of a large transfer, kept so that the same command goes on with it after a kill.
//!
//! A file for each below `stratum/transfers` in the user's folder of states: its first line says what is transferred and how, each
//! further line that a piece is done. It is believed only as far as it is proven: parts by what the endpoint lists of them, pieces of
//! a file by their checksums. While a process works by it, it is locked, so that two don't do the same.

use crate::machine::Machine;
use crate::problem::Problem;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a ledger stays that nobody goes on with.
const LONGEST_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What is transferred, as far as it must be the same to be gone on with.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub endpoint: String,
    pub from: String,
    pub to: String,
    pub size: u64,
    /// Which one of what had that name: an ETag, or when a file was changed.
    pub edition: String,
    pub piece_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    subject: Subject,
    upload: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    piece: u32,
    sum: String,
}

/// The ledger of one transfer, locked.
pub struct Ledger {
    path: PathBuf,
    file: File,
    name: String,
    /// What an earlier process left.
    pub before: Option<Before>,
}

/// What an earlier process came to.
pub struct Before {
    pub upload: Option<String>,
    /// Pieces and their checksums.
    pub done: HashMap<u32, String>,
    /// Whether it was of the very same thing.
    pub is_same: bool,
}

impl Ledger {
    /// Opens the ledger of a transfer from there to there.
    ///
    /// # Errors
    /// When another process is at it. Where none can be kept there is none.
    pub fn open(machine: &Machine, subject: &Subject) -> Result<Option<Ledger>, Problem> {
        let Some((folder, name)) = place(machine, subject) else { return Ok(None) };
        let path = folder.join(format!("{name}.json"));
        forget_old(machine, &folder);
        let opened = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).and_then(|()| {
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)
        });
        let Ok(mut file) = opened else { return Ok(None) };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Problem::at(&subject.from, "another stratum is just transferring it there"));
        }
        let mut text = String::new();
        // What can't be read is begun anew.
        let before = file.read_to_string(&mut text).ok().and_then(|_| read(&text, subject));
        Ok(Some(Ledger { path, file, name, before }))
    }

    /// A name for what is on its way, the same each time.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins anew.
    pub fn begin(&mut self, subject: &Subject, upload: Option<String>) {
        let begun = self.file.set_len(0).and_then(|()| self.file.rewind());
        if begun.is_ok() {
            self.write(&Head { subject: subject.clone(), upload });
        }
    }

    /// Notes that a piece is done.
    pub fn note(&mut self, piece: u32, sum: String) {
        self.write(&Done { piece, sum });
    }

    /// One that can't be written costs no more than beginning anew.
    fn write(&mut self, line: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(line) {
            line.push(b'\n');
            let _ = self.file.write_all(&line);
        }
    }

    /// There is nothing to go on with.
    pub fn close(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what nobody came back for: no endpoint keeps parts for so long.
fn forget_old(machine: &Machine, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| (machine.now)().duration_since(modified).ok());
        if age.is_some_and(|age| age > LONGEST_KEPT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn place(machine: &Machine, subject: &Subject) -> Option<(PathBuf, String)> {
    let of_home = || (machine.variable)("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let states = (machine.variable)("XDG_STATE_HOME").map(PathBuf::from).or_else(of_home)?;
    let mut hash = Sha256::new();
    for part in [&subject.endpoint, &subject.from, &subject.to] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Some((states.join("stratum").join("transfers"), hex::encode(&hash.finalize()[..16])))
}

fn read(text: &str, subject: &Subject) -> Option<Before> {
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next()?).ok()?;
    // A line that was cut off is the last.
    let done = lines.map_while(|line| serde_json::from_str::<Done>(line).ok());
    let done = done.map(|Done { piece, sum }| (piece, sum)).collect();
    Some(Before { upload: head.upload, done, is_same: head.subject == *subject })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_and_a_cut_line_left_out() {
        let subject = Subject {
            endpoint: "http://h".into(),
            from: "s3://b/k".into(),
            to: "/f".into(),
            size: 9,
            edition: "e".into(),
            piece_bytes: 4,
        };
        let head =
            serde_json::to_string(&Head { subject: subject.clone(), upload: Some("u".into()) }).unwrap();
        let text = format!("{head}\n{{\"piece\":2,\"sum\":\"s\"}}\n{{\"piece\":3,\"su");
        let before = read(&text, &subject).unwrap();
        assert!(before.is_same && before.upload.as_deref() == Some("u"));
        assert_eq!(before.done, HashMap::from([(2, "s".into())]));
        let other = Subject { edition: "f".into(), ..subject };
        assert!(!read(&text, &other).unwrap().is_same);
        assert!(read("", &other).is_none() && read("{", &other).is_none());
    }
}
