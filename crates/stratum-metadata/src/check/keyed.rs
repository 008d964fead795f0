//! The checks for each kind of key.

use super::{Check, Finding};
use crate::buckets::{self, by_id};
use crate::keys::{self, DueKind, Tag};
use crate::machine::ReadError;
use crate::owned::{self, Owned};
use crate::record::{
    Body, BucketDocument, BucketId, BucketUsage, Completion, Counted, DecodeError, Dropped, EventQueue,
    EventRecord, EventShare, ExtentRecord, HighestIds, IdentitiesRecord, Level, ObjectRecord, Owner,
    PartRecord, Quota, StoredUpload, StripeRecord, SummedBelow, UploadBytes, UploadId, UserTotal, decode,
};
use stratum_storage::blob::{BlobRef, Extent, Form, Geometry, Place, VolumeId};
use stratum_storage::format::layout::{Stripe, extent_end};
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// Whether the key and its record could be read; the error says why not.
pub(super) type Read = Result<(), String>;

pub(super) const NOT_A_KEY: &str = "the key makes no sense";

impl Check<'_> {
    /// Checks one key and its value. The outer error is a failure of the index.
    pub(super) fn keyed(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(kind) = keys::kind_of(key) else { return Ok(Err(NOT_A_KEY.into())) };
        match kind {
            // The one valid key of this kind was skipped before.
            Tag::Applied => Ok(Err(NOT_A_KEY.into())),
            Tag::HighestIds => Ok(read::<HighestIds>(value).map(|highest| {
                (self.highest_bucket, self.highest_volume) = (highest.bucket, highest.volume);
            })),
            Tag::Level => Ok(read::<Level>(value).map(|level| self.kept_level = level)),
            Tag::BucketById => self.bucket_by_id(key, value),
            Tag::BucketByName => self.bucket_by_name(key, value),
            Tag::BucketByOwner => {
                self.buckets_by_owner += 1;
                Ok(Ok(()))
            }
            Tag::DeletedBucket => Ok(keys::parse_deleted_bucket(key).map(drop).ok_or(NOT_A_KEY.into())),
            Tag::BucketDocument => self.bucket_document(key, value),
            Tag::BucketUsage => self.bucket_usage(key, value),
            Tag::UserQuota => Ok(read::<Quota>(value).map(drop)),
            Tag::UserTotal => self.user_total(key, value),
            Tag::UserSummed => self.user_summed(key, value),
            Tag::Object => self.object(key, value),
            Tag::Version => self.version(key, value),
            Tag::NullVersion => self.null_version(key, value),
            Tag::Upload => self.upload(key, value),
            Tag::UploadByKey => {
                self.uploads_by_key += 1;
                Ok(keys::parse_upload_by_key(key).map(drop).ok_or(NOT_A_KEY.into()))
            }
            Tag::Part => self.part(key, value),
            Tag::Completion => self.completion(key, value),
            Tag::Dropped => Ok(read::<Dropped>(value).map(drop)),
            Tag::LastPart => self.last_part(key),
            Tag::UploadBytes => self.upload_bytes(key, value),
            Tag::Volume => self.volume_record(value),
            Tag::Extent => self.extent_record(key, value),
            Tag::Stripe => self.stripe_record(key, value),
            Tag::Due => self.due(key),
            Tag::Review => self.review(key, value),
            Tag::Event => Ok(self.event(key, value)),
            Tag::EventQueue => Ok(self.event_queue(key, value)),
            Tag::EventShare => Ok(self.event_share(key, value)),
            Tag::Identities => Ok(read::<IdentitiesRecord>(value).map(drop)),
            Tag::Identity => self.identity(key, value),
            Tag::AccessKey => self.access_key(key, value),
            Tag::ManagedPolicy => self.managed_policy(key, value),
        }
    }

    fn bucket_by_id(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let (Some(id), Ok(name)) = (keys::parse_bucket_by_id(key), buckets::name_of(value)) else {
            return Ok(Err(NOT_A_KEY.into()));
        };
        if id.0 > self.highest_bucket {
            let highest = self.highest_bucket;
            self.found(Finding::AboveHighest { kind: "bucket", id: id.0, highest });
        }
        let under_name = self.state.get(&keys::bucket_by_name(name.as_bytes()))?;
        if under_name.and_then(|value| buckets::id_of(&value).ok()) != Some(id) {
            self.found(Finding::Bucket { id: id.0, name: name.clone(), index: "by name" });
        }
        for kind in buckets::configuration_of(value).unwrap_or_default().documents.into_keys() {
            if !self.has(&keys::bucket_document(id, kind))? {
                let name = name.clone();
                self.found(Finding::Document { name, kind, problem: "names a document that isn't there" });
            }
        }
        Ok(Ok(()))
    }

    fn bucket_document(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((bucket, kind)) = keys::parse_bucket_document(key) else { return Ok(Err(NOT_A_KEY.into())) };
        if let Err(problem) = read::<BucketDocument>(value) {
            return Ok(Err(problem));
        }
        // A bucket's record that can't be read is reported at the bucket's own key.
        let record = match buckets::by_id(bucket, |key| self.state.get(key).map_err(ReadError::from)) {
            Err(ReadError::Record(_)) => return Ok(Ok(())),
            record => record?,
        };
        if record.as_ref().is_none_or(|record| !record.configuration.documents.contains_key(&kind)) {
            let name = record.map_or_else(|| format!("number {}", bucket.0), |record| record.name);
            self.found(Finding::Document { name, kind, problem: "has a document that it doesn't name" });
        }
        Ok(Ok(()))
    }

    fn bucket_usage(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(bucket) = keys::parse_bucket_by_id(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let usage: BucketUsage = match read(value) {
            Ok(usage) => usage,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(record) = by_id(bucket, |key| self.state.get(key).map_err(ReadError::from))? else {
            return Ok(Err("it counts a bucket that isn't there".into()));
        };
        let held = self.held_by.entry(record.owner).or_default();
        *held = (held.0.saturating_add(usage.bytes), held.1.saturating_add(usage.objects));
        // While a count isn't complete, nothing can be compared with it.
        if usage.counted == Counted::All {
            self.usage.insert(bucket, (usage, 0, 0));
        }
        Ok(Ok(()))
    }

    fn user_total(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(owner) = keys::parse_name(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let total: UserTotal = match read(value) {
            Ok(total) => total,
            Err(problem) => return Ok(Err(problem)),
        };
        let (kept, counted) = ((total.bytes, total.objects), self.held_by.remove(&owner).unwrap_or_default());
        // While some of the buckets haven't been added, nothing can be compared.
        if kept != counted && !self.has(&keys::user_summed(&owner))? {
            self.found(Finding::UserTotal { owner, kept, counted });
        }
        Ok(Ok(()))
    }

    fn user_summed(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(owner) = keys::parse_name(key) else { return Ok(Err(NOT_A_KEY.into())) };
        if !self.has(&keys::user_total(&owner))? {
            return Ok(Err("it is beside a total that isn't there".into()));
        }
        Ok(read::<SummedBelow>(value).map(drop))
    }

    fn upload_bytes(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(upload) = upload_of(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let parts: UploadBytes = match read(value) {
            Ok(parts) => parts,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(stored) = self.get::<StoredUpload>(&keys::upload(upload))? else {
            let what = "its record, and its parts are still counted";
            self.found(Finding::Upload { upload: upload.to_string(), what });
            return Ok(Ok(()));
        };
        if let Some((usage, bytes, _)) = self.usage.get_mut(&stored.record.bucket)
            && usage.since == parts.since
        {
            *bytes = bytes.saturating_add(parts.bytes);
        }
        Ok(Ok(()))
    }

    fn event(&mut self, key: &[u8], value: &[u8]) -> Read {
        let target = keys::parse_event(key).ok_or(NOT_A_KEY)?;
        let owner = read::<EventRecord>(value)?.about.owner;
        *self.event_shares.entry(keys::event_share(&target, &owner)).or_default() += 1;
        *self.events.entry(target).or_default() += 1;
        Ok(())
    }

    /// An owner's share may be less than what waits: an earlier build kept none.
    fn event_share(&mut self, key: &[u8], value: &[u8]) -> Read {
        let kept = read::<EventShare>(value)?.waiting;
        let met = self.event_shares.remove(key).unwrap_or_default();
        if kept > met {
            self.found(Finding::EventShare { kept, met });
        }
        Ok(())
    }

    fn event_queue(&mut self, key: &[u8], value: &[u8]) -> Read {
        let target = keys::parse_name(key).ok_or(NOT_A_KEY)?;
        let kept = read::<EventQueue>(value)?.waiting;
        let met = self.events.remove(&target).unwrap_or_default();
        if kept != met {
            self.found(Finding::EventQueue { target, kept, met });
        }
        Ok(())
    }

    fn bucket_by_name(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let id = match buckets::id_of(value) {
            Ok(id) => id,
            Err(problem) => return Ok(Err(problem.to_string())),
        };
        self.buckets_by_name += 1;
        let name = String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
        // A bucket's record that can't be read is reported at its own key.
        let record = match buckets::by_id(id, |key| self.state.get(key).map_err(ReadError::from)) {
            Err(ReadError::Record(_)) => None,
            record => record?,
        };
        if record.as_ref().is_none_or(|record| (record.id, &record.name) != (id, &name)) {
            self.found(Finding::Bucket { id: id.0, name: name.clone(), index: "by number" });
        }
        if let Some(record) = record
            && !self.has(&keys::bucket_by_owner(&record.owner, &name))?
        {
            self.found(Finding::Bucket { id: id.0, name, index: "by owner" });
        }
        Ok(Ok(()))
    }

    fn object(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((bucket, object)) = keys::parse_object(key) else { return Ok(Err(NOT_A_KEY.into())) };
        match read(value) {
            Ok(record) => self.object_record(bucket, object.to_vec(), &record).map(Ok),
            Err(problem) => Ok(Err(problem)),
        }
    }

    pub(super) fn object_record(
        &mut self,
        bucket: BucketId,
        key: Vec<u8>,
        record: &ObjectRecord,
    ) -> Result<(), ReadError> {
        self.checked.objects += 1;
        if let Some((_, bytes, objects)) = self.usage.get_mut(&bucket) {
            *bytes = bytes.saturating_add(record.size);
            *objects += 1;
        }
        let owner = Owner::object(bucket, key, record);
        if !self.has(&keys::bucket_by_id(bucket))? {
            self.found(Finding::NoBucket { owner: self.named(&owner) });
        }
        if let (Some(time), Owner::Object { key, committed, .. }) = (record.attributes.review, &owner)
            && !self.has(&keys::review(time, bucket, key, *committed))?
        {
            self.found(Finding::Review {
                owner: self.named(&owner),
                problem: "is due for one, and isn't among them",
            });
        }
        let named = match &record.body {
            Body::Blob(blob) => {
                self.blob(&owner, blob)?;
                self.stored_bytes(&owner, blob, record.size);
                record.size
            }
            Body::Parts { upload, parts } => {
                self.multipart.insert(*upload);
                for part in parts {
                    let known: Option<PartRecord> = self.get(&keys::part(*upload, part.number))?;
                    if known.is_none_or(|known| known.size != part.size) {
                        self.found(Finding::NoPart { owner: self.named(&owner), number: part.number });
                    }
                }
                parts.iter().map(|part| part.size).sum()
            }
        };
        if named != record.size {
            self.found(Finding::Size { owner: self.named(&owner), size: record.size, named });
        }
        Ok(())
    }

    /// A plaintext body has as many stored bytes as bytes. Of a coded or sealed one only the frames say how many, so
    /// only emptiness is compared.
    fn stored_bytes(&mut self, owner: &Owner, blob: &BlobRef, size: u64) {
        let named = blob.len();
        let is_possible = match blob.form {
            Form::Plaintext => named == size,
            Form::Frames | Form::Sealed => (named == 0) == (size == 0),
        };
        if !is_possible {
            self.found(Finding::Size { owner: self.named(owner), size, named });
        }
    }

    fn upload(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(upload) = upload_of(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let StoredUpload { record, expires } = match read(value) {
            Ok(stored) => stored,
            Err(problem) => return Ok(Err(problem)),
        };
        self.uploads += 1;
        let lacks = [
            (keys::upload_by_key(record.bucket, &record.key, upload), "its entry among its key's uploads"),
            (keys::due(expires, DueKind::Upload, upload), "the time at which it expires"),
        ];
        for (key, what) in lacks {
            if !self.has(&key)? {
                self.found(Finding::Upload { upload: upload.to_string(), what });
            }
        }
        Ok(Ok(()))
    }

    fn part(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(upload) = key.get(..17).and_then(upload_of) else { return Ok(Err(NOT_A_KEY.into())) };
        let part: PartRecord = match read(value) {
            Ok(part) => part,
            Err(problem) => return Ok(Err(problem)),
        };
        self.checked.parts += 1;
        let owner = Owner::Part { upload, number: part.number };
        self.blob(&owner, &part.blob)?;
        self.stored_bytes(&owner, &part.blob, part.size);
        let is_owned = self.multipart.contains(&upload)
            || self.has(&keys::upload(upload))?
            || self.has(&keys::dropped(upload))?;
        if !is_owned {
            self.found(Finding::PartWithoutOwner { upload: upload.to_string(), number: part.number });
        }
        Ok(Ok(()))
    }

    fn last_part(&mut self, key: &[u8]) -> Result<Read, ReadError> {
        let Some(upload) = upload_of(key) else { return Ok(Err(NOT_A_KEY.into())) };
        if !self.has(&keys::upload(upload))? {
            let what = "its record, and its last part is still kept";
            self.found(Finding::Upload { upload: upload.to_string(), what });
        }
        Ok(Ok(()))
    }

    fn completion(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(upload) = upload_of(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let completion: Completion = match read(value) {
            Ok(completion) => completion,
            Err(problem) => return Ok(Err(problem)),
        };
        if !self.has(&keys::due(completion.remember_until, DueKind::Completion, upload))? {
            let what = "the time at which its completion is forgotten";
            self.found(Finding::Upload { upload: upload.to_string(), what });
        }
        Ok(Ok(()))
    }

    fn volume_record(&mut self, value: &[u8]) -> Result<Read, ReadError> {
        let record: VolumeRecord = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        if record.id.0 > self.highest_volume {
            let highest = self.highest_volume;
            self.found(Finding::AboveHighest { kind: "volume", id: record.id.0, highest });
        }
        let counted = self.live.remove(&record.id).unwrap_or_default();
        if counted != record.live {
            self.found(Finding::VolumeLive { volume: record.id, kept: record.live, counted });
        }
        Ok(Ok(()))
    }

    fn extent_record(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((volume, start)) = place(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let ExtentRecord { owner, length } = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        let extent = Extent { volume, start, length };
        // An owner's record that can't be read is reported at the owner's own key.
        let found = match owned::find(&owner, |key| self.state.get(key).map_err(ReadError::from)) {
            Err(ReadError::Record(_)) => None,
            found => found?,
        };
        let is_named =
            found.is_some_and(|(_, mut owned)| owned.blob().is_some_and(|blob| names(blob, &extent)));
        if !is_named {
            self.found(Finding::ExtentWithoutOwner { owner: self.named(&owner), volume, offset: start });
        }
        self.high_water(volume, "an extent", start, |geometry| extent_end(geometry, &extent))?;
        Ok(Ok(()))
    }

    fn stripe_record(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((volume, offset)) = place(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let record: StripeRecord = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        let counted = self.packed.remove(&(volume, offset)).unwrap_or_default();
        let (counted, kept) = ((counted.live, counted.bodies), (record.live, record.bodies));
        if counted != kept {
            self.found(Finding::StripeCount { volume, offset, counted, kept: Some(kept) });
        }
        let end = |geometry| offset.saturating_add(Stripe { geometry, payload: record.payload }.disk());
        self.high_water(volume, "a packed stripe", offset, end)?;
        Ok(Ok(()))
    }

    fn high_water(
        &mut self,
        volume: VolumeId,
        what: &'static str,
        offset: u64,
        end: impl FnOnce(Geometry) -> u64,
    ) -> Result<(), ReadError> {
        let Some(record) = self.get::<VolumeRecord>(&keys::volume(volume))? else { return Ok(()) };
        let (end, high_water) = (end(record.geometry), record.high_water);
        if end > high_water {
            self.found(Finding::HighWater { volume, what, offset, end, high_water });
        }
        Ok(())
    }

    fn due(&mut self, key: &[u8]) -> Result<Read, ReadError> {
        let Some((kind, upload)) = keys::parse_due(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let is_there = match kind {
            DueKind::Upload => self.has(&keys::upload(upload))?,
            DueKind::Completion => self.has(&keys::completion(upload))?,
        };
        if !is_there {
            self.found(Finding::Due { upload: upload.to_string() });
        }
        Ok(Ok(()))
    }

    fn review(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((time, bucket, object, committed)) = keys::parse_review(key) else {
            return Ok(Err(NOT_A_KEY.into()));
        };
        let version = match read(value) {
            Ok(version) => version,
            Err(problem) => return Ok(Err(problem)),
        };
        let owner = Owner::Object { bucket, key: object, version, committed };
        // An owner's record that can't be read is reported at the owner's own key.
        let found = match owned::find(&owner, |key| self.state.get(key).map_err(ReadError::from)) {
            Err(ReadError::Record(_)) => return Ok(Ok(())),
            found => found?,
        };
        let is_due = found.is_some_and(|(_, owned)| match owned {
            Owned::Current(record) | Owned::NonCurrent(record) => record.attributes.review == Some(time),
            Owned::Part(_) => false,
        });
        if !is_due {
            self.found(Finding::Review {
                owner: self.named(&owner),
                problem: "is among them, and isn't due for one",
            });
        }
        Ok(Ok(()))
    }

    /// The volume must exist.
    pub(super) fn volume(&mut self, owner: &Owner, volume: VolumeId) -> Result<(), ReadError> {
        let record: Option<VolumeRecord> = self.get(&keys::volume(volume))?;
        if record.is_none_or(|record| record.state == VolumeState::Dropped) {
            self.found(Finding::NoVolume { owner: self.named(owner), volume });
        }
        Ok(())
    }

    /// The extent's key must exist and name this owner.
    pub(super) fn extent(&mut self, owner: &Owner, extent: &Extent) -> Result<(), ReadError> {
        let kept: Option<ExtentRecord> = self.get(&keys::extent(extent.volume, extent.start))?;
        let problem = match kept {
            None => "there is none".to_owned(),
            Some(kept) if kept.owner != *owner => format!("it belongs to {}", self.named(&kept.owner)),
            Some(kept) if kept.length != extent.length => format!("it has {} bytes", kept.length),
            Some(_) => return Ok(()),
        };
        let (volume, offset) = (extent.volume, extent.start);
        self.found(Finding::Extent { owner: self.named(owner), volume, offset, problem });
        Ok(())
    }
}

pub(super) fn read<T: crate::record::Migrate>(value: &[u8]) -> Result<T, String> {
    decode(value).map_err(|error: DecodeError| error.to_string())
}

/// The upload in a key that consists of a tag and an upload.
fn upload_of(key: &[u8]) -> Option<UploadId> {
    keys::parse_dropped(key)
}

/// The volume and the offset in the key of an extent or a stripe.
fn place(key: &[u8]) -> Option<(VolumeId, u64)> {
    let volume = key.get(1..9)?.try_into().ok()?;
    Some((VolumeId(u64::from_be_bytes(volume)), keys::parse_offset(key)?))
}

fn names(blob: &BlobRef, extent: &Extent) -> bool {
    matches!(&blob.place, Place::Extents(extents) if extents.contains(extent))
}
