//! ListParts: the parts of an upload in the order of their numbers, page by page.

use crate::checksum;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::listing;
use crate::multipart;
use crate::ops::bucket_lifecycle::tell_abortion;
use crate::text::{Name, Quoted, Timestamp};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::multipart::{ChecksumElement, ListPartsResult, Part};
use http::HeaderMap;
use stratum_metadata::record::{BucketRecord, ETag, PartRecord, UploadId};

const MARKER: &str = "part-number-marker";

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let upload = multipart::upload_id(&ctx.query)?;
    let max = listing::max_entries(&ctx.query, "max-parts")?;
    let marker = multipart::marker(MARKER, ctx.query.get(MARKER))?;
    let encoding = listing::encoding(&ctx.query)?;
    let record = multipart::existing(&ctx.view, bucket, key, upload)?;
    let identities = &ctx.store.identities;
    let owner = record.attributes.owner.as_ref().unwrap_or(&bucket.owner);
    let (initiator, owner) = (Owner::by_id(identities, &record.initiator), Owner::by_id(identities, owner));
    let mut aborted = HeaderMap::new();
    tell_abortion(ctx, bucket, key, record.initiated, &mut aborted)?;
    let (bucket, key) = (bucket.name.clone(), key.as_bytes().to_vec());
    let write = move |(parts, next): &Parts| {
        let parts: Vec<_> = parts.iter().map(line).collect();
        xml::list(encoding, |encoding| ListPartsResult {
            xmlns: Namespace,
            bucket: &bucket,
            key: Name::new(&key, encoding),
            upload_id: upload.to_string(),
            initiator: initiator.clone(),
            owner: owner.clone(),
            storage_class: headers::storage_class_name(record.storage_class),
            checksum_algorithm: record.checksum.map(|(algorithm, _)| checksum::name(algorithm)),
            checksum_type: record.checksum.map(|(_, kind)| checksum::type_name(kind)),
            part_number_marker: marker,
            next_part_number_marker: parts.last().map(|last| last.part_number),
            max_parts: max,
            encoding_type: encoding,
            is_truncated: next.is_some(),
            parts: &parts,
        })
    };
    let mut response = listing::answer(ctx, max, page(ctx, upload, marker, max), write).await?;
    response.headers_mut().extend(aborted);
    Ok(response)
}

/// A page of parts in the order of their numbers, and the number of the last one where more parts follow.
type Parts = (Vec<PartRecord>, Option<u16>);

async fn page(ctx: &Context, upload: UploadId, marker: u16, max: usize) -> Result<Parts, S3Error> {
    if max == 0 {
        return Ok((Vec::new(), None));
    }
    // One more part than the page holds is read: it tells whether there is another page.
    let mut parts = ctx.view.parts(upload, marker, max + 1).await?;
    let is_truncated = parts.len() > max;
    parts.truncate(max);
    let next = parts.last().filter(|_| is_truncated).map(|last| last.number);
    Ok((parts, next))
}

fn line(part: &PartRecord) -> Part {
    let checksum = part.checksum.as_ref();
    Part {
        part_number: part.number,
        last_modified: Timestamp(part.modified),
        etag: Quoted(ETag::Md5(part.md5)),
        size: part.size,
        checksum: checksum
            .map(|checksum| ChecksumElement::new(checksum.algorithm, checksum::encode(&checksum.value))),
    }
}
