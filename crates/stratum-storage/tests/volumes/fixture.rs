//! The bytes of version 1 stay what they are: a volume that was written once is read for ever, and written the same.
//!
//! `fixtures/v1/volumes` holds the three shard files of a 2+1 volume with a body of its own and a packed stripe.
//! To write it anew, for a format that isn't released yet: run this file's ignored test.

use crate::world::{Server, World, run};
use bytes::Bytes;
use std::path::PathBuf;
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::{DriveId, OpenHow};
use stratum_storage::volume::{Shard, VolumeRecord, VolumeState};
use stratum_storage::writepath::PackBody;

const G: Geometry = Geometry { k: 2, m: 1 };
const LENGTH: u64 = 4096 + 36_864 + 4096;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/volumes")
}

/// Bytes that anybody can compute.
fn pattern(length: u32, step: u32) -> Bytes {
    (0..length).map(|at| (at * step % 251) as u8).collect()
}

fn packed() -> Vec<PackBody> {
    let body = |(number, length): (u8, u32)| {
        let bytes = pattern(length, 3);
        PackBody { owner: vec![number; 5], crc32c: crc32c::crc32c(&bytes), bytes }
    };
    [(1, 100), (2, 1), (3, 2000)].map(body).into()
}

async fn write(server: &Server) -> (BlobRef, Vec<BlobRef>) {
    let plain = server.put(&pattern(70_000, 7)).await.unwrap();
    let packed = server.volumes.writer.pack(Tier::Hot, &packed()).await.unwrap();
    let mut places = Vec::new();
    for stripe in packed {
        places.extend(stripe.bodies.iter().map(|at| BlobRef::plain(Place::Packed(*at))));
        drop(stripe.hold.proposed());
    }
    (plain, places)
}

/// The shard files after a seal at the next start, by name.
async fn written() -> Vec<(String, Vec<u8>)> {
    let world = World::new(G);
    let server = world.start().await;
    let (_, packed) = write(&server).await;
    packed.iter().for_each(|blob| server.commit(blob).unwrap());
    drop(server);
    world.start().await;
    let mut files = Vec::new();
    for disk in &world.disks {
        for path in disk.files() {
            let mut bytes = vec![0; LENGTH as usize + 1];
            let file = disk.attach().open(&path, OpenHow::Read).unwrap();
            let length = file.read_at(&mut bytes, 0).unwrap();
            bytes.truncate(length);
            files.push((path.trim_start_matches("volumes/").to_owned(), bytes));
        }
    }
    files.sort();
    files
}

#[test]
fn the_same_bodies_give_the_same_bytes() {
    let files = run(written());
    assert_eq!(files.len(), 3);
    for (name, bytes) in files {
        let fixture = std::fs::read(folder().join(&name)).unwrap();
        assert_eq!(fixture.len() as u64, LENGTH, "{name}");
        let differs = fixture.iter().zip(&bytes).position(|(fixture, now)| fixture != now);
        assert_eq!((differs, fixture.len()), (None, bytes.len()), "{name} differs from this offset on");
    }
}

#[test]
fn the_fixture_is_read() {
    run(async {
        let world = World::new(G);
        let drives = [1, 2, 0];
        for (shard, disk) in drives.into_iter().enumerate() {
            let name = format!("v0000000000000001.s{shard:02}.g0");
            let io = world.disks[disk].attach();
            io.create_dir("volumes").unwrap();
            let file = io.open(&format!("volumes/{name}"), OpenHow::CreateNew).unwrap();
            file.write_at(&[&std::fs::read(folder().join(name)).unwrap()], 0).unwrap();
        }
        let shards =
            drives.map(|disk| Shard { drive: DriveId(disk as u128 + 1), generation: 0, lost: false });
        let record = VolumeRecord {
            id: VolumeId(1),
            tier: Tier::Hot,
            geometry: G,
            shards: shards.into(),
            state: VolumeState::Sealed { length: LENGTH },
            high_water: LENGTH,
            live: 72_101,
            writer: None,
            remote: None,
        };
        world.state.records.lock().unwrap().insert(record.id, record);
        // Where everything lies follows from the lengths.
        let (plain, bodies) = write(&World::new(G).start().await).await;
        for missing in [&[][..], &[0], &[1], &[2]] {
            let server = world.start_without(missing).await;
            assert!(server.get(&plain).await.unwrap() == pattern(70_000, 7), "{missing:?}");
            for (blob, body) in bodies.iter().zip(packed()) {
                assert!(server.get(blob).await.unwrap() == body.bytes, "{missing:?}");
            }
        }
    });
}

#[test]
#[ignore = "writes the fixture; for a format that isn't released yet"]
fn write_the_fixture_anew() {
    std::fs::create_dir_all(folder()).unwrap();
    for (name, bytes) in run(written()) {
        std::fs::write(folder().join(name), bytes).unwrap();
    }
}
