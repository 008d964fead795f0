//! What a remote store gives to an operator who has lost drives: copies of the state, which are read like backups, and
//! volumes. A copy of the state may be older than a volume's move to the remote store, and then says that the volume
//! lies on drives.

use super::{Believed, Offline};
use crate::layout::Layout;
use crate::private;
use crate::shown::duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// The most bytes that one request reads.
const READ_BYTES: u64 = 4 << 20;
/// How often a remote store that can't be reached is probed, and how many times: for a quarter of an hour.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const MOST_PROBES: u32 = 180;
/// The folder on a drive in which checkpoints lie.
const CHECKPOINTS: &str = "checkpoint";

/// What a remote store holds.
struct Afar {
    remote: Arc<Remote>,
    /// The id of the set that the remote store belongs to, if its marker says one.
    owner: Option<String>,
    /// The volumes in the remote store, each with the object that was written last.
    volumes: BTreeMap<VolumeId, RemoteObject>,
    /// The copies of the state that were fetched.
    copies: Vec<StateCopy>,
    /// Sentences about copies of the state that couldn't be fetched.
    unfetched: Vec<String>,
    /// The folder that the copies were fetched into, which can be read like a drive.
    folder: PathBuf,
}

/// A copy of the state that was fetched.
struct StateCopy {
    /// The last entry of the journal that is in the copy.
    index: Index,
    /// When the copy was written to the remote store, by that store's clock.
    came: UnixMillis,
}

impl Afar {
    /// Lists what the remote store holds, and fetches every copy of the state that is complete into a folder that must
    /// not exist yet.
    async fn look(store: Arc<dyn ObjectStore>, folder: &Path) -> Result<Afar, String> {
        let remote = Remote::read_only(store, Arc::new(System));
        let say = |error: RemoteError| format!("{}: {error}", remote.place());
        let owner = remote.marker().await.map_err(say)?;
        let volumes = volumes(&remote).await.map_err(say)?;
        let mut files = remote.state_files().await.map_err(say)?;
        files.sort_by_key(|(file, came)| Reverse((*came, file.name.clone())));
        let (copies, unfetched) = (Vec::new(), Vec::new());
        let mut afar = Afar { owner, volumes, copies, unfetched, folder: folder.to_owned(), remote };
        let (mut here, all) = (BTreeMap::new(), files.iter().map(|(file, _)| file).collect());
        for (file, came) in files.iter().filter(|(file, _)| ReadManifest::is_named(&file.name)) {
            match afar.bring(file, &all, &mut here).await {
                Ok(Some(index)) => afar.copies.push(StateCopy { index, came: *came }),
                Ok(None) => {}
                // Another copy may be all that is needed, and the volumes are known in any case.
                Err(problem) => {
                    afar.unfetched.push(format!("a copy of the state can't be fetched: {problem}"))
                }
            }
        }
        Ok(afar)
    }

    /// The folder with the fetched copies, if there is any copy.
    fn state(&self) -> Option<&Path> {
        (!self.copies.is_empty()).then_some(self.folder.as_path())
    }

    /// A sentence about a remote store without a copy of the state.
    fn without_state(&self) -> String {
        let (place, volumes) = (self.remote.place(), self.volumes.len());
        let copies = match self.unfetched.as_slice() {
            [] => format!("{place} holds no copy of the state"),
            unfetched => unfetched.join("; "),
        };
        format!("{copies}, and nobody can say whose bytes the {volumes} volumes there hold")
    }

    /// Fetches the copy of the state that a manifest names, and gives the last entry of the journal in it. Gives
    /// nothing if another version of a file was fetched already for a newer copy: `here` has the fetched files, each with its
    /// stamp.
    ///
    /// # Errors
    /// The copy is damaged or not whole, or can't be read now.
    async fn bring(
        &self,
        manifest: &StateFile,
        all: &BTreeSet<&StateFile>,
        here: &mut BTreeMap<String, u128>,
    ) -> Result<Option<Index>, String> {
        let mut bytes = Vec::new();
        self.read(manifest, &mut bytes).await?;
        let Some(read) = ReadManifest::parse(manifest.stamp, &bytes) else {
            return Err(format!("{}: {} is damaged", self.remote.place(), manifest.object()));
        };
        let files = || read.names.iter().chain([manifest]);
        if let Some(missing) = files().find(|file| !all.contains(file)) {
            let (place, missing) = (self.remote.place(), missing.object());
            return Err(format!("{place}: {missing} isn't there, or not all of it"));
        }
        let fits = files().all(|file| here.get(&file.name).is_none_or(|stamp| *stamp == file.stamp));
        if !fits {
            return Ok(None);
        }
        let folder = self.folder.join(CHECKPOINTS);
        let at = |error: io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(at)?;
        for file in files() {
            if !here.contains_key(&file.name) {
                let path = folder.join(&file.name);
                let mut to = private::create(&path).map_err(at)?;
                if let Err(problem) = self.read(file, &mut to).await {
                    // An older copy may need a file of that name, and fetches it anew.
                    std::fs::remove_file(&path).map_err(at)?;
                    return Err(problem);
                }
                here.insert(file.name.clone(), file.stamp);
            }
        }
        Ok(Some(read.index))
    }

    /// Fetches a file of a copy of the state. Its bytes are not verified here, but when they are read as a checkpoint.
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

    /// Finds volumes that were moved to the remote store after this state was written: their records say that they lie
    /// on drives, too few of their shards are left there, and the remote store has them. Gives records that say where
    /// they are.
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

    /// Sentences about what isn't known because the state is older than the remote store's volumes.
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
        copy.into_iter().chain(later).chain(self.unfetched.iter().cloned()).collect()
    }
}

/// The volumes that lie in a remote store, each with the object that was written last.
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
    /// Opens what is left of the store: on drives, in an unpacked backup, and in the remote store, if it has one. Must
    /// be called within a Tokio runtime.
    pub async fn open_with_afar(
        layout: &Layout,
        scratch: &Path,
        backup: Option<&Path>,
        believed: Believed,
        remote: Option<Arc<dyn ObjectStore>>,
    ) -> Result<Offline, String> {
        let mut copies: Vec<PathBuf> = backup.map(Path::to_owned).into_iter().collect();
        let index = scratch.join("index");
        let Some(remote) = remote else { return Offline::open(layout, &index, &copies, believed) };
        match Afar::look(remote.clone(), &scratch.join("state")).await {
            Ok(afar) => {
                copies.extend(afar.state().map(Path::to_owned));
                let and_afar = |error| match afar.state() {
                    Some(_) => error,
                    None => format!("{error}; {}", afar.without_state()),
                };
                let store = Offline::open(layout, &index, &copies, believed).map_err(and_afar)?;
                store.with_afar(afar).await
            }
            Err(problem) => {
                let store = Offline::open(layout, &index, &copies, believed);
                let mut store =
                    store.map_err(|error| format!("{error}; {problem}"))?.with_remote(Some(remote));
                store.afar_doubts.push(problem);
                Ok(store)
            }
        }
    }

    /// The same store with what the remote store holds, which is only read.
    ///
    /// # Errors
    /// The remote store belongs to another store.
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

    /// Waits until a remote store that couldn't be reached can be reached; gives whether that is so. After one wait in
    /// vain it doesn't wait again.
    pub async fn remote_came_back(&self) -> bool {
        let away = self.remote.as_ref().filter(|remote| remote.reach().is_away());
        let Some(remote) = away.filter(|_| !self.gave_up.load(Ordering::Relaxed)) else { return false };
        eprintln!("{} can't be reached: waiting for it", remote.place());
        for _ in 0..MOST_PROBES {
            tokio::time::sleep(PROBE_INTERVAL).await;
            // The error was told before; whether the store answers is seen by `reach`.
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
