//! A part of the state that no drive gives, and which keys are in it, in words.
//!
//! That it is lost is this machine's affair alone. What commands come to never depends on it, so that another machine, whose
//! copy is fine, comes to the same state: what would need it isn't proposed.

use crate::keys::{self, KeyRange, Tag};
use crate::record::BucketId;
use std::fmt;
use std::ops::Bound;

/// Bytes of a key that are shown where they are nobody's words.
const SHOWN_BYTES: usize = 16;

/// A block of a checkpoint that drives which are well hold, and that none of them gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostBlock {
    /// The file, under a drive's folder.
    pub file: String,
    /// Where in it the block begins.
    pub offset: u64,
    /// The drives that gave something else, or an error.
    pub drives: Vec<String>,
    /// How many keys are in it, about.
    pub keys: u64,
    /// No key before this one is in it.
    pub(crate) from: Vec<u8>,
    /// None behind this one.
    pub(crate) to: Bound<Vec<u8>>,
}

impl fmt::Display for LostBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drives = self.drives.join(", ");
        write!(f, "the block at byte {} of {} can't be read on any of {drives}", self.offset, self.file)
    }
}

impl LostBlock {
    /// The first key that may be stored behind it.
    pub(crate) fn behind(&self) -> Vec<u8> {
        match &self.to {
            Bound::Excluded(to) => to.clone(),
            Bound::Included(to) => [to.as_slice(), &[0]].concat(),
            Bound::Unbounded => vec![0xff],
        }
    }

    /// The keys that may be in it.
    pub(crate) fn range(&self) -> KeyRange {
        KeyRange { from: self.from.clone(), to: self.behind() }
    }

    /// Which keys may be in it. `name` gives a bucket's, if that is known.
    pub(crate) fn in_words(&self, name: &dyn Fn(BucketId) -> Option<String>) -> String {
        let from = key_in_words(&self.from, name);
        match &self.to {
            Bound::Excluded(to) => format!("{from} to before {}", key_in_words(to, name)),
            Bound::Included(to) => format!("{from} to {}", key_in_words(to, name)),
            Bound::Unbounded => format!("{from} and all behind it"),
        }
    }
}

fn key_in_words(key: &[u8], name: &dyn Fn(BucketId) -> Option<String>) -> String {
    let of_bucket = |what: &str, bucket: BucketId, key: &[u8]| {
        let bucket = name(bucket).unwrap_or_else(|| format!("number {}", bucket.0));
        format!("{what} '{}' in bucket {bucket}", String::from_utf8_lossy(key).escape_debug())
    };
    let kind = keys::kind_of(key);
    let object = keys::parse_object(key);
    match (kind, object) {
        (Some(Tag::Object), Some((bucket, key))) => of_bucket("object", bucket, key),
        (Some(Tag::NullVersion), Some((bucket, key))) => of_bucket("the null version of", bucket, key),
        (Some(Tag::Version), _) => match keys::parse_version(key) {
            Some((bucket, key, _)) => of_bucket("a version of", bucket, &key),
            None => shown("a version", key),
        },
        (Some(kind), _) => shown(kind_in_words(kind), key),
        (None, _) => shown("a key", key),
    }
}

fn shown(what: &str, key: &[u8]) -> String {
    let rest = key.iter().skip(1).take(SHOWN_BYTES);
    let digits: String = rest.map(|byte| format!("{byte:02x}")).collect();
    format!("{what} {digits}")
}

pub(crate) fn kind_in_words(kind: Tag) -> &'static str {
    match kind {
        Tag::Applied | Tag::HighestIds | Tag::Level => "what all commands need",
        Tag::BucketById | Tag::BucketByName | Tag::BucketByOwner | Tag::DeletedBucket => "bucket",
        Tag::BucketDocument => "a bucket's document",
        Tag::BucketUsage | Tag::UserQuota | Tag::UserTotal | Tag::UserSummed => "a quota's count",
        Tag::Object => "object",
        Tag::Version | Tag::NullVersion => "a version",
        Tag::Upload
        | Tag::UploadByKey
        | Tag::Completion
        | Tag::Dropped
        | Tag::LastPart
        | Tag::UploadBytes => "upload",
        Tag::Part => "a part of upload",
        Tag::Volume => "volume",
        Tag::Extent => "an extent of volume",
        Tag::Stripe => "a stripe of volume",
        Tag::Due => "what falls due at",
        Tag::Review => "a review at",
        Tag::Event | Tag::EventQueue | Tag::EventShare => "events for",
        Tag::Identities => "what there is one of for all identities",
        Tag::Identity => "a user, group or role",
        Tag::AccessKey => "access key",
        Tag::ManagedPolicy => "policy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_which_keys_are_lost() {
        let name = |bucket: BucketId| (bucket == BucketId(1)).then(|| "photos".to_owned());
        let block = |from: Vec<u8>, to: Bound<Vec<u8>>| LostBlock {
            file: "checkpoint/7".into(),
            offset: 32,
            drives: vec!["hot/0".into(), "hot/1".into()],
            keys: 3,
            from,
            to,
        };
        let objects =
            block(keys::object(BucketId(1), b"a/1"), Bound::Excluded(keys::object(BucketId(2), b"b\n")));
        let words = "object 'a/1' in bucket photos to before object 'b\\n' in bucket number 2";
        assert_eq!(objects.in_words(&name), words);
        let others = block(
            keys::version(BucketId(1), b"a", 7),
            Bound::Included(keys::extent(stratum_storage::blob::VolumeId(1), 2)),
        );
        let words =
            "a version of 'a' in bucket photos to an extent of volume 00000000000000010000000000000002";
        assert_eq!(others.in_words(&name), words);
        let text = "the block at byte 32 of checkpoint/7 can't be read on any of hot/0, hot/1";
        assert_eq!(objects.to_string(), text);
    }
}
