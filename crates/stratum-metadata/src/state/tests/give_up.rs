//! What follows from records that are given up is as if they had been deleted, but that no bytes are freed.

use super::*;
use crate::command::{BucketChange, GivenUp, KeyRange, QuotaOf, Unnamed, UnnamedOfStripe};
use crate::fingerprint::fingerprint;

impl Store {
    fn versioned(versioning: Versioning) -> Store {
        let mut store = Store::new();
        store.apply(Command::SetLevel(Level::SECOND));
        let change = BucketChange::Versioning(versioning);
        store.apply(Command::ConfigureBucket { bucket: BUCKET, change });
        store
    }

    /// As on a machine that knows all of it.
    fn give_up(&mut self, from: Vec<u8>, to: Vec<u8>, kept: &[&str]) -> Outcome {
        let kept = kept.iter().map(|key| keys::object(BUCKET, key.as_bytes())).collect();
        let ranges = vec![KeyRange { from, to }];
        self.apply(Command::GiveUp(GivenUp { ranges, kept, fingerprint: 0, now: 50 }))
    }

    fn noncurrent(&self, key: &str) -> Vec<Version> {
        let all = self.all::<Version>(Tag::Version).into_iter();
        let of_key = all.filter(|(at, _)| keys::parse_version(at).unwrap().1 == key.as_bytes());
        of_key.map(|(_, version)| version).collect()
    }

    fn nulls(&self) -> Vec<Vec<u8>> {
        self.all::<NullVersion>(Tag::NullVersion).into_iter().map(|(key, _)| key[9..].to_vec()).collect()
    }
}

fn object(key: &str) -> Vec<u8> {
    keys::object(BUCKET, key.as_bytes())
}

fn put_small(store: &mut Store, key: &str) {
    store.apply(put(key, 1, small(), WriteCondition::default()));
}

#[test]
fn those_that_are_known_stay_and_no_older_version_shows_in_place_of_one_that_went() {
    let mut store = Store::versioned(Versioning::Enabled);
    for key in ["a", "b", "b", "c", "c", "d", "d"] {
        put_small(&mut store, key);
    }
    assert_eq!(store.give_up(object("b"), object("d"), &["c"]), Outcome::Done);
    assert!(store.object("a").is_some() && store.object("c").is_some() && store.object("d").is_some());
    assert!(store.object("b").is_none());
    let [Version::DeleteMarker(marker), Version::Object(older)] = &store.noncurrent("b")[..] else {
        panic!()
    };
    assert!(marker.committed == store.index && marker.committed > older.committed && marker.modified == 50);
    assert_eq!(
        (store.noncurrent("c").len(), store.noncurrent("d").len()),
        (1, 1),
        "they are covered as before"
    );
}

#[test]
fn where_a_marker_went_there_is_one_again_and_null_versions_are_found() {
    let mut store = Store::versioned(Versioning::Suspended);
    put_small(&mut store, "a");
    store.apply(Command::ConfigureBucket {
        bucket: BUCKET,
        change: BucketChange::Versioning(Versioning::Enabled),
    });
    put_small(&mut store, "a");
    store.apply(Command::DeleteObject(crate::command::Deletion::of(BUCKET, b"a".to_vec(), 1)));
    assert_eq!((store.noncurrent("a").len(), store.nulls()), (3, vec![b"a".to_vec()]));
    // What says which one is the null version.
    store.give_up(keys::start_of(Tag::NullVersion), keys::end_of(Tag::NullVersion), &[]);
    assert_eq!(store.nulls(), [b"a".to_vec()]);
    // The marker, which is the first of them.
    let all = store.all::<Version>(Tag::Version);
    store.give_up(all[0].0.clone(), all[1].0.clone(), &[]);
    let versions = store.noncurrent("a");
    let [Version::DeleteMarker(marker), Version::Object(_), Version::Object(_)] = &versions[..] else {
        panic!()
    };
    assert_eq!(marker.committed, store.index);
    // The null version, which is the last.
    store.give_up(all[2].0.clone(), [all[2].0.as_slice(), &[0]].concat(), &[]);
    assert_eq!((store.noncurrent("a").len(), store.nulls()), (2, vec![]));
}

#[test]
fn nothing_is_freed_and_buckets_are_counted_anew() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    for (key, start) in [("a", 4096), ("b", 409_600)] {
        store.apply(put(key, 1, extents(1, start, &[100]), WriteCondition::default()));
    }
    store.apply(Command::SetQuota { of: QuotaOf::Bucket(BUCKET), quota: Some(Quota::default()) });
    while store.apply(Command::CountUsage { bucket: BUCKET }) != Outcome::Count(0) {}
    let usage = |store: &Store| store.all::<BucketUsage>(Tag::BucketUsage).remove(0).1;
    assert_eq!(usage(&store).objects, 2);
    let (live, extents) = (store.volume(1).live, store.all::<ExtentRecord>(Tag::Extent).len());
    store.give_up(object("a"), object("b"), &[]);
    assert_eq!((store.volume(1).live, store.all::<ExtentRecord>(Tag::Extent).len()), (live, extents));
    assert!(usage(&store).counted != Counted::All && usage(&store).objects == 0);
    while store.apply(Command::CountUsage { bucket: BUCKET }) != Outcome::Count(0) {}
    assert_eq!(usage(&store).objects, 1);
}

#[test]
fn what_others_need_is_refused_and_the_fingerprint_is_less_by_what_the_command_says() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    put_small(&mut store, "a");
    for tag in (0u8..=0xff).filter_map(|tag| keys::kind_of(&[tag])).filter(|tag| !is_dispensable(*tag)) {
        let outcome = store.give_up(keys::start_of(tag), keys::end_of(tag), &[]);
        assert_eq!(outcome, Outcome::Refused(Refusal::Indispensable), "{tag:?}");
    }
    let value = store.memory.get(&object("a")).unwrap().unwrap();
    let mut view = View::new(&store.memory);
    let ranges = vec![KeyRange { from: object("a"), to: object("b") }];
    let given_up = GivenUp { ranges, kept: Vec::new(), fingerprint: 1000, now: 1 };
    apply(&mut view, 99, Command::GiveUp(given_up)).unwrap();
    // What the change takes off is put on again.
    assert_eq!(view.correction(), fingerprint(&object("a"), &value).wrapping_sub(1000));
}

#[test]
fn a_review_of_what_was_given_up_is_looked_at_once() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    put_small(&mut store, "a");
    let change = |condition, review| crate::command::TierChange {
        bucket: BUCKET,
        key: b"a".to_vec(),
        version: VersionId::NULL,
        committed: 0,
        condition,
        decision: None,
        pinning: crate::command::Pinning::Leave,
        review,
    };
    let none = crate::command::TierCondition::Always;
    store.apply(Command::DecideTiers(vec![change(none, Some(70))]));
    assert_eq!(store.all::<VersionId>(Tag::Review).len(), 1);
    store.give_up(object("a"), object("b"), &[]);
    assert_eq!(store.all::<VersionId>(Tag::Review).len(), 1);
    let reviewed = crate::command::TierCondition::Reviewed(70);
    assert_eq!(store.apply(Command::DecideTiers(vec![change(reviewed, None)])), Outcome::Count(0));
    assert_eq!(store.all::<VersionId>(Tag::Review).len(), 0);
}

#[test]
fn what_only_they_named_is_given_back_and_nothing_else() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    let packed = |offset, length| {
        BlobRef::plain(Place::Packed(PackedAt {
            volume: VolumeId(1),
            stripe: 819_200,
            payload: 1000,
            offset,
            length,
            crc32c: 0,
        }))
    };
    for (key, blob) in [
        ("a", extents(1, 4096, &[100])),
        ("b", packed(0, 300)),
        ("x", extents(1, 409_600, &[100])),
        ("y", packed(300, 500)),
    ] {
        assert!(
            !matches!(store.apply(put(key, 1, blob, WriteCondition::default())), Outcome::Refused(_)),
            "{key}"
        );
    }
    let unnamed = |store: &Store| crate::unnamed::unnamed(&store.memory).unwrap();
    assert_eq!(unnamed(&store), Unnamed::default());
    store.give_up(object("a"), object("x"), &[]);
    let found = unnamed(&store);
    assert_eq!((found.extents.len(), found.stripes.len(), found.uploads.len()), (1, 1, 0));
    assert_eq!((found.stripes[0].live, found.stripes[0].bodies), (300, 1));
    // Nothing of what is named goes, whoever says so.
    let extents = vec![(VolumeId(1), 4096), (VolumeId(1), 409_600), (VolumeId(9), 7)];
    let outcome = store.apply(Command::Reclaim(Unnamed { extents, ..found.clone() }));
    assert_eq!(outcome, Outcome::Count(2));
    store.check();
    assert_eq!(unnamed(&store), Unnamed::default());
    let more = UnnamedOfStripe { live: 501, bodies: 1, ..found.stripes[0] };
    let outcome = store.apply(Command::Reclaim(Unnamed { stripes: vec![more], ..Unnamed::default() }));
    assert_eq!(outcome, Outcome::Count(0));
    store.check();
}
