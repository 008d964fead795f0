//! `manifest.jsonl`: a line of JSON for every object that was rescued or lost, with the attributes that a file can't
//! have. If an object has several lines, the last one counts.
//!
//! A line is written only when the object's file is durable. So a run can go on where one was interrupted: an object
//! whose line says `whole` and whose file exists isn't copied again.

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use stratum_api::{checksum_algorithm_name, checksum_type_name, storage_class_name};
use stratum_metadata::record::{Checksum, DecodeError, ObjectRecord, VersionId};

/// The file's name in the target folder.
pub const NAME: &str = "manifest.jsonl";

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every byte was read and verified.
    Whole,
    /// Some ranges could not be read. The file has zeros there.
    Damaged,
    /// Nothing of the object could be read. There is no file.
    Lost,
}

/// One object's line.
#[derive(Debug, Serialize)]
pub struct Line {
    pub bucket: String,
    /// The key as text. If the key isn't UTF-8, invalid bytes are replaced, and `key_hex` has the real ones.
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_hex: Option<String>,
    /// The version's id, unless it is the null version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Whether this is the current version of its key.
    pub is_latest: bool,
    /// The path of the file below the target folder.
    pub path: Option<String>,
    pub status: Status,
    /// What the object's record says; nothing if the record can't be read.
    #[serde(flatten)]
    pub attributes: Option<Attributes>,
    /// Ranges of the object that could not be read: first byte, and the one after the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Identifies the version of the object, so that a later run knows it again.
    pub id: String,
}

/// The attributes of an object.
#[derive(Debug, Serialize)]
pub struct Attributes {
    size: u64,
    etag: String,
    /// Milliseconds since 1970.
    modified: u64,
    storage_class: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl Attributes {
    fn of(record: &ObjectRecord) -> Attributes {
        let headers = &record.headers;
        let named = [
            ("content-type", &headers.content_type),
            ("content-encoding", &headers.content_encoding),
            ("content-language", &headers.content_language),
            ("content-disposition", &headers.content_disposition),
            ("cache-control", &headers.cache_control),
            ("expires", &headers.expires),
            ("x-amz-website-redirect-location", &headers.website_redirect_location),
        ];
        let given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        Attributes {
            size: record.size,
            etag: record.etag.to_string(),
            modified: record.modified,
            storage_class: storage_class_name(record.storage_class).to_owned(),
            headers: given.collect(),
            metadata: headers.user.clone(),
            checksum: record.checksum.as_ref().map(checksum),
        }
    }
}

impl Line {
    /// The line of an object with this record. Status, path and problem are filled in later.
    pub fn new(bucket: &str, key: &[u8], record: &ObjectRecord) -> Line {
        Line {
            version_id: (record.version != VersionId::NULL).then(|| record.version.to_string()),
            attributes: Some(Attributes::of(record)),
            ..Line::of_key(bucket, key, id(bucket, key, Some(record)))
        }
    }

    /// The line of an object whose record can't be read.
    pub fn without_record(bucket: &str, key: &[u8], error: &DecodeError) -> Line {
        let problem = Some(error.to_string());
        Line { problem, ..Line::of_key(bucket, key, id(bucket, key, None)) }
    }

    fn of_key(bucket: &str, key: &[u8], id: String) -> Line {
        let text = String::from_utf8_lossy(key).into_owned();
        let key_hex = (text.as_bytes() != key).then(|| hex::encode(key));
        Line {
            bucket: bucket.to_owned(),
            key: text,
            key_hex,
            version_id: None,
            is_latest: true,
            path: None,
            status: Status::Lost,
            attributes: None,
            unreadable: Vec::new(),
            problem: None,
            id,
        }
    }
}

fn checksum(checksum: &Checksum) -> String {
    let algorithm = checksum_algorithm_name(checksum.algorithm);
    format!("{algorithm} {} {}", checksum_type_name(checksum.kind), hex::encode(&checksum.value))
}

/// A digest that differs between two versions of an object, if their records can be read.
fn id(bucket: &str, key: &[u8], record: Option<&ObjectRecord>) -> String {
    let mut digest = Sha256::new();
    digest.update((bucket.len() as u64).to_le_bytes());
    digest.update(bucket);
    digest.update((key.len() as u64).to_le_bytes());
    digest.update(key);
    if let Some(record) = record {
        digest.update(format!("{} {} {}", record.etag, record.size, record.modified));
        if record.version != VersionId::NULL {
            digest.update(format!(" {}", record.version));
        }
    }
    hex::encode(&digest.finalize()[..16])
}

/// The manifest of a target folder.
pub struct Manifest {
    file: File,
    /// The ids of the objects that were copied whole.
    done: HashSet<[u8; 16]>,
}

impl Manifest {
    /// Opens the manifest of an earlier run, or a new one. A last line that an interruption cut off is removed.
    pub fn open(folder: &Path) -> io::Result<Manifest> {
        let path = folder.join(NAME);
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let (mut done, mut end) = (HashSet::new(), 0);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            end += line.len() as u64;
            match serde_json::from_slice::<serde_json::Value>(&line) {
                Ok(value) => drop(whole_id(&value).map(|id| done.insert(id))),
                Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
            }
            line.clear();
        }
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Manifest { file, done })
    }

    /// Whether a run has copied this version of the object whole.
    pub fn has(&self, line: &Line) -> bool {
        parse_id(&line.id).is_some_and(|id| self.done.contains(&id))
    }

    /// Appends lines. Their files must be durable already.
    pub fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }
}

fn whole_id(line: &serde_json::Value) -> Option<[u8; 16]> {
    (line.get("status")? == "whole").then(|| parse_id(line.get("id")?.as_str()?)).flatten()
}

fn parse_id(text: &str) -> Option<[u8; 16]> {
    hex::decode(text).ok()?.try_into().ok()
}
