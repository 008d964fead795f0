//! Lifecycle rules are carried out while a store is open, with days of milliseconds by the machine's clock.

use crate::store::{BUCKET, Store, add_bucket_to, key};
use bytes::Bytes;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::Lifecycle;
use stratum_events::{Destination, EventName};
use stratum_lifecycle::{Days, Expiration, Filter, NoncurrentExpiration, Rule, Rules, Transition, When};
use stratum_metadata::command::{BucketChange, Command, ObjectChange, Outcome};
use stratum_metadata::record::{
    BucketDocument, DocumentKind, EventKind, LegalHold, ObjectLock, StorageClass, UploadId, UploadRecord,
    Versioning,
};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Tier;
use stratum_storage::task::Task;
use stratum_tiering::day::Day;
use tokio::sync::watch;

/// So short that whatever a test writes is more than a day old at once.
const DAY: Duration = Duration::from_millis(10);

async fn configure(store: &Store, change: BucketChange) {
    let command = Command::ConfigureBucket { bucket: BUCKET, change };
    let outcome = store.metadata.commit(command, Bytes::new()).await.unwrap();
    assert!(matches!(outcome, Outcome::Bucket(_)), "{outcome:?}");
}

async fn rules(store: &Store, rule: Rule) {
    let rule = Rule { id: "rule".into(), is_enabled: true, ..rule };
    let document = Some(BucketDocument(Rules::from(vec![rule]).to_document().unwrap()));
    configure(store, BucketChange::Document { kind: DocumentKind::Lifecycle, document }).await;
}

fn lifecycle(store: &Store) -> Arc<Lifecycle> {
    let days = Days(Day::new(NonZeroU64::new(DAY.as_millis() as u64).unwrap()));
    let clock = store.clock.clone();
    Arc::new(Lifecycle::new(store.metadata.clone(), store.usage.clone(), clock, days))
}

/// Two passes over everything: in the second one, whatever was written before is due.
async fn pass(store: &Store) -> Arc<Lifecycle> {
    tokio::time::sleep(DAY * 3).await;
    let lifecycle = lifecycle(store);
    let (_stop, stopped) = watch::channel(false);
    while lifecycle.status().passes < 2 {
        lifecycle.step(&stopped).await;
    }
    lifecycle
}

fn holds(store: &Store, number: u64) -> bool {
    store.metadata.local().object(BUCKET, &key(number)).unwrap().is_some()
}

fn at_days(days: u32) -> Option<Expiration> {
    Some(Expiration::At(When::Days(days)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_expires_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    let body = Bytes::from_static(b"body");
    for number in 1..=3 {
        store.put(number, &body).await;
    }
    let tagged = ObjectChange::Tags(Some([("keep".into(), "no".into())].into()));
    let command = Command::ConfigureObject { bucket: BUCKET, key: key(2), version: None, change: tagged };
    store.metadata.commit(command, Bytes::new()).await.unwrap();
    let filter = Filter { tags: [("keep".into(), "no".into())].into(), ..Filter::default() };
    rules(&store, Rule { filter, expiration: at_days(1), ..Rule::default() }).await;
    let lifecycle = pass(&store).await;
    assert_eq!([1, 2, 3].map(|number| holds(&store, number)), [true, false, true]);
    assert_eq!(lifecycle.status().expired, 1);
    let never = Some(Expiration::At(When::Date(u64::MAX)));
    rules(&store, Rule { expiration: never, ..Rule::default() }).await;
    pass(&store).await;
    assert!(holds(&store, 1));
}

/// A pass that has read the rules is under way when they go: whatever it was about to do isn't done any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_asked_for_is_not_done_once_it_is_removed_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    store.put(1, &Bytes::from_static(b"body")).await;
    let never = Rule { expiration: Some(Expiration::At(When::Date(u64::MAX))), ..Rule::default() };
    for replacement in [None, Some(never)] {
        rules(&store, Rule { expiration: at_days(1), ..Rule::default() }).await;
        tokio::time::sleep(DAY * 3).await;
        let lifecycle = lifecycle(&store);
        let (_stop, stopped) = watch::channel(false);
        lifecycle.step(&stopped).await;
        match replacement {
            Some(rule) => rules(&store, rule).await,
            None => {
                let change = BucketChange::Document { kind: DocumentKind::Lifecycle, document: None };
                configure(&store, change).await;
            }
        }
        while lifecycle.status().passes == 0 {
            lifecycle.step(&stopped).await;
        }
        assert!(holds(&store, 1));
        assert_eq!(lifecycle.status().last_pass.unwrap().overdue, 0);
    }
    rules(&store, Rule { expiration: at_days(1), ..Rule::default() }).await;
    pass(&store).await;
    assert!(!holds(&store, 1), "it was due all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_lone_markers_go_and_what_is_locked_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    configure(&store, BucketChange::Versioning(Versioning::Enabled)).await;
    configure(&store, BucketChange::ObjectLock(ObjectLock { default: None })).await;
    let body = Bytes::from_static(b"body");
    for _ in 0..4 {
        store.put(1, &body).await;
    }
    store.put(2, &body).await;
    let held = store.metadata.local().object(BUCKET, &key(2)).unwrap().unwrap().version;
    let command = Command::ConfigureObject {
        bucket: BUCKET,
        key: key(2),
        version: None,
        change: ObjectChange::LegalHold(LegalHold::On),
    };
    store.metadata.commit(command, Bytes::new()).await.unwrap();
    // A marker is put over each object. Then the versions below are deleted, except the newest one and those that are
    // held.
    rules(
        &store,
        Rule {
            expiration: at_days(1),
            noncurrent_expiration: Some(NoncurrentExpiration { days: 1, keep_newer: Some(1) }),
            ..Rule::default()
        },
    )
    .await;
    let first = pass(&store).await;
    assert_eq!((first.status().expired, holds(&store, 1), holds(&store, 2)), (2, false, false));
    let second = pass(&store).await;
    let deleted = first.status().deleted + second.status().deleted;
    assert_eq!(deleted, 3, "of four versions the newest stays, by number");
    rules(
        &store,
        Rule {
            expiration: Some(Expiration::DeleteMarkers),
            noncurrent_expiration: Some(NoncurrentExpiration { days: 1, keep_newer: None }),
            ..Rule::default()
        },
    )
    .await;
    let third = pass(&store).await;
    assert!(third.status().locked > 0);
    let last = third.status().last_pass.unwrap();
    assert_eq!((last.kept_by_lock, last.overdue), (1, 0), "what is locked is no trouble: {last:?}");
    assert!(third.notes().is_empty());
    let view = store.metadata.local();
    assert!(view.version(BUCKET, &key(2), held).unwrap().is_some());
    assert!(view.delete_marker(BUCKET, &key(2)).unwrap().is_some(), "something is left under it");
    assert!(view.delete_marker(BUCKET, &key(1)).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_changes_and_an_upload_is_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    store.put(1, &Bytes::from_static(b"body")).await;
    let upload = UploadId(7);
    let record = UploadRecord {
        bucket: BUCKET,
        key: key(2),
        initiated: System.now(),
        initiator: "owner".into(),
        storage_class: StorageClass::Standard,
        headers: Default::default(),
        checksum: None,
        attributes: Default::default(),
    };
    let command = Command::CreateUpload { upload, record, expires: u64::MAX };
    store.metadata.commit(command, Bytes::new()).await.unwrap();
    let transitions = vec![Transition { when: When::Days(1), class: StorageClass::Glacier }];
    rules(&store, Rule { transitions, abort_uploads_after: Some(1), ..Rule::default() }).await;
    let lifecycle = pass(&store).await;
    let object = store.metadata.local().object(BUCKET, &key(1)).unwrap().unwrap();
    assert_eq!(object.storage_class, StorageClass::Glacier);
    assert_eq!(object.attributes.tiering.last().map(|decision| decision.tier), Some(Tier::Cold));
    assert!(store.metadata.local().upload(upload).unwrap().is_none());
    let status = lifecycle.status();
    assert_eq!((status.transitioned, status.aborted), (1, 1), "once, however often it is looked");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_notified_of_what_lifecycle_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    let told = stratum_events::Rule {
        id: "told".into(),
        destination: Destination::Queue { arn: "arn:aws:sqs:r:1:hook".into(), webhook: "hook".into() },
        events: vec![EventName::LifecycleExpiration, EventName::One(EventKind::LifecycleTransition)],
        filter: Default::default(),
    };
    let document = Some(BucketDocument(stratum_events::Rules(vec![told]).to_document().unwrap()));
    configure(&store, BucketChange::Document { kind: DocumentKind::Notification, document }).await;
    let body = Bytes::from_static(b"body");
    store.put(1, &body).await;
    rules(&store, Rule { expiration: at_days(1), ..Rule::default() }).await;
    pass(&store).await;
    assert_eq!(happened(&store).await, [(EventKind::LifecycleExpirationDelete, key(1))]);

    configure(&store, BucketChange::Versioning(Versioning::Enabled)).await;
    store.put(2, &body).await;
    pass(&store).await;
    let noncurrent = Some(NoncurrentExpiration { days: 1, keep_newer: None });
    rules(&store, Rule { noncurrent_expiration: noncurrent, ..Rule::default() }).await;
    pass(&store).await;
    let marked = (EventKind::LifecycleExpirationDeleteMarkerCreated, key(2));
    assert_eq!(happened(&store).await[1..], [marked, (EventKind::LifecycleExpirationDelete, key(2))]);

    store.put(3, &body).await;
    let transitions = vec![Transition { when: When::Days(1), class: StorageClass::Glacier }];
    rules(&store, Rule { transitions, ..Rule::default() }).await;
    let status = pass(&store).await.status();
    assert_eq!(happened(&store).await[3..], [(EventKind::LifecycleTransition, key(3))]);
    let last = status.last_pass.unwrap();
    assert_eq!(
        (last.buckets, last.due, last.overdue),
        (1, 0, 0),
        "the pass before did what was due: {last:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_that_cannot_be_read_keep_nothing_from_being_done_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    add_bucket_to(&store).await;
    let document = Some(BucketDocument("of another server".into()));
    configure(&store, BucketChange::Document { kind: DocumentKind::Notification, document }).await;
    store.put(1, &Bytes::from_static(b"body")).await;
    rules(&store, Rule { expiration: at_days(1), ..Rule::default() }).await;
    let lifecycle = pass(&store).await;
    assert!(!holds(&store, 1));
    assert_eq!(lifecycle.status().last_pass.unwrap().untold, ["bucket"]);
    let notes = lifecycle.notes();
    assert!(
        notes.iter().any(|note| note.contains("the notifications of the bucket bucket can't be read")),
        "{notes:?}"
    );
}

/// The events that wait to be delivered: what happened, and to which key.
async fn happened(store: &Store) -> Vec<(EventKind, Vec<u8>)> {
    let events = store.metadata.local().events("hook", 100, 100).await.unwrap();
    events.into_iter().map(|event| (event.kind, event.about.key)).collect()
}
