//! A bucket is read as it is now, however often it was read before.

use super::*;

#[tokio::test]
async fn a_bucket_that_was_read_is_read_as_it_is_now() {
    for level in [Level::FIRST, Level::SECOND] {
        let Store { metadata, log: _log, dir: _dir } = store();
        metadata.raise_level(level).await.unwrap();
        let read = |name: &str| metadata.local().bucket(name).unwrap().map(|bucket| bucket.id);
        assert_eq!((read("a"), read("a")), (None, None));
        metadata.commit(bucket(1, "a"), Bytes::new()).await.unwrap();
        assert_eq!((read("a"), read("a"), read("b")), (Some(BucketId(1)), Some(BucketId(1)), None));
        metadata.commit(bucket(2, "b"), Bytes::new()).await.unwrap();
        assert_eq!((read("a"), read("b")), (Some(BucketId(1)), Some(BucketId(2))));
        metadata.commit(Command::DeleteBucket { bucket: BucketId(1) }, Bytes::new()).await.unwrap();
        assert_eq!((read("a"), read("b")), (None, Some(BucketId(2))));
        metadata.commit(bucket(3, "a"), Bytes::new()).await.unwrap();
        assert_eq!((read("a"), read("b")), (Some(BucketId(3)), Some(BucketId(2))));
        metadata.shutdown();
    }
}

/// With more buckets than the cache keeps.
#[tokio::test]
async fn however_many_buckets_are_read_each_is_found() {
    let Store { metadata, log: _log, dir: _dir } = store();
    for id in 1..=300 {
        metadata.commit(bucket(id, &format!("bucket-{id}")), Bytes::new()).await.unwrap();
    }
    for _ in 0..2 {
        for id in 1..=300 {
            assert_eq!(metadata.local().bucket(&format!("bucket-{id}")).unwrap().unwrap().id, BucketId(id));
        }
    }
    metadata.shutdown();
}
