//! Files that no record knows are put aside, and nothing goes while the state is provisional.

use crate::world::{World, body, run};
use stratum_storage::blob::{Geometry, VolumeId};
use stratum_storage::drive::OpenHow;
use stratum_storage::quarantine::Quarantined;
use stratum_storage::volume::VolumeState;

const G: Geometry = Geometry { k: 4, m: 2 };

/// Puts a file among the volumes of a drive.
fn plant(world: &World, disk: usize, name: &str) {
    let io = world.disks[disk].attach();
    let file = io.open(&format!("volumes/{name}"), OpenHow::CreateNew).unwrap();
    file.write_at(&[b"stray"], 0).unwrap();
    file.sync().unwrap();
    io.sync_dir("volumes").unwrap();
}

fn names(files: &[Quarantined]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn what_no_record_knows_is_put_aside_at_the_second_look() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blob = server.put(&body(1, 100_000)).await.unwrap();
        let known = world.disks[3].files()[0].trim_start_matches("volumes/").to_owned();
        // Of an older volume, of another generation, of no volume at all, and of a later volume that has no record.
        let strays =
            ["v0000000000000000.s00.g0", &known.replace(".g0", ".g7"), "what", "v00000000000000ff.s00.g0"];
        drop(server);
        strays[..3].iter().for_each(|name| plant(&world, 3, name));
        let server = world.start().await;
        plant(&world, 3, strays[3]);
        let own = server.put(&body(2, 100_000)).await.unwrap();
        assert_eq!(server.restored.unknown.len(), 3);
        assert_eq!(server.volumes.strays.quarantine_unknown(77), []);
        let claim = server.volumes.table.try_claim(VolumeId(1)).unwrap();
        let first = server.volumes.strays.quarantine_unknown(78);
        assert_eq!(first.len(), 3, "not of a volume that somebody works on: {first:?}");
        drop(claim);
        assert_eq!(server.volumes.strays.quarantine_unknown(79), [], "it begins anew");
        assert_eq!(names(&server.volumes.strays.quarantine_unknown(80)), [strays[1]]);
        assert_eq!(server.volumes.strays.quarantine_unknown(81), []);

        let aside = server.volumes.strays.quarantined();
        assert_eq!(names(&aside), [strays[0], strays[3], strays[2], strays[1]]);
        assert!(aside.iter().all(|file| file.bytes == 5 && file.since >= 78), "{aside:?}");
        for (blob, bytes) in [(&blob, body(1, 100_000)), (&own, body(2, 100_000))] {
            assert!(server.get(blob).await.unwrap() == bytes, "the volumes' own files are where they were");
        }
        assert!(server.drives.iter().all(|drive| drive.check()));
        // It is all durable, and removed only when somebody says so.
        drop(server);
        let server = world.start().await;
        assert_eq!(server.volumes.strays.quarantined(), aside);
        aside.iter().for_each(|file| server.volumes.strays.remove_quarantined(file).unwrap());
        assert_eq!(server.volumes.strays.quarantined(), []);
    });
}

#[test]
fn nothing_goes_while_the_state_is_provisional() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blobs = [1, 2].map(|seed| body(seed, 1 << 20));
        let first = server.put(&blobs[0]).await.unwrap();
        let second = server.put(&blobs[1]).await.unwrap();
        // An older state: it knows nothing of the second body.
        server.delete(&second);
        world.state.records.lock().unwrap().get_mut(&VolumeId(1)).unwrap().high_water = 4096 + 266_240;
        drop(server);
        world.state.set_provisional(true);
        let server = world.start().await;
        let used = |world: &World| world.disks.iter().map(|disk| disk.used()).sum::<u64>();
        let before = used(&world);
        server.volumes.table.free_range(VolumeId(1), 4096 + 266_240..4096 + 2 * 266_240);
        plant(&world, 2, "v0000000000000000.s00.g0");
        for now in 0..3 {
            server.volumes.tend().await.unwrap();
            assert_eq!(server.volumes.strays.quarantine_unknown(now), []);
        }
        assert!(used(&world) >= before, "nothing is punched");
        assert!(server.get(&second).await.unwrap() == blobs[1], "and nothing cut off");
        server.delete(&first);
        server.volumes.tend().await.unwrap();
        assert!(server.get(&first).await.unwrap() == blobs[0], "nor is an empty volume dropped");

        world.state.set_provisional(false);
        server.volumes.tend().await.unwrap();
        assert!(!world.state.records.lock().unwrap().contains_key(&VolumeId(1)), "what waited is done");
    });
}

#[test]
fn what_a_missing_drive_kept_goes_when_it_is_back() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let blob = server.put(&body(1, 10_000)).await.unwrap();
        server.delete(&blob);
        drop(server);
        let server = world.start_without(&[2]).await;
        assert_eq!(world.state.records.lock().unwrap()[&VolumeId(1)].state, VolumeState::Dropped);
        assert_eq!(server.volumes.tend().await.unwrap().removed, 0);
        assert_eq!(world.disks[2].files().len(), 1);
        world.bring_back(&server, 2);
        assert_eq!(server.volumes.tend().await.unwrap().removed, 1);
        assert!(world.disks[2].files().is_empty());
        assert!(world.state.records.lock().unwrap().is_empty());
    });
}
