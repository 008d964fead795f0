//! The store of a stopped server, opened for reading only: `rescue`, `fsck` and `restore` work on it.
//!
//! It needs no minimum of drives, no sound identity and no journal: each layer gives what can be read, and says what
//! can't ([`Offline::doubts`]). It refuses a drive that a running server has locked.

mod afar;
mod given;

pub use given::Given;

use crate::config::Config;
use crate::layout::Layout;
use clap::Args;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stratum_metadata::salvage::{Salvaged, Sources};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::drive::read_only::ReadOnly;
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::journal::{History, JournalError};
use stratum_storage::remote::{ObjectStore, Remote};
use stratum_storage::set::{Remains, replicated_content};
use stratum_storage::volume::{ShardFiles, VolumeRecord};
use stratum_storage::volumes::Volumes;

/// The arguments that say where a stopped server's store is, the same as those of `stratum server`.
#[derive(Args)]
pub struct StoreArgs {
    /// The server's configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The server's data folders. [default: ./data]
    #[arg(long)]
    data: Vec<PathBuf>,
}

impl StoreArgs {
    /// The configuration that the file holds, or the default one.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn config(&self) -> Result<Config, String> {
        let config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read);
        config.map_err(|error| error.to_string())
    }

    /// The first data folder that the command line names, in which a server keeps root's credentials.
    pub fn first_named(&self) -> Option<PathBuf> {
        self.data.first().cloned()
    }

    /// The directories of the store that these arguments name.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn layout(&self) -> Result<Layout, String> {
        let config = self.config()?;
        let mut data = if self.data.is_empty() { config.server.data.clone() } else { self.data.clone() };
        if data.is_empty() {
            data.push(PathBuf::from("data"));
        }
        Ok(Layout::new(&data, &config))
    }
}

/// Whose journal and checkpoints the state is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// The drives', and what the copies have beside them.
    All,
    /// The copies' alone: the state of the drives was restored from something else.
    Copies,
}

/// A stopped server's store.
pub struct Offline {
    pub remains: Remains,
    /// The folder of the server's index, which depends on the drives that are there.
    pub index: PathBuf,
    pub history: History,
    pub state: Salvaged,
    pub files: ShardFiles,
    /// The records of the volumes that the state knows.
    pub records: Vec<VolumeRecord>,
    /// The remote store in which the cold tier's volumes may lie. It is only read.
    remote: Option<Arc<Remote>>,
    /// Sentences about what isn't known because the remote store or all drives are missing, or the state is an older
    /// copy.
    afar_doubts: Vec<String>,
    /// Whether a wait for the remote store has ended in vain, so that nobody waits for it again.
    gave_up: AtomicBool,
}

impl Believed {
    /// The journal that these drives know; `hot` are the store's own hot drives.
    pub fn history(self, sources: &[Arc<Drive>], hot: &[Arc<Drive>]) -> Result<History, JournalError> {
        match self {
            Believed::All => History::read(sources),
            Believed::Copies => History::read_beside(sources, hot),
        }
    }

    /// The server's own index, where it belongs to the state.
    fn index(self, index: &Path) -> Option<PathBuf> {
        (self == Believed::All).then(|| index.to_owned())
    }
}

impl Offline {
    /// Opens the store; the state is built in `scratch`, a folder that must not exist yet. Blocks. Must be called
    /// within a Tokio runtime, since reading volumes needs one.
    ///
    /// `copies` are the folders of unpacked backups and of copies of the state that were fetched from a remote store.
    /// Each is read as one more hot drive. With a copy, no real drive is needed.
    pub fn open(
        layout: &Layout,
        scratch: &Path,
        copies: &[PathBuf],
        believed: Believed,
    ) -> Result<Offline, String> {
        let say = |error: &dyn Display| error.to_string();
        let clock: Arc<dyn Clock> = Arc::new(System);
        let remains =
            Remains::look(&layout.set_config(Threads::Caller), &clock).map_err(|error| say(&error))?;
        let has_drives = !remains.all_drives().is_empty();
        let places = layout.tiers.iter().flat_map(|tier| &tier.drives);
        let places: Vec<String> = places.map(|path| path.display().to_string()).collect();
        let no_drives = format!("there is no drive of a store at any of {}", places.join(", "));
        if !has_drives && copies.is_empty() {
            return Err(no_drives);
        }
        let mut hot = match believed {
            Believed::All => remains.drives(Tier::JOURNAL),
            Believed::Copies => Vec::new(),
        };
        for (number, folder) in (0..).zip(copies) {
            hot.push(backup_drive(folder, number)?);
        }
        let history = believed.history(&hot, &remains.drives(Tier::JOURNAL)).map_err(|error| say(&error))?;
        let mut layout = layout.clone();
        layout.settle(&remains.all_drives());
        let index = layout.index();
        let sources = Sources { index: scratch.to_owned(), drives: hot, former: believed.index(&index) };
        let state = Salvaged::build(&sources, &history, clock).map_err(|error| say(&error))?;
        let files = ShardFiles::find(&remains.tiers);
        let records = state.volumes().map_err(|error| say(&error))?;
        let afar_doubts = if has_drives { Vec::new() } else { vec![no_drives] };
        Ok(Offline {
            remains,
            index,
            history,
            state,
            files,
            records,
            remote: None,
            afar_doubts,
            gave_up: AtomicBool::default(),
        })
    }

    /// The same store with the remote store that the configuration names, which is only read.
    pub fn with_remote(self, store: Option<Arc<dyn ObjectStore>>) -> Offline {
        let remote = store.map(|store| Remote::read_only(store, Arc::new(System)));
        Offline { remote, ..self }
    }

    /// The volumes that the state knows, with their shards where the state says that they lie.
    pub fn volumes(&self) -> Volumes {
        Volumes::salvage(
            self.remains.tiers.clone(),
            self.records.clone(),
            self.state.log(),
            self.remote.clone(),
        )
    }

    /// All volumes of which there are files, also those that the state doesn't know, with their shards on whatever
    /// drives they were found.
    pub fn all_volumes(&self) -> Volumes {
        let known: HashSet<VolumeId> = self.records.iter().map(|record| record.id).collect();
        let strange = self.files.volumes().into_iter().filter(|id| !known.contains(id));
        let strange = strange.filter_map(|id| self.files.describe(id, &self.remains.tiers));
        let records = self.records.iter().cloned().chain(strange).map(|record| self.files.place(record));
        Volumes::salvage(self.remains.tiers.clone(), records.collect(), self.state.log(), self.remote.clone())
    }

    /// On how many hot drives each entry of the journal and each checkpoint should lie.
    pub fn hot_copies(&self) -> usize {
        let hot = self.remains.tiers.iter().find(|tier| tier.tier == Tier::JOURNAL);
        hot.map_or(1, |tier| usize::from(tier.geometry.m) + 1)
    }

    /// Whether the state is a restored one that was not accepted yet.
    pub fn is_provisional(&self) -> bool {
        given::unaccepted(&self.remains).is_some()
    }

    /// The content of a small file of which every hot drive keeps a copy.
    pub fn replicated(&self, name: &str) -> Option<Vec<u8>> {
        replicated_content(&self.remains.drives(Tier::JOURNAL), name)
    }

    /// Sentences about what isn't known of the store.
    pub fn doubts(&self) -> Vec<String> {
        self.state.doubts().iter().map(ToString::to_string).chain(self.afar_doubts.iter().cloned()).collect()
    }
}

/// The folder of an unpacked backup, as a hot drive that is only read. Its id is made from the highest ids down by
/// `number`; the ids of real drives are random, so none of them has it.
pub fn backup_drive(folder: &Path, number: u16) -> Result<Arc<Drive>, String> {
    let io = RealDrive::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (io, id) = (ReadOnly::new(Arc::new(io)), DriveId(u128::MAX - u128::from(number)));
    Ok(Arc::new(Drive::new(id, Tier::JOURNAL, u16::MAX - number, io, Threads::Caller, Arc::new(System))))
}
