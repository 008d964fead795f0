//! Measures how long a walk that decides about every object takes, and how much memory.
//!
//!     cargo run --release -p stratum-engine --example walk -- DIR [OBJECTS]
//!
//! It makes a store of six drives in the folder, puts OBJECTS (a million by default) objects of one byte into it, and
//! walks them twice at full speed. The objects' records say that they are large and old, so that nothing of a
//! decision is skipped.

use bytes::Bytes;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use stratum_engine::{Config, Engine, Foundation};
use stratum_metadata::command::{Command, Outcome, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, BucketId, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use stratum_storage::task::Task;
use tokio::sync::watch;

/// Puts that are under way at the same time.
const AT_ONCE: u64 = 2_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a directory to write to")?;
    let objects = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let engine = open(Path::new(&folder)).await?;
    let bucket = fill(&engine, objects).await?;
    engine.pace().hurry(true);
    println!("{objects} objects in bucket {}; {} MiB resident", bucket.0, resident_mib());
    let (_stop, stopped) = watch::channel(false);
    let began = System.monotonic();
    while engine.tiering.status().last_walk.is_none() {
        engine.tiering.step(&stopped).await;
    }
    let took = System.monotonic().saturating_sub(began).as_secs_f64();
    let walked = engine.tiering.status().last_walk.unwrap_or_default();
    println!(
        "walked {} objects in {took:.2} s: {:.2} microseconds each; {} MiB resident",
        walked.objects,
        took * 1e6 / walked.objects.max(1) as f64,
        resident_mib()
    );
    engine.shutdown();
    Ok(())
}

async fn open(folder: &Path) -> Result<Engine, Box<dyn Error>> {
    let tier = |tier: Tier| TierConfig {
        tier,
        geometry: Geometry { k: 1, m: 1 },
        drives: (0..2).map(|number| Root::Path(folder.join(tier.name()).join(number.to_string()))).collect(),
    };
    let drives = SetConfig { tiers: Tier::ALL.map(tier).into(), threads: Threads::Own };
    let options = journal::Options { cap: 16 << 30, ..Default::default() };
    let foundation = Foundation::open(&drives, options, Arc::new(System), Arc::new(System))?;
    let config = Config { reserve: 0, ..Config::new(folder.join("sled")) };
    Ok(Engine::open(foundation, config).await?)
}

async fn fill(engine: &Engine, objects: u64) -> Result<BucketId, Box<dyn Error>> {
    let create = Command::CreateBucket(stratum_metadata::command::NewBucket {
        chosen: None,
        name: "bucket".into(),
        owner: "owner".into(),
        created: 0,
        region: "us-east-1".into(),
        configuration: Default::default(),
    });
    let Outcome::Bucket(bucket) = engine.metadata.commit(create, Bytes::new()).await? else {
        return Err("the folder holds a store already".into());
    };
    for first in (0..objects).step_by(AT_ONCE as usize) {
        let puts = (first..objects.min(first + AT_ONCE)).map(|number| put(engine, bucket.id, number));
        futures_util::future::try_join_all(puts).await?;
    }
    Ok(bucket.id)
}

async fn put(engine: &Engine, bucket: BucketId, number: u64) -> Result<(), Box<dyn Error>> {
    let body = Bytes::from_static(b"x");
    let place = Place::ThisEntry { length: 1, crc32c: crc32c::crc32c(&body) };
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: System.now(),
        size: 1 << 30,
        etag: ETag::Md5([number as u8; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders { content_type: Some("image/jpeg".into()), ..ObjectHeaders::default() },
        body: Body::Blob(BlobRef::plain(place)),
        committed: 0,
        attributes: Attributes::default(),
    };
    let key = format!("photos/2024/{:03}/{number:09}.jpg", number / 1_000).into_bytes();
    let command = Command::PutObject { bucket, key, record, condition: WriteCondition::default() };
    engine.metadata.commit(command, body).await?;
    Ok(())
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
