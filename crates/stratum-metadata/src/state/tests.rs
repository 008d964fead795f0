//! `apply` against a naive model, and against invariants of every state.

mod counts;
mod events;
mod give_up;
mod identities;
mod levels;
mod lifecycle;
mod tiers;
mod usage;
mod versions;

use super::*;
use crate::command::{CompletedPart, Condition, Deleted, Deletion, Match, Move, WriteCondition};
use crate::keys::{self, Tag};
use crate::record::*;
use crate::tree::memory::Memory;
use crate::tree::{Base, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use stratum_storage::blob::{BlobRef, Extent, Form, Geometry, PackedAt, Place, Tier, VolumeId};
use stratum_storage::drive::DriveId;
use stratum_storage::format::layout::{extent_end, packed_end};
use stratum_storage::volume::{Shard, VolumeEvent, VolumeRecord};

const GEOMETRY: Geometry = Geometry { k: 4, m: 2 };
const BUCKET: BucketId = BucketId(1);

/// A state in memory, and the index of the next entry.
#[derive(Default)]
struct Store {
    memory: Memory,
    index: Index,
}

impl Store {
    /// A store with a bucket and two volumes.
    fn new() -> Store {
        let mut store = Store::default();
        store.apply(create_bucket(BUCKET));
        store.apply(opened(1));
        store.apply(opened(2));
        store
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.apply_group(vec![command]).remove(0)
    }

    /// Applies a group; a refused command must not have changed anything.
    fn apply_group(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        let mut view = View::new(&self.memory);
        let mut outcomes = Vec::new();
        for command in commands {
            self.index += 1;
            let before = view.changes().count();
            outcomes.push(apply(&mut view, self.index, command).unwrap());
            if matches!(outcomes.last(), Some(Outcome::Refused(_))) {
                assert_eq!(view.changes().count(), before);
            }
        }
        assert!(view.changes().count() <= 4_096);
        let changes: Vec<_> =
            view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
        drop(view);
        self.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
        outcomes
    }

    /// How many keys a command writes.
    fn keys_written(&self, command: Command) -> usize {
        let mut view = View::new(&self.memory);
        apply(&mut view, self.index + 1, command).unwrap();
        view.changes().count()
    }

    fn all<T: Migrate>(&self, tag: Tag) -> Vec<(Vec<u8>, T)> {
        let mut all = Vec::new();
        let mut visit = |key: &[u8], value: &Value| {
            all.push((key.to_vec(), decode(value).unwrap()));
            ControlFlow::Continue(())
        };
        self.memory.scan(&keys::start_of(tag), &keys::end_of(tag), &mut visit).unwrap();
        all
    }

    fn object(&self, key: &str) -> Option<ObjectRecord> {
        let value = self.memory.get(&keys::object(BUCKET, key.as_bytes())).unwrap();
        value.map(|value| decode(&value).unwrap())
    }

    fn volume(&self, id: u64) -> VolumeRecord {
        let value = self.memory.get(&keys::volume(VolumeId(id))).unwrap();
        decode(&value.unwrap()).unwrap()
    }

    /// Checks that volumes, extents and stripes count exactly what the records name.
    fn check(&self) {
        let mut named: Vec<(Owner, BlobRef)> = Vec::new();
        for (key, record) in self.all::<ObjectRecord>(Tag::Object) {
            if let Body::Blob(blob) = record.body {
                let key = key[9..].to_vec();
                let (version, committed) = (record.version, record.committed);
                named.push((Owner::Object { bucket: BUCKET, key, version, committed }, blob));
            }
        }
        for (key, version) in self.all::<Version>(Tag::Version) {
            let (bucket, key, committed) = keys::parse_version(&key).unwrap();
            assert_eq!(version.committed(), committed);
            if let Version::Object(record) = version {
                let owner = Owner::object(bucket, key, &record);
                if let Body::Blob(blob) = record.body {
                    named.push((owner, blob));
                }
            }
        }
        for (key, record) in self.all::<PartRecord>(Tag::Part) {
            let upload = UploadId(u128::from_be_bytes(key[1..17].try_into().unwrap()));
            named.push((Owner::Part { upload, number: record.number }, record.blob));
        }
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
        let mut extents = BTreeMap::new();
        let mut stripes: BTreeMap<Vec<u8>, (u64, u32)> = BTreeMap::new();
        for (owner, blob) in named {
            match blob.place {
                Place::Extents(places) => {
                    for extent in places {
                        *live.entry(extent.volume.0).or_default() += extent.length;
                        let end = ends.entry(extent.volume.0).or_default();
                        *end = (*end).max(extent_end(GEOMETRY, &extent));
                        let record = ExtentRecord { owner: owner.clone(), length: extent.length };
                        extents.insert(keys::extent(extent.volume, extent.start), record);
                    }
                }
                Place::Packed(at) => {
                    *live.entry(at.volume.0).or_default() += u64::from(at.length);
                    let end = ends.entry(at.volume.0).or_default();
                    *end = (*end).max(packed_end(GEOMETRY, &at));
                    let stripe = stripes.entry(keys::stripe(at.volume, at.stripe)).or_default();
                    *stripe = (stripe.0 + u64::from(at.length), stripe.1 + 1);
                }
                Place::Empty | Place::Journal { .. } => {}
                Place::ThisEntry { .. } => panic!("stored as it was proposed"),
            }
        }
        assert_eq!(self.all::<ExtentRecord>(Tag::Extent), extents.into_iter().collect::<Vec<_>>());
        let found = self.all::<StripeRecord>(Tag::Stripe);
        let found: BTreeMap<_, _> =
            found.into_iter().map(|(key, stripe)| (key, (stripe.live, stripe.bodies))).collect();
        assert_eq!(found, stripes);
        for (_, volume) in self.all::<VolumeRecord>(Tag::Volume) {
            assert_eq!(volume.live, live.get(&volume.id.0).copied().unwrap_or(0));
            assert!(volume.high_water >= ends.get(&volume.id.0).copied().unwrap_or(0));
        }
    }
}

fn create_bucket(id: BucketId) -> Command {
    let (name, owner, region) = (format!("bucket-{}", id.0), "owner".into(), "us-east-1".into());
    Command::CreateBucket(
        BucketRecord { id, name, owner, created: 0, region, configuration: Default::default() }.into(),
    )
}

fn opened(id: u64) -> Command {
    Command::Volume(VolumeEvent::Opened {
        id: VolumeId(id),
        tier: Tier::Hot,
        geometry: GEOMETRY,
        shards: Vec::new(),
    })
}

fn small() -> BlobRef {
    BlobRef::plain(Place::ThisEntry { length: 10, crc32c: 3 })
}

fn extents(volume: u64, start: u64, lengths: &[u64]) -> BlobRef {
    let volume = VolumeId(volume);
    let extent =
        |(at, length): (usize, &u64)| Extent { volume, start: start + at as u64 * 4096, length: *length };
    BlobRef::plain(Place::Extents(lengths.iter().enumerate().map(extent).collect()))
}

fn packed(volume: u64, stripe: u64, offset: u32) -> PackedAt {
    PackedAt { volume: VolumeId(volume), stripe, payload: 4096, offset, length: 10, crc32c: 3 }
}

fn record(tag: u8, body: Body) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: 7_500,
        size: 10,
        etag: ETag::Md5([tag; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body,
        committed: 0,
        attributes: Attributes::default(),
    }
}

fn put(key: &str, tag: u8, blob: BlobRef, condition: WriteCondition) -> Command {
    Command::PutObject { bucket: BUCKET, key: key.into(), record: record(tag, Body::Blob(blob)), condition }
}

fn delete(key: &str) -> Command {
    Command::DeleteObject(Deletion::of(BUCKET, key.into(), 5_000))
}

fn create_upload(upload: u128, key: &str) -> Command {
    let record = UploadRecord {
        bucket: BUCKET,
        key: key.into(),
        initiated: 0,
        initiator: "owner".into(),
        storage_class: StorageClass::Standard,
        headers: ObjectHeaders::default(),
        checksum: None,
        attributes: Attributes::default(),
    };
    Command::CreateUpload { upload: UploadId(upload), record, expires: 1_000 }
}

fn put_part(upload: u128, number: u16, tag: u8, blob: BlobRef) -> Command {
    let part = PartRecord { number, modified: 0, size: 10, md5: [tag; 16], checksum: None, blob };
    Command::PutPart { bucket: BUCKET, upload: UploadId(upload), part }
}

fn complete(upload: u128, key: &str, parts: &[(u16, u8)]) -> Command {
    let named = |(number, tag): &(u16, u8)| CompletedPart { number: *number, size: 10, md5: [*tag; 16] };
    let body = Body::Parts { upload: UploadId(upload), parts: Vec::new() };
    Command::CompleteUpload {
        bucket: BUCKET,
        key: key.into(),
        upload: UploadId(upload),
        parts: parts.iter().map(named).collect(),
        record: record(99, body),
        condition: WriteCondition::default(),
        remember_until: 2_000,
    }
}

fn only_if_absent() -> WriteCondition {
    WriteCondition { if_none_match: Some(Match::Any), ..WriteCondition::default() }
}

fn only_if(tag: u8) -> WriteCondition {
    let etag = ETag::Md5([tag; 16]).to_string();
    WriteCondition { if_match: Some(Match::ETags(vec![etag])), ..WriteCondition::default() }
}

fn failed(condition: Condition) -> Outcome {
    Outcome::Refused(Refusal::PreconditionFailed(condition))
}

#[test]
fn two_racing_conditions_in_one_group_have_one_winner() {
    let mut store = Store::new();
    let outcomes = store.apply_group(vec![
        put("a", 1, small(), only_if_absent()),
        put("a", 2, small(), only_if_absent()),
        put("a", 3, small(), only_if(1)),
        put("a", 4, small(), only_if(1)),
    ]);
    assert!(matches!(outcomes[0], Outcome::Object(_)));
    assert_eq!(outcomes[1], failed(Condition::IfNoneMatch));
    assert!(matches!(outcomes[2], Outcome::Object(_)));
    assert_eq!(outcomes[3], failed(Condition::IfMatch));
    assert_eq!(store.object("a").unwrap().etag, ETag::Md5([3; 16]));
}

#[test]
fn conditions_are_those_of_s3() {
    let mut store = Store::new();
    let any = WriteCondition { if_match: Some(Match::Any), ..WriteCondition::default() };
    assert_eq!(store.apply(put("a", 1, small(), any.clone())), Outcome::Refused(Refusal::NoSuchKey));
    assert_eq!(store.apply(put("a", 1, small(), only_if(1))), Outcome::Refused(Refusal::NoSuchKey));
    store.apply(put("a", 1, small(), only_if_absent()));
    assert!(matches!(store.apply(put("a", 1, small(), any)), Outcome::Object(_)));
    assert_eq!(store.apply(put("a", 2, small(), only_if(5))), failed(Condition::IfMatch));
    let remove = |condition| {
        Command::DeleteObject(Deletion { condition, ..Deletion::of(BUCKET, b"a".to_vec(), 5_000) })
    };
    for (condition, unmet) in [
        (only_if(5), Condition::IfMatch),
        (WriteCondition { if_modified_at: Some(8), ..only_if(1) }, Condition::ModifiedAt),
        (WriteCondition { if_size: Some(11), if_modified_at: Some(7), ..only_if(1) }, Condition::Size),
        (WriteCondition { if_size: Some(11), ..only_if_absent() }, Condition::IfNoneMatch),
    ] {
        assert_eq!(store.apply(remove(condition)), failed(unmet));
    }
    let fits = WriteCondition { if_modified_at: Some(7), if_size: Some(10), ..only_if(1) };
    assert_eq!(store.apply(remove(fits)), Outcome::Deleted(Deleted::Current));
    assert_eq!(store.apply(remove(only_if(5))), Outcome::Deleted(Deleted::Nothing));
}

#[test]
fn a_small_put_writes_three_keys_at_most() {
    let mut store = Store::new();
    assert_eq!(store.keys_written(put("a", 1, small(), WriteCondition::default())), 1);
    store.apply(put("a", 1, small(), WriteCondition::default()));
    assert_eq!(store.keys_written(put("a", 2, small(), WriteCondition::default())), 1);
    let Body::Blob(from) = store.object("a").unwrap().body else { panic!() };
    let owner = Owner::Object { bucket: BUCKET, key: b"a".to_vec(), version: VersionId::NULL, committed: 0 };
    let at = packed(1, 4096, 0);
    let moves = vec![Move { owner, from, to: BlobRef::plain(Place::Packed(at)) }];
    assert_eq!(store.apply(Command::Relocate { stripe: Some(at), moves }), Outcome::Count(1));
    store.check();
    // The object, the stripe that loses a body, and its volume.
    assert_eq!(store.keys_written(put("a", 3, small(), WriteCondition::default())), 3);
    assert_eq!(store.keys_written(put_part(1, 1, 1, small())), 0, "there is no such upload");
    store.apply(create_upload(1, "b"));
    assert_eq!(store.keys_written(put_part(1, 1, 1, small())), 1);
}

/// A move with newly coded bytes also says their new form, and the record keeps form and place together.
#[test]
fn a_body_has_the_form_that_it_was_moved_with() {
    let mut store = Store::new();
    store.apply(create_upload(1, "b"));
    let framed = |start| BlobRef { form: Form::Frames, ..extents(1, start, &[100, 50]) };
    store.apply(put("a", 1, framed(4096), WriteCondition::default()));
    store.apply(upload_part(1, 1, 1, framed(40_960)));
    let owners = [
        (
            Owner::Object { bucket: BUCKET, key: b"a".to_vec(), version: VersionId::NULL, committed: 0 },
            4096,
            409_600,
        ),
        (Owner::Part { upload: UploadId(1), number: 1 }, 40_960, 819_200),
    ];
    let moves =
        owners.map(|(owner, from, to)| Move { owner, from: framed(from), to: extents(1, to, &[200]) });
    let command = Command::Relocate { stripe: None, moves: moves.into() };
    assert_eq!(store.apply(command), Outcome::Count(2));
    assert_eq!(store.object("a").unwrap().body, Body::Blob(extents(1, 409_600, &[200])));
    let parts: Vec<(_, PartRecord)> = store.all(Tag::Part);
    assert_eq!(parts[0].1.blob, extents(1, 819_200, &[200]));
    store.check();
}

#[test]
fn a_move_counts_only_while_its_owner_holds_what_it_moves() {
    let mut store = Store::new();
    store.apply(put("a", 1, small(), WriteCondition::default()));
    store.apply(put("b", 1, small(), WriteCondition::default()));
    let body = |store: &Store, key: &str| match store.object(key).unwrap().body {
        Body::Blob(blob) => blob,
        Body::Parts { .. } => panic!(),
    };
    let (a, b) = (body(&store, "a"), body(&store, "b"));
    store.apply(put("b", 2, small(), WriteCondition::default()));
    let moved = |key: &str, from: &BlobRef, offset| Move {
        owner: Owner::Object { bucket: BUCKET, key: key.into(), version: VersionId::NULL, committed: 0 },
        from: from.clone(),
        to: BlobRef::plain(Place::Packed(packed(1, 4096, offset))),
    };
    let moves = vec![moved("a", &a, 0), moved("b", &b, 10), moved("gone", &b, 20)];
    let command = Command::Relocate { stripe: Some(packed(1, 4096, 0)), moves };
    assert_eq!(store.apply(command.clone()), Outcome::Count(1));
    assert_eq!(store.apply(command), Outcome::Count(0), "a second time it finds nothing to move");
    assert_eq!(store.volume(1).live, 10);
    assert_eq!(
        body(&store, "b"),
        BlobRef::plain(Place::Journal { index: store.index - 2, length: 10, crc32c: 3 })
    );
    store.check();
}

#[test]
fn a_record_that_names_a_volume_on_its_way_out_is_refused() {
    let mut store = Store::new();
    let gone = Outcome::Refused(Refusal::VolumeGone);
    assert_eq!(store.apply(put("a", 1, extents(9, 4096, &[100]), WriteCondition::default())), gone);
    assert!(matches!(
        store.apply(put("a", 1, extents(1, 4096, &[100]), WriteCondition::default())),
        Outcome::Object(_)
    ));
    assert_eq!(
        store.apply(put("b", 1, extents(1, 4096, &[100]), WriteCondition::default())),
        gone,
        "an extent has one owner"
    );
    let event = |event| Command::Volume(event);
    let refused = Outcome::Refused(Refusal::VolumeState);
    let volume = VolumeId(1);
    assert_eq!(store.apply(event(VolumeEvent::Dropped { volume })), refused, "it is live");
    assert_eq!(store.apply(event(VolumeEvent::Sealed { volume, length: 4096 })), refused, "it is longer");
    assert_eq!(store.apply(event(VolumeEvent::Sealed { volume, length: 1 << 20 })), Outcome::Done);
    store.apply(delete("a"));
    assert_eq!(store.apply(event(VolumeEvent::Forgotten { volume })), refused, "it isn't dropped");
    assert_eq!(store.apply(event(VolumeEvent::Dropped { volume })), Outcome::Done);
    assert_eq!(store.apply(put("a", 1, extents(1, 8192, &[100]), WriteCondition::default())), gone);
    assert_eq!(store.apply(event(VolumeEvent::Forgotten { volume })), Outcome::Done);
    assert_eq!(store.apply(opened(2)), refused, "an id is used once");
    store.check();
}

#[test]
fn a_shard_is_rebuilt_once_and_on_a_drive_of_its_own() {
    let mut store = Store::default();
    let shard = |drive| Shard { drive: DriveId(drive), generation: 3, lost: false };
    let (volume, length) = (VolumeId(1), 4096);
    let event = |event| Command::Volume(event);
    let rebuilt = |shard, drive, generation| {
        event(VolumeEvent::ShardRebuilt { volume, shard, drive: DriveId(drive), generation })
    };
    let refused = Outcome::Refused(Refusal::VolumeState);
    let geometry = Geometry { k: 2, m: 1 };
    let shards = vec![shard(1), shard(2), shard(3)];
    store.apply(event(VolumeEvent::Opened { id: volume, tier: Tier::Hot, geometry, shards }));
    store.apply(event(VolumeEvent::ShardLost { volume, shard: 1 }));
    assert_eq!(store.apply(rebuilt(1, 9, 4)), refused, "it is open");
    store.apply(event(VolumeEvent::Sealed { volume, length }));
    assert_eq!(store.apply(rebuilt(1, 3, 4)), refused, "another shard lies there");
    assert_eq!(store.apply(rebuilt(1, 9, 5)), refused, "one generation after the other");
    assert_eq!(store.apply(rebuilt(3, 9, 4)), refused, "there are three");
    assert_eq!(store.apply(rebuilt(1, 9, 4)), Outcome::Done);
    let now = Shard { drive: DriveId(9), generation: 4, lost: false };
    assert_eq!(store.volume(1).shards, [shard(1), now, shard(3)]);
    assert_eq!(store.apply(rebuilt(1, 2, 4)), refused, "somebody was faster");
    assert_eq!(store.apply(rebuilt(0, 1, 4)), Outcome::Done, "in its own place");
    store.apply(event(VolumeEvent::Dropped { volume }));
    assert_eq!(store.apply(rebuilt(1, 9, 5)), refused, "it is on its way out");
}

fn upload_part(upload: u128, number: u16, tag: u8, blob: BlobRef) -> Command {
    let Command::PutPart { bucket, upload, part } = put_part(upload, number, tag, blob) else { panic!() };
    Command::UploadPart { bucket, upload, part }
}

/// Completes an upload of these parts, as the proposer read it when its last part was that of entry `last_part`.
fn complete_as_of(upload: u128, last_part: Option<Index>, numbers: &[u16], has_spare: bool) -> Command {
    let part = |number: &u16| PartSummary { number: *number, size: 10, checksum: None };
    let body = Body::Parts { upload: UploadId(upload), parts: numbers.iter().map(part).collect() };
    Command::CompleteMultipartUpload {
        bucket: BUCKET,
        key: "a".into(),
        upload: UploadId(upload),
        last_part: last_part.map(LastPart),
        has_spare,
        record: record(99, body),
        condition: WriteCondition::default(),
        remember_until: 2_000,
    }
}

#[test]
fn an_upload_is_completed_as_its_proposer_read_it_or_not_at_all() {
    let mut store = Store::new();
    let changed = Outcome::Refused(Refusal::UploadChanged);
    store.apply(create_upload(1, "a"));
    for number in 1..=3 {
        store.apply(upload_part(1, number, number as u8, extents(1, u64::from(number) << 20, &[10])));
    }
    let read = store.index;
    assert_eq!(store.apply(complete_as_of(1, None, &[1, 2], true)), changed);
    assert_eq!(store.apply(complete_as_of(1, Some(read - 1), &[1, 2], true)), changed);
    store.apply(upload_part(1, 2, 22, extents(1, 9 << 20, &[10])));
    assert_eq!(store.apply(complete_as_of(1, Some(read), &[1, 2], true)), changed, "a part came again");
    let read = store.index - 1;
    let from = extents(1, 9 << 20, &[10]);
    let owner = Owner::Part { upload: UploadId(1), number: 2 };
    let moved = Move { owner, from, to: extents(2, 1 << 20, &[10]) };
    assert_eq!(store.apply(Command::Relocate { stripe: None, moves: vec![moved] }), Outcome::Count(1));
    let missing = Outcome::Refused(Refusal::NoSuchUpload);
    let mut other = complete_as_of(1, Some(read), &[1, 2], true);
    if let Command::CompleteMultipartUpload { record, .. } = &mut other {
        record.body = Body::Parts { upload: UploadId(2), parts: Vec::new() };
    }
    assert_eq!(store.apply(other), missing, "the object must be the upload's");
    let done = store.apply(complete_as_of(1, Some(read), &[1, 2], true));
    assert!(matches!(done, Outcome::Object(_)), "a part that moved is the same: {done:?}");
    assert!(store.all::<LastPart>(Tag::LastPart).is_empty());
    assert_eq!(store.apply(Command::Sweep { now: 0 }), Outcome::Count(2), "the spare part, and the drop");
    store.check();
    // An upload that is aborted, and one that expires, leave nothing of this either.
    for upload in [2, 3] {
        store.apply(create_upload(upload, "b"));
        store.apply(upload_part(upload, 1, 1, small()));
    }
    store.apply(Command::AbortUpload { bucket: BUCKET, key: "b".into(), upload: UploadId(2) });
    store.apply(Command::Sweep { now: 5_000 });
    assert!(store.all::<LastPart>(Tag::LastPart).is_empty());
}

/// A state that counts how many keys are read.
struct Counting<'a> {
    base: &'a Memory,
    looks: std::cell::Cell<usize>,
}

impl Base for Counting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, crate::tree::TreeError> {
        self.looks.set(self.looks.get() + 1);
        self.base.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), crate::tree::TreeError> {
        self.base.scan(from, to, &mut |key, value| {
            self.looks.set(self.looks.get() + 1);
            visit(key, value)
        })
    }
}

#[test]
fn completing_ten_thousand_parts_looks_at_a_few_keys() {
    let mut store = Store::new();
    store.apply(create_upload(1, "a"));
    for number in 1..=10_000 {
        store.apply(upload_part(1, number, 1, BlobRef::plain(Place::Empty)));
    }
    let numbers: Vec<u16> = (1..=10_000).collect();
    let counting = Counting { base: &store.memory, looks: 0.into() };
    let mut view = View::new(&counting);
    let command = complete_as_of(1, Some(store.index), &numbers, false);
    assert!(matches!(apply(&mut view, store.index + 1, command), Ok(Outcome::Object(_))));
    assert!(counting.looks.get() < 20, "{} keys were looked at", counting.looks.get());
}

#[test]
fn a_completed_upload_keeps_its_parts_and_sheds_the_others() {
    let mut store = Store::new();
    store.apply(create_upload(1, "a"));
    for number in 1..=4 {
        store.apply(put_part(1, number, number as u8, extents(1, u64::from(number) << 20, &[100, 50])));
    }
    store.apply(put_part(1, 2, 22, extents(1, 9 << 20, &[70])));
    store.check();
    let changed = Outcome::Refused(Refusal::UploadChanged);
    assert_eq!(store.apply(complete(1, "a", &[(1, 1), (2, 2)])), changed);
    assert_eq!(store.apply(complete(1, "a", &[(1, 1), (7, 7)])), changed);
    assert_eq!(store.apply(complete(1, "b", &[(1, 1)])), Outcome::Refused(Refusal::NoSuchUpload));
    assert!(matches!(store.apply(complete(1, "a", &[(1, 1), (2, 22)])), Outcome::Object(_)));
    assert_eq!(store.apply(put_part(1, 5, 5, small())), Outcome::Refused(Refusal::NoSuchUpload));
    assert_eq!(store.apply(Command::Sweep { now: 0 }), Outcome::Count(3));
    let numbers = |store: &Store| -> Vec<u16> {
        store.all::<PartRecord>(Tag::Part).into_iter().map(|(_, part)| part.number).collect()
    };
    assert_eq!(numbers(&store), [1, 2]);
    assert_eq!(store.apply(Command::Sweep { now: 5_000 }), Outcome::Count(1), "the completion");
    assert_eq!(store.apply(Command::Sweep { now: 5_000 }), Outcome::Count(0));
    store.apply(put("a", 5, small(), WriteCondition::default()));
    assert_eq!(numbers(&store), [1, 2]);
    store.apply(Command::Sweep { now: 0 });
    assert!(numbers(&store).is_empty());
    assert_eq!(store.volume(1).live, 0);
    store.check();
}

#[test]
fn what_is_abandoned_is_swept_in_bounded_steps() {
    let mut store = Store::new();
    store.apply(create_upload(1, "a"));
    for number in 1..=3_000 {
        store.apply(put_part(1, number, 1, extents(1, u64::from(number) << 14, &[10])));
    }
    assert_eq!(store.apply(Command::Sweep { now: 1_000 }), Outcome::Count(0), "it is not due yet");
    let mut steps = 0;
    while store.apply(Command::Sweep { now: 1_001 }) != Outcome::Count(0) {
        steps += 1;
    }
    assert!(steps > 2);
    assert_eq!(store.volume(1).live, 0);
    for tag in [Tag::Part, Tag::Due, Tag::Upload, Tag::UploadByKey, Tag::Dropped] {
        let mut found = 0;
        let mut count = |_: &[u8], _: &Value| {
            found += 1;
            ControlFlow::Continue(())
        };
        store.memory.scan(&keys::start_of(tag), &keys::end_of(tag), &mut count).unwrap();
        assert_eq!(found, 0, "{tag:?}");
    }
}

#[test]
fn a_bucket_with_objects_stays_and_one_with_uploads_goes() {
    let mut store = Store::new();
    store.apply(put("a", 1, small(), WriteCondition::default()));
    store.apply(create_upload(1, "b"));
    store.apply(put_part(1, 1, 1, extents(1, 4096, &[10])));
    let bucket = BUCKET;
    assert_eq!(store.apply(Command::DeleteBucket { bucket }), Outcome::Refused(Refusal::BucketNotEmpty));
    // The deletion of the last object counts for a later command in the same group.
    let outcomes = store.apply_group(vec![delete("a"), Command::DeleteBucket { bucket }]);
    assert_eq!(outcomes[1], Outcome::Done);
    let gone = Outcome::Refused(Refusal::NoSuchBucket);
    assert_eq!(store.apply(put("a", 1, small(), WriteCondition::default())), gone);
    assert_eq!(store.apply(put_part(1, 2, 1, small())), gone);
    assert_eq!(store.apply(Command::DeleteBucket { bucket }), gone);
    while store.apply(Command::Sweep { now: 0 }) != Outcome::Count(0) {}
    assert_eq!(store.volume(1).live, 0);
    store.check();
    // Nothing but the highest ids and the volumes is left.
    let left = store.memory.0.keys().filter(|key| !keys::is(Tag::Volume, key)).count();
    assert_eq!(left, 1);
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8, Option<u64>, Cond),
    Delete(u8, Cond),
    CreateUpload(u8, u8),
    PutPart(u8, u16, Option<u64>),
    Complete(u8, u8, Vec<u16>),
    Abort(u8, u8),
    Sweep(u64),
    Relocate(u8, u64),
}

#[derive(Clone, Debug)]
enum Cond {
    None,
    Absent,
    Is(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let cond =
        || prop_oneof![3 => Just(Cond::None), 1 => Just(Cond::Absent), 1 => (0u8..4).prop_map(Cond::Is)];
    let volume = || proptest::option::of(1u64..4);
    prop_oneof![
        4 => (0u8..4, 0u8..4, volume(), cond()).prop_map(|(key, tag, at, cond)| Op::Put(key, tag, at, cond)),
        2 => (0u8..4, cond()).prop_map(|(key, cond)| Op::Delete(key, cond)),
        2 => (0u8..3, 0u8..4).prop_map(|(upload, key)| Op::CreateUpload(upload, key)),
        4 => (0u8..3, 1u16..5, volume()).prop_map(|(upload, number, at)| Op::PutPart(upload, number, at)),
        2 => (0u8..3, 0u8..4, proptest::collection::btree_set(1u16..5, 1..4))
            .prop_map(|(upload, key, parts)| Op::Complete(upload, key, parts.into_iter().collect())),
        1 => (0u8..3, 0u8..4).prop_map(|(upload, key)| Op::Abort(upload, key)),
        1 => prop_oneof![Just(0u64), Just(1_500), Just(3_000)].prop_map(Op::Sweep),
        2 => (0u8..4, 1u64..3).prop_map(|(key, volume)| Op::Relocate(key, volume)),
    ]
}

/// The object under each key, by its tag.
#[derive(Default)]
struct Model(BTreeMap<u8, u8>);

impl Model {
    fn refuses(&self, key: u8, cond: &Cond) -> Option<Refusal> {
        match (cond, self.0.get(&key)) {
            (Cond::Absent, Some(_)) => Some(Refusal::PreconditionFailed(Condition::IfNoneMatch)),
            (Cond::Is(_), None) => Some(Refusal::NoSuchKey),
            (Cond::Is(tag), Some(current)) if tag != current => {
                Some(Refusal::PreconditionFailed(Condition::IfMatch))
            }
            _ => None,
        }
    }
}

fn condition(cond: &Cond) -> WriteCondition {
    match cond {
        Cond::None => WriteCondition::default(),
        Cond::Absent => only_if_absent(),
        Cond::Is(tag) => only_if(*tag),
    }
}

/// A place that nobody had before; volume 3 doesn't exist.
fn place(at: Option<u64>, fresh: &mut u64) -> BlobRef {
    *fresh += 1;
    at.map_or_else(small, |volume| extents(volume, *fresh << 20, &[10, 20]))
}

fn command(op: &Op, store: &Store, fresh: &mut u64) -> Command {
    match op {
        Op::Put(key, tag, at, cond) => put(&key.to_string(), *tag, place(*at, fresh), condition(cond)),
        Op::Delete(key, cond) => Command::DeleteObject(Deletion {
            condition: condition(cond),
            ..Deletion::of(BUCKET, key.to_string().into_bytes(), 0)
        }),
        Op::CreateUpload(upload, key) => {
            *fresh += 1;
            // An id is random, and never used twice.
            let _ = upload;
            create_upload(u128::from(*fresh), &key.to_string())
        }
        Op::PutPart(upload, number, at) => {
            put_part(nth_upload(store, *upload), *number, 1, place(*at, fresh))
        }
        Op::Complete(upload, key, parts) => {
            let parts: Vec<_> = parts.iter().map(|number| (*number, 1)).collect();
            complete(nth_upload(store, *upload), &key.to_string(), &parts)
        }
        Op::Abort(upload, key) => Command::AbortUpload {
            bucket: BUCKET,
            key: key.to_string().into_bytes(),
            upload: UploadId(nth_upload(store, *upload)),
        },
        Op::Sweep(now) => Command::Sweep { now: *now },
        Op::Relocate(key, volume) => {
            *fresh += 1;
            let at = packed(*volume, *fresh << 20, 0);
            let from = match store.object(&key.to_string()).map(|record| record.body) {
                Some(Body::Blob(blob)) => blob,
                _ => small(),
            };
            let owner = Owner::Object {
                bucket: BUCKET,
                key: key.to_string().into_bytes(),
                version: VersionId::NULL,
                committed: 0,
            };
            let moves = vec![Move { owner, from, to: BlobRef::plain(Place::Packed(at)) }];
            Command::Relocate { stripe: Some(at), moves }
        }
    }
}

fn nth_upload(store: &Store, nth: u8) -> u128 {
    let uploads = store.all::<StoredUpload>(Tag::Upload);
    let id = |(key, _): &(Vec<u8>, StoredUpload)| u128::from_be_bytes(key[1..17].try_into().unwrap());
    uploads.get(usize::from(nth)).map_or(u128::MAX, id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_state_adds_up_and_every_answer_is_the_model_s(ops in proptest::collection::vec(op(), 1..60)) {
        let mut store = Store::new();
        let mut model = Model::default();
        let mut fresh = 100;
        for op in &ops {
            let command = command(op, &store, &mut fresh);
            let outcome = store.apply(command);
            match op {
                Op::Put(key, tag, at, cond) => {
                    let refusal = model.refuses(*key, cond).or((*at == Some(3)).then_some(Refusal::VolumeGone));
                    match refusal {
                        Some(refusal) => prop_assert_eq!(outcome, Outcome::Refused(refusal)),
                        None => drop(model.0.insert(*key, *tag)),
                    }
                }
                Op::Delete(key, cond) => match model.refuses(*key, cond) {
                    Some(unmet @ Refusal::PreconditionFailed(_)) => prop_assert_eq!(outcome, Outcome::Refused(unmet)),
                    _ => {
                        let existed = model.0.remove(key).is_some();
                        let deleted = if existed { Deleted::Current } else { Deleted::Nothing };
                        prop_assert_eq!(outcome, Outcome::Deleted(deleted));
                    }
                },
                Op::Complete(_, key, _) if matches!(outcome, Outcome::Object(_)) => {
                    model.0.insert(*key, 99);
                }
                _ => {}
            }
            store.check();
            let found = store.all::<ObjectRecord>(Tag::Object);
            let found: BTreeMap<u8, u8> = found.into_iter().map(|(key, record)| {
                let ETag::Md5(md5) = record.etag else { panic!() };
                (key[9] - b'0', md5[0])
            }).collect();
            prop_assert_eq!(&found, &model.0);
        }
    }

    #[test]
    fn a_group_does_what_its_commands_do_one_by_one(ops in proptest::collection::vec(op(), 1..40), size in 1usize..9) {
        let mut single = Store::new();
        let mut fresh = 100;
        let mut commands = Vec::new();
        for op in &ops {
            let command = command(op, &single, &mut fresh);
            single.apply(command.clone());
            commands.push(command);
        }
        let mut grouped = Store::new();
        for group in commands.chunks(size) {
            grouped.apply_group(group.to_vec());
        }
        prop_assert_eq!(single.memory, grouped.memory);
    }
}
