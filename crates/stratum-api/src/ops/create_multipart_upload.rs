//! CreateMultipartUpload: begins an upload, and says everything of the object but its bytes.

use crate::checksum;
use crate::context::Context;
use crate::encryption::Sealing;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::new_version::NewVersion;
use crate::ops::bucket_lifecycle::tell_abortion;
use crate::text::Name;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::multipart::InitiateMultipartUploadResult;
use http::HeaderValue;
use stratum_metadata::command::{Command, Outcome};
use stratum_metadata::record::{
    Attributes, BucketRecord, ChecksumAlgorithm, ChecksumType, UploadId, UploadRecord,
};

const ALGORITHM: &str = "x-amz-checksum-algorithm";
const TYPE: &str = "x-amz-checksum-type";

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let checksum = checksum(ctx.header(ALGORITHM), ctx.header(TYPE))?;
    let new = NewVersion::asked(ctx, bucket)?;
    let placement = ctx.store.bodies.place(&new.declared()?, ctx.now);
    let attributes = new.attributes(ctx, placement.attributes())?;
    let sealing = Sealing::of_write(ctx, bucket, key).await?;
    let (headers, encryption) = sealing.put_away(new.headers);
    let upload = UploadId::new(ctx.now, ctx.store.entropy.next_u128());
    let record = UploadRecord {
        bucket: bucket.id,
        key: key.as_bytes().to_vec(),
        initiated: ctx.now,
        initiator: ctx.account.id().to_owned(),
        storage_class: new.class,
        headers,
        checksum,
        attributes: Attributes { encryption, ..attributes },
    };
    let expires = ctx.now.saturating_add(ctx.store.settings.upload_lifetime);
    let command = Command::CreateUpload { upload, record, expires };
    if let Outcome::Refused(refusal) = ctx.commit(command).await? {
        return Err(refusal.into());
    }
    let mut response = xml::answer(&InitiateMultipartUploadResult {
        xmlns: Namespace,
        bucket: &bucket.name,
        key: Name::new(key.as_bytes(), None),
        upload_id: upload.to_string(),
    })?;
    tell_abortion(ctx, bucket, key, ctx.now, response.headers_mut())?;
    let headers = response.headers_mut();
    sealing.describe(headers);
    if let Some((algorithm, kind)) = checksum {
        headers.insert(ALGORITHM, HeaderValue::from_static(checksum::name(algorithm)));
        headers.insert(TYPE, HeaderValue::from_static(checksum::type_name(kind)));
    }
    Ok(response)
}

/// The algorithm and type of the object's checksum, by the request's headers. [`checksum::types`] says which types an
/// algorithm has.
fn checksum(
    algorithm: Option<&str>,
    kind: Option<&str>,
) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>, S3Error> {
    let invalid = |message: String| S3Error::new(Code::InvalidRequest).message(message);
    let kind = kind.map(checksum::type_named).transpose()?;
    let Some(name) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => {
                Err(invalid(format!("The {TYPE} header can only be used with the {ALGORITHM} header.")))
            }
        };
    };
    let algorithm = checksum::asked_for(name)?;
    let (usual, other) = checksum::types(algorithm);
    match kind.unwrap_or(usual) {
        kind if kind == usual || Some(kind) == other => Ok(Some((algorithm, kind))),
        kind => Err(invalid(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            checksum::type_name(kind),
            checksum::name(algorithm).to_ascii_lowercase()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChecksumAlgorithm::{Crc32, Crc64Nvme, Md5, Sha256, XxHash128};
    use ChecksumType::{Composite, FullObject};

    #[test]
    fn an_algorithm_takes_only_the_types_that_it_has() {
        let of = |algorithm, kind| checksum(algorithm, kind).map_err(|error| error.code());
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(Some("CRC32"), None), Ok(Some((Crc32, Composite))));
        assert_eq!(of(Some("crc32"), Some("FULL_OBJECT")), Ok(Some((Crc32, FullObject))));
        assert_eq!(of(Some("SHA256"), None), Ok(Some((Sha256, Composite))));
        assert_eq!(of(Some("CRC64NVME"), None), Ok(Some((Crc64Nvme, FullObject))));
        assert_eq!(of(Some("MD5"), None), Ok(Some((Md5, Composite))));
        assert_eq!(of(Some("XXHASH128"), Some("COMPOSITE")), Ok(Some((XxHash128, Composite))));
        for (algorithm, kind) in [
            (None, Some("COMPOSITE")),
            (Some("SHA256"), Some("FULL_OBJECT")),
            (Some("SHA512"), Some("FULL_OBJECT")),
            (Some("XXHASH64"), Some("FULL_OBJECT")),
            (Some("CRC64NVME"), Some("COMPOSITE")),
            (Some("MD4"), None),
            (Some("CRC32"), Some("SOME")),
        ] {
            assert_eq!(of(algorithm, kind), Err(Code::InvalidRequest), "{algorithm:?} {kind:?}");
        }
    }
}
