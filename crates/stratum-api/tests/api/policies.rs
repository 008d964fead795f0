//! Bucket policies: how they are put, whom they allow and deny what under which conditions, and that a refusal doesn't
//! tell what is in the bucket. Also the public access block.

use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// A server with a bucket and an object, where requests without a signature are allowed by nothing but policies and
/// access control lists.
pub async fn shut() -> Rig {
    let rig = Rig::with(Choices { anonymous: false, age: Age::New, ..Choices::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"body").await.status, 200);
    rig
}

/// Puts a policy of these statements, as root, the bucket's owner.
pub async fn put(rig: &Rig, statements: &str) -> Answer {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    rig.signed(ROOT, "PUT", "/bucket?policy", &[], text.as_bytes()).await
}

async fn let_in(rig: &Rig, statements: &str) {
    let answer = put(rig, statements).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A statement that allows a principal an action on the bucket and all its objects, under a condition.
fn allow(principal: &str, action: &str, condition: &str) -> String {
    statement("Allow", principal, action, condition)
}

fn statement(effect: &str, principal: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{condition}}}"#
    )
}

const EVERYBODY: &str = r#""*""#;
const THE_OTHER: &str = r#"{"AWS":"arn:aws:iam::other:user/other"}"#;

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}{}", answer.head, answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_comes_back_as_it_was_put_until_it_is_deleted() {
    let rig = shut().await;
    let asked = async |method| rig.signed(ROOT, method, "/bucket?policy", &[], b"").await;
    refused(&asked("GET").await, 404, "NoSuchBucketPolicy");
    let status = async || rig.signed(ROOT, "GET", "/bucket?policyStatus", &[], b"").await.element("IsPublic");
    assert_eq!(status().await.as_deref(), Some("false"));
    let text = format!("{{ \"Statement\" : {} }}", allow(EVERYBODY, "s3:GetObject", "{}"));
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], text.as_bytes()).await.status, 204);
    let came = asked("GET").await;
    assert_eq!((came.text(), came.header("content-type")), (text, Some("application/json")));
    assert_eq!(status().await.as_deref(), Some("true"));
    assert_eq!(asked("DELETE").await.status, 204);
    assert_eq!(asked("DELETE").await.status, 204);
    refused(&asked("GET").await, 404, "NoSuchBucketPolicy");
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
}

/// Who may read an object is told of its lock and its tags what they may ask for as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_tells_of_lock_and_tags_whom_it_may() {
    const MODE: &str = "x-amz-object-lock-mode";
    const UNTIL: &str = "x-amz-object-lock-retain-until-date";
    const HOLD: &str = "x-amz-object-lock-legal-hold";
    const TAGS: &str = "x-amz-tagging-count";
    let rig = Rig::with(Choices { anonymous: false, age: Age::New, ..Choices::default() }).await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &locked, b"").await.status, 200);
    let given =
        [(MODE, "GOVERNANCE"), (UNTIL, "2090-01-01T00:00:00Z"), (HOLD, "ON"), ("x-amz-tagging", "a=1&b=2")];
    let made = rig.signed(ROOT, "PUT", "/bucket/k", &given, b"body").await;
    let versioned = format!("/bucket/k?versionId={}", made.header("x-amz-version-id").unwrap());
    let seen = async |who, method, target: &str| {
        let answer = rig.signed(who, method, target, &[], b"").await;
        assert_eq!(answer.status, 200, "{method} {target}{}", answer.head);
        [MODE, UNTIL, HOLD, TAGS].map(|name| answer.header(name).is_some())
    };
    let of_version = |action: &str| action.replace("Object", "ObjectVersion");
    for (more, shown) in [
        ("", [false, false, false, false]),
        ("s3:GetObjectRetention", [true, true, false, false]),
        ("s3:GetObjectLegalHold", [false, false, true, false]),
        ("s3:GetObjectTagging", [false, false, false, true]),
    ] {
        let mut statements =
            vec![allow(THE_OTHER, "s3:GetObject", "{}"), allow(THE_OTHER, "s3:GetObjectVersion", "{}")];
        if !more.is_empty() {
            statements.push(allow(THE_OTHER, more, "{}"));
        }
        let_in(&rig, &statements.join(",")).await;
        for method in ["GET", "HEAD"] {
            assert_eq!(seen(OTHER, method, "/bucket/k").await, shown, "{method} {more}");
            assert_eq!(seen(ROOT, method, "/bucket/k").await, [true; 4], "{method} {more}");
            // The tags of a version that is named take the right to those.
            let of_named = [shown[0], shown[1], shown[2], false];
            assert_eq!(seen(OTHER, method, &versioned).await, of_named, "{method} {more}");
        }
    }
    let all = ["s3:GetObject", "s3:GetObjectTagging"].map(of_version);
    let_in(&rig, &all.map(|action| allow(THE_OTHER, &action, "{}")).join(",")).await;
    assert_eq!(seen(OTHER, "GET", &versioned).await, [false, false, false, true]);
    // A deny counts for the bucket's owner, too.
    let_in(&rig, &statement("Deny", EVERYBODY, "s3:GetObjectTagging", "{}")).await;
    assert_eq!(seen(ROOT, "HEAD", "/bucket/k").await, [true, true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_in_words_and_changes_nothing() {
    let rig = shut().await;
    let_in(&rig, &allow(THE_OTHER, "s3:GetObject", "{}")).await;
    for (wrong, word) in [
        (allow(EVERYBODY, "s3:GetObjects", "{}"), "s3:GetObjects"),
        (allow(EVERYBODY, "s3:GetObject", r#"{"StringIs":{"aws:Referer":"x"}}"#), "StringIs"),
        (allow(EVERYBODY, "s3:GetObject", r#"{"StringEquals":{"aws:Moon":"x"}}"#), "aws:Moon"),
        (allow(EVERYBODY, "s3:GetObject", r#"{"StringLike":{"s3:prefix":"x"}}"#), "Conditions do not apply"),
        (allow(EVERYBODY, "s3:GetObject", "{}").replace("bucket/*", "basket/*"), "arn:aws:s3:::basket/*"),
        (allow(EVERYBODY, "s3:GetObject", "{}").replace("Principal", "NotPrincipal"), "NotPrincipal"),
        (String::new(), "Statement"),
    ] {
        let answer = put(&rig, &wrong).await;
        refused(&answer, 400, "MalformedPolicy");
        assert!(answer.element("Message").unwrap().contains(word), "{}", answer.text());
    }
    let long = allow(THE_OTHER, "s3:GetObject", "{}")
        .replace("bucket/*", &format!("bucket/{}", "x".repeat(20 << 10)));
    refused(&put(&rig, &long).await, 400, "MalformedPolicy");
    refused(&rig.signed(ROOT, "PUT", "/bucket?policy", &[], b"").await, 400, "MalformedPolicy");
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, 200);
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_lets_in_whom_it_says_to_do_what_it_says() {
    let rig = shut().await;
    let_in(&rig, &allow(EVERYBODY, "s3:GetObject", "{}")).await;
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"body");
    assert_eq!(rig.signed(OTHER, "HEAD", "/bucket/k", &[], b"").await.status, 200);
    refused(&rig.send("GET", "/bucket", &[], b"").await, 403, "AccessDenied");
    refused(&rig.send("PUT", "/bucket/k", &[], b"x").await, 403, "AccessDenied");
    refused(&rig.send("GET", "/bucket/k?response-expires=x", &[], b"").await, 400, "InvalidRequest");

    let_in(&rig, &allow(THE_OTHER, "s3:*", "{}")).await;
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    assert_eq!(rig.signed(OTHER, "PUT", "/bucket/mine", &[], b"x").await.status, 200);
    assert_eq!(rig.signed(OTHER, "GET", "/bucket", &[], b"").await.status, 200);
    let source = [("x-amz-copy-source", "bucket/k")];
    assert_eq!(rig.signed(OTHER, "PUT", "/bucket/copy", &source, b"").await.status, 200);

    let denied = statement("Deny", EVERYBODY, "s3:DeleteObject", "{}");
    let_in(&rig, &format!("{},{denied}", allow(THE_OTHER, "s3:*", "{}"))).await;
    for user in [ROOT, OTHER] {
        refused(&rig.signed(user, "DELETE", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    }
    let named = br#"{"Version":"2012-10-17","Statement":{"Sid":"x","Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::bucket"}}"#;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], named).await.status, 204);
    refused(&rig.signed(ROOT, "GET", "/bucket", &[], b"").await, 403, "AccessDenied");
}

/// A user who may write and not read could otherwise find out by conditions such as `if-match` what the object holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_content_takes_the_right_to_read_it() {
    let rig = shut().await;
    let etag = rig.signed(ROOT, "HEAD", "/bucket/k", &[], b"").await.header("etag").unwrap().to_owned();
    let write = [allow(THE_OTHER, "s3:PutObject", "{}"), allow(THE_OTHER, "s3:DeleteObject", "{}")].join(",");
    let_in(&rig, &write).await;
    let send = async |method: &str, header: (&str, &str)| {
        rig.signed(OTHER, method, "/bucket/k", &[header], b"body").await.status
    };
    let multi = format!("<Delete><Object><Key>k</Key><ETag>{etag}</ETag></Object></Delete>");
    let md5 = BASE64.encode(Md5::digest(&multi));
    for method in ["PUT", "DELETE"] {
        for header in [("if-match", etag.as_str()), ("if-match", "\"x\"")] {
            assert_eq!(send(method, header).await, 403, "{method} {header:?}");
        }
    }
    assert_eq!(send("PUT", ("if-none-match", &etag)).await, 403);
    assert_eq!(send("DELETE", ("x-amz-if-match-size", "4")).await, 403);
    let refused =
        rig.signed(OTHER, "POST", "/bucket?delete", &[("content-md5", &md5)], multi.as_bytes()).await;
    assert!(refused.text().contains("<Code>AccessDenied</Code>"), "{}", refused.text());
    assert_eq!(send("PUT", ("if-none-match", "*")).await, 412);
    let read = allow(THE_OTHER, "s3:GetObject", "{}");
    let_in(&rig, &format!("{write},{read}")).await;
    assert_eq!(send("PUT", ("if-match", &etag)).await, 200);
    assert_eq!(send("DELETE", ("if-match", "\"x\"")).await, 412);
    assert_eq!(send("DELETE", ("if-match", &etag)).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_condition_asks_for_its_version() {
    let rig = Rig::with(Choices { age: Age::New, anonymous: false, tls: true, ..Choices::default() }).await;
    rig.signed(ROOT, "PUT", "/bucket", &[], b"").await;
    rig.signed(ROOT, "PUT", "/bucket/k", &[], b"body").await;
    for (operator, status) in [("NumericGreaterThanEquals", 200), ("NumericLessThan", 403)] {
        let condition = format!(r#"{{"{operator}":{{"s3:TlsVersion":"1.2"}}}}"#);
        let_in(&rig, &allow(THE_OTHER, "s3:GetObject", &condition)).await;
        assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, status, "{operator}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_never_locked_out_of_the_policy() {
    let rig = shut().await;
    let all = statement("Deny", EVERYBODY, "s3:*", "{}");
    let confirmed = [("x-amz-confirm-remove-self-bucket-access", "true")];
    let text = format!(r#"{{"Statement":{all}}}"#);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &confirmed, text.as_bytes()).await.status, 204);
    refused(&rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    refused(&rig.signed(ROOT, "DELETE", "/bucket", &[], b"").await, 403, "AccessDenied");
    refused(&rig.signed(OTHER, "GET", "/bucket?policy", &[], b"").await, 403, "AccessDenied");
    assert_eq!(rig.signed(ROOT, "GET", "/bucket?policy", &[], b"").await.text(), text);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], text.as_bytes()).await.status, 204);
    assert_eq!(rig.signed(ROOT, "DELETE", "/bucket?policy", &[], b"").await.status, 204);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_ask_about_the_request() {
    let rig = shut().await;
    let may = async |action: &str, condition: &str, method: &str, target: &str, headers: &[(&str, &str)]| {
        let_in(&rig, &allow(THE_OTHER, action, condition)).await;
        let answer = rig.signed(OTHER, method, target, headers, b"").await;
        assert!([200, 204, 403].contains(&answer.status), "{condition} {}{}", answer.head, answer.text());
        answer.status != 403
    };
    for (condition, allowed) in [
        (r#"{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, false),
        (r#"{"Bool":{"aws:SecureTransport":"false"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, false),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, true),
        (r#"{"NumericLessThan":{"aws:EpochTime":"1577836800"}}"#, false),
        (
            r#"{"StringEquals":{"aws:username":"other","aws:userid":"other","aws:PrincipalType":"Account"}}"#,
            true,
        ),
        (r#"{"StringLike":{"aws:UserAgent":"curl/*"}}"#, true),
        (r#"{"StringLike":{"aws:Referer":"https://a/*"}}"#, false),
        (r#"{"StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"}}"#, true),
        (r#"{"NumericLessThan":{"s3:signatureAge":"600000"}}"#, true),
        (r#"{"StringEquals":{"s3:ResourceAccount":"root","aws:RequestedRegion":"us-east-1"}}"#, true),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:root"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceAccount":"root"},"Bool":{"aws:ViaAWSService":"false"}}"#, true),
        // Plain HTTP has no version of TLS. The keys about Amazon's networks and organizations never have a value.
        (r#"{"Null":{"s3:TlsVersion":"true"}}"#, true),
        (r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, false),
        (r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, true),
        (r#"{"Null":{"s3:VersionId":"true"}}"#, true),
    ] {
        let agent = [("user-agent", "curl/8")];
        assert_eq!(may("s3:GetObject", condition, "GET", "/bucket/k", &agent).await, allowed, "{condition}");
    }
    let listing = r#"{"StringLike":{"s3:prefix":"a/*"},"StringEquals":{"s3:delimiter":"/"},"NumericLessThanEquals":{"s3:max-keys":"10"}}"#;
    for (query, allowed) in [
        ("?prefix=a/b&delimiter=/&max-keys=10", true),
        ("?prefix=b&delimiter=/&max-keys=10", false),
        ("?prefix=a/b&delimiter=/&max-keys=11", false),
        ("?prefix=a/b&delimiter=/", false),
        ("", false),
    ] {
        assert_eq!(
            may("s3:ListBucket", listing, "GET", &format!("/bucket{query}"), &[]).await,
            allowed,
            "{query}"
        );
    }
    let creation = |is: bool| format!(r#"{{"Bool":{{"s3:ObjectCreationOperation":"{is}"}}}}"#);
    assert!(may("s3:PutObject", &creation(true), "PUT", "/bucket/a", &[]).await);
    assert!(!may("s3:PutObject", &creation(true), "POST", "/bucket/a?uploads", &[]).await);
    assert!(may("s3:PutObject", &creation(false), "POST", "/bucket/a?uploads", &[]).await);
    let class = r#"{"StringEquals":{"s3:x-amz-storage-class":"GLACIER"}}"#;
    assert!(may("s3:PutObject", class, "PUT", "/bucket/a", &[("x-amz-storage-class", "GLACIER")]).await);
    assert!(!may("s3:PutObject", class, "PUT", "/bucket/a", &[]).await);
    let created = r#"{"StringEquals":{"s3:if-none-match":"*"}}"#;
    assert!(!may("s3:PutObject", created, "PUT", "/bucket/b", &[]).await);
    assert!(may("s3:PutObject", created, "PUT", "/bucket/b", &[("if-none-match", "*")]).await);
}

/// By the first of two lines a policy would allow what it denies by the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_line_is_no_way_around_a_policy() {
    let rig = shut().await;
    let condition = r#"{"StringLike":{"aws:UserAgent":"curl/*"}}"#;
    let deny = statement("Deny", THE_OTHER, "s3:GetObject", condition);
    let_in(&rig, &format!("{},{deny}", allow(THE_OTHER, "s3:GetObject", "{}"))).await;
    let get = async |agents: &[&str]| {
        let lines: Vec<_> = agents.iter().map(|agent| ("user-agent", *agent)).collect();
        rig.signed(OTHER, "GET", "/bucket/k", &lines, b"").await
    };
    assert_eq!(get(&["tool/1"]).await.status, 200);
    refused(&get(&["curl/8"]).await, 403, "AccessDenied");
    refused(&get(&["tool/1", "curl/8"]).await, 400, "InvalidArgument");
    assert_eq!(get(&["tool/1", "tool/1"]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_judged_by_its_source() {
    let rig = shut().await;
    for key in ["open/k", "shut/k"] {
        assert_eq!(rig.signed(ROOT, "PUT", &format!("/bucket/{key}"), &[], b"x").await.status, 200);
    }
    let put = allow(THE_OTHER, "s3:PutObject", r#"{"StringLike":{"s3:x-amz-copy-source":"bucket/open/*"}}"#);
    let_in(&rig, &format!("{put},{}", allow(THE_OTHER, "s3:GetObject", "{}"))).await;
    for (source, status) in
        [("bucket/open/k", 200), ("/bucket/open/k", 200), ("bucket/shut/k", 403), ("bucket%2fopen%2fk", 200)]
    {
        let copied = rig.signed(OTHER, "PUT", "/bucket/copy", &[("x-amz-copy-source", source)], b"").await;
        assert_eq!(copied.status, status, "{source} {}", copied.text());
    }
    let_in(&rig, &allow(THE_OTHER, "s3:PutObject", "{}")).await;
    let source = [("x-amz-copy-source", "bucket/open/k")];
    refused(&rig.signed(OTHER, "PUT", "/bucket/copy", &source, b"").await, 403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_are_there_and_tags_that_come_are_asked_about() {
    let rig = shut().await;
    let tagging = |value: &str| {
        format!("<Tagging><TagSet><Tag><Key>team</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    let tag = async |user, value: &str| {
        rig.signed(user, "PUT", "/bucket/k?tagging", &[], tagging(value).as_bytes()).await
    };
    assert_eq!(tag(ROOT, "red").await.status, 200);
    let existing = |value: &str| format!(r#"{{"StringEquals":{{"s3:ExistingObjectTag/team":"{value}"}}}}"#);
    let_in(&rig, &allow(THE_OTHER, "s3:GetObject", &existing("red"))).await;
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, 200);
    assert_eq!(tag(ROOT, "blue").await.status, 200);
    refused(&rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");

    let wanted = r#"{"StringEquals":{"s3:RequestObjectTag/team":"red"},"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["team"]}}"#;
    let tagged = format!(
        "{},{}",
        allow(THE_OTHER, "s3:PutObject", wanted),
        allow(THE_OTHER, "s3:PutObjectTagging", "{}")
    );
    let_in(&rig, &tagged).await;
    let put =
        async |tags: &str| rig.signed(OTHER, "PUT", "/bucket/new", &[("x-amz-tagging", tags)], b"x").await;
    assert_eq!(put("team=red").await.status, 200);
    for tags in ["team=blue", "team=red&more=1", ""] {
        refused(&put(tags).await, 403, "AccessDenied");
    }

    // A PUT of an object with tags needs the right `s3:PutObjectTagging`, too.
    let_in(&rig, &allow(THE_OTHER, "s3:PutObject", "{}")).await;
    assert_eq!(rig.signed(OTHER, "PUT", "/bucket/new", &[], b"x").await.status, 200);
    refused(&put("team=red").await, 403, "AccessDenied");

    // The tags in the body of PutObjectTagging are tested as those in the header are.
    let_in(&rig, &allow(THE_OTHER, "s3:PutObjectTagging", wanted)).await;
    assert_eq!(tag(OTHER, "red").await.status, 200);
    refused(&tag(OTHER, "blue").await, 403, "AccessDenied");
    refused(&rig.send("PUT", "/bucket/k?tagging", &[], tagging("red").as_bytes()).await, 403, "AccessDenied");
    let denied = statement(
        "Deny",
        EVERYBODY,
        "s3:PutObjectTagging",
        r#"{"StringEquals":{"s3:RequestObjectTag/team":"red"}}"#,
    );
    let_in(&rig, &denied).await;
    refused(&tag(ROOT, "red").await, 403, "AccessDenied");
    assert_eq!(tag(ROOT, "blue").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_takes_a_right_and_is_asked_about_wherever_it_stands() {
    let rig = Rig::with(Choices { anonymous: false, age: Age::New, ..Choices::default() }).await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &locked, b"").await.status, 200);
    let put = async |headers: &[(&str, &str)]| rig.signed(OTHER, "PUT", "/bucket/k", headers, b"x").await;
    let retained = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z"),
    ];
    let held = [("x-amz-object-lock-legal-hold", "ON")];
    let_in(&rig, &allow(THE_OTHER, "s3:PutObject", "{}")).await;
    assert_eq!(put(&[]).await.status, 200);
    refused(&put(&retained).await, 403, "AccessDenied");
    refused(&put(&held).await, 403, "AccessDenied");
    let_in(&rig, &allow(THE_OTHER, "s3:PutObject*", "{}")).await;
    assert_eq!((put(&retained).await.status, put(&held).await.status), (200, 200));

    let long = r#"{"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"365"}}"#;
    let denied = statement("Deny", EVERYBODY, "s3:PutObjectRetention", long);
    let_in(&rig, &format!("{},{denied}", allow(THE_OTHER, "s3:PutObject*", "{}"))).await;
    refused(&put(&retained).await, 403, "AccessDenied");
    let body = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
    refused(&rig.signed(OTHER, "PUT", "/bucket/k?retention", &[], body).await, 403, "AccessDenied");
    let on = r#"{"StringEquals":{"s3:object-lock-legal-hold":"ON"}}"#;
    let_in(&rig, &allow(THE_OTHER, "s3:PutObjectLegalHold", on)).await;
    let hold = async |status: &str| {
        let body = format!("<LegalHold><Status>{status}</Status></LegalHold>");
        rig.signed(OTHER, "PUT", "/bucket/k?legal-hold", &[], body.as_bytes()).await
    };
    assert_eq!(hold("ON").await.status, 200);
    refused(&hold("OFF").await, 403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_no_such_key_is_for_those_who_may_list_it() {
    let rig = shut().await;
    let_in(&rig, &allow(EVERYBODY, "s3:GetObject", "{}")).await;
    for target in ["/bucket/none", "/bucket/none?acl", "/bucket/none?attributes"] {
        refused(&rig.send("GET", target, &[], b"").await, 403, "AccessDenied");
        refused(&rig.signed(OTHER, "GET", target, &[], b"").await, 403, "AccessDenied");
    }
    refused(&rig.signed(ROOT, "GET", "/bucket/none", &[], b"").await, 404, "NoSuchKey");
    assert_eq!(rig.send("HEAD", "/bucket/none", &[], b"").await.status, 403);

    let listing = allow(EVERYBODY, "s3:ListBucket", r#"{"StringLike":{"s3:prefix":"open/*"}}"#);
    let_in(&rig, &listing).await;
    refused(&rig.send("GET", "/bucket/open/none", &[], b"").await, 404, "NoSuchKey");
    refused(&rig.send("GET", "/bucket/shut/none", &[], b"").await, 403, "AccessDenied");
    refused(&rig.send("GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    let copy = [("x-amz-copy-source", "bucket/none")];
    let_in(&rig, &allow(THE_OTHER, "s3:*Object", "{}")).await;
    assert_eq!(rig.signed(OTHER, "PUT", "/theirs", &[], b"").await.status, 200);
    for target in ["/bucket/new", "/theirs/new"] {
        refused(&rig.signed(OTHER, "PUT", target, &copy, b"").await, 403, "AccessDenied");
    }
    refused(&rig.signed(ROOT, "PUT", "/bucket/new", &copy, b"").await, 404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_delete_objects_is_judged() {
    let rig = shut().await;
    let one = allow(THE_OTHER, "s3:DeleteObject", "{}").replace("bucket/*", "bucket/k");
    let_in(&rig, &one).await;
    let body = b"<Delete><Object><Key>k</Key></Object><Object><Key>other</Key></Object></Delete>";
    let headers = [("content-md5", md5(body))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = rig.signed(OTHER, "POST", "/bucket?delete", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    assert!(
        text.contains("<Deleted><Key>k</Key>") && text.contains("<Error><Key>other</Key><Code>AccessDenied"),
        "{text}"
    );
    refused(&rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await, 404, "NoSuchKey");
}

pub fn md5(body: &[u8]) -> String {
    use base64::Engine as _;
    use md5::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_public_access_refuses_and_restricts() {
    let rig = shut().await;
    let block = async |switches: &[&str]| {
        let on: String = switches.iter().map(|name| format!("<{name}>true</{name}>")).collect();
        let text = format!("<PublicAccessBlockConfiguration>{on}</PublicAccessBlockConfiguration>");
        rig.signed(ROOT, "PUT", "/bucket?publicAccessBlock", &[], text.as_bytes()).await
    };
    let asked = async |method| rig.signed(ROOT, method, "/bucket?publicAccessBlock", &[], b"").await;
    refused(&asked("GET").await, 404, "NoSuchPublicAccessBlockConfiguration");
    assert_eq!(block(&["BlockPublicPolicy"]).await.status, 200);
    let told = asked("GET").await;
    assert_eq!(
        (
            told.element("BlockPublicPolicy").unwrap().as_str(),
            told.element("BlockPublicAcls").unwrap().as_str()
        ),
        ("true", "false")
    );
    refused(&put(&rig, &allow(EVERYBODY, "s3:GetObject", "{}")).await, 403, "AccessDenied");
    let_in(&rig, &allow(THE_OTHER, "s3:GetObject", "{}")).await;
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, 200);

    assert_eq!(block(&["RestrictPublicBuckets"]).await.status, 200);
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.status, 200, "the policy isn't public");
    let both =
        format!("{},{}", allow(THE_OTHER, "s3:GetObject", "{}"), allow(EVERYBODY, "s3:ListBucket", "{}"));
    let_in(&rig, &both).await;
    refused(&rig.send("GET", "/bucket", &[], b"").await, 403, "AccessDenied");
    refused(&rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await, 403, "AccessDenied");
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.status, 200);
    assert_eq!(asked("DELETE").await.status, 204);
    assert_eq!(rig.send("GET", "/bucket", &[], b"").await.status, 200);
    refused(&block(&["Nonsense"]).await, 400, "MalformedXML");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_not_raised_can_keep_no_policy() {
    let rig = Rig::with(Choices { age: Age::Old, ..Choices::default() }).await;
    assert_eq!(rig.send("PUT", "/bucket", &[], b"").await.status, 200);
    let text = format!(r#"{{"Statement":{}}}"#, allow(EVERYBODY, "s3:GetObject", "{}"));
    let answer = rig.send("PUT", "/bucket?policy", &[], text.as_bytes()).await;
    refused(&answer, 501, "NotImplemented");
    assert!(answer.text().contains("stratum level raise"), "{}", answer.text());
}
