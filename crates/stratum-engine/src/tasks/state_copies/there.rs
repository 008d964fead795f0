//! What lies in the remote store of copies of the state.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use stratum_metadata::{CarriedCheckpoint, RangeCheck, ReadManifest};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::remote::state::StateFile;
use stratum_storage::remote::{Remote, RemoteError};

/// How much of a file is read at once, and the longest manifest that is read at all.
const READ_BYTES: u64 = 1 << 20;
const MAX_MANIFEST_BYTES: u64 = 1 << 30;

/// What lies there of copies.
pub(super) struct There {
    files: BTreeSet<StateFile>,
    /// The manifests that can be read, the newest first.
    manifests: Vec<SeenManifest>,
    /// What was right when it came: these manifests, and what they name.
    proven: BTreeSet<StateFile>,
}

/// A manifest that can be read.
pub(super) struct SeenManifest {
    file: StateFile,
    /// When it came, by the remote's clock.
    pub came: UnixMillis,
    pub says: ReadManifest,
}

impl SeenManifest {
    /// The files of its copy.
    pub fn files(&self) -> impl Iterator<Item = &StateFile> {
        self.says.names.iter().chain([&self.file])
    }
}

impl There {
    pub async fn look(remote: &Remote) -> Result<There, RemoteError> {
        let mut listed = remote.state_files().await?;
        listed.sort_by_key(|(file, came)| Reverse((*came, file.name.clone())));
        let mut manifests = Vec::new();
        for (file, came) in listed.iter().filter(|(file, _)| ReadManifest::is_named(&file.name)) {
            let says = read(remote, file).await?;
            manifests.extend(says.map(|says| SeenManifest { file: file.clone(), came: *came, says }));
        }
        let proven = manifests.iter().flat_map(SeenManifest::files).cloned().collect();
        Ok(There { files: listed.into_iter().map(|(file, _)| file).collect(), manifests, proven })
    }

    pub fn has(&self, file: &StateFile) -> bool {
        self.files.contains(file) && self.proven.contains(file)
    }

    /// Whether a file is there in full length, whatever its bytes are.
    pub fn lists(&self, file: &StateFile) -> bool {
        self.files.contains(file)
    }

    /// The manifest of the newest copy.
    pub fn newest(&self) -> Option<&SeenManifest> {
        self.manifests.first()
    }

    /// Removes what neither the new copy names nor the one before. What can't be removed now is removed after the next.
    pub async fn tidy(&self, remote: &Remote, state: &CarriedCheckpoint) {
        let newest = state.manifest();
        let mut kept: BTreeSet<StateFile> = state.ranges().chain([newest.clone()]).collect();
        let before = self.manifests.iter().find(|manifest| manifest.file != newest);
        kept.extend(before.iter().flat_map(|manifest| manifest.files()).cloned());
        let mut gone: Vec<&StateFile> = self.files.difference(&kept).collect();
        // No manifest is there whose files aren't.
        gone.sort_by_key(|file| !ReadManifest::is_named(&file.name));
        for file in gone {
            if let Err(error) = remote.remove_state(file).await {
                tracing::debug!(name = file.object(), %error, "a file of an older copy of the state stays for now");
            }
        }
    }
}

/// A manifest that is there; nothing if its bytes aren't what was written.
async fn read(remote: &Remote, file: &StateFile) -> Result<Option<ReadManifest>, RemoteError> {
    let mut bytes = Vec::new();
    while file.length <= MAX_MANIFEST_BYTES && (bytes.len() as u64) < file.length {
        let from = bytes.len() as u64;
        let piece = match remote.read_state(file, from..file.length.min(from + READ_BYTES)).await {
            Err(RemoteError::Missing(_)) => break,
            piece => piece?,
        };
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(ReadManifest::parse(file.stamp, &bytes))
}

/// Whether a file is what was written. Other bytes are asked for once more: the line may have changed them.
pub(super) async fn is_right(
    remote: &Remote,
    file: &StateFile,
    pace: &Arc<Pace>,
) -> Result<bool, RemoteError> {
    Ok(reads_right(remote, file, pace).await? || reads_right(remote, file, pace).await?)
}

/// Reads a file from end to end.
async fn reads_right(remote: &Remote, file: &StateFile, pace: &Arc<Pace>) -> Result<bool, RemoteError> {
    let Some(mut check) = RangeCheck::of(file) else { return Ok(read(remote, file).await?.is_some()) };
    let mut at = 0;
    while at < file.length {
        let range = at..file.length.min(at + READ_BYTES);
        drop(pace.turn(Class::Scrub, range.end - range.start).await);
        let piece = match remote.read_state(file, range).await {
            Err(RemoteError::Missing(_)) => return Ok(false),
            piece => piece?,
        };
        at += piece.len() as u64;
        if piece.is_empty() || !check.take(&piece) {
            return Ok(false);
        }
    }
    Ok(check.is_whole())
}
