//! Where a backup is: a file, or an object in S3.

use super::archive;
use crate::client::s3::{Remote, S3Args};
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const BUFFER_BYTES: usize = 1 << 20;

/// Where a backup lies, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    File(PathBuf),
    /// `s3://bucket/key`
    Object {
        bucket: String,
        key: String,
    },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Location, String> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(Location::File(text.into())) };
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Location::Object { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err("it must be s3://BUCKET/KEY".into()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => path.display().fmt(f),
            Location::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl Location {
    /// Unpacks the backup at this location into a folder, which is made; gives the folder.
    pub fn unpack(&self, s3: &S3Args, folder: &Path) -> Result<PathBuf, String> {
        archive::unpack(self.open(s3)?, folder).map_err(|error| format!("{self}: {error}"))?;
        Ok(folder.to_owned())
    }

    /// Opens the backup at this location for reading.
    fn open(&self, s3: &S3Args) -> Result<Box<dyn Read>, String> {
        match self {
            Location::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file))),
                Err(error) => Err(format!("{self}: {error}")),
            },
            Location::Object { bucket, key } => {
                let remote = Remote::new(s3, bucket, key).map_err(|error| error.to_string())?;
                let download = remote.download().map_err(|error| format!("{self}: {error}"))?;
                Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, download)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_object_and_anything_else_a_file() {
        let object = Location::Object { bucket: "b".into(), key: "a/c".into() };
        assert_eq!("s3://b/a/c".parse(), Ok(object.clone()));
        assert_eq!(object.to_string(), "s3://b/a/c");
        assert_eq!("a/s3".parse(), Ok(Location::File("a/s3".into())));
        for wrong in ["s3://", "s3://b", "s3://b/", "s3:///k"] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }
}
