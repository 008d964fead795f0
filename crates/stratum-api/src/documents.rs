//! The documents of buckets (policies, CORS rules and the like) as operations use them: parsed once, and kept parsed
//! until another document is stored.

use crate::error::S3Error;
use crate::kept::{Kept, Parsed, kept};
use std::sync::Arc;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketId, BucketRecord, DocumentKind};
use stratum_storage::blob::Index;
use stratum_storage::blocking;
use stratum_storage::journal::MAX_COMMAND_BYTES;
use tracing_mutex::parkinglot::Mutex;

/// The most bytes of text that the kept documents of one kind were parsed from.
const MOST_BYTES: u64 = 2 << 20;
/// No document is longer, since the command that puts it isn't.
const LONGEST_BYTES: u64 = MAX_COMMAND_BYTES as u64;
/// A document with so many bytes takes so long to parse that the thread is left to other requests meanwhile.
const LONG_BYTES: usize = 16 << 10;

/// A document, parsed.
pub trait Document: Sized {
    const KIND: DocumentKind;

    /// # Errors
    /// For a document that this server can't have accepted.
    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error>;
}

/// A cache of the documents of one kind that were asked for last.
#[derive(Debug)]
pub struct Documents<T> {
    kept: Kept<BucketId, Read<T>>,
    /// Held while a long document is parsed. Of many requests that need the same one, one parses it; and the memory that
    /// this takes, some 40 times the document's length, is taken once.
    parsing: Mutex<()>,
}

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
        Self { kept: kept(MOST_BYTES, LONGEST_BYTES), parsing: Mutex::new(()) }
    }
}

impl<T: Document> Documents<T> {
    /// The document of a bucket, if it has one. The bucket's record says which entry of the journal put it.
    ///
    /// # Errors
    /// As [`Document::parse`], and failures of the store.
    pub fn of(&self, view: &ReadView, bucket: &BucketRecord) -> Result<Option<Arc<T>>, S3Error> {
        let Some(put) = bucket.configuration.documents.get(&T::KIND) else { return Ok(None) };
        if let Some(document) = self.kept(bucket.id, *put) {
            return Ok(Some(document));
        }
        // The document may have been deleted since the bucket was looked up.
        let Some(text) = view.document(bucket.id, T::KIND)? else { return Ok(None) };
        let parse = || {
            let document = Arc::new(T::parse(&text, bucket)?);
            let read = Read { put: *put, text_bytes: text.len() as u64, document: document.clone() };
            self.kept.insert(bucket.id, read);
            Ok(Some(document))
        };
        if text.len() < LONG_BYTES {
            return parse();
        }
        blocking::in_place(|| {
            let _parsing = self.parsing.lock();
            self.kept(bucket.id, *put).map_or_else(parse, |document| Ok(Some(document)))
        })
    }

    fn kept(&self, bucket: BucketId, put: Index) -> Option<Arc<T>> {
        self.kept.get(&bucket).filter(|read| read.put == put).map(|read| read.document)
    }
}
