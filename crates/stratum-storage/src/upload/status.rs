//! How things stand with the remote store, for whoever looks after the store.

use super::Uploader;
use crate::ambient::UnixMillis;
use crate::blob::VolumeId;
use crate::readpath::NO_REMOTE;
use crate::remote::{Reach, RemoteUse};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What was done in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub volumes: u64,
    pub bytes: u64,
    pub failed: u64,
    pub last_error: Option<String>,
    /// At the last look.
    pub missing: HashSet<VolumeId>,
    pub garbage: u64,
}

/// What lies in the remote store, and what is on its way there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadStatus {
    /// Where the remote store is; empty where the configuration names none.
    pub place: String,
    /// What can be done with it now.
    #[serde(default)]
    pub usable_for: RemoteUse,
    /// Since when it can't be reached, in milliseconds of Unix time, if it can't.
    pub away_since: Option<UnixMillis>,
    /// Why nothing is written to it, if so.
    pub refusal: Option<String>,
    /// Volumes that lie there, and the bytes of their objects.
    pub volumes: u64,
    pub bytes: u64,
    /// Sealed volumes that wait to come there, and how many bytes of bodies are in them.
    pub waiting: u64,
    pub waiting_bytes: u64,
    /// Volumes that an operator wants to be there now and that are to be sealed first, and how many bytes of bodies are in
    /// them.
    #[serde(default)]
    pub sealing: u64,
    #[serde(default)]
    pub sealing_bytes: u64,
    /// The one that is on its way.
    pub uploading: Option<u64>,
    /// What came there since the start.
    pub uploaded: u64,
    pub uploaded_bytes: u64,
    /// Tries that failed since the start, and why the last of them did.
    pub failed: u64,
    pub last_error: Option<String>,
    /// Volumes that weren't there at the last look.
    pub missing: u64,
    /// Objects that nobody named and that were removed since the start.
    pub garbage_removed: u64,
}

impl Uploader {
    /// How things stand; nothing where there is no remote store, and nothing lies in one.
    pub fn status(&self) -> Option<UploadStatus> {
        let Some(remote) = self.table.remote() else { return self.without_a_remote_store() };
        let spooled = self.table.spooled();
        let stats = self.table.remote_stats();
        let hurried = self.state.lock().hurried.clone();
        let is_sealed = |id: &VolumeId| spooled.iter().any(|volume| volume.id == *id);
        let sealing: Vec<u64> = self
            .here()
            .into_iter()
            .filter(|volume| hurried.contains(&volume.id) && !is_sealed(&volume.id))
            .map(|volume| volume.usage().0)
            .collect();
        let state = self.state.lock();
        Some(UploadStatus {
            place: remote.place(),
            usable_for: remote.usable_for(),
            away_since: match remote.reach() {
                Reach::Away { since, .. } => Some(since),
                Reach::There => None,
            },
            refusal: remote.refusal(),
            volumes: stats.volumes,
            bytes: stats.bytes,
            waiting: spooled.len() as u64,
            waiting_bytes: spooled.iter().map(|volume| volume.usage().0).sum(),
            sealing: sealing.len() as u64,
            sealing_bytes: sealing.iter().sum(),
            uploading: state.uploading.map(|volume| volume.0),
            uploaded: state.done.volumes,
            uploaded_bytes: state.done.bytes,
            failed: state.done.failed,
            last_error: state.done.last_error.clone(),
            missing: state.done.missing.len() as u64,
            garbage_removed: state.done.garbage,
        })
    }

    fn without_a_remote_store(&self) -> Option<UploadStatus> {
        let stats = self.table.remote_stats();
        (stats.volumes > 0).then(|| UploadStatus {
            usable_for: RemoteUse::Unconfigured,
            refusal: Some(NO_REMOTE.into()),
            volumes: stats.volumes,
            bytes: stats.bytes,
            ..UploadStatus::default()
        })
    }
}
