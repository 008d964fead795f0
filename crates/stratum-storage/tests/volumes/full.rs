//! Drives without space: what is new is written over the others, and nobody takes that for a failure.

use crate::world::{Server, World, body, run, shard_file};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::simulated::Op;
use stratum_storage::writepath::{Fill, Leave, Refusal, WriteError};

const G: Geometry = Geometry { k: 4, m: 2 };
const NARROW: Geometry = Geometry { k: 3, m: 2 };

fn volume_of(blob: &BlobRef) -> VolumeId {
    let Place::Extents(extents) = &blob.place else { panic!("a body in a volume") };
    extents[0].volume
}

fn geometry_of(world: &World, blob: &BlobRef) -> Geometry {
    world.state.records.lock().unwrap()[&volume_of(blob)].geometry
}

fn fills(server: &Server) -> Vec<Fill> {
    server.volumes.writer.fullness()[0].drives.iter().map(|(_, fill)| *fill).collect()
}

#[test]
fn one_full_drive_of_six_makes_new_volumes_narrower() {
    run(async {
        let mut world = World::new(G);
        world.reserve = 1 << 20;
        let server = world.start().await;
        let first = server.put(&body(1, 1_000_000)).await.unwrap();
        assert_eq!(geometry_of(&world, &first), G);
        assert_eq!(fills(&server), [Fill::HasRoom; 6]);
        world.disks[2].set_capacity(Some(world.disks[2].used() + (2 << 20)));
        assert_eq!(fills(&server)[2], Fill::Full);
        let bytes = body(2, 20_000_000);
        let next = server.put(&bytes).await.unwrap();
        assert_eq!(geometry_of(&world, &next), NARROW);
        assert_eq!(shard_file(&world, 2, volume_of(&next)), None);
        assert!(server.get(&next).await.unwrap() == bytes);
        assert!(server.drives[2].is_healthy());
        assert_eq!(server.state.lost(), []);
        assert_eq!(server.volumes.writer.check_room(Tier::Hot, 50_000_000, Leave::Reserve), Ok(()));
        let fullness = &server.volumes.writer.fullness()[0];
        assert_eq!(
            (fullness.geometry, fullness.with_room, fullness.refusal()),
            (Some(NARROW), Some(G), None)
        );
        // There is space again: what is opened next is wide.
        world.disks[2].set_capacity(None);
        drop(server);
        let server = world.start().await;
        let wide = server.put(&bytes).await.unwrap();
        assert_eq!(geometry_of(&world, &wide), G);
    });
}

#[test]
fn with_space_on_too_few_drives_writes_are_refused() {
    run(async {
        let mut world = World::new(G);
        world.reserve = 1 << 20;
        for disk in &world.disks[..3] {
            disk.set_capacity(Some(1 << 20));
        }
        let server = world.start().await;
        let bytes = body(1, 100_000);
        let blob = server.put(&bytes).await.unwrap();
        assert_eq!(geometry_of(&world, &blob), Geometry { k: 1, m: 2 });
        world.disks[3].set_capacity(Some(world.disks[3].used() + 1));
        assert_eq!(server.put(&body(2, 30_000_000)).await, Err(WriteError::NoSpace(Tier::Hot)));
        assert_eq!(server.volumes.writer.fullness()[0].refusal(), Some(Refusal::Space));
        assert!(server.volumes.writer.check_room(Tier::Hot, 1, Leave::Reserve).is_err());
        assert!(server.get(&blob).await.unwrap() == bytes);
    });
}

#[test]
fn small_bodies_leave_the_reserve_alone_too() {
    run(async {
        let mut world = World::new(G);
        world.reserve = 1 << 20;
        let server = world.start().await;
        let takes_many = async || {
            for _ in 0..1000 {
                if !server.volumes.writer.takes_small(30_000).await {
                    return false;
                }
            }
            true
        };
        assert!(takes_many().await);
        for disk in &world.disks {
            disk.set_capacity(Some(disk.used() + (2 << 20)));
        }
        assert!(!takes_many().await);
        assert!(!server.volumes.writer.takes_small(0).await, "also an empty one takes an entry");
        // As soon as there is space again.
        world.disks.iter().for_each(|disk| disk.set_capacity(None));
        assert!(server.volumes.writer.takes_small(30_000).await);
    });
}

#[test]
fn a_drive_that_has_no_space_in_the_middle_of_a_write_costs_its_shard_and_no_more() {
    run(async {
        for op in [Op::Write, Op::Sync] {
            for n in [1, 2] {
                let world = World::new(G);
                let server = world.start().await;
                server.put(&body(1, 1_000_000)).await.unwrap();
                world.disks[3].refuse_nth(op, n);
                let bytes = body(2, 2_500_000);
                let blob = server.put(&bytes).await.unwrap();
                if server.state.lost().is_empty() {
                    // The second sync of that drive comes with a later body.
                    server.put(&body(3, 100_000)).await.unwrap();
                }
                assert!(server.drives[3].is_healthy(), "lack of space is no failure");
                assert_eq!(server.state.lost().len(), 1, "{op:?} {n}");
                assert!(server.get(&blob).await.unwrap() == bytes);
                let next = server.put(&bytes).await.unwrap();
                assert_eq!(geometry_of(&world, &next), NARROW, "it is left out for a while");
            }
        }
    });
}

/// A sync that fails may take with it what others wrote to the same file: whoever comes next must not count on it, even
/// where the one whose sync it was has told nobody.
#[test]
fn a_sync_that_finds_no_space_is_known_to_all_who_wrote_there() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 1_000_000)).await.unwrap();
        // Several stripes, which are synced in the end.
        let bytes = body(2, 2_500_000);
        let mut other = server.volumes.writer.write(Tier::Hot, bytes.len() as u64).await.unwrap();
        other.push(bytes).await.unwrap();
        world.disks[0].refuse_nth(Op::Sync, 1);
        world.disks[4].refuse_nth(Op::Sync, 1);
        assert_eq!(server.put(&body(3, 2_500_000)).await, Err(WriteError::NoSpace(Tier::Hot)));
        let refused = other.finish().await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, WriteError::TooFewShards { left: 4, needed: 5, .. }), "{refused}");
    });
}

#[test]
fn a_write_for_which_too_few_drives_have_space_says_so() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        server.put(&body(1, 1_000_000)).await.unwrap();
        world.disks[0].refuse_nth(Op::Write, 1);
        world.disks[4].refuse_nth(Op::Write, 1);
        assert_eq!(server.put(&body(2, 50_000)).await, Err(WriteError::NoSpace(Tier::Hot)));
        assert_eq!(server.state.lost(), [], "nothing was acknowledged, nothing need be known");
        server.put(&body(2, 50_000)).await.unwrap();
    });
}

#[test]
fn drives_of_one_device_are_full_together() {
    run(async {
        let world = World::on(G, 6, |_| 7);
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(8 << 20)));
        let server = world.start().await;
        assert_eq!(fills(&server), [Fill::Full; 6]);
        assert_eq!(server.volumes.writer.fullness()[0].refusal(), Some(Refusal::Space));
    });
}

#[test]
fn bad_pieces_count_against_the_drive_that_gave_them() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let bytes = body(1, 2_000_000);
        let blob = server.put(&bytes).await.unwrap();
        world.disks[1].rot_reads(Some(1));
        for _ in 0..3 {
            assert!(server.get(&blob).await.unwrap() == bytes);
        }
        let bad: Vec<bool> = server.drives.iter().map(|drive| drive.bad_pieces() > 0).collect();
        assert_eq!(bad, [false, true, false, false, false, false]);
        assert!(!server.drives[1].is_rotting(), "each bad fragment counts once");
        let more = body(2, 30_000_000);
        let blob = server.put(&more).await.unwrap();
        assert!(server.get(&blob).await.unwrap() == more);
        assert!(server.drives[1].is_rotting() && server.drives[1].is_healthy());
    });
}
