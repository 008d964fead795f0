//! Quotas that an operator changes while the task looks which buckets are to be counted.

use super::*;
use crate::command::QuotaOf;
use crate::record::{Counted, Quota};
use crate::usage::Counter;
use std::collections::BTreeMap;

const BOUNDED: Quota = Quota { bytes: Some(1_000), objects: None };

async fn with_bucket() -> (Store, BucketId) {
    let store = store();
    store.metadata.raise_level(Level::SECOND).await.unwrap();
    store.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let id = store.metadata.local().bucket("bucket").unwrap().unwrap().id;
    (store, id)
}

#[tokio::test]
async fn a_quota_that_is_set_while_a_count_is_to_be_ended_stays() {
    let (Store { metadata, log: _log, dir: _dir }, id) = with_bucket().await;
    let counter = Counter::new(metadata.clone());
    let begin = Command::SetQuota { of: QuotaOf::Bucket(id), quota: Some(Quota::default()) };
    metadata.commit(begin, Bytes::new()).await.unwrap();
    // The task has looked: no quota needs the count.
    let (view, unbounded) = (metadata.local(), [id]);
    counter.change(QuotaOf::Bucket(id), Some(BOUNDED)).await.unwrap();
    counter.settle(&view, &BTreeMap::new(), &unbounded).await.unwrap();
    assert_eq!(metadata.local().usage(id).unwrap().map(|usage| usage.quota), Some(BOUNDED));
    // So does the count of a bucket whose owner was given a quota meanwhile, and one that nothing needs ends.
    counter.change(QuotaOf::Bucket(id), Some(Quota::default())).await.unwrap();
    counter.change(QuotaOf::User("owner".into()), Some(BOUNDED)).await.unwrap();
    counter.settle(&view, &BTreeMap::new(), &unbounded).await.unwrap();
    assert!(metadata.local().usage(id).unwrap().is_some());
    counter.change(QuotaOf::User("owner".into()), None).await.unwrap();
    counter.settle(&view, &BTreeMap::new(), &unbounded).await.unwrap();
    assert_eq!(metadata.local().usage(id).unwrap(), None);
}

#[tokio::test]
async fn a_bucket_that_loses_its_quota_still_counts_for_its_owner() {
    let (Store { metadata, log: _log, dir: _dir }, id) = with_bucket().await;
    let (key, record, condition) = (b"a".to_vec(), object(1), WriteCondition::default());
    let put = Command::PutObject { bucket: id, key, record, condition };
    metadata.commit(put, Bytes::from_static(b"x")).await.unwrap();
    let counter = Counter::new(metadata.clone());
    for of in [QuotaOf::Bucket(id), QuotaOf::User("owner".into())] {
        counter.change(of.clone(), Some(BOUNDED)).await.unwrap();
        counter.count_at_once(&of).await.unwrap();
    }
    counter.change(QuotaOf::Bucket(id), None).await.unwrap();
    let usage = metadata.local().usage(id).unwrap().unwrap();
    assert_eq!((usage.quota, usage.counted, usage.objects), (Quota::default(), Counted::All, 1));
    let total = metadata.local().user_total("owner").unwrap().unwrap();
    assert_eq!(total.objects, 1);
}
