//! ListObjectVersions of a bucket that isn't versioned: every object is its one version, `null`, and the latest.

use crate::checksum;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::listing::{self, Parameters};
use crate::text::{EncodingType, Name, Quoted, Timestamp};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::{CommonPrefix, ListVersionsResult, Version};
use bytes::Bytes;
use stratum_metadata::listing::{Listed, ListedObject, Page, Position};
use stratum_metadata::record::BucketRecord;

/// The version of what was never versioned.
const NULL: &str = "null";

/// What was asked for, and of which bucket.
struct List {
    bucket: String,
    owner: Owner,
    parameters: Parameters,
    key_marker: String,
    version_id_marker: String,
}

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let asked = |name| ctx.query.get(name).unwrap_or_default().to_owned();
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let list = List {
        bucket: bucket.name.clone(),
        owner: Owner::by_id(&ctx.store.identities, &bucket.owner),
        parameters: parameters.clone(),
        key_marker: asked("key-marker"),
        version_id_marker: asked("version-id-marker"),
    };
    check_version_marker(&list.key_marker, &list.version_id_marker)?;
    let page = listing::objects(ctx, bucket, &parameters, parameters.after(&list.key_marker));
    listing::answer(ctx, parameters.max, page, move |page| list.document(page)).await
}

impl List {
    fn document(&self, page: &Page<ListedObject>) -> Result<Bytes, S3Error> {
        let Self { bucket, owner, parameters, key_marker, version_id_marker } = self;
        let next = page.next.as_ref();
        xml::list(parameters.encoding, |encoding| {
            let (versions, common_prefixes) = lines(page, encoding, owner);
            let (prefix, delimiter) = parameters.names(encoding);
            ListVersionsResult {
                xmlns: Namespace,
                name: bucket,
                prefix,
                key_marker: Name::of(key_marker, encoding),
                version_id_marker,
                next_key_marker: next.and_then(listing::name).map(|name| Name::new(name, encoding)),
                next_version_id_marker: next.filter(|next| matches!(next, Position::After(_))).map(|_| NULL),
                max_keys: parameters.max,
                delimiter,
                encoding_type: encoding,
                is_truncated: next.is_some(),
                versions,
                common_prefixes,
            }
        })
    }
}

/// A key has one version, so a marker that names it begins the page after the key, as the key alone does.
fn check_version_marker(key_marker: &str, version_id_marker: &str) -> Result<(), S3Error> {
    let message = match (key_marker, version_id_marker) {
        (_, "") => return Ok(()),
        ("", _) => "A version-id marker cannot be specified without a key marker.",
        (_, NULL) => return Ok(()),
        _ => "Invalid version id specified",
    };
    Err(S3Error::invalid_argument("version-id-marker", version_id_marker, message))
}

fn lines<'a>(
    page: &'a Page<ListedObject>,
    encoding: Option<EncodingType>,
    owner: &'a Owner,
) -> (Vec<Version<'a>>, Vec<CommonPrefix<'a>>) {
    let mut versions = Vec::with_capacity(page.entries.len());
    let mut prefixes = Vec::new();
    for line in &page.entries {
        match line {
            Listed::CommonPrefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Name::new(prefix, encoding) })
            }
            Listed::Entry(ListedObject { key, object }) => {
                let checksum = object.checksum.as_ref();
                versions.push(Version {
                    key: Name::new(key, encoding),
                    version_id: NULL,
                    is_latest: true,
                    last_modified: Timestamp(object.modified),
                    etag: Quoted(object.etag),
                    checksum_algorithm: checksum.map(|checksum| checksum::name(checksum.algorithm)),
                    checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
                    size: object.size,
                    storage_class: headers::storage_class_name(object.storage_class),
                    owner,
                });
            }
        }
    }
    (versions, prefixes)
}
