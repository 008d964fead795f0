//! Requests that read, write, copy and delete objects.

use super::attributes::{Attributes, attributed};
use super::client::{Answer, Call, Client, ESCAPED, ESCAPED_IN_KEYS, S3Error};
use super::documents::{escaped, is_writable, moment};
use super::refusal::Kind;
use crate::checksum::{Crc, Sum, Verify};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use md5::{Digest, Md5};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use std::time::Duration;
use time::OffsetDateTime;

/// How many keys one DeleteObjects takes.
pub const DELETED_AT_ONCE: usize = 1000;
/// How often a body that broke off is asked for again at most.
pub(super) const BODY_REPEATS: u32 = 4;

/// What an endpoint says of an object beside its bytes.
#[derive(Clone, Debug)]
pub struct Info {
    pub size: u64,
    pub etag: String,
    pub modified: Option<OffsetDateTime>,
    /// The attributes, or why no copy can have them.
    pub attributes: Result<Attributes, String>,
    /// What the whole body can be verified by.
    pub verify: Verify,
}

/// A range of an object's bytes, without the one at its end.
pub type Range = std::ops::Range<u64>;

/// What must hold of the key's object for a write to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    None,
    /// The key has no object.
    Absent,
}

/// The bytes of an object, and what the endpoint says of it.
pub struct Found {
    pub bytes: Bytes,
    pub info: Info,
}

/// An object or a version that wasn't deleted, and why.
pub struct Undeleted {
    /// Which one it is of those that were to be deleted.
    pub at: usize,
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Deleted {
    #[serde(default)]
    error: Vec<DeleteError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteError {
    #[serde(default)]
    key: String,
    #[serde(default)]
    version_id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Copied {
    #[serde(rename = "ETag")]
    pub etag: String,
    #[serde(deserialize_with = "moment")]
    #[expect(dead_code, reason = "it says that the answer is one to a copy")]
    last_modified: OffsetDateTime,
}

impl DeleteError {
    /// Whether it may be about this key and version. Where one of the two sides names no version, the key decides.
    fn is_about(&self, (key, version): &(String, Option<String>)) -> bool {
        let is_version = match version {
            Some(version) if !self.version_id.is_empty() => *version == self.version_id,
            _ => true,
        };
        is_version && self.key == *key
    }
}

impl Client {
    /// Asks what an object is, without its bytes.
    pub async fn head(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Info, S3Error> {
        let call = |method| Call::new(method, bucket, key).query_if("versionId", version);
        match self.tell(call(Method::HEAD).header("x-amz-checksum-mode", "ENABLED")).await {
            Ok(headers) => self.info(&headers),
            // The answer to a HEAD has no body, so a GET is sent to learn the error's code.
            Err(S3Error::Refused(mute)) if mute.is_mute() => {
                let said = self.send(call(Method::GET).header("range", "bytes=0-0")).await;
                Err(said.err().unwrap_or(S3Error::Refused(mute)))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a whole object that has up to `at_most` bytes.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        at_most: u64,
    ) -> Result<Found, S3Error> {
        let call = || {
            Call::new(Method::GET, bucket, key)
                .query_if("versionId", version)
                .header("x-amz-checksum-mode", "ENABLED")
        };
        let (headers, bytes) = self.fetch(call, |length| length <= at_most).await?;
        Ok(Found { bytes, info: self.info(&headers)? })
    }

    /// Reads a range of an object, if the object still has that ETag.
    pub async fn get_range(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        etag: &str,
        range: Range,
    ) -> Result<Bytes, S3Error> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let call = || {
            Call::new(Method::GET, bucket, key)
                .query_if("versionId", version)
                .header("range", &format!("bytes={}-{}", range.start, range.end - 1))
                .header("if-match", etag)
        };
        self.fetch(call, |came| came == length).await.map(|(_, bytes)| bytes)
    }

    /// Reads a body whose length `is_expected` accepts. One that breaks off is asked for again.
    async fn fetch<'a>(
        &self,
        call: impl Fn() -> Call<'a>,
        is_expected: impl Fn(u64) -> bool,
    ) -> Result<(HeaderMap, Bytes), S3Error> {
        let mut repeats = 0;
        loop {
            let Answer { headers, body } = self.send(call()).await?;
            let length = self.length(&headers)?;
            if !is_expected(length) {
                return Err(self.nonsense(format!("{length} bytes came: the object was written anew")));
            }
            match self.read(body, length as usize).await {
                Ok(bytes) if bytes.len() as u64 == length => return Ok((headers, bytes)),
                Ok(_) if repeats == BODY_REPEATS => return Err(self.nonsense("it broke off".into())),
                Err(error) if repeats == BODY_REPEATS => return Err(error),
                _ => repeats += 1,
            }
            tokio::time::sleep(Duration::from_millis(200 << repeats)).await;
        }
    }

    /// Writes an object in one request.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        sum: Option<Sum>,
        attributes: &Attributes,
        condition: Condition,
    ) -> Result<String, S3Error> {
        let call = Call::new(Method::PUT, bucket, key).body(bytes.clone());
        let call = summed(attributed(conditioned(call, condition), attributes), sum);
        match self.tell(call).await {
            Ok(headers) => Ok(text(&headers, "etag").unwrap_or_default()),
            Err(S3Error::Refused(refusal)) if refusal.is_of_repeat && refusal.kind == Kind::Changed => {
                let there = self.head(bucket, key, None).await?;
                let is_it = match &there.verify {
                    Verify::Sum(there) => Sum::of(there.crc(), &bytes) == *there,
                    Verify::Md5(digest) => <[u8; 16]>::from(Md5::digest(&bytes)) == *digest,
                    Verify::Length => false,
                };
                if is_it { Ok(there.etag) } else { Err(S3Error::Refused(refusal)) }
            }
            Err(error) => Err(error),
        }
    }

    /// Has the endpoint copy an object, if the object still has that ETag.
    pub async fn copy(
        &self,
        from: (&str, &str, Option<&str>),
        etag: &str,
        to: (&str, &str),
        attributes: Option<&Attributes>,
    ) -> Result<String, S3Error> {
        let call = Call::new(Method::PUT, to.0, to.1)
            .header("x-amz-copy-source", &source(from))
            .header("x-amz-copy-source-if-match", etag);
        let call = match attributes {
            None => call,
            Some(attributes) => attributed(call, attributes).header("x-amz-metadata-directive", "REPLACE"),
        };
        let copied: Copied = self.ask(call).await?;
        Ok(copied.etag)
    }

    /// Deletes an object, or one version of it.
    pub async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(), S3Error> {
        self.tell(Call::new(Method::DELETE, bucket, key).query_if("versionId", version)).await.map(drop)
    }

    /// Deletes an object if it still has that ETag, as far as the endpoint heeds `If-Match`.
    pub async fn delete_same(&self, bucket: &str, key: &str, etag: &str) -> Result<(), S3Error> {
        let refusal = match self.tell(Call::new(Method::DELETE, bucket, key).header("if-match", etag)).await {
            Err(S3Error::Refused(refusal)) if refusal.is_of_repeat => refusal,
            told => return told.map(drop),
        };
        let is_gone = match refusal.kind {
            Kind::NoObject | Kind::NotFound => true,
            Kind::Changed => match self.head(bucket, key, None).await {
                Err(S3Error::Refused(now)) => matches!(now.kind, Kind::NoObject | Kind::NotFound),
                _ => false,
            },
            _ => false,
        };
        if is_gone { Ok(()) } else { Err(S3Error::Refused(refusal)) }
    }

    /// Deletes up to [`DELETED_AT_ONCE`] objects or versions, and gives those that weren't deleted. A key that XML
    /// can't carry is deleted by a request of its own.
    pub async fn delete_many(
        &self,
        bucket: &str,
        keys: &[(String, Option<String>)],
    ) -> Result<Vec<Undeleted>, S3Error> {
        let (named, unnameable): (Vec<_>, Vec<_>) =
            keys.iter().enumerate().partition(|(_, (key, _))| is_writable(key));
        let mut undeleted = Vec::new();
        for (at, (key, version)) in unnameable {
            if let Err(error) = self.delete(bucket, key, version.as_deref()).await {
                undeleted.push(Undeleted { at, problem: error.to_string() });
            }
        }
        if named.is_empty() {
            return Ok(undeleted);
        }
        let mut document = "<Delete><Quiet>true</Quiet>".to_owned();
        for (_, (key, version)) in named {
            let version = version.as_ref().map(|id| format!("<VersionId>{}</VersionId>", escaped(id)));
            document +=
                &format!("<Object><Key>{}</Key>{}</Object>", escaped(key), version.unwrap_or_default());
        }
        document += "</Delete>";
        let md5 = BASE64_STANDARD.encode(Md5::digest(&document));
        let call = Call::new(Method::POST, bucket, "")
            .query("delete", "")
            .header("content-md5", &md5)
            .header("content-type", "application/xml")
            .body(document.into());
        let deleted: Deleted = self.ask(call).await?;
        for error in deleted.error {
            let problem = format!("the endpoint answered {} {}", error.code, error.message);
            let before = undeleted.len();
            let meant = keys.iter().enumerate().filter(|(_, asked)| error.is_about(asked));
            undeleted.extend(meant.map(|(at, _)| Undeleted { at, problem: problem.clone() }));
            // Whatever it is about, it wasn't deleted, so that none of them is known to be.
            if undeleted.len() == before {
                return Err(self.nonsense(format!("{problem}, about a key that wasn't to be deleted")));
            }
        }
        Ok(undeleted)
    }

    /// A URL by which anybody may read an object, or write it, until it expires.
    pub fn presign(
        &self,
        method: Method,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        expires: Duration,
    ) -> Result<String, S3Error> {
        self.presigned(&Call::new(method, bucket, key).query_if("versionId", version), expires)
    }

    fn info(&self, headers: &HeaderMap) -> Result<Info, S3Error> {
        info(headers).map_err(|problem| self.nonsense(problem))
    }

    pub(super) fn length(&self, headers: &HeaderMap) -> Result<u64, S3Error> {
        length(headers).map_err(|problem| self.nonsense(problem))
    }
}

/// What an answer's headers say of an object.
pub(super) fn info(headers: &HeaderMap) -> Result<Info, String> {
    let modified = text(headers, "last-modified").and_then(|date| httpdate::parse_http_date(&date).ok());
    Ok(Info {
        size: length(headers)?,
        etag: text(headers, "etag").unwrap_or_default(),
        modified: modified.map(OffsetDateTime::from),
        attributes: Attributes::of(headers),
        verify: verify(headers),
    })
}

fn length(headers: &HeaderMap) -> Result<u64, String> {
    let length = text(headers, "content-length").and_then(|length| length.parse().ok());
    length.ok_or_else(|| "it doesn't say how long it is".into())
}

/// What a body can be verified by: a checksum of the whole, or an ETag that is its MD5.
fn verify(headers: &HeaderMap) -> Verify {
    let is_whole = text(headers, "x-amz-checksum-type").is_none_or(|kind| kind == "FULL_OBJECT");
    for crc in Crc::ALL {
        if let Some(value) = text(headers, crc.header())
            && is_whole
            && let Some(sum) = Sum::parse(crc, &value)
        {
            return Verify::Sum(sum);
        }
    }
    // With SSE-KMS and SSE-C the ETag isn't the MD5 of the plaintext.
    let is_other = text(headers, "x-amz-server-side-encryption").is_some_and(|how| how != "AES256")
        || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    let etag = text(headers, "etag").unwrap_or_default();
    match hex::decode(etag.trim_matches('"')).ok().and_then(|digest| <[u8; 16]>::try_from(digest).ok()) {
        Some(digest) if !is_other => Verify::Md5(digest),
        _ => Verify::Length,
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    String::from_utf8(value.to_vec()).ok().filter(|text| !text.is_empty())
}

/// The value of `x-amz-copy-source`.
pub(super) fn source((bucket, key, version): (&str, &str, Option<&str>)) -> String {
    let version = version.map(|id| format!("?versionId={}", utf8_percent_encode(id, ESCAPED)));
    format!("/{bucket}/{}{}", utf8_percent_encode(key, ESCAPED_IN_KEYS), version.unwrap_or_default())
}

pub(super) fn summed(call: Call<'_>, sum: Option<Sum>) -> Call<'_> {
    match sum {
        Some(sum) => call.header(sum.crc().header(), &sum.to_string()),
        None => call,
    }
}

pub(super) fn conditioned(call: Call<'_>, condition: Condition) -> Call<'_> {
    match condition {
        Condition::None => call,
        Condition::Absent => call.header("if-none-match", "*"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::staged::{Answer, Staged, refused};
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_body_is_verified_by_a_checksum_of_the_whole_else_by_an_etag_that_is_its_md5() {
        let md5 = ("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"");
        let crc = ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
        assert!(matches!(verify(&headers(&[md5, crc])), Verify::Sum(_)));
        assert!(matches!(
            verify(&headers(&[md5, crc, ("x-amz-checksum-type", "COMPOSITE")])),
            Verify::Md5(_)
        ));
        assert!(matches!(verify(&headers(&[md5])), Verify::Md5(_)));
        assert!(matches!(
            verify(&headers(&[md5, ("x-amz-server-side-encryption", "aws:kms")])),
            Verify::Length
        ));
        assert!(matches!(
            verify(&headers(&[("etag", "\"d41d8cd98f00b204e9800998ecf8427e-2\"")])),
            Verify::Length
        ));
    }

    #[test]
    fn a_copys_source_is_escaped_but_for_slashes() {
        assert_eq!(source(("b", "a b/../ü?", Some("v+1"))), "/b/a%20b/../%C3%BC%3F?versionId=v%2B1");
    }

    const MD5_OF_X: &str = "\"9dd4e461268c8034f5c8564e155c67a6\"";

    /// Loses the first answer of each kind of request but HEAD, and says afterwards what `after` says.
    async fn forgetful(after: (u16, &'static str), head: (u16, &'static str)) -> Staged {
        Staged::new(move |before, request| match request.split(' ').next() {
            Some("HEAD") => {
                Answer::Said(head.0, format!("etag: {}\r\ncontent-length: 1\r\n", head.1), "".into())
            }
            _ if !before.iter().any(|seen| seen == request) => Answer::Lost,
            _ => refused(after.0, after.1),
        })
        .await
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_counts_if_its_object_is_there() {
        let attributes = Attributes::default();
        for (etag, is_done) in [(MD5_OF_X, true), ("\"9dd4e461268c8034f5c8564e155c67a7\"", false)] {
            let staged = forgetful((412, "PreconditionFailed"), (200, etag)).await;
            let client = staged.client().await;
            let put = client.put("b", "k", "x".into(), None, &attributes, Condition::Absent).await;
            assert_eq!(put.is_ok(), is_done, "{:?}", staged.requests());
        }
        // Without a loss the object is another one's, whatever it is.
        let staged = Staged::new(|_, request| match request.starts_with("HEAD") {
            true => Answer::Said(200, format!("etag: {MD5_OF_X}\r\n"), "x".into()),
            false => refused(412, "PreconditionFailed"),
        })
        .await;
        let client = staged.client().await;
        assert!(client.put("b", "k", "x".into(), None, &attributes, Condition::Absent).await.is_err());
    }

    #[tokio::test]
    async fn a_deletion_whose_answer_was_lost_counts_if_nothing_is_there() {
        for (after, head, is_done) in [
            ((404, "NoSuchKey"), (404, ""), true),
            ((412, "PreconditionFailed"), (404, ""), true),
            ((412, "PreconditionFailed"), (200, MD5_OF_X), false),
            ((403, "AccessDenied"), (404, ""), false),
        ] {
            let staged = Staged::new(move |before, request| match request.split(' ').next() {
                Some("HEAD") => Answer::Said(head.0, format!("etag: {}\r\n", head.1), String::new()),
                Some("GET") => refused(404, "NoSuchKey"),
                _ if !before.iter().any(|seen| seen == request) => Answer::Lost,
                _ => refused(after.0, after.1),
            })
            .await;
            let client = staged.client().await;
            assert_eq!(client.delete_same("b", "k", MD5_OF_X).await.is_ok(), is_done, "{after:?} {head:?}");
        }
        let staged = forgetful((404, "NoSuchBucket"), (200, MD5_OF_X)).await;
        assert!(staged.client().await.remove_bucket("b").await.is_ok());
        let staged = forgetful((404, "NoSuchUpload"), (200, MD5_OF_X)).await;
        let upload = super::super::Upload { bucket: "b".into(), key: "k".into(), id: "u".into() };
        assert!(staged.client().await.abort(&upload).await.is_ok());
        let staged = Staged::new(|_, _| refused(404, "NoSuchUpload")).await;
        assert!(staged.client().await.abort(&upload).await.is_err(), "nobody aborted it for this client");
    }

    #[tokio::test]
    async fn a_failed_version_leaves_the_other_ones_of_its_key_deleted() {
        let failed = |error: &'static str| async move {
            let staged = Staged::new(move |_, request| match request.starts_with("POST") {
                true => Answer::Said(200, String::new(), format!("<DeleteResult>{error}</DeleteResult>")),
                false => refused(404, "NoSuchBucket"),
            })
            .await;
            let of = |key: &str, version: Option<&str>| (key.to_owned(), version.map(str::to_owned));
            let keys =
                [of("k", Some("1")), of("k", Some("2")), of("l", None), of(" m ", None), of("m", None)];
            let undeleted = staged.client().await.delete_many("b", &keys).await;
            undeleted.map(|undeleted| undeleted.iter().map(|undeleted| undeleted.at).collect::<Vec<_>>())
        };
        assert_eq!(failed("").await.unwrap(), [0; 0]);
        assert_eq!(failed("<Error><Key>k</Key><VersionId>2</VersionId></Error>").await.unwrap(), [1]);
        assert_eq!(failed("<Error><Key>k</Key></Error>").await.unwrap(), [0, 1]);
        assert_eq!(failed("<Error><Key>l</Key><VersionId>null</VersionId></Error>").await.unwrap(), [2]);
        assert_eq!(failed("<Error><Key> m </Key></Error>").await.unwrap(), [3]);
        assert_eq!(failed("<Error><Key>m</Key></Error>").await.unwrap(), [4]);
        assert!(failed("<Error><Key>other</Key></Error>").await.is_err());
        assert!(failed("<Error><Code>InternalError</Code></Error>").await.is_err());
    }
}
