//! Large transfers that were begun and are neither whole nor dropped, for when the command is interrupted.

use crate::s3::{Client, Upload};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an interrupted command still speaks to the endpoint.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of a command's.
#[derive(Default)]
pub struct OpenTransfers {
    uploads: Mutex<HashMap<String, Open>>,
    /// Downloads, all of which can be gone on with.
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

    /// Drops those that can't be gone on with, and says how many others there are.
    pub async fn drop_what_is_lost(&self) -> usize {
        let open: Vec<Open> = self.lock().drain().map(|(_, open)| open).collect();
        let resumable = open.iter().filter(|open| open.is_resumable).count();
        let lost = open.iter().filter(|open| !open.is_resumable);
        let aborts = futures_util::future::join_all(lost.map(|open| open.client.abort(&open.upload)));
        // One that isn't dropped now is dropped by the bucket's rule.
        let _ = tokio::time::timeout(PATIENCE, aborts).await;
        resumable + self.downloads.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
