//! Listing by seek: the cost of a page follows from what it returns.
//!
//! A page starts with one seek. If keys roll up into a common prefix, the next seek goes past all of them, so a
//! million keys under `a/` cost as much as one. The read lock is held for a millisecond at most; then the scan lets
//! writers pass and goes on after its last key. A page shows every write that was acknowledged before it began.

mod versions;

pub(crate) use versions::versions;
pub use versions::{ListedVersion, VersionPosition, VersionsRequest};

use crate::keys;
use crate::machine::{Machine, ReadError};
use crate::record::{
    BucketId, ChecksumAlgorithm, ChecksumType, DecodeError, ObjectRecord, ObjectSummary, StorageClass,
    StoredUpload, UploadId, UploadRecord, decode,
};
use crate::tree::{Base, TreeError};
use std::ops::ControlFlow;
use stratum_storage::ambient::UnixMillis;

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// At the first key.
    #[default]
    Start,
    /// After this key.
    After(Vec<u8>),
    /// After every key that begins with this common prefix.
    Past(Vec<u8>),
}

impl Position {
    /// The first key that may be listed; `None` if there can be none.
    fn first_key(&self, prefix: &[u8]) -> Option<Vec<u8>> {
        let after = match self {
            Position::Start => Vec::new(),
            Position::After(key) => [key.as_slice(), &[0]].concat(),
            Position::Past(common) => keys::after_prefix(common)?,
        };
        Some(after.max(prefix.to_vec()))
    }
}

/// Bytes of records that a page of uploads reads, about: a thousand uploads with headers of usual length are far
/// below it. A page that reaches it ends early, and says where the next one begins.
const PAGE_BYTES: usize = 16 << 20;

/// What to list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    pub bucket: BucketId,
    /// Only keys that begin with this.
    pub prefix: Vec<u8>,
    /// Keys that are the same from the prefix to the end of the first delimiter after it roll up. An empty delimiter
    /// counts as none.
    pub delimiter: Option<Vec<u8>>,
    pub from: Position,
    /// Entries and common prefixes together.
    pub max: usize,
    /// Whether the owners of the objects are to be listed, for which their whole records must be read.
    pub owners: bool,
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<T> {
    Entry(T),
    /// A common prefix, which ends with the delimiter.
    CommonPrefix(Vec<u8>),
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: Vec<u8>,
    pub object: ObjectSummary,
    /// The canonical user id of its owner, if owners were asked for and it isn't the bucket's owner.
    pub owner: Option<String>,
}

/// An upload as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    pub key: Vec<u8>,
    pub upload: UploadId,
    pub record: UploadSummary,
}

/// What a listing shows of an upload. The headers of the future object, which are the largest part of its record, are
/// left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSummary {
    pub initiated: UnixMillis,
    /// The initiator's canonical user id.
    pub initiator: String,
    /// The canonical user id of the future object's owner, if that isn't the bucket's owner.
    pub owner: Option<String>,
    pub storage_class: StorageClass,
    /// The checksum that Create asked for.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

impl From<UploadRecord> for UploadSummary {
    fn from(record: UploadRecord) -> Self {
        let UploadRecord { initiated, initiator, storage_class, checksum, attributes, .. } = record;
        UploadSummary { initiated, initiator, owner: attributes.owner, storage_class, checksum }
    }
}

/// A page of a listing. `next` is where the following page begins: `Some` exactly when there is more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, P = Position> {
    pub entries: Vec<Listed<T>>,
    pub next: Option<P>,
}

/// Where a page of uploads begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UploadPosition {
    #[default]
    Start,
    /// After all uploads of this key.
    AfterKey(Vec<u8>),
    /// After this upload of this key.
    AfterUpload(Vec<u8>, UploadId),
    /// After every key that begins with this common prefix.
    Past(Vec<u8>),
}

/// Which uploads to list.
#[derive(Clone, Debug)]
pub struct UploadsRequest {
    pub bucket: BucketId,
    pub prefix: Vec<u8>,
    pub delimiter: Option<Vec<u8>>,
    pub from: UploadPosition,
    pub max: usize,
}

/// The common prefix that a key rolls up into, if any.
fn common_prefix<'a>(key: &'a [u8], prefix: &[u8], delimiter: Option<&[u8]>) -> Option<&'a [u8]> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.get(prefix.len()..)?;
    let at = match delimiter {
        [byte] => rest.iter().position(|other| other == byte)?,
        _ => rest.windows(delimiter.len()).position(|window| window == delimiter)?,
    };
    key.get(..prefix.len() + at + delimiter.len())
}

/// Where a scan goes on after a pair.
enum Next {
    /// With the following key.
    Key,
    /// With this key: everything before it is skipped.
    Seek(Vec<u8>),
    /// The scan ends.
    Stop,
}

/// Scans `from <= key < to`; `visit` may skip ahead.
fn scan(
    machine: &Machine,
    from: Vec<u8>,
    to: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Next,
) -> Result<(), TreeError> {
    let mut from = Some(from);
    while let Some(start) = from.take() {
        machine.scan(&start, to, |key, value| match visit(key, value) {
            Next::Key => ControlFlow::Continue(()),
            Next::Seek(key) => {
                from = Some(key);
                ControlFlow::Break(())
            }
            Next::Stop => ControlFlow::Break(()),
        })?;
    }
    Ok(())
}

/// A page of objects.
pub(crate) fn objects(machine: &Machine, request: &ListRequest) -> Result<Page<ListedObject>, ReadError> {
    let ListRequest { bucket, prefix, delimiter, from, max, owners } = request;
    let mut page = Page { entries: Vec::new(), next: None };
    let Some(first) = from.first_key(prefix).filter(|_| *max > 0) else { return Ok(page) };
    let range = keys::objects_of(*bucket);
    let start = [range.as_slice(), &first].concat();
    let end = keys::end_of_prefix(&[range.as_slice(), prefix].concat());
    let mut failed = None;
    scan(machine, start, &end, |key, value| {
        let key = key.get(range.len()..).unwrap_or_default();
        if page.entries.len() == *max {
            page.next = page.entries.last().map(position_after);
            return Next::Stop;
        }
        if let Some(common) = common_prefix(key, prefix, delimiter.as_deref()) {
            page.entries.push(Listed::CommonPrefix(common.to_vec()));
            return match keys::after_prefix(common) {
                Some(next) => Next::Seek([range.as_slice(), &next].concat()),
                None => Next::Stop,
            };
        }
        match shown(value, *owners) {
            Ok((object, owner)) => {
                page.entries.push(Listed::Entry(ListedObject { key: key.to_vec(), object, owner }));
            }
            Err(error) => {
                failed = Some(error);
                return Next::Stop;
            }
        }
        Next::Key
    })?;
    failed.map_or(Ok(page), |error| Err(error.into()))
}

/// An object as a listing shows it, and its owner.
fn shown(value: &[u8], owners: bool) -> Result<(ObjectSummary, Option<String>), DecodeError> {
    if !owners {
        return Ok((decode(value)?, None));
    }
    let mut record: ObjectRecord = decode(value)?;
    let owner = record.attributes.owner.take();
    Ok((record.into(), owner))
}

fn position_after(last: &Listed<ListedObject>) -> Position {
    match last {
        Listed::Entry(object) => Position::After(object.key.clone()),
        Listed::CommonPrefix(common) => Position::Past(common.clone()),
    }
}

/// A page of uploads, as [`objects`] but over keys in their escaped form.
pub(crate) fn uploads(
    machine: &Machine,
    request: &UploadsRequest,
) -> Result<Page<ListedUpload, UploadPosition>, ReadError> {
    let UploadsRequest { bucket, prefix, delimiter, from, max } = request;
    let mut page = Page { entries: Vec::new(), next: None };
    let range = keys::upload_key_prefix(*bucket, prefix);
    let Some(start) = first_upload(*bucket, from).filter(|_| *max > 0) else { return Ok(page) };
    let mut found = Vec::new();
    scan(machine, start.max(range.clone()), &keys::end_of_prefix(&range), |key, _| {
        let Some((key, upload)) = keys::parse_upload_by_key(key) else { return Next::Key };
        if found.len() == *max {
            page.next = found.last().map(position_after_upload);
            return Next::Stop;
        }
        if let Some(common) = common_prefix(&key, prefix, delimiter.as_deref()) {
            found.push(Listed::CommonPrefix(common.to_vec()));
            return Next::Seek(keys::end_of_prefix(&keys::upload_key_prefix(*bucket, common)));
        }
        found.push(Listed::Entry((key, upload)));
        Next::Key
    })?;
    let (mut read, mut after_last) = (0, None);
    for listed in found {
        if read >= PAGE_BYTES {
            return Ok(Page { next: after_last, ..page });
        }
        after_last = Some(position_after_upload(&listed));
        match listed {
            Listed::CommonPrefix(common) => page.entries.push(Listed::CommonPrefix(common)),
            Listed::Entry((key, upload)) => {
                // An upload that ended after the scan is left out.
                if let Some(value) = machine.get(&keys::upload(upload))? {
                    read += value.len();
                    let record = decode::<StoredUpload>(&value)?.record.into();
                    page.entries.push(Listed::Entry(ListedUpload { key, upload, record }));
                }
            }
        }
    }
    Ok(page)
}

fn first_upload(bucket: BucketId, from: &UploadPosition) -> Option<Vec<u8>> {
    let past = |prefix: Vec<u8>| Some(keys::end_of_prefix(&prefix));
    match from {
        UploadPosition::Start => Some(keys::uploads_of(bucket)),
        UploadPosition::AfterKey(key) => past(keys::uploads_of_key(bucket, key)),
        UploadPosition::AfterUpload(key, upload) => past(keys::upload_by_key(bucket, key, *upload)),
        UploadPosition::Past(common) => past(keys::upload_key_prefix(bucket, common)),
    }
}

fn position_after_upload(last: &Listed<(Vec<u8>, UploadId)>) -> UploadPosition {
    match last {
        Listed::Entry((key, upload)) => UploadPosition::AfterUpload(key.clone(), *upload),
        Listed::CommonPrefix(common) => UploadPosition::Past(common.clone()),
    }
}

#[cfg(test)]
mod tests;
