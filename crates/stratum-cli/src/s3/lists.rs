//! Listings of objects and versions, page by page.

use super::client::{Call, Client, S3Error};
use super::documents::{decoded, decoded_some, moment};
use http::Method;
use serde::Deserialize;
use time::OffsetDateTime;

/// An object in a listing.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    #[serde(deserialize_with = "decoded")]
    pub key: String,
    pub size: u64,
    #[serde(rename = "ETag", default)]
    pub etag: String,
    #[serde(deserialize_with = "moment")]
    pub last_modified: OffsetDateTime,
    #[serde(default)]
    pub storage_class: Option<String>,
}

/// A version in a listing, or a delete marker.
#[derive(Clone, Debug)]
pub struct Version {
    pub key: String,
    pub id: String,
    pub is_latest: bool,
    pub modified: OffsetDateTime,
    /// A delete marker has none.
    pub size: Option<u64>,
}

/// A page of a listing.
pub struct Listed<T> {
    pub entries: Vec<T>,
    /// Common prefixes, where a delimiter was given.
    pub prefixes: Vec<String>,
    /// Where the next page begins: the continuation token, or the key marker and the marker of version or upload.
    pub next: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "$value", default)]
    items: Vec<PageItem>,
}

/// Some endpoints mix objects and common prefixes, so the items of a page are read one by one.
#[derive(Deserialize)]
enum PageItem {
    Contents(Entry),
    CommonPrefixes(CommonPrefix),
    IsTruncated(bool),
    NextContinuationToken(String),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CommonPrefix {
    #[serde(rename = "Prefix", deserialize_with = "decoded")]
    prefix: String,
}

#[derive(Deserialize)]
struct VersionsPage {
    #[serde(rename = "$value", default)]
    items: Vec<Item>,
}

/// Versions and delete markers come mixed, in the order of their keys, so they are read one by one.
#[derive(Deserialize)]
enum Item {
    Version(VersionItem),
    DeleteMarker(VersionItem),
    CommonPrefixes(CommonPrefix),
    IsTruncated(bool),
    #[serde(deserialize_with = "decoded_some")]
    NextKeyMarker(Option<String>),
    NextVersionIdMarker(Option<String>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionItem {
    #[serde(deserialize_with = "decoded")]
    key: String,
    version_id: String,
    is_latest: bool,
    #[serde(deserialize_with = "moment")]
    last_modified: OffsetDateTime,
    #[serde(default)]
    size: Option<u64>,
}

impl Client {
    /// A page of objects whose keys begin with `prefix`. `next` is that of the page before.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        next: Option<&(String, String)>,
    ) -> Result<Listed<Entry>, S3Error> {
        let call = Call::new(Method::GET, bucket, "")
            .query_if("continuation-token", next.map(|(token, _)| token.as_str()))
            .query_if("delimiter", delimiter)
            .query("encoding-type", "url")
            .query("list-type", "2")
            .query("prefix", prefix);
        Ok(listed(self.ask(call).await?))
    }

    /// A page of versions and delete markers.
    pub async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        next: Option<&(String, String)>,
    ) -> Result<Listed<Version>, S3Error> {
        let call = Call::new(Method::GET, bucket, "")
            .query_if("delimiter", delimiter)
            .query("encoding-type", "url")
            .query_if("key-marker", next.map(|(key, _)| key.as_str()))
            .query("prefix", prefix)
            .query_if("version-id-marker", next.map(|(_, id)| id.as_str()).filter(|id| !id.is_empty()))
            .query("versions", "");
        let page: VersionsPage = self.ask(call).await?;
        let mut listed = Listed { entries: Vec::new(), prefixes: Vec::new(), next: None };
        let (mut is_truncated, mut next_key, mut next_id) = (false, None, String::new());
        for item in page.items {
            match item {
                Item::Version(item) => listed.entries.push(version(item, false)),
                Item::DeleteMarker(item) => listed.entries.push(version(item, true)),
                Item::CommonPrefixes(common) => listed.prefixes.push(common.prefix),
                Item::IsTruncated(truncated) => is_truncated = truncated,
                Item::NextKeyMarker(key) => next_key = key,
                Item::NextVersionIdMarker(id) => next_id = id.unwrap_or_default(),
                Item::Other => {}
            }
        }
        listed.next = next_key.filter(|_| is_truncated).map(|key| (key, next_id));
        Ok(listed)
    }
}

fn listed(page: Page) -> Listed<Entry> {
    let mut listed = Listed { entries: Vec::new(), prefixes: Vec::new(), next: None };
    let (mut is_truncated, mut token) = (false, None);
    for item in page.items {
        match item {
            PageItem::Contents(entry) => listed.entries.push(entry),
            PageItem::CommonPrefixes(common) => listed.prefixes.push(common.prefix),
            PageItem::IsTruncated(truncated) => is_truncated = truncated,
            PageItem::NextContinuationToken(next) => token = Some((next, String::new())),
            PageItem::Other => {}
        }
    }
    listed.next = token.filter(|_| is_truncated);
    listed
}

fn version(item: VersionItem, is_marker: bool) -> Version {
    let size = (!is_marker).then(|| item.size.unwrap_or_default());
    let VersionItem { key, version_id: id, is_latest, last_modified: modified, .. } = item;
    Version { key, id, is_latest, modified, size }
}

#[cfg(test)]
mod tests {
    use super::super::documents::read;
    use super::*;

    #[test]
    fn pages_are_read_with_their_names_decoded() {
        let page = read(
            b"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name><IsTruncated>true</IsTruncated>\
              <CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes><Contents><Key>a%20%2B+b</Key><LastModified>\
              2024-01-02T03:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size><StorageClass>STANDARD\
              </StorageClass></Contents><CommonPrefixes><Prefix>e%2F</Prefix></CommonPrefixes>\
              <NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
        );
        let listed = listed(page.unwrap());
        assert_eq!((listed.entries[0].key.as_str(), listed.entries[0].size), ("a + b", 7));
        assert_eq!(listed.entries[0].etag, "\"e\"");
        assert_eq!(
            (listed.prefixes, listed.next),
            (vec!["d/".into(), "e/".into()], Some(("t".into(), String::new())))
        );
    }

    #[test]
    fn versions_and_markers_keep_their_order() {
        let page: VersionsPage = read(
            b"<ListVersionsResult><Name>b</Name><Prefix></Prefix><IsTruncated>false</IsTruncated>\
              <DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest><LastModified>2024-01-02T03:04:05Z\
              </LastModified><Owner><ID>x</ID></Owner></DeleteMarker><Version><Key>a</Key><VersionId>1</VersionId>\
              <IsLatest>false</IsLatest><LastModified>2024-01-02T03:04:05Z</LastModified><Size>3</Size></Version>\
              <DeleteMarker><Key>b</Key><VersionId>3</VersionId><IsLatest>true</IsLatest><LastModified>2024-01-02T03:04:05Z\
              </LastModified></DeleteMarker></ListVersionsResult>",
        )
        .unwrap();
        let kinds: Vec<&str> = page
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Version(item) if item.size == Some(3) => Some("version"),
                Item::DeleteMarker(_) => Some("marker"),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, ["marker", "version", "marker"]);
    }
}
