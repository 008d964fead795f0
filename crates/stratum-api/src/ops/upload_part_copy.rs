//! UploadPartCopy: bytes of an object are read and stored as a part of an upload.

use crate::body::MAX_PAYLOAD_BYTES;
use crate::checksum;
use crate::conditions;
use crate::context::Context;
use crate::copy_source::CopySource;
use crate::encryption::{self, Opening, Sealing};
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::multipart;
use crate::number;
use crate::ops::quotas;
use crate::ops::upload_part;
use crate::selection::Selection;
use crate::text::{Quoted, Timestamp};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::multipart::{ChecksumElement, CopyPartResult};
use std::ops::Range;
use stratum_metadata::placement::Placement;
use stratum_metadata::record::{BucketRecord, ChecksumAlgorithm, ObjectRecord};

const RANGE: &str = "x-amz-copy-source-range";

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let source = CopySource::of(ctx)?;
    let number = multipart::part_number(&ctx.query)?;
    let upload = multipart::upload_id(&ctx.query)?;
    let record = multipart::existing(&ctx.view, bucket, key, upload)?;

    let placement = Placement::decided(&record.attributes);
    let (opening, sealing) = (Opening::of_source(ctx)?, Sealing::of_upload(ctx, &record).await?);
    let target = source.target();
    // What the source is now. Where it can't be looked up, opening it says why.
    let largest = target.look_up(&ctx.view).map_or(MAX_PAYLOAD_BYTES, |looked| looked.object.size);
    let admitted = ctx.store.bodies.admit_copy(&ctx.memory, &placement, largest)?;
    let choose = |object: &ObjectRecord| {
        conditions::check_copy_source(&ctx.headers, object)?;
        if object.size > largest {
            // It has been replaced since by a larger one, for which no memory is admitted.
            return Err(Code::OperationAborted.into());
        }
        let bytes = range(ctx, object.size)?;
        if bytes.end - bytes.start > MAX_PAYLOAD_BYTES {
            return Err(S3Error::new(Code::InvalidRequest).message(
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
            ));
        }
        Ok(Selection::range(bytes))
    };
    let opened = encryption::open(ctx, &target, Some(admitted), &opening, choose).await;
    let opened = opened.map_err(|error| source.masked(ctx, error))?;
    let tier = ctx.store.bodies.tier_of(&ctx.view, &opened.object)?;

    let algorithm = record.checksum.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let length = opened.selection.bytes.end - opened.selection.bytes.start;
    quotas::admit_part(ctx, bucket, upload, number, length)?;
    let seal = sealing.seal();
    ctx.late.may_begin(|out| {
        target.describe(&opened.object, out);
        sealing.describe(out);
    });
    let stored = ctx.store.bodies.copy(opened.content, length, placement, algorithm, seal).await?;
    let (etag, checksum) = upload_part::commit(ctx, bucket, upload, number, stored, &sealing).await?;
    if opened.is_current {
        ctx.count_read(source.bucket.id, &source.key, &opened.object, &opened.selection, tier);
    }
    // The answer has a checksum only if the upload was created with an algorithm.
    let told = record.checksum.is_some().then_some(checksum);
    let mut response = xml::answer(&CopyPartResult {
        xmlns: Namespace,
        last_modified: Timestamp(ctx.now),
        etag: Quoted(etag),
        checksum: told.map(|told| ChecksumElement::new(told.algorithm, checksum::encode(&told.value))),
    })?;
    target.describe(&opened.object, response.headers_mut());
    sealing.describe(response.headers_mut());
    Ok(response)
}

/// The bytes that `x-amz-copy-source-range` asks for of a source of `size` bytes; without the header all of them.
/// This is stricter than `Range`: the header must name both the first and the last byte, and both must lie in the
/// source.
///
/// # Errors
/// `InvalidArgument` for anything but `bytes=first-last`, `InvalidRange` when the source is shorter.
fn range(ctx: &Context, size: u64) -> Result<Range<u64>, S3Error> {
    match ctx.header(RANGE) {
        None => Ok(0..size),
        Some(text) => parse_range(text, size),
    }
}

fn parse_range(text: &str, size: u64) -> Result<Range<u64>, S3Error> {
    let bounds = text.strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
    let bounds =
        bounds.and_then(|(first, last)| Some((number::saturating(first)?, number::saturating(last)?)));
    match bounds {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some((first, last)) if first <= last => {
            let message = format!("Range specified is not valid for source object of size: {size}");
            Err(S3Error::new(Code::InvalidRange).message(message))
        }
        _ => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                 are the zero-based offsets of the first and last bytes to copy";
            Err(S3Error::invalid_argument(RANGE, text, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_ends_inside_the_source() {
        let of = |text| parse_range(text, 5).map_err(|error| error.code());
        assert_eq!(of("bytes=0-4"), Ok(0..5));
        assert_eq!(of("bytes=2-2"), Ok(2..3));
        assert_eq!(of("bytes=0-21"), Err(Code::InvalidRange));
        assert_eq!(of("bytes=5-5"), Err(Code::InvalidRange));
        for wrong in [
            "0-2",
            "bytes=0",
            "bytes=hello-world",
            "bytes=0-bar",
            "bytes=hello-",
            "bytes=0-2,3-5",
            "bytes=3-2",
            "",
        ] {
            assert_eq!(of(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
    }
}
