//! What the drives have lost of the index comes back from the copy of the state in the remote store.

use crate::store::{BUCKET, body, key};
use crate::tiers::{Machine, Tiered, in_virtual_time};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::{CheckpointSizes, ReadError};
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::Tier;
use stratum_storage::pace::Pace;
use stratum_storage::remote::simulated::SimulatedStore;
use stratum_storage::remote::state::StateFile;
use stratum_storage::task::Task;

/// The last one is large, so that there are volumes and extents, too.
const OBJECTS: u64 = 300;
const LARGE: u64 = OBJECTS - 1;

/// With blocks of a few keys, and all of the state in the base.
fn machine(remote: &SimulatedStore) -> Machine {
    let mut machine = Machine::new();
    machine.remote = Some(remote.clone());
    machine.checkpoint_sizes = CheckpointSizes { block_bytes: 512, range_bytes: 8 << 10, changes_bytes: 0 };
    machine
}

/// A store with objects, and a copy of its state in the remote store; gives the base's files in the order of their keys.
async fn filled(machine: &Machine) -> (Tiered, Vec<StateFile>) {
    let store = machine.form().await;
    for number in 0..LARGE {
        store.put(number, &Bytes::from_static(b"small")).await;
    }
    store.put(LARGE, &large()).await;
    let carried = store.metadata.carry_state().unwrap();
    let (remote, pace) =
        (store.volumes.table.remote().unwrap(), Pace::unbounded(Arc::new(Simulated::new(0, 1))));
    for file in carried.ranges().chain([carried.manifest()]) {
        remote.bring_state(&file, carried.read(&file), &pace).await.unwrap();
    }
    (store, carried.ranges().collect())
}

fn large() -> Bytes {
    body(7).repeat(9).into()
}

/// Changes a bit of a file on every drive that has it.
fn rot(machine: &Machine, file: &StateFile, byte: u64) {
    let path = format!("checkpoint/{}", file.name);
    let holders: Vec<_> = machine.of(Tier::Hot).iter().filter(|disk| disk.files().contains(&path)).collect();
    assert_eq!(holders.len(), 3, "m + 1 drives");
    holders.iter().for_each(|disk| disk.flip_bit(&path, 8 * byte).unwrap());
}

/// How many objects can't be looked up.
fn lost(store: &Tiered) -> usize {
    let is_lost = |number: &u64| match store.metadata.local().object(BUCKET, &key(*number)) {
        Ok(found) => {
            assert!(found.is_some(), "{number}");
            false
        }
        Err(ReadError::Lost(_)) => true,
        Err(error) => panic!("{error}"),
    };
    (0..OBJECTS).filter(is_lost).count()
}

#[test]
fn it_comes_back_while_the_store_serves_as_soon_as_the_copy_has_it() {
    in_virtual_time(async {
        let remote = SimulatedStore::default();
        let machine = machine(&remote);
        let (store, files) = filled(&machine).await;
        let file = &files[files.len() / 2];
        machine.kill(store, 1);
        // A lost object, one that was changed, and one that is right.
        let object = file.object();
        remote.copy(&object, "kept");
        remote.lose(&object);
        let store = machine.open().await.unwrap();
        rot(&machine, file, 700);
        assert!((1..40).contains(&lost(&store)));
        let gone = lost(&store);
        let look = async || {
            store.state_copies.step(&store.stopped()).await;
            store.state_copies.status().unwrap()
        };
        let status = look().await;
        assert!(status.not_put_back.is_some_and(|why| why.contains("isn't in it")) && lost(&store) == gone);
        remote.copy("kept", &object);
        remote.rot(&object, 1_500);
        assert_eq!((look().await.put_back, lost(&store)), (0, gone), "it isn't asked for at once again");
        tokio::time::sleep(Duration::from_secs(601)).await;
        let status = look().await;
        assert!(
            status.not_put_back.is_some_and(|why| why.contains("as it was written")) && lost(&store) == gone
        );
        remote.copy("kept", &object);
        tokio::time::sleep(Duration::from_secs(601)).await;
        assert_eq!((look().await.put_back, lost(&store)), (1, 0));
        assert_eq!(look().await.not_put_back, None);
        assert!(store.metadata.check_checkpoints().is_empty(), "all copies are right");
        machine.kill(store, 2);
        assert_eq!(lost(&machine.open().await.unwrap()), 0);
    });
}

#[test]
fn a_start_that_needs_it_asks_for_it() {
    in_virtual_time(async {
        let remote = SimulatedStore::default();
        let mut machine = machine(&remote);
        let (store, files) = filled(&machine).await;
        machine.kill(store, 1);
        for file in &files {
            (100..file.length).step_by(600).for_each(|byte| rot(&machine, file, byte));
        }
        machine.remote = None;
        assert!(machine.open().await.is_none(), "nobody knows of any volume");
        machine.remote = Some(remote);
        let store = machine.open().await.unwrap();
        assert_eq!(lost(&store), 0);
        assert_eq!(store.read(LARGE).await, large());
        assert!(store.metadata.check_checkpoints().is_empty());
    });
}
