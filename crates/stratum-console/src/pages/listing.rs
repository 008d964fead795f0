//! One page of a listing of a bucket under a prefix: current objects, or all versions.

use crate::ask::{Ask, CommonPrefix, ObjectList, VersionEntry, VersionList, VersionOf, decoded};
use crate::names;
use crate::trouble::Trouble;
use http::Method;

/// How many rows a page has at most.
const MOST_ROWS: usize = 100;
/// How many bytes the rows of a page may take about, such that it stays below 100 KB. A key may have a kilobyte and
/// stands in its row several times.
const MOST_BYTES: usize = 80_000;
/// What a row takes beside its key, about.
const ROW_BYTES: usize = 450;

/// What stands in one row.
pub enum Row {
    Folder(String),
    Object(Found),
}

/// An object, or a version of one.
pub struct Found {
    pub key: String,
    pub size: u64,
    pub modified: String,
    pub class: String,
    /// The version, where versions are listed.
    pub version: Option<VersionId>,
}

pub struct VersionId {
    pub id: String,
    pub is_latest: bool,
    pub is_delete_marker: bool,
}

/// Where a page begins, as S3 says it: a continuation token, or a key marker and a version id marker.
#[derive(Default)]
pub struct Mark {
    pub key: String,
    pub version: String,
}

#[derive(Default)]
pub struct Rows {
    pub rows: Vec<Row>,
    pub next: Option<Mark>,
}

/// Which entries of a bucket are listed.
#[derive(Clone, Copy)]
pub enum Of {
    Objects,
    Versions,
}

/// A page of objects or versions. Where names are long it has fewer rows.
pub async fn page(
    ask: &Ask<'_>,
    bucket: &str,
    of: Of,
    within: (&str, &str),
    from: &Mark,
) -> Result<Rows, Trouble> {
    let rows = list(ask, bucket, of, within, from, MOST_ROWS).await?;
    match fitting(&rows.rows) {
        some if some < rows.rows.len() => list(ask, bucket, of, within, from, some).await,
        _ => Ok(rows),
    }
}

async fn list(
    ask: &Ask<'_>,
    bucket: &str,
    of: Of,
    within: (&str, &str),
    from: &Mark,
    most: usize,
) -> Result<Rows, Trouble> {
    match of {
        Of::Objects => objects(ask, bucket, within, from, most).await,
        Of::Versions => versions(ask, bucket, within, from, most).await,
    }
}

/// How many of these rows fit into a page, taken in the order of their keys, in which a page is cut. At least one.
fn fitting(rows: &[Row]) -> usize {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|one, other| one.key().cmp(other.key()));
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.size();
        Some(*end)
    });
    ends.take_while(|end| *end <= MOST_BYTES).count().max(1)
}

impl Row {
    fn key(&self) -> &str {
        match self {
            Row::Folder(prefix) => prefix,
            Row::Object(found) => &found.key,
        }
    }

    /// How many bytes the row takes in a page at most, about.
    fn size(&self) -> usize {
        let key = self.key();
        ROW_BYTES + names::segment(key).len() + escaped_len(key) + 3 * escaped_len(names::last(key))
    }
}

/// The length of a text as a page holds it, with characters that mean something in HTML escaped, and control characters
/// shown by pictures.
pub fn escaped_len(text: &str) -> usize {
    let length = |byte| match byte {
        b'"' => "&quot;".len(),
        b'&' => "&amp;".len(),
        b'<' | b'>' => "&lt;".len(),
        0..=0x1f | 0x7f => "\u{2400}".len(),
        _ => 1,
    };
    text.bytes().map(length).sum()
}

/// The first folders and objects in `folder`: as many as S3 lists at once.
pub async fn first(ask: &Ask<'_>, bucket: &str, folder: &str) -> Result<Rows, Trouble> {
    objects(ask, bucket, (folder, ""), &Mark::default(), 1_000).await
}

/// Lists current objects and folders in `folder` whose names within it begin with `begins`. The empty object that
/// stands for the folder itself is left out.
async fn objects(
    ask: &Ask<'_>,
    bucket: &str,
    (folder, begins): (&str, &str),
    from: &Mark,
    most: usize,
) -> Result<Rows, Trouble> {
    let (prefix, most) = ([folder, begins].concat(), most.to_string());
    let asked = ask.bucket(Method::GET, bucket).query("list-type=2&encoding-type=url&delimiter=%2F").with([
        ("prefix", prefix.as_str()),
        ("max-keys", most.as_str()),
        ("continuation-token", &from.key),
    ]);
    let list: ObjectList = asked.xml().await?;
    let folders = list.common_prefixes.iter().map(folder_row);
    let found = list.contents.into_iter().map(|object| Found {
        key: decoded(&object.key),
        size: object.size,
        modified: object.last_modified,
        class: object.storage_class,
        version: None,
    });
    let objects = found.filter(|found| found.key != folder || found.size > 0).map(Row::Object);
    let next = list.is_truncated.then_some(Mark { key: list.next_continuation_token, ..Mark::default() });
    Ok(Rows { rows: folders.chain(objects).collect(), next })
}

/// The same as [`objects`], of all versions and delete markers.
async fn versions(
    ask: &Ask<'_>,
    bucket: &str,
    (folder, begins): (&str, &str),
    from: &Mark,
    most: usize,
) -> Result<Rows, Trouble> {
    let (prefix, most) = ([folder, begins].concat(), most.to_string());
    let asked = ask.bucket(Method::GET, bucket).query("versions&encoding-type=url&delimiter=%2F").with([
        ("prefix", prefix.as_str()),
        ("max-keys", most.as_str()),
        ("key-marker", &from.key),
        ("version-id-marker", &from.version),
    ]);
    let list: VersionList = asked.xml().await?;
    let (mut page, mut next, mut goes_on) = (Rows::default(), Mark::default(), false);
    for entry in list.entries {
        match entry {
            VersionEntry::Version(version) if version.size == 0 && decoded(&version.key) == folder => {}
            VersionEntry::Version(version) => page.rows.push(version_row(version, false)),
            VersionEntry::DeleteMarker(version) => page.rows.push(version_row(version, true)),
            VersionEntry::CommonPrefixes(prefix) => page.rows.push(folder_row(&prefix)),
            VersionEntry::IsTruncated(is_truncated) => goes_on = is_truncated,
            VersionEntry::NextKeyMarker(key) => next.key = decoded(&key),
            VersionEntry::NextVersionIdMarker(id) => next.version = id,
            VersionEntry::Other => {}
        }
    }
    page.next = goes_on.then_some(next);
    Ok(page)
}

fn folder_row(prefix: &CommonPrefix) -> Row {
    Row::Folder(decoded(&prefix.prefix))
}

fn version_row(version: VersionOf, is_delete_marker: bool) -> Row {
    let VersionOf { key, version_id, is_latest, last_modified, size, .. } = version;
    Row::Object(Found {
        key: decoded(&key),
        size,
        modified: last_modified,
        class: String::new(),
        version: Some(VersionId { id: version_id, is_latest, is_delete_marker }),
    })
}
