//! The audit's files, rotated by size: when the current file has reached its size, it is renamed and a new one begun. A
//! configured number of former files is kept.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The current file `PATH`, and the former files `PATH.1` (the newest), `PATH.2` and so on.
pub struct Files {
    path: PathBuf,
    /// The size in bytes at which the current file is rotated.
    most: u64,
    /// How many former files are kept.
    keep: u32,
    /// The current file and its size in bytes, once it was opened.
    open: Option<(File, u64)>,
}

/// Why lines could not be written, and how many of them: the last ones.
#[derive(Debug)]
pub struct Unwritten {
    pub lines: usize,
    pub error: io::Error,
}

impl Files {
    pub fn new(path: PathBuf, most: u64, keep: u32) -> Files {
        Files { path, most, keep, open: None }
    }

    /// Appends lines, and syncs them. Blocks.
    ///
    /// # Errors
    /// The file could not be opened, written, synced or rotated. The next call opens it anew.
    pub fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        let mut rest = lines;
        self.append(&mut rest).map_err(|error| {
            self.open = None;
            Unwritten { lines: rest.len(), error }
        })
    }

    /// Appends lines. `rest` are those that are not written and synced yet.
    fn append(&mut self, rest: &mut &[String]) -> io::Result<()> {
        while !rest.is_empty() {
            let (mut file, size) = match self.open.take() {
                Some(open) => open,
                None => self.open()?,
            };
            if size >= self.most {
                drop(file);
                self.rotate()?;
                continue;
            }
            // Lines are added until the size is reached, so a file is larger than its size by less than one line.
            let (mut batch, mut count) = (String::new(), 0);
            while let Some(line) = rest.get(count).filter(|_| size + (batch.len() as u64) < self.most) {
                batch.push_str(line);
                count += 1;
            }
            if let Err(error) = file.write_all(batch.as_bytes()) {
                let (lines, bytes) = whole_lines(&batch, file.metadata()?.len().saturating_sub(size));
                file.set_len(size + bytes as u64)?;
                file.sync_data()?;
                *rest = rest.get(lines..).unwrap_or_default();
                return Err(error);
            }
            file.sync_data()?;
            *rest = rest.get(count..).unwrap_or_default();
            self.open = Some((file, size + batch.len() as u64));
        }
        Ok(())
    }

    /// Opens the current file for appending, and makes it if it isn't there; gives the file and its size in bytes. A
    /// half line at its end, which a crash has left, is ended, so that the next line is one by itself.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(&self) -> io::Result<(File, u64)> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        if ends_in_half_a_line(&self.path) {
            file.write_all(b"\n")?;
        }
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn rotate(&self) -> io::Result<()> {
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match rename(self.former(number), self.former(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        rename(&self.path, self.former(1))
    }

    /// The path of a former file; number 1 is the newest.
    fn former(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// How many whole lines, and how many bytes in these, the first `written` bytes of the lines hold.
fn whole_lines(lines: &str, written: u64) -> (usize, usize) {
    let bytes = lines.as_bytes();
    let written = &bytes[..bytes.len().min(usize::try_from(written).unwrap_or(usize::MAX))];
    let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    (written[..whole].iter().filter(|byte| **byte == b'\n').count(), whole)
}

/// Whether a file's last byte is no end of a line. A file that can't be read, such as a pipe, counts as whole.
fn ends_in_half_a_line(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last).map(|()| last)
    };
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file && last().is_ok_and(|last: [u8; 1]| last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_ended_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        std::fs::write(&path, "one\nhal").unwrap();
        Files::new(path.clone(), 1000, 1).write(&["two\n".into()]).unwrap();
        Files::new(path.clone(), 1000, 1).write(&["three\n".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\nhal\ntwo\nthree\n");
    }

    #[test]
    fn of_a_write_that_was_cut_off_the_whole_lines_count_as_written() {
        let lines = "one\ntwo\n";
        let expected = [(0, (0, 0)), (3, (0, 0)), (4, (1, 4)), (7, (1, 4)), (8, (2, 8)), (99, (2, 8))];
        for (written, whole) in expected {
            assert_eq!(whole_lines(lines, written), whole, "{written}");
        }
    }

    #[test]
    fn lines_before_a_failure_do_not_count_as_unwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut files = Files::new(path.clone(), 4, 1);
        // A file can't be renamed to the name of a folder that isn't empty, so the first rotation fails.
        std::fs::create_dir_all(files.former(1).join("x")).unwrap();
        let unwritten = files.write(&["one\n".into(), "two\n".into(), "three\n".into()]).unwrap_err();
        assert_eq!((unwritten.lines, std::fs::read_to_string(path).unwrap()), (2, "one\n".into()));
    }

    #[test]
    fn files_are_rotated_and_no_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut files = Files::new(path.clone(), 30, 2);
        let line = |number: u32| format!("line {number:04}\n");
        (0..3).for_each(|batch| {
            files.write(&(batch * 4..batch * 4 + 4).map(line).collect::<Vec<_>>()).unwrap()
        });
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(read(path.clone()), (9..12).map(line).collect::<String>());
        assert_eq!(read(files.former(1)), (6..9).map(line).collect::<String>());
        assert_eq!(read(files.former(2)), (3..6).map(line).collect::<String>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "the oldest file was removed");
        // A server that starts later appends to the same files.
        Files::new(path.clone(), 30, 2).write(&[line(12)]).unwrap();
        assert_eq!((read(path), read(files.former(1))), (line(12), (9..12).map(line).collect::<String>()));
    }

    #[test]
    fn a_file_that_could_not_be_opened_is_opened_by_a_later_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/audit");
        let mut files = Files::new(path.clone(), 1000, 1);
        assert!(files.write(&["a\n".into()]).is_err());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files.write(&["b\n".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "b\n");
    }
}
