//! The kinds of keys.

/// The kind of a key: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Tag {
    /// Nothing -> index and hash of the last entry applied, fingerprint of the state. Not part of the fingerprint.
    Applied = 0x01,
    /// The highest bucket and volume ids ever given out.
    HighestIds = 0x02,
    /// The state's level; if absent, level 1.
    Level = 0x03,
    /// Bucket id -> name.
    BucketById = 0x10,
    /// Bucket name -> record.
    BucketByName = 0x11,
    /// Owner, bucket name -> nothing.
    BucketByOwner = 0x12,
    /// Id of a deleted bucket whose uploads are still to be dropped -> nothing.
    DeletedBucket = 0x13,
    /// Bucket id, kind of document -> the document.
    BucketDocument = 0x14,
    /// Bucket id -> what it holds, if a quota applies to it.
    BucketUsage = 0x15,
    /// Owner -> the quota of all their buckets together.
    UserQuota = 0x16,
    /// Owner -> what their counted buckets hold together, where they have a quota.
    UserTotal = 0x17,
    /// Owner -> the name below which their buckets have been added to the total; absent once all have been.
    UserSummed = 0x18,
    /// Bucket id, key -> record.
    Object = 0x20,
    /// Bucket id, key, entry that committed it (newest first) -> record of a noncurrent version.
    Version = 0x21,
    /// Bucket id, key -> entry that committed the key's null version, if that is noncurrent.
    NullVersion = 0x22,
    /// Upload -> record.
    Upload = 0x30,
    /// Bucket id, key, upload -> nothing.
    UploadByKey = 0x31,
    /// Upload, part number -> record. The parts of a completed object stay here.
    Part = 0x32,
    /// Upload -> how it was completed, for a repeated Complete.
    Completion = 0x33,
    /// Upload -> which of its parts are to be swept.
    Dropped = 0x34,
    /// Upload -> the entry that stored its last part.
    LastPart = 0x35,
    /// Upload -> the bytes of its parts that count in its bucket's usage.
    UploadBytes = 0x36,
    /// Volume -> record.
    Volume = 0x40,
    /// Volume, start -> owner and length of an extent.
    Extent = 0x41,
    /// Volume, stripe -> live bytes and bodies of a packed stripe.
    Stripe = 0x42,
    // 0x43 is reserved for drives.
    /// Time, kind, upload -> nothing.
    Due = 0x50,
    /// Time, bucket id, key, entry that committed the version -> the version's id. The time is when the version's
    /// tier is reviewed.
    Review = 0x51,
    /// Target, entry that caused it -> an event that waits to be delivered.
    Event = 0x52,
    /// Target -> how many events wait, and how many were lost because the queue was full.
    EventQueue = 0x53,
    /// Target, owner of buckets -> how many events of these buckets wait.
    EventShare = 0x54,
    /// Nothing -> the one record for all identities.
    Identities = 0x60,
    /// Account, kind, name in lower case -> record of a user, a group or a role.
    Identity = 0x61,
    /// Access key id -> record of the key.
    AccessKey = 0x62,
    /// Account, name in lower case -> record of a managed policy.
    ManagedPolicy = 0x63,
    // 0x64 to 0x6f are reserved for identities.
}

impl Tag {
    pub(super) const ALL: [Tag; 34] = [
        Tag::Applied,
        Tag::HighestIds,
        Tag::Level,
        Tag::BucketById,
        Tag::BucketByName,
        Tag::BucketByOwner,
        Tag::DeletedBucket,
        Tag::BucketDocument,
        Tag::BucketUsage,
        Tag::UserQuota,
        Tag::UserTotal,
        Tag::UserSummed,
        Tag::Object,
        Tag::Version,
        Tag::NullVersion,
        Tag::Upload,
        Tag::UploadByKey,
        Tag::Part,
        Tag::Completion,
        Tag::Dropped,
        Tag::LastPart,
        Tag::UploadBytes,
        Tag::Volume,
        Tag::Extent,
        Tag::Stripe,
        Tag::Due,
        Tag::Review,
        Tag::Event,
        Tag::EventQueue,
        Tag::EventShare,
        Tag::Identities,
        Tag::Identity,
        Tag::AccessKey,
        Tag::ManagedPolicy,
    ];
}

/// The kind of a key; `None` if there is no such kind.
pub(crate) fn kind_of(key: &[u8]) -> Option<Tag> {
    Tag::ALL.into_iter().find(|tag| key.first() == Some(&(*tag as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags that are reserved must never have been used by any record.
    #[test]
    fn reserved_tags_are_unused() {
        let kept = (0x64..=0x6f).chain([0x43]);
        kept.for_each(|tag| assert_eq!(kind_of(&[tag, 0]), None, "{tag:02x}"));
        assert_eq!(kind_of(&[]), None);
    }
}
