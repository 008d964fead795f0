//! Objects whose bytes are lost: nobody is served others, or told to try again, and they can be got rid of.

use crate::client::Client;
use bytes::Bytes;
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
    // As of a body whose segment went, which no other entry will ever be.
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
