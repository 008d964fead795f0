//! The policies of buckets, read once and kept as long as they are what is stored.

use crate::error::{Code, S3Error};
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketId, BucketRecord, DocumentKind};
use stratum_policy::Policy;
use stratum_storage::blob::Index;

/// Policies that are kept. One has at most 20 KiB of text.
const KEPT: usize = 1024;

/// The policies that were asked for last.
#[derive(Debug)]
pub struct Policies(Cache<BucketId, (Index, Arc<Policy>)>);

impl Default for Policies {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Policies {
    /// A bucket's policy, if it has one. The bucket's record says by which entry it was put.
    ///
    /// # Errors
    /// `AccessDenied` where it can't be judged, having been put by a server that knew more: nobody is let in by what is left of it.
    /// Failures of the store.
    pub fn of(&self, view: &ReadView, bucket: &BucketRecord) -> Result<Option<Arc<Policy>>, S3Error> {
        let Some(put) = bucket.configuration.documents.get(&DocumentKind::Policy) else { return Ok(None) };
        if let Some((of, policy)) = self.0.get(&bucket.id)
            && of == *put
        {
            return Ok(Some(policy));
        }
        // Deleted since the bucket was looked up.
        let Some(text) = view.document(bucket.id, DocumentKind::Policy)? else { return Ok(None) };
        let policy = Policy::parse(text.as_bytes(), &bucket.name).map_err(|error| {
            let cause = format!("the policy of the bucket {} can't be judged: {error}", bucket.name);
            S3Error::new(Code::AccessDenied).because(cause)
        })?;
        let policy = Arc::new(policy);
        self.0.insert(bucket.id, (*put, policy.clone()));
        Ok(Some(policy))
    }
}
