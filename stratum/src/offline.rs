//! The store of a stopped server, looked at without changing it: what `rescue` and `fsck` work on.
//!
//! Nothing here asks for enough drives, a sound identity or a journal: each layer gives what it can and says what it
//! can't ([`Offline::doubts`]). A drive that a server has locked ends it.

mod afar;

use crate::config::Config;
use crate::layout::Layout;
use clap::Args;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stratum_engine::provisional::{self, Restored};
use stratum_metadata::salvage::{Salvaged, Sources};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::drive::read_only::ReadOnly;
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::journal::History;
use stratum_storage::remote::{ObjectStore, Remote};
use stratum_storage::set::{Remains, replicated_content};
use stratum_storage::volume::{ShardFiles, VolumeRecord};
use stratum_storage::volumes::Volumes;

/// Where a stopped server's store is; as the server takes it.
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
    /// # Errors
    /// A configuration that can't be used.
    pub fn config(&self) -> Result<Config, String> {
        let config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read);
        config.map_err(|error| error.to_string())
    }

    /// The first data folder that is named, which is where a server keeps root's credentials.
    pub fn first_named(&self) -> Option<PathBuf> {
        self.data.first().cloned()
    }

    /// The drives and folders that these arguments mean.
    ///
    /// # Errors
    /// A configuration that can't be used.
    pub fn layout(&self) -> Result<Layout, String> {
        let config = self.config()?;
        let mut data = if self.data.is_empty() { config.server.data.clone() } else { self.data.clone() };
        if data.is_empty() {
            data.push(PathBuf::from("data"));
        }
        Ok(Layout::new(&data, &config))
    }
}

/// A stopped server's store.
pub struct Offline {
    pub remains: Remains,
    /// Where the server's index is, given the drives that are there.
    pub index: PathBuf,
    pub history: History,
    pub state: Salvaged,
    pub files: ShardFiles,
    /// Of the volumes that the state knows.
    pub records: Vec<VolumeRecord>,
    /// What the cold tier's volumes may lie in, to be read.
    remote: Option<Arc<Remote>>,
    /// What isn't known because of it.
    afar_doubts: Vec<String>,
    /// It was waited for in vain.
    gave_up: AtomicBool,
}

impl Offline {
    /// Looks at the store; the state is built in `scratch`, a folder that isn't there yet. Blocks. To be called within
    /// a runtime: reading volumes needs one.
    ///
    /// `copies` are unpacked backups, and copies of the state from elsewhere: each is read as one more drive, and where there is
    /// one it goes without any.
    pub fn open(layout: &Layout, scratch: &Path, copies: &[PathBuf]) -> Result<Offline, String> {
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
        let mut hot = remains.drives(Tier::JOURNAL);
        for (number, folder) in (0..).zip(copies) {
            hot.push(backup_drive(folder, number)?);
        }
        let history = History::read(&hot).map_err(|error| say(&error))?;
        let mut layout = layout.clone();
        layout.settle(&remains.all_drives());
        let index = layout.index();
        let sources = Sources { index: scratch.to_owned(), drives: hot, former: Some(index.clone()) };
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

    /// With the remote store that the configuration names. It is only read.
    pub fn with_remote(self, store: Option<Arc<dyn ObjectStore>>) -> Offline {
        let remote = store.map(|store| Remote::new(store, String::new(), Arc::new(System)));
        Offline { remote, ..self }
    }

    /// The volumes as the state has them.
    pub fn volumes(&self) -> Volumes {
        Volumes::salvage(
            self.remains.tiers.clone(),
            self.records.clone(),
            self.state.log(),
            self.remote.clone(),
        )
    }

    /// The volumes with their shards wherever they are, and those that only the drives know.
    pub fn all_volumes(&self) -> Volumes {
        let known: HashSet<VolumeId> = self.records.iter().map(|record| record.id).collect();
        let strange = self.files.volumes().into_iter().filter(|id| !known.contains(id));
        let strange = strange.filter_map(|id| self.files.describe(id, &self.remains.tiers));
        let records = self.records.iter().cloned().chain(strange).map(|record| self.files.place(record));
        Volumes::salvage(self.remains.tiers.clone(), records.collect(), self.state.log(), self.remote.clone())
    }

    /// On how many hot drives the journal and the checkpoints should be.
    pub fn hot_copies(&self) -> usize {
        let hot = self.remains.tiers.iter().find(|tier| tier.tier == Tier::JOURNAL);
        hot.map_or(1, |tier| usize::from(tier.geometry.m) + 1)
    }

    /// Whether the state was restored and not accepted yet.
    pub fn is_provisional(&self) -> bool {
        let mark = self.replicated(provisional::FILE);
        mark.is_some_and(|content| !Restored::parse(&content).accepted)
    }

    /// What a hot drive holds under that name as a file that all of them keep.
    pub fn replicated(&self, name: &str) -> Option<Vec<u8>> {
        replicated_content(&self.remains.drives(Tier::JOURNAL), name)
    }

    /// What is not known of the store, in sentences.
    pub fn doubts(&self) -> Vec<String> {
        self.state.doubts().iter().map(ToString::to_string).chain(self.afar_doubts.iter().cloned()).collect()
    }
}

/// An unpacked backup, as the drive that it reads like, and the number of it. No drive of a set has its id: ids are random.
pub fn backup_drive(folder: &Path, number: u16) -> Result<Arc<Drive>, String> {
    let io = RealDrive::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (io, id) = (ReadOnly::new(Arc::new(io)), DriveId(u128::MAX - u128::from(number)));
    Ok(Arc::new(Drive::new(id, Tier::JOURNAL, u16::MAX - number, io, Threads::Caller, Arc::new(System))))
}
