//! Power fails at every operation of a workload: every committed body comes back after it.

use crate::world::{World, body, run};
use bytes::Bytes;
use stratum_storage::blob::{BlobRef, Geometry};
use stratum_storage::writepath::WriteError;

/// Writes, deletes and upkeep; what was acknowledged and not deleted.
async fn workload(world: &World, survivors: &mut Vec<(BlobRef, Bytes)>) -> Result<(), WriteError> {
    let Some(server) = world.try_start(&[]).await else {
        return Err(WriteError::Unavailable("no power".into()));
    };
    for (seed, length) in [(1, 40_000), (2, 700_000), (3, 100), (4, 300_000)] {
        let bytes = body(seed, length);
        let blob = server.put(&bytes).await?;
        survivors.push((blob, bytes));
        if seed == 2 {
            let (blob, _) = survivors.remove(0);
            server.delete(&blob);
            let _ = server.volumes.tend().await;
        }
    }
    Ok(())
}

/// Power fails at operation `n`; then the drives come back with some of what wasn't synced, and without `missing`.
/// True if the workload ended before.
async fn crash_at(geometry: Geometry, n: u64, seed: u64, missing: &[usize]) -> bool {
    let world = World::new(geometry);
    let mut survivors = Vec::new();
    world.power.fail_at(n);
    let ended = workload(&world, &mut survivors).await.is_ok();
    if ended && !world.power.is_off() {
        return true;
    }
    world.disks.iter().for_each(|disk| disk.crash(seed ^ n));
    world.power.restore();
    let server = world.start_without(missing).await;
    for (blob, bytes) in &survivors {
        assert!(server.get(blob).await.as_ref() == Ok(bytes), "power fails at {n}, missing {missing:?}");
    }
    let more = body(77, 50_000);
    let health: Vec<_> = server.drives.iter().map(|drive| drive.health()).collect();
    let blob = match server.put(&more).await {
        Ok(blob) => blob,
        Err(error) => panic!("power fails at {n}: writes don't go on: {error}, {health:?}"),
    };
    assert!(server.get(&blob).await.unwrap() == more);
    false
}

#[test]
fn power_may_fail_anywhere() {
    run(async {
        let geometry = Geometry { k: 2, m: 1 };
        for seed in 0..6 {
            let mut points = 0;
            for n in 1.. {
                let missing: &[usize] = [&[][..], &[0], &[1], &[2]][(n + seed) as usize % 4];
                points = n;
                if crash_at(geometry, n, seed * 1000, missing).await {
                    break;
                }
            }
            assert!(points > 40, "only {points} points: the workload shrank");
        }
    });
}

#[test]
fn power_may_fail_anywhere_on_one_drive() {
    run(async {
        for n in 1.. {
            if crash_at(Geometry { k: 1, m: 0 }, n, 5, &[]).await {
                break;
            }
        }
    });
}
