//! What is written is read, whole and in ranges, on every geometry.

use crate::world::{World, body, run};
use proptest::prelude::*;
use stratum_storage::blob::{Extent, Geometry, Place, Tier, VolumeId};
use stratum_storage::format::directory;
use stratum_storage::readpath::ReadError;
use stratum_storage::writepath::PackBody;

const GEOMETRIES: [(u8, u8); 5] = [(4, 2), (1, 0), (1, 2), (2, 1), (8, 4)];

#[test]
fn bodies_of_all_sizes_come_back() {
    run(async {
        for (k, m) in GEOMETRIES {
            let world = World::new(Geometry { k, m });
            let server = world.start().await;
            let full = usize::from(k) * 262_144;
            for length in [1, 4095, 40_000, full - 1, full, full + 1, 3 * full, 3 * full + 70_000] {
                let bytes = body(length as u64, length);
                let blob = server.put(&bytes).await.unwrap();
                assert_eq!(blob.len(), length as u64);
                assert!(server.get(&blob).await.unwrap() == bytes, "{k}+{m}, {length} bytes, cached");
                world.disks.iter().for_each(|disk| disk.set_cold_cache(true));
                assert!(
                    server.get(&blob).await.unwrap() == bytes,
                    "{k}+{m}, {length} bytes, from the drives"
                );
                world.disks.iter().for_each(|disk| disk.set_cold_cache(false));
            }
            assert_eq!(server.put(&body(0, 0)).await.unwrap().place, Place::Empty);
            assert_eq!(server.volumes.table.bad_fragments(), []);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_range_is_that_part_of_the_body(
        length in 1usize..2_500_000,
        ranges in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
        cold in any::<bool>(),
    ) {
        run(async {
            let world = World::new(Geometry { k: 4, m: 2 });
            let server = world.start().await;
            let bytes = body(7, length);
            let blob = server.put(&bytes).await.unwrap();
            world.disks.iter().for_each(|disk| disk.set_cold_cache(cold));
            for (a, b) in ranges {
                let (a, b) = (a.index(length + 1), b.index(length + 1));
                let (start, end) = (a.min(b), a.max(b));
                let got = server.get_range(&blob, start as u64..end as u64).await.unwrap();
                assert!(got == bytes.slice(start..end), "{start}..{end} of {length}");
                let near = start as u64..(start as u64 + 9000).min(length as u64);
                let mut reader = server.volumes.reader.read(&server.volumes.reader.pin(), &blob, near.clone()).unwrap();
                let small = reader.try_all_cached();
                assert_eq!(small.is_none(), cold && !near.is_empty());
                if let Some(small) = small {
                    assert!(small == bytes.slice(near.start as usize..near.end as usize));
                    assert!(reader.next().await.is_none());
                }
            }
        });
    }
}

#[test]
fn extents_end_at_64_mib_and_volumes_at_1_gib() {
    run(async {
        // 1+0, so that it is quick.
        let world = World::new(Geometry { k: 1, m: 0 });
        let server = world.start().await;
        let bytes = body(1, 150 << 20);
        let blob = server.put(&bytes).await.unwrap();
        let Place::Extents(extents) = &blob.place else { panic!() };
        assert_eq!(extents.iter().map(|extent| extent.length >> 20).collect::<Vec<_>>(), [64, 64, 22]);
        let at = (64 << 20) - 5;
        assert!(
            server.get_range(&blob, at..at + 10).await.unwrap() == bytes.slice(at as usize..at as usize + 10)
        );
        let late = (140 << 20)..(140 << 20) + 70_000;
        assert!(
            server.get_range(&blob, late.start as u64..late.end as u64).await.unwrap() == bytes.slice(late)
        );
    });
}

#[test]
fn packed_bodies_come_back_and_the_directory_names_them() {
    run(async {
        let world = World::new(Geometry { k: 4, m: 2 });
        let server = world.start().await;
        let bodies: Vec<PackBody> = (0..300u64)
            .map(|at| {
                let bytes = body(at, 1 + (at as usize * 997) % 32_768);
                PackBody { owner: at.to_le_bytes().to_vec(), crc32c: crc32c::crc32c(&bytes), bytes }
            })
            .collect();
        let packed = server.volumes.writer.pack(Tier::Hot, &bodies).await.unwrap();
        assert!(packed.len() > 3, "more than are in flight at a time");
        let mut all = bodies.iter();
        for stripe in &packed {
            for (at, body) in stripe.bodies.iter().zip(all.by_ref()) {
                let blob = stratum_storage::blob::BlobRef::plain(Place::Packed(*at));
                server.commit(&blob).unwrap();
                let mut reader =
                    server.volumes.reader.read(&server.volumes.reader.pin(), &blob, 0..blob.len()).unwrap();
                assert!(reader.try_all_cached().unwrap() == body.bytes);
                assert!(server.get_range(&blob, 1..blob.len()).await.unwrap() == body.bytes.slice(1..));
            }
            let mut whole = stripe.stripe;
            whole.length = whole.payload;
            let whole = stratum_storage::blob::BlobRef::plain(Place::Packed(whole));
            let entries = directory::decode(&server.get(&whole).await.unwrap()).unwrap();
            let offsets: Vec<u32> = entries.iter().map(|entry| entry.offset).collect();
            assert_eq!(offsets, stripe.bodies.iter().map(|at| at.offset).collect::<Vec<_>>());
        }
        assert!(all.next().is_none(), "all bodies were placed");
        let wrong = stratum_storage::blob::PackedAt { crc32c: 1, ..packed[0].bodies[0] };
        let wrong = stratum_storage::blob::BlobRef::plain(Place::Packed(wrong));
        let mut reader =
            server.volumes.reader.read(&server.volumes.reader.pin(), &wrong, 0..wrong.len()).unwrap();
        assert!(reader.try_all_cached().is_none(), "a body that isn't the record's");
    });
}

#[test]
fn nonsense_is_an_error() {
    run(async {
        let world = World::new(Geometry { k: 2, m: 1 });
        let server = world.start().await;
        let blob = server.put(&body(1, 1000)).await.unwrap();
        let Place::Extents(extents) = blob.place else { panic!() };
        let read = |extent: Extent, range| {
            let blob = stratum_storage::blob::BlobRef::plain(Place::Extents(vec![extent]));
            async { server.get_range(&{ blob }, range).await }
        };
        assert_eq!(read(extents[0], 0..1001).await, Err(ReadError::Range { length: 1000 }));
        let gone = Extent { volume: VolumeId(99), ..extents[0] };
        assert_eq!(read(gone, 0..1).await, Err(ReadError::Gone(VolumeId(99))));
        let elsewhere = Extent { start: 8192, ..extents[0] };
        assert!(matches!(read(elsewhere, 0..1).await, Err(ReadError::Damaged { present: 0, .. })));
        let endless = Extent { length: u64::MAX, ..extents[0] };
        assert!(read(endless, u64::MAX - 10..u64::MAX).await.is_err());
    });
}
