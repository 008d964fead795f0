//! A scan shows the state as it was, whatever is applied meanwhile.

use super::*;
use crate::command::WriteCondition;
use crate::record::{
    Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use proptest::prelude::*;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Place};

const BUCKET: BucketId = BucketId(1);

struct Running {
    machine: Machine,
    index: Index,
    _dir: tempfile::TempDir,
}

impl Running {
    fn new() -> Running {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let machine = Machine::open(tree, Arc::new(Simulated::new(0, 0))).unwrap();
        let mut running = Running { machine, index: 0, _dir: dir };
        let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
        running.apply(Command::CreateBucket(BucketRecord { id: BUCKET, name, owner, created: 0, region }));
        running
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let entry = Entry { index: self.index, hash: u128::from(self.index), command };
        self.machine.apply(vec![entry]).unwrap();
    }

    fn change(&mut self, key: u8, tag: Option<u8>) {
        let (bucket, key, condition) = (BUCKET, vec![key], WriteCondition::default());
        self.apply(match tag {
            Some(tag) => Command::PutObject { bucket, key, record: object(tag), condition },
            None => Command::DeleteObject { bucket, key, condition },
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
