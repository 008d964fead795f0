//! The keys of the state: typed when made, bytes when stored, and in the order that listings need.
//!
//! A key is a tag, then big-endian numbers, then at most one string of the caller's, last. A string that something
//! follows is escaped (`00` as `00 ff`, and `00 00` at its end), which keeps the order of the strings.
//! `docs/format/metadata.md` has the table.

mod range;
mod tag;

pub use range::KeyRange;
pub(crate) use tag::{Tag, kind_of};

use crate::record::{AccountName, BucketId, DocumentKind, IdentityKind, UploadId};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{Index, VolumeId};

/// The kinds of things that fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DueKind {
    /// An upload expires.
    Upload = 1,
    /// A completion is forgotten.
    Completion = 2,
}

impl DueKind {
    fn from_byte(byte: u8) -> Option<DueKind> {
        [DueKind::Upload, DueKind::Completion].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Builds a key piece by piece.
struct Builder(Vec<u8>);

impl Builder {
    fn new(tag: Tag, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(1 + room);
        bytes.push(tag as u8);
        Builder(bytes)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a string that something follows.
    fn escaped(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0.push(*byte);
            if *byte == 0 {
                self.0.push(0xff);
            }
        }
        self.bytes(&[0, 0])
    }
}

pub(crate) fn applied() -> Vec<u8> {
    Builder::new(Tag::Applied, 0).0
}

/// What of the checkpoint below counts for empty on this machine: no key of the state, as [`applied`] is none.
pub(crate) fn void() -> Vec<u8> {
    Builder::new(Tag::Applied, 1).bytes(&[0]).0
}

pub(crate) fn highest_ids() -> Vec<u8> {
    Builder::new(Tag::HighestIds, 0).0
}

pub(crate) fn level() -> Vec<u8> {
    Builder::new(Tag::Level, 0).0
}

pub(crate) fn bucket_by_id(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::BucketById, 8).bytes(&bucket.0.to_be_bytes()).0
}

/// The bucket in the key of a [`bucket_by_id`] or a [`bucket_usage`].
pub(crate) fn parse_bucket_by_id(bytes: &[u8]) -> Option<BucketId> {
    Some(BucketId(u64::from_be_bytes(bytes.get(1..)?.try_into().ok()?)))
}

pub(crate) fn bucket_by_name(name: &[u8]) -> Vec<u8> {
    Builder::new(Tag::BucketByName, name.len()).bytes(name).0
}

/// All of an owner's buckets begin with this; the names follow.
pub(crate) fn buckets_of(owner: &str) -> Vec<u8> {
    Builder::new(Tag::BucketByOwner, owner.len() + 66).escaped(owner.as_bytes()).0
}

pub(crate) fn bucket_by_owner(owner: &str, name: &str) -> Vec<u8> {
    Builder(buckets_of(owner)).bytes(name.as_bytes()).0
}

pub(crate) fn deleted_bucket(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::DeletedBucket, 8).bytes(&bucket.0.to_be_bytes()).0
}

pub(crate) fn bucket_document(bucket: BucketId, kind: DocumentKind) -> Vec<u8> {
    Builder::new(Tag::BucketDocument, 9).bytes(&bucket.0.to_be_bytes()).bytes(&[kind as u8]).0
}

/// The bucket and the kind in the key of a [`bucket_document`].
pub(crate) fn parse_bucket_document(bytes: &[u8]) -> Option<(BucketId, DocumentKind)> {
    let (bucket, rest) = bytes.get(1..)?.split_first_chunk()?;
    let kind = DocumentKind::ALL.into_iter().find(|kind| rest == [*kind as u8])?;
    Some((BucketId(u64::from_be_bytes(*bucket)), kind))
}

/// The key of a bucket's usage.
pub(crate) fn bucket_usage(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::BucketUsage, 8).bytes(&bucket.0.to_be_bytes()).0
}

pub(crate) fn user_quota(owner: &str) -> Vec<u8> {
    Builder::new(Tag::UserQuota, owner.len()).bytes(owner.as_bytes()).0
}

pub(crate) fn user_total(owner: &str) -> Vec<u8> {
    Builder::new(Tag::UserTotal, owner.len()).bytes(owner.as_bytes()).0
}

pub(crate) fn user_summed(owner: &str) -> Vec<u8> {
    Builder::new(Tag::UserSummed, owner.len()).bytes(owner.as_bytes()).0
}

/// The owner in the key of a [`user_quota`], a [`user_total`] or a [`user_summed`], or the target in that of an
/// [`event_queue`].
pub(crate) fn parse_name(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.get(1..)?.to_vec()).ok()
}

/// All objects of a bucket begin with this; the keys follow.
pub(crate) fn objects_of(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::Object, 8).bytes(&bucket.0.to_be_bytes()).0
}

pub(crate) fn object(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    Builder::new(Tag::Object, 8 + key.len()).bytes(&bucket.0.to_be_bytes()).bytes(key).0
}

/// All noncurrent versions of a bucket begin with this; the escaped keys follow.
pub(crate) fn versions_in(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::Version, 8).bytes(&bucket.0.to_be_bytes()).0
}

/// All noncurrent versions of a key begin with this.
pub(crate) fn versions_of(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    Builder(versions_in(bucket)).escaped(key).0
}

/// What the keys of versions begin with whose object keys begin with `prefix`: escaped, but without the end mark.
pub(crate) fn version_prefix(bucket: BucketId, prefix: &[u8]) -> Vec<u8> {
    let mut key = versions_of(bucket, prefix);
    key.truncate(key.len() - 2);
    key
}

/// The key of a noncurrent version. Those of one object key lie next to each other, ordered by the entries that
/// committed them, the newest first.
pub(crate) fn version(bucket: BucketId, key: &[u8], committed: Index) -> Vec<u8> {
    let room = Builder::new(Tag::Version, 18 + key.len()).bytes(&bucket.0.to_be_bytes());
    room.escaped(key).bytes(&(!committed).to_be_bytes()).0
}

/// The bucket, key and entry of a [`version`].
pub(crate) fn parse_version(bytes: &[u8]) -> Option<(BucketId, Vec<u8>, Index)> {
    let (bucket, rest) = bytes.get(1..)?.split_first_chunk()?;
    let (key, committed) = rest.split_last_chunk()?;
    Some((BucketId(u64::from_be_bytes(*bucket)), unescaped(key)?, !u64::from_be_bytes(*committed)))
}

/// The key under which the entry lies that committed the null version of an object key.
pub(crate) fn null_version(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    Builder::new(Tag::NullVersion, 8 + key.len()).bytes(&bucket.0.to_be_bytes()).bytes(key).0
}

/// The bucket and key of an [`object`], or of a [`null_version`].
pub(crate) fn parse_object(bytes: &[u8]) -> Option<(BucketId, &[u8])> {
    let (bucket, key) = bytes.get(1..)?.split_first_chunk()?;
    Some((BucketId(u64::from_be_bytes(*bucket)), key))
}

pub(crate) fn upload(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::Upload, 16).bytes(&upload.0.to_be_bytes()).0
}

/// All uploads of a bucket begin with this; the escaped keys follow.
pub(crate) fn uploads_of(bucket: BucketId) -> Vec<u8> {
    Builder::new(Tag::UploadByKey, 8).bytes(&bucket.0.to_be_bytes()).0
}

/// What the keys of uploads begin with whose object keys begin with `prefix`: escaped, but without the end mark.
pub(crate) fn upload_key_prefix(bucket: BucketId, prefix: &[u8]) -> Vec<u8> {
    let mut key = Builder(uploads_of(bucket)).escaped(prefix).0;
    key.truncate(key.len() - 2);
    key
}

/// All uploads of one key begin with this.
pub(crate) fn uploads_of_key(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    Builder(uploads_of(bucket)).escaped(key).0
}

pub(crate) fn upload_by_key(bucket: BucketId, key: &[u8], upload: UploadId) -> Vec<u8> {
    Builder(uploads_of(bucket)).escaped(key).bytes(&upload.0.to_be_bytes()).0
}

/// The key and upload of an [`upload_by_key`].
pub(crate) fn parse_upload_by_key(bytes: &[u8]) -> Option<(Vec<u8>, UploadId)> {
    let (escaped, id) = bytes.get(9..)?.split_last_chunk::<16>()?;
    Some((unescaped(escaped)?, UploadId(u128::from_be_bytes(*id))))
}

/// Reverses [`Builder::escaped`].
fn unescaped(escaped: &[u8]) -> Option<Vec<u8>> {
    let escaped = escaped.strip_suffix(&[0, 0])?;
    let mut string = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        string.push(*byte);
        if *byte == 0 && rest.next() != Some(&0xff) {
            return None;
        }
    }
    Some(string)
}

/// All parts of an upload begin with this.
pub(crate) fn parts_of(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::Part, 18).bytes(&upload.0.to_be_bytes()).0
}

pub(crate) fn part(upload: UploadId, number: u16) -> Vec<u8> {
    Builder(parts_of(upload)).bytes(&number.to_be_bytes()).0
}

pub(crate) fn completion(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::Completion, 16).bytes(&upload.0.to_be_bytes()).0
}

pub(crate) fn dropped(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::Dropped, 16).bytes(&upload.0.to_be_bytes()).0
}

pub(crate) fn last_part(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::LastPart, 16).bytes(&upload.0.to_be_bytes()).0
}

pub(crate) fn upload_bytes(upload: UploadId) -> Vec<u8> {
    Builder::new(Tag::UploadBytes, 16).bytes(&upload.0.to_be_bytes()).0
}

/// The upload of a [`dropped`].
pub(crate) fn parse_dropped(bytes: &[u8]) -> Option<UploadId> {
    Some(UploadId(u128::from_be_bytes(bytes.get(1..)?.try_into().ok()?)))
}

/// The bucket in the key of a [`deleted_bucket`].
pub(crate) fn parse_deleted_bucket(bytes: &[u8]) -> Option<BucketId> {
    Some(BucketId(u64::from_be_bytes(bytes.get(1..)?.try_into().ok()?)))
}

pub(crate) fn volume(volume: VolumeId) -> Vec<u8> {
    Builder::new(Tag::Volume, 8).bytes(&volume.0.to_be_bytes()).0
}

/// All extents of a volume begin with this.
pub(crate) fn extents_of(volume: VolumeId) -> Vec<u8> {
    Builder::new(Tag::Extent, 16).bytes(&volume.0.to_be_bytes()).0
}

pub(crate) fn extent(volume: VolumeId, start: u64) -> Vec<u8> {
    Builder(extents_of(volume)).bytes(&start.to_be_bytes()).0
}

/// All packed stripes of a volume begin with this.
pub(crate) fn stripes_of(volume: VolumeId) -> Vec<u8> {
    Builder::new(Tag::Stripe, 16).bytes(&volume.0.to_be_bytes()).0
}

pub(crate) fn stripe(volume: VolumeId, start: u64) -> Vec<u8> {
    Builder(stripes_of(volume)).bytes(&start.to_be_bytes()).0
}

/// The offset of an [`extent`] or a [`stripe`].
pub(crate) fn parse_offset(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(9..)?.try_into().ok()?))
}

/// All keys of things that are due before this time are less than this.
pub(crate) fn due_until(time: UnixMillis) -> Vec<u8> {
    Builder::new(Tag::Due, 25).bytes(&time.to_be_bytes()).0
}

pub(crate) fn due(time: UnixMillis, kind: DueKind, upload: UploadId) -> Vec<u8> {
    Builder(due_until(time)).bytes(&[kind as u8]).bytes(&upload.0.to_be_bytes()).0
}

/// What a [`due`] names.
pub(crate) fn parse_due(bytes: &[u8]) -> Option<(DueKind, UploadId)> {
    let (kind, upload) = bytes.get(9..)?.split_first()?;
    Some((DueKind::from_byte(*kind)?, UploadId(u128::from_be_bytes(upload.try_into().ok()?))))
}

/// All keys of reviews that are due at or before this time are less than this.
pub(crate) fn reviews_until(time: UnixMillis) -> Vec<u8> {
    Builder::new(Tag::Review, 8).bytes(&time.saturating_add(1).to_be_bytes()).0
}

pub(crate) fn review(time: UnixMillis, bucket: BucketId, key: &[u8], committed: Index) -> Vec<u8> {
    let when = Builder::new(Tag::Review, 26 + key.len()).bytes(&time.to_be_bytes());
    when.bytes(&bucket.0.to_be_bytes()).escaped(key).bytes(&committed.to_be_bytes()).0
}

/// The time, bucket, key and entry of a [`review`].
pub(crate) fn parse_review(bytes: &[u8]) -> Option<(UnixMillis, BucketId, Vec<u8>, Index)> {
    let (time, rest) = bytes.get(1..)?.split_first_chunk()?;
    let (bucket, rest) = rest.split_first_chunk()?;
    let (key, committed) = rest.split_last_chunk()?;
    let bucket = BucketId(u64::from_be_bytes(*bucket));
    Some((u64::from_be_bytes(*time), bucket, unescaped(key)?, u64::from_be_bytes(*committed)))
}

/// The key of the one record for all identities.
pub(crate) fn identities() -> Vec<u8> {
    Builder::new(Tag::Identities, 0).0
}

/// All users, all groups or all roles of an account begin with this; their names follow.
pub(crate) fn identities_of(kind: IdentityKind, account: &str) -> Vec<u8> {
    Builder::new(Tag::Identity, account.len() + 67).escaped(account.as_bytes()).bytes(&[kind as u8]).0
}

pub(crate) fn identity(kind: IdentityKind, at: &AccountName) -> Vec<u8> {
    Builder(identities_of(kind, at.account())).bytes(at.folded().as_bytes()).0
}

/// The kind, account and name in the key of an [`identity`].
pub(crate) fn parse_identity(bytes: &[u8]) -> Option<(IdentityKind, AccountName)> {
    let (account, rest) = split_escaped(bytes.get(1..)?)?;
    let (kind, name) = rest.split_first()?;
    let kind = IdentityKind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
    Some((kind, account_name(&account, name)?))
}

pub(crate) fn access_key(id: &str) -> Vec<u8> {
    Builder::new(Tag::AccessKey, id.len()).bytes(id.as_bytes()).0
}

/// The id of an [`access_key`].
pub(crate) fn parse_access_key(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.get(1..)?).ok()
}

/// All policies of an account begin with this; their names follow.
pub(crate) fn managed_policies_of(account: &str) -> Vec<u8> {
    Builder::new(Tag::ManagedPolicy, account.len() + 130).escaped(account.as_bytes()).0
}

pub(crate) fn managed_policy(at: &AccountName) -> Vec<u8> {
    Builder(managed_policies_of(at.account())).bytes(at.folded().as_bytes()).0
}

/// The account and name in the key of a [`managed_policy`].
pub(crate) fn parse_managed_policy(bytes: &[u8]) -> Option<AccountName> {
    let (account, name) = split_escaped(bytes.get(1..)?)?;
    account_name(&account, name)
}

/// An account and a name, which must be in lower case.
fn account_name(account: &[u8], name: &[u8]) -> Option<AccountName> {
    let (account, name) = (std::str::from_utf8(account).ok()?, std::str::from_utf8(name).ok()?);
    let at = AccountName::new(account, name);
    (at.folded() == name).then_some(at)
}

/// The string of a [`Builder::escaped`] at the beginning of `bytes`, and what follows it.
fn split_escaped(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut at = 0;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (0, Some(0)) => return Some((unescaped(bytes.get(..at + 2)?)?, bytes.get(at + 2..)?)),
            (0, _) => at += 2,
            _ => at += 1,
        }
    }
}

/// All events that wait for a target begin with this.
pub(crate) fn events_of(target: &str) -> Vec<u8> {
    Builder::new(Tag::Event, target.len() + 10).escaped(target.as_bytes()).0
}

pub(crate) fn event(target: &str, index: Index) -> Vec<u8> {
    Builder(events_of(target)).bytes(&index.to_be_bytes()).0
}

/// The target of an [`event`].
pub(crate) fn parse_event(bytes: &[u8]) -> Option<String> {
    let (target, _) = bytes.get(1..)?.split_last_chunk::<8>()?;
    String::from_utf8(unescaped(target)?).ok()
}

pub(crate) fn event_queue(target: &str) -> Vec<u8> {
    Builder::new(Tag::EventQueue, target.len()).bytes(target.as_bytes()).0
}

pub(crate) fn event_share(target: &str, owner: &str) -> Vec<u8> {
    let builder = Builder::new(Tag::EventShare, target.len() + owner.len() + 2);
    builder.escaped(target.as_bytes()).bytes(owner.as_bytes()).0
}

/// Whether a key is of this kind.
pub(crate) fn is(tag: Tag, key: &[u8]) -> bool {
    key.first() == Some(&(tag as u8))
}

/// The first key after all keys of this kind.
pub(crate) fn end_of(tag: Tag) -> Vec<u8> {
    vec![tag as u8 + 1]
}

/// No key of this kind is less than this.
pub(crate) fn start_of(tag: Tag) -> Vec<u8> {
    vec![tag as u8]
}

/// The first string after all that begin with `prefix`; `None` if there is no such string (`prefix` is `ff ff ..`, or
/// empty).
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

/// [`after_prefix`] for keys made here: they begin with a tag, so there is always such a string.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    after_prefix(prefix).unwrap_or_else(|| vec![0xff; prefix.len() + 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn uploads_sort_by_bucket_key_and_id(
            one in (0u64..3, proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), Just(b'a')], 0..5), 0u128..3),
            other in (0u64..3, proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), Just(b'a')], 0..5), 0u128..3),
        ) {
            let stored = |(bucket, key, upload): &(u64, Vec<u8>, u128)| {
                upload_by_key(BucketId(*bucket), key, UploadId(*upload))
            };
            prop_assert_eq!(stored(&one).cmp(&stored(&other)), one.cmp(&other));
            prop_assert_eq!(parse_upload_by_key(&stored(&one)), Some((one.1.clone(), UploadId(one.2))));
            let prefix = upload_key_prefix(BucketId(one.0), &one.1);
            let begins = other.0 == one.0 && other.1.starts_with(&one.1);
            prop_assert_eq!(stored(&other).starts_with(&prefix), begins);
        }

        #[test]
        fn objects_sort_by_bucket_and_key(one: (u64, Vec<u8>), other: (u64, Vec<u8>)) {
            let stored = |(bucket, key): &(u64, Vec<u8>)| object(BucketId(*bucket), key);
            prop_assert_eq!(stored(&one).cmp(&stored(&other)), one.cmp(&other));
        }

        #[test]
        fn versions_sort_by_bucket_and_key_the_newest_first(one: (u64, Vec<u8>, u64), other: (u64, Vec<u8>, u64)) {
            let stored = |(bucket, key, at): &(u64, Vec<u8>, u64)| version(BucketId(*bucket), key, *at);
            let order = |of: &(u64, Vec<u8>, u64)| (of.0, of.1.clone(), std::cmp::Reverse(of.2));
            prop_assert_eq!(stored(&one).cmp(&stored(&other)), order(&one).cmp(&order(&other)));
            prop_assert_eq!(parse_version(&stored(&one)), Some((BucketId(one.0), one.1.clone(), one.2)));
            prop_assert_eq!(stored(&other).starts_with(&versions_in(BucketId(one.0))), other.0 == one.0);
            let of_key = versions_of(BucketId(one.0), &one.1);
            prop_assert_eq!(stored(&other).starts_with(&of_key), (other.0, &other.1) == (one.0, &one.1));
            let prefix = version_prefix(BucketId(one.0), &one.1);
            prop_assert_eq!(stored(&other).starts_with(&prefix), other.0 == one.0 && other.1.starts_with(&one.1));
        }

        #[test]
        fn due_things_sort_by_time(one: (u64, u128), other: (u64, u128)) {
            let stored = |(time, upload): &(u64, u128)| due(*time, DueKind::Upload, UploadId(*upload));
            prop_assert_eq!(stored(&one).cmp(&stored(&other)), one.cmp(&other));
            prop_assert_eq!(stored(&one) < due_until(other.0), one.0 < other.0);
            prop_assert_eq!(parse_due(&stored(&one)), Some((DueKind::Upload, UploadId(one.1))));
        }

        #[test]
        fn reviews_sort_by_time(one: (u64, u64, Vec<u8>, u64), other: (u64, u64, Vec<u8>, u64)) {
            let stored = |(time, bucket, key, at): &(u64, u64, Vec<u8>, u64)| review(*time, BucketId(*bucket), key, *at);
            prop_assert_eq!(stored(&one).cmp(&stored(&other)), one.cmp(&other));
            prop_assert_eq!(stored(&one) < reviews_until(other.0), one.0 <= other.0);
            let (time, bucket, key, at) = one.clone();
            prop_assert_eq!(parse_review(&stored(&one)), Some((time, BucketId(bucket), key, at)));
        }

        #[test]
        fn identities_lie_by_account_kind_and_name(one: (String, String), other: (String, String)) {
            let at = |(account, name): &(String, String)| AccountName::new(account, name);
            let (one, other) = (at(&one), at(&other));
            for kind in IdentityKind::ALL {
                prop_assert_eq!(parse_identity(&identity(kind, &one)), Some((kind, one.clone())));
                let all = identities_of(kind, one.account());
                prop_assert_eq!(identity(kind, &other).starts_with(&all), one.account() == other.account());
                prop_assert!(!identity(IdentityKind::Group, &other).starts_with(&identities_of(IdentityKind::User, one.account())));
            }
            prop_assert_eq!(parse_managed_policy(&managed_policy(&one)), Some(one.clone()));
            let key = access_key(one.folded());
            prop_assert_eq!(parse_access_key(&key), Some(one.folded()));
        }

        #[test]
        fn nothing_with_a_prefix_comes_after_its_end(prefix: Vec<u8>, rest: Vec<u8>) {
            if let Some(end) = after_prefix(&prefix) {
                prop_assert!([prefix.as_slice(), &rest].concat() < end);
                prop_assert!(!end.starts_with(&prefix));
            } else {
                prop_assert!(prefix.iter().all(|byte| *byte == 0xff));
            }
        }

        #[test]
        fn parsing_is_total(bytes: Vec<u8>) {
            let _ = (parse_upload_by_key(&bytes), parse_dropped(&bytes), parse_deleted_bucket(&bytes));
            let _ = (parse_review(&bytes), parse_offset(&bytes), parse_due(&bytes), parse_object(&bytes), parse_bucket_by_id(&bytes));
            let _ = (parse_version(&bytes), parse_bucket_document(&bytes));
            let _ = (parse_identity(&bytes), parse_access_key(&bytes), parse_managed_policy(&bytes));
        }
    }

    #[test]
    fn kinds_don_t_overlap() {
        let keys = [
            applied(),
            highest_ids(),
            level(),
            bucket_by_id(BucketId(u64::MAX)),
            bucket_by_name(b"\xff"),
            bucket_by_owner("\u{10ffff}", "x"),
            deleted_bucket(BucketId(u64::MAX)),
            bucket_document(BucketId(u64::MAX), DocumentKind::Notification),
            bucket_usage(BucketId(u64::MAX)),
            user_quota("\u{10ffff}"),
            user_total("\u{10ffff}"),
            user_summed("\u{10ffff}"),
            object(BucketId(u64::MAX), b"\xff"),
            version(BucketId(u64::MAX), b"\xff", 0),
            null_version(BucketId(u64::MAX), b"\xff"),
            upload(UploadId(u128::MAX)),
            upload_by_key(BucketId(u64::MAX), b"\xff", UploadId(u128::MAX)),
            part(UploadId(u128::MAX), u16::MAX),
            completion(UploadId(u128::MAX)),
            dropped(UploadId(u128::MAX)),
            last_part(UploadId(u128::MAX)),
            upload_bytes(UploadId(u128::MAX)),
            volume(VolumeId(u64::MAX)),
            extent(VolumeId(u64::MAX), u64::MAX),
            stripe(VolumeId(u64::MAX), u64::MAX),
            due(u64::MAX, DueKind::Completion, UploadId(u128::MAX)),
            review(u64::MAX, BucketId(u64::MAX), b"\xff", u64::MAX),
            event("\u{10ffff}", u64::MAX),
            event_queue("\u{10ffff}"),
            event_share("\u{10ffff}", "\u{10ffff}"),
            identities(),
            identity(IdentityKind::Role, &AccountName::new("\u{10ffff}", "x")),
            access_key("\u{10ffff}"),
            managed_policy(&AccountName::new("\u{10ffff}", "x")),
        ];
        let mut sorted = keys.to_vec();
        sorted.sort();
        assert_eq!(sorted, keys);
        assert!(keys.windows(2).all(|pair| pair[0][0] < pair[1][0]));
        assert_eq!(keys.each_ref().map(|key| kind_of(key)), Tag::ALL.map(Some), "each is of its kind");
    }
}
