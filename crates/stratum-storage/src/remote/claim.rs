//! Which start of which store may write to a remote store.
//!
//! The marker says whose the place is by the set's id, and a copy of a store's drives has the same id. So each start draws a
//! *claim*, a random number, and writes it beside the marker; before each upload of a volume it draws another. A store remembers its
//! newest claims on its own drives ([`ClaimMemory`]). Who finds a claim there that it doesn't remember has been *displaced*: another
//! start came after the drives were copied, and may have brought volumes there of which this one knows nothing. It writes and removes
//! nothing then, until an operator decides that it is the one after all ([`Remote::insist`]). Reads go on.
//!
//! The claim is read again right before anything is written or removed. A claim is remembered before it is written, so that a crash
//! between the two displaces nobody.

use super::{MARKER, MARKER_BYTES, Operation, Remote, RemoteError};
use crate::ambient::Entropy;
use crate::blocking;
use bytes::Bytes;
use std::fmt::{self, Debug};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The object that holds the newest claim.
const CLAIM: &str = "stratum-claim";
/// How long a place that was refused is left alone before it is looked at again.
const REFUSED_INTERVAL: Duration = Duration::from_secs(60);

/// What one start of a store says of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claim(pub u128);

impl Claim {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Claim> {
        let claim = Claim(u128::from_str_radix(text, 16).ok()?);
        (claim.to_string() == text).then_some(claim)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a store remembers its claims: as durable as the store itself, and copied with its drives. Both calls block.
pub trait ClaimMemory: Send + Sync + Debug + 'static {
    /// The claims that were written last; none if none ever was.
    fn read(&self) -> io::Result<Vec<Claim>>;
    /// Replaces them, durably.
    fn write(&self, claims: &[Claim]) -> io::Result<()>;
}

/// Who claims a place.
#[derive(Debug)]
pub struct Claimant {
    /// What tells the store from every other one but its copies.
    pub owner: String,
    pub memory: Arc<dyn ClaimMemory>,
    pub entropy: Arc<dyn Entropy>,
}

/// How this start stands to the place.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It hasn't been looked at, or not to the end.
    Unknown,
    Held(Claim),
    /// Nothing is written there, and why; it is looked at again at a time on the monotonic clock.
    Refused {
        error: RemoteError,
        again_at: Duration,
    },
}

/// What lies at the place where the claim should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Claim(Claim),
    Other,
}

/// Who decides that the place may be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// What the marker and the store's memory say.
    Memory,
    /// An operator: what lay there, or who claimed it, doesn't matter, unless it is another store's.
    Operator,
}

impl Remote {
    /// Whether it is time to claim the place.
    pub(super) fn is_claim_due(&self) -> bool {
        match &*self.standing.lock() {
            Standing::Unknown => true,
            Standing::Held(_) => false,
            Standing::Refused { again_at, .. } => *again_at <= self.breaker.monotonic(),
        }
    }

    /// Claims the place, if it is this store's or nobody's. `volumes` is how many should lie there.
    pub(super) async fn claim(&self, volumes: u64) -> Result<(), RemoteError> {
        self.take(volumes, By::Memory).await
    }

    /// Claims the place for an operator who knows that what should lie there is lost, or that the start that displaced this one
    /// was one of a copy.
    pub async fn insist(&self) -> Result<(), RemoteError> {
        self.take(0, By::Operator).await
    }

    /// Claims the place anew, so that no copy of the drives as they are now can take what comes there from now on for garbage.
    pub(crate) async fn renew(&self, volumes: u64) -> Result<(), RemoteError> {
        self.ensure_held().await?;
        self.take(volumes, By::Memory).await
    }

    async fn take(&self, volumes: u64, by: By) -> Result<(), RemoteError> {
        let _alone = self.claiming.lock().await;
        // Until it is known which claim lies there this one is as good as none.
        *self.standing.lock() = Standing::Unknown;
        let outcome = self.try_take(volumes, by).await;
        match &outcome {
            Ok(claim) => *self.standing.lock() = Standing::Held(*claim),
            Err(error) if error.is_of_the_place() => self.refuse(error),
            Err(_) => {}
        }
        outcome.map(drop)
    }

    async fn try_take(&self, volumes: u64, by: By) -> Result<Claim, RemoteError> {
        let claimant = self.claimant.as_ref().ok_or_else(unknown)?;
        self.mark(&claimant.owner, volumes).await?;
        let found = self.found_claim().await?;
        let memory = claimant.memory.clone();
        let known = self.remembered(move || memory.read()).await;
        if by == By::Memory {
            let known = known?;
            let is_ours = match found {
                Found::Nothing => true,
                Found::Claim(claim) => known.is_empty() || known.contains(&claim),
                Found::Other => false,
            };
            if !is_ours {
                return Err(self.displaced());
            }
        }
        let claim = Claim(claimant.entropy.next_u128());
        let before = match found {
            Found::Claim(before) => Some(before),
            Found::Nothing | Found::Other => None,
        };
        let (memory, claims) =
            (claimant.memory.clone(), before.into_iter().chain([claim]).collect::<Vec<_>>());
        self.remembered(move || memory.write(&claims)).await?;
        let bytes = Bytes::from(claim.to_string());
        self.ask(Operation::Write, self.store.replace(CLAIM, bytes)).await?;
        match self.found_claim().await? {
            Found::Claim(there) if there == claim => Ok(claim),
            there if there == found => Err(RemoteError::Altered(format!("{CLAIM} is what it was"))),
            Found::Claim(_) => Err(self.displaced()),
            Found::Nothing | Found::Other => {
                Err(RemoteError::Altered(format!("{CLAIM} isn't what was written")))
            }
        }
    }

    /// Sees to it that the place's marker is this store's.
    async fn mark(&self, owner: &str, volumes: u64) -> Result<(), RemoteError> {
        let place = || self.place();
        let found = match self.marker().await? {
            Some(found) => found,
            None if volumes > 0 => return Err(RemoteError::Elsewhere { place: place(), volumes }),
            None => {
                let marker = Bytes::from(owner.to_owned());
                if self.ask(Operation::Write, self.store.create(MARKER, marker)).await? {
                    tracing::info!(place = place(), "the remote store is this store's from now on");
                }
                // Somebody else may have come first.
                self.marker().await?.ok_or_else(|| RemoteError::Altered(format!("there is no {MARKER}")))?
            }
        };
        match found == owner {
            true => Ok(()),
            false => Err(RemoteError::Foreign { place: place(), found, expected: owner.to_owned() }),
        }
    }

    /// Makes sure that the claim there is this start's still: to be asked right before anything is changed there.
    pub(crate) async fn ensure_held(&self) -> Result<(), RemoteError> {
        let _alone = self.claiming.lock().await;
        let claim = match &*self.standing.lock() {
            Standing::Held(claim) => *claim,
            Standing::Refused { error, .. } => return Err(error.clone()),
            Standing::Unknown => return Err(unknown()),
        };
        match self.found_claim().await? {
            Found::Claim(there) if there == claim => Ok(()),
            Found::Claim(_) | Found::Other => {
                let error = self.displaced();
                self.refuse(&error);
                Err(error)
            }
            // Somebody emptied the place.
            Found::Nothing => {
                *self.standing.lock() = Standing::Unknown;
                Err(unknown())
            }
        }
    }

    async fn found_claim(&self) -> Result<Found, RemoteError> {
        match self.ask(Operation::Look, self.store.get(CLAIM, 0..MARKER_BYTES)).await {
            Ok(bytes) => {
                let claim = std::str::from_utf8(&bytes).ok().and_then(Claim::parse);
                Ok(claim.map_or(Found::Other, Found::Claim))
            }
            Err(RemoteError::Missing(_)) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Asks the store's memory.
    async fn remembered<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let outcome = blocking::spawn(work).await.map_err(io::Error::other).flatten();
        outcome.map_err(|error| RemoteError::Forgetful { place: self.place(), problem: error.to_string() })
    }

    /// Notes that nothing is written there for now; says so the first time.
    fn refuse(&self, error: &RemoteError) {
        let mut told = self.told_refusal.lock();
        if told.as_ref() != Some(error) {
            tracing::error!(%error, "nothing is written to the remote store or removed from it");
            *told = Some(error.clone());
        }
        let again_at = self.breaker.monotonic() + REFUSED_INTERVAL;
        *self.standing.lock() = Standing::Refused { error: error.clone(), again_at };
    }

    fn displaced(&self) -> RemoteError {
        RemoteError::Displaced { place: self.place() }
    }
}

fn unknown() -> RemoteError {
    RemoteError::Unavailable("it isn't known yet whose it is".into())
}
