//! How fast volumes are on this machine, without a network: `cargo run --release -p stratum-storage --example
//! volume_speed -- DIR`. Six directories in DIR, 4+2; bodies of 64 MiB and 1 MiB written and synced, read from the
//! page cache, and 4 KiB bodies read from packed stripes.

use bytes::Bytes;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use stratum_storage::ambient::{Clock, Entropy, Simulated, System};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::volume::{LiveStripe, TierDrives, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord};
use stratum_storage::volumes::{Restore, Volumes};
use stratum_storage::writepath::{PackBody, WriteError};

/// Forgets everything: there is no restart here.
struct Nowhere;

impl VolumeLog for Nowhere {
    fn record(
        &self,
        _: VolumeEvent,
    ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }

    fn volume(&self, _: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
        Ok(None)
    }

    fn live_stripes(&self, _: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
        Ok(Vec::new())
    }
}

async fn volumes(root: &Path) -> Result<Volumes, Box<dyn std::error::Error>> {
    let mut drives = Vec::new();
    for number in 0..6u16 {
        let io = Arc::new(RealDrive::create(&root.join(number.to_string()))?);
        let id = DriveId(u128::from(number) + 1);
        drives.push(Arc::new(Drive::new(id, Tier::Hot, number, io, Threads::Own, Arc::new(System))));
    }
    let restore = Restore {
        tiers: vec![TierDrives { tier: Tier::Hot, geometry: Geometry { k: 4, m: 2 }, drives: drives.into() }],
        records: Vec::new(),
        next_id: VolumeId(1),
        reserve: 0,
        log: Arc::new(Nowhere),
        remote: None,
    };
    Ok(Volumes::restore(restore).await?.0)
}

/// As a request does it: the body in pieces of 64 KiB.
async fn put(volumes: &Volumes, body: &Bytes) -> Result<BlobRef, WriteError> {
    let mut writer = volumes.writer.write(Tier::Hot, body.len() as u64).await?;
    for at in (0..body.len()).step_by(65_536) {
        writer.push(body.slice(at..(at + 65_536).min(body.len()))).await?;
    }
    let written = writer.finish().await?;
    drop(written.hold.proposed());
    Ok(written.blob)
}

async fn get(volumes: &Volumes, blob: &BlobRef) -> Result<u64, Box<dyn std::error::Error>> {
    let mut reader = volumes.reader.read(&volumes.reader.pin(), blob, 0..blob.len())?;
    let mut length = 0;
    while let Some(piece) = reader.next().await {
        length += piece?.len() as u64;
    }
    Ok(length)
}

fn report(what: &str, bytes: u64, count: u64, seconds: f64) {
    let rate = bytes as f64 / seconds / f64::from(1 << 20);
    println!("{what:<28} {rate:>8.0} MiB/s {:>10.0} a second", count as f64 / seconds);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).ok_or("which directory?")?;
    let volumes = volumes(Path::new(&root)).await?;
    let clock = System;
    let seconds = |since: std::time::Duration| (clock.monotonic() - since).as_secs_f64();
    let mut body = vec![0; 64 << 20];
    Simulated::new(0, 1).fill(&mut body);
    let body = Bytes::from(body);

    for (what, length, count) in
        [("64 MiB", 64 << 20, 6u64), ("1 MiB", 1 << 20, 200), ("40 KiB", 40 << 10, 1000)]
    {
        let began = clock.monotonic();
        let mut blobs = Vec::new();
        for _ in 0..count {
            blobs.push(put(&volumes, &body.slice(..length)).await?);
        }
        report(&format!("write and sync {what}"), count * length as u64, count, seconds(began));
        let began = clock.monotonic();
        let mut read = 0;
        for blob in &blobs {
            read += get(&volumes, blob).await?;
        }
        report(&format!("read {what}"), read, count, seconds(began));
    }
    small(&volumes, &body, seconds).await
}

/// 4 KiB bodies, packed.
async fn small(
    volumes: &Volumes,
    body: &Bytes,
    seconds: impl Fn(std::time::Duration) -> f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let bodies: Vec<PackBody> = (0..10_000)
        .map(|at| body.slice(at * 4096..(at + 1) * 4096))
        .map(|bytes| PackBody { owner: vec![0; 40], crc32c: crc32c::crc32c(&bytes), bytes })
        .collect();
    let began = System.monotonic();
    let packed = volumes.writer.pack(Tier::Hot, &bodies).await?;
    report("pack 4 KiB", 4096 * 10_000, 10_000, seconds(began));
    let blobs: Vec<BlobRef> = packed
        .iter()
        .flat_map(|stripe| &stripe.bodies)
        .map(|at| BlobRef::plain(Place::Packed(*at)))
        .collect();
    let began = System.monotonic();
    let mut cached = 0;
    for blob in blobs.iter().cycle().take(100_000) {
        let mut reader = volumes.reader.read(&volumes.reader.pin(), blob, 0..blob.len())?;
        cached += u64::from(reader.try_all_cached().is_some());
    }
    report("read 4 KiB, packed", cached * 4096, cached, seconds(began));
    Ok(())
}
