//! UploadPart: stores the request's body as a part of an upload, as PutObject stores an object's.

use crate::bodies::Stored;
use crate::body::RequestBody;
use crate::checksum;
use crate::context::Context;
use crate::encryption::Sealing;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::multipart;
use crate::ops::quotas;
use axum::body::Body;
use http::header::ETAG;
use http::{HeaderName, Response};
use stratum_metadata::command::{Command, Outcome};
use stratum_metadata::placement::Placement;
use stratum_metadata::record::{
    BucketRecord, Checksum, ChecksumAlgorithm, ChecksumType, ETag, PartRecord, UploadId, UploadRecord,
};

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, body: RequestBody) -> S3Result {
    let number = multipart::part_number(&ctx.query)?;
    let upload = multipart::upload_id(&ctx.query)?;
    let record = multipart::existing(&ctx.view, bucket, key, upload)?;
    let algorithm = algorithm(&record, body.expected().algorithm())?;
    let placement = Placement::decided(&record.attributes);
    let sealing = Sealing::of_upload(ctx, &record).await?;
    quotas::admit_part(ctx, bucket, upload, number, body.length()?.unwrap_or(0))?;
    let receiving = ctx.trace.stage("receive");
    let stored = ctx.store.bodies.receive(&ctx.memory, body, placement, algorithm, sealing.seal()).await?;
    drop(receiving);
    let (etag, checksum) = commit(ctx, bucket, upload, number, stored, &sealing).await?;
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(ETAG, headers::etag(&etag));
    let name = HeaderName::from_static(checksum::header(checksum.algorithm));
    out.insert(name, headers::value(&checksum::encode(&checksum.value)));
    sealing.describe(out);
    Ok(response)
}

/// The algorithm of the checksum that a part is stored with: the upload's, or else the one that the client sends, or
/// else CRC64NVME.
///
/// # Errors
/// `InvalidRequest` for another algorithm than the upload was created with, and for none where the object's checksum
/// is to be a composite one.
fn algorithm(
    upload: &UploadRecord,
    declared: Option<ChecksumAlgorithm>,
) -> Result<ChecksumAlgorithm, S3Error> {
    let Some((created, kind)) = upload.checksum else {
        return Ok(declared.unwrap_or(ChecksumAlgorithm::Crc64Nvme));
    };
    // S3 wants the client to send the checksum of each part that a composite checksum is made of. For one of the full
    // object the server computes those of the parts itself.
    let left_out = declared.is_none() && kind == ChecksumType::FullObject;
    if left_out || declared == Some(created) {
        return Ok(created);
    }
    let name = |algorithm| checksum::name(algorithm).to_ascii_lowercase();
    Err(S3Error::new(Code::InvalidRequest).message(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(created),
        declared.map_or("null".into(), name)
    )))
}

/// Makes a stored body the part of that number. It replaces a part that was uploaded under the number before.
pub async fn commit(
    ctx: &Context,
    bucket: &BucketRecord,
    upload: UploadId,
    number: u16,
    stored: Stored,
    sealing: &Sealing,
) -> Result<(ETag, Checksum), S3Error> {
    let (md5, checksum) = (sealing.etag(stored.md5), stored.checksum.clone());
    let part = PartRecord {
        number,
        modified: ctx.now,
        size: stored.size,
        md5,
        checksum: Some(checksum.clone()),
        blob: stored.blob.clone(),
    };
    let command = Command::UploadPart { bucket: bucket.id, upload, part };
    let _committing = ctx.trace.stage("commit");
    match ctx.store.bodies.commit(command, stored).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok((ETag::Md5(md5), checksum)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{Attributes, BucketId, ObjectHeaders, StorageClass};

    #[test]
    fn a_part_is_stored_with_the_uploads_checksum_algorithm() {
        use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
        let of = |created: Option<(ChecksumAlgorithm, ChecksumType)>, declared| {
            let upload = UploadRecord {
                bucket: BucketId(1),
                key: b"k".to_vec(),
                initiated: 0,
                initiator: "o".into(),
                storage_class: StorageClass::Standard,
                headers: ObjectHeaders::default(),
                checksum: created,
                attributes: Attributes::default(),
            };
            algorithm(&upload, declared).map_err(|error| error.code())
        };
        assert_eq!(of(None, None), Ok(Crc64Nvme));
        assert_eq!(of(None, Some(Crc32)), Ok(Crc32));
        let composite = Some((Sha256, ChecksumType::Composite));
        assert_eq!(of(composite, Some(Sha256)), Ok(Sha256));
        assert_eq!(of(composite, Some(Crc32)), Err(Code::InvalidRequest));
        assert_eq!(of(composite, None), Err(Code::InvalidRequest));
        let full = Some((Crc32, ChecksumType::FullObject));
        assert_eq!(of(full, None), Ok(Crc32));
        assert_eq!(of(full, Some(Sha256)), Err(Code::InvalidRequest));
    }
}
