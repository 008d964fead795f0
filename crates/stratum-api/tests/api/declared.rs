//! The tier that a client declares for an object: the declaration is checked before the body is read, and the bytes are
//! written to that tier at once.

use crate::client::Client;
use crate::rig::{Age, Choices, noise, request};
use stratum_storage::blob::Tier;

const TIER: &str = "x-amz-meta-stratum-tier";
const PRIORITY: &str = "x-amz-meta-stratum-priority";
const PIN_UNTIL: &str = "x-amz-meta-stratum-pin-until";
const CLASS: &str = "x-amz-storage-class";

async fn with_tiers(tiers: &'static [Tier]) -> Client {
    of_age(tiers, Age::New).await
}

async fn of_age(tiers: &'static [Tier], age: Age) -> Client {
    let client = Client::with(Choices { tiers, age, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

/// The tier on which an object lies.
async fn tier(client: &Client, key: &str) -> String {
    let head = client.send("HEAD", &format!("/bucket/{key}"), &[], "").await.expect(200);
    head.header("x-stratum-tier").unwrap_or("nowhere").to_owned()
}

/// Puts a body that is large enough to be written to a volume; gives its tier.
async fn put(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let body = noise(7, 100_000);
    let put = client.send("PUT", &format!("/bucket/{key}"), headers, &body).await.expect(200);
    let told = put.header("x-stratum-tier").unwrap_or("nowhere").to_owned();
    assert_eq!(tier(client, key).await, told, "{headers:?}");
    assert!(client.get(&format!("/bucket/{key}")).await.expect(200).body == body, "{headers:?}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_makes_no_sense_is_refused_before_the_body_comes() {
    let client = Client::with_bucket().await;
    client.put("/bucket/source", "x").await.expect(200);
    for (name, value) in [
        (TIER, "tepid"),
        (TIER, ""),
        (TIER, "Hot"),
        (PRIORITY, "speed"),
        (PIN_UNTIL, "tomorrow"),
        (PIN_UNTIL, "2030-01-31T12:00:00"),
        // A pin with an end but without a tier.
        (PIN_UNTIL, "2030-01-31T12:00:00Z"),
    ] {
        // The body is announced but never sent, so the refusal can't have waited for it.
        let announced = [("content-length", "1000000"), (name, value)];
        let put = client.rig.raw(&request("PUT", "/bucket/k", &announced, b""), false).await;
        let create = client.send("POST", "/bucket/k?uploads", &[(name, value)], "").await;
        let replace = [("x-amz-copy-source", "bucket/source"), ("x-amz-metadata-directive", "REPLACE")];
        let copy =
            client.send("PUT", "/bucket/k", &[replace.as_slice(), &[(name, value)]].concat(), "").await;
        for answer in [&put, &*create, &*copy] {
            let told = (answer.status, answer.code(), answer.element("ArgumentName"));
            assert_eq!(told, (400, "InvalidArgument".into(), Some(name.into())), "{name}: {value}");
        }
        client.get("/bucket/k").await.refused(404, "NoSuchKey");
        assert!(!client.get("/bucket?uploads").await.expect(200).text().contains("<Upload>"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_where_the_class_says_at_once() {
    let client = with_tiers(&Tier::ALL).await;
    for (class, lies) in [
        ("STANDARD", "hot"),
        ("INTELLIGENT_TIERING", "hot"),
        ("STANDARD_IA", "warm"),
        ("ONEZONE_IA", "warm"),
        ("REDUCED_REDUNDANCY", "warm"),
        ("GLACIER_IR", "cold"),
        ("GLACIER", "cold"),
        ("DEEP_ARCHIVE", "cold"),
    ] {
        assert_eq!(put(&client, "k", &[(CLASS, class)]).await, lies, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_comes_before_the_class_while_it_holds() {
    let client = with_tiers(&Tier::ALL).await;
    let (future, past) = ((PIN_UNTIL, "9000-01-01T00:00:00Z"), (PIN_UNTIL, "2001-01-01T00:00:00Z"));
    for (headers, lies) in [
        ([(TIER, "warm"), (CLASS, "GLACIER"), (PRIORITY, "latency")].as_slice(), "warm"),
        (&[(TIER, "hot"), (CLASS, "GLACIER"), future], "hot"),
        (&[(TIER, "hot"), (CLASS, "GLACIER"), past], "cold"),
        (&[(TIER, "auto"), (CLASS, "GLACIER")], "hot"),
        (&[(TIER, "cold")], "cold"),
        (&[(PRIORITY, "cost")], "hot"),
    ] {
        assert_eq!(put(&client, "k", headers).await, lies, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_where_it_is_declared_and_one_onto_itself_changes_the_class() {
    let client = with_tiers(&Tier::ALL).await;
    let body = noise(7, 100_000);
    put(&client, "k", &[]).await;
    for (class, lies) in [("GLACIER", "cold"), ("STANDARD_IA", "warm"), ("STANDARD", "hot")] {
        let copy = [("x-amz-copy-source", "bucket/k"), (CLASS, class)];
        client.send("PUT", "/bucket/k", &copy, "").await.expect(200);
        assert_eq!(tier(&client, "k").await, lies);
        assert!(client.get("/bucket/k").await.expect(200).body == body);
    }
    // A copy takes the hints along with the metadata, or replaces both.
    put(&client, "hinted", &[(TIER, "cold")]).await;
    let from = ("x-amz-copy-source", "bucket/hinted");
    client.send("PUT", "/bucket/copy", &[from], "").await.expect(200);
    assert_eq!(tier(&client, "copy").await, "cold");
    let replace = [from, ("x-amz-metadata-directive", "REPLACE"), (TIER, "warm")];
    client.send("PUT", "/bucket/copy", &replace, "").await.expect(200);
    assert_eq!(tier(&client, "copy").await, "warm");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_an_upload_go_where_it_was_declared() {
    let client = with_tiers(&Tier::ALL).await;
    put(&client, "source", &[]).await;
    let created = client.send("POST", "/bucket/k?uploads", &[(CLASS, "GLACIER")], "").await.expect(200);
    let id = created.element("UploadId").unwrap();
    let body = noise(3, 5 << 20);
    let part = |number: u32| format!("/bucket/k?uploadId={id}&partNumber={number}");
    let first = client.put(&part(1), &body).await.expect(200);
    let copied =
        client.send("PUT", &part(2), &[("x-amz-copy-source", "bucket/source")], "").await.expect(200);
    let etags = [first.header("etag").unwrap().to_owned(), copied.element("ETag").unwrap()];
    let parts: String = (1..)
        .zip(etags)
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client.post(&format!("/bucket/k?uploadId={id}"), &document).await.expect(200);
    let store = &client.rig.store;
    let view = store.metadata.local();
    let bucket = view.bucket("bucket").unwrap().unwrap();
    let object = view.object(bucket.id, b"k").unwrap().unwrap();
    assert_eq!(object.attributes.tiering.last().map(|decision| decision.tier), Some(Tier::Cold));
    let stratum_metadata::record::Body::Parts { upload, parts } = &object.body else { panic!("parts") };
    for summary in parts {
        let part = view.part(*upload, summary.number).unwrap().unwrap();
        let alone = stratum_metadata::record::ObjectRecord {
            body: stratum_metadata::record::Body::Blob(part.blob),
            ..object.clone()
        };
        assert_eq!(store.bodies.tier_of(&view, &alone).unwrap(), Tier::Cold, "{}", summary.number);
    }
    let whole = [body, noise(7, 100_000)].concat();
    assert!(client.get("/bucket/k").await.expect(200).body == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_warmer_tier_stands_in_for_one_that_is_not_there() {
    let client = with_tiers(&[Tier::Hot, Tier::Warm]).await;
    assert_eq!(put(&client, "k", &[(CLASS, "GLACIER")]).await, "warm");
    let client = with_tiers(&[Tier::Hot]).await;
    assert_eq!(put(&client, "k", &[(CLASS, "GLACIER")]).await, "hot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_level_places_nothing_and_keeps_the_class() {
    let client = of_age(&Tier::ALL, Age::Old).await;
    assert_eq!(put(&client, "k", &[(CLASS, "GLACIER"), (TIER, "cold")]).await, "hot");
    let head = client.send("HEAD", "/bucket/k", &[], "").await.expect(200);
    assert_eq!((head.header(CLASS), head.header(TIER)), (Some("GLACIER"), Some("cold")));
}
