//! Compressed bodies, which are stored in frames: they take fewer bytes on the drives, and clients read the same bytes
//! in every way.

use crate::client::Client;
use crate::rig::{Choices, noise, pure_noise, request};
use md5::{Digest, Md5};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use stratum_metadata::record::{Body, ObjectRecord};
use stratum_storage::blob::{BlobRef, Form, Place};

const FRAME: usize = stratum_frames::FRAME_BYTES;
const MIB: usize = 1 << 20;

/// Text of this length, which can be compressed.
fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|line| format!("line {line} of a log that says the same as ever\n").into_bytes())
        .take(length)
        .collect()
}

impl Client {
    fn record(&self, key: &str) -> ObjectRecord {
        let metadata = &self.rig.store.metadata;
        let bucket = metadata.local().bucket("bucket").unwrap().unwrap();
        metadata.local().object(bucket.id, key.as_bytes()).unwrap().unwrap()
    }

    fn blob(&self, key: &str) -> BlobRef {
        match self.record(key).body {
            Body::Blob(blob) => blob,
            Body::Parts { .. } => panic!("{key} has parts"),
        }
    }

    /// Asserts that the whole object and ranges around the frames' borders are read as they were written.
    async fn reads(&self, key: &str, body: &[u8]) {
        let target = format!("/bucket/{key}");
        let whole = self.get(&target).await.expect(200);
        assert!(whole.body == body);
        let last = body.len() - 1;
        for (from, to) in [
            (0, 0),
            (0, FRAME - 1),
            (FRAME - 1, FRAME),
            (FRAME, 2 * FRAME),
            (FRAME / 2, last - 1),
            (last, last),
            (last - FRAME, last),
        ] {
            let range = format!("bytes={from}-{to}");
            let part = self.send("GET", &target, &[("range", &range)], "").await.expect(206);
            assert!(part.body == body[from..=to], "{range}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shrinks_is_stored_shorter_and_told_as_it_is() {
    let client = Client::with_bucket().await;
    let body = text(3 * MIB + 777);
    let put = client.put("/bucket/text", &body).await.expect(200);
    let blob = client.blob("text");
    assert_eq!(blob.form, Form::Frames);
    assert!(blob.len() < body.len() as u64 / 4, "{}", blob.len());
    assert_eq!(put.header("etag"), Some(&*format!("\"{}\"", hex::encode(Md5::digest(&body)))));
    let crc = put.header("x-amz-checksum-crc64nvme").map(str::to_owned);
    for _ in 0..2 {
        // The first time the table of frames is read from the drives, the second time it is in the cache.
        client.reads("text", &body).await;
    }
    let head =
        client.send("HEAD", "/bucket/text", &[("x-amz-checksum-mode", "ENABLED")], "").await.expect(200);
    assert_eq!(head.header("content-length"), Some(&*body.len().to_string()));
    assert_eq!(head.header("x-amz-checksum-crc64nvme").map(str::to_owned), crc);
    let wanted = [("x-amz-object-attributes", "ObjectSize")];
    let told = client.send("GET", "/bucket/text?attributes", &wanted, "").await.expect(200);
    assert_eq!(told.element("ObjectSize"), Some(body.len().to_string()));
    let listed = client.get("/bucket?list-type=2").await.expect(200);
    assert_eq!(listed.element("Size"), Some(body.len().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_shrink_or_is_small_is_stored_as_it_is() {
    let client = Client::with_bucket().await;
    for (key, body) in [("noise", pure_noise(1, MIB + 1)), ("small", text(32 << 10)), ("empty", Vec::new())] {
        client.put(&format!("/bucket/{key}"), &body).await.expect(200);
        let blob = client.blob(key);
        assert_eq!((blob.form, blob.len()), (Form::Plaintext, body.len() as u64), "{key}");
        assert!(client.get(&format!("/bucket/{key}")).await.expect(200).body == body);
    }
}

/// The body is long enough for several segments, and half of it can't be compressed.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_one_body_in_several_segments() {
    let client = Client::with_bucket().await;
    let body = [noise(1, 7 * MIB), pure_noise(2, 9 * MIB), text(MIB + 5)].concat();
    client.put("/bucket/long", &body).await.expect(200);
    let blob = client.blob("long");
    assert_eq!(blob.form, Form::Frames);
    assert!(matches!(&blob.place, Place::Extents(extents) if extents.len() > 1), "{blob:?}");
    client.reads("long", &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_declared_length_is_coded_too() {
    let client = Client::with_bucket().await;
    for (key, body, form) in [("long", text(2 * MIB), Form::Frames), ("short", text(1000), Form::Plaintext)] {
        let mut sent = request("PUT", &format!("/bucket/{key}"), &[("transfer-encoding", "chunked")], b"");
        for piece in body.chunks(100_000) {
            sent.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            sent.extend_from_slice(&[piece, b"\r\n"].concat());
        }
        sent.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(client.rig.raw(&sent, false).await.status, 200);
        assert_eq!(client.blob(key).form, form);
        assert!(client.get(&format!("/bucket/{key}")).await.expect(200).body == body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_copies_of_every_form() {
    let client = Client::with_bucket().await;
    let (coded, plain) = (text(5 * MIB + 3), pure_noise(1, 5 * MIB));
    client.put("/bucket/source", &coded).await.expect(200);
    let id = client.post("/bucket/key?uploads", "").await.expect(200).element("UploadId").unwrap();
    let part = |number| format!("/bucket/key?uploadId={id}&partNumber={number}");
    client.put(&part(1), &coded).await.expect(200);
    client.put(&part(2), &plain).await.expect(200);
    let copied = [("x-amz-copy-source", "bucket/source"), ("x-amz-copy-source-range", "bytes=100-400000")];
    client.send("PUT", &part(3), &copied, "").await.expect(200);
    let listed = client.get(&format!("/bucket/key?uploadId={id}")).await.expect(200);
    assert_eq!(listed.elements("Size"), [coded.len(), plain.len(), 399_901].map(|size| size.to_string()));
    let parts: String = (1..)
        .zip(listed.elements("ETag"))
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client.post(&format!("/bucket/key?uploadId={id}"), document).await.expect(200);
    let whole = [&coded[..], &plain, &coded[100..=400_000]].concat();
    client.reads("key", &whole).await;
    for (number, bytes) in [(1, &coded[..]), (2, &plain), (3, &coded[100..=400_000])] {
        let part = client.get(&format!("/bucket/key?partNumber={number}")).await.expect(206);
        assert!(part.body == bytes, "{number}");
    }
    client.send("PUT", "/bucket/copy", &[("x-amz-copy-source", "bucket/key")], "").await.expect(200);
    assert_eq!(client.blob("copy").form, Form::Frames);
    client.reads("copy", &whole).await;
    let small = [("x-amz-copy-source", "bucket/source"), ("x-amz-metadata-directive", "REPLACE")];
    client.send("PUT", "/bucket/source", &small, "").await.expect(200);
    client.reads("source", &coded).await;
}

/// Overwrites every volume file of a drive except for its first 4 KiB.
fn rot(drive: PathBuf) {
    for entry in fs::read_dir(drive.join("volumes")).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::metadata(&path).unwrap().len() as usize;
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&vec![0xa5; length.saturating_sub(4096)], 4096).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_rot_are_made_up_for_or_the_body_is_refused() {
    let client = Client::with_bucket().await;
    let body = [noise(1, 2 * MIB), text(MIB)].concat();
    client.put("/bucket/key", &body).await.expect(200);
    assert_eq!(client.blob("key").form, Form::Frames);
    rot(client.rig.drive(0));
    rot(client.rig.drive(3));
    client.reads("key", &body).await;
    rot(client.rig.drive(5));
    // That is one drive more than parity makes up for. Frames that lie on the other drives are still read, and reads of
    // the rest are refused.
    let mut refused = 0;
    for (number, frame) in body.chunks(FRAME).enumerate() {
        let range = format!("bytes={}-{}", number * FRAME, number * FRAME + frame.len() - 1);
        let read = client.send("GET", "/bucket/key", &[("range", &range)], "").await;
        refused += usize::from(read.status == 503);
        assert!(read.status == 503 || read.body == frame, "{range}");
    }
    assert!(refused > 0);
}

/// The memory that compression takes counts against a user's share, so a long upload beyond it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn memory_for_frames_is_admitted() {
    let client = Client::with(Choices { admission: 4 << 20, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket/long", text(MIB)).await.refused(503, "SlowDown");
    client.put("/bucket/small", text(1000)).await.expect(200);
}
