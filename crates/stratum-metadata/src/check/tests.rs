//! Every key that is removed, and every record that is damaged, is found by a check.

use super::*;
use crate::command::{BucketChange, Command, CompletedPart, Deletion, Move, WriteCondition};
use crate::record::*;
use crate::state::{View, apply};
use crate::tree::memory::Memory;
use stratum_storage::blob::{Extent, Geometry, PackedAt, Tier};
use stratum_storage::volume::VolumeEvent;

const BUCKET: BucketId = BucketId(1);
const GEOMETRY: Geometry = Geometry { k: 4, m: 2 };
const OPEN: UploadId = UploadId(7 << 80);
const DONE: UploadId = UploadId(8 << 80);

/// A state with a key and a record of every kind.
struct State {
    memory: Memory,
    fingerprint: u128,
    index: Index,
    level: Level,
}

/// A journal with bodies of which one may be damaged.
struct Journal {
    bad: Option<Index>,
}

impl Bodies for Journal {
    fn check(&self, _: &Owner, index: Index, _: u32, _: u32) -> Result<(), String> {
        if self.bad == Some(index) { Err("damaged in all its copies".into()) } else { Ok(()) }
    }
}

impl State {
    fn new() -> State {
        let mut state = State { memory: Memory::default(), fingerprint: 0, index: 0, level: Level::FIRST };
        let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
        state.apply(Command::CreateBucket(
            BucketRecord { id: BUCKET, name, owner, created: 0, region, configuration: Default::default() }
                .into(),
        ));
        let event =
            VolumeEvent::Opened { id: VolumeId(1), tier: Tier::Hot, geometry: GEOMETRY, shards: vec![] };
        state.apply(Command::Volume(event));
        state.put("small", journaled());
        state.put("large", extents(4096, 3 << 20));
        ["one", "two"].into_iter().for_each(|key| state.put(key, journaled()));
        let moved = |key: &str, index, offset| Move {
            owner: object_owner(key),
            from: BlobRef::plain(Place::Journal { index, length: 10, crc32c: 5 }),
            to: packed(offset),
        };
        let moves = vec![moved("one", 5, 0), moved("two", 6, 10)];
        state.apply(Command::Relocate { stripe: None, moves });
        for upload in [OPEN, DONE] {
            state.upload(upload);
            let blob = extents((upload.0 >> 80) as u64 * (64 << 20), 5 << 20);
            state.apply(Command::PutPart { bucket: BUCKET, upload, part: part(blob) });
        }
        state.apply(Command::CompleteUpload {
            bucket: BUCKET,
            key: b"multi".to_vec(),
            upload: DONE,
            parts: vec![CompletedPart { number: 1, size: 5 << 20, md5: [3; 16] }],
            record: object(
                5 << 20,
                Body::Parts {
                    upload: DONE,
                    parts: vec![PartSummary { number: 1, size: 5 << 20, checksum: None }],
                },
            ),
            condition: WriteCondition::default(),
            remember_until: 99,
        });
        state
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let mut view = View::new(&self.memory);
        let outcome = apply(&mut view, self.index, command).unwrap();
        assert!(!matches!(outcome, crate::command::Outcome::Refused(_)), "{outcome:?}");
        let changes: Vec<_> =
            view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
        self.level = view.level().unwrap();
        drop(view);
        self.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
        self.fingerprint = self.sum();
    }

    /// What has been applied to this state, as a machine would record it.
    fn applied(&self) -> Applied {
        Applied { index: self.index, hash: 0, fingerprint: self.fingerprint, level: self.level }
    }

    fn sum(&self) -> u128 {
        let shares = self.memory.0.iter().map(|(key, value)| fingerprint(key, value));
        shares.fold(0, u128::wrapping_add)
    }

    fn put(&mut self, key: &str, blob: BlobRef) {
        let (record, condition) = (object(blob.len(), Body::Blob(blob)), WriteCondition::default());
        self.apply(Command::PutObject { bucket: BUCKET, key: key.into(), record, condition });
    }

    fn versioning(&mut self, versioning: Versioning) {
        let change = BucketChange::Versioning(versioning);
        self.apply(Command::ConfigureBucket { bucket: BUCKET, change });
    }

    fn upload(&mut self, upload: UploadId) {
        let record = UploadRecord {
            bucket: BUCKET,
            key: b"multi".to_vec(),
            initiated: 0,
            initiator: "owner".into(),
            storage_class: StorageClass::Standard,
            headers: ObjectHeaders::default(),
            checksum: None,
            attributes: Attributes::default(),
        };
        self.apply(Command::CreateUpload { upload, record, expires: 50 });
    }

    fn findings(&self, journal: &Journal) -> Vec<Finding> {
        let mut findings = Vec::new();
        check(&self.memory, &self.applied(), journal, &mut |finding| findings.push(finding)).unwrap();
        findings
    }

    /// The findings, without that of the fingerprint.
    fn particulars(&self) -> Vec<Finding> {
        let mut findings = self.findings(&Journal { bad: None });
        findings.retain(|finding| *finding != Finding::Fingerprint);
        findings
    }
}

fn object(size: u64, body: Body) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: 0,
        size,
        etag: ETag::Md5([1; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body,
        committed: 0,
        attributes: Attributes::default(),
    }
}

fn part(blob: BlobRef) -> PartRecord {
    PartRecord { number: 1, modified: 0, size: blob.len(), md5: [3; 16], checksum: None, blob }
}

fn object_owner(key: &str) -> Owner {
    Owner::Object { bucket: BUCKET, key: key.into(), version: VersionId::NULL, committed: 0 }
}

fn journaled() -> BlobRef {
    BlobRef::plain(Place::ThisEntry { length: 10, crc32c: 5 })
}

fn extents(start: u64, length: u64) -> BlobRef {
    BlobRef::plain(Place::Extents(vec![Extent { volume: VolumeId(1), start, length }]))
}

fn packed(offset: u32) -> BlobRef {
    let (volume, stripe) = (VolumeId(1), 32 << 20);
    BlobRef::plain(Place::Packed(PackedAt { volume, stripe, payload: 100, offset, length: 10, crc32c: 5 }))
}

#[test]
fn a_sound_state_gives_nothing_to_find() {
    let state = State::new();
    assert_eq!(state.findings(&Journal { bad: None }), []);
    let mut nothing = |_| ();
    let checked = check(&state.memory, &state.applied(), &Journal { bad: None }, &mut nothing).unwrap();
    assert_eq!((checked.objects, checked.parts, checked.journaled), (5, 2, 1));
    assert_eq!(checked.keys, state.memory.0.len() as u64);
}

/// Noncurrent versions are checked as objects are, and must own what they name.
#[test]
fn versions_are_checked_as_objects_are() {
    let mut state = State::new();
    state.apply(Command::SetLevel(Level::SECOND));
    let moved = |state: &mut State, key: &str, as_of: u64| {
        let current = keys::object(BUCKET, key.as_bytes());
        let record: ObjectRecord = decode(&state.memory.0.remove(&current).unwrap()).unwrap();
        let version = encode(Level::SECOND, &Version::Object(Box::new(record))).unwrap();
        let at = keys::version(BUCKET, key.as_bytes(), as_of);
        state.memory.0.insert(at.clone(), version.as_slice().into());
        state.fingerprint = state.sum();
        at
    };
    state.versioning(Versioning::Enabled);
    for key in ["small", "large", "one", "multi"] {
        state.put(key, journaled());
    }
    assert_eq!(state.findings(&Journal { bad: None }), []);
    let mut without = State { memory: Memory(state.memory.0.clone()), ..state };
    without.memory.0.remove(&keys::version(BUCKET, b"large", 0));
    assert!(!without.particulars().is_empty(), "its extent has no owner");
    let astray = moved(&mut without, "two", 7);
    let hex: String = astray.iter().map(|byte| format!("{byte:02x}")).collect();
    let is_told = |finding: &Finding| matches!(finding, Finding::Unreadable { key, .. } if *key == hex);
    assert!(without.particulars().iter().any(is_told), "it lies where another entry committed it");
}

/// The current object must be the newest version, or the newest is a delete marker; and the null version among the
/// others can be found.
#[test]
fn versions_lie_in_their_order() {
    let mut state = State::new();
    state.apply(Command::SetLevel(Level::SECOND));
    state.versioning(Versioning::Suspended);
    state.put("a", journaled());
    state.versioning(Versioning::Enabled);
    state.put("a", journaled());
    state.put("b", journaled());
    state.apply(Command::DeleteObject(Deletion::of(BUCKET, b"b".to_vec(), 7)));
    assert_eq!(state.findings(&Journal { bad: None }), []);
    let problems = |change: &dyn Fn(&mut State)| {
        let mut changed = State { memory: Memory(state.memory.0.clone()), ..state };
        change(&mut changed);
        let of_versions = changed.particulars().into_iter().filter_map(|finding| match finding {
            Finding::Version { problem, .. } => Some(problem),
            _ => None,
        });
        of_versions.collect::<Vec<_>>()
    };
    let current = keys::object(BUCKET, b"a");
    let null = keys::null_version(BUCKET, b"a");
    let isn_t_current = "is the newest version of its key, and isn't current";
    assert_eq!(problems(&|state| drop(state.memory.0.remove(&current))), [isn_t_current]);
    let lost = "is its key's null version, and can't be found as that";
    assert_eq!(problems(&|state| drop(state.memory.0.remove(&null))), [lost]);
    let astray = "is said to have a null version, and has none there";
    let said = state.memory.0[&null].clone();
    let elsewhere = keys::null_version(BUCKET, b"b");
    assert_eq!(problems(&|state| drop(state.memory.0.insert(elsewhere.clone(), said.clone()))), [astray]);
    let older = encode(Level::SECOND, &object(10, Body::Blob(BlobRef::plain(Place::Empty)))).unwrap();
    let not_newer = "isn't current, and isn't older than what is";
    let beside_a_marker = keys::object(BUCKET, b"b");
    let put =
        |state: &mut State| drop(state.memory.0.insert(beside_a_marker.clone(), older.as_slice().into()));
    assert_eq!(problems(&put), [not_newer]);
}

/// The level of a state decides how it is read and whether an older binary can read it, so the state's level, its own
/// key and its records must agree.
#[test]
fn a_level_that_is_not_the_state_s_is_found() {
    let mut raised = State::new();
    raised.apply(Command::SetLevel(Level::SECOND));
    assert_eq!(raised.findings(&Journal { bad: None }), []);
    raised.memory.0.remove(&keys::level());
    raised.fingerprint = raised.sum();
    let told = Finding::Level { kept: Level::FIRST, level: Level::SECOND };
    assert_eq!(raised.findings(&Journal { bad: None }), [told]);

    let mut old = State::new();
    let key = keys::object(BUCKET, b"small");
    let record: ObjectRecord = decode(&old.memory.0[&key]).unwrap();
    let newer = encode(Level::SECOND, &record).unwrap();
    old.memory.0.insert(key, newer.as_slice().into());
    old.fingerprint = old.sum();
    let found = old.findings(&Journal { bad: None });
    let is_told = |found: &[Finding]| matches!(found, [Finding::Unreadable { problem, .. }] if problem.contains("of level 2"));
    assert!(is_told(&found), "{found:?}");
}

/// A key of a kind that this binary doesn't know is as much a finding as one that makes no sense.
#[test]
fn a_key_of_an_unknown_kind_is_found() {
    for tag in [0x00, 0x43, 0x60, 0x6f] {
        let mut state = State::new();
        state.memory.0.insert(vec![tag, 1], [2].as_slice().into());
        state.fingerprint = state.sum();
        let found = state.findings(&Journal { bad: None });
        assert!(matches!(found.as_slice(), [Finding::Unreadable { .. }]), "{tag:02x}: {found:?}");
    }
}

#[test]
fn every_key_that_is_removed_is_found() {
    let whole = State::new();
    for key in whole.memory.0.keys() {
        let mut state = State::new();
        state.memory.apply(std::iter::once((key.as_slice(), None)));
        let fingerprint = state.findings(&Journal { bad: None }).contains(&Finding::Fingerprint);
        assert!(fingerprint, "{key:?}");
        // An object in the journal, and one made of remembered parts, leave no trace under other keys.
        let traceless =
            key.ends_with(b"small") || key.ends_with(b"multi") && keys::is(keys::Tag::Object, key);
        if !traceless || key.ends_with(b"multi") {
            assert_ne!(state.particulars(), [], "{key:?}");
        }
    }
}

#[test]
fn every_record_that_is_damaged_is_found() {
    let whole = State::new();
    for (key, value) in whole.memory.0.iter().filter(|(_, value)| value.len() > 1) {
        let mut state = State::new();
        let cut = Value::from(&value[..1]);
        state.memory.apply(std::iter::once((key.as_slice(), Some(&cut))));
        let unreadable = |finding: &Finding| matches!(finding, Finding::Unreadable { .. });
        assert!(state.particulars().iter().any(unreadable), "{key:?}");
    }
}

#[test]
fn counts_that_are_wrong_are_found() {
    let mut state = State::new();
    let key = keys::volume(VolumeId(1));
    let mut record: stratum_storage::volume::VolumeRecord = decode(&state.memory.0[&key]).unwrap();
    let kept = record.live + 1;
    (record.live, record.high_water) = (kept, 8192);
    let value = Value::from(encode(Level::FIRST, &record).unwrap().as_slice());
    state.memory.apply(std::iter::once((key.as_slice(), Some(&value))));
    let found = state.particulars();
    assert!(
        found.contains(&Finding::VolumeLive { volume: VolumeId(1), kept, counted: kept - 1 }),
        "{found:?}"
    );
    assert_eq!(found.iter().filter(|finding| matches!(finding, Finding::HighWater { .. })).count(), 4);
    assert!(found.iter().all(|finding| finding.severity() == Severity::Wrong));
}

#[test]
fn a_lost_body_names_its_object() {
    let found = State::new().findings(&Journal { bad: Some(3) });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity(), Severity::Loss);
    assert!(found[0].to_string().contains("\"small\" in bucket"), "{}", found[0]);
}
