//! A remote object store that keeps sealed volumes.
//!
//! [`ObjectStore`] is the one seam to it: few operations on whole objects, each async. `stratum-remote` speaks to S3,
//! GCS and Azure behind it, [`simulated`] is memory that can be slow, gone, lying or forgetful. [`Remote`] is what
//! everybody else uses: it remembers whether the store can be reached ([`Reach`]), and while it can't, refuses every
//! request at once, since nobody is to wait for a store that is away. Only [`Remote::tend`] asks then, now and then.
//!
//! A volume's object is never written over: its name has a number that is drawn for each upload ([`RemoteObject`]). What
//! lies where in it is arithmetic ([`crate::format::remote`]). Whose bytes these are only the state knows, and a copy of it lies
//! beside them ([`state`]). Whatever is sent is read again and compared ([`sending`]).

mod reach;
mod sending;
pub mod simulated;
pub mod state;

pub use reach::Reach;
pub(crate) use sending::{Sending, Sent};

use crate::ambient::Clock;
use crate::blob::VolumeId;
use bytes::Bytes;
use reach::Breaker;
use serde::{Deserialize, Serialize};
use state::StateCopies;
use std::fmt::{self, Debug};
use std::future::Future;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// The object that says which store this place belongs to.
const MARKER: &str = "stratum-store";
/// The folder that volumes lie in.
pub const VOLUMES: &str = "volumes";
/// How long a read may take before it is asked for a second time (a hedged read), and before it is given up.
const HEDGE_DELAY: Duration = Duration::from_secs(2);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one part of an upload may take: 8 MiB over a slow line.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// What a remote store answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>;

/// Why a remote store didn't do what it was asked.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum RemoteError {
    /// It may come back by itself, or when somebody mends the line, the address or the credentials.
    #[error("the remote store can't be used: {0}")]
    Unavailable(String),
    #[error("the remote store doesn't hold {0}")]
    Missing(String),
    /// What was stored there is another store's.
    #[error(
        "the remote store {place} belongs to another store ({found}, this one is {expected}): give this one a bucket or a \
         prefix of its own"
    )]
    Foreign { place: String, found: String, expected: String },
    /// Volumes of this store should lie there, and the place has no marker of any store.
    #[error(
        "{volumes} volumes should lie in the remote store, and {place} was never this store's: look at `tiers.cold.remote`"
    )]
    Elsewhere { place: String, volumes: u64 },
    /// What it was given isn't what it gives.
    #[error("the remote store doesn't give back what it was given: {0}")]
    Altered(String),
}

/// An object that a remote store lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// In bytes.
    pub length: u64,
    /// When it was written, in milliseconds of Unix time, by the remote's clock.
    pub modified: u64,
}

/// What may be asked of a remote store. Names are relative to a place of this store's own there, `/`-separated.
pub trait ObjectStore: Send + Sync + Debug + 'static {
    /// The bytes of a range; fewer where the object ends before.
    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> Answer<'a, Bytes>;
    /// An object's length in bytes.
    fn length<'a>(&'a self, name: &'a str) -> Answer<'a, u64>;
    /// Writes a small object if there is none of that name, atomically; says whether it did.
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, bool>;
    /// Begins to write an object, which is there when all of it is.
    fn upload<'a>(&'a self, name: &'a str) -> Answer<'a, Box<dyn PartialObject>>;
    /// Removes an object; one that isn't there is no error.
    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;
    /// A page of the objects in a folder whose names come after one, in the order of names.
    fn list<'a>(&'a self, folder: &'a str, after: Option<&'a str>) -> Answer<'a, Vec<Listed>>;
    /// Where it is, for people.
    fn place(&self) -> String;
}

/// An object that is being written.
pub trait PartialObject: Send {
    /// The next part. All but the last are as long as [`PART_BYTES`](crate::format::remote::PART_BYTES).
    fn part(&mut self, bytes: Bytes) -> Answer<'_, ()>;
    /// Makes the object of its parts.
    fn finish(&mut self) -> Answer<'_, ()>;
    /// Gives the object up, and leaves nothing of it behind.
    fn give_up(&mut self) -> Answer<'_, ()>;
}

/// Which object holds a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteObject {
    /// Drawn for each upload: a name is written once.
    pub upload: u64,
}

impl RemoteObject {
    pub fn name(self, volume: VolumeId) -> String {
        format!("{VOLUMES}/{volume}.{:016x}", self.upload)
    }

    /// What an object's name says.
    pub fn parse(name: &str) -> Option<(VolumeId, RemoteObject)> {
        let (volume, upload) = name.strip_prefix(VOLUMES)?.strip_prefix("/v")?.split_once('.')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let (volume, object) = (VolumeId(number(volume)?), RemoteObject { upload: number(upload)? });
        (object.name(volume) == name).then_some((volume, object))
    }
}

/// What is asked, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    Remove,
    Look,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Remove => "remove",
            Operation::Look => "look",
        }
    }

    fn timeout(self) -> Duration {
        match self {
            Operation::Write => WRITE_TIMEOUT,
            Operation::Read | Operation::Remove | Operation::Look => READ_TIMEOUT,
        }
    }
}

/// A remote store, and whether it can be reached.
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    /// The name of the store whose volumes it holds.
    owner: String,
    breaker: Breaker,
    /// The marker there was seen to be ours.
    is_ours: AtomicBool,
    /// Why nothing is written there, although it can be reached.
    foreign: Mutex<Option<RemoteError>>,
    copies: Mutex<StateCopies>,
}

impl Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?}, {:?})", self.store, self.breaker.reach())
    }
}

impl Remote {
    /// `owner` is what tells this store from every other one.
    pub fn new(store: Arc<dyn ObjectStore>, owner: String, clock: Arc<dyn Clock>) -> Arc<Remote> {
        let (is_ours, foreign, copies) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Arc::new(Remote { store, owner, breaker: Breaker::new(clock), is_ours, foreign, copies })
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// Whether it can be reached, as far as is known.
    pub fn reach(&self) -> Reach {
        self.breaker.reach()
    }

    /// Whether something may be written there: it can be reached, and was seen to be this store's.
    pub fn takes_writes(&self) -> bool {
        self.is_ours.load(Ordering::Acquire) && !self.reach().is_away()
    }

    /// Why nothing is written to it, if so.
    pub fn refusal(&self) -> Option<String> {
        let foreign = self.foreign.lock().as_ref().map(RemoteError::to_string);
        foreign.or_else(|| match self.reach() {
            Reach::Away { error, .. } => Some(error),
            Reach::There => None,
        })
    }

    /// Looks whether it can be reached again, if it couldn't be, and whose it is, if that isn't known. `volumes` is how
    /// many should lie there.
    pub async fn tend(&self, volumes: u64) -> Result<(), RemoteError> {
        self.probe().await?;
        if self.reach().is_away() {
            return Ok(());
        }
        if self.is_ours.load(Ordering::Acquire) {
            return Ok(());
        }
        let outcome = self.claim(volumes).await;
        *self.foreign.lock() = match &outcome {
            Err(error @ (RemoteError::Foreign { .. } | RemoteError::Elsewhere { .. })) => Some(error.clone()),
            _ => None,
        };
        outcome
    }

    /// Looks whether it can be reached again, if it couldn't be and it is time to ask.
    pub async fn probe(&self) -> Result<(), RemoteError> {
        if !self.reach().is_away() || !self.breaker.is_probe_due() {
            return Ok(());
        }
        // Any answer will do.
        let probe = self.timed(Operation::Look, self.store.length(MARKER)).await;
        self.breaker.note(&probe);
        match probe {
            Err(error @ RemoteError::Unavailable(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sees to it that the store's marker is ours.
    async fn claim(&self, volumes: u64) -> Result<(), RemoteError> {
        match self.ask(Operation::Look, self.store.get(MARKER, 0..MARKER_BYTES)).await {
            Ok(found) => return self.compare(&found),
            Err(RemoteError::Missing(_)) if volumes > 0 => {
                return Err(RemoteError::Elsewhere { place: self.place(), volumes });
            }
            Err(RemoteError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let marker = Bytes::from(self.owner.clone().into_bytes());
        if self.ask(Operation::Write, self.store.create(MARKER, marker)).await? {
            tracing::info!(place = self.place(), "the remote store is this store's from now on");
        }
        // Somebody else may have come first.
        let found = self.ask(Operation::Look, self.store.get(MARKER, 0..MARKER_BYTES)).await?;
        self.compare(&found)
    }

    fn compare(&self, found: &[u8]) -> Result<(), RemoteError> {
        if found == self.owner.as_bytes() {
            self.is_ours.store(true, Ordering::Release);
            return Ok(());
        }
        let found = String::from_utf8_lossy(found).into_owned();
        Err(RemoteError::Foreign { place: self.place(), found, expected: self.owner.clone() })
    }

    /// The bytes of a range of a volume's object; fewer where the object ends before. A range that is late is asked
    /// for twice.
    pub async fn read(
        &self,
        volume: VolumeId,
        object: RemoteObject,
        range: Range<u64>,
    ) -> Result<Bytes, RemoteError> {
        self.read_range(&object.name(volume), range).await
    }

    /// The length of a volume's object, in bytes.
    pub async fn length(&self, volume: VolumeId, object: RemoteObject) -> Result<u64, RemoteError> {
        self.length_of(&object.name(volume)).await
    }

    /// Removes a volume's object.
    pub async fn delete(&self, volume: VolumeId, object: RemoteObject) -> Result<(), RemoteError> {
        self.remove(&object.name(volume)).await
    }

    /// A page of the objects that hold volumes, or seem to.
    pub async fn list(&self, after: Option<&str>) -> Result<Vec<Listed>, RemoteError> {
        self.ask(Operation::Look, self.store.list(VOLUMES, after)).await
    }

    /// Whose the store is, if anybody's.
    pub async fn marker(&self) -> Result<Option<String>, RemoteError> {
        match self.ask(Operation::Look, self.store.get(MARKER, 0..MARKER_BYTES)).await {
            Ok(found) => Ok(Some(String::from_utf8_lossy(&found).into_owned())),
            Err(RemoteError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, RemoteError> {
        let read = hedged(|| self.store.get(name, range.clone()));
        let bytes = self.ask(Operation::Read, read).await?;
        metrics::counter!("stratum_remote_read_bytes_total").increment(bytes.len() as u64);
        Ok(bytes)
    }

    async fn length_of(&self, name: &str) -> Result<u64, RemoteError> {
        self.ask(Operation::Look, self.store.length(name)).await
    }

    async fn remove(&self, name: &str) -> Result<(), RemoteError> {
        self.refuse_strangers()?;
        self.ask(Operation::Remove, self.store.delete(name)).await
    }

    fn refuse_strangers(&self) -> Result<(), RemoteError> {
        match self.is_ours.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(RemoteError::Unavailable("it isn't known yet whose it is".into())),
        }
    }

    /// Waits for an answer, unless the store is known to give none.
    async fn ask<T>(
        &self,
        operation: Operation,
        answer: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        if let Reach::Away { error, .. } = self.reach() {
            return Err(RemoteError::Unavailable(error));
        }
        let outcome = self.timed(operation, answer).await;
        self.breaker.note(&outcome);
        outcome
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        answer: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let (began, timeout) = (self.breaker.monotonic(), operation.timeout());
        let late = || RemoteError::Unavailable(format!("it didn't answer within {} s", timeout.as_secs()));
        let outcome = tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| Err(late()));
        let took = self.breaker.monotonic().saturating_sub(began);
        metrics::histogram!("stratum_remote_seconds", "operation" => operation.name())
            .record(took.as_secs_f64());
        if outcome.is_err() {
            metrics::counter!("stratum_remote_errors_total", "operation" => operation.name()).increment(1);
        }
        outcome
    }
}

/// The most that is read of a marker.
const MARKER_BYTES: u64 = 256;

/// Asks a second time when the first answer is late; the first good one is taken.
async fn hedged<'a, T>(ask: impl Fn() -> Answer<'a, T>) -> Result<T, RemoteError> {
    let mut first = pin!(ask());
    if let Ok(outcome) = tokio::time::timeout(HEDGE_DELAY, &mut first).await {
        return outcome;
    }
    let mut second = pin!(ask());
    tokio::select! {
        biased;
        outcome = &mut first => match outcome {
            Ok(answer) => Ok(answer),
            Err(_) => second.await,
        },
        outcome = &mut second => match outcome {
            Ok(answer) => Ok(answer),
            Err(_) => first.await,
        },
    }
}

#[cfg(test)]
mod tests;
