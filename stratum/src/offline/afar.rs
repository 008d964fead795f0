//! What a remote store holds for whoever has lost drives: copies of the state, read as backups are, and the volumes themselves, of
//! which an older state says that they lie on drives.

use super::Offline;
use crate::layout::Layout;
use crate::shown::duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stratum_metadata::ReadManifest;
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::blob::{Index, VolumeId};
use stratum_storage::format::layout::FILE_HEADER;
use stratum_storage::format::remote::ObjectHeader;
use stratum_storage::remote::state::StateFile;
use stratum_storage::remote::{ObjectStore, Remote, RemoteError, RemoteObject};
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// What one request asks for.
const READ_BYTES: u64 = 4 << 20;
/// How often a store that can't be reached is asked whether it is back, and how many times: a quarter of an hour.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 180;
/// Where checkpoints lie on a drive.
const CHECKPOINTS: &str = "checkpoint";

/// What a remote store holds.
struct Afar {
    remote: Arc<Remote>,
    /// Whose it is, if it says so.
    owner: Option<String>,
    /// Of each volume the object that came last.
    volumes: BTreeMap<VolumeId, RemoteObject>,
    copies: Vec<StateCopy>,
    /// Where they were brought; reads like a drive.
    folder: PathBuf,
}

/// A copy of the state that was brought here.
struct StateCopy {
    /// The entry of the journal that it is as of.
    index: Index,
    /// When it came to the remote store, by its clock.
    came: UnixMillis,
}

impl Afar {
    /// Looks what lies there, and brings the copies of the state of which all is there into a folder that isn't there yet.
    async fn look(store: Arc<dyn ObjectStore>, folder: &Path) -> Result<Afar, String> {
        let remote = Remote::new(store, String::new(), Arc::new(System));
        let say = |error: RemoteError| format!("{}: {error}", remote.place());
        let owner = remote.marker().await.map_err(say)?;
        let volumes = volumes(&remote).await.map_err(say)?;
        let mut files = remote.state_files().await.map_err(say)?;
        files.sort_by_key(|(file, came)| Reverse((*came, file.name.clone())));
        let mut afar = Afar { owner, volumes, copies: Vec::new(), folder: folder.to_owned(), remote };
        let (mut here, all) = (BTreeMap::new(), files.iter().map(|(file, _)| file).collect());
        for (file, came) in files.iter().filter(|(file, _)| ReadManifest::is_named(&file.name)) {
            if let Some(index) = afar.bring(file, &all, &mut here).await? {
                afar.copies.push(StateCopy { index, came: *came });
            }
        }
        Ok(afar)
    }

    /// The folder that reads like a drive which holds the state, if there is a copy.
    fn state(&self) -> Option<&Path> {
        (!self.copies.is_empty()).then_some(self.folder.as_path())
    }

    /// What is there, where no copy of the state is.
    fn without_state(&self) -> String {
        format!(
            "{} holds no copy of the state, and nobody can say whose bytes the {} volumes there hold",
            self.remote.place(),
            self.volumes.len()
        )
    }

    /// Brings a copy here, by its manifest; nothing if something of it isn't there any more, or is in the way of a newer one.
    async fn bring(
        &self,
        manifest: &StateFile,
        all: &BTreeSet<&StateFile>,
        here: &mut BTreeMap<String, u128>,
    ) -> Result<Option<Index>, String> {
        let mut bytes = Vec::new();
        self.read(manifest, &mut bytes).await?;
        let Some(read) = ReadManifest::parse(manifest.stamp, &bytes) else {
            tracing::warn!(name = manifest.object(), "a copy of the state can't be read");
            return Ok(None);
        };
        let files = || read.names.iter().chain([manifest]);
        let is_whole = files().all(|file| all.contains(file));
        let fits = files().all(|file| here.get(&file.name).is_none_or(|stamp| *stamp == file.stamp));
        if !is_whole || !fits {
            return Ok(None);
        }
        let folder = self.folder.join(CHECKPOINTS);
        let at = |error: io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(at)?;
        for file in files() {
            if here.insert(file.name.clone(), file.stamp).is_none() {
                let mut to = File::create_new(folder.join(&file.name)).map_err(at)?;
                self.read(file, &mut to).await?;
            }
        }
        Ok(Some(read.index))
    }

    /// Whether its bytes are what was written is seen when they are read as a checkpoint.
    async fn read(&self, file: &StateFile, to: &mut impl Write) -> Result<(), String> {
        let (place, mut at) = (self.remote.place(), 0);
        while at < file.length {
            let piece = self.remote.read_state(file, at..file.length.min(at + READ_BYTES)).await;
            let piece = piece.map_err(|error| format!("{place}: {error}"))?;
            if piece.is_empty() {
                return Err(format!("{place}: {} ends early", file.object()));
            }
            to.write_all(&piece).map_err(|error| format!("{}: {error}", self.folder.display()))?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Which of these volumes lie there, although their records say that they lie on drives, where too little of them is left: they
    /// came there after this state.
    async fn settle(&self, store: &Offline) -> HashMap<VolumeId, VolumeRecord> {
        let mut settled = HashMap::new();
        let candidates = store.records.iter().filter(|record| {
            record.remote.is_none()
                && record.state != VolumeState::Dropped
                && !store.has_enough_shards(record)
        });
        for record in candidates {
            let Some(object) = self.volumes.get(&record.id) else { continue };
            let Ok(page) = self.remote.read(record.id, *object, 0..FILE_HEADER).await else { continue };
            let header = ObjectHeader::decode(&page).filter(|header| {
                (header.volume, header.upload, header.geometry) == (record.id, object.upload, record.geometry)
            });
            if let Some(ObjectHeader { sealed: length, .. }) = header {
                let (shards, state, remote) = (Vec::new(), VolumeState::Sealed { length }, Some(*object));
                settled.insert(record.id, VolumeRecord { shards, state, remote, ..record.clone() });
            }
        }
        settled
    }

    /// What isn't known because the state is older than what lies there.
    fn doubts(&self, store: &Offline) -> Vec<String> {
        let place = self.remote.place();
        let reached = store.state.reached();
        let is_of_copy = |copy: &&StateCopy| copy.index == reached && store.history.runs().is_empty();
        let copy = self.copies.iter().find(is_of_copy).map(|copy| {
            let age = duration(System.now().saturating_sub(copy.came) / 1000);
            format!(
                "the state is a copy that came to {place} {age} ago: what was written, changed or deleted since isn't known, \
                 and what was deleted is back"
            )
        });
        let last = store.records.iter().map(|record| record.id).max();
        let later = self.volumes.keys().filter(|id| last.is_none_or(|last| **id > last)).count();
        let later = (later > 0).then(|| {
            format!(
                "{place} holds {later} volumes that came after this state: whose bytes they hold isn't known"
            )
        });
        copy.into_iter().chain(later).collect()
    }
}

/// The volumes that lie there, each in the object that came last.
async fn volumes(remote: &Remote) -> Result<BTreeMap<VolumeId, RemoteObject>, RemoteError> {
    let (mut found, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = remote.list(after.as_deref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for listed in page {
            let Some((volume, object)) = RemoteObject::parse(&listed.name) else { continue };
            let newest: &mut (UnixMillis, RemoteObject) =
                found.entry(volume).or_insert((listed.modified, object));
            if listed.modified > newest.0 {
                *newest = (listed.modified, object);
            }
        }
    }
    Ok(found.into_iter().map(|(volume, (_, object))| (volume, object)).collect())
}

impl Offline {
    /// What is left of the store: on drives, in an unpacked backup, and in the remote store, if it has one. To be called within a
    /// runtime.
    pub async fn open_with_afar(
        layout: &Layout,
        scratch: &Path,
        backup: Option<&Path>,
        remote: Option<Arc<dyn ObjectStore>>,
    ) -> Result<Offline, String> {
        let mut copies: Vec<PathBuf> = backup.map(Path::to_owned).into_iter().collect();
        let index = scratch.join("index");
        let Some(remote) = remote else { return Offline::open(layout, &index, &copies) };
        match Afar::look(remote.clone(), &scratch.join("state")).await {
            Ok(afar) => {
                copies.extend(afar.state().map(Path::to_owned));
                let and_afar = |error| match afar.state() {
                    Some(_) => error,
                    None => format!("{error}; {}", afar.without_state()),
                };
                let store = Offline::open(layout, &index, &copies).map_err(and_afar)?;
                store.with_afar(afar).await
            }
            Err(problem) => {
                let store = Offline::open(layout, &index, &copies);
                let mut store =
                    store.map_err(|error| format!("{error}; {problem}"))?.with_remote(Some(remote));
                store.afar_doubts.push(problem);
                Ok(store)
            }
        }
    }

    /// With what the remote store holds, which is only read.
    ///
    /// # Errors
    /// It belongs to another store.
    async fn with_afar(mut self, afar: Afar) -> Result<Offline, String> {
        let set = self.remains.set.map(|set| set.to_string());
        if let (Some(owner), Some(set)) = (&afar.owner, &set)
            && owner != set
        {
            return Err(format!(
                "{} belongs to another store ({owner}) than these drives ({set}): name the drives of that one, or, if none is \
                 left, a folder that isn't there",
                afar.remote.place()
            ));
        }
        let mut settled = afar.settle(&self).await;
        for record in &mut self.records {
            if let Some(there) = settled.remove(&record.id) {
                *record = there;
            }
        }
        let doubts = afar.doubts(&self);
        self.afar_doubts.extend(doubts);
        self.remote = Some(afar.remote);
        Ok(self)
    }

    /// Whether the remote store couldn't be reached, and can be now. Waits for that, once in vain.
    pub async fn remote_came_back(&self) -> bool {
        let away = self.remote.as_ref().filter(|remote| remote.reach().is_away());
        let Some(remote) = away.filter(|_| !self.gave_up.load(Ordering::Relaxed)) else { return false };
        eprintln!("{} can't be reached: waiting for it", remote.place());
        for _ in 0..PROBES {
            tokio::time::sleep(PROBE_INTERVAL).await;
            // Why it isn't there is known.
            let _ = remote.probe().await;
            if !remote.reach().is_away() {
                return true;
            }
        }
        self.gave_up.store(true, Ordering::Relaxed);
        false
    }

    /// Whether the drives that are there hold as many of a volume's shards as it takes to read it.
    fn has_enough_shards(&self, record: &VolumeRecord) -> bool {
        let shards = 0..record.geometry.shards() as u8;
        let found = shards.filter(|shard| !self.files.of(record.id, *shard).is_empty()).count();
        found >= usize::from(record.geometry.k)
    }
}
