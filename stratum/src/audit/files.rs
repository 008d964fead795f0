//! The audit's files, rotated by size: when the current file has reached its size, it is renamed and a new one begun. A
//! configured number of former files is kept.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

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

impl Files {
    pub fn new(path: PathBuf, most: u64, keep: u32) -> Files {
        Files { path, most, keep, open: None }
    }

    /// Appends lines, and syncs them. Blocks.
    ///
    /// # Errors
    /// The file could not be opened, written, synced or rotated. The next call opens it anew.
    pub fn write(&mut self, lines: &[String]) -> io::Result<()> {
        let outcome = self.append(lines);
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    fn append(&mut self, lines: &[String]) -> io::Result<()> {
        let mut rest = lines;
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
            file.write_all(batch.as_bytes())?;
            file.sync_data()?;
            rest = rest.get(count..).unwrap_or_default();
            self.open = Some((file, size + batch.len() as u64));
        }
        Ok(())
    }

    /// Opens the current file for appending, and makes it if it isn't there; gives the file and its size in bytes.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
