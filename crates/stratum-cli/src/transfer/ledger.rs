//! Ledgers, which keep what was done of a large transfer, so that the same command goes on with it after a kill.
//!
//! A ledger is a file below `stratum/transfers` in the user's state folder. Its first line says what is transferred
//! and how, each further line that a piece is done. What it says is believed only once it is proven: of an upload's
//! parts by the endpoint's list of them, of a download's pieces by their checksums in the file. A process locks the
//! ledger it works by, so that no two processes do the same transfer.

use crate::machine::Machine;
use crate::problem::Problem;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a ledger is kept that no command goes on with.
const LONGEST_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What is transferred. Only a transfer of an equal subject can be gone on with.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub endpoint: String,
    pub from: String,
    pub to: String,
    pub size: u64,
    /// Tells successive contents under the same name apart: by the object's ETag, or by the file's modification time
    /// and the attributes to be written.
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
    /// What an earlier process noted, until it is taken.
    pub before: Option<Before>,
}

/// What an earlier process noted in the ledger.
pub struct Before {
    pub upload: Option<String>,
    /// Pieces and their checksums.
    pub done: HashMap<u32, String>,
    /// Whether it was a transfer of an equal subject.
    pub is_same: bool,
}

impl Ledger {
    /// Opens and locks the ledger of a transfer. Gives none where no ledger can be kept.
    ///
    /// # Errors
    /// Another process holds the ledger's lock.
    pub fn open(machine: &Machine, subject: &Subject) -> Result<Option<Ledger>, Problem> {
        let Some((folder, name)) = place(machine, subject) else { return Ok(None) };
        let path = folder.join(format!("{name}.json"));
        forget_old(machine, &folder);
        if fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).is_err() {
            return Ok(None);
        }
        let mut file = match locked(&path) {
            Ok(file) => file,
            Err(Errno::WOULDBLOCK) => {
                return Err(Problem::at(
                    &subject.from,
                    "another stratum process is transferring it to the same target",
                ));
            }
            Err(_) => return Ok(None),
        };
        let mut text = String::new();
        // A ledger that can't be read counts as empty, and the transfer begins anew.
        let before = file.read_to_string(&mut text).ok().and_then(|_| read(&text, subject));
        Ok(Some(Ledger { path, file, name, before }))
    }

    /// The temporary name of a file until it is whole, the same for every command with the same source and target.
    pub fn partial(&self, to: &Path) -> PathBuf {
        partial(to, &self.name)
    }

    /// Empties the ledger and writes its first line.
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

    /// Writes a line. A failure is ignored, since a line that is missing costs only that its piece is transferred
    /// again.
    fn write(&mut self, line: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(line) {
            line.push(b'\n');
            let _ = self.file.write_all(&line);
        }
    }

    /// Removes the ledger, because nothing is left to go on with.
    pub fn close(self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn partial(to: &Path, name: &str) -> PathBuf {
    to.with_file_name(format!(".stratum-{name}.partial"))
}

/// Opens the file at the path and locks it. The one that was opened may have been removed before it was locked, and its
/// lock is none: another process would lock the one that came in its place.
fn locked(path: &Path) -> Result<File, Errno> {
    loop {
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        if is_at(path, &file) {
            return Ok(file);
        }
    }
}

/// Whether the path still names that file.
fn is_at(path: &Path, file: &File) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => identity(named) == identity(open),
        _ => false,
    }
}

/// Forgets the transfers that no command has gone on with for long: few endpoints keep the parts of an upload so long.
fn forget_old(machine: &Machine, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| (machine.now)().duration_since(modified).ok());
        if age.is_some_and(|age| age > LONGEST_KEPT) {
            forget(&entry.path());
        }
    }
}

/// Removes a ledger, and the file that its download has left under a temporary name. One that a process works by stays.
fn forget(path: &Path) {
    let (Some(name), Ok(mut file)) = (path.file_stem().and_then(OsStr::to_str), locked(path)) else { return };
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let head = text.lines().next().and_then(|line| serde_json::from_str::<Head>(line).ok());
    if let Some(Head { subject, upload: None }) = head {
        let _ = fs::remove_file(partial(Path::new(&subject.to), name));
    }
    let _ = fs::remove_file(path);
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
    // Only the last line can have been cut off.
    let done = lines.map_while(|line| serde_json::from_str::<Done>(line).ok());
    let done = done.map(|Done { piece, sum }| (piece, sum)).collect();
    Some(Before { upload: head.upload, done, is_same: head.subject == *subject })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(to: &str) -> Subject {
        Subject {
            endpoint: "http://h".into(),
            from: "s3://b/k".into(),
            to: to.into(),
            size: 9,
            edition: "e".into(),
            piece_bytes: 4,
        }
    }

    #[test]
    fn what_is_forgotten_leaves_nothing_and_what_is_on_its_way_stays() {
        let home = tempfile::tempdir().unwrap();
        let (ledger, to) = (home.path().join("abc.json"), home.path().join("large"));
        let left = partial(&to, "abc");
        let head = Head { subject: subject(to.to_str().unwrap()), upload: None };
        fs::write(&ledger, serde_json::to_string(&head).unwrap() + "\n").unwrap();
        fs::write(&left, "half").unwrap();
        fs::write(&to, "whole").unwrap();
        let lock = locked(&ledger).unwrap();
        forget(&ledger);
        assert!(ledger.exists() && left.exists(), "a process works by it");
        drop(lock);
        forget(&ledger);
        assert!(!ledger.exists() && !left.exists() && to.exists());
    }

    #[test]
    fn a_lock_of_a_ledger_that_is_gone_is_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("abc.json");
        let gone = locked(&path).unwrap();
        assert!(is_at(&path, &gone) && locked(&path).is_err_and(|error| error == Errno::WOULDBLOCK));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&path, &gone));
        let again = locked(&path).unwrap();
        assert!(is_at(&path, &again) && !is_at(&path, &gone));
    }

    #[test]
    fn noted_pieces_are_read_back_and_a_cut_line_is_left_out() {
        let subject = subject("/f");
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
