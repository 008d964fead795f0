//! How long a large list makes other requests wait. One client lists uploads of ten thousand parts, pages of long keys and
//! ten thousand buckets, and reads objects of ten thousand parts, while another reads and writes a small object all the
//! time. The server has a single async thread, so that a list which keeps that one busy is noticed.

use crate::rig::{Choices, Rig, noise};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_metadata::command::{Command, NewBucket, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, PartRecord, StorageClass,
    UploadId, UploadRecord, VersionId,
};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{BlobRef, Place};

const PARTS: u16 = 10_000;
const BUCKETS: usize = 10_000;
const PART_SIZE: u64 = 5 << 20;
/// How long a request may wait at most while another client's list is under way. The measured time includes what else
/// the machine does. So the best of `TRIES` counts, and the wait that is measured with no list under way is added to
/// the bound.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
const TRIES: usize = 5;
/// For how long the requests are measured with no list under way: about as long as the longest list takes.
const CALM_PERIOD: Duration = Duration::from_millis(300);

/// Proposes as many commands at once as the queue takes.
async fn commit_all(rig: &Rig, commands: impl Iterator<Item = Command>) {
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let some: Vec<_> = commands.by_ref().take(500).collect();
        let proposed = some.into_iter().map(|command| rig.store.metadata.commit(command, Bytes::new()));
        for outcome in futures_util::future::join_all(proposed).await {
            outcome.expect("it is committed");
        }
    }
}

fn upload(bucket: BucketId, number: u64, key: String) -> (UploadId, Command) {
    let upload = UploadId::new(1_700_000_000_000 + number, 7);
    let record = UploadRecord {
        bucket,
        key: key.into_bytes(),
        initiated: 1,
        initiator: "root".into(),
        storage_class: StorageClass::Standard,
        headers: ObjectHeaders::default(),
        checksum: None,
        attributes: Attributes::default(),
    };
    (upload, Command::CreateUpload { upload, record, expires: u64::MAX })
}

fn part(bucket: BucketId, upload: UploadId, number: u16) -> Command {
    let blob = BlobRef::plain(Place::Empty);
    let part = PartRecord { number, modified: 1, size: PART_SIZE, md5: [7; 16], checksum: None, blob };
    Command::UploadPart { bucket, upload, part }
}

fn object(bucket: BucketId, number: u64) -> Command {
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: 1,
        size: 0,
        etag: ETag::Md5([7; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body: Body::Blob(BlobRef::plain(Place::Empty)),
        committed: 0,
        attributes: Attributes::default(),
    };
    let key = format!("long/{number:0>1000}").into_bytes();
    Command::PutObject { bucket, key, record, condition: WriteCondition::default() }
}

/// A bucket of the same owner as another.
fn bucket_beside(other: &BucketRecord, number: usize) -> Command {
    Command::CreateBucket(NewBucket {
        chosen: None,
        name: format!("one-of-many-{number:05}"),
        owner: other.owner.clone(),
        created: other.created,
        region: other.region.clone(),
        configuration: other.configuration.clone(),
    })
}

/// The time of the slowest small GET or PUT while `something` ran.
async fn longest_pause(rig: &Arc<Rig>, something: impl Future<Output = ()>) -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let (rig, over) = (rig.clone(), over.clone());
        async move {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Acquire) {
                for (method, body) in [("GET", b"".as_slice()), ("PUT", b"x")] {
                    let began = System.monotonic();
                    assert_eq!(rig.send(method, "/bucket/small", &[], body).await.status, 200);
                    longest = longest.max(System.monotonic() - began);
                }
            }
            longest
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    something.await;
    over.store(true, Ordering::Release);
    other.await.expect("the other client goes on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_long_for_another_s_list() {
    let rig = Arc::new(Rig::with(Choices { anonymous: true, ..Choices::default() }).await);
    assert_eq!(rig.send("PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(rig.send("PUT", "/bucket/small", &[], b"x").await.status, 200);
    let record = rig.store.metadata.local().bucket("bucket").unwrap().unwrap();
    let bucket = record.id;
    commit_all(&rig, (0..BUCKETS).map(|number| bucket_beside(&record, number))).await;
    commit_all(&rig, (0..1_000).map(|number| object(bucket, number))).await;
    commit_all(&rig, (0..1_000).map(|number| upload(bucket, number, format!("up/{number:0>1000}")).1)).await;
    // The first part is a real one, so that the first byte of each object can be read.
    let first = noise(1, PART_SIZE as usize);
    let mut named = String::from("<CompleteMultipartUpload>");
    let mut etag_of_first = String::new();
    for number in 2..=PARTS {
        let etag = ETag::Md5([7; 16]);
        named.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
    }
    named.push_str("</CompleteMultipartUpload>");
    let mut uploads = Vec::new();
    for number in 0..TRIES as u64 {
        let (id, create) = upload(bucket, 10_000 + number, format!("big-{number}"));
        commit_all(&rig, std::iter::once(create)).await;
        commit_all(&rig, (2..=PARTS).map(|number| part(bucket, id, number))).await;
        let key = format!("/bucket/big-{number}");
        let put = rig.send("PUT", &format!("{key}?uploadId={id}&partNumber=1"), &[], &first).await;
        etag_of_first = put.header("etag").expect("the ETag of the part").to_owned();
        uploads.push((key, id));
    }
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag_of_first}</ETag></Part>");
    named.insert_str("<CompleteMultipartUpload>".len(), &part);
    let lists = "/bucket?list-type=2&prefix=long/&encoding-type=url";
    let mut best: [Duration; 7] = [Duration::MAX; 7];
    let mut calm = Duration::MAX;
    for (key, upload) in &uploads {
        let target = format!("{key}?uploadId={upload}");
        let part = format!("{key}?partNumber={PARTS}");
        calm = calm.min(longest_pause(&rig, tokio::time::sleep(CALM_PERIOD)).await);
        let (none, first_byte): (&[(&str, &str)], &[_]) = (&[], &[("range", "bytes=0-0")]);
        let pauses = [
            ("GET", target.as_str(), none, b"".as_slice(), 200),
            ("GET", "/bucket?uploads&prefix=up/", none, b"", 200),
            ("GET", lists, none, b"", 200),
            ("GET", "/", none, b"", 200),
            ("POST", target.as_str(), none, named.as_bytes(), 200),
            ("GET", key.as_str(), first_byte, b"", 206),
            ("HEAD", part.as_str(), none, b"", 206),
        ];
        for (best, (method, target, headers, body, status)) in best.iter_mut().zip(pauses) {
            let asked = async {
                let answer = rig.send(method, target, headers, body).await;
                assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
            };
            *best = (*best).min(longest_pause(&rig, asked).await);
        }
    }
    let names = [
        "ListParts",
        "ListMultipartUploads",
        "ListObjectsV2",
        "ListBuckets",
        "CompleteMultipartUpload",
        "GetObject",
        "HeadObject",
    ];
    for (name, best) in names.iter().zip(best) {
        println!("{name}: another request waits {best:?} at most, and {calm:?} when nobody lists");
        assert!(best <= LONGEST_PAUSE + calm, "{name}: {best:?}, and {calm:?} when nobody lists");
    }
}
