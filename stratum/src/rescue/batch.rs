//! The objects that were copied last: their files are made durable and noted in the manifest together, since to do that
//! for each alone takes longer than to copy a small object.

use super::manifest::{Line, Manifest};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The most objects that are noted together.
const MAX_OBJECTS: usize = 256;
/// With this many bytes in its files a batch is ended even if it has fewer objects.
const MAX_BYTES: u64 = 256 << 20;

/// The temporary and the final name of a file that was written, and how many bytes of the object are in it.
pub struct Rename {
    pub from: PathBuf,
    pub to: PathBuf,
    pub bytes: u64,
}

/// Objects that the manifest doesn't name yet.
pub struct Batch<'a> {
    /// The folder that objects are copied to.
    folder: &'a Path,
    manifest: Manifest,
    /// The lines, each with the rename that must be done before, if its object has a file.
    waiting: Vec<(Line, Option<Rename>)>,
    /// How many bytes of objects are in the files.
    bytes: u64,
}

impl<'a> Batch<'a> {
    pub fn new(folder: &'a Path, manifest: Manifest) -> Batch<'a> {
        Batch { folder, manifest, waiting: Vec::new(), bytes: 0 }
    }

    /// Whether an earlier run has copied this version of the object whole.
    pub fn has(&self, line: &Line) -> bool {
        self.manifest.has(line)
    }

    /// How many objects wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds an object, with or without a file, and ends the batch if it is large enough.
    pub fn add(&mut self, line: Line, rename: Option<Rename>) -> io::Result<()> {
        self.bytes += rename.as_ref().map_or(0, |rename| rename.bytes);
        self.waiting.push((line, rename));
        match self.waiting.len() >= MAX_OBJECTS || self.bytes >= MAX_BYTES {
            true => self.end(),
            false => Ok(()),
        }
    }

    /// Ends the batch: makes its files durable, gives them their final names, and writes its lines to the manifest.
    pub fn end(&mut self) -> io::Result<()> {
        let folder = File::open(self.folder)?;
        rustix::fs::syncfs(&folder)?;
        for Rename { from, to, .. } in self.waiting.iter().filter_map(|(_, rename)| rename.as_ref()) {
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::rename(from, to)?;
        }
        rustix::fs::syncfs(&folder)?;
        let lines: Vec<Line> = self.waiting.drain(..).map(|(line, _)| line).collect();
        self.bytes = 0;
        self.manifest.append(&lines)
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::NAME;
    use super::*;
    use stratum_metadata::record::DecodeError;

    #[test]
    fn lost_objects_are_noted_too_and_never_more_than_a_batch_of_them_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut batch = Batch::new(folder.path(), Manifest::open(folder.path()).unwrap());
        let (all, error) = (MAX_OBJECTS * 2 + 3, DecodeError::Empty);
        for number in 0..all {
            batch.add(Line::without_record("photos", format!("{number}").as_bytes(), &error), None).unwrap();
            assert!(batch.len() < MAX_OBJECTS);
        }
        batch.end().unwrap();
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), all);
        let line = &lines[7];
        assert_eq!(
            (&line["bucket"], &line["key"], &line["status"]),
            (&"photos".into(), &"7".into(), &"lost".into())
        );
        assert!(line["problem"].as_str().unwrap().starts_with("the record is empty"), "{line}");
        assert!(line.get("size").is_none() && line.get("etag").is_none(), "{line}");
    }

    #[test]
    fn a_file_has_its_name_before_the_manifest_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["0", "photos/a"].map(|name| folder.path().join(name));
        std::fs::write(&from, "x").unwrap();
        let mut batch = Batch::new(folder.path(), Manifest::open(folder.path()).unwrap());
        let line = || Line::without_record("photos", b"a", &DecodeError::Empty);
        batch.add(line(), Some(Rename { from: from.clone(), to: to.clone(), bytes: MAX_BYTES })).unwrap();
        assert_eq!(
            (batch.len(), from.exists(), std::fs::read_to_string(to).unwrap()),
            (0, false, "x".into())
        );
    }
}
