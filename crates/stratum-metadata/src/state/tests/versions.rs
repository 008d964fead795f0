//! Noncurrent versions own their bodies wherever their records lie, and their bucket can't be deleted.

use super::*;
use crate::command::{BucketChange, ObjectChange};
use crate::owned;

impl Store {
    fn change(&mut self, change: impl FnOnce(&mut View<'_>)) {
        let mut view = View::new(&self.memory);
        change(&mut view);
        let changes: Vec<_> =
            view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
        drop(view);
        self.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
    }

    /// Makes the current object noncurrent, as another version that is put under the key does.
    fn supersede(&mut self, key: &str) {
        let record = self.object(key).unwrap();
        let (current, version) =
            (keys::object(BUCKET, key.as_bytes()), keys::version(BUCKET, key.as_bytes(), record.committed));
        self.change(|view| {
            view.remove(current).unwrap();
            view.put(version, &Version::Object(Box::new(record))).unwrap();
        });
    }

    /// Makes the current object the version that this entry committed.
    fn commit(&mut self, key: &str, committed: Index) {
        let record = self.object(key).unwrap();
        let record = ObjectRecord { version: VersionId(committed.into()), committed, ..record };
        self.change(|view| view.put(keys::object(BUCKET, key.as_bytes()), &record).unwrap());
    }

    fn mark_deleted(&mut self, key: &str, committed: Index) {
        let marker = DeleteMarker { version: VersionId(7), modified: 0, committed, owner: None };
        let at = keys::version(BUCKET, key.as_bytes(), committed);
        self.change(|view| view.put(at, &Version::DeleteMarker(marker)).unwrap());
    }

    /// A store of level 2 with a bucket, and a volume that any writer may fill.
    fn of_versions() -> Store {
        let mut store = Store::new();
        store.apply(Command::SetLevel(Level::SECOND));
        store
    }
}

fn owner(key: &str, committed: Index) -> Owner {
    Owner::Object { bucket: BUCKET, key: key.into(), version: VersionId::NULL, committed }
}

fn moved(owner: Owner, from: BlobRef, to: BlobRef) -> Command {
    Command::Relocate { stripe: None, moves: vec![Move { owner, from, to }] }
}

fn put_extents(key: &str, start: u64) -> Command {
    put(key, 1, extents(1, start, &[100]), WriteCondition::default())
}

#[test]
fn a_body_is_moved_wherever_the_record_of_its_version_lies() {
    let mut store = Store::of_versions();
    store.apply(put_extents("a", 4096));
    store.supersede("a");
    store.apply(put("a", 2, small(), WriteCondition::default()));
    store.commit("a", 8);
    let (from, to) = (extents(1, 4096, &[100]), extents(1, 409_600, &[100]));
    let current = store.object("a");
    assert_eq!(store.apply(moved(owner("a", 0), from.clone(), to.clone())), Outcome::Count(1));
    assert_eq!(store.object("a"), current);
    let versions: Vec<(_, Version)> = store.all(Tag::Version);
    let [(_, Version::Object(version))] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!(version.body, Body::Blob(to.clone()));
    store.check();
    // The body isn't in its old place any more, and doesn't belong to another version.
    assert_eq!(store.apply(moved(owner("a", 0), from, extents(1, 819_200, &[100]))), Outcome::Count(0));
    assert_eq!(store.apply(moved(owner("a", 9), to, extents(1, 819_200, &[100]))), Outcome::Count(0));
    store.check();
}

/// The packer reads the command that brought a body. Only the state knows which version of the key that became, and
/// where the version lies by now.
#[test]
fn the_owner_of_a_body_in_the_journal_is_found_wherever_its_version_lies() {
    for is_versioned in [false, true] {
        let mut store = Store::of_versions();
        store.apply(put("a", 1, small(), WriteCondition::default()));
        let entry = store.index;
        if is_versioned {
            store.commit("a", entry);
        }
        let record = store.object("a").unwrap();
        let Body::Blob(BlobRef { place, .. }) = &record.body else { panic!() };
        let holder = |store: &Store| {
            let get = |key: &[u8]| store.memory.get(key).map_err(ApplyError::from);
            let record = owned::holder(place, entry, BUCKET, b"a", get).unwrap();
            record.map(|record| Owner::object(BUCKET, b"a".to_vec(), &record))
        };
        let owner = Owner::object(BUCKET, b"a".to_vec(), &record);
        assert_eq!(holder(&store), Some(owner.clone()), "while it is current");
        store.supersede("a");
        store.apply(put("a", 2, small(), WriteCondition::default()));
        store.commit("a", store.index);
        assert_eq!(holder(&store), Some(owner.clone()), "after another came");
        let to = packed(1, 4096, 0);
        let moves =
            vec![Move { owner, from: BlobRef::plain(place.clone()), to: BlobRef::plain(Place::Packed(to)) }];
        assert_eq!(store.apply(Command::Relocate { stripe: Some(to), moves }), Outcome::Count(1));
        assert_eq!(holder(&store), None, "after it was packed");
        store.check();
    }
}

/// Without versioning the next object replaces the one before, whose body then has no owner.
#[test]
fn a_body_that_was_overwritten_has_no_holder() {
    let mut store = Store::of_versions();
    store.apply(put("a", 1, small(), WriteCondition::default()));
    let (entry, before) = (store.index, store.object("a").unwrap());
    let Body::Blob(BlobRef { place, .. }) = before.body else { panic!() };
    store.apply(put("a", 2, small(), WriteCondition::default()));
    let get = |key: &[u8]| store.memory.get(key).map_err(ApplyError::from);
    assert_eq!(owned::holder(&place, entry, BUCKET, b"a", get).unwrap(), None);
}

#[test]
fn a_delete_marker_owns_no_body() {
    let mut store = Store::of_versions();
    store.mark_deleted("a", 0);
    let command = moved(owner("a", 0), extents(1, 4096, &[100]), extents(1, 409_600, &[100]));
    assert_eq!(store.apply(command), Outcome::Count(0));
    store.check();
}

#[test]
fn a_bucket_that_holds_versions_is_not_empty() {
    for is_marker in [false, true] {
        let mut store = Store::of_versions();
        store.apply(put("a", 1, small(), WriteCondition::default()));
        match is_marker {
            false => store.supersede("a"),
            true => {
                store.apply(delete("a"));
                store.mark_deleted("a", 9);
            }
        }
        assert!(store.object("a").is_none());
        let delete = Command::DeleteBucket { bucket: BUCKET };
        assert_eq!(store.apply(delete), Outcome::Refused(Refusal::BucketNotEmpty));
    }
}

#[test]
fn a_state_of_level_1_holds_no_versions() {
    let mut store = Store::new();
    let version = Version::Object(Box::new(record(1, Body::Blob(small()))));
    store.change(|view| {
        let refused = view.put(keys::version(BUCKET, b"a", 0), &version);
        assert!(matches!(refused, Err(ApplyError::Level(_))));
    });
}

/// A store of level 2 whose bucket is versioned.
fn versioned() -> Store {
    let mut store = Store::of_versions();
    store.versioning(Versioning::Enabled);
    store
}

fn unconditional() -> WriteCondition {
    WriteCondition::default()
}

/// A version as a test sees it: its id, and the tag of its ETag; `None` for a delete marker.
type Seen = (VersionId, Option<u8>);

impl Store {
    fn versioning(&mut self, versioning: Versioning) {
        let change = BucketChange::Versioning(versioning);
        let outcome = self.apply(Command::ConfigureBucket { bucket: BUCKET, change });
        assert!(matches!(outcome, Outcome::Bucket(_)), "{outcome}");
    }

    /// Puts an object, and gives the id that it got.
    fn put_version(&mut self, key: &str, tag: u8) -> VersionId {
        match self.apply(put(key, tag, small(), unconditional())) {
            Outcome::Object(record) => record.version,
            other => panic!("{other}"),
        }
    }

    fn delete_version(&mut self, key: &str, version: VersionId) -> Deleted {
        let deletion = Deletion { version: Some(version), ..Deletion::of(BUCKET, key.into(), 5_000) };
        deleted(self.apply(Command::DeleteObject(deletion)))
    }

    fn mark(&mut self, key: &str) -> VersionId {
        match deleted(self.apply(delete(key))) {
            Deleted::Marked(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// All versions of a key, the newest first, after a check that they lie where they must.
    fn versions(&self, key: &str) -> Vec<Seen> {
        let tag = |record: &ObjectRecord| match record.etag {
            ETag::Md5(md5) => Some(md5[0]),
            ETag::Multipart { .. } => None,
        };
        let current = self.object(key);
        let mut seen: Vec<(Index, Seen)> =
            current.iter().map(|record| (record.committed, (record.version, tag(record)))).collect();
        let mut nulls = Vec::new();
        for (at, version) in self.all::<Version>(Tag::Version) {
            let (_, of, committed) = keys::parse_version(&at).unwrap();
            if of != key.as_bytes() {
                continue;
            }
            if version.id() == VersionId::NULL && committed > 0 {
                nulls.push(NullVersion(committed));
            }
            seen.push((
                committed,
                match version {
                    Version::Object(record) => (record.version, tag(&record)),
                    Version::DeleteMarker(marker) => (marker.version, None),
                },
            ));
        }
        assert!(seen.is_sorted_by(|one, next| one.0 > next.0), "{seen:?}");
        if let (None, Some((_, (_, newest)))) = (&current, seen.first()) {
            assert_eq!(*newest, None, "a key without a current object has a delete marker first: {seen:?}");
        }
        assert!(seen.iter().filter(|(_, (id, _))| *id == VersionId::NULL).count() <= 1, "{seen:?}");
        let said = self.memory.get(&keys::null_version(BUCKET, key.as_bytes())).unwrap();
        assert_eq!(said.map(|value| decode::<NullVersion>(&value).unwrap()), nulls.pop());
        seen.into_iter().map(|(_, seen)| seen).collect()
    }

    fn find(&self, key: &str, id: VersionId) -> Option<Seen> {
        let get = |key: &[u8]| self.memory.get(key).map_err(ApplyError::from);
        let found = owned::by_id(BUCKET, key.as_bytes(), id, get).unwrap()?;
        let tag = match &found.version {
            Version::Object(record) => match record.etag {
                ETag::Md5(md5) => Some(md5[0]),
                ETag::Multipart { .. } => None,
            },
            Version::DeleteMarker(_) => None,
        };
        Some((found.version.id(), tag))
    }
}

fn deleted(outcome: Outcome) -> Deleted {
    match outcome {
        Outcome::Deleted(deleted) => deleted,
        other => panic!("{other}"),
    }
}

const NULL: VersionId = VersionId::NULL;

#[test]
fn a_put_in_a_versioned_bucket_keeps_the_version_before() {
    let mut store = Store::of_versions();
    assert_eq!(store.put_version("a", 1), NULL);
    store.versioning(Versioning::Enabled);
    let two = store.put_version("a", 2);
    let three = store.put_version("a", 3);
    assert_eq!(two, VersionId::of_entry(store.index - 1));
    assert_eq!(store.versions("a"), [(three, Some(3)), (two, Some(2)), (NULL, Some(1))]);
    for (id, tag) in [(NULL, 1), (two, 2), (three, 3)] {
        assert_eq!(store.find("a", id), Some((id, Some(tag))));
        assert_eq!(store.find("b", id), None);
    }
    store.check();
}

#[test]
fn a_write_moves_one_record_at_most() {
    let mut store = versioned();
    store.put_version("a", 1);
    let command = || put("a", 2, small(), unconditional());
    assert_eq!(store.keys_written(command()), 2, "the new one, and the one that it came over");
    store.apply(command());
    assert_eq!(store.keys_written(delete("a")), 3, "the current one goes to the others, and a marker comes");
    let version = store.object("a").map(|record| record.version);
    let deletion = Deletion { version, ..Deletion::of(BUCKET, b"a".to_vec(), 5_000) };
    assert_eq!(store.keys_written(Command::DeleteObject(deletion)), 2, "the one before comes back");
}

#[test]
fn the_newest_version_that_is_left_is_current() {
    let mut store = versioned();
    let [one, two, three] = [1, 2, 3].map(|tag| store.put_version("a", tag));
    assert_eq!(store.delete_version("a", three), Deleted::Current);
    assert_eq!(store.versions("a"), [(two, Some(2)), (one, Some(1))]);
    assert_eq!(store.object("a").unwrap().version, two);
    assert_eq!(store.delete_version("a", one), Deleted::NonCurrent);
    assert_eq!(store.delete_version("a", one), Deleted::Nothing);
    assert_eq!(store.delete_version("a", two), Deleted::Current);
    assert_eq!(store.versions("a"), []);
    assert!(matches!(store.apply(Command::DeleteBucket { bucket: BUCKET }), Outcome::Done));
}

#[test]
fn a_delete_marker_hides_what_is_below_it_and_goes_as_a_version() {
    let mut store = versioned();
    let first = store.mark("a");
    assert_eq!(store.versions("a"), [(first, None)], "of a key that there never was, too");
    let one = store.put_version("a", 1);
    let [second, third] = [store.mark("a"), store.mark("a")];
    assert_eq!(store.versions("a"), [(third, None), (second, None), (one, Some(1)), (first, None)]);
    assert!(store.object("a").is_none());
    assert_eq!(store.delete_version("a", second), Deleted::Marker);
    assert!(store.object("a").is_none(), "another marker is the newest");
    assert_eq!(store.delete_version("a", third), Deleted::Marker);
    assert_eq!(store.object("a").unwrap().version, one);
    assert_eq!(store.delete_version("a", one), Deleted::Current);
    assert_eq!(store.versions("a"), [(first, None)]);
    let refused = store.apply(Command::DeleteBucket { bucket: BUCKET });
    assert_eq!(refused, Outcome::Refused(Refusal::BucketNotEmpty));
}

#[test]
fn a_suspended_bucket_replaces_the_null_version_wherever_it_lies() {
    let mut store = versioned();
    let one = store.put_version("a", 1);
    store.versioning(Versioning::Suspended);
    assert_eq!(store.put_version("a", 2), NULL);
    assert_eq!(store.versions("a"), [(NULL, Some(2)), (one, Some(1))]);
    assert_eq!(store.put_version("a", 3), NULL);
    assert_eq!(store.versions("a"), [(NULL, Some(3)), (one, Some(1))]);
    assert_eq!(store.mark("a"), NULL);
    assert_eq!(store.versions("a"), [(NULL, None), (one, Some(1))], "the marker took its place");
    assert_eq!(store.find("a", NULL), Some((NULL, None)));
    store.versioning(Versioning::Enabled);
    let four = store.put_version("a", 4);
    assert_eq!(store.versions("a"), [(four, Some(4)), (NULL, None), (one, Some(1))]);
    store.versioning(Versioning::Suspended);
    assert_eq!(store.put_version("a", 5), NULL);
    assert_eq!(store.versions("a"), [(NULL, Some(5)), (four, Some(4)), (one, Some(1))]);
    assert_eq!(store.delete_version("a", NULL), Deleted::Current);
    assert_eq!(store.object("a").unwrap().version, four);
    store.check();
}

/// An object that was there before its bucket was versioned is older than all versions, and no entry committed it.
#[test]
fn the_null_version_of_before_is_found_among_the_others() {
    let mut store = Store::of_versions();
    store.put_version("a", 1);
    store.versioning(Versioning::Enabled);
    let two = store.put_version("a", 2);
    assert_eq!(store.find("a", NULL), Some((NULL, Some(1))));
    store.versioning(Versioning::Suspended);
    store.put_version("a", 3);
    assert_eq!(store.versions("a"), [(NULL, Some(3)), (two, Some(2))]);
    store.check();
}

#[test]
fn the_bytes_of_a_version_are_live_until_it_goes() {
    let mut store = versioned();
    store.apply(put_extents("a", 4096));
    let one = store.object("a").unwrap().version;
    store.apply(put_extents("a", 40_960));
    store.mark("a");
    assert_eq!(store.volume(1).live, 200);
    store.check();
    store.delete_version("a", one);
    assert_eq!(store.volume(1).live, 100);
    store.check();
}

#[test]
fn an_upload_becomes_a_version_and_its_parts_stay_with_it() {
    let mut store = versioned();
    store.apply(create_upload(1, "a"));
    store.apply(put_part(1, 1, 1, extents(1, 4096, &[100])));
    let Outcome::Object(record) = store.apply(complete(1, "a", &[(1, 1)])) else { panic!() };
    assert_eq!((record.version, record.committed), (VersionId::of_entry(store.index), store.index));
    let completion: Vec<(_, Completion)> = store.all(Tag::Completion);
    assert_eq!(completion[0].1.version, record.version);
    store.put_version("a", 2);
    store.apply(Command::Sweep { now: 10_000 });
    assert_eq!(store.volume(1).live, 100, "it isn't current, and is there");
    store.delete_version("a", record.version);
    store.apply(Command::Sweep { now: 10_000 });
    assert_eq!(store.volume(1).live, 0);
    store.check();
}

#[test]
fn a_marker_counts_as_no_object_for_a_write_and_as_a_version_for_a_delete() {
    let mut store = versioned();
    store.put_version("a", 1);
    store.mark("a");
    assert_eq!(store.apply(put("a", 2, small(), only_if(1))), Outcome::Refused(Refusal::NoSuchKey));
    let remove = |condition, version| {
        let of = Deletion::of(BUCKET, b"a".to_vec(), 5_000);
        Command::DeleteObject(Deletion { condition, version, ..of })
    };
    assert_eq!(store.apply(remove(only_if(1), None)), failed(Condition::IfMatch));
    let of_another_size = WriteCondition { if_size: Some(10), ..WriteCondition::default() };
    assert_eq!(store.apply(remove(of_another_size, None)), failed(Condition::Size));
    let any = WriteCondition { if_match: Some(Match::Any), ..WriteCondition::default() };
    assert!(matches!(deleted(store.apply(remove(any, None))), Deleted::Marked(_)));
    assert!(matches!(store.apply(put("a", 2, small(), only_if_absent())), Outcome::Object(_)));
    let version = store.object("a").map(|record| record.version);
    assert_eq!(store.apply(remove(only_if(1), version)), failed(Condition::IfMatch));
    assert_eq!(deleted(store.apply(remove(only_if(2), version))), Deleted::Current);
    assert_eq!(deleted(store.apply(remove(only_if(2), version))), Deleted::Nothing);
}

#[test]
fn of_racing_writes_over_a_marker_one_wins() {
    let mut store = versioned();
    store.mark("a");
    let puts = (1..=8).map(|tag| put("a", tag, small(), only_if_absent())).collect();
    let outcomes = store.apply_group(puts);
    assert!(matches!(outcomes[0], Outcome::Object(_)));
    assert!(outcomes[1..].iter().all(|outcome| *outcome == failed(Condition::IfNoneMatch)));
}

/// A bucket from before the raise can be versioned like any other.
#[test]
fn a_bucket_that_level_1_made_can_be_versioned() {
    let mut store = Store::new();
    store.apply(put("a", 1, small(), unconditional()));
    store.apply(Command::SetLevel(Level::SECOND));
    store.versioning(Versioning::Enabled);
    let two = store.put_version("a", 2);
    assert_eq!(store.versions("a"), [(two, Some(2)), (NULL, Some(1))]);
    let gone = Command::ConfigureBucket {
        bucket: BucketId(7),
        change: BucketChange::Versioning(Versioning::Enabled),
    };
    assert_eq!(store.apply(gone), Outcome::Refused(Refusal::NoSuchBucket));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, bool),
    Mark(u8),
    /// Deletes the n-th newest version of that key.
    DeleteVersion(u8, usize),
    DeleteNull(u8),
    Versioning(Versioning),
    /// Moves the body of the n-th newest version of a key.
    Move(u8, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..3;
    prop_oneof![
        6 => (key(), any::<bool>()).prop_map(|(key, large)| Step::Put(key, large)),
        3 => key().prop_map(Step::Mark),
        4 => (key(), 0usize..5).prop_map(|(key, at)| Step::DeleteVersion(key, at)),
        2 => key().prop_map(Step::DeleteNull),
        2 => prop_oneof![Just(Versioning::Enabled), Just(Versioning::Suspended)].prop_map(Step::Versioning),
        2 => (key(), 0usize..5).prop_map(|(key, at)| Step::Move(key, at)),
    ]
}

/// The versions of each key, the newest first, as lists.
#[derive(Default)]
struct Lists {
    versioning: Option<Versioning>,
    keys: BTreeMap<u8, Vec<Seen>>,
}

impl Lists {
    fn add(&mut self, key: u8, id: VersionId, tag: Option<u8>) {
        let versions = self.keys.entry(key).or_default();
        versions.retain(|(known, _)| *known != id);
        versions.insert(0, (id, tag));
    }

    /// The id of the version that this entry commits.
    fn id(&self, index: Index) -> VersionId {
        if self.versioning == Some(Versioning::Enabled) { VersionId::of_entry(index) } else { NULL }
    }

    fn remove(&mut self, key: u8, id: VersionId) {
        self.keys.entry(key).or_default().retain(|(known, _)| *known != id);
    }
}

proptest! {
    #[test]
    fn versions_are_those_of_a_list(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut store, mut lists, mut fresh) = (Store::of_versions(), Lists::default(), 0u64);
        for step in steps {
            match step {
                Step::Put(key, large) => {
                    fresh += 1;
                    let (tag, large) = (fresh as u8, large.then(|| extents(1, fresh << 20, &[10, 20])));
                    store.apply(put(&key.to_string(), tag, large.unwrap_or_else(small), unconditional()));
                    lists.add(key, lists.id(store.index), Some(tag));
                }
                Step::Mark(key) => {
                    store.apply(delete(&key.to_string()));
                    match lists.versioning {
                        None => drop(lists.keys.remove(&key)),
                        Some(_) => lists.add(key, lists.id(store.index), None),
                    }
                }
                Step::DeleteVersion(key, at) => {
                    let Some((id, _)) = lists.keys.get(&key).and_then(|of| of.get(at)).copied() else { continue };
                    prop_assert_ne!(store.delete_version(&key.to_string(), id), Deleted::Nothing);
                    lists.remove(key, id);
                }
                Step::DeleteNull(key) => {
                    store.delete_version(&key.to_string(), NULL);
                    lists.remove(key, NULL);
                }
                Step::Versioning(versioning) => {
                    store.versioning(versioning);
                    lists.versioning = Some(versioning);
                }
                Step::Move(key, at) => {
                    let Some((id, Some(_))) = lists.keys.get(&key).and_then(|of| of.get(at)).copied() else { continue };
                    let name = key.to_string();
                    let get = |key: &[u8]| store.memory.get(key).map_err(ApplyError::from);
                    let found = owned::by_id(BUCKET, name.as_bytes(), id, get).unwrap().unwrap();
                    let Version::Object(record) = found.version else { panic!() };
                    let owner = Owner::object(BUCKET, name.into_bytes(), &record);
                    let Body::Blob(from) = record.body else { panic!() };
                    fresh += 1;
                    let to = extents(2, fresh << 20, &[30]);
                    prop_assert_eq!(store.apply(moved(owner, from, to)), Outcome::Count(1));
                }
            }
            for (key, versions) in &lists.keys {
                prop_assert_eq!(&store.versions(&key.to_string()), versions);
                for (id, tag) in versions {
                    prop_assert_eq!(store.find(&key.to_string(), *id), Some((*id, *tag)));
                }
            }
            store.check();
        }
    }
}

#[test]
fn a_version_is_changed_in_its_place() {
    let mut store = Store::of_versions();
    store.apply(Command::ConfigureBucket {
        bucket: BUCKET,
        change: BucketChange::Versioning(Versioning::Enabled),
    });
    let tags = |value: &str| Some(BTreeMap::from([("tag".to_owned(), value.to_owned())]));
    let configure = |version, value: &str| Command::ConfigureObject {
        bucket: BUCKET,
        key: b"a".to_vec(),
        version,
        change: ObjectChange::Tags(tags(value)),
    };
    assert_eq!(store.apply(configure(None, "none")), Outcome::Refused(Refusal::NoSuchKey));
    store.apply(put_extents("a", 0));
    let older = store.object("a").unwrap();
    store.apply(put_extents("a", 8192));
    for (version, value) in [(None, "newer"), (Some(older.version), "older")] {
        assert!(matches!(store.apply(configure(version, value)), Outcome::Object(_)));
    }
    let newer = store.object("a").unwrap();
    assert_eq!(newer.attributes.tags, tags("newer"));
    let others = store.all::<Version>(Tag::Version);
    let expected = ObjectRecord {
        attributes: Attributes { tags: tags("older"), ..older.attributes.clone() },
        ..older.clone()
    };
    assert_eq!(
        others.iter().map(|(_, version)| version).collect::<Vec<_>>(),
        [&Version::Object(Box::new(expected))]
    );
    store.apply(Command::DeleteObject(Deletion::of(BUCKET, b"a".to_vec(), 0)));
    assert_eq!(store.apply(configure(None, "gone")), Outcome::Refused(Refusal::NoSuchKey));
    let gone = Some(VersionId(999));
    assert_eq!(store.apply(configure(gone, "gone")), Outcome::Refused(Refusal::NoSuchVersion));
    assert!(matches!(store.apply(configure(Some(newer.version), "again")), Outcome::Object(_)));
    store.check();
}

#[test]
fn a_bucket_names_its_documents_and_takes_them_with_it() {
    let mut store = Store::of_versions();
    let mut change = |kind, text: Option<&str>| {
        let document = text.map(|text| BucketDocument(text.into()));
        let change = BucketChange::Document { kind, document };
        match store.apply(Command::ConfigureBucket { bucket: BUCKET, change }) {
            Outcome::Bucket(bucket) => bucket.configuration.documents,
            other => panic!("{other}"),
        }
    };
    let first = change(DocumentKind::Cors, Some("one"));
    let second = change(DocumentKind::Cors, Some("other"));
    assert!(first[&DocumentKind::Cors] < second[&DocumentKind::Cors]);
    assert_eq!(change(DocumentKind::Policy, Some("{}")).len(), 2);
    assert_eq!(change(DocumentKind::Cors, None).into_keys().collect::<Vec<_>>(), [DocumentKind::Policy]);
    let documents = store.all::<BucketDocument>(Tag::BucketDocument);
    assert_eq!(documents.iter().map(|(_, document)| document.0.as_str()).collect::<Vec<_>>(), ["{}"]);
    store.apply(Command::DeleteBucket { bucket: BUCKET });
    assert_eq!(store.all::<BucketDocument>(Tag::BucketDocument), []);
}

#[test]
fn a_locked_version_stays_whatever_would_delete_it() {
    let mut store = Store::of_versions();
    let lock = Command::ConfigureBucket {
        bucket: BUCKET,
        change: BucketChange::ObjectLock(ObjectLock { default: None }),
    };
    let versioning = |versioning| Command::ConfigureBucket {
        bucket: BUCKET,
        change: BucketChange::Versioning(versioning),
    };
    assert_eq!(store.apply(lock.clone()), Outcome::Refused(Refusal::BucketState));
    store.apply(versioning(Versioning::Enabled));
    assert!(matches!(store.apply(lock), Outcome::Bucket(_)));
    assert_eq!(store.apply(versioning(Versioning::Suspended)), Outcome::Refused(Refusal::BucketState));

    store.apply(put_extents("a", 0));
    let version = store.object("a").unwrap().version;
    let change = |change| Command::ConfigureObject {
        bucket: BUCKET,
        key: b"a".to_vec(),
        version: Some(version),
        change,
    };
    let retain = |until, bypass_governance| {
        let retention = Some(Retention { mode: RetentionMode::Governance, until });
        change(ObjectChange::Retention { retention, now: 0, bypass_governance })
    };
    let delete = |modified, bypass_governance| {
        let deletion = Deletion::of(BUCKET, b"a".to_vec(), modified);
        Command::DeleteObject(Deletion { version: Some(version), bypass_governance, ..deletion })
    };
    assert!(matches!(store.apply(retain(1_000, false)), Outcome::Object(_)));
    assert_eq!(store.apply(retain(999, false)), Outcome::Refused(Refusal::Locked));
    // A delete marker is put over it, which deletes nothing.
    store.apply(Command::DeleteObject(Deletion::of(BUCKET, b"a".to_vec(), 10)));
    assert_eq!(store.apply(delete(999, false)), Outcome::Refused(Refusal::Locked));
    store.apply(change(ObjectChange::LegalHold(LegalHold::On)));
    assert_eq!(store.apply(delete(999, true)), Outcome::Refused(Refusal::Locked));
    assert_eq!(store.apply(delete(1_000, false)), Outcome::Refused(Refusal::Locked));
    store.apply(change(ObjectChange::LegalHold(LegalHold::Off)));
    assert_eq!(store.apply(delete(1_000, false)), Outcome::Deleted(Deleted::NonCurrent));
    store.check();
}
