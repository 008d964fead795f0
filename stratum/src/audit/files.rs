//! Files of the audit: one is written to its size, then it is renamed and the next one begun, and so many former ones are kept.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// `PATH`, and the former ones `PATH.1`, `PATH.2`, ..., the newest first.
pub struct Files {
    path: PathBuf,
    most: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl Files {
    pub fn new(path: PathBuf, most: u64, keep: u32) -> Files {
        Files { path, most, keep, open: None }
    }

    /// Appends lines, and syncs them. Blocks.
    ///
    /// # Errors
    /// Those of the file; the next call opens it anew.
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
            // A file passes its size by a line at most.
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

    /// The file, made if it isn't there, and its size.
    ///
    /// # Errors
    /// Those of the file.
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
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "the oldest went");
        // Another process goes on where this one ended.
        Files::new(path.clone(), 30, 2).write(&[line(12)]).unwrap();
        assert_eq!((read(path), read(files.former(1))), (line(12), (9..12).map(line).collect::<String>()));
    }

    #[test]
    fn what_could_not_be_opened_is_opened_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/audit");
        let mut files = Files::new(path.clone(), 1000, 1);
        assert!(files.write(&["a\n".into()]).is_err());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files.write(&["b\n".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "b\n");
    }
}
