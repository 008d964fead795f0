//! The state of tiering by use, for an operator.

use super::Tiering;
use super::walk::Walked;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::tier::Tier;

/// How many of the last decisions the status tells.
const RECENT_DECISIONS: usize = 20;

/// Whether objects are moved by their use; if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    #[default]
    Deciding,
    Off,
    OldLevel,
    OneTier,
    Paused,
}

impl Standing {
    /// Why not, in words; `None` if they are.
    pub fn why_not(self) -> Option<&'static str> {
        match self {
            Standing::Deciding => None,
            Standing::Off => Some("tiering by use is off (`[tiering] policy`)"),
            Standing::OldLevel => Some(
                "tiering by use takes a store of level 2: see `stratum level`, and raise it with `stratum level raise`",
            ),
            Standing::OneTier => Some("the store has a hot tier alone, so there is nothing to decide"),
            Standing::Paused => Some("moves between tiers are paused (`stratum pace resume transition`)"),
        }
    }
}

/// A bucket that is being watched before anything in it is moved by its use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmingUp {
    pub bucket: String,
    pub ends: UnixMillis,
}

/// A recent decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// The bucket's number.
    pub bucket: u64,
    pub key: String,
    pub from: Tier,
    pub to: Tier,
    pub reason: String,
    pub at: UnixMillis,
}

/// The state of tiering by use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TieringStatus {
    pub standing: Standing,
    /// The last walk over all objects; `None` before the first.
    pub last_walk: Option<Walked>,
    /// How many objects the walk under way has gone over.
    pub walking: Option<u64>,
    pub warming_up: Vec<WarmingUp>,
    /// Tiers that are almost full, and what follows from that.
    pub full: BTreeMap<String, String>,
    /// How often the wall clock leapt since the start.
    pub clock_leaps: u64,
    /// The last decisions, the latest first.
    pub recent: VecDeque<Recent>,
}

impl TieringStatus {
    pub(super) fn recent(&mut self, decision: Recent) {
        self.recent.truncate(RECENT_DECISIONS - 1);
        self.recent.push_front(decision);
    }
}

impl Tiering {
    /// The state of tiering by use.
    pub fn status(&self) -> TieringStatus {
        let standing = self.standing();
        let state = self.state.lock();
        let notes = state.pressures.notes().into_iter();
        let full = notes.map(|(tier, note)| (tier.name().into(), note.to_string()));
        TieringStatus { standing, last_walk: state.last, full: full.collect(), ..state.status.clone() }
    }
}
