//! Versions that aren't current: their bodies are theirs wherever their records lie, and their bucket stays.

use super::*;
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

    /// What another version that is put under the key makes of the current one.
    fn supersede(&mut self, key: &str) {
        let record = self.object(key).unwrap();
        let (current, version) =
            (keys::object(BUCKET, key.as_bytes()), keys::version(BUCKET, key.as_bytes(), record.committed));
        self.change(|view| {
            view.remove(current).unwrap();
            view.put(version, &Version::Object(Box::new(record))).unwrap();
        });
    }

    /// What makes the current one the version of that entry.
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

    /// A store of level 2 with a bucket and a volume that anybody may fill.
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
    // It isn't there any more, nor is it another version's.
    assert_eq!(store.apply(moved(owner("a", 0), from, extents(1, 819_200, &[100]))), Outcome::Count(0));
    assert_eq!(store.apply(moved(owner("a", 9), to, extents(1, 819_200, &[100]))), Outcome::Count(0));
    store.check();
}

/// The packer reads the command that brought a body. Which version of its key that became, and where the version lies by
/// now, the state knows alone.
#[test]
fn whoever_holds_a_body_of_the_journal_is_found_wherever_its_version_lies() {
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

/// Without versions the next one takes its place, and nobody holds the one before.
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
                let delete = Command::DeleteObject {
                    bucket: BUCKET,
                    key: b"a".to_vec(),
                    condition: WriteCondition::default(),
                };
                store.apply(delete);
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
