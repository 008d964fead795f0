//! Whatever happens to `m` shards, the bytes come back; whatever happens to more, no wrong byte does.

use crate::world::{Server, World, body, run, shard_file};
use bytes::Bytes;
use std::collections::HashSet;
use stratum_storage::blob::{BlobRef, Geometry, Place, VolumeId};
use stratum_storage::drive::{DriveIo, OpenHow};
use stratum_storage::format::layout::Stripe;
use stratum_storage::readpath::ReadError;

const G: Geometry = Geometry { k: 4, m: 2 };

/// A world with one body of a few stripes, and its volume.
async fn with_body(length: usize) -> (World, Server, Bytes, BlobRef, VolumeId) {
    let world = World::new(G);
    let server = world.start().await;
    let bytes = body(3, length);
    let blob = server.put(&bytes).await.unwrap();
    let Place::Extents(extents) = &blob.place else { panic!() };
    let volume = extents[0].volume;
    (world, server, bytes, blob, volume)
}

/// Two of six disks, all pairs.
fn pairs() -> impl Iterator<Item = [usize; 2]> {
    (0..6).flat_map(|a| (a + 1..6).map(move |b| [a, b]))
}

/// Overwrites bytes of a shard file behind the server's back.
fn overwrite(world: &World, disk: usize, volume: VolumeId, change: impl FnOnce(&dyn DriveIo, &str)) {
    let path = shard_file(world, disk, volume).unwrap();
    change(world.disks[disk].attach().as_ref(), &path);
}

#[test]
fn any_two_drives_may_be_missing_at_a_start() {
    run(async {
        let (world, server, bytes, blob, _) = with_body(2_300_000).await;
        drop(server);
        for missing in pairs() {
            let server = world.start_without(&missing).await;
            assert!(server.get(&blob).await.unwrap() == bytes, "{missing:?}");
            assert!(
                server.get_range(&blob, 300_000..300_100).await.unwrap() == bytes.slice(300_000..300_100)
            );
            assert_eq!(server.state.lost(), [], "a drive that is away has lost nothing");
        }
        let server = world.start_without(&[0, 1, 2]).await;
        assert!(matches!(server.get(&blob).await, Err(ReadError::Damaged { present: 3, needed: 4, .. })));
    });
}

#[test]
fn any_two_drives_may_be_erased_or_scrambled_under_the_server() {
    run(async {
        for (seed, hurt) in pairs().enumerate() {
            let (world, server, bytes, blob, _) = with_body(2_300_000).await;
            for disk in hurt {
                world.disks[disk].scramble(seed as u64);
            }
            assert!(server.get(&blob).await.unwrap() == bytes, "{hurt:?} scrambled");
            let shards: HashSet<u8> =
                server.volumes.table.bad_fragments().iter().map(|bad| bad.shard).collect();
            // Disks 5 and 0 hold this volume's parity, which a good read doesn't look at.
            assert!(shards.len() <= 2 && (!shards.is_empty() || hurt == [0, 5]), "{shards:?}");
            for disk in hurt {
                world.disks[disk].erase();
            }
            assert!(server.get(&blob).await.unwrap() == bytes, "{hurt:?} erased");
            world.disks.iter().for_each(|disk| disk.kill());
            let server = world.start().await;
            assert!(server.get(&blob).await.unwrap() == bytes, "{hurt:?} erased, after a start");
            assert_eq!(server.restored.shards_lost, 2);
            assert_eq!(server.state.lost().len(), 2, "files that are gone on drives that are there");
        }
    });
}

#[test]
fn a_flipped_bit_anywhere_is_repaired_on_the_way_out() {
    run(async {
        let (world, server, bytes, blob, volume) = with_body(1_000_000).await;
        for (disk, world_disk) in world.disks.iter().enumerate() {
            let path = shard_file(&world, disk, volume).unwrap();
            world_disk.flip_bit(&path, (4096 + 64 + 1 + disk as u64 * 20_000) * 8 + 3).unwrap();
            assert!(server.get(&blob).await.unwrap() == bytes);
        }
        let bad = server.volumes.table.bad_fragments();
        assert!(
            !bad.is_empty() && bad.iter().all(|bad| bad.volume == volume && bad.offset == 4096),
            "{bad:?}"
        );
        assert_eq!(server.state.lost(), [], "a bad fragment isn't a lost shard");
    });
}

#[test]
fn a_small_read_of_a_bad_block_is_not_answered_from_the_cache() {
    run(async {
        let (world, server, bytes, blob, volume) = with_body(100_000).await;
        let shard0 =
            (0..6).find(|disk| shard_file(&world, *disk, volume).unwrap().contains(".s00.")).unwrap();
        let path = shard_file(&world, shard0, volume).unwrap();
        world.disks[shard0].flip_bit(&path, (4096 + 64 + 4 + 10) * 8).unwrap();
        let mut reader = server.volumes.reader.read(&server.volumes.reader.pin(), &blob, 0..100).unwrap();
        assert!(reader.try_all_cached().is_none());
        assert!(reader.next().await.unwrap().unwrap() == bytes.slice(0..100));
        assert!(reader.next().await.is_none());
    });
}

#[test]
fn misdirected_and_swapped_fragments_are_caught() {
    run(async {
        let (world, server, bytes, blob, volume) = with_body(3 << 20).await;
        let disk_len = Stripe::full(G).disk();
        // The first two stripes of shard 0 trade places; shard 1 holds the third one's fragment twice.
        overwrite(&world, 1, volume, |io, path| {
            let file = io.open(path, OpenHow::Write).unwrap();
            let mut stripes = vec![0; 2 * disk_len as usize];
            file.read_at(&mut stripes, 4096).unwrap();
            let (first, second) = stripes.split_at(disk_len as usize);
            file.write_at(&[second, first], 4096).unwrap();
        });
        overwrite(&world, 2, volume, |io, path| {
            let file = io.open(path, OpenHow::Write).unwrap();
            let mut third = vec![0; disk_len as usize];
            file.read_at(&mut third, 4096 + 2 * disk_len).unwrap();
            file.write_at(&[&third], 4096).unwrap();
        });
        assert!(server.get(&blob).await.unwrap() == bytes);
        let bad: Vec<(u8, u64)> =
            server.volumes.table.bad_fragments().iter().map(|bad| (bad.shard, bad.offset)).collect();
        assert_eq!(bad, [(0, 4096), (0, 4096 + disk_len), (1, 4096)]);
    });
}

#[test]
fn a_drive_that_comes_back_stale_is_read_around() {
    run(async {
        let (world, server, old, old_blob, _) = with_body(700_000).await;
        let before: Vec<_> = world.disks.iter().map(|disk| disk.snapshot()).collect();
        let new = body(9, 2_000_000);
        let new_blob = server.put(&new).await.unwrap();
        for stale in pairs() {
            let now: Vec<_> = stale.iter().map(|disk| world.disks[*disk].snapshot()).collect();
            stale.iter().for_each(|disk| world.disks[*disk].rollback(&before[*disk]));
            let server = world.start().await;
            assert!(server.get(&new_blob).await.unwrap() == new, "{stale:?}");
            assert!(server.get(&old_blob).await.unwrap() == old, "{stale:?}");
            stale.iter().zip(&now).for_each(|(disk, now)| world.disks[*disk].rollback(now));
        }
    });
}

#[test]
fn with_too_many_bad_shards_nothing_wrong_is_served() {
    run(async {
        let (world, server, bytes, blob, _) = with_body(1_500_000).await;
        for disk in [0, 2, 4] {
            world.disks[disk].scramble(5);
        }
        let mut reader =
            server.volumes.reader.read(&server.volumes.reader.pin(), &blob, 0..blob.len()).unwrap();
        let mut at = 0;
        let error = loop {
            match reader.next().await {
                Some(Ok(piece)) => {
                    assert!(piece == bytes.slice(at..at + piece.len()));
                    at += piece.len();
                }
                Some(Err(error)) => break error,
                None => panic!("three bad shards can't be read through"),
            }
        };
        assert!(matches!(error, ReadError::Damaged { needed: 4, .. }), "{error}");
        assert!(reader.next().await.is_none(), "nothing after an error");
    });
}
