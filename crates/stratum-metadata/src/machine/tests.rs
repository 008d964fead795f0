//! A state goes from one checkpoint to the next while it keeps changing.

use super::*;
use crate::checkpoint::{Files, Sizes, merge};
use crate::command::{Command, Deletion, WriteCondition};
use crate::record::{
    Attributes, Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Place, Tier};
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{Drive, DriveId, Threads};

const BUCKET: BucketId = BucketId(1);

impl Machine {
    /// Makes the index lose a key without knowing it.
    pub(crate) fn lose(&self, key: &[u8]) {
        self.stack().open.lose(key);
    }
}

struct Running {
    machine: Arc<Machine>,
    index: Index,
    dir: tempfile::TempDir,
    trees: AtomicU64,
    files: Files,
}

fn files() -> Files {
    let power = Arc::new(Power::default());
    let drive = |position: u16| {
        let simulated = SimulatedDrive::new(&format!("hot/{position}"), 1, &power);
        let (id, clock) = (DriveId(u128::from(position)), Arc::new(Simulated::new(0, 0)));
        Arc::new(Drive::new(id, Tier::Hot, position, simulated.attach(), Threads::Caller, clock))
    };
    let sizes = Sizes { block_bytes: 256, range_bytes: 2 << 10, changes_bytes: 4 << 10 };
    Files::new((0..3).map(drive).collect::<Vec<_>>().into(), 2, sizes)
}

impl Running {
    fn new() -> Running {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(&dir.path().join("0")).unwrap();
        let machine = Arc::new(Machine::open(tree, Below::Nothing, Arc::new(Simulated::new(0, 0))).unwrap());
        let mut running = Running { machine, index: 0, dir, trees: AtomicU64::new(1), files: files() };
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

    fn next_tree(&self) -> Tree {
        let number = self.trees.fetch_add(1, Ordering::Relaxed);
        Tree::open(&self.dir.path().join(number.to_string())).unwrap()
    }
}

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// All keys and values, except the key of what has been applied.
fn content(state: &dyn Base) -> Pairs {
    let mut pairs = Pairs::new();
    let visit = &mut |key: &[u8], value: &Value| {
        pairs.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    state.scan(&[], &[0xff], visit).unwrap();
    pairs.remove(&keys::applied());
    pairs
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

type Changes = Vec<(u8, Option<u8>)>;

fn changes() -> impl Strategy<Value = Changes> {
    proptest::collection::vec((0u8..60, proptest::option::of(any::<u8>())), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_state_turns_from_checkpoint_to_checkpoint_while_it_changes(
        turns in proptest::collection::vec((changes(), changes(), any::<bool>()), 1..5),
    ) {
        let mut running = Running::new();
        for (before, during, is_late) in turns {
            for (key, tag) in before {
                running.change(key, tag);
            }
            let (machine, then) = (running.machine.clone(), content(running.machine.as_ref()));
            let closed = machine.close(running.next_tree()).unwrap();
            prop_assert_eq!(&content(&closed), &then);
            prop_assert_eq!(closed.applied, machine.applied());
            for (key, tag) in during {
                running.change(key, tag);
            }
            if is_late {
                machine.drain().unwrap();
            }
            prop_assert_eq!(&content(&closed), &then, "what was closed stays as it is");
            let now = content(machine.as_ref());
            prop_assert_eq!(sum(&now), machine.applied().fingerprint);
            let checkpoint = Arc::new(merge(&closed, &running.files, &|_| {}, &|| true).unwrap());
            prop_assert_eq!(&content(checkpoint.as_ref()), &then);
            prop_assert!(machine.adopt(checkpoint.clone()).is_some());
            prop_assert!(machine.adopt(checkpoint).is_none(), "once");
            prop_assert_eq!(&content(machine.as_ref()), &now);
            for key in 0..60 {
                let key = keys::object(BUCKET, &[key]);
                let found = machine.get(&key).unwrap().map(|value| value.to_vec());
                prop_assert_eq!(found.as_ref(), now.get(&key));
            }
        }
    }
}

#[test]
fn readers_and_writers_do_not_notice_a_turn() {
    let running = Mutex::new(Running::new());
    let machine = running.lock().machine.clone();
    let files = running.lock().files.clone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut round = 0u8;
            while !stop.load(Ordering::Acquire) {
                round = round.wrapping_add(1);
                for key in 0..60 {
                    running.lock().change(key, Some(round));
                    // No other task changes this key, so what was applied must be read.
                    let value = machine.get(&keys::object(BUCKET, &[key])).unwrap().unwrap();
                    let record: ObjectRecord = decode(&value).unwrap();
                    assert_eq!(record.etag, ETag::Md5([round; 16]));
                }
                machine.drain().unwrap();
            }
        });
        for _ in 0..12 {
            let next = running.lock().next_tree();
            let closed = machine.close(next).unwrap();
            let checkpoint = merge(&closed, &files, &|_| {}, &|| true);
            stop.store(checkpoint.is_err(), Ordering::Release);
            assert!(machine.adopt(Arc::new(checkpoint.unwrap())).is_some());
        }
        stop.store(true, Ordering::Release);
    });
    assert_eq!(
        sum(&content(machine.as_ref())),
        machine.applied().fingerprint,
        "nothing was lost or came back"
    );
}

#[test]
fn a_state_that_took_another_s_place_takes_no_checkpoint_of_the_former() {
    let mut running = Running::new();
    running.change(1, Some(1));
    let closed = running.machine.close(running.next_tree()).unwrap();
    let checkpoint = Arc::new(merge(&closed, &running.files, &|_| {}, &|| true).unwrap());
    let mut other = Running::new();
    other.change(1, Some(2));
    other.change(2, Some(2));
    let expected = content(other.machine.as_ref());
    let other = Arc::into_inner(std::mem::replace(&mut other.machine, running.machine.clone())).unwrap();
    running.machine.take_over(other);
    assert!(running.machine.adopt(checkpoint).is_none());
    assert_eq!(content(running.machine.as_ref()), expected);
}

#[test]
fn an_entry_that_does_not_follow_the_last_is_not_applied() {
    for group in [&[3][..], &[1], &[2, 4]] {
        let running = Running::new();
        let command = || Command::Sweep { now: 0 };
        let entry = |&index: &Index| Entry { index, hash: 0, proposed: command().into() };
        let refused = running.machine.apply(group.iter().map(entry).collect());
        assert!(matches!(refused, Err(ApplyError::Gap { .. })), "{group:?}");
        assert!(running.machine.has_failed() && running.machine.applied_index() == 1);
    }
}
