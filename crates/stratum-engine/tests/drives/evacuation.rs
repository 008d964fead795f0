//! Volumes are emptied while clients go on, and nothing is lost however the evacuation ends.

use crate::store::{BUCKET, Store, key, record, with_bucket};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::command::{Command, CompletedPart, Outcome, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, ObjectHeaders, PartRecord, PartSummary, StorageClass, UploadId, UploadRecord,
};
use stratum_metadata::{Evacuated, Mover, Narrowed};
use stratum_storage::ambient::{Entropy, Simulated, System};
use stratum_storage::blob::{Place, VolumeId};
use stratum_storage::pace::{Class, Pace};
use stratum_storage::volume::VolumeState;
use stratum_storage::writepath::Written;
use tokio::sync::watch;

const UPLOAD: UploadId = UploadId(77);

impl Store {
    pub fn mover(&self) -> Mover {
        let pace = Pace::unbounded(Arc::new(System));
        Mover { metadata: self.metadata.clone(), volumes: self.volumes.clone(), pace }
    }

    /// Empties all sealed volumes.
    async fn evacuate_all(&self) -> Vec<Evacuated> {
        let (_going, stop) = watch::channel(false);
        let mut done = Vec::new();
        for volume in self.sealed() {
            let claim = self.volumes.table.try_claim(volume).unwrap();
            done.push(self.mover().evacuate(&claim, Class::Compact, &stop).await.unwrap());
        }
        done
    }

    pub fn sealed(&self) -> Vec<VolumeId> {
        let records = self.metadata.local().volumes().unwrap().into_iter();
        records
            .filter(|record| matches!(record.state, VolumeState::Sealed { .. }))
            .map(|record| record.id)
            .collect()
    }

    async fn check_all(&self, expected: &BTreeMap<u64, Bytes>) {
        for (number, bytes) in expected {
            assert!(self.read(*number).await.as_ref() == Some(bytes), "object {number}");
        }
    }

    async fn put_part(&self, number: u16, body: &Bytes) {
        let Written { blob, hold } = self.write(body).await;
        let part = PartRecord {
            number,
            modified: 0,
            size: body.len() as u64,
            md5: [number as u8; 16],
            checksum: None,
            blob,
        };
        let command = Command::PutPart { bucket: BUCKET, upload: UPLOAD, part };
        let outcome = self.metadata.commit(command, hold).await;
        assert!(matches!(outcome, Ok(Outcome::Part { .. })), "{outcome:?}");
    }

    async fn create_upload(&self) {
        let record = UploadRecord {
            bucket: BUCKET,
            key: key(1_000_000),
            initiated: 0,
            initiator: "owner".into(),
            storage_class: StorageClass::Standard,
            headers: ObjectHeaders::default(),
            checksum: None,
            attributes: Attributes::default(),
        };
        let command = Command::CreateUpload { upload: UPLOAD, record, expires: u64::MAX };
        assert_eq!(self.metadata.commit(command, Bytes::new()).await, Ok(Outcome::Done));
    }

    async fn complete_upload(&self, sizes: &[(u16, u64)]) {
        let parts =
            sizes.iter().map(|(number, size)| PartSummary { number: *number, size: *size, checksum: None });
        let named = sizes.iter().map(|(number, size)| CompletedPart {
            number: *number,
            size: *size,
            md5: [*number as u8; 16],
        });
        let command = Command::CompleteUpload {
            bucket: BUCKET,
            key: key(1_000_000),
            upload: UPLOAD,
            parts: named.collect(),
            record: record(
                5,
                sizes.iter().map(|(_, size)| size).sum(),
                Body::Parts { upload: UPLOAD, parts: parts.collect() },
            ),
            condition: WriteCondition::default(),
            remember_until: u64::MAX,
        };
        let outcome = self.metadata.commit(command, Bytes::new()).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }

    async fn read_part(&self, number: u16) -> Bytes {
        let part = self.metadata.local().part(UPLOAD, number).unwrap().unwrap();
        self.read_blob(&part.blob).await.unwrap()
    }

    async fn tend_volumes(&self) {
        for _ in 0..3 {
            self.volumes.tend().await.unwrap();
        }
    }
}

/// Random bytes, different for each seed.
pub fn random(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    Simulated::new(0, seed).fill(&mut bytes);
    bytes.into()
}

/// Bodies of every kind in a volume that is then sealed by a restart: small ones in stripes of which every other body
/// is deleted again, large ones, and one with several extents.
async fn filled(dir: &Path) -> (Store, BTreeMap<u64, Bytes>) {
    let store = with_bucket(dir).await;
    let mut expected = BTreeMap::new();
    for number in 0..1600 {
        let body = random(number, 5_000 + number as usize);
        store.put(number, &body).await;
        expected.insert(number, body);
    }
    store.tend_until(|store| store.is_packed(0) && store.is_packed(600)).await;
    for number in (0..600).filter(|number| number % 2 == 0) {
        store.delete(number).await;
        expected.remove(&number);
    }
    for (number, length) in
        [(2000, 40_000), (2001, 50_001), (2002, 3 << 20), (2003, 40_000), (2004, (70 << 20) + 7)]
    {
        let body = random(number, length);
        store.put_large(number, &body).await;
        expected.insert(number, body);
    }
    (store.restart(|_| ()).await, expected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_body_moves_and_the_volume_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, expected) = filled(dir.path()).await;
    store.create_upload().await;
    let (one, two) = (random(1, 5 << 20), random(2, 100_000));
    store.put_part(1, &one).await;
    store.put_part(2, &two).await;
    let store = store.restart(|_| ()).await;
    store.complete_upload(&[(1, 5 << 20), (2, 100_000)]).await;
    let (sealed, live) = (store.sealed(), store.volumes.stats().live);
    assert_eq!(sealed.len(), 2);

    let done = store.evacuate_all().await;
    assert!(done.iter().all(|done| done.empty && done.unreadable == 0), "{done:?}");
    let written: u64 = done.iter().map(|done| done.written).sum();
    assert!(written <= live * 6 / 4 * 104 / 100, "{written} bytes were written for {live}");
    assert_eq!(store.volumes.stats().live, live, "moving changes nothing of what is live");
    store.tend_volumes().await;
    assert_eq!(store.sealed(), []);
    store.check_all(&expected).await;
    assert!(store.read_part(1).await == one && store.read_part(2).await == two);

    // All of it is durable: the next run finds it.
    let store = store.restart(|dir| std::fs::remove_dir_all(dir.join("sled")).unwrap()).await;
    store.check_all(&expected).await;
    assert!(store.read_part(1).await == one && store.read_part(2).await == two);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_change_meanwhile_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut expected) = filled(dir.path()).await;
    let store = Arc::new(store);
    let moving = {
        let store = store.clone();
        tokio::spawn(async move { store.evacuate_all().await })
    };
    for number in 0..400 {
        if number % 5 == 0 {
            if expected.remove(&number).is_some() {
                store.delete(number).await;
            }
        } else if number % 5 < 3 {
            let body = random(number + 7_000, 6_000);
            store.put(number, &body).await;
            expected.insert(number, body);
        }
        if number % 100 == 0 {
            for large in 2000..2003 {
                let body = random(large + number, 90_000);
                store.put_large(large, &body).await;
                expected.insert(large, body);
            }
        }
    }
    assert!(moving.await.unwrap().iter().all(|done| done.empty));
    store.check_all(&expected).await;
    let before = store.volumes.stats().live;
    let store = Arc::into_inner(store).unwrap();
    store.tend_volumes().await;
    let store = store.restart(|_| ()).await;
    store.check_all(&expected).await;
    assert_eq!(store.volumes.stats().live, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_evacuation_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, expected) = filled(dir.path()).await;
    let live = store.volumes.stats().live;
    for after in [3, 30, 90, 200] {
        let (store_now, volume) = (Arc::new(store), VolumeId(1));
        let moving = {
            let store = store_now.clone();
            tokio::spawn(async move { store.evacuate_all().await })
        };
        tokio::time::sleep(Duration::from_millis(after)).await;
        moving.abort();
        let _ = moving.await;
        store_now.check_all(&expected).await;
        for _ in 0..200 {
            if Arc::strong_count(&store_now) == 1 && store_now.volumes.table.try_claim(volume).is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        store = Arc::into_inner(store_now).unwrap().restart(|_| ()).await;
        assert_eq!(store.volumes.stats().live, live);
        store.check_all(&expected).await;
    }
    assert!(store.evacuate_all().await.iter().all(|done| done.empty));
    store.check_all(&expected).await;
}

/// The shard files of the first volume, by shard.
fn shard_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = (0..6)
        .flat_map(|drive| std::fs::read_dir(dir.join(format!("hot/{drive}/volumes"))).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("v0000000000000001."))
        .collect();
    files.sort_by_key(|path| path.file_name().unwrap().to_owned());
    files
}

/// Overwrites some bytes of a shard file with others.
fn damage(file: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&[0x5A; 64], at).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_stays_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, expected) = filled(dir.path()).await;
    let Some(Place::Packed(packed)) = store.place(1) else { panic!("it is packed") };
    let Some(Place::Extents(extents)) = store.place(2002) else { panic!("it has extents") };
    let store = store
        .restart(|dir| {
            for (shard, file) in shard_files(dir).iter().enumerate() {
                // Two damaged fragments of a stripe are reconstructed, three are not.
                if shard < 3 {
                    damage(file, extents[0].start + 1000);
                    damage(file, packed.stripe + 1000);
                }
                if shard < 2 {
                    damage(file, packed.stripe + 100_000);
                }
            }
        })
        .await;
    let done = store.evacuate_all().await;
    assert!(!done[0].empty && done[0].unreadable > 1, "{done:?}");
    let mut left = 0;
    for (number, bytes) in &expected {
        match store.place(*number) {
            Some(Place::Packed(at)) if at.volume == VolumeId(1) => left += 1,
            Some(Place::Extents(at)) if at[0].volume == VolumeId(1) => left += 1,
            _ => assert!(store.read(*number).await.as_ref() == Some(bytes), "object {number}"),
        }
    }
    assert_eq!(left, done[0].unreadable, "all that could be read has moved");
    assert_eq!(store.place(2002), Some(Place::Extents(extents)));
    store.tend_volumes().await;
    assert!(store.sealed().contains(&VolumeId(1)), "it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_with_lost_shards_are_written_over_fewer_drives() {
    let dir = tempfile::tempdir().unwrap();
    let (store, expected) = filled(dir.path()).await;
    let store = store.restart(|dir| std::fs::remove_dir_all(dir.join("hot/2")).unwrap()).await;
    let (_going, stop) = watch::channel(false);
    let claim = store.volumes.table.try_claim(VolumeId(1)).unwrap();
    store.volumes.table.set_reserve(u64::MAX / 2);
    assert_eq!(store.mover().narrow(&claim, &stop).await.unwrap(), Narrowed::WaitsForDrive);
    store.volumes.table.set_reserve(0);
    let Narrowed::Moved(done) = store.mover().narrow(&claim, &stop).await.unwrap() else { panic!() };
    assert!(done.empty && done.unreadable == 0, "{done:?}");
    store.check_all(&expected).await;
    let records = store.metadata.local().volumes().unwrap();
    let narrow = records.iter().filter(|record| record.live > 0);
    assert!(narrow.clone().count() > 0);
    for record in narrow {
        assert_eq!((record.geometry.k, record.geometry.m), (3, 2));
        assert!(record.shards.iter().all(|shard| !shard.lost));
    }
}
