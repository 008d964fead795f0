//! What kind of data objects' bytes are, from all sources together. It decides how they are coded when they are
//! moved, and explanations tell it.

use super::Tiering;
use std::sync::Arc;
use stratum_metadata::record::{BucketId, ObjectRecord};
use stratum_metadata::{Foreseen, Foresight};
use stratum_tiering::content::{Content, Samples, Shrinks, Unseen};
use stratum_tiering::usage::{Looked, Usage};

/// Why nothing is known of an object although the classifier runs.
const NOT_YET: &str = "its turn is still to come, or more came at a time than are looked at, or it was written before \
    anybody looked, or what was seen made room for others";

/// Why encrypted objects are not looked at: the result would be stored unencrypted.
const SEALED: &str = "it is encrypted, and what its bytes are is its owner's alone";

/// What the classifier saw in objects, and whether it runs. A cheap handle.
#[derive(Clone, Debug)]
pub struct Contents {
    usage: Arc<Usage>,
    samples: Arc<Samples>,
}

impl Contents {
    pub fn new(usage: Arc<Usage>, samples: Arc<Samples>) -> Contents {
        Contents { usage, samples }
    }

    /// How objects are used.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// What kind of data an object's bytes are.
    pub fn of(&self, bucket: BucketId, key: &str, record: &ObjectRecord) -> Content {
        if record.attributes.encryption.is_some() {
            return Content::of(Err(Unseen { why: SEALED, siblings: None }), None);
        }
        let Looked { own, siblings } = self.usage.seen(bucket.0, key, record.modified);
        let why = match (record.size, self.samples.why_closed()) {
            (0, _) => "there are none",
            (_, Some(closed)) => closed,
            (_, None) => NOT_YET,
        };
        Content::of(own.ok_or(Unseen { why, siblings }), record.headers.content_type.as_deref())
    }
}

impl Foresight for Contents {
    fn foresee(&self, bucket: BucketId, key: &[u8], record: &ObjectRecord) -> Foreseen {
        match self.of(bucket, &String::from_utf8_lossy(key), record).shrinks {
            Shrinks::Perhaps => Foreseen::Nothing,
            Shrinks::Well => Foreseen::Shrinks,
            Shrinks::Hardly => Foreseen::HardlyShrinks,
        }
    }
}

impl Tiering {
    /// What kind of data an object's bytes are.
    pub fn content(&self, bucket: BucketId, key: &str, record: &ObjectRecord) -> Content {
        self.contents.of(bucket, key, record)
    }
}
