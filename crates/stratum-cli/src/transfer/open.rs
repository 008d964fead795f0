//! The large transfers that are on their way, for when the command is interrupted.

use crate::s3::{Client, Upload};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an interrupted command waits for the endpoint to abort uploads.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// All large transfers of a command that have begun and not ended.
#[derive(Default)]
pub struct OpenTransfers {
    uploads: Mutex<HashMap<String, Open>>,
    /// How many downloads there are, all of which can be gone on with.
    downloads: AtomicUsize,
}

struct Open {
    client: Arc<Client>,
    upload: Upload,
    is_resumable: bool,
}

impl OpenTransfers {
    pub fn add(&self, client: &Arc<Client>, upload: &Upload, is_resumable: bool) {
        let open = Open { client: client.clone(), upload: upload.clone(), is_resumable };
        self.lock().insert(upload.id.clone(), open);
    }

    pub fn remove(&self, upload: &Upload) {
        self.lock().remove(&upload.id);
    }

    pub fn add_download(&self) {
        self.downloads.fetch_add(1, Ordering::Relaxed);
    }

    pub fn remove_download(&self) {
        self.downloads.fetch_sub(1, Ordering::Relaxed);
    }

    /// Aborts the uploads that can't be gone on with, and gives the number of transfers that can.
    pub async fn drop_what_is_lost(&self) -> usize {
        let open: Vec<Open> = self.lock().drain().map(|(_, open)| open).collect();
        let resumable = open.iter().filter(|open| open.is_resumable).count();
        let lost = open.iter().filter(|open| !open.is_resumable);
        let aborts = futures_util::future::join_all(lost.map(|open| open.client.abort(&open.upload)));
        // An upload that isn't aborted in time stays until a rule of the bucket's lifecycle or `stratum rm
        // --incomplete` aborts it.
        let _ = tokio::time::timeout(ABORT_TIMEOUT, aborts).await;
        resumable + self.downloads.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
