//! Reads of the state. A read through [`fresh`](Metadata::fresh) sees every acknowledged write.

use super::Metadata;
use crate::buckets;
use crate::keys::{self, Tag};
use crate::listing::{
    self, ListRequest, ListedObject, ListedUpload, ListedVersion, Page, UploadPosition, UploadsRequest,
    VersionPosition, VersionsRequest,
};
use crate::machine::{Machine, ReadError};
use crate::record::{
    BucketDocument, BucketId, BucketRecord, BucketSummary, Completion, DocumentKind, LastPart, Migrate,
    ObjectRecord, PartRecord, StoredUpload, UploadId, UploadRecord, decode,
};
use crate::tree::{Base, TreeError, Value};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use stratum_storage::apart::Apart;
use stratum_storage::blocking;
use stratum_storage::volume::VolumeRecord;

/// As many scans may wait for drives at the same time as there may be requests that hang on one.
static SCANS: Apart = Apart::waiting("scans", 512);

/// An upload's parts, and its last part at the time when they were read, which a
/// [`Command::CompleteMultipartUpload`](crate::command::Command) needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsToComplete {
    pub last_part: Option<LastPart>,
    pub parts: Vec<PartRecord>,
}

/// The state as of some moment or later, for the reads of one request. A cheap handle.
///
/// It is no snapshot: the next read sees what is applied meanwhile.
#[derive(Clone, Debug)]
pub struct ReadView(Metadata);

impl Metadata {
    /// The state with everything that was acknowledged before this call, on whatever node. Every request that reads
    /// calls this once.
    ///
    /// # Errors
    /// If nobody can say what was acknowledged.
    pub async fn fresh(&self) -> Result<ReadView, ReadError> {
        self.inner.committer.catch_up().await?;
        Ok(self.local())
    }

    /// The state as applied here, which may lack what other nodes have acknowledged: for background tasks, whose
    /// commands are conditional and which look again before they free anything.
    pub fn local(&self) -> ReadView {
        ReadView(self.clone())
    }
}

impl ReadView {
    /// The machine, if its index hasn't failed.
    pub(crate) fn machine(&self) -> Result<&Machine, ReadError> {
        let machine = &self.0.inner.machine;
        if machine.has_failed() {
            return Err(TreeError::Away.into());
        }
        Ok(machine)
    }

    /// What is stored under a key.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Value>, ReadError> {
        let machine = self.machine()?;
        // If this must wait for a drive, it waits where that delays nobody else.
        match machine.checkpoint().is_some_and(|checkpoint| checkpoint.must_read(key)) {
            true => blocking::in_place(|| Ok(machine.get(key)?)),
            false => Ok(machine.get(key)?),
        }
    }

    /// Visits what is stored under the keys with `from <= key < to`, in order. Blocks.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: impl FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        Ok(self.machine()?.scan(from, to, visit)?)
    }

    pub(crate) fn get<T: Migrate>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        match self.value(key)? {
            Some(value) => Ok(Some(decode(&value)?)),
            None => Ok(None),
        }
    }

    /// Visits the records with `from <= key < to`, in order. One at a time is in memory. Blocks.
    pub(super) fn visit<T: Migrate>(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut failed = None;
        self.scan(from, to, |_, value| match decode(value) {
            Ok(record) => visit(record),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The records with `from <= key < to`, in order, at most `max`.
    pub(super) fn records<T: Migrate>(
        &self,
        from: &[u8],
        to: &[u8],
        max: usize,
    ) -> Result<Vec<T>, ReadError> {
        let mut records = Vec::new();
        if max > 0 {
            self.visit(from, to, |record| {
                records.push(record);
                if records.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok(records)
    }

    /// The bucket with that name.
    pub fn bucket(&self, name: &str) -> Result<Option<Arc<BucketRecord>>, ReadError> {
        self.0.inner.bucket_cache.get(self.machine()?, name)
    }

    /// A bucket's document of that kind.
    pub fn document(&self, bucket: BucketId, kind: DocumentKind) -> Result<Option<String>, ReadError> {
        let document: Option<BucketDocument> = self.get(&keys::bucket_document(bucket, kind))?;
        Ok(document.map(|BucketDocument(text)| text))
    }

    /// The buckets that have a document of that kind, by number.
    pub async fn buckets_with(&self, kind: DocumentKind) -> Result<Vec<BucketId>, ReadError> {
        self.scanning(move |view| {
            let mut with = Vec::new();
            view.scan(&keys::start_of(Tag::BucketById), &keys::end_of(Tag::BucketById), |key, value| {
                // A record that can't be read is reported by a check of the store.
                let has = buckets::configuration_of(value).is_ok_and(|has| has.documents.contains_key(&kind));
                with.extend(keys::parse_bucket_by_id(key).filter(|_| has));
                ControlFlow::Continue(())
            })?;
            Ok(with)
        })
        .await
    }

    /// An owner's buckets whose names begin with `prefix` and come after `after`, by name, at most `max`.
    pub async fn buckets_of(
        &self,
        owner: &str,
        prefix: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<BucketSummary>, ReadError> {
        let names = bucket_names(owner, prefix, after, max);
        self.scanning(move |view| {
            // A bucket that was deleted after the scan is left out.
            let machine = view.machine()?;
            let named =
                |name: &Vec<u8>| buckets::summary_by_name(name, |key| Ok(machine.get(key)?)).transpose();
            names(view)?.iter().filter_map(named).collect()
        })
        .await
    }

    /// How many buckets an owner has, counted up to `most`.
    pub async fn count_buckets_of(&self, owner: &str, most: usize) -> Result<usize, ReadError> {
        let names = bucket_names(owner, "", "", most);
        self.scanning(move |view| Ok(names(view)?.len())).await
    }

    /// How many changes of buckets have been applied: as long as it is the same, the buckets are.
    pub(crate) fn bucket_changes(&self) -> Result<u64, ReadError> {
        Ok(self.machine()?.bucket_changes())
    }

    /// The object under a key, with one lookup.
    pub fn object(&self, bucket: BucketId, key: &[u8]) -> Result<Option<ObjectRecord>, ReadError> {
        self.get(&keys::object(bucket, key))
    }

    /// A page of a bucket's objects, by key.
    pub async fn list(&self, request: ListRequest) -> Result<Page<ListedObject>, ReadError> {
        self.scanning(move |view| listing::objects(view.machine()?, &request)).await
    }

    /// A page of a bucket's versions, by key and then from the newest.
    pub async fn versions(
        &self,
        request: VersionsRequest,
    ) -> Result<Page<ListedVersion, VersionPosition>, ReadError> {
        self.scanning(move |view| listing::versions(view.machine()?, &request)).await
    }

    /// Runs a scan, which may wait for writers and for the disk, and may be long: on a thread where it delays nobody
    /// else, and at a low priority, so that small requests don't wait behind it.
    pub async fn scanning<T: Send + 'static>(
        &self,
        scan: impl FnOnce(&ReadView) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let view = self.clone();
        let scan = SCANS.spawn(move || scan(&view));
        scan.await.unwrap_or_else(|error| Err(ReadError::Unavailable(error.to_string())))
    }

    /// An upload that is under way.
    pub fn upload(&self, upload: UploadId) -> Result<Option<UploadRecord>, ReadError> {
        Ok(self.get::<StoredUpload>(&keys::upload(upload))?.map(|stored| stored.record))
    }

    /// A part of an upload, or of the object that was completed from it.
    pub fn part(&self, upload: UploadId, number: u16) -> Result<Option<PartRecord>, ReadError> {
        self.get(&keys::part(upload, number))
    }

    /// Parts with numbers above `after`, in order, at most `max`.
    pub async fn parts(
        &self,
        upload: UploadId,
        after: u16,
        max: usize,
    ) -> Result<Vec<PartRecord>, ReadError> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        self.scanning(move |view| view.scan_parts(upload, first..=u16::MAX, max)).await
    }

    /// All parts of an upload, to complete it.
    pub async fn parts_to_complete(&self, upload: UploadId) -> Result<PartsToComplete, ReadError> {
        self.scanning(move |view| {
            // The order matters: if a part comes in between, `last_part` is not that part, and completing is refused.
            let last_part = view.get(&keys::last_part(upload))?;
            let parts = view.scan_parts(upload, 0..=u16::MAX, usize::MAX)?;
            Ok(PartsToComplete { last_part, parts })
        })
        .await
    }

    /// Parts with these numbers, in order, at most `max`. Blocks for as long as a scan takes, so it is not for async
    /// threads.
    pub fn scan_parts(
        &self,
        upload: UploadId,
        numbers: RangeInclusive<u16>,
        max: usize,
    ) -> Result<Vec<PartRecord>, ReadError> {
        let from = keys::part(upload, *numbers.start());
        let to = [keys::part(upload, *numbers.end()).as_slice(), &[0]].concat();
        self.records(&from, &to, max)
    }

    /// A page of a bucket's uploads, by key and then by the time of their creation.
    pub async fn uploads(
        &self,
        request: UploadsRequest,
    ) -> Result<Page<ListedUpload, UploadPosition>, ReadError> {
        self.scanning(move |view| listing::uploads(view.machine()?, &request)).await
    }

    /// How an upload was completed, for as long as that is remembered.
    pub fn completed(&self, upload: UploadId) -> Result<Option<Completion>, ReadError> {
        self.get(&keys::completion(upload))
    }

    /// All volumes, by id.
    pub fn volumes(&self) -> Result<Vec<VolumeRecord>, ReadError> {
        self.records(&keys::start_of(Tag::Volume), &keys::end_of(Tag::Volume), usize::MAX)
    }
}

/// Reads the names of an owner's buckets, as [`ReadView::buckets_of`] says.
fn bucket_names(
    owner: &str,
    prefix: &str,
    after: &str,
    max: usize,
) -> impl FnOnce(&ReadView) -> Result<Vec<Vec<u8>>, ReadError> + use<> {
    let (all, with_prefix) = (keys::buckets_of(owner), keys::bucket_by_owner(owner, prefix));
    let behind = [keys::bucket_by_owner(owner, after).as_slice(), &[0]].concat();
    let (from, to) = (with_prefix.clone().max(behind), keys::end_of_prefix(&with_prefix));
    move |view| {
        let mut names = Vec::new();
        if max > 0 && from < to {
            view.machine()?.scan(&from, &to, |key, _| {
                names.extend(key.get(all.len()..).map(<[u8]>::to_vec));
                if names.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok(names)
    }
}
