//! Tags of objects and of buckets.

use super::client::{Call, Client, S3Error};
use super::documents::escaped;
use super::refusal::Kind;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use md5::{Digest, Md5};
use serde::Deserialize;
use std::collections::BTreeMap;

pub type Tags = BTreeMap<String, String>;

#[derive(Deserialize)]
pub(super) struct Tagging {
    #[serde(rename = "TagSet", default)]
    set: TagSet,
}

#[derive(Deserialize, Default)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl Client {
    /// The tags of an object, or of a bucket if the key is empty.
    pub async fn tags(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Tags, S3Error> {
        let call = Call::new(Method::GET, bucket, key).query("tagging", "").query_if("versionId", version);
        match self.ask::<Tagging>(call).await {
            Ok(tagging) => Ok(tagging.set.tags.into_iter().map(|tag| (tag.key, tag.value)).collect()),
            // A bucket without tags is answered with this error.
            Err(S3Error::Refused(refusal)) if refusal.code() == "NoSuchTagSet" => Ok(Tags::new()),
            Err(error) => Err(error),
        }
    }

    /// Replaces all tags by these.
    pub async fn set_tags(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        tags: &Tags,
    ) -> Result<(), S3Error> {
        let call =
            |method| Call::new(method, bucket, key).query("tagging", "").query_if("versionId", version);
        if tags.is_empty() {
            return match self.tell(call(Method::DELETE)).await {
                Err(S3Error::Refused(refusal)) if refusal.kind == Kind::NoObject && key.is_empty() => Ok(()),
                told => told.map(drop),
            };
        }
        let tag = |(key, value): (&String, &String)| {
            format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escaped(key), escaped(value))
        };
        let document =
            format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.iter().map(tag).collect::<String>());
        let md5 = BASE64_STANDARD.encode(Md5::digest(&document));
        self.tell(call(Method::PUT).header("content-md5", &md5).body(document.into())).await.map(drop)
    }
}
