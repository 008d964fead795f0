//! Objects whose bytes are lost: a read serves no wrong bytes and doesn't ask the client to retry, and the objects can
//! be overwritten and deleted. Objects whose records the index has lost: no answer says that they don't exist.

use crate::client::Client;
use bytes::Bytes;
use std::os::unix::fs::FileExt;
use std::path::Path;
use stratum_metadata::command::{Command, WriteCondition};
use stratum_metadata::record::{Body, ObjectRecord};
use stratum_storage::blob::{BlobRef, Place};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_the_journal_went_on_without_is_told_as_lost() {
    let client = Client::with_bucket().await;
    let metadata = &client.rig.store.metadata;
    client.put("/bucket/sound", "a body that is there").await.expect(200);
    let bucket = metadata.local().bucket("bucket").unwrap().unwrap().id;
    let record = metadata.local().object(bucket, b"sound").unwrap().unwrap();
    // The record names an entry far beyond the journal's end, as if the segment with the body were gone.
    let place = Place::Journal { index: 1 << 40, length: record.size as u32, crc32c: 7 };
    let lost = || ObjectRecord { body: Body::Blob(BlobRef::plain(place.clone())), ..record.clone() };
    for key in ["overwritten", "deleted"] {
        let (key, condition) = (key.as_bytes().to_vec(), WriteCondition::default());
        let command = Command::PutObject { bucket, key, record: lost(), condition };
        metadata.commit(command, Bytes::new()).await.unwrap();
    }
    for key in ["/bucket/overwritten", "/bucket/deleted"] {
        let answer = client.get(key).await.expect(500);
        assert_eq!(answer.code(), "InternalError");
        assert!(answer.element("Message").unwrap().contains("lost"), "{}", answer.text());
        client.send("HEAD", key, &[], "").await.expect(200);
        client
            .send("PUT", "/bucket/copy", &[("x-amz-copy-source", key)], "")
            .await
            .refused(500, "InternalError");
    }
    client.put("/bucket/overwritten", "anew").await.expect(200);
    assert_eq!(client.get("/bucket/overwritten").await.expect(200).body, b"anew");
    client.delete("/bucket/deleted").await.expect(204);
    client.get("/bucket/deleted").await.refused(404, "NoSuchKey");
    client.get("/bucket/sound").await.expect(200);
}

/// Changes a byte in the middle of the base of the newest checkpoint, on every drive that holds it.
fn rot(folder: &Path, index: u64) -> usize {
    let name = format!("checkpoint/{index:016x}.00000000");
    let paths = (0..6).map(|drive| folder.join(format!("hot/{drive}/{name}"))).filter(|path| path.exists());
    let change = |path| {
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let (at, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    paths.map(change).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_keys_that_the_index_lost_it_is_said_that_nobody_knows() {
    const KEYS: usize = 500;
    let client = Client::with_bucket().await;
    let metadata = &client.rig.store.metadata;
    let key = |number: usize| format!("{number:05}-{}", "long".repeat(40));
    for number in 0..KEYS {
        client.put(&format!("/bucket/{}", key(number)), "body").await.expect(200);
    }
    metadata.force_checkpoint().unwrap();
    assert_eq!(rot(client.rig.folder(), metadata.newest_checkpoint()), 3);
    let (mut lost, mut sound) = (Vec::new(), 0);
    for number in 0..KEYS {
        let target = format!("/bucket/{}", key(number));
        let answer = client.send("GET", &target, &[], "").await;
        match answer.status {
            200 => sound += 1,
            500 => {
                assert_eq!(answer.code(), "InternalError");
                let message = answer.element("Message").unwrap();
                assert!(message.contains("part of the index"), "{message}");
                lost.push(number);
            }
            status => panic!("{status} for key {number}"),
        }
    }
    assert!(!lost.is_empty() && lost.len() < KEYS / 2 && sound + lost.len() == KEYS, "{}", lost.len());
    let (first, last) = (format!("/bucket/{}", key(lost[0])), lost[lost.len() - 1]);
    let answer = client.put(&first, "anew").await.expect(500);
    assert!(answer.element("Message").unwrap().ends_with("Nothing was written."), "{}", answer.text());
    client.delete(&first).await.refused(500, "InternalError");
    client.get("/bucket?list-type=2").await.refused(500, "InternalError");
    let behind = client.get(&format!("/bucket?list-type=2&start-after={}", key(last + 1))).await.expect(200);
    assert_eq!(behind.elements("Key").len(), KEYS - 2 - last);
    client.put("/bucket/other", "body").await.expect(200);
    let target = format!("/bucket/{}", key(last + 1));
    client.delete(&target).await.expect(204);
    client.get(&target).await.refused(404, "NoSuchKey");
    assert!(metadata.is_available());
}
