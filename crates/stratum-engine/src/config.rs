//! What may differ from store to store, and what is usual.

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

/// What is kept free on a device for upkeep alone when the journal is empty, in bytes: two spare segments a member.
pub const LEAST_RESERVE: u64 = 192 << 20;

/// What may be known of the use of objects where nobody says how much, in bytes.
const LITTLE_MEMORY: usize = 1 << 20;

/// How a store is opened over its [`crate::Foundation`].
pub struct Config {
    /// A directory of the index's own; what is lost of it is rebuilt.
    pub index: PathBuf,
    /// Kept free on a device when the journal is empty, in bytes.
    pub reserve: u64,
    /// How often the small files that every drive holds are brought back to all of them.
    pub files_interval: Duration,
    /// What background work may take.
    pub budget: Budget,
    /// How long a volume waits for a drive before its bodies are written over the drives that are left, and how long
    /// drives must have been back before what was written without them is written over all.
    pub narrow_after: Duration,
    /// The least that is moved to make drives even, in bytes.
    pub least_move: u64,
    pub scrub: ScrubProgress,
    /// How large the pieces of a checkpoint are.
    pub checkpoint_sizes: CheckpointSizes,
    /// What a store that holds nothing yet begins at: the newest, but where a test needs one that is to be raised.
    pub first_level: Level,
    /// What bodies are coded with that come to a tier.
    pub codecs: Codecs,
    pub tiering: TieringConfig,
    /// How long a day is to buckets' lifecycle.
    pub lifecycle_days: Days,
    /// How objects are used, which decides where they lie.
    pub usage: Arc<Usage>,
    /// What was written and waits to be looked at, if anybody does.
    pub samples: Arc<Samples>,
    /// The keys above those of encrypted objects. None where nothing is encrypted.
    pub keys: Option<Arc<dyn KeyService>>,
    /// Where sealed volumes of the cold tier go, if there is such a place.
    pub remote: Option<Arc<dyn ObjectStore>>,
}

/// How it is decided where objects lie.
#[derive(Clone, Debug)]
pub struct TieringConfig {
    /// None where nothing is decided by use.
    pub policy: Option<Policy>,
    pub prices: Prices,
    /// What may be known of the use of objects, in bytes.
    pub memory: usize,
}

impl Default for TieringConfig {
    fn default() -> TieringConfig {
        TieringConfig { policy: Some(Policy::COST), prices: Prices::CLOUD, memory: 100 << 20 }
    }
}

impl Config {
    /// The usual, with an index there.
    pub fn new(index: PathBuf) -> Config {
        Config {
            index,
            reserve: LEAST_RESERVE,
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
            usage: Arc::new(Usage::new(LITTLE_MEMORY, Day::REAL, Seed([0; 16]))),
            samples: Arc::new(Samples::closed("nobody does here")),
            keys: None,
            remote: None,
        }
    }
}

/// How far scrub was, and who keeps that.
pub struct ScrubProgress {
    pub cursor: ScrubCursor,
    /// Called every half minute at most; may block.
    pub save: Box<Save>,
}

/// A scrub that begins anew with every start.
impl Default for ScrubProgress {
    fn default() -> ScrubProgress {
        ScrubProgress { cursor: ScrubCursor::default(), save: Box::new(|_| {}) }
    }
}
