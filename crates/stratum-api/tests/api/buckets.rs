//! Buckets: creating, finding, listing, deleting.

use crate::client::Client;
use crate::rig::{Age, Choices};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use stratum_metadata::command::{Command, NewBucket};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_created_found_and_deleted() {
    let client = Client::new().await;
    client.send("HEAD", "/bucket", &[], "").await.expect(404);
    client.put("/bucket", "").await.expect(200);
    let head = client.send("HEAD", "/bucket", &[], "").await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"));
    let location = client.get("/bucket?location").await.expect(200);
    assert!(
        location.text().contains("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>")
    );
    let versioning = client.get("/bucket?versioning").await.expect(200);
    assert!(versioning.text().contains("<VersioningConfiguration") && !versioning.text().contains("Status"));
    client.put("/bucket/key", "x").await.expect(200);
    client.delete("/bucket").await.refused(409, "BucketNotEmpty");
    client.delete("/bucket/key").await.expect(204);
    client.delete("/bucket").await.expect(204);
    client.delete("/bucket").await.refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_pays_and_nobody_else_can_be_made_to() {
    let client = Client::with_bucket().await;
    let paying = |payer: &str| {
        format!("<RequestPaymentConfiguration><Payer>{payer}</Payer></RequestPaymentConfiguration>")
    };
    client.put("/bucket?requestPayment", paying("BucketOwner")).await.expect(200);
    client.put("/bucket?requestPayment", paying("Requester")).await.refused(501, "NotImplemented");
    client.put("/bucket?requestPayment", paying("Nobody")).await.refused(400, "MalformedXML");
    let pays = client.get("/bucket?requestPayment").await.expect(200);
    assert!(
        pays.text().contains("<Payer>BucketOwner</Payer></RequestPaymentConfiguration>"),
        "{}",
        pays.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_in_progress_do_not_keep_a_bucket() {
    let client = Client::with_bucket().await;
    client.post("/bucket/key?uploads", "").await.expect(200);
    client.delete("/bucket").await.expect(204);
    client.put("/bucket", "").await.expect(200);
    assert!(client.get("/bucket?uploads").await.elements("Upload").is_empty());
}

/// As many as S3 lets an account have.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_ten_thousand_buckets_at_most() {
    let client = Client::with_bucket().await;
    let owner = client.rig.store.metadata.local().bucket("bucket").unwrap().unwrap().owner.clone();
    let another = |number: usize| NewBucket {
        chosen: None,
        name: format!("another-{number}"),
        owner: owner.clone(),
        created: 0,
        region: "us-east-1".into(),
        configuration: Default::default(),
    };
    let create =
        |number| client.rig.store.metadata.commit(Command::CreateBucket(another(number)), Bytes::new());
    let mut created = stream::iter((0..9_999).map(create)).buffer_unordered(64);
    while let Some(outcome) = created.next().await {
        outcome.unwrap();
    }
    client.put("/one-more", "").await.refused(400, "TooManyBuckets");
    client.put("/bucket", "").await.expect(200);
    client.delete("/another-7").await.expect(204);
    client.put("/one-more", "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_again_depends_on_owner_and_region() {
    let client = Client::with_bucket().await;
    client.put("/bucket/key", "kept").await.expect(200);
    client.put("/bucket", "").await.expect(200);
    assert_eq!(client.get("/bucket/key").await.text(), "kept");

    let other = NewBucket {
        chosen: None,
        name: "taken".into(),
        owner: "somebody".into(),
        created: 0,
        region: "us-east-1".into(),
        configuration: Default::default(),
    };
    client.rig.store.metadata.commit(Command::CreateBucket(other), Bytes::new()).await.unwrap();
    client.put("/taken", "").await.refused(409, "BucketAlreadyExists");
    client.get("/taken").await.refused(403, "AccessDenied");

    let elsewhere = Client::with(Choices { region: "eu-west-1".into(), ..Choices::default() }).await;
    elsewhere.put("/bucket", "").await.expect(200);
    elsewhere.put("/bucket", "").await.refused(409, "BucketAlreadyOwnedByYou");
    assert!(elsewhere.get("/bucket?location").await.text().contains(">eu-west-1</LocationConstraint>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_where_the_server_is_whatever_its_region_was_before() {
    let client = Client::new().await;
    let older = NewBucket {
        chosen: None,
        name: "older".into(),
        owner: "root".into(),
        created: 0,
        region: "eu-west-1".into(),
        configuration: Default::default(),
    };
    client.rig.store.metadata.commit(Command::CreateBucket(older), Bytes::new()).await.unwrap();
    let head = client.send("HEAD", "/older", &[], "").await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"));
    let location = client.get("/older?location").await.expect(200);
    assert!(location.text().contains("<LocationConstraint") && !location.text().contains("eu-west-1"));
    assert_eq!(client.get("/?bucket-region=us-east-1").await.elements("BucketRegion"), ["us-east-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_cannot_be_is_refused() {
    let client = Client::new().await;
    for name in ["_x", "aa", "192.168.5.123", "foo..bar", "foo-", "UPPER"] {
        client.put(&format!("/{name}"), "").await.refused(400, "InvalidBucketName");
    }
    let configured = |location: &str| {
        let constraint = format!("<LocationConstraint>{location}</LocationConstraint>");
        format!("<CreateBucketConfiguration>{constraint}</CreateBucketConfiguration>")
    };
    client.put("/bucket", configured("eu-west-1")).await.refused(400, "IllegalLocationConstraintException");
    client.put("/bucket", configured("moon")).await.refused(400, "InvalidLocationConstraint");
    client.put("/bucket", "<CreateBucketConfiguration>").await.refused(400, "MalformedXML");
    let locked = [("x-amz-bucket-object-lock-enabled", "maybe")];
    client.send("PUT", "/bucket", &locked, "").await.refused(400, "InvalidArgument");
    let public = [("x-amz-acl", "public-read")];
    let refused = client.send("PUT", "/bucket", &public, "").await;
    refused.refused(400, "InvalidBucketAclWithObjectOwnership");
    client.get("/bucket").await.refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_come_in_pages_by_name() {
    let client = Client::new().await;
    for name in ["pear", "apple", "plum", "peach"] {
        client.put(&format!("/{name}"), "").await.expect(200);
    }
    let all = client.get("/").await.expect(200);
    assert_eq!(all.elements("Name"), ["apple", "peach", "pear", "plum"]);
    assert_eq!(all.element("ContinuationToken"), None);
    assert_eq!(all.element("DisplayName").as_deref(), Some("root"));
    assert!(all.element("CreationDate").unwrap().ends_with(".000Z"));

    let first = client.get("/?prefix=p&max-buckets=2").await;
    assert_eq!(first.elements("Name"), ["peach", "pear"]);
    let token = first.element("ContinuationToken").unwrap();
    let second = client.get(&format!("/?prefix=p&max-buckets=2&continuation-token={token}")).await;
    assert_eq!(second.elements("Name"), ["plum"]);
    assert_eq!(second.element("ContinuationToken"), None);
    assert!(client.get("/?bucket-region=eu-west-1").await.elements("Name").is_empty());
    client.get("/?max-buckets=0").await.refused(400, "InvalidArgument");
    client.get("/?continuation-token=made-up").await.refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_has_full_control_and_without_lists_that_cannot_be_changed() {
    let client = Client::with_bucket().await;
    client.put("/bucket/key", "x").await.expect(200);
    for target in ["/bucket?acl", "/bucket/key?acl"] {
        let acl = client.get(target).await.expect(200);
        assert_eq!(acl.elements("ID"), ["root", "root"]);
        assert_eq!(acl.element("Permission").as_deref(), Some("FULL_CONTROL"));
        for acl in ["private", "public-read"] {
            let answer = client.send("PUT", target, &[("x-amz-acl", acl)], "").await;
            answer.refused(400, "AccessControlListNotSupported");
        }
        let list = client.put(target, "<AccessControlPolicy/>").await;
        list.refused(400, "AccessControlListNotSupported");
        client.delete(target).await.refused(405, "MethodNotAllowed");
    }
    client.get("/bucket/none?acl").await.refused(404, "NoSuchKey");
    client.get("/bucket/key").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_store_can_t_have_is_deleted_as_what_isn_t_there() {
    let client = Client::with(Choices { age: Age::Old, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket/a", "x").await.expect(200);
    for part in [
        "policy",
        "tagging",
        "publicAccessBlock",
        "ownershipControls",
        "cors",
        "encryption",
        "lifecycle",
        "website",
    ] {
        client.delete(&format!("/bucket?{part}")).await.expect(204);
    }
    client.delete("/bucket/a?tagging").await.expect(204);
}
