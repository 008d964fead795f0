//! Pages of versions against a naive list, also while versions come and go.

use super::*;
use crate::command::{BucketChange, Command, Deletion, Outcome};
use crate::machine::Entry;
use crate::record::{
    Attributes, Body, BucketRecord, ETag, Level, ObjectHeaders, ObjectRecord, StorageClass, Versioning,
};
use crate::tree::Tree;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::ambient::{Clock, Simulated, UnixMillis};
use stratum_storage::blob::{BlobRef, Place};

const BUCKET: BucketId = BucketId(2);

struct Store {
    machine: Arc<Machine>,
    _dir: tempfile::TempDir,
}

impl Store {
    /// A store with three buckets, of which the middle one is versioned.
    fn new() -> Store {
        Store::with_clock(Arc::new(Simulated::new(0, 0)))
    }

    fn with_clock(clock: Arc<dyn Clock>) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let machine = Arc::new(Machine::open(tree, crate::stack::Below::Nothing, clock).unwrap());
        let store = Store { machine, _dir: dir };
        store.apply(Command::SetLevel(Level::SECOND));
        for id in 1..4 {
            let (name, owner, region) = (format!("bucket-{id}"), "owner".into(), "us-east-1".into());
            let (id, configuration) = (BucketId(id), Default::default());
            let bucket = BucketRecord { id, name, owner, created: 0, region, configuration };
            store.apply(Command::CreateBucket(bucket.into()));
            store.apply(Command::ConfigureBucket {
                bucket: id,
                change: BucketChange::Versioning(Versioning::Enabled),
            });
        }
        store
    }

    fn apply(&self, command: Command) -> Outcome {
        let entry = Entry { index: self.machine.applied_index() + 1, hash: 0, proposed: command.into() };
        self.machine.apply(vec![entry]).unwrap().outcomes.remove(0)
    }

    fn put(&self, bucket: BucketId, key: &[u8]) -> VersionId {
        let record = ObjectRecord {
            version: VersionId::NULL,
            modified: 5,
            size: 0,
            etag: ETag::Md5([1; 16]),
            storage_class: StorageClass::Standard,
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(Place::Empty)),
            committed: 0,
            attributes: Attributes::default(),
        };
        let put = Command::PutObject { bucket, key: key.to_vec(), record, condition: Default::default() };
        let Outcome::Object(record) = self.apply(put) else { panic!() };
        record.version
    }

    fn delete(&self, key: &[u8], version: Option<VersionId>) {
        self.apply(Command::DeleteObject(Deletion { version, ..Deletion::of(BUCKET, key.to_vec(), 5) }));
    }

    /// Lists page by page.
    fn pages(&self, prefix: &[u8], delimiter: Option<&[u8]>, max: usize) -> Vec<Line> {
        let (mut lines, mut from) = (Vec::new(), VersionPosition::Start);
        loop {
            let (prefix, delimiter) = (prefix.to_vec(), delimiter.map(<[u8]>::to_vec));
            let page = versions(
                &self.machine,
                &VersionsRequest { bucket: BUCKET, prefix, delimiter, from, max, owners: false },
            );
            let page = page.unwrap();
            assert!(page.entries.len() <= max);
            lines.extend(page.entries.iter().map(line));
            match page.next {
                Some(next) => from = next,
                None => return lines,
            }
        }
    }
}

/// A name in a listing, and the version under it: its id, whether it is a delete marker, and whether it is the
/// latest.
type Line = (Vec<u8>, Option<(VersionId, bool, bool)>);

fn line(listed: &Listed<ListedVersion>) -> Line {
    match listed {
        Listed::CommonPrefix(common) => (common.clone(), None),
        Listed::Entry(ListedVersion { key, is_latest, version, .. }) => {
            let is_marker = matches!(version, VersionSummary::DeleteMarker(_));
            (key.clone(), Some((version.id(), is_marker, *is_latest)))
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Mark(usize),
    /// Deletes the n-th newest version of that key.
    Delete(usize, usize),
    Versioning(Versioning),
}

const KEYS: [&[u8]; 8] = [b"a", b"a/", b"a/1", b"a/\0", b"a0", b"b//c", b"b/\xff", b"\xff\xff"];

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    prop_oneof![
        8 => key().prop_map(Step::Put),
        3 => key().prop_map(Step::Mark),
        3 => (key(), 0usize..4).prop_map(|(key, at)| Step::Delete(key, at)),
        1 => prop_oneof![Just(Versioning::Enabled), Just(Versioning::Suspended)].prop_map(Step::Versioning),
    ]
}

/// The versions of each key, the newest first, and which of them are delete markers.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, Vec<(VersionId, bool)>>);

impl Model {
    fn add(&mut self, key: &[u8], id: VersionId, is_marker: bool) {
        let versions = self.0.entry(key.to_vec()).or_default();
        versions.retain(|(known, _)| *known != id);
        versions.insert(0, (id, is_marker));
    }

    fn lines(&self, prefix: &[u8], delimiter: Option<&[u8]>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (key, versions) in self.0.iter().filter(|(key, _)| key.starts_with(prefix)) {
            let common = common_prefix(key, prefix, delimiter);
            for (at, (id, is_marker)) in versions.iter().enumerate() {
                match common {
                    Some(common) if lines.last().is_some_and(|(last, _): &Line| last == common) => {}
                    Some(common) => lines.push((common.to_vec(), None)),
                    None => lines.push((key.clone(), Some((*id, *is_marker, at == 0)))),
                }
            }
        }
        lines
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn pages_are_those_of_a_list(
        steps in proptest::collection::vec(step(), 1..60),
        max in 1usize..7,
        prefix in prop::sample::select(vec![&b""[..], b"a", b"a/", b"b/", b"nothing", b"\xff"]),
        delimiter in prop::sample::select(vec![None, Some(&b"/"[..]), Some(b"//"), Some(b"0")]),
    ) {
        let (store, mut model, mut suspended) = (Store::new(), Model::default(), false);
        for neighbour in [BucketId(1), BucketId(3)] {
            store.put(neighbour, b"a/stranger");
            store.put(neighbour, b"a/stranger");
        }
        for step in steps {
            let id = |store: &Store| match suspended {
                true => VersionId::NULL,
                false => VersionId::of_entry(store.machine.applied_index()),
            };
            match step {
                Step::Put(key) => {
                    let made = store.put(BUCKET, KEYS[key]);
                    prop_assert_eq!(made, id(&store));
                    model.add(KEYS[key], made, false);
                }
                Step::Mark(key) => {
                    store.delete(KEYS[key], None);
                    model.add(KEYS[key], id(&store), true);
                }
                Step::Delete(key, at) => {
                    let versions = model.0.entry(KEYS[key].to_vec()).or_default();
                    if at < versions.len() {
                        store.delete(KEYS[key], Some(versions.remove(at).0));
                    }
                }
                Step::Versioning(versioning) => {
                    suspended = versioning == Versioning::Suspended;
                    let change = BucketChange::Versioning(versioning);
                    store.apply(Command::ConfigureBucket { bucket: BUCKET, change });
                }
            }
        }
        prop_assert_eq!(store.pages(prefix, delimiter, max), model.lines(prefix, delimiter));
    }
}

/// A client that deletes the versions of a page asks for the next page after the last of them, which is gone then.
#[test]
fn a_page_begins_after_a_version_that_is_gone() {
    let store = Store::new();
    let ids: Vec<VersionId> = (0..4).map(|_| store.put(BUCKET, b"k")).collect();
    let list = |id| {
        let from = VersionPosition::AfterVersion(b"k".to_vec(), id);
        let request = VersionsRequest {
            bucket: BUCKET,
            prefix: Vec::new(),
            delimiter: None,
            from,
            max: 9,
            owners: false,
        };
        let page = versions(&store.machine, &request).unwrap();
        page.entries.iter().map(|entry| line(entry).1.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list(ids[2]), [(ids[1], false, false), (ids[0], false, false)]);
    store.delete(b"k", Some(ids[2]));
    store.delete(b"k", Some(ids[3]));
    assert_eq!(list(ids[2]), [(ids[1], false, true), (ids[0], false, false)]);
    assert_eq!(list(VersionId::NULL).len(), 2, "of a null version that is gone nobody knows the place");
}

/// Tells the writer of a test to end, also where the test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lists a key with so many versions again and again, while another version comes over them and goes. Each time they are
/// listed once and in their order, and the key has one latest version.
fn list_beside_a_writer(store: &Store, count: usize, lists: usize) {
    for key in [&b"a"[..], b"z"] {
        store.put(BUCKET, key);
    }
    let mut stay: Vec<VersionId> = (0..count).map(|_| store.put(BUCKET, b"k")).collect();
    stay.reverse();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ending = Ending(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let above = store.put(BUCKET, b"k");
                store.delete(b"k", Some(above));
            }
        });
        let after_a = VersionPosition::AfterVersion(b"a".to_vec(), VersionId::NULL);
        for at in 0..lists {
            let request = VersionsRequest {
                bucket: BUCKET,
                prefix: Vec::new(),
                delimiter: None,
                from: if at % 2 == 0 { VersionPosition::Start } else { after_a.clone() },
                max: 2 * count + 5,
                owners: false,
            };
            let page = versions(&store.machine, &request).unwrap();
            let of_k: Vec<_> = page.entries.iter().map(line).filter(|(key, _)| key == b"k").collect();
            let of_k: Vec<_> = of_k.into_iter().filter_map(|(_, version)| version).collect();
            let ids: Vec<_> = of_k.iter().map(|(id, ..)| *id).collect();
            let seen: Vec<_> = ids.iter().copied().filter(|id| stay.contains(id)).collect();
            assert_eq!(seen, stay);
            assert!(ids.len() <= count + 1, "{ids:?}");
            let latest: Vec<_> = of_k.iter().map(|(_, _, is_latest)| *is_latest).collect();
            assert!(latest[0] && !latest[1..].contains(&true), "{latest:?}");
        }
    });
}

#[test]
fn a_version_that_stays_is_listed_once_however_it_is_moved() {
    list_beside_a_writer(&Store::new(), 1, 3_000);
}

/// A clock by which everything takes long.
#[derive(Debug, Default)]
struct Slow(AtomicU64);

impl Clock for Slow {
    fn now(&self) -> UnixMillis {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[test]
fn versions_that_are_too_many_for_one_moment_are_listed_once_each() {
    list_beside_a_writer(&Store::with_clock(Arc::new(Slow::default())), 150, 300);
}
