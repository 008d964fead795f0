//! Uploads by HTML forms of a browser: who may upload, and what a form may ask for.

use crate::client::Client;
use crate::iam::root;
use crate::rig::{Age, Choices, ROOT, Rig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha1::Sha1;

const TYPE: (&str, &str) = ("content-type", "multipart/form-data; boundary=edge");

/// A client of a server that refuses unsigned requests, with a bucket of root's.
async fn closed() -> Client {
    let rig = Rig::with(Choices { age: Age::New, anonymous: false, ..Choices::default() }).await;
    rig.signed(ROOT, "PUT", "/bucket", &[], b"").await;
    Client { rig }
}

fn form(fields: &[(&str, &str)], file: &str) -> String {
    let field = |(name, value): &(&str, &str)| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields: String = fields.iter().map(field).collect();
    format!(
        "{fields}--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\photo.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{file}\r\n--edge--\r\n"
    )
}

/// Fields with a policy of these conditions, signed by root.
fn signed<'a>(conditions: &str, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
    signed_by(ROOT, conditions, fields)
}

/// Fields with a policy of these conditions, signed with this key.
fn signed_by<'a>(
    (access_key, secret): (&str, &str),
    conditions: &str,
    fields: &[(&'a str, &'a str)],
) -> Vec<(&'a str, String)> {
    let policy =
        BASE64.encode(format!("{{\"expiration\": \"2090-01-01T00:00:00Z\", \"conditions\": {conditions}}}"));
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(policy.as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    let own = [("AWSAccessKeyId", access_key.to_owned()), ("policy", policy), ("signature", signature)];
    let fields = fields.iter().map(|(name, value)| (*name, value.to_string()));
    fields.chain(own).collect()
}

fn borrowed<'a>(fields: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

async fn get(client: &Client, target: &str) -> crate::rig::Answer {
    client.rig.signed(ROOT, "GET", target, &[], b"").await
}

const CONDITIONS: &str = "[{\"bucket\": \"bucket\"}, [\"starts-with\", \"$key\", \"up/\"],
    [\"starts-with\", \"$Content-Type\", \"text/\"], [\"content-length-range\", 2, 10]]";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_a_form_with_its_token() {
    let client = closed().await;
    let session = root().sts(&client.rig, "GetSessionToken", &[]).await;
    let element = |name| session.element(name).unwrap();
    let (key, secret, token) = (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken"));
    let conditions = r#"[{"bucket": "bucket"}, ["starts-with", "$key", "up/"], ["starts-with", "$x-amz-security-token", ""]]"#;
    let send = async |token: Option<&str>| {
        let mut fields = vec![("key", "up/k")];
        fields.extend(token.map(|token| ("x-amz-security-token", token)));
        let fields = signed_by((&key, &secret), conditions, &fields);
        client.send("POST", "/bucket", &[TYPE], form(&borrowed(&fields), "bytes")).await
    };
    send(Some(&token)).await.expect(204);
    assert_eq!(get(&client, "/bucket/up/k").await.body, b"bytes");
    send(None).await.refused(403, "InvalidAccessKeyId");
    send(Some("x")).await.refused(400, "InvalidToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_policy_lets_a_stranger_upload_what_it_allows() {
    let client = closed().await;
    let fields = signed(CONDITIONS, &[("key", "up/${filename}"), ("Content-Type", "text/html")]);
    let fields = borrowed(&fields);
    let stored = client.send("POST", "/bucket", &[TYPE], form(&fields, "bytes")).await.expect(204);
    assert!(stored.header("location").unwrap().ends_with("/bucket/up/photo.txt"));
    let read = get(&client, "/bucket/up/photo.txt").await;
    assert_eq!((read.status, read.body.as_slice()), (200, b"bytes".as_slice()));
    assert_eq!(read.header("content-type"), Some("text/html"));
    for (file, code) in [("x", "EntityTooSmall"), ("more than ten", "EntityTooLarge")] {
        client.send("POST", "/bucket", &[TYPE], form(&fields, file)).await.refused(400, code);
    }
    let edited = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
        fields.iter().map(|(known, kept)| (*known, if *known == name { value } else { *kept })).collect()
    };
    for (name, value, status, code) in [
        ("key", "down/a", 403, "AccessDenied"),
        ("signature", "AAAA", 403, "SignatureDoesNotMatch"),
        ("AWSAccessKeyId", "nobody", 403, "InvalidAccessKeyId"),
        ("Content-Type", "image/png", 403, "AccessDenied"),
    ] {
        let refused = client.send("POST", "/bucket", &[TYPE], form(&edited(name, value), "bytes")).await;
        refused.refused(status, code);
    }
    let extra = [&fields[..], &[("x-amz-meta-a", "1")]].concat();
    client.send("POST", "/bucket", &[TYPE], form(&extra, "bytes")).await.refused(403, "AccessDenied");
    let unsigned: Vec<_> = fields.iter().copied().filter(|(name, _)| *name != "signature").collect();
    client.send("POST", "/bucket", &[TYPE], form(&unsigned, "bytes")).await.refused(400, "InvalidArgument");
    assert_eq!(get(&client, "/bucket/down/a").await.status, 404);
    let of_any_bucket = signed("[[\"starts-with\", \"$key\", \"\"]]", &[("key", "up/b")]);
    let of_any_bucket = form(&borrowed(&of_any_bucket), "bytes");
    client.send("POST", "/bucket", &[TYPE], of_any_bucket).await.refused(403, "AccessDenied");
    assert_eq!(get(&client, "/bucket/up/b").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_a_form_is_nobody_s() {
    let client = closed().await;
    let plain = form(&[("key", "a")], "bytes");
    client.send("POST", "/bucket", &[TYPE], &plain).await.refused(403, "AccessDenied");
    client.send("POST", "/nowhere", &[TYPE], &plain).await.refused(404, "NoSuchBucket");
    let open = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    open.put("/bucket", "").await.expect(200);
    open.send("POST", "/bucket", &[TYPE], &plain).await.expect(204);
    assert_eq!(open.get("/bucket/a").await.expect(200).text(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_has_what_a_put_has_and_is_answered_as_it_asks() {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let tagging = "<Tagging><TagSet><Tag><Key>k</Key><Value>a b</Value></Tag></TagSet></Tagging>";
    let fields =
        [("key", "a"), ("tagging", tagging), ("x-amz-meta-m", "1"), ("success_action_status", "201")];
    let stored = client.send("POST", "/bucket", &[TYPE], form(&fields, "bytes")).await.expect(201);
    assert_eq!(stored.element("Key").as_deref(), Some("a"));
    let read = client.get("/bucket/a").await.expect(200);
    assert_eq!((read.header("x-amz-meta-m"), read.header("x-amz-tagging-count")), (Some("1"), Some("1")));
    let fields = [("key", "b"), ("success_action_redirect", "http://page.example/done?x=1")];
    let sent = client.send("POST", "/bucket", &[TYPE], form(&fields, "bytes")).await.expect(303);
    let to = sent.header("location").unwrap();
    assert!(to.starts_with("http://page.example/done?x=1&bucket=bucket&key=b&etag=%22"), "{to}");
    let wrong = [("key", "c"), ("x-amz-checksum-crc32", "AAAAAA==")];
    client.send("POST", "/bucket", &[TYPE], form(&wrong, "bytes")).await.refused(400, "BadDigest");
    let theirs = [("key", "c"), ("x-amz-expected-bucket-owner", "somebody-else")];
    client.send("POST", "/bucket", &[TYPE], form(&theirs, "bytes")).await.refused(403, "AccessDenied");
    client.get("/bucket/c").await.refused(404, "NoSuchKey");
    let new = [("key", "a"), ("if-none-match", "*")];
    client.send("POST", "/bucket", &[TYPE], form(&new, "others")).await.refused(412, "PreconditionFailed");
    assert_eq!(client.get("/bucket/a").await.expect(200).text(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_form_is_refused_before_it_costs_anything() {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.post("/bucket", "x").await.refused(412, "PreconditionFailed");
    client.send("POST", "/bucket", &[TYPE], "--edge--\r\n").await.refused(400, "InvalidArgument");
    client.send("POST", "/bucket", &[TYPE], "nothing of the kind").await.refused(400, "MalformedPOSTRequest");
    client.send("POST", "/bucket", &[TYPE], form(&[], "x")).await.refused(400, "InvalidArgument");
    let nameless = form(&[("key", "a")], &"x".repeat(33 << 10)).replace("name=\"file\"", "name=\"\"");
    client.send("POST", "/bucket", &[TYPE], &nameless).await.refused(400, "MalformedPOSTRequest");
    let nameless = form(&[("key", "a"), ("", "x")], "x");
    client.send("POST", "/bucket", &[TYPE], nameless).await.refused(400, "MalformedPOSTRequest");
    let twice = [("key", "a"), ("KEY", "b")];
    client.send("POST", "/bucket", &[TYPE], form(&twice, "x")).await.refused(400, "InvalidArgument");
    let long = "v".repeat(21 * 1024);
    let over =
        client.send("POST", "/bucket", &[TYPE], form(&[("key", "a"), ("x-ignore-a", &long)], "x")).await;
    over.refused(400, "MaxPostPreDataLengthExceededError");
    let many: Vec<(String, String)> = (0..300).map(|at| (format!("x-ignore-{at}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let over = client.send("POST", "/bucket", &[TYPE], form(&many, "x")).await;
    over.refused(400, "MaxPostPreDataLengthExceededError");
    // A header of a part that never ends is refused and not collected, although large files are accepted.
    let endless = format!("--edge\r\nX: {}", "v".repeat(1 << 20));
    let over = client.send("POST", "/bucket", &[TYPE], endless).await;
    over.refused(400, "MaxPostPreDataLengthExceededError");
    client.get("/bucket/a").await.refused(404, "NoSuchKey");
    let large = "b".repeat(3 << 20);
    client.send("POST", "/bucket", &[TYPE], form(&[("key", "large")], &large)).await.expect(204);
    assert_eq!(client.get("/bucket/large").await.expect(200).body.len(), 3 << 20);
}
