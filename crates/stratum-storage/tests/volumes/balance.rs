//! A drive that joins gets its share of what lies on the others, and nothing is ever on fewer drives for it.

use crate::heal::{G, healer, hurry};
use crate::world::{Server, World, body, run};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Simulated;
use stratum_storage::balance::Balancer;
use stratum_storage::blob::{BlobRef, VolumeId};
use stratum_storage::drive::simulated::Op;
use stratum_storage::inspect;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::volume::VolumeEvent;

/// About 3 MiB a shard.
const BODY: usize = 12 << 20;

fn balancer(server: &Server, clock: &Arc<Simulated>, pace: &Arc<Pace>) -> Arc<Balancer> {
    Arc::new(Balancer::new(server.volumes.rebuilder.clone(), healer(server), pace.clone(), clock.clone()))
}

fn clock() -> Arc<Simulated> {
    Arc::new(Simulated::new(1, 1))
}

/// So many sealed volumes over six drives, in a world that then has `drives` of them.
async fn grown(volumes: u64, drives: usize, device: impl Fn(usize) -> u64) -> (World, Vec<(BlobRef, Bytes)>) {
    let mut world = World::on(G, drives, device);
    let added = world.disks.split_off(6);
    let mut bodies = Vec::new();
    for seed in 0..volumes {
        let server = world.start().await;
        let bytes = body(seed, BODY);
        bodies.push((server.put(&bytes).await.unwrap(), bytes));
    }
    world.disks.extend(added);
    (world, bodies)
}

/// How many shards lie on each drive, as the records say.
fn shards(world: &World) -> Vec<usize> {
    let records = world.state.records.lock().unwrap();
    let mut counts = vec![0; world.disks.len()];
    for record in records.values() {
        let drives: BTreeSet<_> = record.shards.iter().map(|shard| shard.drive).collect();
        assert_eq!(drives.len(), record.shards.len(), "{record:?}");
        assert!(record.shards.iter().all(|shard| !shard.lost));
        drives.iter().for_each(|drive| counts[drive.0 as usize - 1] += 1);
    }
    counts
}

async fn assert_whole(world: &World, server: &Server, bodies: &[(BlobRef, Bytes)]) {
    for (blob, bytes) in bodies {
        assert!(server.get(blob).await.as_ref() == Ok(bytes));
    }
    let volumes: Vec<VolumeId> = world.state.records.lock().unwrap().keys().copied().collect();
    for volume in volumes {
        let verified = inspect::verify(&server.volumes.table, volume).await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
    }
    let files: usize = world.disks.iter().map(|disk| disk.files().len()).sum();
    assert_eq!(files, shards(world).iter().sum::<usize>(), "a file for each shard, and no other");
}

#[test]
fn a_drive_that_joined_gets_its_share_whatever_devices_there_are() {
    run(async {
        for one_device in [false, true] {
            let device = |disk| if one_device { 1 } else { disk as u64 };
            let (world, bodies) = grown(14, 7, device).await;
            let server = world.start().await;
            let balancer = balancer(&server, &clock(), &hurry());
            assert_eq!(shards(&world), [14, 14, 14, 14, 14, 14, 0]);
            let moved = balancer.round().await;
            let counts = shards(&world);
            assert!(counts.iter().all(|count| (10..=13).contains(count)), "{counts:?}");
            assert_eq!(counts[6] as u64, moved, "nothing moves twice, nor to another drive");
            let status = balancer.status();
            assert_eq!((status.shards_moved, status.bytes_to_do, status.moving), (moved, 0, None));
            assert_eq!(balancer.round().await, 0, "and then it is quiet");
            assert_whole(&world, &server, &bodies).await;
            drop(server);
            let server = world.start().await;
            assert_eq!((server.restored.shards_lost, server.restored.unknown.len()), (0, 0));
            assert_whole(&world, &server, &bodies).await;
        }
    });
}

#[test]
fn a_move_reads_the_shard_and_not_the_whole_volume() {
    run(async {
        let (world, bodies) = grown(8, 7, |disk| disk as u64).await;
        let (server, pace) = (world.start().await, hurry());
        let moved = balancer(&server, &clock(), &pace).round().await;
        let done = pace.done(Class::Balance);
        // Read, written, and read again.
        let shard = BODY as u64 / 4 + (64 << 10);
        assert!(moved > 0 && done.bytes <= 3 * moved * shard, "{done:?} for {moved} shards");
        assert_whole(&world, &server, &bodies).await;
    });
}

#[test]
fn what_reads_back_wrong_is_not_moved() {
    run(async {
        let (world, bodies) = grown(8, 7, |disk| disk as u64).await;
        let server = world.start().await;
        let balancer = balancer(&server, &clock(), &hurry());
        let moving = balancer.round();
        let spoiling = async {
            // As soon as two fragments are written the first of them rots.
            while world.disks[6].used() < 600_000 {
                tokio::task::yield_now().await;
            }
            let file = world.disks[6].files().remove(0);
            world.disks[6].flip_bit(&file, (4096 + 5000) * 8).unwrap();
        };
        let (moved, ()) = tokio::join!(moving, spoiling);
        assert_eq!(moved, 0);
        assert!(world.disks[6].files().is_empty(), "nothing is left behind");
        assert_eq!(shards(&world)[6], 0);
        assert_whole(&world, &server, &bodies).await;
        assert!(balancer.round().await > 0, "others are moved");
    });
}

#[test]
fn a_rotten_fragment_is_computed_on_the_way() {
    run(async {
        let (world, bodies) = grown(8, 7, |disk| disk as u64).await;
        for disk in &world.disks[..2] {
            for file in disk.files() {
                disk.flip_bit(&file, (4096 + 5000) * 8).unwrap();
            }
        }
        let server = world.start().await;
        assert!(balancer(&server, &clock(), &hurry()).round().await > 0);
        let records: Vec<_> = world.state.records.lock().unwrap().values().cloned().collect();
        for record in records {
            let verified = inspect::verify(&server.volumes.table, record.id).await.unwrap();
            let moved = record.shards.iter().position(|shard| shard.drive.0 == 7).map(|shard| shard as u8);
            let flawed = |shard: u8| {
                verified.stripes_found.iter().any(|found| found.flaws.iter().any(|flaw| flaw.0 == shard))
            };
            assert!(moved.is_none_or(|moved| !flawed(moved)), "{verified:?}");
        }
        for (blob, bytes) in &bodies {
            assert!(server.get(blob).await.as_ref() == Ok(bytes));
        }
    });
}

#[test]
fn heal_a_drain_and_a_pause_go_first() {
    run(async {
        let (world, bodies) = grown(8, 8, |disk| disk as u64).await;
        world.state.records.lock().unwrap().get_mut(&VolumeId(1)).unwrap().shards[0].lost = true;
        let (server, pace, clock) = (world.start().await, hurry(), clock());
        let balancer = balancer(&server, &clock, &pace);
        let waits = async |what: &str| {
            assert_eq!(balancer.round().await, 0);
            let status = balancer.status();
            assert!(status.waits_for.as_deref().is_some_and(|why| why.contains(what)), "{status:?}");
            assert!(status.bytes_to_do > 0);
        };
        waits("heal").await;
        while healer(&server).round().await > 0 {}
        pace.pause(Class::Balance, true);
        waits("resume").await;
        pace.pause(Class::Balance, false);
        server.drives[2].set_draining(true);
        waits("drained").await;
        server.drives[2].set_draining(false);
        assert!(balancer.round().await > 0);
        for (blob, bytes) in &bodies {
            assert!(server.get(blob).await.as_ref() == Ok(bytes));
        }
    });
}

#[test]
fn without_room_it_waits_and_a_target_that_fails_costs_nothing() {
    run(async {
        let (mut world, bodies) = grown(8, 7, |_| 1).await;
        world.reserve = 3 << 20;
        // The space that the first drive reports counts for the whole device.
        world.disks[0].set_capacity(Some(world.disks[0].used() + (4 << 20)));
        let server = world.start().await;
        let balancer = balancer(&server, &clock(), &hurry());
        assert_eq!(balancer.round().await, 0);
        let status = balancer.status();
        assert!(status.waits_for.as_deref().is_some_and(|why| why.contains("room")), "{status:?}");
        world.disks[0].set_capacity(None);
        world.disks[6].fail_nth(Op::Write, 3);
        assert_eq!(balancer.round().await, 0);
        assert!(!server.drives[6].is_healthy());
        assert_eq!(shards(&world)[6], 0);
        for (blob, bytes) in &bodies {
            assert!(server.get(blob).await.as_ref() == Ok(bytes));
        }
    });
}

#[test]
fn a_move_that_is_broken_off_leaves_nothing() {
    run(async {
        let (world, bodies) = grown(8, 7, |disk| disk as u64).await;
        let clock = clock();
        let (server, pace) = (world.start().await, Pace::new(Default::default(), clock.clone()));
        let balancer = balancer(&server, &clock, &pace);
        let pausing = async {
            while world.disks[6].used() < 600_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            pace.pause(Class::Balance, true);
        };
        let (moved, ()) = tokio::join!(balancer.round(), pausing);
        assert_eq!((moved, world.disks[6].files().len()), (0, 0));
        assert_eq!(balancer.status().moving, None);
        assert!(server.volumes.table.try_claim(VolumeId(8)).is_some());
        assert_whole(&world, &server, &bodies).await;
    });
}

/// Power fails at operation `n` of the moves; true if they ended before.
async fn crash_at(n: u64) -> bool {
    let (world, bodies) = grown(4, 7, |disk| disk as u64).await;
    let server = world.start().await;
    world.power.fail_at(n);
    balancer(&server, &clock(), &hurry()).round().await;
    let ended = !world.power.is_off();
    world.disks.iter().for_each(|disk| disk.crash(n));
    world.power.restore();
    let server = world.start().await;
    let moves = |event: &VolumeEvent| matches!(event, VolumeEvent::ShardRebuilt { .. });
    let moved = world.state.events.lock().unwrap().iter().filter(|event| moves(event)).count();
    assert_eq!(shards(&world)[6], moved, "power fails at {n}");
    for (blob, bytes) in &bodies {
        assert!(server.get(blob).await.as_ref() == Ok(bytes), "power fails at {n}");
    }
    for volume in 1..=4 {
        assert!(
            inspect::verify(&server.volumes.table, VolumeId(volume)).await.unwrap().is_whole(),
            "power fails at {n}"
        );
    }
    // It goes on where it was.
    balancer(&server, &clock(), &hurry()).round().await;
    assert!(shards(&world)[6] >= 2, "power fails at {n}");
    ended
}

#[test]
fn power_may_fail_anywhere_in_a_move() {
    run(async {
        let mut points = 0;
        for n in 1.. {
            points = n;
            if crash_at(n).await {
                break;
            }
        }
        assert!(points > 20, "only {points} points: a move shrank");
    });
}
