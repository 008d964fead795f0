//! CopyObject: the bytes of one object are read and written as another object.
//!
//! A copy shares no bytes with its source. The memory that the request takes to read and to write is admitted in one
//! step before either begins, so that a copy isn't refused memory when it has begun.

use crate::body::MAX_PAYLOAD_BYTES;
use crate::checksum;
use crate::conditions;
use crate::context::Context;
use crate::copy_source::CopySource;
use crate::encryption::{self, Opening, Sealing};
use crate::error::{Code, S3Error, S3Result};
use crate::headers::{self, Directive};
use crate::key::ObjectKey;
use crate::lock::Lock;
use crate::new_version::NewVersion;
use crate::ops::bucket_lifecycle::tell_expiration;
use crate::ops::put_object;
use crate::ops::quotas;
use crate::ownership::Owned;
use crate::rights::Resource;
use crate::selection::Selection;
use crate::tags;
use crate::text::{Quoted, Timestamp};
use crate::version;
use crate::xml;
use crate::xml::multipart::ChecksumElement;
use crate::xml::object::CopyObjectResult;
use stratum_metadata::declared::Declared;
use stratum_metadata::record::{
    BucketRecord, ChecksumAlgorithm, EventKind, ObjectHeaders, ObjectRecord, StorageClass,
};

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let source = CopySource::of(ctx)?;
    let replacement = replacement(ctx)?;
    let replaced_tags = match Directive::of(&ctx.headers, "x-amz-tagging-directive")? {
        Directive::Replace => Some(tags::of_header(&ctx.headers)?),
        Directive::Copy => None,
    };
    let lock = Lock::asked(&ctx.headers, bucket, ctx.now)?;
    let redirect = headers::website_redirect(&ctx.headers)?;
    let class = headers::storage_class(&ctx.headers)?;
    let owned = Owned::asked(ctx, bucket)?;
    let condition = conditions::on_write(&ctx.headers);
    let algorithm = wanted_algorithm(ctx)?;
    // A copy from a named version onto its own key changes something even without new metadata: that version becomes
    // current.
    let to_itself = source.bucket.id == bucket.id && source.key == *key && source.version.is_none();
    let target = source.target();

    // What the source is now. Where it can't be looked up, opening it says why.
    let looked = target.look_up(&ctx.view).map(|looked| looked.object).ok();
    let largest = looked.as_ref().map_or(MAX_PAYLOAD_BYTES, |object| object.size);
    let declared = match (&replacement, &looked) {
        (Some(kept), _) => headers::declared(kept, class)?,
        (None, Some(object)) => Declared::of(&object.headers, class),
        (None, None) => Declared { class, ..Declared::default() },
    };
    let placement = ctx.store.bodies.place(&declared, ctx.now);
    let (opening, sealing) = (Opening::of_source(ctx)?, Sealing::of_write(ctx, bucket, key).await?);
    let encrypts_anew = encryption::is_asked_for(ctx)?;
    let admitted = ctx.store.bodies.admit_copy(&ctx.memory, &placement, largest)?;
    let choose = |object: &ObjectRecord| {
        conditions::check_copy_source(&ctx.headers, object)?;
        check_size(object)?;
        // The placement was chosen by what the source's metadata declared, and the memory by its size. The source has
        // been replaced since, and declares something else or is larger.
        let declares_else = replacement.is_none() && Declared::of(&object.headers, class) != declared;
        if declares_else || object.size > largest {
            return Err(Code::OperationAborted.into());
        }
        Ok(Selection::whole(object))
    };
    let opened = encryption::open(ctx, &target, Some(admitted), &opening, choose).await;
    let opened = opened.map_err(|error| source.masked(ctx, error))?;
    // This is after the source was opened, since the redirect of an encrypted object is sealed in its record.
    let encrypts_anew = encrypts_anew || sealing.changes(&opened.object);
    if to_itself && replacement.is_none() && !encrypts_anew {
        check_change(&opened.object, class, redirect.as_deref())?;
    }
    if let (None, Some(tags)) = (&replaced_tags, &opened.object.attributes.tags) {
        source.may_give_tags(ctx, &Resource::Object(bucket, key, None), tags)?;
    }
    quotas::admit_object(ctx, bucket, key, opened.object.size)?;
    let tier = ctx.store.bodies.tier_of(&ctx.view, &opened.object)?;

    let algorithm = algorithm.or(opened.object.checksum.as_ref().map(|checksum| checksum.algorithm));
    let algorithm = algorithm.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
    let kept = match replacement {
        Some(kept) => kept,
        None => headers::bounded(ObjectHeaders {
            website_redirect_location: redirect,
            ..opened.object.headers.clone()
        })?,
    };
    let tags = replaced_tags.unwrap_or_else(|| opened.object.attributes.tags.clone());
    let new = NewVersion { headers: kept, class, tags, owned, lock, made: EventKind::ObjectCreatedCopy };
    let (length, seal) = (opened.object.size, sealing.seal());
    ctx.late.may_begin(|out| {
        target.describe(&opened.object, out);
        sealing.describe(out);
    });
    let stored = ctx.store.bodies.copy(opened.content, length, placement, algorithm, seal).await?;
    let object = put_object::commit(ctx, bucket, key, stored, new, &sealing, condition).await?;
    if opened.is_current {
        ctx.count_read(source.bucket.id, &source.key, &opened.object, &opened.selection, tier);
    }
    let mut response = xml::answer(&CopyObjectResult {
        xmlns: xml::Namespace,
        last_modified: Timestamp(object.modified),
        etag: Quoted(object.etag),
        checksum_type: object.checksum.as_ref().map(|checksum| checksum::type_name(checksum.kind)),
        checksum: object
            .checksum
            .as_ref()
            .map(|checksum| ChecksumElement::new(checksum.algorithm, checksum::encode(&checksum.value))),
    })?;
    version::made(object.version, response.headers_mut());
    tell_expiration(ctx, bucket, key, &object, response.headers_mut())?;
    target.describe(&opened.object, response.headers_mut());
    sealing.describe(response.headers_mut());
    Ok(response)
}

/// The headers that replace the source's; `None` where they are copied.
fn replacement(ctx: &Context) -> Result<Option<ObjectHeaders>, S3Error> {
    match Directive::of(&ctx.headers, "x-amz-metadata-directive")? {
        Directive::Replace => headers::object_headers(&ctx.headers).map(Some),
        Directive::Copy => Ok(None),
    }
}

/// `x-amz-checksum-algorithm`: the algorithm of the copy's checksum.
fn wanted_algorithm(ctx: &Context) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    ctx.header("x-amz-checksum-algorithm").map(checksum::asked_for).transpose()
}

fn check_size(source: &ObjectRecord) -> Result<(), S3Error> {
    if source.size > MAX_PAYLOAD_BYTES {
        return Err(S3Error::new(Code::InvalidRequest).message(
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
        ));
    }
    Ok(())
}

/// Refuses a copy of an object onto itself that changes nothing.
fn check_change(object: &ObjectRecord, class: StorageClass, redirect: Option<&str>) -> Result<(), S3Error> {
    if class != object.storage_class || redirect != object.headers.website_redirect_location.as_deref() {
        return Ok(());
    }
    Err(S3Error::new(Code::InvalidRequest).message(
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
         metadata, storage class, website redirect location or encryption attributes.",
    ))
}
