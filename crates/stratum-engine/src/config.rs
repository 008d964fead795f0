//! What may differ from store to store, and what is usual.

use std::path::PathBuf;
use std::time::Duration;
use stratum_bodies::Codecs;
use stratum_metadata::record::Level;
use stratum_storage::pace::Budget;
use stratum_storage::scrub::{Save, ScrubCursor};

/// What is kept free on a device for upkeep alone when the journal is empty, in bytes: two spare segments a member.
pub const LEAST_RESERVE: u64 = 192 << 20;

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
    /// What a store that holds nothing yet begins at: the newest, but where a test needs one that is to be raised.
    pub first_level: Level,
    /// What bodies are coded with that come to a tier.
    pub codecs: Codecs,
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
            least_move: stratum_storage::balance::LEAST_MOVE,
            scrub: ScrubProgress::default(),
            first_level: Level::highest_known(),
            codecs: Codecs::NONE,
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
