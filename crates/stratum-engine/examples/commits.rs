//! Measures what commits cost: small PUTs through the real journal into the index, with all background work.
//!
//! `cargo run --release -p stratum-engine --example commits -- DIR [COUNT] [TASKS] [BYTES]`

use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::supervisor::{Supervisor, Tasks};
use stratum_engine::{Config, Engine, Foundation};
use stratum_metadata::Metadata;
use stratum_metadata::command::{Command, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, BucketId, BucketRecord, Checksum, ChecksumAlgorithm, ChecksumType, ETag, ObjectHeaders,
    ObjectRecord, StorageClass, VersionId,
};
use stratum_storage::ambient::{Clock, Entropy, System};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use tokio::runtime::Handle;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().expect("a directory for the data");
    let mut number = |default| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (count, tasks, bytes) = (number(100_000), number(32), number(1_024));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(Path::new(&dir), count, tasks, bytes));
}

async fn run(dir: &Path, count: u64, tasks: u64, bytes: u64) {
    let began = System.monotonic();
    let engine = open(dir).await;
    let Engine { metadata, journal, .. } = engine.clone();
    println!("open: {:?}, at entry {}", System.monotonic() - began, metadata.applied_index());
    report("idle");
    let bucket = bucket(&metadata).await;
    let mut supervisor =
        Supervisor::new(Tasks::default(), Arc::new(System), Threads::Own, &Handle::current());
    engine.tasks().into_iter().for_each(|task| supervisor.run(task).expect("a thread"));

    let (began, cpu) = (System.monotonic(), cpu());
    let body = Bytes::from(vec![7; bytes as usize]);
    let workers: Vec<_> = (0..tasks)
        .map(|_| {
            let (metadata, body) = (metadata.clone(), body.clone());
            tokio::spawn(async move {
                for _ in 0..count / tasks {
                    while metadata.commit(put(bucket, &body), body.clone()).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
    let seconds = (System.monotonic() - began).as_secs_f64();
    let done = (count / tasks * tasks) as f64;
    let spent = (self::cpu() - cpu) / done * 1e6;
    println!("{done} commits: {:.0} a second, {spent:.1} µs of CPU each", done / seconds);
    println!("journal: {:?}", journal.usage());
    report("full");
    supervisor.stop().await;
    let began = System.monotonic();
    tokio::task::block_in_place(|| metadata.shutdown());
    println!("shutdown: {:?}", System.monotonic() - began);
}

async fn open(dir: &Path) -> Engine {
    let drives = (0..6).map(|number| Root::Path(dir.join(format!("hot/{number}")))).collect();
    let tiers = vec![TierConfig { tier: Tier::Hot, geometry: Geometry { k: 4, m: 2 }, drives }];
    let drives = SetConfig { tiers, threads: Threads::Own };
    let foundation =
        Foundation::open(&drives, journal::Options::default(), Arc::new(System), Arc::new(System));
    let foundation = foundation.expect("drives and a journal");
    Engine::open(foundation, Config::new(dir.join("sled"))).await.expect("a store")
}

async fn bucket(metadata: &Metadata) -> BucketId {
    if let Some(bucket) = metadata.local().bucket("bucket").expect("the index") {
        return bucket.id;
    }
    let id = BucketId(1);
    let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
    let record = BucketRecord { id, name, owner, created: 0, region, configuration: Default::default() };
    metadata.commit(Command::CreateBucket(record.into()), Bytes::new()).await.expect("a bucket");
    id
}

fn put(bucket: BucketId, body: &Bytes) -> Command {
    let headers =
        ObjectHeaders { content_type: Some("binary/octet-stream".into()), ..ObjectHeaders::default() };
    let checksum = Checksum {
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        kind: ChecksumType::FullObject,
        value: vec![1; 8],
    };
    let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c::crc32c(body) };
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: System.now(),
        size: body.len() as u64,
        etag: ETag::Md5(System.next_u128().to_le_bytes()),
        storage_class: StorageClass::Standard,
        checksum: Some(checksum),
        headers,
        body: Body::Blob(BlobRef::plain(place)),
        committed: 0,
        attributes: Attributes::default(),
    };
    let key = format!("objects/{:016x}", System.next_u64()).into_bytes();
    Command::PutObject { bucket, key, record, condition: WriteCondition::default() }
}

/// Seconds of CPU that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn report(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    println!("{when}: {resident}");
}
