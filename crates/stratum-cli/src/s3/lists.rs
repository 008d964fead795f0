//! Listings of objects and versions, page by page.

use super::client::{Call, Client, S3Error};
use super::documents::{Encoding, moment};
use http::Method;
use serde::Deserialize;
use time::OffsetDateTime;

/// An object in a listing.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
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
pub(super) struct Page {
    #[serde(rename = "$value", default)]
    items: Vec<PageItem>,
}

/// Some endpoints mix objects and common prefixes, so the items of a page are read one by one.
#[derive(Deserialize)]
enum PageItem {
    Contents(Entry),
    CommonPrefixes(CommonPrefix),
    EncodingType(String),
    IsTruncated(bool),
    NextContinuationToken(String),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CommonPrefix {
    #[serde(rename = "Prefix")]
    prefix: String,
}

#[derive(Deserialize)]
pub(super) struct VersionsPage {
    #[serde(rename = "$value", default)]
    items: Vec<Item>,
}

/// Versions and delete markers come mixed, in the order of their keys, so they are read one by one.
#[derive(Deserialize)]
enum Item {
    Version(VersionItem),
    DeleteMarker(VersionItem),
    CommonPrefixes(CommonPrefix),
    EncodingType(String),
    IsTruncated(bool),
    NextKeyMarker(Option<String>),
    NextVersionIdMarker(Option<String>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionItem {
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
        let page: Page = self.ask(call).await?;
        page.listed(next).map_err(|problem| self.nonsense(problem))
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
        page.listed(next).map_err(|problem| self.nonsense(problem))
    }
}

/// Where the next page begins, if the page says that there is one. A page that begins where the one before it did, or
/// anywhere, would be asked for for ever or leave out what is there.
pub(super) fn next_page<T: PartialEq>(
    is_truncated: bool,
    begun: Option<&T>,
    next: Option<T>,
) -> Result<Option<T>, String> {
    match next {
        _ if !is_truncated => Ok(None),
        None => Err("it says that there is more, but not where".into()),
        Some(next) if begun == Some(&next) => Err("the next page begins where this one does".into()),
        next => Ok(next),
    }
}

impl Page {
    pub(super) fn listed(self, begun: Option<&(String, String)>) -> Result<Listed<Entry>, String> {
        let mut listed = Listed { entries: Vec::new(), prefixes: Vec::new(), next: None };
        let (mut is_truncated, mut token, mut encoding) = (false, None, Encoding::Plain);
        for item in self.items {
            match item {
                PageItem::Contents(entry) => listed.entries.push(entry),
                PageItem::CommonPrefixes(common) => listed.prefixes.push(common.prefix),
                PageItem::EncodingType(name) => encoding = Encoding::named(&name)?,
                PageItem::IsTruncated(truncated) => is_truncated = truncated,
                PageItem::NextContinuationToken(next) => token = Some((next, String::new())),
                PageItem::Other => {}
            }
        }
        let next = token.filter(|(token, _)| !token.is_empty());
        listed.next = next_page(is_truncated, begun, next)?;
        listed.decoded(encoding, |entry| &mut entry.key)
    }
}

impl VersionsPage {
    pub(super) fn listed(self, begun: Option<&(String, String)>) -> Result<Listed<Version>, String> {
        let mut listed = Listed { entries: Vec::new(), prefixes: Vec::new(), next: None };
        let (mut is_truncated, mut encoding) = (false, Encoding::Plain);
        let (mut next_key, mut next_id) = (None, String::new());
        for item in self.items {
            match item {
                Item::Version(item) => listed.entries.push(version(item, false)),
                Item::DeleteMarker(item) => listed.entries.push(version(item, true)),
                Item::CommonPrefixes(common) => listed.prefixes.push(common.prefix),
                Item::EncodingType(name) => encoding = Encoding::named(&name)?,
                Item::IsTruncated(truncated) => is_truncated = truncated,
                Item::NextKeyMarker(key) => next_key = key.filter(|key| !key.is_empty()),
                Item::NextVersionIdMarker(id) => next_id = id.unwrap_or_default(),
                Item::Other => {}
            }
        }
        let next = next_key.map(|key| encoding.read(key)).transpose()?.map(|key| (key, next_id));
        listed.next = next_page(is_truncated, begun, next)?;
        listed.decoded(encoding, |version| &mut version.key)
    }
}

impl<T> Listed<T> {
    /// The page with its keys and prefixes as they are.
    pub(super) fn decoded(
        mut self,
        encoding: Encoding,
        key: impl Fn(&mut T) -> &mut String,
    ) -> Result<Listed<T>, String> {
        for name in self.entries.iter_mut().map(key).chain(&mut self.prefixes) {
            *name = encoding.read(std::mem::take(name))?;
        }
        Ok(self)
    }
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
        let page: Page = read(
            b"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name><IsTruncated>true</IsTruncated>\
              <CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes><Contents><Key>a%20%2B+b</Key><LastModified>\
              2024-01-02T03:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size><StorageClass>STANDARD\
              </StorageClass></Contents><CommonPrefixes><Prefix>e%2F</Prefix></CommonPrefixes>\
              <NextContinuationToken>t</NextContinuationToken><EncodingType>url</EncodingType></ListBucketResult>",
        )
        .unwrap();
        let listed = page.listed(None).unwrap();
        assert_eq!((listed.entries[0].key.as_str(), listed.entries[0].size), ("a + b", 7));
        assert_eq!(listed.entries[0].etag, "\"e\"");
        assert_eq!(
            (listed.prefixes, listed.next),
            (vec!["d/".into(), "e/".into()], Some(("t".into(), String::new())))
        );
    }

    #[test]
    fn blanks_at_the_ends_of_names_are_the_names_own() {
        let when = "<LastModified>2024-01-02T03:04:05Z</LastModified>";
        let page: Page = read(
            format!(
                "<ListBucketResult>\n <Contents>\n <Key> a </Key>\n{when}<Size>1</Size></Contents>\n\
                 <Contents><Key>  </Key>{when}<Size>1</Size></Contents><CommonPrefixes><Prefix> d/ </Prefix>\
                 </CommonPrefixes></ListBucketResult>"
            )
            .as_bytes(),
        )
        .unwrap();
        let listed = page.listed(None).unwrap();
        let keys: Vec<&str> = listed.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!((keys, listed.prefixes), (vec![" a ", "  "], vec![" d/ ".to_owned()]));
        let page: VersionsPage = read(
            format!(
                "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker> a </NextKeyMarker>\
                 <NextVersionIdMarker>1</NextVersionIdMarker><Version><Key> a </Key><VersionId>1</VersionId>\
                 <IsLatest>true</IsLatest>{when}</Version></ListVersionsResult>"
            )
            .as_bytes(),
        )
        .unwrap();
        let listed = page.listed(None).unwrap();
        assert_eq!(listed.entries[0].key, " a ");
        assert_eq!(listed.next, Some((" a ".into(), "1".into())));
    }

    #[test]
    fn a_page_that_leads_nowhere_is_refused() {
        let page = |rest: &str| -> Page {
            read(
                format!("<ListBucketResult><IsTruncated>true</IsTruncated>{rest}</ListBucketResult>")
                    .as_bytes(),
            )
            .unwrap()
        };
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        let of = |token: &str| (token.to_owned(), String::new());
        assert_eq!(page(token).listed(Some(&of("s"))).unwrap().next, Some(of("t")));
        assert!(page(token).listed(Some(&of("t"))).is_err_and(|problem| problem.contains("begins where")));
        assert!(page("").listed(None).is_err_and(|problem| problem.contains("but not where")));
        let versions = |rest: &str| -> VersionsPage {
            read(
                format!("<ListVersionsResult><IsTruncated>true</IsTruncated>{rest}</ListVersionsResult>")
                    .as_bytes(),
            )
            .unwrap()
        };
        let marker = "<NextKeyMarker>a%20b</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>";
        let begun = ("a%20b".to_owned(), "1".to_owned());
        assert!(versions(marker).listed(Some(&begun)).is_err() && versions("").listed(None).is_err());
        let encoded = format!("{marker}<EncodingType>url</EncodingType>");
        assert_eq!(versions(&encoded).listed(Some(&begun)).unwrap().next, Some(("a b".into(), "1".into())));
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
