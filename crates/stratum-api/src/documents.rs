//! Documents of buckets as operations use them: read once, and kept as long as they are what is stored.

use crate::error::S3Error;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketId, BucketRecord, DocumentKind};
use stratum_storage::blob::Index;

/// How much text the documents of a kind that are kept may have had, in bytes. Read, one takes up to 40 times its text.
const KEPT_BYTES: u64 = 1 << 20;

/// Documents of a usual length that this is.
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
pub struct Documents<T>(Cache<BucketId, Kept<T>, ByText>);

#[derive(Debug)]
struct Kept<T> {
    /// The entry that put it.
    put: Index,
    text_bytes: u64,
    document: Arc<T>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        let Kept { put, text_bytes, document } = self;
        Kept { put: *put, text_bytes: *text_bytes, document: document.clone() }
    }
}

#[derive(Clone, Debug)]
struct ByText;

impl<T> Weighter<BucketId, Kept<T>> for ByText {
    fn weight(&self, _: &BucketId, kept: &Kept<T>) -> u64 {
        kept.text_bytes
    }
}

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Self(Cache::with_weighter(KEPT, KEPT_BYTES, ByText))
    }
}

impl<T: Document> Documents<T> {
    /// A bucket's document, if it has one. The bucket's record says by which entry it was put.
    ///
    /// # Errors
    /// As [`Document::parse`], and failures of the store.
    pub fn of(&self, view: &ReadView, bucket: &BucketRecord) -> Result<Option<Arc<T>>, S3Error> {
        let Some(put) = bucket.configuration.documents.get(&T::KIND) else { return Ok(None) };
        if let Some(kept) = self.0.get(&bucket.id)
            && kept.put == *put
        {
            return Ok(Some(kept.document));
        }
        // It may have been deleted since the bucket was looked up.
        let Some(text) = view.document(bucket.id, T::KIND)? else { return Ok(None) };
        let document = Arc::new(T::parse(&text, bucket)?);
        let kept = Kept { put: *put, text_bytes: text.len() as u64, document: document.clone() };
        self.0.insert(bucket.id, kept);
        Ok(Some(document))
    }
}
