//! Volumes on directories of the machine, with threads.

use crate::world::{State, body};
use std::path::Path;
use std::sync::Arc;
use stratum_storage::ambient::System;
use stratum_storage::blob::{Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::volume::TierDrives;
use stratum_storage::volumes::{Restore, Volumes};
use stratum_storage::writepath::PackBody;

const G: Geometry = Geometry { k: 4, m: 2 };

async fn start(root: &Path, state: &Arc<State>) -> (Volumes, Vec<Arc<Drive>>) {
    let drive = |number: u16| {
        let io = Arc::new(RealDrive::create(&root.join(number.to_string())).unwrap());
        let id = DriveId(u128::from(number) + 1);
        Arc::new(Drive::new(id, Tier::Hot, number, io, Threads::Own, Arc::new(System)))
    };
    let drives: Vec<Arc<Drive>> = (0..6).map(drive).collect();
    let restore = Restore {
        tiers: vec![TierDrives { tier: Tier::Hot, geometry: G, drives: drives.clone().into() }],
        records: state.records.lock().unwrap().values().cloned().collect(),
        next_id: VolumeId(1),
        reserve: 0,
        log: state.clone(),
        remote: None,
    };
    (Volumes::restore(restore).await.unwrap().0, drives)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bodies_at_a_time_on_directories() {
    let root = tempfile::tempdir().unwrap();
    let state = Arc::new(State::default());
    let (volumes, drives) = start(root.path(), &state).await;
    let tasks: Vec<_> = (0..8u64)
        .map(|seed| {
            let volumes = volumes.clone();
            tokio::spawn(async move {
                let bytes = body(seed, 40_000 + seed as usize * 700_000);
                let mut writer = volumes.writer.write(Tier::Hot, bytes.len() as u64).await.unwrap();
                for at in (0..bytes.len()).step_by(65_536) {
                    writer.push(bytes.slice(at..(at + 65_536).min(bytes.len()))).await.unwrap();
                }
                let written = writer.finish().await.unwrap();
                let mut reader =
                    volumes.reader.read(&volumes.reader.pin(), &written.blob, 0..written.blob.len()).unwrap();
                let mut read = Vec::new();
                while let Some(piece) = reader.next().await {
                    read.extend_from_slice(&piece.unwrap());
                }
                assert!(read == bytes);
                (written, bytes)
            })
        })
        .collect();
    let bodies: Vec<PackBody> = (0..200)
        .map(|seed| body(seed, 4096))
        .map(|bytes| PackBody { owner: b"owner".to_vec(), crc32c: crc32c::crc32c(&bytes), bytes })
        .collect();
    let packed = volumes.writer.pack(Tier::Hot, &bodies).await.unwrap();
    let at = packed[0].bodies[7];
    let blob = stratum_storage::blob::BlobRef::plain(Place::Packed(at));
    let mut reader = volumes.reader.read(&volumes.reader.pin(), &blob, 0..4096).unwrap();
    assert!(
        reader.try_all_cached().unwrap() == bodies[7].bytes,
        "the page cache holds what was just written"
    );
    for task in tasks {
        let (written, bytes) = task.await.unwrap();
        let mut records = state.records.lock().unwrap();
        let Place::Extents(extents) = &written.blob.place else { panic!() };
        let record = records.get_mut(&extents[0].volume).unwrap();
        record.live += bytes.len() as u64;
        let end = stratum_storage::format::layout::extent_end(G, &extents[0]);
        record.high_water = record.high_water.max(end);
    }
    assert!(drives.iter().all(|drive| drive.check()));
    drop((volumes, drives, packed));

    for gone in [1, 4] {
        std::fs::remove_dir_all(root.path().join(gone.to_string()).join("volumes")).unwrap();
    }
    let (volumes, _) = start(root.path(), &state).await;
    assert_eq!(volumes.stats().lost_shards, 2);
    assert_eq!(volumes.stats().sealed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_whose_volumes_can_t_be_listed_has_failed() {
    let root = tempfile::tempdir().unwrap();
    let state = Arc::new(State::default());
    std::fs::create_dir(root.path().join("2")).unwrap();
    std::fs::write(root.path().join("2/volumes"), "no folder").unwrap();
    let (_volumes, drives) = start(root.path(), &state).await;
    let healthy: Vec<bool> = drives.iter().map(|drive| drive.is_healthy()).collect();
    assert_eq!(healthy, [true, true, false, true, true, true]);
}
