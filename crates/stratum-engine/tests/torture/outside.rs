//! Looks at the store of a server that has ended from outside, and leaves it unchanged, as `stratum fsck`, `rescue`
//! and `restore` do.

use crate::hardware::Hardware;
use crate::model::Piece;
use crate::remote::RemoteStore;
use crate::run::{BUCKET, Virtual, collect, frames};
use crate::sealed;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use stratum_bodies::Tables;
use stratum_metadata::check::Severity;
use stratum_metadata::record::{Body, ETag, ObjectRecord};
use stratum_metadata::salvage::{Salvaged, Sources};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::{BlobRef, Form, Place, Tier, VolumeId};
use stratum_storage::drive::read_only::ReadOnly;
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::simulated::SimulatedDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::inspect;
use stratum_storage::journal::History;
use stratum_storage::remote::Remote;
use stratum_storage::set::Remains;
use stratum_storage::volume::{TierDrives, VolumeRecord, VolumeState};
use stratum_storage::volumes::Volumes;

pub struct Outside {
    pub history: History,
    pub state: Salvaged,
    pub records: Vec<VolumeRecord>,
    /// Volumes of which the remote store lost something.
    lost: BTreeSet<VolumeId>,
    volumes: Volumes,
    _scratch: tempfile::TempDir,
}

impl Outside {
    /// Reads the drives; if there is an unpacked backup, it counts as one more drive.
    pub fn look(hardware: &Hardware, backup: Option<&Arc<SimulatedDrive>>) -> Result<Outside, String> {
        let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
        let remains = Remains::look(&hardware.config(), &clock).map_err(|error| error.to_string())?;
        let mut drives = remains.drives(Tier::Hot);
        drives.extend(backup.map(|disk| as_drive(disk, clock.clone())));
        let history = History::read(&drives).map_err(|error| error.to_string())?;
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (index, former) = (scratch.path().join("index"), Some(hardware.index()));
        let sources = Sources { index, drives, former };
        Outside::of(sources, history, remains.tiers.clone(), hardware.remote.as_ref(), clock, scratch)
    }

    /// Reads what a remote store holds, and nothing else: the volumes, and a copy of the state that was brought into a folder.
    pub fn afar(remote: &RemoteStore, copy: tempfile::TempDir) -> Result<Outside, String> {
        let clock: Arc<dyn Clock> = Arc::new(Virtual::new(0));
        let io = RealDrive::open(copy.path()).map_err(|error| error.to_string())?;
        let drive = Drive::new(DriveId(1), Tier::Hot, 0, Arc::new(io), Threads::Caller, clock.clone());
        let drives = vec![Arc::new(drive)];
        let history = History::read(&drives).map_err(|error| error.to_string())?;
        let sources = Sources { index: copy.path().join("index"), drives, former: None };
        Outside::of(sources, history, Vec::new(), Some(remote), clock, copy)
    }

    fn of(
        sources: Sources,
        history: History,
        tiers: Vec<TierDrives>,
        remote: Option<&RemoteStore>,
        clock: Arc<dyn Clock>,
        scratch: tempfile::TempDir,
    ) -> Result<Outside, String> {
        let state = Salvaged::build(&sources, &history, clock.clone()).map_err(|error| error.to_string())?;
        let records = state.volumes().map_err(|error| error.to_string())?;
        let is_lost = |record: &&VolumeRecord| remote.is_some_and(|remote| remote.lost(record));
        let lost = records.iter().filter(is_lost).map(|record| record.id).collect();
        let remote = remote.map(|remote| Remote::read_only(Arc::new(remote.store.clone()), clock));
        let volumes = Volumes::salvage(tiers, records.clone(), state.log(), remote);
        Ok(Outside { history, state, records, lost, volumes, _scratch: scratch })
    }

    /// Whether a body lies in the remote store, as far as that didn't lose it.
    pub fn is_afar(&self, blob: &BlobRef) -> bool {
        let is_there = |volume: VolumeId| {
            let record = self.records.iter().find(|record| record.id == volume);
            record.is_some_and(|record| record.remote.is_some()) && !self.lost.contains(&volume)
        };
        match &blob.place {
            Place::Empty => true,
            Place::Packed(at) => is_there(at.volume),
            Place::Extents(extents) => extents.iter().all(|extent| is_there(extent.volume)),
            Place::Journal { .. } | Place::ThisEntry { .. } => false,
        }
    }

    /// What the bytes of an object are, by what the state says of them; `None` if one of its parts is gone.
    pub fn pieces(&self, record: &ObjectRecord) -> Option<Vec<Piece>> {
        match (&record.body, record.etag) {
            (Body::Blob(_), ETag::Md5(md5)) => Some(vec![Piece::of_md5(md5)]),
            (Body::Parts { upload, parts }, _) => {
                let part = |number: u16| Some(Piece::of_md5(self.state.part(*upload, number).ok()??.md5));
                parts.iter().map(|part_of| part(part_of.number)).collect()
            }
            (Body::Blob(_), _) => None,
        }
    }

    /// Whether the remote store lost something of a volume.
    pub fn has_lost(&self, volume: VolumeId) -> bool {
        self.lost.contains(&volume)
    }

    /// Stripes of which too few fragments are left.
    pub async fn unreadable(&self) -> HashSet<(VolumeId, u64)> {
        let mut unreadable = HashSet::new();
        for record in self.records.iter().filter(|record| record.state != VolumeState::Dropped) {
            let verified =
                inspect::verify(&self.volumes.table, record.id).await.expect("it can be looked at");
            let lost = verified.stripes_found.iter().filter(|found| !found.is_readable());
            unreadable.extend(lost.map(|found| (record.id, found.offset)));
        }
        unreadable
    }

    /// Checks everything; the error says what is wrong.
    pub async fn check(&self) -> Result<String, String> {
        if let Some(doubt) = self.state.doubts().first() {
            return Err(doubt.to_string());
        }
        let mut wrong = Vec::new();
        let mut report = |finding: stratum_metadata::check::Finding| {
            if finding.severity() >= Severity::Wrong {
                wrong.push(finding.to_string());
            }
        };
        let checked = self.state.check(&self.history, &mut report).map_err(|error| error.to_string())?;
        let mut stripes = 0;
        let is_expected =
            |record: &&VolumeRecord| record.state != VolumeState::Dropped && !self.lost.contains(&record.id);
        for record in self.records.iter().filter(is_expected) {
            let verified = inspect::verify(&self.volumes.table, record.id).await;
            let verified = verified.map_err(|error| format!("{}: {error}", record.id))?;
            for found in verified.stripes_found.iter().filter(|found| !found.is_readable()) {
                let owners = self.state.owners_in(&HashSet::from([(record.id, found.offset)]));
                let owners = owners.map_err(|error| error.to_string())?;
                wrong.push(format!("{} has lost bytes of {owners:?}: {found:?}", record.id));
            }
            stripes += verified.stripes;
        }
        match wrong.into_iter().next() {
            Some(wrong) => Err(wrong),
            None => Ok(format!("{checked:?}, {stripes} stripes")),
        }
    }

    /// All objects, by key.
    pub fn objects(&self) -> Result<BTreeMap<Vec<u8>, ObjectRecord>, String> {
        let found = self.state.objects(BUCKET, None, usize::MAX).map_err(|error| error.to_string())?;
        let read = found.into_iter().map(|object| match object.record {
            Ok(record) => Ok((object.key, record)),
            Err(error) => Err(error.to_string()),
        });
        read.collect()
    }

    /// The bodies of an object, each with its bytes of plaintext; `None` if one of its parts is gone.
    pub fn blobs(&self, record: &ObjectRecord) -> Option<Vec<(BlobRef, u64)>> {
        match &record.body {
            Body::Blob(blob) => Some(vec![(blob.clone(), record.size)]),
            Body::Parts { upload, parts } => parts
                .iter()
                .map(|part| Some((self.state.part(*upload, part.number).ok()??.blob, part.size)))
                .collect(),
        }
    }

    /// An object's bytes, if they can be read.
    pub async fn bytes(&self, record: &ObjectRecord) -> Option<Bytes> {
        let mut bytes = Vec::new();
        for (blob, size) in self.blobs(record)? {
            bytes.extend_from_slice(&self.read(&blob, size).await?);
        }
        Some(bytes.into())
    }

    pub async fn read(&self, blob: &BlobRef, size: u64) -> Option<Bytes> {
        match (&blob.place, blob.form) {
            (Place::Journal { index, length, crc32c }, form) => {
                let stored = self.history.body(*index, *length, *crc32c).ok()?;
                sealed::open(form, &stored, size).ok()
            }
            (_, Form::Frames | Form::Sealed) => {
                frames(&self.volumes, &Tables::default(), blob, size, 0..size).await.ok()?
            }
            _ => collect(self.volumes.reader.read(&self.volumes.reader.pin(), blob, 0..blob.len()).ok()?)
                .await
                .ok(),
        }
    }
}

/// An unpacked backup as a drive. No drive of a set has its id, since ids are random.
pub fn as_drive(disk: &Arc<SimulatedDrive>, clock: Arc<dyn Clock>) -> Arc<Drive> {
    let (io, id) = (ReadOnly::new(disk.attach()), DriveId(u128::MAX));
    Arc::new(Drive::new(id, Tier::Hot, u16::MAX, io, Threads::Caller, clock))
}
