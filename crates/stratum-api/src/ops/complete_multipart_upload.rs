//! CompleteMultipartUpload: the parts that the client names become the object, by one command that moves no bytes.
//!
//! The parts are read and checked here, and the command says which part was the newest then. The command is refused
//! if another part was uploaded since, and the parts are read again. A repeated CompleteMultipartUpload gets the
//! answer of the first one.

use crate::apart;
use crate::body::RequestBody;
use crate::checksum;
use crate::conditions;
use crate::context::Context;
use crate::encryption::Sealing;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::lock;
use crate::multipart::{self, Assembled};
use crate::number;
use crate::ops::bucket_lifecycle::tell_expiration;
use crate::ops::notices;
use crate::ops::put_object;
use crate::text::{Name, Quoted};
use crate::version;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::long::FEW_ENTRIES;
use crate::xml::multipart::{
    ChecksumElement, CompleteMultipartUpload, CompleteMultipartUploadResult, MAX_BODY_BYTES,
};
use std::sync::Arc;
use stratum_metadata::command::{Command, Outcome, Proposed, Refusal, WriteCondition};
use stratum_metadata::record::{
    Body, BucketRecord, Checksum, ChecksumType, Completion, ETag, EventKind, LastPart, ObjectRecord,
    UploadId, UploadRecord, Version, VersionId,
};
use stratum_metadata::{KeyVersion, PartsToComplete};

/// How often the parts are read anew before the client is told to try again.
const READ_ATTEMPTS: usize = 5;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, body: RequestBody) -> S3Result {
    let upload = multipart::upload_id(&ctx.query)?;
    let unknown = || S3Error::new(Code::NoSuchUpload).with("UploadId", upload.to_string());
    // Where the upload doesn't exist the body needn't be read.
    if multipart::find(&ctx.view, bucket, key, upload)?.is_none()
        && completed(ctx, bucket, key, upload)?.is_none()
    {
        return Err(unknown());
    }
    // Checksum headers are of the whole object here, and not of this document.
    let document = body.document_about_an_object(MAX_BODY_BYTES).await?;
    let request = document.read(CompleteMultipartUpload::read).await?;
    let request = Arc::new(request);
    for _ in 0..READ_ATTEMPTS {
        let Some(record) = multipart::find(&ctx.view, bucket, key, upload)? else {
            let first = completed(ctx, bucket, key, upload)?.ok_or_else(unknown)?;
            return answer_again(ctx, bucket, key, upload, &first).await;
        };
        let sealing = Sealing::of_upload(ctx, &record).await?;
        ctx.late.may_begin(|out| sealing.describe(out));
        let (last_part, assembled) = assemble(ctx, upload, &record, &request).await?;
        check_object(ctx, &record, &assembled)?;
        let condition = conditions::on_write(&ctx.headers);
        let command = complete(ctx, bucket, upload, record, assembled, condition, last_part);
        let kinds = [EventKind::ObjectCreatedCompleteMultipartUpload];
        let notice = notices::of_object(ctx, bucket, key, None, &kinds)?;
        match ctx.commit(Proposed::telling(command, notice)).await? {
            Outcome::Refused(Refusal::UploadChanged | Refusal::NoSuchUpload) => continue,
            Outcome::Refused(refusal) => return Err(conditions::refused(refusal)),
            Outcome::Object(object) => {
                if object.attributes.encryption.is_none() {
                    ctx.offer_stored(bucket.id, key, object.modified);
                }
                let answer = answer(ctx, bucket, key, object.version, object.etag, object.checksum.as_ref());
                let mut response = answer?;
                tell_expiration(ctx, bucket, key, &object, response.headers_mut())?;
                sealing.describe(response.headers_mut());
                return Ok(response);
            }
            other => {
                let what = format_args!("the outcome of CompleteMultipartUpload was: {other}");
                return Err(S3Error::new(Code::InternalError).because(what));
            }
        }
    }
    Err(S3Error::new(Code::OperationAborted).because("the upload's parts kept changing"))
}

/// The object that the named parts make, and the newest part when the parts were read. Ten thousand parts take some
/// milliseconds to read and check. So the work takes one of the party's turns, and where the parts are many it is
/// done on a thread that serves no requests.
async fn assemble(
    ctx: &Context,
    upload: UploadId,
    record: &UploadRecord,
    request: &Arc<CompleteMultipartUpload>,
) -> Result<(Option<LastPart>, Assembled), S3Error> {
    let _turn = ctx.memory.turn().await;
    let PartsToComplete { last_part, parts } = ctx.view.parts_to_complete(upload).await?;
    let (named, record) = (request.clone(), record.clone());
    let assemble = move || multipart::assemble(&record, &named.parts, &parts);
    let is_long = request.parts.len() > FEW_ENTRIES;
    let assembled = if is_long { apart::run(assemble).await?? } else { assemble()? };
    Ok((last_part, assembled))
}

/// What an earlier CompleteMultipartUpload of the same upload made, if there was one.
fn completed(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    upload: UploadId,
) -> Result<Option<Completion>, S3Error> {
    let first = ctx.view.completed(upload)?;
    Ok(first.filter(|first| first.bucket == bucket.id && first.key == key.as_bytes()))
}

/// The answer of the first CompleteMultipartUpload. What that told of the object besides is told as long as the object
/// is there.
async fn answer_again(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    upload: UploadId,
    first: &Completion,
) -> S3Result {
    let mut response = answer(ctx, bucket, key, first.version, first.etag, first.checksum.as_ref())?;
    let found = ctx.view.version(bucket.id, key.as_bytes(), first.version)?;
    if let Some(KeyVersion { version: Version::Object(object), is_current }) = found
        && matches!(&object.body, Body::Parts { upload: of, .. } if *of == upload)
    {
        let out = response.headers_mut();
        Sealing::of_completed(ctx, bucket.id, key, &object).await?.describe(out);
        if is_current {
            tell_expiration(ctx, bucket, key, &object, out)?;
        }
    }
    Ok(response)
}

/// The command that makes an object of the parts.
fn complete(
    ctx: &Context,
    bucket: &BucketRecord,
    upload: UploadId,
    record: UploadRecord,
    made: Assembled,
    condition: WriteCondition,
    last_part: Option<LastPart>,
) -> Command {
    // Some parts may lie in another tier than the object's: the tier had no room for them, or they are small and
    // still lie in the journal.
    let mut attributes = record.attributes.reviewed_at_once();
    // The default retention begins now: the version is made now, and not when its upload was created.
    lock::retain_by_default(&mut attributes, bucket, ctx.now);
    let object = ObjectRecord {
        version: VersionId::NULL,
        modified: ctx.now,
        size: made.size,
        etag: made.etag,
        storage_class: record.storage_class,
        checksum: made.checksum,
        headers: record.headers,
        body: Body::Parts { upload, parts: made.parts },
        committed: 0,
        attributes,
    };
    Command::CompleteMultipartUpload {
        bucket: bucket.id,
        key: record.key,
        upload,
        last_part,
        has_spare: made.has_spare,
        record: object,
        condition,
        remember_until: ctx.now.saturating_add(ctx.store.settings.completion_memory),
    }
}

/// Compares the size and the checksum of the whole object that the client gives with those of the parts together.
fn check_object(ctx: &Context, upload: &UploadRecord, made: &Assembled) -> Result<(), S3Error> {
    let invalid = |message: &'static str| Err(S3Error::new(Code::InvalidRequest).message(message));
    if let Some(size) = ctx.header("x-amz-mp-object-size")
        && number::parse(size) != Some(made.size)
    {
        return invalid("The provided 'x-amz-mp-object-size' header value does not match what was computed.");
    }
    let computed = made.checksum.as_ref().map(|checksum| checksum.kind);
    let kind = upload.checksum.map(|(_, kind)| kind).or(computed).unwrap_or(ChecksumType::FullObject);
    if let Some(named) = ctx.header("x-amz-checksum-type")
        && !named.eq_ignore_ascii_case(checksum::type_name(kind))
    {
        return invalid("The complete request must use the checksum type that the upload was created with.");
    }
    for (algorithm, name, header) in checksum::ALGORITHMS {
        let Some(declared) = ctx.headers.get(header) else { continue };
        let declared = declared.to_str().unwrap_or_default();
        let computed = made.checksum.as_ref().filter(|computed| computed.algorithm == algorithm);
        let Some(computed) = computed else {
            return invalid(
                "The complete request must use the checksum algorithm that the upload was created with.",
            );
        };
        if declared != checksum::encode(&computed.value) && declared != text(computed, &made.etag) {
            let message = format!("The {name} you specified did not match the calculated checksum.");
            return Err(S3Error::new(Code::BadDigest).message(message));
        }
    }
    Ok(())
}

fn text(checksum: &Checksum, etag: &ETag) -> String {
    multipart::checksum_text(checksum, multipart::parts_of(etag))
}

fn answer(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    version: VersionId,
    etag: ETag,
    checksum: Option<&Checksum>,
) -> S3Result {
    let mut response = xml::answer(&CompleteMultipartUploadResult {
        xmlns: Namespace,
        location: put_object::location(
            &ctx.scheme,
            ctx.header("host").unwrap_or_default(),
            &bucket.name,
            key,
        ),
        bucket: &bucket.name,
        key: Name::new(key.as_bytes(), None),
        etag: Quoted(etag),
        checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
        checksum: checksum.map(|checksum| ChecksumElement::new(checksum.algorithm, text(checksum, &etag))),
    })?;
    version::made(version, response.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::uri::Scheme;

    #[test]
    fn the_location_is_where_the_client_sent_its_request() {
        let key = ObjectKey::parse(b"a b/c".to_vec()).unwrap();
        assert_eq!(put_object::location(&Scheme::HTTP, "h:9000", "b", &key), "http://h:9000/b/a%20b/c");
        assert_eq!(put_object::location(&Scheme::HTTPS, "h", "b", &key), "https://h/b/a%20b/c");
    }
}
