//! What may differ from store to store, with usual values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stratum_bodies::Codecs;
use stratum_cipher::KeyService;
use stratum_lifecycle::Days;
use stratum_metadata::CheckpointSizes;
use stratum_metadata::record::Level;
use stratum_storage::pace::Budget;
use stratum_storage::remote::ObjectStore;
use stratum_storage::scrub::{Save, ScrubCursor};
use stratum_tiering::content::Samples;
use stratum_tiering::day::Day;
use stratum_tiering::policy::Policy;
use stratum_tiering::prices::Prices;
use stratum_tiering::usage::Usage;
use stratum_tiering::usage::name::Seed;

/// What is kept free on a device for background work when the journal is empty, in bytes: two spare segments for each
/// member.
pub const LEAST_RESERVE_BYTES: u64 = 192 << 20;

/// The memory for the use of objects if the caller doesn't configure it, in bytes.
const LITTLE_MEMORY_BYTES: usize = 1 << 20;

/// How a store is opened over its [`crate::Foundation`].
pub struct Config {
    /// The index's own directory; if it is lost, it is rebuilt.
    pub index: PathBuf,
    /// Kept free on a device when the journal is empty, in bytes.
    pub reserve: u64,
    /// How often the small files that are on every drive are restored on drives that lack them.
    pub files_interval: Duration,
    /// How much of the drives' throughput background work may take.
    pub budget: Budget,
    /// How long a volume waits for a drive before its bodies are rewritten over the drives that are left; and how
    /// long drives must have been back before volumes that were written without them are rewritten over all.
    pub narrow_after: Duration,
    /// The least number of bytes that balancing moves.
    pub least_move: u64,
    pub scrub: ScrubProgress,
    /// The sizes of a checkpoint's pieces.
    pub checkpoint_sizes: CheckpointSizes,
    /// The level at which an empty store begins: the newest, except in a test that raises it.
    pub first_level: Level,
    /// The codec for bodies that are moved into each tier.
    pub codecs: Codecs,
    pub tiering: TieringConfig,
    /// How long a day is for lifecycle rules.
    pub lifecycle_days: Days,
    /// The use of objects, which decides about their tiers.
    pub usage: Arc<Usage>,
    /// The queue of written objects for the classifier; closed if there is none.
    pub samples: Arc<Samples>,
    /// The service that wraps the data keys of encrypted objects; `None` if nothing is encrypted.
    pub keys: Option<Arc<dyn KeyService>>,
    /// The remote store for sealed volumes of the cold tier, if there is one.
    pub remote: Option<Arc<dyn ObjectStore>>,
}

/// How the tiers of objects are decided.
#[derive(Clone, Debug)]
pub struct TieringConfig {
    /// `None` if their use decides nothing.
    pub policy: Option<Policy>,
    pub prices: Prices,
    /// Memory for the use of objects, in bytes.
    pub memory: usize,
}

impl Default for TieringConfig {
    fn default() -> TieringConfig {
        TieringConfig { policy: Some(Policy::COST), prices: Prices::CLOUD, memory: 100 << 20 }
    }
}

impl Config {
    /// The usual values, with the index in that directory.
    pub fn new(index: PathBuf) -> Config {
        Config {
            index,
            reserve: LEAST_RESERVE_BYTES,
            files_interval: Duration::from_secs(600),
            budget: Budget::default(),
            narrow_after: Duration::from_secs(30 * 60),
            least_move: stratum_storage::balance::LEAST_MOVE_BYTES,
            scrub: ScrubProgress::default(),
            checkpoint_sizes: CheckpointSizes::default(),
            first_level: Level::highest_known(),
            codecs: Codecs::NONE,
            tiering: TieringConfig::default(),
            lifecycle_days: Days::default(),
            usage: Arc::new(Usage::new(LITTLE_MEMORY_BYTES, Day::REAL, Seed([0; 16]))),
            samples: Arc::new(Samples::closed("nobody does here")),
            keys: None,
            remote: None,
        }
    }
}

/// How far scrub had come at the last stop, and the function that saves it.
pub struct ScrubProgress {
    pub cursor: ScrubCursor,
    /// Called at most every half minute; may block.
    pub save: Box<Save>,
}

/// A scrub that begins anew at every start.
impl Default for ScrubProgress {
    fn default() -> ScrubProgress {
        ScrubProgress { cursor: ScrubCursor::default(), save: Box::new(|_| {}) }
    }
}
