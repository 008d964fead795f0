//! `stratum rescue`: copies every readable object out of a store that can't start, into files.
//!
//! It works with whatever is left: if drives are missing, identities damaged, entries of the journal gone or the `meta`
//! folder lost, only what lay there is missing from the result. Where cold volumes lie in a remote store, it needs no
//! drive at all, since a copy of the state lies beside them (`offline::afar`). Nothing is written to the store.
//!
//! An object's file is written under a temporary name, made durable, renamed, and only then noted in the manifest, so
//! that a run that was interrupted can go on. Files of objects that can't be read whole go to the folder `_damaged`,
//! which can't be the name of a bucket.

mod batch;
mod copy;
mod frames;
mod manifest;
mod names;
mod unlock;

use crate::backup::Location;
use crate::backup::made::Made;
use crate::client::s3::S3Args;
use crate::master_keys;
use crate::offline::{Believed, Given, Offline, StoreArgs};
use crate::output;
use crate::remote;
use batch::{Batch, Rename};
use clap::Args;
use copy::Copied;
use manifest::{Line, Manifest, Status};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stratum_cipher::MasterKeys;
use stratum_metadata::record::{BucketId, ObjectRecord, Version};
use stratum_metadata::salvage::{Basis, SalvagedObject, SalvagedVersion};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Index;
use stratum_storage::volumes::Volumes;
use unlock::Unlocked;

/// The folder in which the state is built. Neither this nor the next three can be the name of a bucket.
const SCRATCH: &str = "_scratch";
/// The folder of objects that could be read only in part.
const DAMAGED: &str = "_damaged";
/// The folder of versions that aren't current.
const VERSIONS: &str = "_versions";
/// The folder of files that don't have their final name yet.
const UNFINISHED: &str = "_unfinished";

/// The exit code when an object isn't whole, or when it isn't known whether there are more.
const EXIT_FOUND: u8 = 1;
/// The exit code when the rescue couldn't be run.
const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum rescue`.
#[derive(Args)]
pub struct RescueArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The folder that the objects are copied to, as BUCKET/KEY, with a list of them in manifest.jsonl. Versions that
    /// aren't current go to _versions/BUCKET. A run that was interrupted goes on when the same folder is given again.
    #[arg(long)]
    to: PathBuf,
    /// A backup that `stratum backup` wrote, a file or s3://BUCKET/KEY. What the drives have lost is taken from it.
    #[arg(long)]
    backup: Option<Location>,
    #[command(flatten)]
    s3: S3Args,
}

/// Copies what can be read. Ends with 0 if that is everything, with 1 if something is missing or it isn't known whether
/// that is everything, and with 2 if the rescue couldn't be run.
pub fn run(args: &RescueArgs) -> ExitCode {
    match rescue(args) {
        Ok(summary) => {
            output::print(&summary);
            if summary.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) }
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn rescue(args: &RescueArgs) -> Result<Summary, String> {
    let layout = args.store.layout()?;
    let config = args.store.config()?;
    let configured = master_keys::configured(&config).map_err(|error| error.to_string())?;
    let remote = remote::configured(&config).map_err(|error| error.to_string())?;
    let at = |error: io::Error| format!("{}: {error}", args.to.display());
    std::fs::create_dir_all(&args.to).map_err(at)?;
    let scratch = args.to.join(SCRATCH);
    clear(&scratch).map_err(at)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(at)?;
    let outcome = runtime.block_on(async {
        let backup =
            args.backup.as_ref().map(|place| place.unpack(&args.s3, &scratch.join("backup"))).transpose()?;
        let given = backup.as_deref().map(|folder| Given::look(&layout, folder)).transpose()?;
        let believed = given.map_or(Believed::All, Given::believed);
        let store = Offline::open_with_afar(&layout, &scratch, backup.as_deref(), believed, remote).await?;
        let unsure =
            backup.as_deref().map(|folder| Made::check_set(folder, store.remains.set)).transpose()?;
        let manifest = Manifest::open(&args.to)
            .map_err(|error| format!("{}: {error}", args.to.join(manifest::NAME).display()))?;
        let kept = store.replicated(master_keys::FILE);
        let keys = master_keys::of_drives(configured, kept).map_err(|error| error.to_string())?;
        let mut rescue = Rescue {
            keys,
            volumes: store.all_volumes(),
            store: &store,
            folder: &args.to,
            batch: Batch::new(&args.to, manifest),
            summary: Summary::of(&store, unsure.flatten(), given.and_then(Given::left_out)),
        };
        rescue.summary.backup = backup.map(|folder| Made::age(&folder, System.now()));
        rescue.all().await?;
        Ok(rescue.summary)
    });
    drop(runtime);
    let cleared = clear(&scratch).and_then(|()| clear(&args.to.join(UNFINISHED))).map_err(at);
    outcome.and_then(|summary| cleared.map(|()| summary))
}

fn clear(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// A rescue that is under way.
struct Rescue<'a> {
    store: &'a Offline,
    keys: Option<MasterKeys>,
    volumes: Volumes,
    folder: &'a Path,
    batch: Batch<'a>,
    summary: Summary,
}

impl Rescue<'_> {
    /// Copies all objects of all buckets, and all versions that aren't current.
    async fn all(&mut self) -> Result<(), String> {
        for bucket in self.store.state.buckets().map_err(|error| error.to_string())? {
            let folder = names::bucket(bucket.name.as_deref(), bucket.id.0);
            let name = bucket.name.unwrap_or_else(|| folder.clone());
            let mut after = None;
            loop {
                let page = self.store.state.objects(bucket.id, after.as_deref(), 1000);
                let page = page.map_err(|error| error.to_string())?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                for object in page {
                    self.object(bucket.id, &name, &folder, object).await?;
                }
            }
            self.versions(bucket.id, &name, &folder).await?;
            eprintln!("{name}: {}", self.summary.progress());
        }
        self.batch.end().map_err(|error| self.at(&error))
    }

    fn at(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.folder.display())
    }

    async fn versions(&mut self, bucket: BucketId, name: &str, folder: &str) -> Result<(), String> {
        let mut after: Option<(Vec<u8>, Index)> = None;
        loop {
            let from = after.as_ref().map(|(key, committed)| (key.as_slice(), *committed));
            let page = self.store.state.versions(bucket, from, 1000).map_err(|error| error.to_string())?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.key.clone(), last.committed));
            for SalvagedVersion { key, version, .. } in page {
                match version {
                    Ok(Version::Object(record)) => {
                        self.summary.versions += 1;
                        let below =
                            Path::new(VERSIONS).join(folder).join(names::version(&key, record.version));
                        let unlocked = Unlocked::of(self.keys.as_ref(), bucket, &key, *record).await;
                        let line = Line { is_latest: false, ..Line::new(name, &key, &unlocked.record) };
                        self.rescue(line, &unlocked, below).await?;
                    }
                    Ok(Version::DeleteMarker(_)) => self.summary.delete_markers += 1,
                    Err(error) => {
                        self.summary.versions += 1;
                        let line = Line { is_latest: false, ..Line::without_record(name, &key, &error) };
                        self.lost(line)?;
                    }
                }
            }
        }
    }

    /// Counts and notes an object of which not even the record can be read.
    fn lost(&mut self, line: Line) -> Result<(), String> {
        self.summary.objects += 1;
        self.summary.count(&line, 0);
        self.batch.add(line, None).map_err(|error| self.at(&error))
    }

    async fn object(
        &mut self,
        bucket: BucketId,
        name: &str,
        folder: &str,
        object: SalvagedObject,
    ) -> Result<(), String> {
        let SalvagedObject { key, record } = object;
        let record = match record {
            Ok(record) => record,
            Err(error) => return self.lost(Line::without_record(name, &key, &error)),
        };
        let is_folder = self.store.state.has_prefix(bucket, &[key.as_slice(), b"/"].concat());
        let is_folder = is_folder.map_err(|error| error.to_string())?;
        let below = Path::new(folder).join(names::object(&key, is_folder));
        let unlocked = Unlocked::of(self.keys.as_ref(), bucket, &key, record).await;
        self.rescue(Line::new(name, &key, &unlocked.record), &unlocked, below).await
    }

    /// Copies an object to the path `below` the target folder, unless an earlier run has copied it whole.
    async fn rescue(&mut self, mut line: Line, unlocked: &Unlocked, below: PathBuf) -> Result<(), String> {
        let record = &unlocked.record;
        self.summary.objects += 1;
        let to = self.folder.join(&below);
        if self.batch.has(&line) && std::fs::metadata(&to).is_ok_and(|file| file.len() == record.size) {
            self.summary.before += 1;
            return Ok(());
        }
        let from = self.folder.join(UNFINISHED).join(self.batch.len().to_string());
        let copied =
            self.copy(unlocked, &from).await.map_err(|error| format!("{}: {error}", from.display()))?;
        line.status = status(record, &copied);
        let Copied { unreadable, read, problem } = copied;
        (line.unreadable, line.problem) = (unreadable, problem);
        self.summary.count(&line, read);
        let below = match line.status {
            Status::Whole => Some(below),
            Status::Damaged => Some(Path::new(DAMAGED).join(below)),
            Status::Lost => None,
        };
        line.path = below.as_ref().map(|below| below.display().to_string());
        let rename = below.map(|below| Rename { from, to: self.folder.join(below), bytes: read });
        self.batch.add(line, rename).map_err(|error| self.at(&error))
    }

    async fn copy(&self, unlocked: &Unlocked, to: &Path) -> io::Result<Copied> {
        std::fs::create_dir_all(self.folder.join(UNFINISHED))?;
        let file = File::create(to)?;
        if let Some(problem) = &unlocked.problem {
            return Ok(Copied::nothing(unlocked.record.size, problem.clone()));
        }
        let opener = unlocked.opener();
        let copy = || copy::copy(self.store, &self.volumes, &unlocked.record, opener.as_ref(), &file);
        let copied = copy().await?;
        // If the remote store was only out of reach for a while, the object is copied again rather than called damaged.
        if copied.problem.is_some() && self.store.remote_came_back().await {
            return copy().await;
        }
        Ok(copied)
    }
}

fn status(record: &ObjectRecord, copied: &Copied) -> Status {
    if copied.problem.is_none() {
        Status::Whole
    } else if copied.read > 0 || record.size == 0 {
        Status::Damaged
    } else {
        Status::Lost
    }
}

/// The result of a rescue.
#[derive(Debug, Default)]
struct Summary {
    /// What the state was read from.
    basis: String,
    /// A sentence about how old the backup is, if one was given.
    backup: Option<String>,
    remarks: Vec<String>,
    doubts: Vec<String>,
    objects: u64,
    /// How many of the objects are versions that aren't current.
    versions: u64,
    delete_markers: u64,
    /// How many objects this run has copied whole.
    whole: u64,
    /// How many objects an earlier run had copied whole.
    before: u64,
    damaged: u64,
    lost: u64,
    bytes: u64,
    /// The first objects that aren't whole, each with the reason.
    examples: Vec<String>,
}

impl Summary {
    /// The beginning of a summary, with a sentence about the backup and one about what isn't taken from it or from the
    /// drives.
    fn of(store: &Offline, unsure: Option<String>, left_out: Option<String>) -> Summary {
        let basis = match store.state.basis() {
            Basis::Nothing => "the journal alone".to_owned(),
            Basis::Checkpoint(index) => format!("the checkpoint at entry {index} and the journal after it"),
            Basis::Index(index) => format!("the server's own index as of entry {index}"),
        };
        let basis = format!("{basis}, up to entry {}", store.state.reached());
        let remarks = store.remains.remarks.iter().map(ToString::to_string).chain(unsure).collect();
        let doubts = store.doubts().into_iter().chain(left_out).collect();
        let summary = Summary { basis, remarks, doubts, ..Summary::default() };
        summary.remarks.iter().chain(&summary.doubts).for_each(|text| eprintln!("note: {text}"));
        summary
    }

    fn is_whole(&self) -> bool {
        self.doubts.is_empty() && self.damaged == 0 && self.lost == 0
    }

    fn count(&mut self, line: &Line, bytes: u64) {
        self.bytes += bytes;
        match line.status {
            Status::Whole => self.whole += 1,
            Status::Damaged => self.damaged += 1,
            Status::Lost => self.lost += 1,
        }
        if line.status != Status::Whole && self.examples.len() < 10 {
            let why = line.problem.as_deref().unwrap_or_default();
            self.examples.push(format!("{}/{}: {why}", line.bucket, line.key));
        }
    }

    fn progress(&self) -> String {
        format!(
            "{} objects so far, {} whole, {} damaged, {} lost, {} MiB",
            self.objects,
            self.whole + self.before,
            self.damaged,
            self.lost,
            self.bytes >> 20
        )
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "What the store holds was read from {}.", self.basis)?;
        writeln!(f, "{} objects are known.", self.objects)?;
        if self.versions + self.delete_markers > 0 {
            writeln!(
                f,
                "{} of them aren't current under their keys: they are under {VERSIONS}, each with its version at the end of its \
                 name. {} delete markers, which have no bytes, are left out.",
                self.versions, self.delete_markers
            )?;
        }
        writeln!(f, "{} are whole, {} of them since an earlier run.", self.whole + self.before, self.before)?;
        if self.damaged > 0 {
            writeln!(
                f,
                "{} are damaged: what could be read is under {DAMAGED}, with zeros for the rest.",
                self.damaged
            )?;
        }
        if self.lost > 0 {
            writeln!(f, "{} are lost: nothing of them could be read.", self.lost)?;
        }
        self.examples.iter().try_for_each(|example| writeln!(f, "  {example}"))?;
        for text in self.remarks.iter().chain(&self.doubts) {
            writeln!(f, "Note: {text}.")?;
        }
        writeln!(f, "The manifest ({}) has a line for every object.", manifest::NAME)?;
        if let Some(age) = &self.backup {
            writeln!(f, "{age}")?;
        }
        let Summary { objects, damaged, lost, .. } = self;
        let whole = self.whole + self.before;
        writeln!(f, "In all: {objects} objects, {whole} whole, {damaged} damaged, {lost} lost.")
    }
}
