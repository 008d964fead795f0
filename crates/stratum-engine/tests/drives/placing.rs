//! Small bodies are packed from the journal into the tier where their objects belong.

use crate::store::{BUCKET, body, unmarked};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::{Config, Engine, Foundation};
use stratum_metadata::command::{Command, NewBucket, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, ETag, ObjectHeaders, ObjectRecord, PartRecord, StorageClass, TierDecision, TierReason,
    UploadId, UploadRecord, VersionId,
};
use stratum_metadata::{Packer, tier_of};
use stratum_storage::ambient::System;
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use stratum_storage::task;
use tokio::sync::watch;

const SEGMENT: u64 = 4 << 20;
const DECIDED: u64 = 7;

/// A store with a hot and a warm tier, and a bucket.
async fn store(dir: &Path) -> Engine {
    let tier = |tier: Tier| TierConfig {
        tier,
        geometry: Geometry { k: 1, m: 1 },
        drives: (0..2).map(|number| Root::Path(dir.join(tier.name()).join(number.to_string()))).collect(),
    };
    let config = SetConfig { tiers: vec![tier(Tier::Hot), tier(Tier::Warm)], threads: Threads::Own };
    let options = journal::Options { segment_bytes: SEGMENT, cap: 8 * SEGMENT, ..Default::default() };
    let foundation = Foundation::open(&config, options, Arc::new(System), Arc::new(System)).unwrap();
    let config = Config { reserve: 0, ..Config::new(dir.join("sled")) };
    let engine = Engine::open(foundation, config).await.unwrap();
    let bucket = NewBucket {
        chosen: None,
        name: "bucket".into(),
        owner: "owner".into(),
        created: 0,
        region: "us-east-1".into(),
        configuration: Default::default(),
    };
    engine.metadata.commit(Command::CreateBucket(bucket), Bytes::new()).await.unwrap();
    engine
}

fn attributes(tier: Option<Tier>) -> Attributes {
    let decisions: Vec<_> =
        tier.map(|tier| TierDecision::new(tier, DECIDED, TierReason::StorageClass)).into_iter().collect();
    Attributes { tiering: decisions.try_into().unwrap(), ..Attributes::default() }
}

fn in_entry(body: &Bytes) -> BlobRef {
    BlobRef::plain(Place::ThisEntry { length: body.len() as u32, crc32c: crc32c::crc32c(body) })
}

async fn put(engine: &Engine, key: &str, tier: Option<Tier>, body: Bytes) {
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: DECIDED,
        size: body.len() as u64,
        etag: ETag::Md5([1; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body: Body::Blob(in_entry(&body)),
        committed: 0,
        attributes: attributes(tier),
    };
    let (bucket, key, condition) = (BUCKET, key.as_bytes().to_vec(), WriteCondition::default());
    engine.metadata.commit(Command::PutObject { bucket, key, record, condition }, body).await.unwrap();
}

async fn put_part(engine: &Engine, upload: UploadId, tier: Option<Tier>, body: Bytes) {
    let record = UploadRecord {
        bucket: BUCKET,
        key: b"parts".to_vec(),
        initiated: DECIDED,
        initiator: "owner".into(),
        storage_class: StorageClass::Standard,
        headers: ObjectHeaders::default(),
        checksum: None,
        attributes: attributes(tier),
    };
    let create = Command::CreateUpload { upload, record, expires: u64::MAX };
    engine.metadata.commit(create, Bytes::new()).await.unwrap();
    let part = PartRecord {
        number: 1,
        modified: DECIDED,
        size: body.len() as u64,
        md5: [1; 16],
        checksum: None,
        blob: in_entry(&body),
    };
    let command = Command::UploadPart { bucket: BUCKET, upload, part };
    engine.metadata.commit(command, body).await.unwrap();
}

/// Fills the journal, and packs until these objects and the one part of each of these uploads have left it.
async fn pack(engine: &Engine, keys: &[&str], uploads: &[u64]) {
    for number in 0..1_500 {
        put(engine, &format!("filler/{number}"), None, body(number)).await;
    }
    let (stop, stopped) = watch::channel(false);
    let packer = Packer::new(engine.metadata.clone(), engine.volumes.clone(), unmarked());
    let packer = tokio::spawn(task::run(Arc::new(packer), stopped));
    for _ in 0..500 {
        let objects_are = keys.iter().all(|key| tier_of_object(engine, key).is_some());
        if objects_are && uploads.iter().all(|upload| tier_of_part(engine, *upload).is_some()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send(true).unwrap();
    packer.await.unwrap();
}

fn record(engine: &Engine, key: &str) -> ObjectRecord {
    engine.metadata.local().object(BUCKET, key.as_bytes()).unwrap().unwrap()
}

fn tier(engine: &Engine, blob: &BlobRef) -> Option<Tier> {
    tier_of(&engine.volumes.table, blob)
}

fn tier_of_object(engine: &Engine, key: &str) -> Option<Tier> {
    match &record(engine, key).body {
        Body::Blob(blob) => tier(engine, blob),
        Body::Parts { .. } => None,
    }
}

fn tier_of_part(engine: &Engine, upload: u64) -> Option<Tier> {
    let part = engine.metadata.local().part(UploadId(upload.into()), 1).unwrap().unwrap();
    tier(engine, &part.blob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_bodies_are_packed_where_their_objects_belong() {
    let dir = tempfile::tempdir().unwrap();
    let engine = store(dir.path()).await;
    for (key, belongs) in [("free", None), ("warm", Some(Tier::Warm)), ("hot", Some(Tier::Hot))] {
        put(&engine, key, belongs, body(1)).await;
    }
    put_part(&engine, UploadId(1), None, body(2)).await;
    put_part(&engine, UploadId(2), Some(Tier::Warm), body(3)).await;
    pack(&engine, &["free", "warm", "hot"], &[1, 2]).await;
    for (key, lies) in [("free", Tier::Hot), ("warm", Tier::Warm), ("hot", Tier::Hot)] {
        assert_eq!(tier_of_object(&engine, key), Some(lies), "{key}");
        assert_eq!(record(&engine, key).attributes.review, None, "{key}");
    }
    for (upload, lies) in [(1, Tier::Hot), (2, Tier::Warm)] {
        assert_eq!(tier_of_part(&engine, upload), Some(lies), "{upload}");
    }
    engine.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_for_a_tier_that_takes_nothing_are_packed_as_hot_and_reviewed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = store(dir.path()).await;
    // There are no cold drives.
    put(&engine, "cold", Some(Tier::Cold), body(1)).await;
    put_part(&engine, UploadId(1), Some(Tier::Cold), body(2)).await;
    pack(&engine, &["cold"], &[1]).await;
    assert_eq!(tier_of_object(&engine, "cold"), Some(Tier::Hot));
    assert_eq!(record(&engine, "cold").attributes.review, Some(DECIDED));
    assert_eq!(tier_of_part(&engine, 1), Some(Tier::Hot));
    engine.shutdown();
}
