//! GetBucketAcl, PutBucketAcl, GetObjectAcl and PutObjectAcl.

use crate::acl;
use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::level;
use crate::ops::configure::{configure, configure_object};
use crate::ownership;
use crate::version::Target;
use crate::xml;
use crate::xml::acl::AccessControlPolicy;
use crate::xml::buckets::Owner;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::{BucketChange, ObjectChange};
use stratum_metadata::record::{BucketRecord, Grant, ObjectOwnership, ObjectRecord};

/// The longest document that is read, in bytes: more than a hundred grants take.
const MAX_BODY_BYTES: u64 = 64 * 1024;

pub fn get_bucket(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    answer(ctx, bucket, &bucket.owner, bucket.configuration.acl.as_deref())
}

pub fn get_object(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let object = target.look_up(&ctx.view)?.object;
    let mut response = answer(ctx, bucket, owner(ctx, bucket, &object), object.attributes.acl.as_deref())?;
    target.describe(&object, response.headers_mut());
    Ok(response)
}

pub async fn put_bucket(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    ownership::require_lists(ctx, bucket)?;
    let acl = asked(ctx, bucket, &bucket.owner, body).await?;
    level::require(ctx, "An access control list")?;
    configure(ctx, bucket, BucketChange::Acl(acl)).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn put_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    body: RequestBody,
) -> S3Result {
    ownership::require_lists(ctx, bucket)?;
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let object = target.look_up(&ctx.view)?.object;
    let acl = asked(ctx, bucket, owner(ctx, bucket, &object), body).await?;
    level::require(ctx, "An access control list")?;
    let object = configure_object(ctx, bucket, key, ObjectChange::Acl(acl)).await?;
    let mut response = Response::new(Body::empty());
    target.describe(&object, response.headers_mut());
    Ok(response)
}

/// The access control list that a request puts, by its headers or by its body. None for the usual list, which gives
/// the owner full control and nobody else anything.
async fn asked(
    ctx: &Context,
    bucket: &BucketRecord,
    owner: &str,
    body: RequestBody,
) -> Result<Option<Vec<Grant>>, S3Error> {
    let by_headers = acl::asked(&ctx.headers, &ctx.store.identities)?;
    let document = body.document(MAX_BODY_BYTES).await?;
    let grants = match (by_headers, document.bytes().is_empty()) {
        (Some(_), false) => {
            let message = "An access control list stands in the headers or in the body, not in both.";
            return Err(S3Error::new(Code::UnexpectedContent).message(message));
        }
        (Some(lists), true) => lists.grants(owner, &bucket.owner),
        (None, false) => {
            let (store, of) = (ctx.store.clone(), owner.to_owned());
            let read = move |bytes: &[u8]| xml::acl::read(bytes, &of, &store.identities);
            acl::unusual(document.read(read).await?, owner)
        }
        (None, true) => return Err(Code::MissingSecurityHeader.into()),
    };
    acl::check_public(bucket, grants.as_deref())?;
    Ok(grants)
}

/// The id of an object's owner: the writer's where the bucket's object ownership lets writers own objects, else the
/// bucket owner's.
fn owner<'a>(ctx: &Context, bucket: &'a BucketRecord, object: &'a ObjectRecord) -> &'a str {
    match (ownership::of(bucket, &ctx.store.settings), &object.attributes.owner) {
        (ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter, Some(owner)) => owner,
        (_, _) => &bucket.owner,
    }
}

/// Writes an access control list. Where the bucket has lists disabled, the answer is that the owner has full control.
fn answer(ctx: &Context, bucket: &BucketRecord, owner: &str, grants: Option<&[Grant]>) -> S3Result {
    let has_lists = ownership::of(bucket, &ctx.store.settings) != ObjectOwnership::BucketOwnerEnforced;
    let usual = [acl::usual(owner)];
    let grants = grants.filter(|_| has_lists).unwrap_or(&usual);
    let identities = &ctx.store.identities;
    xml::answer(&AccessControlPolicy::new(Owner::by_id(identities, owner), grants, identities))
}
