//! Fills a stopped store with small objects, past HTTP and at the speed of its commands: thirty million take minutes in
//! place of hours. Each is what a PUT would have left: a body in the journal, which is packed and checkpointed meanwhile by
//! the engine's own tasks.
//!
//! The store is one that `stratum server --data FOLDER` made, with its bucket. Keys are those of `stratum bench`, which
//! finds them again with `--reuse`.

#[path = "../../src/bench/name.rs"]
mod name;

use bytes::Bytes;
use clap::Parser;
use futures_util::future::try_join_all;
use md5::{Digest, Md5};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stratum_engine::supervisor::{Supervisor, Tasks};
use stratum_engine::{Config, Engine, Foundation};
use stratum_metadata::command::{Command, Outcome, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, BucketId, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use stratum_metadata::{CommitError, NotWritten};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use tokio::runtime::{Handle, Runtime};

/// The drives of a tier in one data folder.
const DRIVES: usize = 6;
/// Commands that are on their way at once.
const WRITERS: usize = 1024;
/// How long a writer waits where the journal has no room.
const BUSY_DELAY: Duration = Duration::from_millis(20);
/// After so many objects it is said how far it is.
const REPORT_EVERY: usize = 1_000_000;

#[derive(Parser)]
struct Args {
    /// The data folder of a stopped server.
    #[arg(long)]
    data: PathBuf,
    /// A bucket that is there.
    #[arg(long, default_value = "stratum-bench")]
    bucket: String,
    /// How many objects, of 16 bytes each.
    #[arg(long)]
    objects: u32,
    /// The first of them, where a run before wrote those before it.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Chooses keys, as `stratum bench` does.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let runtime = Runtime::new()?;
    let foundation = Foundation::open(
        &drives(&args.data),
        journal::Options::default(),
        Arc::new(System),
        Arc::new(System),
    )?;
    let engine = runtime.block_on(Engine::open(foundation, Config::new(args.data.join("meta/sled"))))?;
    let filled = fill(&args, &engine, &runtime);
    engine.shutdown();
    filled
}

/// The embedded layout, as the server makes it.
fn drives(data: &Path) -> SetConfig {
    let place = |tier: Tier, number: usize| Root::Path(data.join(tier.name()).join(number.to_string()));
    let tiers = Tier::ALL.map(|tier| TierConfig {
        tier,
        geometry: Geometry::for_drives(DRIVES),
        drives: (0..DRIVES).map(|number| place(tier, number)).collect(),
    });
    SetConfig { tiers: tiers.into(), threads: Threads::Own }
}

fn fill(args: &Args, engine: &Engine, runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let bucket = engine.metadata.local().bucket(&args.bucket)?;
    let bucket = bucket.ok_or("there is no such bucket: make it with the server first")?.id;
    let mut supervisor =
        Supervisor::new(Tasks::default(), Arc::new(System), Threads::Own, &runtime.handle().clone());
    engine.tasks().into_iter().try_for_each(|task| supervisor.run(task))?;
    let outcome = runtime.block_on(write_all(args, engine, bucket));
    runtime.block_on(supervisor.stop());
    outcome
}

async fn write_all(args: &Args, engine: &Engine, bucket: BucketId) -> Result<(), Box<dyn Error>> {
    // In their order, so that a checkpoint takes in what is new at its end and isn't written whole each time.
    let numbers = args.first..args.first.saturating_add(args.objects);
    let mut names: Vec<u32> = numbers.map(|number| name::name(args.seed, number)).collect();
    names.sort_unstable();
    let (names, next) = (Arc::new(names), Arc::new(AtomicUsize::new(0)));
    let began = System.monotonic();
    let writers = (0..WRITERS).map(|_| {
        let (engine, names, next) = (engine.clone(), names.clone(), next.clone());
        Handle::current().spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = names.get(number) else { return Ok(()) };
                write(&engine, bucket, *name).await?;
                if number % REPORT_EVERY == 0 && number > 0 {
                    eprintln!("{number} objects, {:.0} s", (System.monotonic() - began).as_secs_f64());
                }
            }
        })
    });
    let ended: Vec<Result<(), String>> = try_join_all(writers).await?;
    ended.into_iter().collect::<Result<(), String>>()?;
    let seconds = (System.monotonic() - began).as_secs_f64();
    println!("{} objects, {:.0} a second", args.objects, f64::from(args.objects) / seconds);
    Ok(())
}

/// One object, whose body is its key twice.
async fn write(engine: &Engine, bucket: BucketId, name: u32) -> Result<(), String> {
    let key = format!("{name:08x}");
    let body = Bytes::from(key.repeat(2));
    let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c::crc32c(&body) };
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: 0,
        size: body.len() as u64,
        etag: ETag::Md5(Md5::digest(&body).into()),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body: Body::Blob(BlobRef::plain(place)),
        committed: 0,
        attributes: Attributes::default(),
    };
    let condition = WriteCondition::default();
    let command = Command::PutObject { bucket, key: key.into_bytes(), record, condition };
    loop {
        match engine.metadata.commit(command.clone(), body.clone()).await {
            Ok(Outcome::Object(_)) => return Ok(()),
            Ok(_) => return Err(format!("{name:08x} was refused")),
            Err(CommitError::NotWritten(NotWritten::Busy)) => tokio::time::sleep(BUSY_DELAY).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}
