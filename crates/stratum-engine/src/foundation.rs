//! The drives and their journal: what is opened before anything is known of the state.

use crate::open::OpenError;
use std::sync::Arc;
use stratum_metadata::log::LocalLog;
use stratum_storage::ambient::{Clock, Entropy};
use stratum_storage::blob::Tier;
use stratum_storage::drive::Threads;
use stratum_storage::journal::{self, Journal, JournalSet};
use stratum_storage::set::{Set, SetConfig};

/// The drives of a store, held by this process, with a journal that is in its next epoch.
pub struct Foundation {
    pub set: Arc<Set>,
    pub journal: Arc<Journal>,
    /// The log to which the state's commands go: the journal, unless a test puts something in front of it.
    pub log: Arc<dyn LocalLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Which threads do the work of drives and commits.
    pub(crate) threads: Threads,
}

impl Foundation {
    /// Takes the drives and opens their journal. Blocks, for as long as the drives take.
    ///
    /// # Errors
    /// [`OpenError::is_for_want_of_drives`] tells the error that goes away when drives come back; the drives are
    /// released then, and may be exchanged.
    pub fn open(
        drives: &SetConfig,
        journal: journal::Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Foundation, OpenError> {
        let set = Set::open(drives, clock.clone(), entropy.as_ref())?;
        let geometry = set.geometry(Tier::JOURNAL).ok_or(OpenError::NoHotTier)?;
        let on = JournalSet {
            drives: set.drives(Tier::JOURNAL).to_vec(),
            m: usize::from(geometry.m),
            begun: set.has_begun(),
        };
        let journal = Arc::new(Journal::open(on, journal, clock.clone(), entropy.clone())?);
        // Not fatal: the drives can't be changed then, and every attempt is refused with the reason.
        if let Err(error) = set.serve(journal.epoch()) {
            tracing::warn!(%error, "the drives were not all told which of them are missing");
        }
        let (set, log) = (Arc::new(set), journal.clone());
        Ok(Foundation { set, journal, log, clock, entropy, threads: drives.threads })
    }
}
