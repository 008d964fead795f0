//! Object lock: a locked version can't be deleted, whoever asks and by whatever request.

use crate::client::{Answered, Client};
use crate::rig::{Age, Choices};
use crate::uploads::upload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

const GOVERNANCE: &str =
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2090-01-01T00:00:00Z</RetainUntilDate></Retention>";
const SHORTER: &str =
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2080-01-01T00:00:00Z</RetainUntilDate></Retention>";
const COMPLIANCE: &str =
    "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2090-01-01T00:00:00Z</RetainUntilDate></Retention>";
const ON: &str = "<LegalHold><Status>ON</Status></LegalHold>";
const OFF: &str = "<LegalHold><Status>OFF</Status></LegalHold>";
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

async fn new() -> Client {
    Client::with(Choices { age: Age::New, ..Choices::default() }).await
}

async fn with_bucket() -> Client {
    let client = new().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    client.send("PUT", "/bucket", &locked, "").await.expect(200);
    client
}

fn configuration(rule: &str) -> String {
    let rule = match rule {
        "" => String::new(),
        inside => format!("<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>"),
    };
    format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    )
}

async fn put(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = client.send("PUT", &format!("/bucket/{key}"), headers, "x").await.expect(200);
    answer.header("x-amz-version-id").unwrap().to_owned()
}

async fn delete(client: &Client, key: &str, version: &str, headers: &[(&str, &str)]) -> Answered {
    client.send("DELETE", &format!("/bucket/{key}?versionId={version}"), headers, "").await
}

async fn delete_each(client: &Client, headers: &[(&str, &str)], document: &str) -> Answered {
    let md5 = BASE64.encode(Md5::digest(document));
    let headers = [headers, &[("content-md5", &md5)]].concat();
    client.send("POST", "/bucket?delete", &headers, document).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_lock_is_versioned_for_good() {
    let client = with_bucket().await;
    assert_eq!(client.get("/bucket?versioning").await.element("Status").as_deref(), Some("Enabled"));
    let suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    client.put("/bucket?versioning", suspended).await.refused(409, "InvalidBucketState");
    let told = client.get("/bucket?object-lock").await.expect(200);
    assert_eq!((told.element("ObjectLockEnabled").as_deref(), told.element("Rule")), (Some("Enabled"), None));
    client
        .put("/bucket?object-lock", configuration("<Mode>COMPLIANCE</Mode><Years>2</Years>"))
        .await
        .expect(200);
    assert_eq!(client.get("/bucket?object-lock").await.element("Years").as_deref(), Some("2"));
    let wrong = configuration("<Mode>COMPLIANCE</Mode><Days>0</Days>");
    client.put("/bucket?object-lock", wrong).await.refused(400, "InvalidRetentionPeriod");
    assert_eq!(client.get("/bucket?object-lock").await.element("Years").as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lock_nothing_is_locked() {
    let client = new().await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket/a", "x").await.expect(200);
    client.get("/bucket?object-lock").await.refused(404, "ObjectLockConfigurationNotFoundError");
    client.put("/bucket?object-lock", configuration("")).await.refused(409, "InvalidBucketState");
    for (target, document) in [("/bucket/a?retention", GOVERNANCE), ("/bucket/a?legal-hold", ON)] {
        client.get(target).await.refused(400, "InvalidRequest");
        client.put(target, document).await.refused(400, "InvalidRequest");
    }
    let held = [("x-amz-object-lock-legal-hold", "ON")];
    client.send("PUT", "/bucket/b", &held, "x").await.refused(400, "InvalidRequest");
    client.get("/bucket/b").await.refused(404, "NoSuchKey");
    // Lock can be turned on only after versioning.
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    client.put("/bucket?versioning", enabled).await.expect(200);
    client.put("/bucket?object-lock", configuration("")).await.expect(200);
    client.put("/bucket/a?legal-hold", ON).await.expect(200);
    delete(&client, "a", "null", &[]).await.refused(403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn governance_gives_way_to_who_says_so_and_compliance_to_nobody() {
    let client = with_bucket().await;
    let version = put(&client, "a", &[]).await;
    client.get("/bucket/a?retention").await.refused(404, "NoSuchObjectLockConfiguration");
    client.put("/bucket/a?retention", GOVERNANCE).await.expect(200);
    client.put("/bucket/a?retention", SHORTER).await.refused(403, "AccessDenied");
    client.put("/bucket/a?retention", COMPLIANCE).await.refused(403, "AccessDenied");
    client.put("/bucket/a?retention", "<Retention/>").await.refused(403, "AccessDenied");
    delete(&client, "a", &version, &[]).await.refused(403, "AccessDenied");
    client.send("PUT", "/bucket/a?retention", &[BYPASS], SHORTER).await.expect(200);
    let told = client.get("/bucket/a?retention").await.expect(200);
    assert_eq!(told.element("RetainUntilDate").as_deref(), Some("2080-01-01T00:00:00.000Z"));
    // A delete without a version adds a delete marker, and the locked version stays.
    client.delete("/bucket/a").await.expect(204);
    delete(&client, "a", &version, &[]).await.refused(403, "AccessDenied");
    let each = format!("<Delete><Object><Key>a</Key><VersionId>{version}</VersionId></Object></Delete>");
    let refused = delete_each(&client, &[], &each).await.expect(200);
    assert_eq!(refused.element("Code").as_deref(), Some("AccessDenied"));
    let deleted = delete_each(&client, &[BYPASS], &each).await.expect(200);
    assert_eq!((deleted.element("Code"), deleted.element("VersionId")), (None, Some(version)));

    let version = put(&client, "b", &[]).await;
    client.put("/bucket/b?retention", COMPLIANCE).await.expect(200);
    client.send("PUT", "/bucket/b?retention", &[BYPASS], GOVERNANCE).await.refused(403, "AccessDenied");
    delete(&client, "b", &version, &[BYPASS]).await.refused(403, "AccessDenied");
    assert_eq!(client.get(&format!("/bucket/b?versionId={version}")).await.expect(200).text(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_holds_until_it_is_off() {
    let client = with_bucket().await;
    let version = put(&client, "a", &[]).await;
    client.get("/bucket/a?legal-hold").await.refused(404, "NoSuchObjectLockConfiguration");
    client
        .put("/bucket/a?legal-hold", "<LegalHold><Status>on</Status></LegalHold>")
        .await
        .refused(400, "MalformedXML");
    client.put("/bucket/a?legal-hold", ON).await.expect(200);
    delete(&client, "a", &version, &[BYPASS]).await.refused(403, "AccessDenied");
    client.put("/bucket/a?legal-hold", OFF).await.expect(200);
    assert_eq!(client.get("/bucket/a?legal-hold").await.element("Status").as_deref(), Some("OFF"));
    delete(&client, "a", &version, &[]).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_locks_what_it_makes() {
    let client = with_bucket().await;
    let headers = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00Z"),
        ("x-amz-object-lock-legal-hold", "ON"),
    ];
    put(&client, "a", &headers).await;
    upload(&client, "/bucket/parts", &headers, "x").await;
    for key in ["a", "parts"] {
        let read = client.get(&format!("/bucket/{key}")).await.expect(200);
        assert_eq!(read.header("x-amz-object-lock-mode"), Some("GOVERNANCE"));
        assert_eq!(read.header("x-amz-object-lock-retain-until-date"), Some("2090-01-01T00:00:00.000Z"));
        assert_eq!(read.header("x-amz-object-lock-legal-hold"), Some("ON"));
    }
    // A copy is locked as its own request says, or else as the bucket's default says.
    client
        .put("/bucket?object-lock", configuration("<Mode>COMPLIANCE</Mode><Days>1</Days>"))
        .await
        .expect(200);
    let source = [("x-amz-copy-source", "bucket/a")];
    client.send("PUT", "/bucket/copied", &source, "").await.expect(200);
    let version = put(&client, "plain", &[]).await;
    for key in ["copied", "plain"] {
        let read = client.get(&format!("/bucket/{key}")).await.expect(200);
        assert_eq!(read.header("x-amz-object-lock-mode"), Some("COMPLIANCE"), "{key}");
        assert_eq!(read.header("x-amz-object-lock-legal-hold"), None);
    }
    delete(&client, "plain", &version, &[BYPASS]).await.refused(403, "AccessDenied");
    let past = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", "2001-01-01T00:00:00Z"),
    ];
    client.send("PUT", "/bucket/past", &past, "x").await.refused(400, "InvalidArgument");
    // In UTC this is a time of the year 10000, which no answer could tell.
    let late = "9999-12-31T23:59:59-12:00";
    let past_all = [past[0], ("x-amz-object-lock-retain-until-date", late)];
    client.send("PUT", "/bucket/past", &past_all, "x").await.refused(400, "InvalidArgument");
    let document = GOVERNANCE.replace("2090-01-01T00:00:00Z", late);
    client.put("/bucket/plain?retention", document).await.refused(400, "MalformedXML");
    client.send("PUT", "/bucket/half", &headers[..1], "x").await.refused(400, "InvalidArgument");
    client.get("/bucket/half").await.refused(404, "NoSuchKey");
}
