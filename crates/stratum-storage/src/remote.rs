//! A remote object store that keeps sealed volumes.
//!
//! [`ObjectStore`] is the one seam to it: few operations on whole objects, each async. `stratum-remote` speaks to S3,
//! GCS and Azure behind it, [`simulated`] is memory that can be slow, gone, lying or forgetful. [`Remote`] is what
//! everybody else uses: it remembers whether the store can be reached ([`Reach`]), and while it can't, refuses every
//! request at once, since nobody is to wait for a store that is away. Only [`Remote::tend`] asks then, now and then.
//!
//! A volume's object is never written over: its name has a number that is drawn for each upload ([`RemoteObject`]). What
//! lies where in it is arithmetic ([`crate::format::remote`]). Whose bytes these are only the state knows, and a copy of it lies
//! beside them ([`state`]). Whatever is sent is read again and compared ([`sending`]). Which start of the store may write there,
//! should its drives have been copied, says a [`claim`].

mod claim;
mod reach;
mod sending;
pub mod simulated;
pub mod state;

pub use claim::{Claim, ClaimMemory, Claimant};
pub use reach::Reach;
pub(crate) use sending::{Sending, Sent};

use crate::ambient::Clock;
use crate::blob::VolumeId;
use bytes::Bytes;
use claim::Standing;
use reach::Breaker;
use serde::{Deserialize, Serialize};
use state::StateCopies;
use std::fmt::{self, Debug};
use std::future::Future;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
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
        "{volumes} volumes should lie in the remote store, and {place} has no marker of this store's: write into \
         `tiers.cold.remote` where they lie, and restart; if they are gone for good, `stratum tier claim` goes on without them"
    )]
    Elsewhere { place: String, volumes: u64 },
    /// Another start of this store claimed the place.
    #[error(
        "another server claimed {place} that runs, or ran, on a copy of this store's drives, and may have changed what lies there: \
         this one writes and removes nothing there, and reads on. Take `tiers.cold.remote` out of the copy's configuration and \
         restart the copy, then `stratum tier claim` here"
    )]
    Displaced { place: String },
    /// A claim can't be remembered on the store's own drives.
    #[error("{place} can't be claimed, since this store's drives can't keep the claim: {problem}")]
    Forgetful { place: String, problem: String },
    /// The remote store gives back other bytes than it was given.
    #[error("the remote store doesn't give back what it was given: {0}")]
    Altered(String),
}

impl RemoteError {
    /// Whether it is about how this store stands to the place, and not about one request.
    fn is_of_the_place(&self) -> bool {
        match self {
            RemoteError::Foreign { .. }
            | RemoteError::Elsewhere { .. }
            | RemoteError::Displaced { .. }
            | RemoteError::Forgetful { .. } => true,
            RemoteError::Unavailable(_) | RemoteError::Missing(_) | RemoteError::Altered(_) => false,
        }
    }
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
    /// Writes a small object, in place of one of that name if there is one.
    fn replace<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, ()>;
    /// Begins to write an object, which is there when all of it is.
    fn upload<'a>(&'a self, name: &'a str) -> Answer<'a, Box<dyn PartialObject>>;
    /// Removes an object; one that isn't there is no error.
    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;
    /// A page of the objects in a folder whose names come after one, in the order of names.
    fn list<'a>(&'a self, folder: &'a str, after: Option<&'a str>) -> Answer<'a, Vec<Listed>>;
    /// Where the remote store is, for people.
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
    /// Nobody where it is only read.
    claimant: Option<Claimant>,
    breaker: Breaker,
    standing: Mutex<Standing>,
    /// Held by whoever claims the place or looks who did, so that nobody takes a claim on its way for another's.
    claiming: tokio::sync::Mutex<()>,
    /// The refusal that was logged last.
    told_refusal: Mutex<Option<RemoteError>>,
    copies: Mutex<StateCopies>,
}

/// What can be done with a remote store now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteUse {
    /// It is read and written.
    #[default]
    Open,
    /// It is read, and not written: another start claimed it, or none can be made now.
    ReadOnly,
    /// It isn't the place where this store's volumes lie.
    Elsewhere,
    /// It can't be reached.
    Away,
    /// The configuration names none, and volumes lie in one.
    Unconfigured,
}

impl RemoteUse {
    /// Whether the volumes that should lie there can be read, as far as is known.
    pub fn is_readable(self) -> bool {
        matches!(self, RemoteUse::Open | RemoteUse::ReadOnly)
    }
}

impl Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?}, {:?})", self.store, self.breaker.reach())
    }
}

impl Remote {
    /// One that the claimant writes to.
    pub fn new(store: Arc<dyn ObjectStore>, claimant: Claimant, clock: Arc<dyn Clock>) -> Arc<Remote> {
        Remote::of(store, Some(claimant), clock)
    }

    /// One that is only read, whoever's it is.
    pub fn read_only(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Arc<Remote> {
        Remote::of(store, None, clock)
    }

    fn of(store: Arc<dyn ObjectStore>, claimant: Option<Claimant>, clock: Arc<dyn Clock>) -> Arc<Remote> {
        Arc::new(Remote {
            store,
            claimant,
            breaker: Breaker::new(clock),
            standing: Mutex::new(Standing::Unknown),
            claiming: tokio::sync::Mutex::default(),
            told_refusal: Mutex::default(),
            copies: Mutex::default(),
        })
    }

    /// Where the remote store is, for people.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// Whether it can be reached, as far as is known.
    pub fn reach(&self) -> Reach {
        self.breaker.reach()
    }

    /// Whether something may be written there: it can be reached, and this start holds the claim.
    pub fn takes_writes(&self) -> bool {
        matches!(&*self.standing.lock(), Standing::Held(_)) && !self.reach().is_away()
    }

    /// Why nothing is written to it, if so.
    pub fn refusal(&self) -> Option<String> {
        let refused = match &*self.standing.lock() {
            Standing::Refused { error, .. } => Some(error.to_string()),
            Standing::Unknown | Standing::Held(_) => None,
        };
        refused.or_else(|| match self.reach() {
            Reach::Away { error, .. } => Some(error),
            Reach::There => None,
        })
    }

    /// What can be done with it now.
    pub fn usable_for(&self) -> RemoteUse {
        match (&*self.standing.lock(), self.reach()) {
            (_, Reach::Away { .. }) => RemoteUse::Away,
            (
                Standing::Refused {
                    error: RemoteError::Foreign { .. } | RemoteError::Elsewhere { .. }, ..
                },
                _,
            ) => RemoteUse::Elsewhere,
            (Standing::Refused { .. }, _) => RemoteUse::ReadOnly,
            (Standing::Unknown | Standing::Held(_), _) => RemoteUse::Open,
        }
    }

    /// Looks whether it can be reached again, if it couldn't be, and claims it, if this start doesn't hold it. `volumes` is
    /// how many should lie there.
    pub async fn tend(&self, volumes: u64) -> Result<(), RemoteError> {
        self.probe().await?;
        match self.reach().is_away() || !self.is_claim_due() {
            true => Ok(()),
            false => self.claim(volumes).await,
        }
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
        self.ensure_held().await?;
        self.ask(Operation::Remove, self.store.delete(name)).await
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
