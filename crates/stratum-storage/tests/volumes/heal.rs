//! What is missing comes back: shards are rebuilt, whatever happens in the middle of it.

use crate::world::{Server, World, body, run, shard_file};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Geometry, Tier, VolumeId};
use stratum_storage::drive::simulated::Op;
use stratum_storage::drive::{DriveId, OpenHow};
use stratum_storage::heal::{HealError, Healer, Narrow, Rebuilt};
use stratum_storage::inspect::{self, FileFlaw};
use stratum_storage::pace::{Class, Pace};
use stratum_storage::volume::{Claim, ShardFiles, Stray, StrayKind, TierDrives, VolumeEvent};

pub const G: Geometry = Geometry { k: 4, m: 2 };
pub const FIRST: VolumeId = VolumeId(1);

pub fn hurry() -> Arc<Pace> {
    Pace::unbounded(Arc::new(Simulated::new(1, 1)))
}

async fn rebuild(server: &Server, shard: u8) -> Result<Rebuilt, HealError> {
    server.volumes.rebuilder.rebuild_shard(FIRST, shard, &hurry(), Class::Heal).await
}

/// A sealed volume with some bodies, one of which was deleted.
pub async fn sealed(world: &World, sizes: &[usize]) -> (Server, Vec<(BlobRef, Bytes)>) {
    let server = world.start().await;
    let mut bodies = Vec::new();
    for (seed, size) in sizes.iter().enumerate() {
        let bytes = body(seed as u64, *size);
        bodies.push((server.put(&bytes).await.unwrap(), bytes));
    }
    let (deleted, _) = bodies.remove(0);
    server.delete(&deleted);
    drop(server);
    world.disks.iter().for_each(|disk| disk.kill());
    (world.start().await, bodies)
}

pub async fn assert_whole(server: &Server, bodies: &[(BlobRef, Bytes)]) {
    for (blob, bytes) in bodies {
        assert!(server.get(blob).await.as_ref() == Ok(bytes));
    }
    let verified = inspect::verify(&server.volumes.table, FIRST).await.unwrap();
    assert!(verified.is_whole() && verified.stripes > 0, "{verified:?}");
}

pub fn drive_of(world: &World, shard: u8) -> usize {
    let DriveId(id) = world.state.records.lock().unwrap()[&FIRST].shards[usize::from(shard)].drive;
    id as usize - 1
}

/// The disks that hold nothing of the volume.
pub fn spares(world: &World) -> Vec<usize> {
    (0..world.disks.len()).filter(|disk| shard_file(world, *disk, FIRST).is_none()).collect()
}

#[test]
fn every_shard_can_be_rebuilt_where_it_was() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[300_000, 2_300_000, 1, 70_000]).await;
        for shard in 0..6 {
            let disk = drive_of(&world, shard);
            let old = shard_file(&world, disk, FIRST).unwrap();
            let rebuilt = rebuild(&server, shard).await.unwrap();
            assert_eq!(rebuilt.drive, DriveId(disk as u128 + 1));
            assert_eq!((rebuilt.stripes, rebuilt.unreadable), (5, 0));
            assert_eq!(world.disks[disk].files(), [old.replace(".g0", ".g1")], "the old one is gone");
        }
        assert_whole(&server, &bodies).await;
        drop(server);
        let server = world.start().await;
        assert_eq!((server.restored.shards_lost, server.restored.unknown.len()), (0, 0));
        assert_whole(&server, &bodies).await;
        server.volumes.tend().await.unwrap();
    });
}

#[test]
fn two_lost_shards_come_back_on_spare_drives() {
    run(async {
        let world = World::on(G, 8, |disk| disk as u64);
        let (server, bodies) = sealed(&world, &[100, 1_300_000, 40_000]).await;
        let (spares, good) = (spares(&world), drive_of(&world, 0));
        for shard in [1, 4] {
            world.disks[drive_of(&world, shard)].erase();
        }
        let missing = [drive_of(&world, 1), drive_of(&world, 4)];
        drop(server);
        let server = world.start_without(&missing).await;
        for shard in [1, 4] {
            let rebuilt = rebuild(&server, shard).await.unwrap();
            assert!(spares.contains(&(rebuilt.drive.0 as usize - 1)), "{rebuilt:?}");
        }
        assert_whole(&server, &bodies).await;
        let stays = DriveId(good as u128 + 1);
        assert_eq!(rebuild(&server, 0).await.unwrap().drive, stays, "a good one stays on its drive");
    });
}

#[test]
fn without_a_drive_or_room_nothing_is_done() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 1_300_000]).await;
        let away = drive_of(&world, 2);
        drop(server);
        let server = world.start_without(&[away]).await;
        assert_eq!(rebuild(&server, 2).await, Err(HealError::NoDrive));
        drop(server);
        let server = world.start().await;
        world.disks[away].set_capacity(Some(world.disks[away].used() + 100_000));
        assert_eq!(rebuild(&server, 2).await, Err(HealError::NoSpace));
        assert_eq!(world.disks[away].files().len(), 1);
        assert_whole(&server, &bodies).await;
    });
}

#[test]
fn what_a_missing_drive_may_still_hold_is_not_given_up() {
    run(async {
        let world = World::on(G, 7, |disk| disk as u64);
        let (server, bodies) = sealed(&world, &[100, 3_000_000]).await;
        let (away, spare) = (drive_of(&world, 0), spares(&world)[0]);
        drop(server);
        // A stripe that has rotten on two drives is readable only with the one that is away.
        for shard in [1, 2] {
            let disk = drive_of(&world, shard);
            let path = shard_file(&world, disk, FIRST).unwrap();
            world.disks[disk].flip_bit(&path, (8192 + 1000) * 8).unwrap();
        }
        let server = world.start_without(&[away]).await;
        assert_eq!(rebuild(&server, 0).await, Err(HealError::Unreadable(1)));
        assert!(world.disks[spare].files().is_empty(), "nothing is left behind");
        drop(server);
        let server = world.start().await;
        for shard in [1, 2] {
            assert_eq!(rebuild(&server, shard).await.unwrap().unreadable, 0);
        }
        assert_whole(&server, &bodies).await;
    });
}

#[test]
fn a_failing_target_is_given_up() {
    run(async {
        for op in [Op::Write, Op::Sync, Op::Name] {
            for nth in 1..4 {
                let world = World::on(G, 7, |disk| disk as u64);
                let (server, bodies) = sealed(&world, &[100, 1_300_000]).await;
                let (away, spare) = (drive_of(&world, 3), spares(&world)[0]);
                drop(server);
                let server = world.start_without(&[away]).await;
                world.disks[spare].fail_nth(op, nth);
                let outcome = rebuild(&server, 3).await;
                assert!(matches!(outcome, Err(HealError::Drive { .. }) | Ok(_)), "{outcome:?}");
                for (blob, bytes) in &bodies {
                    assert!(server.get(blob).await.as_ref() == Ok(bytes));
                }
            }
        }
    });
}

#[test]
fn readers_read_on_while_a_shard_is_exchanged() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 3_000_000]).await;
        let (blob, bytes) = &bodies[0];
        let mut reader =
            server.volumes.reader.read(&server.volumes.reader.pin(), blob, 0..blob.len()).unwrap();
        let mut got = reader.next().await.unwrap().unwrap().to_vec();
        for shard in 0..6 {
            rebuild(&server, shard).await.unwrap();
        }
        while let Some(piece) = reader.next().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert!(got == *bytes);
        assert!(server.volumes.table.bad_fragments().is_empty(), "and find nothing wrong");
        assert!(
            server.drives.iter().all(|drive| drive.check()),
            "we removed the old files, nobody took them"
        );
    });
}

#[test]
fn what_is_freed_meanwhile_is_punched_on_the_new_file_too() {
    run(async {
        let world = World::new(G);
        let (server, mut bodies) = sealed(&world, &[100, 1 << 20, 1 << 20]).await;
        rebuild(&server, 0).await.unwrap();
        let (deleted, _) = bodies.remove(0);
        server.delete(&deleted);
        server.volumes.tend().await.unwrap();
        let used: Vec<u64> = world.disks.iter().map(|disk| disk.used()).collect();
        assert!(used[1] < used[0] && used.iter().all(|each| *each < 300_000), "{used:?}");
        assert_whole(&server, &bodies).await;
    });
}

#[test]
fn verify_says_what_is_wrong_and_where() {
    run(async {
        let world = World::new(G);
        let (server, _) = sealed(&world, &[100, 3_000_000]).await;
        let (damaged, short, gone) = (drive_of(&world, 0), drive_of(&world, 3), drive_of(&world, 5));
        let path = shard_file(&world, damaged, FIRST).unwrap();
        world.disks[damaged].flip_bit(&path, 100).unwrap();
        world.disks[damaged].flip_bit(&path, (8192 + 40_000) * 8).unwrap();
        let io = world.disks[short].attach();
        let path = shard_file(&world, short, FIRST).unwrap();
        io.open(&path, OpenHow::Write).unwrap().set_len(300_000).unwrap();
        world.disks[gone].erase();
        let verified = inspect::verify(&server.volumes.table, FIRST).await.unwrap();
        let short = FileFlaw::Short { length: 300_000 };
        assert_eq!(verified.files, [(0, FileFlaw::Header), (3, short), (5, FileFlaw::NoFile)]);
        let found: Vec<(u64, Vec<u8>)> = verified
            .stripes_found
            .iter()
            .map(|stripe| (stripe.offset, stripe.flaws.iter().map(|(shard, _)| *shard).collect()))
            .collect();
        assert_eq!(
            found,
            [(8192, vec![0]), (274_432, vec![3]), (540_672, vec![3])],
            "an open file is still read"
        );
        assert!(verified.stripes_found.iter().all(|stripe| stripe.is_readable()));
    });
}

/// Power fails at operation `n` of a rebuild; true if it ended before.
async fn crash_at(n: u64, shard: u8) -> bool {
    let world = World::on(G, 7, |disk| disk as u64);
    let (server, bodies) = sealed(&world, &[100, 1_300_000, 40_000]).await;
    let disk = drive_of(&world, shard);
    let path = shard_file(&world, disk, FIRST).unwrap();
    world.disks[disk].attach().remove(&path).unwrap();
    drop(server);
    let server = world.start().await;
    world.power.fail_at(n);
    let ended = rebuild(&server, shard).await.is_ok() && !world.power.is_off();
    world.disks.iter().for_each(|disk| disk.crash(n));
    world.power.restore();
    let server = world.start().await;
    for (blob, bytes) in &bodies {
        assert!(server.get(blob).await.as_ref() == Ok(bytes), "power fails at {n}");
    }
    let rebuilt = world
        .state
        .events
        .lock()
        .unwrap()
        .iter()
        .any(|event| matches!(event, VolumeEvent::ShardRebuilt { .. }));
    if !rebuilt {
        rebuild(&server, shard).await.unwrap();
    }
    assert_whole(&server, &bodies).await;
    // Whatever else it left behind, it is no part of the volume.
    assert!(server.restored.unknown.iter().all(|(_, path)| path.contains(".g") && !path.ends_with(".tmp")));
    assert!(server.volumes.writer.write(Tier::Hot, 10).await.is_ok());
    ended
}

#[test]
fn power_may_fail_anywhere_in_a_rebuild() {
    run(async {
        for shard in [0, 5] {
            let mut points = 0;
            for n in 1.. {
                points = n;
                if crash_at(n, shard).await {
                    break;
                }
            }
            assert!(points > 8, "only {points} points: a rebuild shrank");
        }
    });
}

/// Power fails at operation `n` of a rebuild where the old file is good. What it leaves of that file is put aside at the
/// first look, once the new one counts: how many files. `None` if the rebuild ended before.
async fn left_over(n: u64) -> Option<usize> {
    let world = World::on(G, 7, |disk| disk as u64);
    let (server, bodies) = sealed(&world, &[100, 1_300_000, 40_000]).await;
    world.power.fail_at(n);
    let ended = rebuild(&server, 0).await.is_ok() && !world.power.is_off();
    world.disks.iter().for_each(|disk| disk.crash(n));
    world.power.restore();
    let server = world.start().await;
    let tiers = [TierDrives { tier: Tier::Hot, geometry: G, drives: server.roster.clone() }];
    let records: Vec<_> = world.state.records.lock().unwrap().values().cloned().collect();
    let superseded = |strays: Vec<Stray>| {
        let files = strays.into_iter().filter(|stray| stray.kind == StrayKind::Superseded);
        files.map(|stray| stray.path.replace("volumes/", "")).collect::<Vec<_>>()
    };
    let left = superseded(ShardFiles::find(&tiers).strays(&records));
    assert_eq!(left, superseded(server.volumes.strays.find().into_iter().collect()), "power fails at {n}");
    assert!(left.iter().all(|name| name.ends_with(".g0") && records[0].shards[0].generation == 1));
    world.state.set_provisional(true);
    assert_eq!(server.volumes.strays.quarantine_unknown(1), [], "the state may be older than the bytes");
    world.state.set_provisional(false);
    let aside = server.volumes.strays.quarantine_unknown(2).into_iter().map(|file| file.name);
    assert_eq!(aside.collect::<Vec<_>>(), left, "power fails at {n}");
    assert_whole(&server, &bodies).await;
    (!ended).then_some(left.len())
}

#[test]
fn what_a_crash_leaves_of_a_superseded_shard_is_put_aside_at_once() {
    run(async {
        let mut left = 0;
        for n in 1.. {
            match left_over(n).await {
                Some(files) => left += files,
                None => break,
            }
        }
        assert!(left > 0, "there is a moment when both files are there");
    });
}

/// A healer in a hurry.
pub fn healer(server: &Server) -> Arc<Healer> {
    let clock = Arc::new(Simulated::new(1, 1));
    Arc::new(Healer::new(server.volumes.rebuilder.clone(), Pace::unbounded(clock.clone()), clock))
}

#[test]
fn the_healer_brings_back_what_two_drives_lost() {
    run(async {
        let world = World::on(G, 8, |disk| disk as u64);
        let (server, bodies) = sealed(&world, &[100, 1_300_000, 40_000]).await;
        let (away, emptied) = (drive_of(&world, 1), drive_of(&world, 4));
        drop(server);
        world.disks[emptied].erase();
        let server = world.start_without(&[away]).await;
        let healer = healer(&server);
        let before = healer.status();
        assert_eq!((before.missing_fragments, before.volumes_by_missing_shards), (2 * 2, vec![0, 0, 1]));
        assert_eq!(before.stripes_by_missing_shards, [0, 0, 2]);
        assert_eq!(healer.round().await, 2);
        let after = healer.status();
        assert_eq!((after.missing_fragments, after.shards_rebuilt, after.bytes_to_do), (0, 2, 0));
        assert_eq!((after.volumes_by_missing_shards, after.stripes_by_missing_shards), (vec![1], vec![2]));
        assert_whole(&server, &bodies).await;
        assert_eq!(healer.round().await, 0);
    });
}

#[test]
fn the_most_endangered_volume_is_healed_first() {
    run(async {
        let world = World::on(G, 8, |disk| disk as u64);
        let mut bodies = Vec::new();
        for seed in 0..2 {
            let server = world.start().await;
            bodies.push(server.put(&body(seed, 300_000)).await.unwrap());
        }
        let lose = |volume, shard: usize| {
            world.state.records.lock().unwrap().get_mut(&VolumeId(volume)).unwrap().shards[shard].lost = true;
        };
        [(1, 0), (2, 2), (2, 4)].into_iter().for_each(|(volume, shard)| lose(volume, shard));
        let server = world.start().await;
        assert_eq!(healer(&server).round().await, 3);
        assert_eq!(rebuilt(&world)[0].0, 2, "{:?}", rebuilt(&world));
    });
}

/// The volumes and shards that were rebuilt, in order.
fn rebuilt(world: &World) -> Vec<(u64, u8)> {
    let events = world.state.events.lock().unwrap();
    let rebuilt = events.iter().filter_map(|event| match event {
        VolumeEvent::ShardRebuilt { volume, shard, .. } => Some((volume.0, *shard)),
        _ => None,
    });
    rebuilt.collect()
}

#[test]
fn of_those_as_endangered_what_is_gone_for_good_is_healed_first() {
    run(async {
        for gone in ["failed", "given up"] {
            let world = World::on(G, 9, |disk| disk as u64);
            for seed in 0..2 {
                let server = world.start().await;
                server.put(&body(seed, 300_000)).await.unwrap();
            }
            let holds = |volume, disk| shard_file(&world, disk, VolumeId(volume)).is_some();
            let only =
                |volume, other| (0..9).find(|disk| holds(volume, *disk) && !holds(other, *disk)).unwrap();
            let (absent, lost) = (only(1, 2), only(2, 1));
            let server = match gone {
                "failed" => world.start_without(&[absent]).await,
                _ => world.start_without(&[absent, lost]).await,
            };
            match gone {
                "failed" => server.drives[lost].fail("a test said so"),
                _ => server.drives[lost].set_draining(true),
            }
            assert_eq!(healer(&server).round().await, 2);
            let order: Vec<u64> = rebuilt(&world).into_iter().map(|(volume, _)| volume).collect();
            assert_eq!(order, [2, 1], "{gone}");
        }
    });
}

#[test]
fn of_a_volumes_shards_what_is_gone_for_good_is_healed_first() {
    run(async {
        let world = World::on(G, 8, |disk| disk as u64);
        let (server, bodies) = sealed(&world, &[100, 1_300_000]).await;
        let absent = drive_of(&world, 0);
        drop(server);
        world.state.records.lock().unwrap().get_mut(&FIRST).unwrap().shards[3].lost = true;
        let server = world.start_without(&[absent]).await;
        assert_eq!(healer(&server).round().await, 2);
        assert_eq!(rebuilt(&world), [(1, 3), (1, 0)]);
        assert_whole(&server, &bodies).await;
    });
}

#[test]
fn without_a_spare_drive_a_volume_waits_and_is_handed_over_in_time() {
    #[derive(Default)]
    struct Told(std::sync::Mutex<Vec<VolumeId>>);
    impl Narrow for Told {
        fn narrow<'a>(&'a self, volume: &'a Claim) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
            self.0.lock().unwrap().push(volume.volume());
            Box::pin(std::future::ready(()))
        }
    }
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 1_300_000]).await;
        let away = drive_of(&world, 2);
        drop(server);
        let server = world.start_without(&[away]).await;
        let (clock, told) = (Arc::new(Simulated::new(1, 1)), Arc::new(Told::default()));
        let healer =
            Healer::new(server.volumes.rebuilder.clone(), Pace::unbounded(clock.clone()), clock.clone());
        let healer = Arc::new(healer.narrowing(Duration::from_secs(1800), told.clone()));
        for minutes in [0, 10, 10, 9] {
            clock.advance(Duration::from_secs(60 * minutes));
            assert_eq!(healer.round().await, 0);
        }
        let status = healer.status();
        assert_eq!((status.waiting_for_drive, status.missing_fragments), (1, 2), "{status:?}");
        assert!(told.0.lock().unwrap().is_empty());
        clock.advance(Duration::from_secs(61));
        healer.round().await;
        assert_eq!(*told.0.lock().unwrap(), [FIRST]);
        for (blob, bytes) in &bodies {
            assert!(server.get(blob).await.as_ref() == Ok(bytes));
        }
    });
}

#[test]
fn an_open_volume_that_lost_a_shard_is_sealed_and_healed() {
    run(async {
        let world = World::on(G, 7, |disk| disk as u64);
        let server = world.start().await;
        let bytes = body(1, 700_000);
        let blob = server.put(&bytes).await.unwrap();
        server.drives[drive_of(&world, 3)].fail("a test said so");
        let healer = healer(&server);
        assert!(healer.status().missing_fragments > 0);
        assert_eq!(healer.round().await, 0, "it is open");
        assert_eq!(server.volumes.tend().await.unwrap().sealed, 1);
        assert_eq!(healer.round().await, 1);
        assert_eq!(healer.status().missing_fragments, 0);
        assert_whole(&server, &[(blob, bytes)]).await;
    });
}

#[test]
fn what_readers_find_bad_is_mended_where_it_lies() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 3_000_000]).await;
        for (shard, at) in [(0, 8192 + 500), (2, 274_432 + 70_000)] {
            let disk = drive_of(&world, shard);
            world.disks[disk].flip_bit(&shard_file(&world, disk, FIRST).unwrap(), at * 8).unwrap();
        }
        assert!(server.get(&bodies[0].0).await.as_ref() == Ok(&bodies[0].1));
        let healer = healer(&server);
        assert_eq!(healer.status().bad_fragments, 2);
        assert_eq!(healer.round().await, 2);
        assert_eq!((healer.status().missing_fragments, healer.status().fragments_mended), (0, 2));
        assert_whole(&server, &bodies).await;
        assert_eq!(world.state.lost(), []);
    });
}

#[test]
fn what_is_beyond_repair_is_told_until_its_object_goes() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 1_000_000]).await;
        for shard in [0, 1, 5] {
            let disk = drive_of(&world, shard);
            world.disks[disk].flip_bit(&shard_file(&world, disk, FIRST).unwrap(), (8192 + 500) * 8).unwrap();
        }
        assert!(server.get(&bodies[0].0).await.is_err());
        let clock = Arc::new(Simulated::new(1, 1));
        let healer = Arc::new(Healer::new(
            server.volumes.rebuilder.clone(),
            Pace::unbounded(clock.clone()),
            clock.clone(),
        ));
        let unreadable = || (healer.status().unreadable_stripes, healer.status().bad_fragments);
        assert_eq!((healer.round().await, unreadable()), (0, (1, 0)));
        assert_eq!((healer.round().await, unreadable()), (0, (1, 0)));
        let lost = healer.lost();
        assert!(lost.has(FIRST, 8192) != lost.has(FIRST, 4096));
        // Its object goes, and with it the loss.
        server.delete(&bodies[0].0);
        clock.advance(Duration::from_secs(31));
        assert_eq!((healer.round().await, unreadable()), (0, (0, 0)));
        assert!(healer.lost().is_empty());
    });
}

#[test]
fn a_full_disk_pauses_heal_and_doesnt_wedge_it() {
    run(async {
        let world = World::on(G, 7, |disk| disk as u64);
        let (server, bodies) = sealed(&world, &[100, 3_000_000]).await;
        let (away, spare) = (drive_of(&world, 1), spares(&world)[0]);
        drop(server);
        let server = world.start_without(&[away]).await;
        let clock = Arc::new(Simulated::new(1, 1));
        let healer = Arc::new(Healer::new(
            server.volumes.rebuilder.clone(),
            Pace::unbounded(clock.clone()),
            clock.clone(),
        ));
        world.disks[spare].set_capacity(Some(300_000));
        assert_eq!(healer.round().await, 0);
        assert_eq!(healer.status().waiting_for_space, 1);
        assert!(world.disks[spare].files().is_empty() && server.drives[spare].is_healthy());
        world.disks[spare].set_capacity(None);
        assert_eq!(healer.round().await, 0, "not before its time");
        clock.advance(Duration::from_secs(31));
        assert_eq!(healer.round().await, 1);
        assert_whole(&server, &bodies).await;
    });
}
