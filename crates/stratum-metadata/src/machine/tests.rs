//! A scan shows the state as it was, whatever is applied meanwhile.

use super::*;
use crate::command::{Command, Deletion, WriteCondition};
use crate::record::{
    Attributes, Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Place};

const BUCKET: BucketId = BucketId(1);

impl Machine {
    /// Has the index lose a key behind everybody's back.
    pub(crate) fn lose(&self, key: &[u8]) {
        self.tree().apply(std::iter::once((key, None))).unwrap();
    }
}

struct Running {
    machine: Arc<Machine>,
    index: Index,
    _dir: tempfile::TempDir,
}

impl Running {
    fn new() -> Running {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let machine = Arc::new(Machine::open(tree, Arc::new(Simulated::new(0, 0))).unwrap());
        let mut running = Running { machine, index: 0, _dir: dir };
        let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
        running.apply(Command::CreateBucket(
            BucketRecord { id: BUCKET, name, owner, created: 0, region, configuration: Default::default() }
                .into(),
        ));
        running
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let entry = Entry { index: self.index, hash: u128::from(self.index), proposed: command.into() };
        self.machine.apply(vec![entry]).unwrap();
    }

    fn change(&mut self, key: u8, tag: Option<u8>) {
        let (bucket, key, condition) = (BUCKET, vec![key], WriteCondition::default());
        self.apply(match tag {
            Some(tag) => Command::PutObject { bucket, key, record: object(tag), condition },
            None => Command::DeleteObject(Deletion::of(bucket, key, 0)),
        });
    }

    /// Everything but what has been applied.
    fn state(&self) -> Pairs {
        let mut pairs = Vec::new();
        self.machine
            .scan(&[], &[0xff], |key, value| {
                pairs.push((key.to_vec(), value.clone()));
                ControlFlow::Continue(())
            })
            .unwrap();
        pairs.retain(|(key, _)| *key != keys::applied());
        pairs
    }
}

fn object(tag: u8) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: 0,
        size: 0,
        etag: ETag::Md5([tag; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body: Body::Blob(BlobRef::plain(Place::Empty)),
        committed: 0,
        attributes: Attributes::default(),
    }
}

fn sum(pairs: &Pairs) -> u128 {
    pairs.iter().fold(0, |sum, (key, value)| sum.wrapping_add(fingerprint(key, value)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_is_of_one_moment(
        before in proptest::collection::vec(0u8..60, 0..60),
        during in proptest::collection::vec(
            (proptest::collection::vec((0u8..60, proptest::option::of(any::<u8>())), 0..8), any::<bool>()), 0..30),
        step in 100usize..900,
    ) {
        let mut running = Running::new();
        for key in before {
            running.change(key, Some(0));
        }
        let (state, applied) = (running.state(), running.machine.applied());
        prop_assert_eq!(sum(&state), applied.fingerprint);

        prop_assert_eq!(running.machine.start_scan(1 << 20), applied);
        let mut scanned = Vec::new();
        let mut during = during.into_iter();
        while !running.machine.scan_is_done() {
            scanned.extend(running.machine.next_of_scan(step).unwrap());
            let (changes, drain) = during.next().unwrap_or_default();
            for (key, tag) in changes {
                running.change(key, tag);
            }
            if drain {
                running.machine.drain().unwrap();
            }
        }
        running.machine.end_scan();
        prop_assert_eq!(sum(&scanned), applied.fingerprint);
        prop_assert_eq!(scanned, state);
        prop_assert_eq!(sum(&running.state()), running.machine.applied().fingerprint);
    }
}

#[test]
fn a_scan_that_can_t_keep_up_is_given_up() {
    let mut running = Running::new();
    for key in 0..50 {
        running.change(key, Some(1));
    }
    running.machine.start_scan(1_000);
    running.machine.next_of_scan(100).unwrap();
    for key in 0..50 {
        running.change(key, Some(2));
    }
    assert!(matches!(running.machine.next_of_scan(100), Err(ScanError::GivenUp)));
    assert!(matches!(running.machine.next_of_scan(100), Err(ScanError::GivenUp)));
}

/// Everything in the index and over it.
fn content(machine: &Machine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all = BTreeMap::new();
    machine
        .scan(&[], &[0xff], |key, value| {
            all.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

#[test]
fn an_index_is_rebuilt_while_it_changes() {
    let mut running = Running::new();
    for round in 0..40u8 {
        for key in 0..=255 {
            running.change(key, (key % 3 != round % 3).then_some(round));
        }
    }
    running.machine.drain().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let other = tempfile::tempdir().unwrap();
    let switched = AtomicBool::new(false);
    // Someone drains while the copy goes on; keys below and above its cursor change and go.
    let running = Mutex::new(running);
    let machine = running.lock().machine.clone();
    std::thread::scope(|threads| {
        let draining = stop.clone();
        threads.spawn({
            let (running, machine) = (&running, machine.clone());
            move || {
                let mut round = 0u8;
                while !draining.load(Ordering::Acquire) {
                    round = round.wrapping_add(1);
                    for key in (round % 7..250).step_by(7) {
                        running.lock().change(key, (!round.is_multiple_of(4)).then_some(round));
                    }
                    machine.drain().unwrap();
                }
            }
        });
        let into = Tree::open(other.path()).unwrap();
        let old = machine
            .rebuild_index(into, || {
                switched.store(true, Ordering::Release);
                Ok(())
            })
            .unwrap();
        stop.store(true, Ordering::Release);
        assert!(old.get(&keys::applied()).unwrap().is_some());
    });
    assert!(switched.load(Ordering::Acquire));
    machine.drain().unwrap();
    let expected = content(&machine);
    let sum = expected.iter().filter(|(key, _)| **key != keys::applied());
    let sum = sum.fold(0u128, |sum, (key, value)| sum.wrapping_add(fingerprint(key, value)));
    assert_eq!(sum, machine.applied().fingerprint, "no key was lost and none came back");
    // What the next start finds is the copy, and it is whole.
    machine.flush().unwrap();
    drop((running, machine));
    let again = Machine::open(Tree::open(other.path()).unwrap(), Arc::new(Simulated::new(0, 0))).unwrap();
    assert_eq!(content(&again), expected);
}

#[test]
fn a_rebuild_that_ends_early_leaves_the_index_as_it_is() {
    let mut running = Running::new();
    running.change(1, Some(1));
    running.machine.drain().unwrap();
    let other = tempfile::tempdir().unwrap();
    let into = Tree::open(other.path()).unwrap();
    let refused = running.machine.rebuild_index(into, || Err(std::io::Error::other("no")));
    assert!(refused.is_err());
    running.change(2, Some(2));
    running.machine.drain().unwrap();
    let here = content(&running.machine);
    assert!(here.contains_key(&keys::object(BUCKET, &[2])));
    let copy = Machine::open(Tree::open(other.path()).unwrap(), Arc::new(Simulated::new(0, 0))).unwrap();
    assert!(!content(&copy).contains_key(&keys::object(BUCKET, &[2])), "the copy is not written to any more");
}

#[test]
fn what_does_not_follow_is_not_applied() {
    for group in [&[3][..], &[1], &[2, 4]] {
        let running = Running::new();
        let command = || Command::Sweep { now: 0 };
        let entry = |&index: &Index| Entry { index, hash: 0, proposed: command().into() };
        let refused = running.machine.apply(group.iter().map(entry).collect());
        assert!(matches!(refused, Err(ApplyError::Gap { .. })), "{group:?}");
        assert!(running.machine.has_failed() && running.machine.applied_index() == 1);
    }
}
