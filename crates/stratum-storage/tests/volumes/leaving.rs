//! What it would take to do without a drive.

use crate::heal::{FIRST, G, drive_of, spares};
use crate::world::{Server, World, body, run};
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::DriveId;

const BODY: usize = 12 << 20;

async fn loaded(disks: usize) -> World {
    let world = World::on(G, disks, |disk| disk as u64);
    world.start().await.put(&body(1, BODY)).await.unwrap();
    world
}

/// In tenths of the body: what comes to lie on the others, what is written anew, and over how many data shards.
fn without(server: &Server, disks: &[usize]) -> Option<(u64, u64, u8)> {
    let leaving: Vec<DriveId> = disks.iter().map(|disk| DriveId(*disk as u128 + 1)).collect();
    let without = server.volumes.table.without(Tier::Hot, &leaving)?;
    let tenths = |bytes: u64| (bytes * 10 + BODY as u64 / 2) / BODY as u64;
    assert_eq!(without.geometry.m, G.m);
    Some((tenths(without.bytes), tenths(without.narrowed), without.geometry.k))
}

#[test]
fn a_shard_moves_where_there_is_a_drive_for_it() {
    run(async {
        let world = loaded(9).await;
        let (holds, spare) = ([drive_of(&world, 0), drive_of(&world, 5)], spares(&world));
        let server = world.start().await;
        assert_eq!(without(&server, &[spare[0]]), Some((0, 0, 4)));
        assert_eq!(without(&server, &holds[..1]), Some((3, 0, 4)), "a quarter of the payload");
        assert_eq!(without(&server, &holds), Some((5, 0, 4)));
        drop(server);
        let server = world.start_without(&holds[1..]).await;
        assert_eq!(without(&server, &holds[..1]), Some((5, 0, 4)), "what is missing must find a place, too");
        assert_eq!(without(&server, &[]), Some((3, 0, 4)));
    });
}

#[test]
fn what_a_volume_misses_is_moved_before_what_leaves() {
    run(async {
        let world = loaded(6).await;
        let server = world.start().await;
        assert_eq!(server.volumes.table.leaving_shards(), []);
        server.drives[drive_of(&world, 4)].fail("a test said so");
        assert_eq!(server.volumes.table.leaving_shards(), [], "that is for heal");
        server.drives[drive_of(&world, 1)].set_draining(true);
        assert_eq!(server.volumes.table.leaving_shards(), [(FIRST, 4), (FIRST, 1)]);
    });
}

#[test]
fn a_narrower_geometry_takes_more() {
    run(async {
        let world = loaded(6).await;
        let server = world.start().await;
        // 5/3 of the payload over five drives, of which 5/4 lie there now; 4/2 over four, of which 4/4 do.
        assert_eq!(without(&server, &[0]), Some((4, 10, 3)));
        assert_eq!(without(&server, &[0, 3]), Some((10, 10, 2)));
        assert_eq!(without(&server, &[0, 3, 4]), Some((23, 10, 1)), "3/1, of which 3/4 lie there");
        assert_eq!(without(&server, &[0, 3, 4, 5]), None, "and with two there is no data");
        server.drives[3].fail("a test said so");
        assert_eq!(without(&server, &[0]), Some((10, 10, 2)), "a drive that failed counts as one that goes");
        server.drives[4].set_draining(true);
        assert_eq!(without(&server, &[0]), Some((23, 10, 1)), "so does one that is on its way out");
        assert_eq!(without(&server, &[0, 1]), None);
        let narrow = Geometry { k: 3, m: 2 };
        drop(server);
        // Volumes that are narrow already need not be written anew.
        let server = world.start_without(&[5]).await;
        world.state.records.lock().unwrap().clear();
        server.put(&body(2, BODY)).await.unwrap();
        drop(server);
        let server = world.start().await;
        assert!(world.state.records.lock().unwrap().values().all(|record| record.geometry == narrow));
        assert_eq!(without(&server, &[0]), Some((3, 0, 3)));
    });
}
