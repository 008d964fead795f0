//! The count of a bucket is what the bucket holds, whenever the count began and whatever came meanwhile.

use super::*;
use crate::command::{BucketChange, NewBucket, QuotaOf};

const QUOTA: Quota = Quota { bytes: Some(35), objects: Some(3) };
const REFUSED: Outcome = Outcome::Refused(Refusal::QuotaExceeded);

impl Store {
    pub(super) fn of_quotas() -> Store {
        let mut store = Store::new();
        store.apply(Command::SetLevel(Level::SECOND));
        store
    }

    fn usage(&self) -> Option<BucketUsage> {
        self.memory.get(&keys::bucket_usage(BUCKET)).unwrap().map(|value| decode(&value).unwrap())
    }

    fn total(&self) -> Option<UserTotal> {
        self.memory.get(&keys::user_total("owner")).unwrap().map(|value| decode(&value).unwrap())
    }

    fn bucket(&mut self, name: &str) -> BucketId {
        let Command::CreateBucket(new) = create_bucket(BUCKET) else { panic!() };
        let new = NewBucket { name: name.into(), chosen: None, ..new };
        let Outcome::Bucket(bucket) = self.apply(Command::CreateBucket(new)) else { panic!("{name}") };
        bucket.id
    }

    fn is_summed(&self) -> bool {
        self.total().is_some() && self.memory.get(&keys::user_summed("owner")).unwrap().is_none()
    }

    fn sum_all(&mut self) {
        while !self.is_summed() {
            self.apply(sum());
        }
    }

    /// The total that is counted for all of the owner's buckets.
    fn counted(&self) -> UserTotal {
        let usages = self.all::<BucketUsage>(Tag::BucketUsage);
        let zero = UserTotal::default();
        usages.iter().fold(zero, |sum, (_, usage)| UserTotal {
            bytes: sum.bytes + usage.bytes,
            objects: sum.objects + usage.objects,
        })
    }

    fn count_all(&mut self) {
        while self.usage().is_some_and(|usage| usage.counted != Counted::All) {
            self.apply(Command::CountUsage { bucket: BUCKET });
        }
    }

    /// The bytes and objects that the bucket holds, found by reading its records.
    fn held(&self) -> (u64, u64) {
        let current = self.all::<ObjectRecord>(Tag::Object).into_iter().map(|(_, object)| object.size);
        let versions =
            self.all::<Version>(Tag::Version).into_iter().filter_map(|(_, version)| match version {
                Version::Object(object) => Some(object.size),
                Version::DeleteMarker(_) => None,
            });
        let sizes: Vec<u64> = current.chain(versions).collect();
        (sizes.iter().sum(), sizes.len() as u64)
    }
}

fn set(quota: Option<Quota>) -> Command {
    Command::SetQuota { of: QuotaOf::Bucket(BUCKET), quota }
}

fn of_owner(quota: Option<Quota>) -> Command {
    Command::SetQuota { of: QuotaOf::User("owner".into()), quota }
}

fn sum() -> Command {
    Command::SumUsage { owner: "owner".into() }
}

fn sized(key: &str, size: u64) -> Command {
    sized_in(BUCKET, key, size)
}

fn sized_in(bucket: BucketId, key: &str, size: u64) -> Command {
    let record = ObjectRecord { size, ..record(1, Body::Blob(BlobRef::plain(Place::Empty))) };
    Command::PutObject { bucket, key: key.into(), record, condition: WriteCondition::default() }
}

fn versioning(versioning: Versioning) -> Command {
    Command::ConfigureBucket { bucket: BUCKET, change: BucketChange::Versioning(versioning) }
}

#[test]
fn a_bucket_holds_no_more_than_its_quota_and_can_be_written_smaller() {
    let mut store = Store::of_quotas();
    store.apply(sized("before", 10));
    store.apply(set(Some(QUOTA)));
    store.count_all();
    assert!(matches!(store.apply(sized("a", 25)), Outcome::Object(_)));
    assert_eq!(store.apply(sized("b", 1)), REFUSED, "a byte too many");
    assert_eq!(store.apply(sized("a", 26)), REFUSED);
    assert!(matches!(store.apply(sized("a", 24)), Outcome::Object(_)), "what it replaces goes");
    assert!(matches!(store.apply(sized("b", 0)), Outcome::Object(_)));
    assert_eq!(store.apply(sized("c", 0)), REFUSED, "an object too many");
    store.apply(set(Some(Quota { bytes: Some(1), objects: None })));
    assert!(matches!(store.apply(sized("a", 20)), Outcome::Object(_)), "it doesn't grow");
    assert_eq!(store.apply(sized("a", 21)), REFUSED);
    store.apply(set(None));
    assert!(matches!(store.apply(sized("a", 1 << 40)), Outcome::Object(_)));
    assert_eq!(store.usage(), None);
}

#[test]
fn parts_count_while_their_upload_is_under_way_and_not_twice_when_they_become_an_object() {
    let mut store = Store::of_quotas();
    store.apply(set(Some(QUOTA)));
    store.count_all();
    store.apply(create_upload(1, "a"));
    for (number, bytes) in [(1, 10), (2, 20), (3, 30)] {
        store.apply(put_part(1, number, 1, small()));
        assert_eq!(store.usage().unwrap().bytes, bytes);
    }
    store.apply(put_part(1, 3, 2, small()));
    assert_eq!(store.usage().unwrap().bytes, 30, "it came in place of another");
    assert_eq!(store.apply(put_part(1, 4, 1, small())), REFUSED);
    assert!(matches!(store.apply(complete(1, "a", &[(1, 1)])), Outcome::Object(_)));
    assert_eq!((store.usage().unwrap().bytes, store.usage().unwrap().objects), (10, 1));
    store.apply(create_upload(2, "b"));
    store.apply(put_part(2, 1, 1, small()));
    store.apply(Command::AbortUpload { bucket: BUCKET, key: b"b".to_vec(), upload: UploadId(2) });
    assert_eq!(store.usage().unwrap().bytes, 10);
    assert!(store.all::<UploadBytes>(Tag::UploadBytes).is_empty());
}

#[test]
fn a_bucket_of_a_user_with_a_quota_is_counted_from_its_beginning() {
    let mut store = Store::of_quotas();
    store.apply(Command::SetQuota { of: QuotaOf::User("owner".into()), quota: Some(QUOTA) });
    let Outcome::Bucket(bucket) = store.apply(create_bucket(BucketId(7))) else { panic!() };
    let usage: BucketUsage =
        decode(&store.memory.get(&keys::bucket_usage(bucket.id)).unwrap().unwrap()).unwrap();
    assert_eq!(usage, BucketUsage::empty(Quota::default(), store.index));
    store.apply(Command::DeleteBucket { bucket: bucket.id });
    assert_eq!(store.memory.get(&keys::bucket_usage(bucket.id)).unwrap(), None);
}

#[test]
fn a_user_s_buckets_hold_no_more_together_than_the_quota() {
    let mut store = Store::of_quotas();
    // What the first bucket held before is in the total; what the second held is added when it is counted.
    store.apply(set(Some(Quota::default())));
    store.count_all();
    store.apply(sized("before", 10));
    let Outcome::Bucket(other) = store.apply(create_bucket(BucketId(7))) else { panic!() };
    store.apply(sized_in(other.id, "before", 5));
    store.apply(of_owner(Some(QUOTA)));
    store.sum_all();
    assert_eq!(store.total(), Some(UserTotal { bytes: 10, objects: 1 }));
    let begun = Command::SetQuota { of: QuotaOf::Bucket(other.id), quota: Some(Quota::default()) };
    store.apply(begun);
    store.apply(Command::CountUsage { bucket: other.id });
    assert_eq!(store.total(), Some(UserTotal { bytes: 15, objects: 2 }));
    assert!(matches!(store.apply(sized("a", 20)), Outcome::Object(_)));
    let refused = Outcome::Refused(Refusal::UserQuotaExceeded);
    assert_eq!(store.apply(sized_in(other.id, "before", 6)), refused, "a byte too many");
    assert_eq!(store.apply(sized_in(other.id, "a", 0)), refused, "an object too many");
    assert_eq!(store.apply(sized("a", 21)), refused);
    assert!(matches!(store.apply(sized("a", 19)), Outcome::Object(_)), "it doesn't grow");
    store.apply(Command::DeleteObject(Deletion::of(other.id, b"before".to_vec(), 5)));
    store.apply(Command::DeleteBucket { bucket: other.id });
    assert_eq!(store.total(), Some(UserTotal { bytes: 29, objects: 2 }));
    store.apply(of_owner(None));
    assert_eq!(store.total(), None);
    assert!(matches!(store.apply(sized("a", 1 << 40)), Outcome::Object(_)));
}

#[test]
fn a_total_takes_a_few_buckets_a_command_and_follows_those_that_are_in_it() {
    let mut store = Store::of_quotas();
    store.apply(set(Some(Quota::default())));
    store.count_all();
    let more: Vec<BucketId> = (0..5).map(|number| store.bucket(&format!("more-{number}"))).collect();
    for (bucket, size) in more.iter().zip([1, 2, 4, 8, 16]) {
        store.apply(sized_in(*bucket, "a", size));
        store.apply(Command::SetQuota { of: QuotaOf::Bucket(*bucket), quota: Some(Quota::default()) });
        store.apply(Command::CountUsage { bucket: *bucket });
    }
    store.apply(sized("a", 32));
    store.apply(of_owner(Some(Quota { bytes: Some(1_000), objects: None })));
    assert_eq!(store.total(), Some(UserTotal { bytes: 32 + 1, objects: 2 }), "by their names");
    store.apply(sized_in(more[0], "a", 65));
    store.apply(sized_in(more[4], "a", 17));
    assert_eq!(store.total(), Some(UserTotal { bytes: 32 + 65, objects: 2 }), "the last isn't in it yet");
    // One bucket before the next name to be added, and one after it.
    let (low, high) = (store.bucket("a-low"), store.bucket("zebra"));
    for bucket in [low, high] {
        store.apply(sized_in(bucket, "a", 100));
    }
    store.apply(Command::DeleteObject(Deletion::of(more[2], b"a".to_vec(), 5)));
    store.apply(Command::DeleteBucket { bucket: more[2] });
    assert_eq!(store.apply(sum()), Outcome::Count(2));
    assert!(!store.is_summed());
    store.sum_all();
    assert_eq!(store.total(), Some(store.counted()));
    assert_eq!(store.total(), Some(UserTotal { bytes: 32 + 65 + 2 + 8 + 17 + 200, objects: 7 }));
    assert_eq!(store.apply(sum()), Outcome::Count(0), "all are in it");
    store.apply(of_owner(None));
    assert_eq!((store.apply(sum()), store.total()), (Outcome::Count(0), None), "nobody asks for it");
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Delete(u8),
    /// Deletes the n-th version.
    DeleteVersion(usize),
    Versioning(Versioning),
    Begin,
    Count,
    Sum,
    /// Sets or removes the owner's quota.
    OfOwner(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..9, 0u64..50).prop_map(|(key, size)| Step::Put(key, size)),
        2 => (0u8..9).prop_map(Step::Delete),
        2 => (0usize..20).prop_map(Step::DeleteVersion),
        1 => prop_oneof![Just(Versioning::Enabled), Just(Versioning::Suspended)].prop_map(Step::Versioning),
        1 => Just(Step::Begin),
        2 => Just(Step::Count),
        2 => Just(Step::Sum),
        1 => any::<bool>().prop_map(Step::OfOwner),
    ]
}

proptest! {
    #[test]
    fn a_count_comes_to_what_there_is(steps in proptest::collection::vec(step(), 1..60)) {
        let mut store = Store::of_quotas();
        for step in steps {
            match step {
                Step::Put(key, size) => drop(store.apply(sized(&format!("key{key}"), size))),
                Step::Delete(key) => drop(store.apply(delete(&format!("key{key}")))),
                Step::DeleteVersion(at) => {
                    let of_key = |(key, version): (Vec<u8>, Version)| {
                        (keys::parse_version(&key).unwrap().1, version.id())
                    };
                    let found = store.all::<Version>(Tag::Version).into_iter().nth(at).map(of_key);
                    if let Some((key, version)) = found {
                        let version = Some(version);
                        let deletion = Deletion { version, ..Deletion::of(BUCKET, key, 5_000) };
                        store.apply(Command::DeleteObject(deletion));
                    }
                }
                Step::Versioning(to) => drop(store.apply(versioning(to))),
                Step::Begin => {
                    store.apply(set(None));
                    store.apply(set(Some(Quota::default())));
                }
                Step::Count => drop(store.apply(Command::CountUsage { bucket: BUCKET })),
                Step::Sum => drop(store.apply(sum())),
                Step::OfOwner(true) => drop(store.apply(of_owner(Some(Quota { bytes: Some(400), objects: None })))),
                Step::OfOwner(false) => drop(store.apply(of_owner(None))),
            }
            if store.is_summed() {
                prop_assert_eq!(store.total(), Some(store.counted()));
            }
            if let Some(usage) = store.usage().filter(|usage| usage.counted == Counted::All) {
                prop_assert_eq!((usage.bytes, usage.objects), store.held());
            }
        }
        store.count_all();
        if let Some(usage) = store.usage() {
            prop_assert_eq!((usage.bytes, usage.objects), store.held());
        }
    }
}
