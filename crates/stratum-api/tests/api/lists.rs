//! Access control lists, and who owns what: where they are in use, and where they aren't.

use crate::policies::shut;
use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig};
use stratum_metadata::record::ObjectOwnership;

/// A server with a bucket in which access control lists are in use, and an object in it.
async fn open() -> Rig {
    let choices = Choices {
        anonymous: false,
        age: Age::New,
        object_ownership: ObjectOwnership::ObjectWriter,
        ..Choices::default()
    };
    let rig = Rig::with(choices).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"body").await.status, 200);
    rig
}

async fn canned(rig: &Rig, user: (&str, &str), target: &str, acl: &str) -> Answer {
    rig.signed(user, "PUT", target, &[("x-amz-acl", acl)], b"").await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}{}", answer.head, answer.text());
}

fn grants(answer: &Answer) -> usize {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().matches("<Grant>").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_opened_to_read_and_to_write() {
    let rig = open().await;
    let list = async || rig.send("GET", "/bucket", &[], b"").await.status;
    let write = async || rig.send("PUT", "/bucket/new", &[], b"x").await.status;
    assert_eq!((list().await, write().await), (403, 403));
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read").await.status, 200);
    assert_eq!((list().await, write().await), (200, 403));
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    refused(&rig.send("GET", "/bucket/none", &[], b"").await, 404, "NoSuchKey");
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read-write").await.status, 200);
    assert_eq!((list().await, write().await), (200, 200));
    // An object that an unsigned request wrote belongs to nobody. The bucket's owner may only delete it.
    refused(&rig.signed(ROOT, "GET", "/bucket/new", &[], b"").await, 403, "AccessDenied");
    assert_eq!(rig.signed(ROOT, "DELETE", "/bucket/new", &[], b"").await.status, 204);
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "authenticated-read").await.status, 200);
    assert_eq!((list().await, rig.signed(OTHER, "GET", "/bucket", &[], b"").await.status), (403, 200));
    let told = rig.signed(ROOT, "GET", "/bucket?acl", &[], b"").await;
    assert_eq!((grants(&told), told.text().contains("groups/global/AuthenticatedUsers")), (2, true));
    let status = rig.signed(ROOT, "GET", "/bucket?policyStatus", &[], b"").await;
    assert_eq!(status.element("IsPublic").as_deref(), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_has_a_list_of_its_own_that_its_writer_owns() {
    let rig = open().await;
    assert_eq!(canned(&rig, ROOT, "/bucket/k?acl", "public-read").await.status, 200);
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"body");
    refused(&rig.send("GET", "/bucket/k?acl", &[], b"").await, 403, "AccessDenied");
    // The list belongs to the object. When the object is overwritten, the new one has the default list.
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"new").await.status, 200);
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");

    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read-write").await.status, 200);
    assert_eq!(rig.signed(OTHER, "PUT", "/bucket/theirs", &[], b"x").await.status, 200);
    for (method, target) in
        [("GET", "/bucket/theirs"), ("GET", "/bucket/theirs?acl"), ("HEAD", "/bucket/theirs")]
    {
        assert_eq!(rig.signed(ROOT, method, target, &[], b"").await.status, 403, "{target}");
        assert_eq!(rig.signed(OTHER, method, target, &[], b"").await.status, 200, "{target}");
    }
    let told = rig.signed(OTHER, "GET", "/bucket/theirs?acl", &[], b"").await;
    assert_eq!((told.element("ID").as_deref(), grants(&told)), (Some("other"), 1));
    assert_eq!(canned(&rig, OTHER, "/bucket/theirs?acl", "bucket-owner-read").await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/theirs", &[], b"").await.body, b"x");
    refused(&canned(&rig, ROOT, "/bucket/theirs?acl", "private").await, 403, "AccessDenied");
    assert_eq!(canned(&rig, OTHER, "/bucket/theirs", "bucket-owner-full-control").await.status, 200);
    assert_eq!(canned(&rig, ROOT, "/bucket/theirs?acl", "private").await.status, 200);

    let upload = rig.signed(OTHER, "POST", "/bucket/big?uploads", &[("x-amz-acl", "public-read")], b"").await;
    let id = upload.element("UploadId").unwrap();
    let part =
        rig.signed(OTHER, "PUT", &format!("/bucket/big?partNumber=1&uploadId={id}"), &[], b"part").await;
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        part.header("etag").unwrap()
    );
    let listed = rig.signed(OTHER, "GET", &format!("/bucket/big?uploadId={id}"), &[], b"").await;
    assert_eq!(
        (listed.status, listed.text().matches("<ID>other</ID>").count()),
        (200, 2),
        "{}",
        listed.text()
    );
    let done = rig.signed(OTHER, "POST", &format!("/bucket/big?uploadId={id}"), &[], parts.as_bytes()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(rig.send("GET", "/bucket/big", &[], b"").await.body, b"part");
    let source = [("x-amz-copy-source", "bucket/big"), ("x-amz-acl", "public-read")];
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/copy", &source, b"").await.status, 200);
    assert_eq!(rig.send("GET", "/bucket/copy", &[], b"").await.body, b"part");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_come_in_headers_and_in_a_body() {
    let rig = open().await;
    let read = [("x-amz-grant-read", "id=other"), ("x-amz-grant-full-control", "id=\"root\"")];
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k?acl", &read, b"").await.status, 200);
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, 200);
    let told = rig.signed(ROOT, "GET", "/bucket/k?acl", &[], b"").await;
    assert_eq!(grants(&told), 2);
    let put = async |body: &str| rig.signed(ROOT, "PUT", "/bucket/k?acl", &[], body.as_bytes()).await;
    // The list that was read can be put again, and so can an empty one.
    assert_eq!(put(&told.text()).await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k?acl", &[], b"").await.text(), told.text());
    let none = "<AccessControlPolicy><Owner><ID>root</ID></Owner><AccessControlList/></AccessControlPolicy>";
    assert_eq!(put(none).await.status, 200);
    assert_eq!(grants(&rig.signed(ROOT, "GET", "/bucket/k?acl", &[], b"").await), 0);
    refused(&rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");

    refused(&put("").await, 400, "MissingSecurityHeader");
    refused(&put("<AccessControlPolicy/>").await, 400, "MalformedACLError");
    refused(&put(&none.replace("root", "other")).await, 403, "AccessDenied");
    let both = rig.signed(ROOT, "PUT", "/bucket/k?acl", &[("x-amz-acl", "private")], none.as_bytes()).await;
    refused(&both, 400, "UnexpectedContent");
    for (header, code) in [
        (("x-amz-grant-read", "id=eve"), "InvalidArgument"),
        (("x-amz-grant-read", "emailAddress=eve@x"), "UnresolvableGrantByEmailAddress"),
        (("x-amz-acl", "mine"), "InvalidArgument"),
    ] {
        for target in ["/bucket/k?acl", "/bucket?acl", "/bucket/new", "/more"] {
            refused(&rig.signed(ROOT, "PUT", target, &[header], b"").await, 400, code);
        }
    }
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/new", &[], b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_has_its_own_list() {
    let rig = open().await;
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?versioning", &[], enabled).await.status, 200);
    let put = async |body: &[u8]| {
        let answer = rig.signed(ROOT, "PUT", "/bucket/v", &[], body).await;
        answer.header("x-amz-version-id").unwrap().to_owned()
    };
    let (old, new) = (put(b"old").await, put(b"new").await);
    assert_eq!(
        canned(&rig, ROOT, &format!("/bucket/v?acl&versionId={old}"), "public-read").await.status,
        200
    );
    assert_eq!(rig.send("GET", &format!("/bucket/v?versionId={old}"), &[], b"").await.body, b"old");
    for target in [format!("/bucket/v?versionId={new}"), "/bucket/v".to_owned()] {
        refused(&rig.send("GET", &target, &[], b"").await, 403, "AccessDenied");
    }
    assert_eq!(rig.signed(ROOT, "DELETE", &format!("/bucket/v?versionId={old}"), &[], b"").await.status, 204);
    let gone = canned(&rig, ROOT, &format!("/bucket/v?acl&versionId={old}"), "private").await;
    refused(&gone, 404, "NoSuchVersion");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lists_the_buckets_owner_owns_all() {
    let rig = shut().await;
    for acl in ["private", "public-read"] {
        for target in ["/bucket?acl", "/bucket/k?acl", "/bucket/new"] {
            refused(&canned(&rig, ROOT, target, acl).await, 400, "AccessControlListNotSupported");
        }
    }
    let grant = [("x-amz-grant-read", "id=other")];
    refused(
        &rig.signed(ROOT, "POST", "/bucket/new?uploads", &grant, b"").await,
        400,
        "AccessControlListNotSupported",
    );
    assert_eq!(canned(&rig, ROOT, "/bucket/new", "bucket-owner-full-control").await.status, 200);
    let told = rig.signed(ROOT, "GET", "/bucket/new?acl", &[], b"").await;
    assert_eq!((grants(&told), told.element("Permission").as_deref()), (1, Some("FULL_CONTROL")));
    refused(&canned(&rig, ROOT, "/more", "public-read").await, 400, "InvalidBucketAclWithObjectOwnership");
    assert_eq!(canned(&rig, ROOT, "/more", "private").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_chooses_its_ownership() {
    let rig = shut().await;
    let asked = async |method| rig.signed(ROOT, method, "/bucket?ownershipControls", &[], b"").await;
    let put = async |name: &str| {
        let text = format!(
            "<OwnershipControls><Rule><ObjectOwnership>{name}</ObjectOwnership></Rule></OwnershipControls>"
        );
        rig.signed(ROOT, "PUT", "/bucket?ownershipControls", &[], text.as_bytes()).await
    };
    refused(&asked("GET").await, 404, "OwnershipControlsNotFoundError");
    assert_eq!(put("ObjectWriter").await.status, 200);
    assert_eq!(asked("GET").await.element("ObjectOwnership").as_deref(), Some("ObjectWriter"));
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read-write").await.status, 200);
    assert_eq!(canned(&rig, OTHER, "/bucket/theirs", "bucket-owner-full-control").await.status, 200);
    let owner = async |key: &str| {
        let target = format!("/bucket/{key}?acl");
        let told = rig.signed(OTHER, "GET", &target, &[], b"").await;
        let told = if told.status == 200 { told } else { rig.signed(ROOT, "GET", &target, &[], b"").await };
        told.element("ID")
    };
    assert_eq!(owner("theirs").await.as_deref(), Some("other"));
    assert_eq!(put("BucketOwnerPreferred").await.status, 200);
    assert_eq!(canned(&rig, OTHER, "/bucket/given", "bucket-owner-full-control").await.status, 200);
    assert_eq!(rig.signed(OTHER, "PUT", "/bucket/kept", &[], b"").await.status, 200);
    assert_eq!(
        (owner("given").await.as_deref(), owner("kept").await.as_deref()),
        (Some("root"), Some("other"))
    );
    // The bucket's grants must be removed first.
    refused(&put("BucketOwnerEnforced").await, 400, "InvalidBucketAclWithObjectOwnership");
    refused(&asked("DELETE").await, 400, "InvalidBucketAclWithObjectOwnership");
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "private").await.status, 200);
    assert_eq!(put("BucketOwnerEnforced").await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/kept", &[], b"").await.status, 200);
    refused(&rig.signed(OTHER, "GET", "/bucket/kept", &[], b"").await, 403, "AccessDenied");
    assert_eq!(asked("DELETE").await.status, 204);
    refused(&put("Nobody").await, 400, "MalformedXML");

    let writer = [("x-amz-object-ownership", "ObjectWriter"), ("x-amz-acl", "public-read")];
    assert_eq!(rig.signed(ROOT, "PUT", "/writers", &writer, b"").await.status, 200);
    assert_eq!(rig.send("GET", "/writers", &[], b"").await.status, 200);
    let nonsense = [("x-amz-object-ownership", "Nobody")];
    refused(&rig.signed(ROOT, "PUT", "/nonsense", &nonsense, b"").await, 400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_created_again_has_the_list_that_was_asked_for() {
    let rig = open().await;
    let tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?tagging", &[], tags).await.status, 204);
    let list = async || rig.send("GET", "/bucket", &[], b"").await.status;
    assert_eq!(canned(&rig, ROOT, "/bucket", "public-read").await.status, 200);
    assert_eq!(list().await, 200);
    refused(&rig.signed(OTHER, "PUT", "/bucket", &[], b"").await, 409, "BucketAlreadyExists");
    refused(&canned(&rig, OTHER, "/bucket", "public-read-write").await, 409, "BucketAlreadyExists");
    assert_eq!(grants(&rig.signed(ROOT, "GET", "/bucket?acl", &[], b"").await), 2);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(list().await, 403);
    // Nothing else of the bucket changed.
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.body, b"body");
    let told = rig.signed(ROOT, "GET", "/bucket?tagging", &[], b"").await;
    assert_eq!(told.element("Value").as_deref(), Some("v"));

    // A list that PutBucketAcl would refuse is refused here, too.
    let text = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?publicAccessBlock", &[], text).await.status, 200);
    refused(&canned(&rig, ROOT, "/bucket", "public-read").await, 403, "AccessDenied");
    let enforced = [("x-amz-object-ownership", "BucketOwnerEnforced")];
    assert_eq!(rig.signed(ROOT, "PUT", "/enforced", &enforced, b"").await.status, 200);
    refused(&canned(&rig, ROOT, "/enforced", "public-read").await, 400, "AccessControlListNotSupported");
    assert_eq!(canned(&rig, ROOT, "/enforced", "private").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_than_in_the_classic_region_no_bucket_is_created_again() {
    let (region, object_ownership) = ("eu-west-1".into(), ObjectOwnership::ObjectWriter);
    // This rig serves unsigned requests as root's.
    let rig = Rig::with(Choices { age: Age::New, region, object_ownership, ..Choices::default() }).await;
    let create = async |acl| rig.send("PUT", "/bucket", &[("x-amz-acl", acl)], b"").await;
    assert_eq!(create("public-read").await.status, 200);
    for acl in ["private", "public-read"] {
        refused(&create(acl).await, 409, "BucketAlreadyOwnedByYou");
    }
    assert_eq!(grants(&rig.send("GET", "/bucket?acl", &[], b"").await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_lists_are_blocked_or_ignored() {
    let rig = open().await;
    let block = async |name: &str| {
        let text =
            format!("<PublicAccessBlockConfiguration><{name}>true</{name}></PublicAccessBlockConfiguration>");
        rig.signed(ROOT, "PUT", "/bucket?publicAccessBlock", &[], text.as_bytes()).await
    };
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read").await.status, 200);
    assert_eq!(canned(&rig, ROOT, "/bucket/k?acl", "public-read").await.status, 200);
    assert_eq!(block("BlockPublicAcls").await.status, 200);
    for target in ["/bucket?acl", "/bucket/k?acl", "/bucket/new"] {
        refused(&canned(&rig, ROOT, target, "authenticated-read").await, 403, "AccessDenied");
    }
    // Public lists that were set before are still in force.
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.status, 200);
    assert_eq!(block("IgnorePublicAcls").await.status, 200);
    for target in ["/bucket", "/bucket/k"] {
        refused(&rig.send("GET", target, &[], b"").await, 403, "AccessDenied");
        refused(&rig.signed(OTHER, "GET", target, &[], b"").await, 403, "AccessDenied");
    }
    assert_eq!(canned(&rig, ROOT, "/bucket/k?acl", "public-read").await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_began_an_upload_may_list_and_abort_it() {
    let rig = open().await;
    let write = [("x-amz-grant-write", "id=other")];
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?acl", &write, b"").await.status, 200);
    let begin = async |user| {
        rig.signed(user, "POST", "/bucket/u?uploads", &[], b"").await.element("UploadId").unwrap()
    };
    let (theirs, owners) = (begin(OTHER).await, begin(ROOT).await);
    let target = |id: &str| format!("/bucket/u?uploadId={id}");
    assert_eq!(rig.signed(OTHER, "GET", &target(&theirs), &[], b"").await.status, 200);
    for method in ["GET", "DELETE"] {
        refused(&rig.signed(OTHER, method, &target(&owners), &[], b"").await, 403, "AccessDenied");
    }
    assert_eq!(rig.signed(OTHER, "DELETE", &target(&theirs), &[], b"").await.status, 204);
    assert_eq!(rig.signed(ROOT, "GET", &target(&owners), &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_has_the_owner_that_it_has() {
    let rig = open().await;
    assert_eq!(canned(&rig, ROOT, "/bucket?acl", "public-read-write").await.status, 200);
    let kept = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?versioning", &[], kept).await.status, 200);
    for body in [b"1", b"2"] {
        assert_eq!(rig.signed(OTHER, "PUT", "/bucket/theirs", &[], body).await.status, 200);
    }
    let owners = async |target: &str| {
        let listed = rig.signed(ROOT, "GET", target, &[], b"").await;
        assert_eq!(listed.status, 200, "{}", listed.text());
        let text = listed.text().to_owned();
        let ids = text.split("<ID>").skip(1).filter_map(|rest| rest.split("</ID>").next());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(owners("/bucket").await, ["root", "other"]);
    assert_eq!(owners("/bucket?list-type=2&fetch-owner=true").await, ["root", "other"]);
    assert!(owners("/bucket?list-type=2").await.is_empty());
    assert_eq!(rig.signed(OTHER, "DELETE", "/bucket/theirs", &[], b"").await.status, 204);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/theirs", &[], b"root's").await.status, 200);
    let versions = ["root", "root", "other", "other", "other"];
    assert_eq!(owners("/bucket?versions").await, versions, "a delete marker's among them");
    let mut paged = Vec::new();
    let mut target = "/bucket?versions&max-keys=1".to_owned();
    for _ in versions {
        let page = rig.signed(ROOT, "GET", &target, &[], b"").await;
        paged.extend(page.element("ID"));
        let next = |name: &str| page.element(name).unwrap_or_default();
        let (key, id) = (next("NextKeyMarker"), next("NextVersionIdMarker"));
        target = format!("/bucket?versions&max-keys=1&key-marker={key}&version-id-marker={id}");
    }
    assert_eq!(paged, versions);
    // Where lists aren't in use, the bucket's owner owns all objects.
    let private = canned(&rig, ROOT, "/bucket?acl", "private").await;
    let enforced = b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    let put = rig.signed(ROOT, "PUT", "/bucket?ownershipControls", &[], enforced).await;
    assert_eq!((private.status, put.status), (200, 200), "{}", put.text());
    assert_eq!(owners("/bucket?versions").await, ["root"; 5]);
}
