//! The engine that brings bytes from files, objects and pipes into files, objects and pipes.
//!
//! A [`Step`] is one object or file. Many steps run at once, and of a large one several pieces are transferred at
//! once. The memory that all pieces hold together is bounded, whatever their number and size; only a part of a file or
//! object of more than 900 GiB is larger than the bound, since S3 takes no more parts, and is then alone. When a kill or
//! a lost connection cuts a large transfer off, the same command goes on with it by its [`ledger`].

mod copy;
mod download;
mod ledger;
mod open;
mod pieces;
mod remove;
mod upload;

pub use copy::is_same;

use crate::local::{Lasting, LocalFile, Root};
use crate::output::Output;
use crate::place::{Url, shown};
use crate::problem::{Outcome, Problem};
use crate::quantity::{shown_bytes, shown_span};
use crate::s3::Attributes;
use crate::sessions::Sessions;
use futures_util::{Stream, StreamExt};
use open::OpenTransfers;
use serde_json::json;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

/// How many bytes all pieces together may hold in memory.
const MEMORY_BYTES: u64 = 96 << 20;
/// The unit in which the semaphore counts memory, so that 32 bits are enough.
const GRAIN_BYTES: u64 = 4 << 10;

/// An object to be read.
#[derive(Clone, Debug)]
pub struct RemoteObject {
    pub url: Url,
    pub version: Option<String>,
    pub size: u64,
    pub etag: String,
    pub modified: Option<OffsetDateTime>,
}

impl RemoteObject {
    /// The URL and the version that name it.
    fn named(&self) -> (&Url, Option<&str>) {
        (&self.url, self.version.as_deref())
    }

    /// Whether it still has that ETag, which some endpoints put in quotes in one answer and not in another.
    fn is_same_as(&self, etag: &str) -> bool {
        self.etag.trim_matches('"') == etag.trim_matches('"')
    }
}

/// Where a step's bytes come from.
#[derive(Clone, Debug)]
pub enum From {
    File(LocalFile),
    Object(RemoteObject),
    Pipe,
}

/// Where a step's bytes go.
#[derive(Clone, Debug)]
pub enum To {
    Object(Url),
    /// A file of that path.
    File(PathBuf),
    /// A name below a folder, outside which nothing may be written.
    Below(Arc<Root>, String),
    /// A device, or a pipe that has a name.
    Stream(PathBuf),
    Pipe,
}

/// One file or object to be brought from one place to another.
#[derive(Clone, Debug)]
pub struct Step {
    pub from: From,
    pub to: To,
}

/// Something for the engine to do.
pub enum Work {
    Bring(Step),
    /// Objects of one bucket, or files, that are to be deleted.
    Remove(Vec<From>),
}

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The attributes of objects that are written.
    pub attributes: Attributes,
    /// Whether a file or object that is already in the target's place is written over.
    pub clobbers: bool,
    /// Whether a source is deleted once its copy is there.
    pub moves: bool,
    pub tells_each: bool,
    pub is_dry_run: bool,
    /// How many steps run at once.
    pub jobs: usize,
}

/// How a step that didn't fail ended.
enum Ended {
    Done,
    /// A file or object is in the target's place already, and isn't to be written over.
    Skipped,
}

/// Does steps and deletions, many at once.
pub struct Engine {
    pub sessions: Sessions,
    pub output: Output,
    options: Options,
    memory: Semaphore,
    open: OpenTransfers,
    /// Has the files of a move outlast a power loss, since their sources are deleted. Other copies needn't.
    lasting: Option<Arc<Lasting>>,
    /// Whether a problem was met by which all other work would fail, too.
    is_hopeless: AtomicBool,
    done: AtomicU64,
    skipped: AtomicU64,
    bytes: AtomicU64,
}

impl Engine {
    pub fn new(sessions: Sessions, output: Output, options: Options) -> Engine {
        Engine {
            sessions,
            output,
            lasting: options.moves.then(Arc::default),
            options,
            memory: Semaphore::new((MEMORY_BYTES / GRAIN_BYTES) as usize),
            open: OpenTransfers::default(),
            is_hopeless: AtomicBool::new(false),
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Does all work. What fails is told, and the rest goes on.
    pub async fn run(self: &Arc<Self>, work: impl Stream<Item = Result<Work, Problem>>) {
        let mut work = std::pin::pin!(work);
        let mut running = JoinSet::new();
        while let Some(next) = work.next().await {
            while running.len() >= self.options.jobs {
                self.joined(running.join_next().await);
            }
            if self.is_hopeless.load(Ordering::Relaxed) {
                break;
            }
            match next {
                Err(problem) => self.fail(&problem),
                Ok(Work::Remove(doomed)) => drop(running.spawn(self.clone().remove(doomed))),
                Ok(Work::Bring(step)) => {
                    self.output.expect(step.size());
                    running.spawn(self.clone().perform(step));
                }
            }
        }
        while !running.is_empty() {
            self.joined(running.join_next().await);
        }
    }

    /// Ends an interrupted command: uploads that can't be gone on with are aborted, and a note tells how many
    /// transfers can.
    pub async fn interrupt(&self) -> Outcome {
        self.output.finish();
        let resumable = self.open.drop_what_is_lost().await;
        self.output.note("stratum: interrupted");
        if resumable > 0 {
            self.output.note(format_args!(
                "stratum: {resumable} large file{} can be gone on with: the same command does; \
                 `stratum rm --incomplete` drops what was uploaded",
                if resumable == 1 { "" } else { "s" }
            ));
        }
        Outcome::Interrupted
    }

    /// Tells a person what was done, and gives the command's outcome.
    pub fn summary(&self, took: Duration) -> Outcome {
        self.output.finish();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (done, skipped, bytes) = (count(&self.done), count(&self.skipped), count(&self.bytes));
        if self.output.is_attended() && !self.options.is_dry_run {
            let rate = (bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
            let skipped =
                if skipped == 0 { String::new() } else { format!(", {skipped} were there already") };
            self.output.note(format_args!(
                "{done} done{skipped}: {} in {}, {} a second",
                shown_bytes(bytes),
                shown_span(took),
                shown_bytes(rate)
            ));
        }
        self.output.outcome(done + skipped)
    }

    fn joined(&self, joined: Option<Result<(), tokio::task::JoinError>>) {
        if let Some(Err(error)) = joined {
            self.output.problem(&Problem::at("a transfer", error));
        }
    }

    async fn perform(self: Arc<Self>, step: Step) {
        let ended = match self.options.is_dry_run {
            true => Ok(Ended::Done),
            false => self.bring(&step).await,
        };
        match ended {
            Ok(Ended::Done) => {
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                self.bytes.fetch_add(step.size(), Ordering::Relaxed);
                self.output.count(done);
                self.tell(&step);
            }
            Ok(Ended::Skipped) => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                self.output.advance(step.size());
            }
            Err(problem) => self.fail(&problem),
        }
    }

    /// Tells a problem. One by which all other work would fail, too, is told once.
    fn fail(&self, problem: &Problem) {
        if !problem.is_of_all() || !self.is_hopeless.swap(true, Ordering::Relaxed) {
            self.output.problem(problem);
        }
    }

    /// Does a step, and deletes its source if it is to be moved.
    async fn bring(&self, step: &Step) -> Result<Ended, Problem> {
        let ended = match (&step.from, &step.to) {
            (From::File(file), To::Object(to)) => self.upload(file, to).await?,
            (From::Pipe, To::Object(to)) => self.upload_pipe(to).await?,
            (From::Object(from), To::Object(to)) => self.copy(from, to).await?,
            (From::Object(from), To::File(path)) => self.download(from, path.clone()).await?,
            (From::Object(from), To::Below(root, name)) => self.download_below(from, root, name).await?,
            (From::Object(from), To::Stream(path)) => self.download_into(from, path).await?,
            (From::Object(from), To::Pipe) => self.print(from).await?,
            (From::File(_) | From::Pipe, _) => {
                return Err(Problem::Usage(
                    "neither the source nor the target is in a bucket: use cp(1)".into(),
                ));
            }
        };
        if matches!(ended, Ended::Done) && self.options.moves {
            self.let_go(&step.from).await?;
        }
        Ok(ended)
    }

    /// Deletes the source of a move, if it is still what was read.
    async fn let_go(&self, from: &From) -> Result<(), Problem> {
        match from {
            From::File(file) => {
                let now = file.again().map_err(|problem| Problem::of_path(&file.path, problem))?;
                if (now.size, now.modified) != (file.size, file.modified) {
                    let problem = "it changed meanwhile: it stays, and its copy holds the old content";
                    return Err(Problem::of_path(&file.path, problem));
                }
                std::fs::remove_file(&file.path).map_err(|error| Problem::of_path(&file.path, error))
            }
            From::Object(object) => {
                let client = self.sessions.client(&object.url.site)?;
                let Url { bucket, key, .. } = &object.url;
                let now = client.head(bucket, key, None).await.map_err(Problem::s3(&object.url))?;
                if !object.is_same_as(&now.etag) {
                    let problem = "it was overwritten meanwhile: it stays, beside its copy";
                    return Err(Problem::at(&object.url, problem));
                }
                client.delete_same(bucket, key, &object.etag).await.map_err(Problem::s3(&object.url))
            }
            From::Pipe => Ok(()),
        }
    }

    fn tell(&self, step: &Step) {
        if !self.options.tells_each && !self.output.is_json() {
            return;
        }
        let verb = step.verb(self.options.moves);
        // The work goes on when the reader of the output has closed it.
        let _ = if self.output.is_json() {
            self.output.object(&json!({
                "action": verb,
                "from": step.from.plain(),
                "to": step.to.plain(),
                "size": step.size(),
                "dry_run": self.options.is_dry_run,
            }))
        } else {
            let would = if self.options.is_dry_run { "would " } else { "" };
            self.output.line(format_args!("{would}{verb} {} to {}", step.from, step.to))
        };
    }

    /// Waits until that much of the memory is free, and takes it. More than the bound takes all of it.
    async fn memory(&self, bytes: u64) -> SemaphorePermit<'_> {
        let grains = bytes.clamp(1, MEMORY_BYTES).div_ceil(GRAIN_BYTES);
        loop {
            // Acquiring fails only if the semaphore is closed, which it never is.
            if let Ok(permit) = self.memory.acquire_many(grains as u32).await {
                return permit;
            }
        }
    }
}

impl Step {
    /// The size of the source. That of a pipe isn't known and counts as 0.
    pub fn size(&self) -> u64 {
        match &self.from {
            From::File(file) => file.size,
            From::Object(object) => object.size,
            From::Pipe => 0,
        }
    }

    fn verb(&self, moves: bool) -> &'static str {
        match (&self.from, &self.to) {
            _ if moves => "move",
            (From::File(_) | From::Pipe, _) => "upload",
            (From::Object(_), To::Object(_)) => "copy",
            (From::Object(_), _) => "download",
        }
    }
}

impl From {
    /// Its name, with nothing escaped.
    fn plain(&self) -> String {
        match self {
            From::File(file) => file.path.to_string_lossy().into_owned(),
            From::Object(object) => object.url.plain(),
            From::Pipe => "-".into(),
        }
    }
}

impl To {
    /// Its name, with nothing escaped.
    fn plain(&self) -> String {
        match self {
            To::Object(url) => url.plain(),
            To::File(path) | To::Stream(path) => path.to_string_lossy().into_owned(),
            To::Below(root, name) => root.folder().join(name).to_string_lossy().into_owned(),
            To::Pipe => "-".into(),
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.plain()).fmt(f)
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.plain()).fmt(f)
    }
}

/// Runs work that waits for a disk or a processor on a thread where it holds up nothing else.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::at("a thread", error))
}
