//! The documents of buckets (policies, CORS rules and the like) as operations use them: parsed once, and kept parsed
//! until another document is stored.

use crate::error::S3Error;
use crate::kept::{Kept, Parsed, kept};
use std::sync::Arc;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketId, BucketRecord, DocumentKind};
use stratum_storage::blob::Index;

/// The most bytes of text that the kept documents of one kind were parsed from.
const MOST_BYTES: u64 = 1 << 20;

/// A document, parsed.
pub trait Document: Sized {
    const KIND: DocumentKind;

    /// # Errors
    /// For a document that this server can't have accepted.
    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error>;
}

/// A cache of the documents of one kind that were asked for last.
#[derive(Debug)]
pub struct Documents<T>(Kept<BucketId, Read<T>>);

#[derive(Debug)]
struct Read<T> {
    /// The entry of the journal that put the document.
    put: Index,
    text_bytes: u64,
    document: Arc<T>,
}

impl<T> Clone for Read<T> {
    fn clone(&self) -> Self {
        let Read { put, text_bytes, document } = self;
        Read { put: *put, text_bytes: *text_bytes, document: document.clone() }
    }
}

impl<T> Parsed for Read<T> {
    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Self(kept(MOST_BYTES))
    }
}

impl<T: Document> Documents<T> {
    /// The document of a bucket, if it has one. The bucket's record says which entry of the journal put it.
    ///
    /// # Errors
    /// As [`Document::parse`], and failures of the store.
    pub fn of(&self, view: &ReadView, bucket: &BucketRecord) -> Result<Option<Arc<T>>, S3Error> {
        let Some(put) = bucket.configuration.documents.get(&T::KIND) else { return Ok(None) };
        if let Some(read) = self.0.get(&bucket.id)
            && read.put == *put
        {
            return Ok(Some(read.document));
        }
        // The document may have been deleted since the bucket was looked up.
        let Some(text) = view.document(bucket.id, T::KIND)? else { return Ok(None) };
        let document = Arc::new(T::parse(&text, bucket)?);
        let read = Read { put: *put, text_bytes: text.len() as u64, document: document.clone() };
        self.0.insert(bucket.id, read);
        Ok(Some(document))
    }
}
