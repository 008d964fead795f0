//! ListMultipartUploads: the uploads in progress, in the order of their keys, and of one key in the order of their
//! creation.

use crate::checksum;
use crate::context::{Context, Store};
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::listing::{self, Parameters};
use crate::multipart;
use crate::text::{EncodingType, Name, Timestamp};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::CommonPrefix;
use crate::xml::multipart::{ListMultipartUploadsResult, Upload};
use bytes::Bytes;
use std::sync::Arc;
use stratum_auth::Identities;
use stratum_metadata::listing::{Listed, ListedUpload, Page, Position, UploadPosition, UploadsRequest};
use stratum_metadata::record::BucketRecord;

type Uploads = Page<ListedUpload, UploadPosition>;

/// The list that a request asks for.
struct List {
    bucket: BucketRecord,
    store: Arc<Store>,
    parameters: Parameters,
    key_marker: String,
    id_marker: String,
}

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let asked = |name| ctx.query.get(name).unwrap_or_default();
    let parameters = Parameters::read(&ctx.query, "max-uploads")?;
    let key_marker = asked("key-marker");
    // S3 ignores `upload-id-marker` without a `key-marker`.
    let id_marker = if key_marker.is_empty() { "" } else { asked("upload-id-marker") };
    let page = page(ctx, bucket, &parameters, position(key_marker, id_marker, &parameters)?);
    let list = List {
        bucket: bucket.clone(),
        store: ctx.store.clone(),
        parameters: parameters.clone(),
        key_marker: key_marker.to_owned(),
        id_marker: id_marker.to_owned(),
    };
    listing::answer(ctx, parameters.max, page, move |page| list.document(page)).await
}

impl List {
    fn document(&self, page: &Uploads) -> Result<Bytes, S3Error> {
        let Self { bucket, store, parameters, key_marker, id_marker } = self;
        xml::list(parameters.encoding, |encoding| {
            let (uploads, common_prefixes) = lines(&store.identities, page, encoding, bucket);
            let (next_key, next_id) = page.next.as_ref().map(markers).unwrap_or_default();
            let (prefix, delimiter) = parameters.names(encoding);
            ListMultipartUploadsResult {
                xmlns: Namespace,
                bucket: &bucket.name,
                key_marker: Name::of(key_marker, encoding),
                upload_id_marker: id_marker,
                next_key_marker: next_key.map(|key| Name::new(key, encoding)),
                next_upload_id_marker: next_id,
                prefix,
                delimiter,
                encoding_type: encoding,
                max_uploads: parameters.max,
                is_truncated: page.next.is_some(),
                uploads,
                common_prefixes,
            }
        })
    }
}

fn position(key: &str, id: &str, parameters: &Parameters) -> Result<UploadPosition, S3Error> {
    if !id.is_empty() {
        let upload = multipart::parse_upload_id(id);
        let upload = upload
            .ok_or_else(|| S3Error::invalid_argument("upload-id-marker", id, "Invalid uploadId marker"))?;
        return Ok(UploadPosition::AfterUpload(key.as_bytes().to_vec(), upload));
    }
    Ok(match parameters.after(key) {
        Position::Start => UploadPosition::Start,
        Position::After(key) => UploadPosition::AfterKey(key),
        Position::Past(prefix) => UploadPosition::Past(prefix),
    })
}

async fn page(
    ctx: &Context,
    bucket: &BucketRecord,
    parameters: &Parameters,
    from: UploadPosition,
) -> Result<Uploads, S3Error> {
    if parameters.max == 0 {
        return Ok(Page { entries: Vec::new(), next: None });
    }
    let request = UploadsRequest {
        bucket: bucket.id,
        prefix: parameters.prefix.clone().into_bytes(),
        delimiter: parameters.delimiter.clone().map(String::into_bytes),
        from,
        max: parameters.max,
    };
    Ok(ctx.view.uploads(request).await?)
}

/// `NextKeyMarker` and `NextUploadIdMarker`. A page that ends with a common prefix has no upload's id to go on from.
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
    bucket: &BucketRecord,
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
                owner: Owner::by_id(identities, record.owner.as_ref().unwrap_or(&bucket.owner)),
                storage_class: headers::storage_class_name(record.storage_class),
                initiated: Timestamp(record.initiated),
                checksum_algorithm: record.checksum.map(|(algorithm, _)| checksum::name(algorithm)),
                checksum_type: record.checksum.map(|(_, kind)| checksum::type_name(kind)),
            }),
        }
    }
    (uploads, prefixes)
}
