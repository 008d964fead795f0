//! Space comes back, and never under a reader.

use crate::world::{Server, World, body, run};
use bytes::Bytes;
use stratum_storage::blob::{BlobRef, Geometry, Tier, VolumeId};
use stratum_storage::drive::simulated::Op;
use stratum_storage::readpath::ReadError;
use stratum_storage::volume::{VolumeEvent, VolumeState};

const G: Geometry = Geometry { k: 4, m: 2 };

fn used(world: &World) -> u64 {
    world.disks.iter().map(|disk| disk.used()).sum()
}

async fn put_some(server: &Server, count: u64, length: usize) -> Vec<(BlobRef, Bytes)> {
    let mut blobs = Vec::new();
    for seed in 0..count {
        let bytes = body(seed, length);
        blobs.push((server.put(&bytes).await.unwrap(), bytes));
    }
    blobs
}

#[test]
fn deleted_stripes_are_punched_on_all_shards() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = put_some(&server, 4, 1 << 20).await;
        let before = used(&world);
        server.delete(&blobs[1].0);
        server.delete(&blobs[2].0);
        let tended = server.volumes.tend().await.unwrap();
        assert_eq!(tended.punched, 2 * 6 * 266_240);
        assert!(used(&world) <= before - 2 * 6 * 262_144, "{} of {before}", used(&world));
        for kept in [0, 3] {
            assert!(server.get(&blobs[kept].0).await.unwrap() == blobs[kept].1);
        }
        assert!(matches!(server.get(&blobs[1].0).await, Err(ReadError::Damaged { .. })), "it is gone");
        assert_eq!(server.volumes.tend().await.unwrap(), Default::default());
    });
}

#[test]
fn what_a_drive_does_not_give_back_keeps_nothing_waiting_and_comes_back_with_the_next_start() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = put_some(&server, 4, 1 << 20).await;
        let before = used(&world);
        server.delete(&blobs[1].0);
        world.disks[2].refuse_nth(Op::Write, 1);
        assert_eq!(server.volumes.tend().await.unwrap().punched, 5 * 266_240);
        assert!(server.drives.iter().all(|drive| drive.is_healthy()), "the drive is none the worse for it");
        assert_eq!(
            server.volumes.tend().await.unwrap(),
            Default::default(),
            "it isn't tried again and again"
        );
        drop(server);
        let server = world.start().await;
        server.volumes.tend().await.unwrap();
        assert!(used(&world) <= before - 6 * 262_144, "{} of {before}", used(&world));
        for kept in [0, 2, 3] {
            assert!(server.get(&blobs[kept].0).await.unwrap() == blobs[kept].1);
        }
    });
}

#[test]
fn a_reader_finishes_and_only_then_its_bytes_go() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = put_some(&server, 2, 2 << 20).await;
        let (blob, bytes) = &blobs[0];
        let mut reader =
            server.volumes.reader.read(&server.volumes.reader.pin(), blob, 0..blob.len()).unwrap();
        let mut got = reader.next().await.unwrap().unwrap().to_vec();
        server.delete(blob);
        assert_eq!(server.volumes.tend().await.unwrap().punched, 0, "somebody reads it");
        // A reader who came later doesn't delay it.
        let late = server.volumes.reader.read(&server.volumes.reader.pin(), &blobs[1].0, 0..10).unwrap();
        assert_eq!(server.volumes.tend().await.unwrap().punched, 0);
        while let Some(piece) = reader.next().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert!(got == *bytes);
        drop(reader);
        assert!(server.volumes.tend().await.unwrap().punched > 0);
        drop(late);
    });
}

#[test]
fn holds_protect_what_is_read_later() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = put_some(&server, 2, 200_000).await;
        let holds =
            server.volumes.reader.hold(&server.volumes.reader.pin(), blobs.iter().map(|(blob, _)| blob));
        blobs.iter().for_each(|(blob, _)| server.delete(blob));
        server.volumes.tend().await.unwrap();
        for (blob, bytes) in &blobs {
            assert!(server.get(blob).await.unwrap() == bytes);
        }
        drop(holds);
        assert!(server.volumes.tend().await.unwrap().punched > 0);
    });
}

#[test]
fn what_a_dropped_writer_left_is_freed() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 100_000)).await.unwrap();
        let mut writer = server.volumes.writer.write(Tier::Hot, 5 << 20).await.unwrap();
        writer.push(body(2, 3 << 20)).await.unwrap();
        drop(writer);
        let written = server.write(&body(3, 100_000)).await.unwrap();
        drop(written.hold);
        assert_eq!(server.volumes.tend().await.unwrap().punched, 6 * (5 * 266_240 + 28_672));
    });
}

#[test]
fn a_full_volume_seals_when_its_writers_are_done_and_goes_when_it_is_empty() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let kept = server.put(&body(1, 1 << 20)).await.unwrap();
        let open = server.write(&body(2, 1 << 20)).await.unwrap();
        let mut abandoned = Vec::new();
        while world.state.records.lock().unwrap().len() < 2 {
            abandoned.push(server.volumes.writer.write(Tier::Hot, 60 << 20).await.unwrap());
        }
        assert_eq!(abandoned.len(), 18, "a volume holds a gibibyte");
        let last = server.put(&body(3, 1000)).await.unwrap();
        drop(abandoned);
        assert_eq!(server.volumes.tend().await.unwrap().sealed, 0, "a body isn't committed yet");
        server.commit(&open.blob).unwrap();
        drop(open.hold.proposed());
        assert_eq!(server.volumes.tend().await.unwrap().sealed, 1);
        let first = VolumeId(1);
        let VolumeState::Sealed { length } = world.state.records.lock().unwrap()[&first].state else {
            panic!()
        };
        assert_eq!(length, 4096 + (2 + 17 * 60) * 266_240, "what was given to writers counts");
        assert!(server.get(&open.blob).await.unwrap() == body(2, 1 << 20));

        [&kept, &open.blob].into_iter().for_each(|blob| server.delete(blob));
        let reader = server.volumes.reader.read(&server.volumes.reader.pin(), &open.blob, 0..1).unwrap();
        assert_eq!(server.volumes.tend().await.unwrap().removed, 0, "a reader still has it");
        assert!(server.get(&last).await.is_ok());
        drop(reader);
        assert_eq!(server.volumes.tend().await.unwrap().removed, 1);
        assert_eq!(world.disks[2].files(), ["volumes/v0000000000000002.s00.g0"]);
        assert!(!world.state.records.lock().unwrap().contains_key(&first));
        assert!(server.drives[0].check(), "we removed the file, nobody took it from us");
        assert_eq!(server.get(&open.blob).await, Err(ReadError::Gone(first)));
    });
}

#[test]
fn an_event_that_was_recorded_unheard_is_not_tried_for_ever() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let kept = server.put(&body(1, 1 << 20)).await.unwrap();
        let mut abandoned = Vec::new();
        while world.state.records.lock().unwrap().len() < 2 {
            abandoned.push(server.volumes.writer.write(Tier::Hot, 60 << 20).await.unwrap());
        }
        drop(abandoned);
        let unheard = async || {
            world.state.set_mute(true);
            assert!(server.volumes.tend().await.is_err());
            world.state.set_mute(false);
            server.volumes.tend().await.unwrap()
        };
        assert_eq!(unheard().await.sealed, 1, "the record says that it is sealed");
        let reader = server.volumes.reader.read(&server.volumes.reader.pin(), &kept, 0..1).unwrap();
        server.delete(&kept);
        assert_eq!(unheard().await.removed, 0, "dropped, and still read");
        drop(reader);
        assert_eq!(unheard().await.removed, 1);
        assert_eq!(world.state.records.lock().unwrap().len(), 1);
        assert_eq!(world.disks[2].files(), ["volumes/v0000000000000002.s00.g0"]);
    });
}

#[test]
fn a_start_seals_what_the_last_run_left_open() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = put_some(&server, 2, 500_000).await;
        let uncommitted = server.write(&body(9, 3 << 20)).await.unwrap();
        let high_water = world.state.records.lock().unwrap()[&VolumeId(1)].high_water;
        drop((uncommitted, server));
        let server = world.start().await;
        assert_eq!((server.restored.sealed, server.restored.shards_lost), (1, 0));
        assert_eq!(
            world.state.records.lock().unwrap()[&VolumeId(1)].state,
            VolumeState::Sealed { length: high_water }
        );
        assert!(world.disks.iter().all(|disk| disk.used() <= high_water), "it is truncated");
        for (blob, bytes) in &blobs {
            assert!(server.get(blob).await.unwrap() == bytes);
        }
        server.put(&body(4, 10)).await.unwrap();
        assert!(world.state.records.lock().unwrap().contains_key(&VolumeId(2)), "numbers aren't used twice");
    });
}

#[test]
fn an_empty_volume_is_removed_at_a_start() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blob = server.put(&body(1, 10_000)).await.unwrap();
        server.delete(&blob);
        drop(server);
        let server = world.start().await;
        assert_eq!(server.restored.removed, 1);
        assert!(world.disks.iter().all(|disk| disk.files().is_empty()));
        assert!(matches!(
            world.state.events.lock().unwrap().last(),
            Some(VolumeEvent::Forgotten { volume: VolumeId(1) })
        ));
    });
}

#[test]
fn a_removal_waits_for_a_missing_drive() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blob = server.put(&body(1, 10_000)).await.unwrap();
        server.delete(&blob);
        drop(server);
        let server = world.start_without(&[2]).await;
        assert_eq!(server.restored.removed, 0);
        assert_eq!(world.state.records.lock().unwrap()[&VolumeId(1)].state, VolumeState::Dropped);
        let server = world.start().await;
        assert_eq!((server.restored.removed, server.restored.unknown.len()), (1, 0));
        assert!(world.disks[2].files().is_empty());
    });
}

#[test]
fn unknown_files_are_listed_and_left() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 10_000)).await.unwrap();
        drop(server);
        world.state.records.lock().unwrap().clear();
        let server = world.start().await;
        assert_eq!(server.restored.unknown.len(), 6);
        assert!(world.disks.iter().all(|disk| disk.files().len() == 1));
        let blob = server.put(&body(2, 10_000)).await.unwrap();
        assert!(server.get(&blob).await.is_ok(), "the new volume has a number of its own");
    });
}
