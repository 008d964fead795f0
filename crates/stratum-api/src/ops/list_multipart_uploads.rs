//! ListMultipartUploads: the uploads in progress by key, then in the order in which they were created.

use crate::checksum;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::listing::{self, Parameters};
use crate::multipart;
use crate::query::Query;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::CommonPrefix;
use crate::xml::multipart::{ListMultipartUploadsResult, Upload};
use crate::xml::text::{EncodingType, Name, Timestamp};
use bytes::Bytes;
use stratum_auth::Identities;
use stratum_metadata::listing::{Listed, ListedUpload, Page, Position, UploadPosition, UploadsRequest};
use stratum_metadata::record::BucketRecord;

type Uploads = Page<ListedUpload, UploadPosition>;

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let parameters = Parameters::read(&ctx.query, "max-uploads")?;
    let (key_marker, id_marker) = asked_markers(&ctx.query);
    let from = position(key_marker, id_marker, &parameters)?;
    let _effort = listing::effort(ctx, parameters.max).await?;
    let page = page(ctx, bucket, &parameters, from).await?;
    let (store, query, bucket) = (ctx.store.clone(), ctx.query.clone(), bucket.clone());
    xml::long::answer(page.entries.len(), move || document(&store.identities, &query, &bucket, &page)).await
}

/// `key-marker`, and `upload-id-marker`, which S3 ignores where no key goes with it.
fn asked_markers(query: &Query) -> (&str, &str) {
    let key_marker = query.get("key-marker").unwrap_or_default();
    let id_marker = query.get("upload-id-marker").filter(|_| !key_marker.is_empty());
    (key_marker, id_marker.unwrap_or_default())
}

fn document(
    identities: &Identities,
    query: &Query,
    bucket: &BucketRecord,
    page: &Uploads,
) -> Result<Bytes, S3Error> {
    let parameters = Parameters::read(query, "max-uploads")?;
    let (key_marker, id_marker) = asked_markers(query);
    let owner = Owner::by_id(identities, &bucket.owner);
    xml::list(parameters.encoding, |encoding| {
        let parameters = parameters.encoded(encoding);
        let (uploads, common_prefixes) = lines(identities, page, parameters.encoding, &owner);
        let (next_key, next_id) = page.next.as_ref().map(markers).unwrap_or_default();
        ListMultipartUploadsResult {
            xmlns: Namespace,
            bucket: &bucket.name,
            key_marker: parameters.name(key_marker),
            upload_id_marker: id_marker,
            next_key_marker: next_key.map(|key| Name::new(key, parameters.encoding)),
            next_upload_id_marker: next_id,
            prefix: parameters.name(parameters.prefix),
            delimiter: parameters.delimiter.map(|delimiter| parameters.name(delimiter)),
            encoding_type: parameters.encoding,
            max_uploads: parameters.max,
            is_truncated: page.next.is_some(),
            uploads,
            common_prefixes,
        }
    })
}

fn position(key: &str, id: &str, parameters: &Parameters<'_>) -> Result<UploadPosition, S3Error> {
    if !id.is_empty() {
        let upload = multipart::parse_upload_id(id);
        let upload = upload
            .ok_or_else(|| S3Error::invalid_argument("upload-id-marker", id, "Invalid uploadId marker"))?;
        return Ok(UploadPosition::AfterUpload(key.as_bytes().to_vec(), upload));
    }
    Ok(match listing::from_marker(key, parameters.prefix, parameters.delimiter) {
        Position::Start => UploadPosition::Start,
        Position::After(key) => UploadPosition::AfterKey(key),
        Position::Past(prefix) => UploadPosition::Past(prefix),
    })
}

async fn page(
    ctx: &Context,
    bucket: &BucketRecord,
    parameters: &Parameters<'_>,
    from: UploadPosition,
) -> Result<Uploads, S3Error> {
    if parameters.max == 0 {
        return Ok(Page { entries: Vec::new(), next: None });
    }
    let request = UploadsRequest {
        bucket: bucket.id,
        prefix: parameters.prefix.as_bytes().to_vec(),
        delimiter: parameters.delimiter.map(|delimiter| delimiter.as_bytes().to_vec()),
        from,
        max: parameters.max,
    };
    Ok(ctx.store.metadata.uploads(request).await?)
}

/// `NextKeyMarker` and `NextUploadIdMarker`; after a common prefix there is no upload to name.
fn markers(next: &UploadPosition) -> (Option<&[u8]>, Option<String>) {
    match next {
        UploadPosition::Start => (None, None),
        UploadPosition::AfterKey(key) | UploadPosition::Past(key) => (Some(key), None),
        UploadPosition::AfterUpload(key, upload) => (Some(key), Some(upload.to_string())),
    }
}

fn lines<'a>(
    identities: &Identities,
    page: &'a Uploads,
    encoding: Option<EncodingType>,
    owner: &'a Owner,
) -> (Vec<Upload<'a>>, Vec<CommonPrefix<'a>>) {
    let mut uploads = Vec::with_capacity(page.entries.len());
    let mut prefixes = Vec::new();
    for line in &page.entries {
        match line {
            Listed::CommonPrefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Name::new(prefix, encoding) })
            }
            Listed::Entry(ListedUpload { key, upload, record }) => uploads.push(Upload {
                key: Name::new(key, encoding),
                upload_id: upload.to_string(),
                initiator: Owner::by_id(identities, &record.initiator),
                owner,
                storage_class: headers::storage_class_name(record.storage_class),
                initiated: Timestamp(record.initiated),
                checksum_algorithm: record.checksum.map(|(algorithm, _)| checksum::name(algorithm)),
                checksum_type: record.checksum.map(|(_, kind)| checksum::type_name(kind)),
            }),
        }
    }
    (uploads, prefixes)
}
