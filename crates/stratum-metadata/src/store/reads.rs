//! What can be asked of the state. Every read sees every acknowledged write.

use super::{Metadata, ReadError};
use crate::keys::{self, Tag};
use crate::listing::{self, ListRequest, ListedObject, ListedUpload, Page, UploadPosition, UploadsRequest};
use crate::machine::Machine;
use crate::record::{
    BucketId, BucketRecord, Completion, ObjectRecord, PartRecord, StoredUpload, UploadId, UploadRecord,
    decode,
};
use crate::tree::{Base, TreeError};
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use stratum_storage::blocking;
use stratum_storage::volume::VolumeRecord;

impl Metadata {
    /// The machine, while it can be believed.
    fn machine(&self) -> Result<&Machine, ReadError> {
        let machine = &self.inner.machine;
        if machine.has_failed() {
            return Err(TreeError::Away.into());
        }
        Ok(machine)
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        match self.machine()?.get(key)? {
            Some(value) => Ok(Some(decode(&value)?)),
            None => Ok(None),
        }
    }

    /// The records with `from <= key < to`, in order, at most `max`.
    fn records<T: DeserializeOwned>(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<T>, ReadError> {
        let mut records = Vec::new();
        let mut failed = None;
        if max > 0 {
            self.machine()?.scan(from, to, |_, value| {
                match decode(value) {
                    Ok(record) => records.push(record),
                    Err(error) => failed = Some(error),
                }
                let go_on = failed.is_none() && records.len() < max;
                if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        failed.map_or(Ok(records), |error| Err(error.into()))
    }

    /// The bucket of that name.
    pub fn bucket(&self, name: &str) -> Result<Option<BucketRecord>, ReadError> {
        self.get(&keys::bucket_by_name(name.as_bytes()))
    }

    /// An owner's buckets whose names come after `after`, by name, at most `max`.
    pub fn buckets_of(&self, owner: &str, after: &str, max: usize) -> Result<Vec<BucketRecord>, ReadError> {
        let all = keys::buckets_of(owner);
        let from = [keys::bucket_by_owner(owner, after).as_slice(), &[0]].concat();
        let mut names = Vec::new();
        if max > 0 {
            self.machine()?.scan(&from, &keys::end_of_prefix(&all), |key, _| {
                names.extend(key.get(all.len()..).map(keys::bucket_by_name));
                if names.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        // One that was deleted since the scan is left out.
        names.iter().filter_map(|name| self.get(name).transpose()).collect()
    }

    /// What stands under a key: one lookup.
    pub fn object(&self, bucket: BucketId, key: &[u8]) -> Result<Option<ObjectRecord>, ReadError> {
        self.get(&keys::object(bucket, key))
    }

    /// A page of a bucket's objects, by key.
    pub async fn list(&self, request: ListRequest) -> Result<Page<ListedObject>, ReadError> {
        self.blocking(move |machine| listing::objects(machine, &request)).await
    }

    /// A scan may wait for writers and for the disk: it runs where that holds up nobody else.
    async fn blocking<T: Send + 'static>(
        &self,
        scan: impl FnOnce(&Machine) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let metadata = self.clone();
        let scan = blocking::spawn(move || scan(metadata.machine()?));
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
    pub fn parts(&self, upload: UploadId, after: u16, max: usize) -> Result<Vec<PartRecord>, ReadError> {
        match after.checked_add(1) {
            Some(first) => {
                self.records(&keys::part(upload, first), &keys::end_of_prefix(&keys::parts_of(upload)), max)
            }
            None => Ok(Vec::new()),
        }
    }

    /// A page of a bucket's uploads, by key and then by the time of their creation.
    pub async fn uploads(
        &self,
        request: UploadsRequest,
    ) -> Result<Page<ListedUpload, UploadPosition>, ReadError> {
        self.blocking(move |machine| listing::uploads(machine, &request)).await
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
