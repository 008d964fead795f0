//! Tiering by use: decides in which tier each object should be while the server runs, and can explain each decision.
//!
//! The task `tiering` walks over all objects, decides about each by [`Policy::decide`] from its record and its use,
//! and proposes the changes; the task `transition` moves the bytes. A walk takes an eighth of a day, whatever the
//! store holds. As every object is looked at so often, no key needs to say when to look at it again, which every PUT
//! would have to write. An object that is read where reads are slow is decided about within a second (`woken`).
//! Nothing of a walk survives a restart, which begins a new one.
//!
//! A decision is made on the condition that its object hasn't changed since the look, and takes no lock on the
//! object, so a write that comes meanwhile wins.

mod capacity;
mod clock;
mod content;
mod decide;
mod explain;
mod ledger;
mod meet;
mod prefixes;
mod report;
mod status;
mod walk;

pub use content::Contents;
pub use explain::{Explained, Use, Used};
pub use ledger::{Held, Month};
pub use meet::{in_words, name_of, tier_of_policy, tier_of_store};
pub use prefixes::Found;
pub use report::Reported;
pub use status::{Recent, Standing, TieringStatus, WarmingUp};
pub use walk::Walked;

use crate::TieringConfig;
use capacity::Pressures;
use clock::Watch;
use ledger::Ledger;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::{Metadata, TIERS_SINCE};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::pace::{Class, Pace};
use stratum_storage::set::Set;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::volumes::Volumes;
use stratum_tiering::policy::Policy;
use stratum_tiering::prices::Prices;
use stratum_tiering::tier::{PerTier, Tier};
use stratum_tiering::usage::Usage;
use tracing_mutex::parkinglot::Mutex;
use walk::Walking;

/// The pause between two looks for woken objects, and whether a walk is due.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Walks a day.
const WALKS_A_DAY: f64 = 8.0;

/// Decides about tiers; one for a store.
pub struct Tiering {
    metadata: Metadata,
    volumes: Volumes,
    set: Arc<Set>,
    usage: Arc<Usage>,
    contents: Contents,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    /// `None` if tiering by use is off.
    policy: Option<Policy>,
    /// The configured prices; a tier that the store lacks costs more than anybody pays.
    prices: Prices,
    /// The tiers that the store has.
    has: PerTier<bool>,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
    /// Held by a walk and by decisions about woken objects, so that only one of them runs at a time. What an operator
    /// asks for doesn't need it.
    walking: tokio::sync::Mutex<Walking>,
}

struct State {
    watch: Watch,
    last: Option<Walked>,
    pressures: Pressures,
    status: TieringStatus,
}

impl Tiering {
    pub(crate) fn new(
        set: Arc<Set>,
        metadata: Metadata,
        volumes: Volumes,
        contents: Contents,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
        config: &TieringConfig,
    ) -> Tiering {
        let usage = contents.usage().clone();
        let healths = volumes.table.tiers();
        let has = PerTier::of(|tier| healths.iter().any(|health| tier_of_store(health.tier) == tier));
        let (now, monotonic) = (clock.now(), clock.monotonic());
        // Counting begins now, unless it began in an earlier run.
        usage.counted_since(now);
        let state = State {
            watch: Watch::new(now, monotonic),
            last: None,
            pressures: Pressures::default(),
            status: TieringStatus::default(),
        };
        Tiering {
            metadata,
            volumes,
            set,
            usage,
            contents,
            pace,
            clock,
            policy: config.policy.map(|policy| policy.over(has)),
            prices: config.prices.over(has),
            has,
            state: Mutex::new(state),
            ledger: Mutex::default(),
            walking: tokio::sync::Mutex::default(),
        }
    }

    /// Whether objects are moved by their use; if not, why.
    pub fn standing(&self) -> Standing {
        if self.policy.is_none() {
            Standing::Off
        } else if self.metadata.level() < TIERS_SINCE {
            Standing::OldLevel
        } else if !Tier::Hot.colder().any(|tier| self.has[tier]) {
            Standing::OneTier
        } else if self.pace.is_paused(Class::Transition) {
            Standing::Paused
        } else {
            Standing::Deciding
        }
    }

    /// What each tier costs.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// The length of a day, as configured.
    pub fn day(&self) -> stratum_tiering::day::Day {
        self.policy.unwrap_or(Policy::COST).day
    }

    async fn step_once(&self, stop: &Stop) -> Result<Next, decide::TieringError> {
        let now = self.clock.now();
        self.watch_clock(now);
        let Some(policy) = self.policy.filter(|_| self.standing() == Standing::Deciding) else {
            return Ok(Next::After(POLL_INTERVAL));
        };
        self.decide_woken(&policy, now).await?;
        let rest = self.walk_on(&policy, now, stop).await?;
        Ok(if rest.is_zero() { Next::AtOnce } else { Next::After(rest.min(POLL_INTERVAL)) })
    }

    /// Notices when the wall clock leaps, which makes all objects look unused, or new. Watching of the buckets then
    /// begins anew, so the model moves nothing for as long as it watches a new bucket.
    fn watch_clock(&self, now: UnixMillis) {
        let monotonic = self.clock.monotonic();
        let mut state = self.state.lock();
        let most = Duration::from_millis(self.day().hours(1.0)).max(clock::LEAST_LEAP);
        if let Some(leap) = state.watch.look(now, monotonic, most) {
            tracing::warn!(
                seconds = leap,
                "the clock leapt; buckets are watched anew before anything in them is moved by its use"
            );
            self.usage.count_since(now);
            state.status.clock_leaps += 1;
        }
    }
}

impl Task for Tiering {
    fn row(&self) -> Row {
        Row {
            name: "tiering",
            role: Role::Leader,
            class: Some(Class::Transition),
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.step_once(stop).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "where objects should lie could not be decided; trying again");
                Next::After(RETRY_DELAY)
            })
        })
    }
}
