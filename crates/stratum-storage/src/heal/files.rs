//! Shard files that are made, under a temporary name at first, and removed, when nothing names them any more.

use super::{HealError, Rebuilder};
use crate::blob::VolumeId;
use crate::drive::{Drive, FileIo, OpenHow};
use crate::format::v1::ShardHeader;
use crate::inspect::blocking;
use crate::quarantine::Unfinished;
use crate::volume::{DIRECTORY, is_full, shard_path, unfinished};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn temporary(volume: VolumeId, shard: u8, generation: u32) -> String {
    unfinished(&shard_path(volume, shard, generation))
}

/// A file with its header page and its length, in the place of what an earlier try may have left.
pub(super) fn create(
    drive: &Drive,
    temporary: &str,
    header: &ShardHeader,
    length: u64,
) -> io::Result<Arc<dyn FileIo>> {
    if !drive.check() {
        return Err(ErrorKind::NotConnected.into());
    }
    let io = drive.io();
    io.create_dir(DIRECTORY)?;
    match io.remove(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = io.open(temporary, OpenHow::CreateNew)?;
    file.set_len(length)?;
    file.write_at(&[&header.encode()], 0)?;
    Ok(file)
}

/// Gives a file that is whole its name, durably.
pub(super) fn give_name(drive: &Drive, file: &dyn FileIo, temporary: &str, path: &str) -> io::Result<()> {
    file.sync()?;
    drive.io().rename(temporary, path)?;
    drive.io().sync_dir(DIRECTORY)?;
    drive.io().sync_dir("")
}

/// Removes a file that nothing names. If it stays, it is found as an unknown file.
pub(super) async fn remove(drive: &Arc<Drive>, path: String) {
    let (drive, name) = (drive.clone(), path.clone());
    let outcome = blocking(move || match drive.io().remove(&path) {
        Ok(()) => drive.io().sync_dir(DIRECTORY),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    });
    if let Ok(Err(error)) = outcome.await {
        tracing::warn!(file = name, %error, "a superseded shard file stays");
    }
}

impl Rebuilder {
    /// Removes what a worker that was just stopped had written so far; waits a moment for it to let go of its volume.
    pub(crate) async fn clear_up_unfinished(&self) {
        const LOOKS_AT_A_VOLUME: usize = 50;
        const RETRY_INTERVAL: Duration = Duration::from_millis(20);
        for _ in 0..LOOKS_AT_A_VOLUME {
            let strays = self.strays.clone();
            match blocking(move || strays.remove_unfinished()).await {
                Ok(Unfinished { left: 1.., .. }) => tokio::time::sleep(RETRY_INTERVAL).await,
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl HealError {
    pub(super) fn of_drive(drive: &Drive, error: &io::Error) -> HealError {
        match is_full(error) {
            true => HealError::NoSpace,
            false => HealError::Drive { drive: drive.label(), error: error.to_string() },
        }
    }
}
