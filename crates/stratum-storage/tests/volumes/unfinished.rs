//! Shard files that whoever wrote them could not finish: nothing names them, and nothing of them stays.

use crate::heal::G;
use crate::world::{World, body, run};
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::drive::OpenHow;
use stratum_storage::heal::Healer;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::task;
use stratum_storage::volume::{ShardFiles, StrayKind, TierDrives};
use tokio::sync::watch;

fn plant(world: &World, disk: usize, name: &str) {
    let io = world.disks[disk].attach();
    let file = io.open(&format!("volumes/{name}"), OpenHow::CreateNew).unwrap();
    file.write_at(&[b"begun"], 0).unwrap();
    file.sync().unwrap();
    io.sync_dir("volumes").unwrap();
}

fn unfinished(world: &World) -> Vec<String> {
    let files = world.disks.iter().flat_map(|disk| disk.files());
    files.filter(|path| path.ends_with(".tmp")).collect()
}

#[test]
fn a_start_removes_what_no_record_names_and_nothing_else() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let bytes = body(1, 100_000);
        let blob = server.put(&bytes).await.unwrap();
        let known = world.disks[3].files()[0].trim_start_matches("volumes/").to_owned();
        drop(server);
        let next = format!("{}.tmp", known.replace(".g0", ".g1"));
        // The last but one would be all there is of a file that a record names; the last is nobody's.
        let left = ["v0000000000000000.s00.g0.tmp", &next, &format!("{known}.tmp"), "what.tmp"];
        left.iter().for_each(|name| plant(&world, 3, name));
        world.state.set_provisional(true);
        let server = world.start().await;
        assert_eq!(
            (server.restored.unfinished, unfinished(&world).len()),
            (0, 4),
            "not of a provisional state"
        );
        let tiers = [TierDrives { tier: Tier::Hot, geometry: G, drives: server.roster.clone() }];
        let records: Vec<_> = world.state.records.lock().unwrap().values().cloned().collect();
        let mut told = ShardFiles::find(&tiers).strays(&records);
        told.sort();
        assert!(told.len() == 3 && told.iter().all(|stray| stray.kind == StrayKind::Unfinished), "{told:?}");
        drop(server);
        world.state.set_provisional(false);
        let server = world.start().await;
        assert_eq!(server.restored.unfinished, 2);
        assert_eq!(unfinished(&world), [format!("volumes/{known}.tmp"), "volumes/what.tmp".to_owned()]);
        assert_eq!(server.get(&blob).await.unwrap(), bytes);

        // While the server runs, what a broken-off move left goes at the first look, unless somebody works on the
        // volume.
        plant(&world, 3, &next);
        let claim = server.volumes.table.try_claim(VolumeId(1)).unwrap();
        assert_eq!(server.volumes.strays.remove_unfinished().left, 2);
        drop(claim);
        server.volumes.strays.quarantine_unknown(1);
        assert!(!unfinished(&world).contains(&format!("volumes/{next}")));
    });
}

#[test]
fn a_healer_that_is_stopped_leaves_nothing() {
    run(async {
        let world = World::on(G, 7, |disk| disk as u64);
        let server = world.start().await;
        server.put(&body(1, 300_000)).await.unwrap();
        drop(server);
        let lost = |shard: usize| {
            world.state.records.lock().unwrap().get_mut(&VolumeId(1)).unwrap().shards[shard].lost = true;
        };
        lost(1);
        let server = world.start().await;
        let clock = Arc::new(Simulated::new(1, 1));
        let pace = Pace::unbounded(clock.clone());
        pace.pause(Class::Heal, true);
        let (stop, stopped) = watch::channel(false);
        let healer = Arc::new(Healer::new(server.volumes.rebuilder.clone(), pace, clock));
        let healing = tokio::spawn(task::run(Arc::new(healer), stopped));
        while unfinished(&world).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.send_replace(true);
        healing.await.unwrap();
        assert_eq!(unfinished(&world), [""; 0]);
    });
}
