//! A walk over everything that is encrypted with a key that the store keeps, a page at a time: objects, noncurrent
//! versions, and uploads under way.
//!
//! The walk is no snapshot, and its callers act by conditional commands. It finds what moves once between those kinds
//! meanwhile, and may miss what moves twice; a noncurrent version may be found twice.

use crate::command::KeyHolder;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::owners::in_words;
use crate::record::{
    Attributes, BucketId, DecodeError, Encryption, EncryptionMode, ObjectRecord, Owner, StoredUpload,
    Version, decode,
};
use crate::store::ReadView;
use std::ops::ControlFlow;

/// How many records, and how many bytes of them, end a page.
const PAGE_RECORDS: usize = 1_024;
const PAGE_BYTES: usize = 4 << 20;

/// The kinds of records that may say that something is encrypted, in the order of the walk. A record may move while the
/// walk is under way, and must not be missed for it: an upload becomes an object, an object becomes a noncurrent version,
/// and a noncurrent version is the current object again when the newer one is deleted.
const TAGS: [Tag; 4] = [Tag::Upload, Tag::Version, Tag::Object, Tag::Version];

/// How far a walk has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptedWalk {
    /// The position in [`TAGS`] of the kind that is being read.
    at: usize,
    /// The key after which the walk goes on; empty at the beginning of a kind.
    next: Vec<u8>,
}

/// Something that is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    pub of: KeyHolder,
    pub encryption: Encryption,
    /// What its data key was wrapped for, which is needed to unwrap it.
    pub name: Vec<u8>,
}

/// A page of the walk.
#[derive(Clone, Debug, Default)]
pub struct EncryptedPage {
    pub found: Vec<Encrypted>,
    /// Records that can't be read; a check of the store names them.
    pub damaged: u64,
    pub is_last: bool,
}

impl ReadView {
    /// Who holds a wrapped key, in words for people. Blocks.
    pub fn in_words(&self, of: &KeyHolder) -> String {
        match of.clone() {
            KeyHolder::Object { bucket, key, version, committed } => {
                in_words(&Owner::Object { bucket, key, version, committed }, |key| self.value(key))
            }
            KeyHolder::Upload(_) => of.to_string(),
        }
    }

    /// The next page of a walk, which it moves on. Blocks. Data keys that are wrapped with a client's own key are
    /// left out.
    ///
    /// # Errors
    /// Failures of the index.
    pub fn encrypted(&self, walk: &mut EncryptedWalk) -> Result<EncryptedPage, ReadError> {
        let mut page = EncryptedPage::default();
        let Some(&tag) = TAGS.get(walk.at) else { return Ok(EncryptedPage { is_last: true, ..page }) };
        let from = if walk.next.is_empty() { keys::start_of(tag) } else { walk.next.clone() };
        let (mut records, mut bytes, mut last) = (0, 0, None);
        let end = keys::end_of(tag);
        let scanned = self.scan(&from, &end, |key, value| {
            match read(tag, key, value) {
                Ok(Some(encrypted)) => page.found.push(encrypted),
                Ok(None) => {}
                Err(_) => page.damaged += 1,
            }
            (records, bytes) = (records + 1, bytes + value.len());
            if records < PAGE_RECORDS && bytes < PAGE_BYTES {
                return ControlFlow::Continue(());
            }
            last = Some([key, &[0]].concat());
            ControlFlow::Break(())
        });
        match scanned {
            // A lost block doesn't keep the walk from what comes after it.
            Err(ReadError::Lost(block)) => {
                page.damaged += block.keys;
                last = Some(block.behind()).filter(|behind| *behind < end);
            }
            scanned => scanned?,
        }
        *walk = match last {
            Some(next) => EncryptedWalk { at: walk.at, next },
            None => EncryptedWalk { at: walk.at + 1, next: Vec::new() },
        };
        page.is_last = walk.at == TAGS.len();
        Ok(page)
    }
}

/// What a record says about encryption.
fn read(tag: Tag, key: &[u8], value: &[u8]) -> Result<Option<Encrypted>, DecodeError> {
    match tag {
        Tag::Object => {
            let Some((bucket, name)) = keys::parse_object(key) else { return Err(DecodeError::Empty) };
            Ok(of_object(bucket, name, &decode(value)?))
        }
        Tag::Version => {
            let Some((bucket, name, _)) = keys::parse_version(key) else { return Err(DecodeError::Empty) };
            Ok(match decode(value)? {
                Version::Object(record) => of_object(bucket, &name, &record),
                Version::DeleteMarker(_) => None,
            })
        }
        _ => {
            let Some(upload) = keys::parse_dropped(key) else { return Err(DecodeError::Empty) };
            let StoredUpload { record, .. } = decode(value)?;
            let (of, bucket) = (KeyHolder::Upload(upload), record.bucket);
            Ok(of_attributes(of, &record.attributes, bucket, &record.key))
        }
    }
}

fn of_object(bucket: BucketId, key: &[u8], record: &ObjectRecord) -> Option<Encrypted> {
    let (version, committed) = (record.version, record.committed);
    let of = KeyHolder::Object { bucket, key: key.to_vec(), version, committed };
    of_attributes(of, &record.attributes, bucket, key)
}

fn of_attributes(of: KeyHolder, attributes: &Attributes, bucket: BucketId, key: &[u8]) -> Option<Encrypted> {
    let encryption = attributes.encryption.as_deref()?;
    match encryption.mode {
        EncryptionMode::Customer => None,
        EncryptionMode::S3 | EncryptionMode::Kms { .. } => Some(Encrypted {
            of,
            encryption: encryption.clone(),
            name: encryption.mode.name_of_key(bucket, key),
        }),
    }
}
