//! Documents of buckets as operations use them: read once, and kept as long as they are what is stored.

use crate::error::S3Error;
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketId, BucketRecord, DocumentKind};
use stratum_storage::blob::Index;

/// Documents of a kind that are kept. Each is bounded when it is put.
const KEPT: usize = 1024;

/// A document as it is used.
pub trait Document: Sized {
    const KIND: DocumentKind;

    /// # Errors
    /// For a document that this server can't have accepted.
    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error>;
}

/// The documents of one kind that were asked for last.
#[derive(Debug)]
pub struct Documents<T>(Cache<BucketId, (Index, Arc<T>)>);

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl<T: Document> Documents<T> {
    /// A bucket's document, if it has one. The bucket's record says by which entry it was put.
    ///
    /// # Errors
    /// As [`Document::parse`], and failures of the store.
    pub fn of(&self, view: &ReadView, bucket: &BucketRecord) -> Result<Option<Arc<T>>, S3Error> {
        let Some(put) = bucket.configuration.documents.get(&T::KIND) else { return Ok(None) };
        if let Some((of, document)) = self.0.get(&bucket.id)
            && of == *put
        {
            return Ok(Some(document));
        }
        // It may have been deleted since the bucket was looked up.
        let Some(text) = view.document(bucket.id, T::KIND)? else { return Ok(None) };
        let document = Arc::new(T::parse(&text, bucket)?);
        self.0.insert(bucket.id, (*put, document.clone()));
        Ok(Some(document))
    }
}
