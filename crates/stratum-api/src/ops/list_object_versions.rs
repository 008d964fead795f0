//! ListObjectVersions: the versions in the order of their keys, and of one key the newest first. In a bucket without
//! versioning each object is the one version of its key, `null`.

use crate::checksum;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::listing::{self, Parameters};
use crate::ownership::Owners;
use crate::text::{EncodingType, Name, Quoted, Timestamp};
use crate::version;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::listing::{CommonPrefix, DeleteMarker, ListVersionsResult, Version, VersionLine};
use bytes::Bytes;
use stratum_metadata::listing::{Listed, ListedVersion, Page, Position, VersionPosition, VersionsRequest};
use stratum_metadata::record::{BucketRecord, ObjectSummary, VersionSummary};

type Versions = Page<ListedVersion, VersionPosition>;

const ID_MARKER: &str = "version-id-marker";

/// The list that a request asks for.
struct List {
    bucket: String,
    owners: Owners,
    parameters: Parameters,
    key_marker: String,
    version_id_marker: String,
}

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let asked = |name| ctx.query.get(name).unwrap_or_default().to_owned();
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let list = List {
        bucket: bucket.name.clone(),
        owners: Owners::of(ctx, bucket),
        parameters: parameters.clone(),
        key_marker: asked("key-marker"),
        version_id_marker: asked(ID_MARKER),
    };
    let request = VersionsRequest {
        bucket: bucket.id,
        prefix: parameters.prefix.clone().into_bytes(),
        delimiter: parameters.delimiter.clone().map(String::into_bytes),
        from: list.position()?,
        max: parameters.max,
        owners: list.owners.are_several(),
    };
    let page = async { Ok(ctx.view.versions(request).await?) };
    listing::answer(ctx, parameters.max, page, move |page| list.document(page)).await
}

impl List {
    fn position(&self) -> Result<VersionPosition, S3Error> {
        let Self { parameters, key_marker, version_id_marker, .. } = self;
        match (key_marker.as_str(), version_id_marker.as_str()) {
            (key, "") => Ok(match parameters.after(key) {
                Position::Start => VersionPosition::Start,
                Position::After(key) => VersionPosition::AfterKey(key),
                Position::Past(common) => VersionPosition::Past(common),
            }),
            ("", id) => {
                let message = "A version-id marker cannot be specified without a key marker.";
                Err(S3Error::invalid_argument(ID_MARKER, id, message))
            }
            (key, id) => {
                let id = version::parse(ID_MARKER, id)?;
                Ok(VersionPosition::AfterVersion(key.as_bytes().to_vec(), id))
            }
        }
    }

    fn document(&self, page: &Versions) -> Result<Bytes, S3Error> {
        let Self { bucket, owners, parameters, key_marker, version_id_marker } = self;
        xml::list(parameters.encoding, |encoding| {
            let (versions, common_prefixes) = lines(page, encoding, owners);
            let (next_key, next_id) = page.next.as_ref().map(markers).unwrap_or_default();
            let (prefix, delimiter) = parameters.names(encoding);
            ListVersionsResult {
                xmlns: Namespace,
                name: bucket,
                prefix,
                key_marker: Name::of(key_marker, encoding),
                version_id_marker,
                next_key_marker: next_key.map(|name| Name::new(name, encoding)),
                next_version_id_marker: next_id,
                max_keys: parameters.max,
                delimiter,
                encoding_type: encoding,
                is_truncated: page.next.is_some(),
                versions,
                common_prefixes,
            }
        })
    }
}

/// `NextKeyMarker` and `NextVersionIdMarker`. A page that ends with a common prefix has no version's id to go on
/// from.
fn markers(next: &VersionPosition) -> (Option<&[u8]>, Option<String>) {
    match next {
        VersionPosition::Start => (None, None),
        VersionPosition::AfterKey(key) | VersionPosition::Past(key) => (Some(key), None),
        VersionPosition::AfterVersion(key, id) => (Some(key), Some(id.to_string())),
    }
}

fn lines<'a>(
    page: &'a Versions,
    encoding: Option<EncodingType>,
    owners: &'a Owners,
) -> (Vec<VersionLine<'a>>, Vec<CommonPrefix<'a>>) {
    let mut versions = Vec::with_capacity(page.entries.len());
    let mut prefixes = Vec::new();
    for line in &page.entries {
        match line {
            Listed::CommonPrefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Name::new(prefix, encoding) })
            }
            Listed::Entry(listed) => versions.push(line_of(listed, encoding, owners)),
        }
    }
    (versions, prefixes)
}

fn line_of<'a>(
    listed: &'a ListedVersion,
    encoding: Option<EncodingType>,
    owners: &'a Owners,
) -> VersionLine<'a> {
    let ListedVersion { key, is_latest, version, owner } = listed;
    let owner = owners.named(owner.as_deref());
    let (key, version_id, is_latest) = (Name::new(key, encoding), version.id().to_string(), *is_latest);
    match version {
        VersionSummary::Object(ObjectSummary { modified, size, etag, storage_class, checksum, .. }) => {
            let checksum = checksum.as_ref();
            VersionLine::Version(Version {
                key,
                version_id,
                is_latest,
                last_modified: Timestamp(*modified),
                etag: Quoted(*etag),
                checksum_algorithm: checksum.map(|checksum| checksum::name(checksum.algorithm)),
                checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
                size: *size,
                storage_class: headers::storage_class_name(*storage_class),
                owner,
            })
        }
        VersionSummary::DeleteMarker(marker) => {
            let last_modified = Timestamp(marker.modified);
            VersionLine::DeleteMarker(DeleteMarker { key, version_id, is_latest, last_modified, owner })
        }
    }
}
