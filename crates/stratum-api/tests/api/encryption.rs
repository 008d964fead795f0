//! Server-side encryption: it is done and told as the client asks, only whoever has the key can read the object, and no
//! drive holds the plaintext.

use crate::client::{Answered, Client};
use crate::rig::{Age, Choices, noise};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use std::path::Path;

const MIB: usize = 1 << 20;
/// The lengths around the limits of small bodies, frames and segments.
const LENGTHS: [usize; 7] = [0, 1, 1000, (32 << 10) - 50, 32 << 10, 300_000, 9 * MIB];

const S3: &[(&str, &str)] = &[("x-amz-server-side-encryption", "AES256")];
const KMS: &[(&str, &str)] =
    &[("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-aws-kms-key-id", "other")];

/// A client's own key, as the headers of a request.
struct Own(Vec<(String, String)>);

impl Own {
    fn new(byte: u8) -> Own {
        Own::named("x-amz-server-side-encryption-customer", byte)
    }

    fn of_source(byte: u8) -> Own {
        Own::named("x-amz-copy-source-server-side-encryption-customer", byte)
    }

    fn named(begin: &str, byte: u8) -> Own {
        let key = [byte; 32];
        let pairs = [
            ("algorithm", "AES256".into()),
            ("key", BASE64.encode(key)),
            ("key-MD5", BASE64.encode(Md5::digest(key))),
        ];
        Own(pairs.map(|(end, value)| (format!("{begin}-{end}"), value)).into())
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn md5(&self) -> &str {
        &self.0[2].1
    }
}

/// A client over TLS with a bucket, in a store of a level that can encrypt.
async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, tls: true, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

impl Client {
    async fn with_headers(
        &self,
        method: &str,
        target: &str,
        headers: &[&[(&str, &str)]],
        body: impl AsRef<[u8]>,
    ) -> Answered {
        self.send(method, target, &headers.concat(), body).await
    }

    /// Asserts that an object and some ranges of it are read with these headers.
    async fn reads_with(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        let whole = self.send("GET", target, headers, "").await.expect(200);
        assert!(whole.body == body, "{target}");
        let last = body.len().saturating_sub(1);
        for (from, to) in [(0, 0), (last, last), (last / 2, last), (262_143, 262_144), (31, last.min(9000))] {
            if from <= to && to < body.len() {
                let range = [("range", format!("bytes={from}-{to}"))];
                let range = range.each_ref().map(|(name, value)| (*name, value.as_str()));
                let part = self.with_headers("GET", target, &[headers, &range], "").await.expect(206);
                assert!(part.body == body[from..=to], "{target} {range:?}");
            }
        }
        self.send("HEAD", target, headers, "").await.expect(200)
    }
}

fn md5_of(body: &[u8]) -> String {
    let digest = Md5::digest(body);
    format!("\"{}\"", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_any_length_comes_back_in_each_mode() {
    let client = with_bucket().await;
    let own = Own::new(1);
    for length in LENGTHS {
        let body = noise(length as u64, length);
        for (mode, asked, read) in
            [("s3", S3.to_vec(), vec![]), ("kms", KMS.to_vec(), vec![]), ("c", own.headers(), own.headers())]
        {
            let target = format!("/bucket/{mode}-{length}");
            let put = client.with_headers("PUT", &target, &[&asked, &[("x-amz-meta-of", "it")]], &body).await;
            let put = put.expect(200);
            let head = client.reads_with(&target, &read, &body).await;
            for answer in [&put, &head] {
                let told = |name| answer.header(name);
                match mode {
                    "s3" => assert_eq!(told("x-amz-server-side-encryption"), Some("AES256")),
                    "kms" => {
                        assert_eq!(told("x-amz-server-side-encryption"), Some("aws:kms"));
                        assert_eq!(told("x-amz-server-side-encryption-aws-kms-key-id"), Some("other"));
                    }
                    _ => {
                        assert_eq!(told("x-amz-server-side-encryption-customer-algorithm"), Some("AES256"));
                        assert_eq!(told("x-amz-server-side-encryption-customer-key-md5"), Some(own.md5()));
                        assert_eq!(told("x-amz-server-side-encryption"), None);
                    }
                }
            }
            assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
            assert_eq!(head.header("x-amz-meta-of"), Some("it"));
            // As in S3, the ETag is the MD5 only of objects that are encrypted with SSE-S3.
            assert_eq!(put.header("etag"), head.header("etag"));
            assert_eq!(put.header("etag") == Some(&md5_of(&body)), mode == "s3", "{mode} {length}");
        }
    }
    let listed = client.get("/bucket").await.expect(200);
    assert_eq!(listed.elements("Key").len(), 3 * LENGTHS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_that_wrote_an_object_reads_it() {
    let client = with_bucket().await;
    let (own, other) = (Own::new(1), Own::new(2));
    for (key, body) in [("short", noise(1, 100)), ("long", noise(2, 300_000))] {
        let target = format!("/bucket/{key}");
        client.send("PUT", &target, &own.headers(), &body).await.expect(200);
        for method in ["GET", "HEAD"] {
            let refused = |answer: Answered| assert_eq!(answer.status, 400, "{method} {key}");
            refused(client.send(method, &target, &[], "").await);
            refused(client.send(method, &target, &other.headers(), "").await);
        }
        client.get(&target).await.refused(400, "InvalidRequest");
        client.send("GET", &target, &other.headers(), "").await.refused(400, "InvalidRequest");
        let attributes = format!("{target}?attributes");
        let wanted = [("x-amz-object-attributes", "ETag,ObjectSize")];
        client.send("GET", &attributes, &wanted, "").await.refused(400, "InvalidRequest");
        let told = client.with_headers("GET", &attributes, &[&wanted, &own.headers()], "").await.expect(200);
        assert_eq!(told.element("ObjectSize"), Some(body.len().to_string()));
        // A mistake in the request itself is told before a missing key.
        client.get(&format!("{target}?partNumber=2")).await.refused(400, "InvalidPart");
        client.reads_with(&target, &own.headers(), &body).await;
    }
    // A client's key is refused for an object that isn't encrypted with one.
    client.put("/bucket/plain", "x").await.expect(200);
    client.send("PUT", "/bucket/s3", S3, "x").await.expect(200);
    for target in ["/bucket/plain", "/bucket/s3"] {
        client.send("GET", target, &own.headers(), "").await.refused(400, "InvalidRequest");
        client.send("GET", target, S3, "").await.refused(400, "InvalidArgument");
        client.get(target).await.expect(200);
    }
    client.delete("/bucket/short").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_what_is_needed_is_refused() {
    let client = with_bucket().await;
    let own = Own::new(1);
    let put = async |headers: &[(&str, &str)]| client.send("PUT", "/bucket/key", headers, "x").await;
    for absent in 0..3 {
        let mut some = own.headers();
        some.remove(absent);
        put(&some).await.refused(400, "InvalidArgument");
    }
    let mut other = own.headers();
    other[0].1 = "AES128";
    put(&other).await.refused(400, "InvalidEncryptionAlgorithmError");
    let with = |more: &[(&'static str, &'static str)]| [&own.headers()[..], more].concat();
    put(&with(S3)).await.refused(400, "InvalidArgument");
    put(&with(KMS)).await.refused(400, "InvalidArgument");
    put(&[("x-amz-server-side-encryption", "aes:kms")]).await.refused(400, "InvalidArgument");
    put(&KMS[1..]).await.refused(400, "InvalidArgument");
    put(&[S3[0], KMS[1]]).await.refused(400, "InvalidArgument");
    put(&[KMS[0], ("x-amz-server-side-encryption-aws-kms-key-id", "none")])
        .await
        .refused(400, "KMS.NotFoundException");
    put(&[("x-amz-server-side-encryption", "aws:kms:dsse")]).await.refused(501, "NotImplemented");
    client.get("/bucket/key").await.refused(404, "NoSuchKey");
    let of_a_delete = client.send("DELETE", "/bucket/key", S3, "").await;
    of_a_delete.refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_key_does_not_travel_in_the_clear() {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let own = Own::new(1);
    client.send("PUT", "/bucket/key", &own.headers(), "x").await.refused(400, "InvalidRequest");
    client.put("/bucket/key", "x").await.expect(200);
    client.send("GET", "/bucket/key", &own.headers(), "").await.refused(400, "InvalidRequest");
    client.send("PUT", "/bucket/other", S3, "x").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_not_raised_says_what_it_takes() {
    let client = Client::with(Choices { age: Age::Old, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.send("PUT", "/bucket/key", S3, "x").await.refused(501, "NotImplemented");
    client.put("/bucket?encryption", default_of("AES256", "")).await.refused(501, "NotImplemented");
    client.delete("/bucket?encryption").await.expect(204);
}

/// A way in which an object may be encrypted, with the headers of a write, of a read, and of a copy from such an
/// object.
struct Mode {
    name: &'static str,
    write: Vec<(String, String)>,
    read: Vec<(String, String)>,
    source: Vec<(String, String)>,
}

fn modes(byte: u8) -> [Mode; 4] {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let mode = |name, write, read, source| Mode { name, write, read, source };
    let own = || Own::new(byte).0;
    [
        mode("clear", vec![], vec![], vec![]),
        mode("s3", owned(S3), vec![], vec![]),
        mode("kms", owned(KMS), vec![], vec![]),
        mode("c", own(), own(), Own::of_source(byte).0),
    ]
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_from_each_mode_to_each() {
    let client = with_bucket().await;
    for length in [0, 1000, 600_000] {
        let body = noise(7, length);
        for from in modes(1) {
            let source = format!("/bucket/from-{}", from.name);
            let kept = [("content-type", "text/kept"), ("x-amz-meta-kept", "yes")];
            let put = client.with_headers("PUT", &source, &[&borrowed(&from.write), &kept], &body).await;
            put.expect(200);
            for to in modes(2) {
                let target = format!("/bucket/to-{}", to.name);
                let copy = [("x-amz-copy-source", source.as_str())];
                if !from.source.is_empty() {
                    let headers = [&copy[..], &borrowed(&to.write)];
                    client.with_headers("PUT", &target, &headers, "").await.refused(400, "InvalidRequest");
                }
                let headers = [&copy[..], &borrowed(&to.write), &borrowed(&from.source)];
                client.with_headers("PUT", &target, &headers, "").await.expect(200);
                let head = client.reads_with(&target, &borrowed(&to.read), &body).await;
                assert_eq!(head.header("content-type"), Some("text/kept"), "{} to {}", from.name, to.name);
                assert_eq!(head.header("x-amz-meta-kept"), Some("yes"));
                let told = head.header("x-amz-server-side-encryption");
                assert_eq!(told.is_some(), matches!(to.name, "s3" | "kms"));
            }
        }
    }
    // An object may be copied onto itself to encrypt it.
    client.put("/bucket/same", "x").await.expect(200);
    let copy = [("x-amz-copy-source", "/bucket/same")];
    client.send("PUT", "/bucket/same", &copy, "").await.refused(400, "InvalidRequest");
    client.with_headers("PUT", "/bucket/same", &[&copy, S3], "").await.expect(200);
    assert_eq!(client.get("/bucket/same").await.header("x-amz-server-side-encryption"), Some("AES256"));
}

/// A copy of an object onto itself that asks for nothing is refused unless it changes how the object is encrypted. S3
/// itself encrypts everything with SSE-S3 at least, so that this is never taken away so.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_object_onto_itself_may_change_how_it_is_encrypted() {
    let client = with_bucket().await;
    let copy = [("x-amz-copy-source", "/bucket/same")];
    for mode in modes(1) {
        client.send("PUT", "/bucket/same", &borrowed(&mode.write), "x").await.expect(200);
        let copied = client.with_headers("PUT", "/bucket/same", &[&copy, &borrowed(&mode.source)], "").await;
        match mode.name {
            "clear" | "s3" => copied.refused(400, "InvalidRequest"),
            _ => drop(copied.expect(200)),
        }
        assert_eq!(client.send("GET", "/bucket/same", &[], "").await.expect(200).body, b"x");
    }
    client.send("PUT", "/bucket/same", KMS, "x").await.expect(200);
    client.put("/bucket?encryption", default_of("AES256", "")).await.expect(200);
    let told = client.send("PUT", "/bucket/same", &copy, "").await.expect(200);
    assert_eq!(told.header("x-amz-server-side-encryption"), Some("AES256"), "the bucket's default");
    client.send("PUT", "/bucket/same", &copy, "").await.refused(400, "InvalidRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_encrypted_object_onto_itself_changes_its_redirect_or_is_refused() {
    const REDIRECT: &str = "x-amz-website-redirect-location";
    let client = with_bucket().await;
    let default = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
                   <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
                   </ServerSideEncryptionConfiguration>";
    client.put("/bucket?encryption", default).await.expect(200);
    client.send("PUT", "/bucket/same", &[(REDIRECT, "/there")], "x").await.expect(200);
    let copy = ("x-amz-copy-source", "/bucket/same");
    let to = |to| [copy, (REDIRECT, to)];
    client.send("PUT", "/bucket/same", &to("/there"), "").await.refused(400, "InvalidRequest");
    client.send("PUT", "/bucket/same", &to("/elsewhere"), "").await.expect(200);
    assert_eq!(client.get("/bucket/same").await.header(REDIRECT), Some("/elsewhere"));
    // A copy doesn't take the redirect along, so one that names none takes it away.
    client.send("PUT", "/bucket/same", &[copy], "").await.expect(200);
    assert_eq!(client.get("/bucket/same").await.header(REDIRECT), None);
    client.send("PUT", "/bucket/same", &[copy], "").await.refused(400, "InvalidRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_encrypted_as_their_upload() {
    let client = with_bucket().await;
    let (first, second) = (noise(1, 5 * MIB), noise(2, 1000));
    let body = [&first[..], &second].concat();
    client.put("/bucket/plain", &second).await.expect(200);
    for mode in modes(1) {
        let target = format!("/bucket/{}", mode.name);
        let (write, read) = (borrowed(&mode.write), borrowed(&mode.read));
        let kept = [("x-amz-meta-kept", "yes")];
        let begun = client.with_headers("POST", &format!("{target}?uploads"), &[&write, &kept], "").await;
        let upload = begun.expect(200).element("UploadId").unwrap();
        let part = |number| format!("{target}?partNumber={number}&uploadId={upload}");
        let copy = [("x-amz-copy-source", "/bucket/plain")];
        if mode.name == "c" {
            client.put(&part(1), &first).await.refused(400, "InvalidRequest");
            let other = Own::new(9);
            client.send("PUT", &part(1), &other.headers(), &first).await.refused(400, "InvalidRequest");
            client.send("PUT", &part(2), &copy, "").await.refused(400, "InvalidRequest");
        } else {
            client.send("PUT", &part(1), &Own::new(1).headers(), &first).await.refused(400, "InvalidRequest");
        }
        // Headers may repeat what the upload was created with, and ask for nothing else.
        for (name, headers) in [("s3", S3), ("kms", KMS)] {
            let sent = client.with_headers("PUT", &part(9), &[&read, headers], "x").await;
            match mode.name == name {
                true => drop(sent.expect(200)),
                false => sent.refused(400, "InvalidArgument"),
            }
        }
        // Sent twice: no two bodies are sealed alike.
        client.send("PUT", &part(1), &read, noise(3, 5 * MIB)).await.expect(200);
        let sent = client.send("PUT", &part(1), &read, &first).await.expect(200);
        let copied = client.with_headers("PUT", &part(2), &[&copy, &read], "").await.expect(200);
        let etags = [sent.header("etag").unwrap().to_owned(), copied.element("ETag").unwrap()];
        let parts = etags.iter().zip(1..).map(|(etag, number)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        });
        let parts: String = parts.collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let complete = format!("{target}?uploadId={upload}");
        if mode.name == "c" {
            let other = Own::new(9);
            let refused = client.send("POST", &complete, &other.headers(), &document).await;
            refused.refused(400, "InvalidRequest");
            client.post(&complete, &document).await.refused(400, "InvalidRequest");
        }
        let other = if mode.name == "s3" { KMS } else { S3 };
        client
            .with_headers("POST", &complete, &[&read, other], &document)
            .await
            .refused(400, "InvalidArgument");
        let first = client.send("POST", &complete, &read, &document).await.expect(200);
        let again = client.send("POST", &complete, &read, &document).await.expect(200);
        for name in ["", "-aws-kms-key-id", "-customer-algorithm", "-customer-key-MD5"] {
            let name = format!("x-amz-server-side-encryption{name}");
            assert_eq!(first.header(&name), again.header(&name), "{} {name}", mode.name);
        }
        let head = client.reads_with(&target, &read, &body).await;
        assert_eq!(head.header("x-amz-meta-kept"), Some("yes"));
        let second_part = client.send("GET", &format!("{target}?partNumber=2"), &read, "").await.expect(206);
        assert!(second_part.body == second);
    }
}

fn default_of(algorithm: &str, more: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
         <SSEAlgorithm>{algorithm}</SSEAlgorithm>{more}</ApplyServerSideEncryptionByDefault></Rule>\
         </ServerSideEncryptionConfiguration>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buckets_default_counts_where_nothing_is_asked_for() {
    let client = with_bucket().await;
    let none = "ServerSideEncryptionConfigurationNotFoundError";
    client.get("/bucket?encryption").await.refused(404, none);
    client.delete("/bucket?encryption").await.expect(204);
    let told = async |target: &str| {
        let head = client.send("HEAD", target, &[], "").await.expect(200);
        head.header("x-amz-server-side-encryption").map(str::to_owned)
    };
    client.put("/bucket/before", "x").await.expect(200);

    client.put("/bucket?encryption", default_of("AES256", "")).await.expect(200);
    let document = client.get("/bucket?encryption").await.expect(200);
    assert_eq!(document.element("SSEAlgorithm").as_deref(), Some("AES256"));
    client.put("/bucket/by-default", "x").await.expect(200);
    assert_eq!(told("/bucket/by-default").await.as_deref(), Some("AES256"));
    client.send("PUT", "/bucket/asked", KMS, "x").await.expect(200);
    assert_eq!(told("/bucket/asked").await.as_deref(), Some("aws:kms"));
    assert_eq!(told("/bucket/before").await, None);
    let own = Own::new(1);
    client.send("PUT", "/bucket/own", &own.headers(), "x").await.expect(200);
    client.send("GET", "/bucket/own", &own.headers(), "").await.expect(200);

    let kms = default_of("aws:kms", "<KMSMasterKeyID>other</KMSMasterKeyID>");
    client.put("/bucket?encryption", kms).await.expect(200);
    let put = client.put("/bucket/by-kms", "x").await.expect(200);
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), Some("other"));
    let copy = [("x-amz-copy-source", "/bucket/before")];
    let copied = client.send("PUT", "/bucket/copied", &copy, "").await.expect(200);
    assert_eq!(copied.header("x-amz-server-side-encryption"), Some("aws:kms"));
    client.put("/bucket?encryption", default_of("ROT13", "")).await.refused(400, "MalformedXML");
    // As in S3, a default key that doesn't exist is noticed only when an object is written.
    let absent = default_of("aws:kms", "<KMSMasterKeyID>none</KMSMasterKeyID>");
    client.put("/bucket?encryption", absent).await.expect(200);
    client.put("/bucket/none", "x").await.refused(400, "KMS.NotFoundException");

    client.delete("/bucket?encryption").await.expect(204);
    client.get("/bucket?encryption").await.refused(404, none);
    client.put("/bucket/after", "x").await.expect(200);
    assert_eq!(told("/bucket/after").await, None);
    assert_eq!(client.get("/bucket/by-default").await.expect(200).body, b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_drive_shows_what_is_encrypted() {
    let client = with_bucket().await;
    let own = Own::new(1);
    let secret = "what nobody may see who has a drive and no more ";
    let (long, short) = (secret.repeat(20_000), secret.repeat(3));
    let meta = [("x-amz-meta-hidden", "metadata that nobody may see"), ("content-type", "secret/content")];
    for (mode, asked) in [("s3", S3.to_vec()), ("kms", KMS.to_vec()), ("c", own.headers())] {
        for (length, body) in [("long", &long), ("short", &short)] {
            let target = format!("/bucket/{mode}-{length}");
            client.with_headers("PUT", &target, &[&asked, &meta], body).await.expect(200);
        }
        let target = format!("/bucket/{mode}-parts?uploads");
        let begun = client.with_headers("POST", &target, &[&asked, &meta], "").await.expect(200);
        let upload = begun.element("UploadId").unwrap();
        let part = format!("/bucket/{mode}-parts?partNumber=1&uploadId={upload}");
        let key = if mode == "c" { own.headers() } else { vec![] };
        client.send("PUT", &part, &key, &short).await.expect(200);
    }
    // An object in plaintext is found on the drives, which proves that the search works.
    client
        .with_headers(
            "PUT",
            "/bucket/clear",
            &[&[("x-amz-meta-hidden", "what anybody may see")]],
            "in the clear",
        )
        .await;
    let root = client.rig.drive(0);
    let store = root.parent().and_then(Path::parent).unwrap();
    let shown = |text: &str| count(store, text.as_bytes());
    assert!(shown("what anybody may see") > 0 && shown("in the clear") > 0);
    assert_eq!(shown("what nobody may see"), 0);
    assert_eq!(shown("metadata that nobody may see"), 0);
    assert_eq!(shown("secret/content"), 0);
    // None of the keys is on a drive.
    for key in [[1u8; 32], [2u8; 32]] {
        assert_eq!(count(store, &key), 0);
        assert_eq!(shown(&BASE64.encode(key)), 0);
    }
}

/// How many files below a folder hold these bytes.
fn count(folder: &Path, wanted: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += count(&path, wanted);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let first = wanted[0];
            let mut rest = bytes.as_slice();
            while let Some(at) = rest.iter().position(|byte| *byte == first) {
                rest = &rest[at..];
                if rest.starts_with(wanted) {
                    found += 1;
                    break;
                }
                rest = &rest[1..];
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_the_store_stays_readable_to_it() {
    let client = with_bucket().await;
    let said = [("x-amz-meta-stratum-priority", "latency"), ("x-amz-meta-mine", "hidden")];
    client.with_headers("PUT", "/bucket/key", &[S3, &said], "x").await.expect(200);
    let metadata = &client.rig.store.metadata;
    let bucket = metadata.local().bucket("bucket").unwrap().unwrap();
    let record = metadata.local().object(bucket.id, b"key").unwrap().unwrap();
    assert_eq!(record.headers.user.len(), 1);
    assert_eq!(record.headers.user["stratum-priority"], "latency");
    let head = client.send("HEAD", "/bucket/key", &[], "").await.expect(200);
    for (name, value) in said {
        assert_eq!(head.header(name), Some(value));
    }
    // Encrypted objects are not classified by their bytes.
    assert_eq!(client.rig.store.samples.counts().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_opens_under_no_other_name() {
    use stratum_metadata::command::{Command, WriteCondition};
    let client = with_bucket().await;
    client.send("PUT", "/bucket/key", S3, "secret").await.expect(200);
    let metadata = &client.rig.store.metadata;
    let bucket = metadata.local().bucket("bucket").unwrap().unwrap();
    let record = metadata.local().object(bucket.id, b"key").unwrap().unwrap();
    // Somebody who can write to the drives might put the record of one object under the name of another.
    let body = stratum_metadata::record::Body::Blob(stratum_storage::blob::BlobRef::plain(
        stratum_storage::blob::Place::Empty,
    ));
    let record = stratum_metadata::record::ObjectRecord { body, size: 0, ..record };
    let (key, condition) = (b"other".to_vec(), WriteCondition::default());
    let command = Command::PutObject { bucket: bucket.id, key, record, condition };
    metadata.commit(command, bytes::Bytes::new()).await.unwrap();
    client.get("/bucket/other").await.refused(500, "InternalError");
    client.get("/bucket/key").await.expect(200);
}
