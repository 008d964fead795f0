//! The kinds of keys.

/// The kind of a key: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Tag {
    /// (index, hash, fingerprint) of what has been applied. Not part of the fingerprint.
    Applied = 0x01,
    /// The highest bucket and volume ids ever given out.
    HighestIds = 0x02,
    /// The state's level; absent, it is the first.
    Level = 0x03,
    /// Bucket id -> name.
    BucketById = 0x10,
    /// Bucket name -> record.
    BucketByName = 0x11,
    /// Owner, bucket name -> nothing.
    BucketByOwner = 0x12,
    /// Bucket id of a deleted bucket whose uploads are still to be dropped.
    DeletedBucket = 0x13,
    /// Bucket id, kind of document -> the document.
    BucketDocument = 0x14,
    /// Bucket id -> what it holds, where a quota is about it.
    BucketUsage = 0x15,
    /// Owner -> the quota of all their buckets together.
    UserQuota = 0x16,
    /// Owner -> what their counted buckets hold together, where they have a quota.
    UserTotal = 0x17,
    /// Owner -> the name below which their buckets are in that, until all are.
    UserSummed = 0x18,
    /// Bucket id, key -> record.
    Object = 0x20,
    /// Bucket id, key, the entry that committed it (the newest first) -> record of a version that isn't current.
    Version = 0x21,
    /// Bucket id, key -> the entry that committed the key's null version, which isn't current.
    NullVersion = 0x22,
    /// Upload -> record.
    Upload = 0x30,
    /// Bucket id, key, upload -> nothing.
    UploadByKey = 0x31,
    /// Upload, part number -> record. The parts of a completed object stay here.
    Part = 0x32,
    /// Upload -> how it was completed.
    Completion = 0x33,
    /// Upload -> which of its parts are to be swept.
    Dropped = 0x34,
    /// Upload -> the entry that stored its last part.
    LastPart = 0x35,
    /// Upload -> what its parts count for in its bucket's usage.
    UploadBytes = 0x36,
    /// Volume -> record.
    Volume = 0x40,
    /// Volume, start -> owner and length of an extent.
    Extent = 0x41,
    /// Volume, stripe -> live bytes and bodies of a packed stripe.
    Stripe = 0x42,
    // 0x43 is kept for drives.
    /// Time, kind, upload -> nothing.
    Due = 0x50,
    /// Time, bucket id, key, the entry that committed the version -> the version's id: when it is looked at whether it lies
    /// where it belongs.
    Review = 0x51,
    /// Target, the entry that made it happen -> an event that waits to be told.
    Event = 0x52,
    /// Target -> how many events wait, and how many found no room.
    EventQueue = 0x53,
    /// What there is one of for all identities.
    Identities = 0x60,
    /// Account, kind, name in lower case -> record of a user, a group or a role.
    Identity = 0x61,
    /// Access key id -> record of the key.
    AccessKey = 0x62,
    /// Account, name in lower case -> record of a policy that may be attached.
    ManagedPolicy = 0x63,
    // 0x64 to 0x6f are kept for more of them.
}

impl Tag {
    pub(super) const ALL: [Tag; 33] = [
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

    /// More of identities, and drives, will have keys of kinds that no record has had before.
    #[test]
    fn the_tags_of_what_is_to_come_are_nobody_s() {
        let kept = (0x64..=0x6f).chain([0x43]);
        kept.for_each(|tag| assert_eq!(kind_of(&[tag, 0]), None, "{tag:02x}"));
        assert_eq!(kind_of(&[]), None);
    }
}
