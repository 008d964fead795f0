//! What an acknowledgement needs, and what is recorded before it.

use crate::world::{Server, World, body, run};
use bytes::Bytes;
use stratum_storage::blob::{Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::simulated::Op;
use stratum_storage::volume::VolumeEvent;
use stratum_storage::writepath::{Refusal, WriteError};

const G: Geometry = Geometry { k: 4, m: 2 };

fn geometry_of(world: &World, volume: VolumeId) -> Geometry {
    world.state.records.lock().unwrap()[&volume].geometry
}

#[test]
fn a_volume_is_recorded_before_it_is_used_and_only_when_it_is() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        assert!(world.state.events.lock().unwrap().is_empty(), "volumes open lazily");
        assert!(world.disks.iter().all(|disk| disk.files().is_empty()));
        server.put(&body(1, 100_000)).await.unwrap();
        server.put(&body(2, 100_000)).await.unwrap();
        let events = world.state.events.lock().unwrap();
        assert!(
            matches!(events.as_slice(), [VolumeEvent::Opened { id: VolumeId(1), geometry: G, .. }]),
            "{events:?}"
        );
    });
}

#[test]
fn a_drive_that_fails_in_a_write_is_recorded_before_the_ack() {
    run(async {
        for op in [Op::Write, Op::Sync] {
            for n in [1, 2] {
                let world = World::new(G);
                let server = world.start().await;
                server.put(&body(1, 1_000_000)).await.unwrap();
                world.disks[3].fail_nth(op, n);
                let bytes = body(2, 2_500_000);
                let blob = server.put(&bytes).await.unwrap();
                if server.drives[3].is_healthy() {
                    // The second sync of that drive comes with a later body.
                    server.put(&body(3, 100_000)).await.unwrap();
                }
                assert_eq!(server.state.lost().len(), 1, "{op:?} {n}");
                assert!(!server.drives[3].is_healthy());
                assert!(server.get(&blob).await.unwrap() == bytes);
                let next = server.put(&bytes).await.unwrap();
                let Place::Extents(extents) = &next.place else { panic!() };
                assert_eq!(geometry_of(&world, extents[0].volume), Geometry { k: 3, m: 2 }, "at full parity");
                assert!(server.get(&next).await.unwrap() == bytes);
                assert_eq!(server.state.lost().len(), 1);
            }
        }
    });
}

#[test]
fn writes_go_on_while_m_drives_are_gone_and_stop_after_that() {
    run(async {
        let world = World::new(G);
        let mut blobs: Vec<(stratum_storage::blob::BlobRef, Bytes)> = Vec::new();
        for (missing, k) in [(&[][..], 4), (&[5], 3), (&[5, 1], 2), (&[5, 1, 0], 1)] {
            let server = world.start_without(missing).await;
            let bytes = body(k, 900_000);
            let blob = server.put(&bytes).await.unwrap();
            let Place::Extents(extents) = &blob.place else { panic!() };
            assert_eq!(u64::from(geometry_of(&world, extents[0].volume).k), k);
            blobs.push((blob, bytes));
        }
        let server = world.start_without(&[5, 1, 0, 2]).await;
        let refused = server.put(&body(1, 10)).await.unwrap_err();
        assert_eq!(refused, WriteError::TooFewDrives { tier: Tier::Hot, healthy: 2 });
        let fullness = &server.volumes.writer.fullness()[0];
        assert_eq!(fullness.refusal(), Some(Refusal::Drives { open: 2, needed: 3 }));
        let server = world.start().await;
        for (blob, bytes) in blobs {
            assert!(server.get(&blob).await.unwrap() == bytes);
        }
    });
}

#[test]
fn too_few_shards_are_no_ack() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 1000)).await.unwrap();
        world.disks[0].fail_nth(Op::Write, 1);
        world.disks[4].fail_nth(Op::Write, 1);
        let refused = server.put(&body(2, 50_000)).await.unwrap_err();
        assert!(matches!(refused, WriteError::TooFewShards { left: 4, needed: 5, .. }), "{refused}");
        assert_eq!(server.state.lost(), [], "nothing was acknowledged, nothing need be known");
        let blob = server.put(&body(2, 50_000)).await.unwrap();
        let Place::Extents(extents) = &blob.place else { panic!() };
        assert_eq!(geometry_of(&world, extents[0].volume), Geometry { k: 2, m: 2 });
    });
}

#[test]
fn a_drive_that_missed_a_write_lacks_its_shard_when_it_is_back() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 1000)).await.unwrap();
        world.disks[0].fail_nth(Op::Write, 1);
        server.put(&body(2, 50_000)).await.unwrap();
        let drives: Vec<_> = server.drives.iter().map(|drive| drive.id()).collect();
        let lacking = |server: &Server| {
            drives.iter().map(|drive| server.volumes.table.shards_lacking_on(*drive)).collect::<Vec<_>>()
        };
        assert_eq!(lacking(&server), [0; 6], "a drive that failed is told as that");
        drop(server);
        assert_eq!(lacking(&world.start().await), [1, 0, 0, 0, 0, 0]);
    });
}

#[test]
fn a_single_drive_has_nothing_to_lose() {
    run(async {
        let world = World::new(Geometry { k: 1, m: 0 });
        let server = world.start().await;
        server.put(&body(1, 1000)).await.unwrap();
        world.disks[0].fail_nth(Op::Sync, 1);
        assert!(matches!(server.put(&body(1, 1000)).await, Err(WriteError::TooFewShards { .. })));
        assert!(matches!(server.put(&body(1, 1000)).await, Err(WriteError::TooFewDrives { .. })));
    });
}

#[test]
fn a_body_of_another_length_is_refused() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let mut writer = server.volumes.writer.write(Tier::Hot, 100).await.unwrap();
        writer.push(body(1, 60)).await.unwrap();
        assert!(matches!(writer.finish().await, Err(WriteError::Length { expected: 100 })));
        let mut writer = server.volumes.writer.write(Tier::Hot, 100).await.unwrap();
        assert_eq!(writer.push(body(1, 101)).await, Err(WriteError::Length { expected: 100 }));
    });
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    run(async {
        let mut world = World::new(G);
        world.reserve = 2 << 20;
        let server = world.start().await;
        let kept = body(1, 1_000_000);
        let kept_blob = server.put(&kept).await.unwrap();
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(12 << 20)));
        let mut blobs = Vec::new();
        let refused = loop {
            match server.put(&body(blobs.len() as u64, 2_000_000)).await {
                Ok(blob) => blobs.push(blob),
                Err(refused) => break refused,
            }
            assert!(blobs.len() < 100, "a full disk must refuse");
        };
        assert_eq!(refused, WriteError::NoSpace(Tier::Hot));
        assert!(!blobs.is_empty());
        assert!(server.drives.iter().all(|drive| drive.is_healthy()), "a full disk is not a failed one");
        assert_eq!(server.state.lost(), []);
        for _ in 0..50 {
            assert_eq!(server.put(&body(1, 9_000_000)).await, Err(WriteError::NoSpace(Tier::Hot)));
        }
        assert_eq!(world.state.records.lock().unwrap().len(), 1, "refusals don't use volumes up");
        blobs.iter().for_each(|blob| server.delete(blob));
        assert!(server.volumes.tend().await.unwrap().punched > 0);
        for seed in 0..3 {
            let bytes = body(seed, 1_500_000);
            let blob = server.put(&bytes).await.unwrap();
            assert!(server.get(&blob).await.unwrap() == bytes);
        }
        assert!(server.get(&kept_blob).await.unwrap() == kept);
    });
}

#[test]
fn a_full_drive_is_left_out_while_others_have_room() {
    run(async {
        let mut world = World::on(G, 8, |disk| disk as u64);
        world.reserve = 1 << 20;
        world.disks[2].set_capacity(Some(2 << 20));
        let server = world.start().await;
        let bytes = body(1, 2_000_000);
        let first = server.put(&bytes).await.unwrap();
        assert_eq!(world.disks[2].files(), [""; 0]);
        // One of those that the volume lies on has no more: the next goes elsewhere.
        let victim = world.disks.iter().position(|disk| !disk.files().is_empty()).unwrap();
        world.disks[victim].set_capacity(Some(world.disks[victim].used() + (1 << 20)));
        let next = server.put(&body(2, 9_000_000)).await.unwrap();
        let Place::Extents(extents) = &next.place else { panic!() };
        assert_eq!(extents[0].volume, VolumeId(2));
        assert_eq!(world.disks[victim].files().len(), 1);
        assert!(server.get(&first).await.unwrap() == bytes && server.get(&next).await.is_ok());
        // And when too few have room nothing is used up.
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(disk.used() + (1 << 20))));
        for _ in 0..20 {
            assert_eq!(server.put(&body(1, 9_000_000)).await, Err(WriteError::NoSpace(Tier::Hot)));
        }
        assert_eq!(world.state.records.lock().unwrap().len(), 2);
    });
}

#[test]
fn drives_on_one_device_share_its_space() {
    run(async {
        let world = World::on(G, 6, |_| 7);
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(8 << 20)));
        let server = world.start().await;
        assert_eq!(server.put(&body(1, 10)).await, Err(WriteError::NoSpace(Tier::Hot)));
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(16 << 20)));
        server.put(&body(1, 10)).await.unwrap();
    });
}
