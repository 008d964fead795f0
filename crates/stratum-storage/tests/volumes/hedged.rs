//! A drive that hangs: reads go around it, and it is judged slow.

use crate::world::{State, body};
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::System;
use stratum_storage::blob::{BlobRef, Geometry, Tier, VolumeId};
use stratum_storage::drive::simulated::SimulatedDrive;
use stratum_storage::drive::{Drive, DriveId, OpenHow, Threads, judge};
use stratum_storage::volume::TierDrives;
use stratum_storage::volumes::{Restore, Volumes};
use stratum_storage::writepath::Written;

const G: Geometry = Geometry { k: 2, m: 1 };
const LENGTH: usize = 3 << 20;

struct Rack {
    disks: Vec<Arc<SimulatedDrive>>,
    drives: Vec<Arc<Drive>>,
    volumes: Volumes,
    state: Arc<State>,
}

impl Rack {
    /// The place of the drive that has the first data shard.
    fn first(&self) -> usize {
        let records = self.state.records.lock().unwrap();
        records.values().next().unwrap().shards[0].drive.0 as usize - 1
    }
}

/// Drives with threads of their own, each on the device that is given. A look at one opens a file.
async fn rack<const DRIVES: usize>(devices: [u64; DRIVES]) -> Rack {
    const NAME: &str = "identity";
    let disks: Vec<_> = devices.map(|device| SimulatedDrive::new("bay", device, &Arc::default())).into();
    let drive = |(number, disk): (usize, &Arc<SimulatedDrive>)| {
        let id = DriveId(number as u128 + 1);
        let drive = Drive::new(id, Tier::Hot, number as u16, disk.attach(), Threads::Own, Arc::new(System));
        drive.io().open(NAME, OpenHow::CreateNew).unwrap();
        drive.expect_file(&[NAME], |_| true);
        Arc::new(drive)
    };
    let drives: Vec<Arc<Drive>> = disks.iter().enumerate().map(drive).collect();
    let state = Arc::new(State::default());
    let restore = Restore {
        tiers: vec![TierDrives { tier: Tier::Hot, geometry: G, drives: drives.clone().into() }],
        records: Vec::new(),
        next_id: VolumeId(1),
        reserve: 0,
        log: state.clone(),
        remote: None,
    };
    let volumes = Volumes::restore(restore).await.unwrap().0;
    Rack { disks, drives, volumes, state }
}

async fn written(volumes: &Volumes) -> BlobRef {
    let mut writer = volumes.writer.write(Tier::Hot, LENGTH as u64).await.unwrap();
    writer.push(body(1, LENGTH)).await.unwrap();
    let Written { blob, hold } = writer.finish().await.unwrap();
    drop(hold.proposed());
    blob
}

async fn read(volumes: &Volumes, blob: &BlobRef) -> Vec<u8> {
    let mut reader = volumes.reader.read(&volumes.reader.pin(), blob, 0..blob.len()).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_that_hangs_is_read_around_and_then_known() {
    let rack = rack([1, 2, 3]).await;
    let blob = written(&rack.volumes).await;
    let first = rack.first();
    rack.disks.iter().for_each(|disk| disk.set_cold_cache(true));
    rack.disks[first].stall_reads(true);
    let reading = tokio::time::timeout(Duration::from_secs(20), read(&rack.volumes, &blob));
    assert!(reading.await.expect("the read goes on without the drive") == body(1, LENGTH));

    for _ in 0..3 {
        // Somebody else is asked in each window, too.
        assert!(read(&rack.volumes, &blob).await == body(1, LENGTH));
        judge(&rack.drives);
    }
    let slow: Vec<usize> = (0..3).filter(|place| rack.drives[*place].is_slow()).collect();
    assert_eq!(slow, [first]);
    assert!(rack.drives[first].is_healthy(), "slow is not failed");
    rack.disks[first].stall_reads(false);
    assert!(read(&rack.volumes, &blob).await == body(1, LENGTH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_device_nobody_is_asked_instead() {
    let rack = rack([7, 7, 7]).await;
    let blob = written(&rack.volumes).await;
    let first = rack.first();
    rack.disks.iter().for_each(|disk| disk.set_cold_cache(true));
    rack.disks[first].stall_reads(true);
    let mut reading = std::pin::pin!(read(&rack.volumes, &blob));
    let early = tokio::time::timeout(Duration::from_secs(2), &mut reading).await;
    assert!(early.is_err(), "the others would be as slow");
    rack.disks[first].stall_reads(false);
    assert!(reading.await == body(1, LENGTH));
}

/// On the one thread of the runtime, which a look at the drive would hang in.
#[tokio::test]
async fn a_volume_is_opened_without_a_drive_that_hangs() {
    let rack = rack([1, 2, 3, 4]).await;
    let hanging = 2;
    rack.disks[hanging].stall_opens(true);
    let blob = written(&rack.volumes).await;
    assert!(read(&rack.volumes, &blob).await == body(1, LENGTH));
    let shards = rack.state.records.lock().unwrap().values().next().unwrap().shards.clone();
    assert_eq!(shards.len(), 3);
    assert!(shards.iter().all(|shard| !shard.lost && shard.drive != rack.drives[hanging].id()), "{shards:?}");
    assert!(rack.drives[hanging].is_healthy(), "that it hangs is for others to judge");
    rack.disks[hanging].stall_opens(false);
}
