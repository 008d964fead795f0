//! A volume stays open while a command that names something in it is on its way, even if nobody waits for the
//! outcome.

use super::*;
use std::task::{Context, Poll, Waker};
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{Drive, DriveId};
use stratum_storage::volume::{TierDrives, VolumeState};
use stratum_storage::volumes::{Restore, Volumes};

/// Metadata and volumes that do all their work on the calling thread.
async fn deterministic(dir: &std::path::Path) -> (Metadata, Volumes) {
    let (power, clock) = (Arc::new(Power::default()), Arc::new(Simulated::new(1_000, 1)));
    let drive = |position: u16| {
        let io = SimulatedDrive::new(&format!("hot/{position}"), position.into(), &power).attach();
        let id = DriveId(position.into());
        Arc::new(Drive::new(id, Tier::Hot, position, io, Threads::Caller, clock.clone()))
    };
    let drives = Roster::new((0..3).map(drive).collect());
    let options =
        Options { index: dir.join("sled"), drives: Vec::new().into(), copies: 0, sizes: Default::default() };
    let log = Arc::new(MemoryLog::default());
    let metadata = Metadata::open_on(&options, log, clock.clone(), Threads::Caller).unwrap();
    let restore = Restore {
        tiers: vec![TierDrives { tier: Tier::Hot, geometry: Geometry { k: 2, m: 1 }, drives }],
        records: Vec::new(),
        next_id: metadata.next_volume_id(),
        reserve: 0,
        log: Arc::new(metadata.clone()),
        remote: None,
    };
    let (volumes, _) = Volumes::restore(restore).await.unwrap();
    metadata.attach(volumes.table.clone()).unwrap();
    (metadata, volumes)
}

#[tokio::test]
async fn a_volume_stays_open_while_a_command_that_names_it_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let (metadata, volumes) = deterministic(dir.path()).await;
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let body = Bytes::from(vec![7; 200_000]);
    let mut writer = volumes.writer.write(Tier::Hot, body.len() as u64).await.unwrap();
    writer.push(body).await.unwrap();
    let written = writer.finish().await.unwrap();
    // The volume is full, and other writers go on in the next one.
    let mut others = Vec::new();
    while metadata.local().volumes().unwrap().len() < 2 {
        others.push(volumes.writer.write(Tier::Hot, 60 << 20).await.unwrap());
    }
    drop(others);

    // The client goes away after its command was proposed, and before there is an outcome.
    let record = ObjectRecord { size: 200_000, body: Body::Blob(written.blob), ..object(7) };
    let condition = WriteCondition::default();
    let command = Command::PutObject { bucket: BucketId(1), key: b"key".into(), record, condition };
    let mut asked = Box::pin(metadata.commit(command, written.hold));
    assert_eq!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    drop(asked);

    let state = || metadata.local().volumes().unwrap()[0].state;
    assert_eq!(volumes.tend().await.unwrap().sealed, 0, "its outcome isn't known yet");
    assert_eq!((metadata.local().object(BucketId(1), b"key").unwrap(), state()), (None, VolumeState::Open));
    // Whatever is proposed next is ordered after it.
    metadata.commit(Command::Sweep { now: 0 }, Bytes::new()).await.unwrap();
    assert!(metadata.local().object(BucketId(1), b"key").unwrap().is_some());
    assert_eq!(volumes.tend().await.unwrap().sealed, 1, "nothing is on its way any more");
    assert!(matches!(state(), VolumeState::Sealed { .. }));
}
