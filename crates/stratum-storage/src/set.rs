//! A set: the drives that belong together, each at its position in its tier.
//!
//! Every drive of a set holds the list of all of them, the [`roll`], so which drives belong together is never
//! guessed: a blank directory where a drive was is a drive that is missing (an unmounted disk leaves just that
//! behind), a drive in another slot is used where it belongs, and a foreign one or one that was replaced is left
//! alone: its place counts as missing. [`formation`] decides all that at start; [`change`] is how drives come and go
//! while the store serves; [`Set::check`] looks every second whether the drives are still what was opened.

mod change;
mod files;
mod formation;
mod identity;
mod look;
mod mounts;
mod remains;
mod repair;
mod replicated;
mod roll;
mod seats;
mod slots;
mod watch;

pub use change::{ChangeError, Changed, Turn};
pub use identity::SetId;
pub use remains::{Remains, Remark};
pub use repair::Finding;
pub use replicated::{
    MAX_REPLICATED_BYTES, ReplicatedCopy, content_of_copy, replicated_content, replicated_copy,
};
pub use slots::{DriveSlot, DriveState};

use crate::ambient::{Clock, Entropy};
use crate::blob::{Geometry, Tier};
use crate::drive::{Drive, DriveId, DriveIo, Roster, Threads};
use change::Patience;
use identity::Formation;
use roll::Roll;
use std::path::PathBuf;
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;

/// The drives that the configuration names.
#[derive(Debug)]
pub struct SetConfig {
    /// Each tier once.
    pub tiers: Vec<TierConfig>,
    pub threads: Threads,
}

/// One tier's drives, in the order of their positions.
#[derive(Debug)]
pub struct TierConfig {
    pub tier: Tier,
    pub geometry: Geometry,
    pub drives: Vec<Root>,
}

/// Where a drive is.
#[derive(Clone, Debug)]
pub enum Root {
    /// A directory; it may not be there.
    Path(PathBuf),
    /// A drive that somebody opened.
    Open(Arc<dyn DriveIo>),
}

/// Why a set could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    #[error("{place} is in use by another server; stop that one first, or give this one other drives")]
    InUse { place: String },
    #[error("{place} is of format version {found}, this binary knows {known}: start a newer binary on it")]
    NewerFormat { place: String, found: u16, known: u16 },
    #[error(
        "{place} belongs to the set {found}, but {reference} to the set {expected}: start with the drives of one set"
    )]
    Foreign { place: String, found: SetId, reference: String, expected: SetId },
    #[error(
        "{place} and {reference} name different drives under one revision of the set, which no crash can cause: take \
         away the one that doesn't belong"
    )]
    Contradiction { place: String, reference: String },
    #[error("{first} and {second} are copies of one drive ({id}): take one of them away")]
    Twins { first: String, second: String, id: DriveId },
    #[error("a new set is made of blank drives only: empty {place} or name other drives, for it {problem}")]
    NotBlank { place: String, problem: String },
    #[error(
        "the set has {formed} in its {} tier, the configuration says {configured}: a set's drives and geometry \
         don't change by configuration (`stratum drive add` adds a drive, and then the configuration must name it)",
        .tier.name()
    )]
    Changed { tier: Tier, formed: String, configured: String },
    #[error("the configuration of the {} tier cannot be: {problem}", .tier.name())]
    Config { tier: Tier, problem: String },
    #[error("{place}: {action} failed: {source}")]
    Io { place: String, action: &'static str, source: std::io::Error },
    #[error("the file {name} on the hot drives: {problem}")]
    Replicated { name: String, problem: String },
}

/// The drives of one store.
#[derive(Debug)]
pub struct Set {
    id: SetId,
    is_new: bool,
    tiers: Vec<TierRoster>,
    formation: Mutex<Formation>,
    /// The roll, as the drives hold it.
    roll: Mutex<Roll>,
    /// The next change gets a revision above this one; 0 until the journal is open. Locked by whoever makes a change.
    next_revision: Mutex<u64>,
    /// Where the configuration says that each tier's slots are, and what was added since.
    roots: Mutex<Vec<(Tier, usize, Root)>>,
    threads: Threads,
    clock: Arc<dyn Clock>,
    watch: watch::Watch,
    patience: Patience,
}

#[derive(Debug)]
struct TierRoster {
    tier: Tier,
    geometry: Geometry,
    drives: Roster,
}

impl Set {
    /// Opens the set that lies on these drives, or forms a new one if they are all blank. Drives may be missing: how
    /// many are too many is for the journal to say. Every drive that is there is locked for as long as its files
    /// are used.
    ///
    /// Install the metrics recorder before: the drives' meters are made here.
    pub fn open(config: &SetConfig, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Result<Set, SetError> {
        formation::open(config, clock, entropy)
    }

    pub fn id(&self) -> SetId {
        self.id
    }

    /// Whether the set was formed by this very start.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the journal was ever opened on these drives.
    pub fn has_begun(&self) -> bool {
        *self.formation.lock() == Formation::Begun
    }

    /// The tier's drives as they are now, by position, the missing ones too; none for a tier that the set doesn't
    /// have.
    pub fn drives(&self, tier: Tier) -> Arc<[Arc<Drive>]> {
        self.tier(tier).map_or_else(|| [].into(), |found| found.drives.now())
    }

    /// The tier's drives, for who must see them join and leave.
    pub fn roster(&self, tier: Tier) -> Option<Roster> {
        self.tier(tier).map(|found| found.drives.clone())
    }

    /// The tier's geometry when all its drives are there.
    pub fn geometry(&self, tier: Tier) -> Option<Geometry> {
        self.tier(tier).map(|found| found.geometry)
    }

    /// All drives of all tiers, as they are now.
    pub fn all_drives(&self) -> Vec<Arc<Drive>> {
        self.tiers.iter().flat_map(|tier| tier.drives.now().to_vec()).collect()
    }

    pub fn drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.tiers.iter().find_map(|tier| tier.drives.find(id))
    }

    /// [`Drive::check`]s every drive; to be called every second. A drive that hangs delays neither the others nor the
    /// caller: it is looked at on a thread of its own, and latched when it hasn't answered for long while others did.
    /// When a drive has failed, the others on its device prove by a small write that they haven't.
    pub fn check(&self) {
        match self.threads {
            Threads::Caller => self.watch.look_here(&self.all_drives()),
            Threads::Own => self.watch.look(&self.all_drives(), self.clock.as_ref()),
        }
    }

    fn tier(&self, tier: Tier) -> Option<&TierRoster> {
        self.tiers.iter().find(|found| found.tier == tier)
    }
}

#[cfg(test)]
mod tests;
