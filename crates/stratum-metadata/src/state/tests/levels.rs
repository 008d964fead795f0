//! What a state refuses, or does differently, from level 2 on; and how it gets there.

use super::*;
use crate::command::{NewBucket, Proposed};
use std::collections::BTreeSet;
use stratum_storage::volume::WriterId;

const ONE: WriterId = WriterId { node: 0, run: 1 };
const OTHER: WriterId = WriterId { node: 0, run: 2 };
const GONE: Outcome = Outcome::Refused(Refusal::VolumeGone);

impl Store {
    fn propose(&mut self, by: WriterId, command: Command) -> Outcome {
        self.index += 1;
        let mut view = View::new(&self.memory);
        let outcome = apply(&mut view, self.index, Proposed { by: Some(by), notice: None, command }).unwrap();
        let changes: Vec<_> =
            view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
        self.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
        outcome
    }

    /// A store of level 2 with one bucket.
    fn raised() -> Store {
        let mut store = Store::default();
        assert_eq!(store.apply(Command::SetLevel(Level::SECOND)), Outcome::Done);
        store.apply(create_bucket(BUCKET));
        store
    }

    fn level_of(&self, key: &[u8]) -> u8 {
        self.memory.get(key).unwrap().unwrap()[0]
    }
}

fn put_at(key: &str, start: u64) -> Command {
    put(key, 1, extents(1, start, &[100]), WriteCondition::default())
}

#[test]
fn a_level_is_raised_and_never_lowered() {
    let mut store = Store::new();
    store.apply(put("old", 1, small(), WriteCondition::default()));
    let (old, new) = (keys::object(BUCKET, b"old"), keys::object(BUCKET, b"new"));
    assert_eq!(store.apply(Command::SetLevel(Level::SECOND)), Outcome::Done);
    store.apply(put("new", 1, small(), WriteCondition::default()));
    assert_eq!((store.level_of(&old), store.level_of(&new)), (1, 2));
    for level in [Level::FIRST, Level::SECOND] {
        let refused = Outcome::Refused(Refusal::LevelIs(Level::SECOND));
        assert_eq!(store.apply(Command::SetLevel(level)), refused);
    }
    // Records from before are read, and written in the new form when they change.
    let condition = WriteCondition { if_match: Some(Match::Any), ..WriteCondition::default() };
    assert!(matches!(store.apply(put("old", 2, small(), condition)), Outcome::Object(_)));
    assert_eq!(store.level_of(&old), 2);
}

#[test]
fn within_a_group_the_level_holds_from_its_command_on() {
    let mut store = Store::new();
    let put = |key| put(key, 1, small(), WriteCondition::default());
    store.apply_group(vec![put("before"), Command::SetLevel(Level::SECOND), put("after")]);
    let level = |key: &str| store.level_of(&keys::object(BUCKET, key.as_bytes()));
    assert_eq!((level("before"), level("after")), (1, 2));
}

#[test]
fn new_bytes_are_taken_only_in_an_open_volume_of_their_writer() {
    let mut store = Store::raised();
    store.propose(ONE, opened(1));
    assert!(matches!(store.propose(ONE, put_at("mine", 4096)), Outcome::Object(_)));
    assert_eq!(store.propose(OTHER, put_at("others", 8192)), GONE);
    assert_eq!(store.apply(put_at("nobodys", 8192)), GONE);
    let sealed = VolumeEvent::Sealed { volume: VolumeId(1), length: 8192 };
    assert_eq!(store.propose(ONE, Command::Volume(sealed)), Outcome::Done);
    assert_eq!(store.propose(ONE, put_at("late", 1 << 20)), GONE);
}

#[test]
fn a_volume_of_level_1_names_no_writer_and_is_filled_by_whoever_did() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    assert!(matches!(store.propose(ONE, put_at("a", 4096)), Outcome::Object(_)));
}

#[test]
fn a_journal_of_level_1_is_applied_as_it_was() {
    let mut store = Store::new();
    let sealed = VolumeEvent::Sealed { volume: VolumeId(1), length: 8192 };
    store.apply(Command::Volume(sealed));
    assert!(matches!(store.apply(put_at("late", 1 << 20)), Outcome::Object(_)));
}

#[test]
fn no_two_buckets_get_one_id() {
    for (mut store, taken) in [(Store::default(), None), (Store::raised(), Some(BUCKET))] {
        let create = |name: &str, chosen: Option<u64>| {
            Command::CreateBucket(NewBucket {
                chosen: chosen.map(BucketId),
                name: name.into(),
                owner: "owner".into(),
                created: 0,
                region: "us-east-1".into(),
                configuration: BucketConfiguration::default(),
            })
        };
        let mut ids: BTreeSet<BucketId> = taken.into_iter().collect();
        for (name, chosen) in [("one", Some(1)), ("two", Some(1)), ("three", None), ("four", Some(1))] {
            let Outcome::Bucket(bucket) = store.apply(create(name, chosen)) else { panic!() };
            assert_eq!(bucket.name, name);
            assert!(ids.insert(bucket.id), "{:?} is taken: {ids:?}", bucket.id);
            // It doesn't get the id of a deleted bucket either.
            if name == "three" {
                assert_eq!(store.apply(Command::DeleteBucket { bucket: bucket.id }), Outcome::Done);
            }
        }
    }
}

/// The proposer of a bucket doesn't choose its id: two that propose at the same time would choose the same.
#[test]
fn the_id_of_a_bucket_is_given_by_apply() {
    let mut store = Store::raised();
    let Outcome::Bucket(bucket) = store.apply(create_bucket(BucketId(77))) else { panic!() };
    assert_eq!(bucket.id, BucketId(2));
}

#[test]
fn a_volume_names_the_one_who_opened_it() {
    let mut store = Store::raised();
    store.propose(OTHER, opened(1));
    assert_eq!(store.volume(1).writer, Some(OTHER));
}

#[test]
fn a_forgotten_volume_is_never_opened_again() {
    let (dropped, forgotten) = (
        Command::Volume(VolumeEvent::Dropped { volume: VolumeId(1) }),
        Command::Volume(VolumeEvent::Forgotten { volume: VolumeId(1) }),
    );
    let mut store = Store::raised();
    for command in [opened(1), dropped, forgotten] {
        assert_eq!(store.apply(command), Outcome::Done);
    }
    assert_eq!(store.apply(opened(1)), Outcome::Refused(Refusal::VolumeState));
    assert_eq!(store.apply(opened(2)), Outcome::Done);
}

/// Records of buckets from before the raise stay where they are, and are found and deleted like those that came
/// after.
#[test]
fn a_bucket_is_found_wherever_its_level_put_it() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    store.apply(create_bucket(BucketId(2)));
    for (id, record_at) in [(BUCKET, Tag::BucketByName), (BucketId(2), Tag::BucketById)] {
        let get = |key: &[u8]| store.memory.get(key).map_err(ApplyError::from);
        let bucket = crate::buckets::by_id(id, get).unwrap().unwrap();
        assert_eq!(bucket.id, id);
        assert_eq!(crate::buckets::by_name(bucket.name.as_bytes(), get).unwrap(), Some(bucket.clone()));
        let places = [keys::bucket_by_name(bucket.name.as_bytes()), keys::bucket_by_id(id)];
        let held: Vec<_> = places.iter().map(|key| (key[0], get(key).unwrap().unwrap().len())).collect();
        let longest = held.iter().max_by_key(|(_, length)| *length).unwrap();
        assert_eq!(longest.0, record_at as u8, "the record is what is long");
    }
    for id in [BUCKET, BucketId(2)] {
        assert_eq!(store.apply(Command::DeleteBucket { bucket: id }), Outcome::Done);
        assert_eq!(
            store.apply(Command::DeleteBucket { bucket: id }),
            Outcome::Refused(Refusal::NoSuchBucket)
        );
    }
    for tag in [Tag::BucketById, Tag::BucketByName, Tag::BucketByOwner] {
        let mut left = 0;
        let mut count = |_: &[u8], _: &Value| {
            left += 1;
            ControlFlow::Continue(())
        };
        store.memory.scan(&keys::start_of(tag), &keys::end_of(tag), &mut count).unwrap();
        assert_eq!(left, 0, "{tag:?}");
    }
}
