//! What a request needs beside its operation's own rights: what its headers or its body give to a version, and what they ask of one.

use super::facts::{Asker, Said};
use super::{Resource, Verdict, authorise, judge};
use crate::acl;
use crate::conditions;
use crate::context::{Caller, Context};
use crate::error::S3Error;
use crate::key::ObjectKey;
use crate::operation::Operation;
use crate::ownership;
use crate::tags::{self, Tags};
use crate::version;
use stratum_metadata::record::{BucketRecord, Grantee, ObjectOwnership};

/// The rights that a header asks for beside the operation's own: what it gives to a version, it takes a right to give.
const BY_HEADER: [(&str, &str); 4] = [
    (tags::HEADER, "s3:PutObjectTagging"),
    ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
    ("x-amz-object-lock-retain-until-date", "s3:PutObjectRetention"),
    ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
];

/// Whether the caller may give to the object what the headers of a write say, and ask of it what they ask.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_headers(
    asker: &Asker<'_>,
    operation: &Operation,
    resource: &Resource<'_>,
) -> Result<(), S3Error> {
    if conditions::are_of_content(operation, asker.headers) {
        authorise_reading(asker, resource)?;
    }
    if gives_to_others(asker, resource) {
        authorise_list(asker, resource)?;
    }
    for name in asker.headers.keys() {
        let Some((_, action)) = BY_HEADER.into_iter().find(|(header, _)| name == header) else { continue };
        let said = Said::of(asker.headers, asker.now);
        authorise(&Asker { said: Some(&said), ..*asker }, action, resource)?;
    }
    Ok(())
}

/// Whether the headers let in others than the bucket's owner and who will own what is written.
fn gives_to_others(asker: &Asker<'_>, resource: &Resource<'_>) -> bool {
    let Resource::Object(bucket, ..) = resource else { return false };
    if ownership::of(bucket, &asker.store.settings) == ObjectOwnership::BucketOwnerEnforced {
        return false;
    }
    // What makes no sense is refused by the operation.
    let lists = acl::asked(asker.headers, &asker.store.identities).ok().flatten();
    let (writer, owner) = (asker.account.id(), bucket.owner.as_str());
    let is_theirs = |grantee: &Grantee| matches!(grantee, Grantee::User(id) if id == writer || id == owner);
    let grants = lists.and_then(|lists| lists.grants(writer, owner)).unwrap_or_default();
    !grants.iter().all(|grant| is_theirs(&grant.grantee))
}

/// Whether the caller may give its list to what it writes. Whoever will own it may, unless a policy denies it; a member of an account,
/// who owns nothing, has to be given the right.
fn authorise_list(asker: &Asker<'_>, resource: &Resource<'_>) -> Result<(), S3Error> {
    const ACTION: &str = "s3:PutObjectAcl";
    match judge(asker, ACTION, resource)? {
        Verdict::NotAllowed if !matches!(asker.caller, Caller::Member(_)) => Ok(()),
        _ => authorise(asker, ACTION, resource),
    }
}

/// Whether the caller may have the tags of what it copies be the copy's.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_copied_tags(
    ctx: &Context,
    source: &Resource<'_>,
    copy: &Resource<'_>,
    tags: &Tags,
) -> Result<(), S3Error> {
    let reading = match source {
        Resource::Object(_, _, Some(_)) => "s3:GetObjectVersionTagging",
        _ => "s3:GetObjectTagging",
    };
    authorise(&Asker::of(ctx), reading, source)?;
    let said = Said { tags: tags.clone(), ..Said::default() };
    authorise(&Asker { said: Some(&said), ..Asker::of(ctx) }, "s3:PutObjectTagging", copy)
}

/// Whether the caller may read what a write or a deletion asks about: its answer tells whether it guessed right.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_reading(asker: &Asker<'_>, resource: &Resource<'_>) -> Result<(), S3Error> {
    let action = match resource {
        Resource::Object(_, _, Some(_)) => "s3:GetObjectVersion",
        _ => "s3:GetObject",
    };
    authorise(asker, action, resource)
}

/// As [`authorise`], once the body has been read: what it says may be what the policy asks about.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_said(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    said: &Said,
) -> Result<(), S3Error> {
    let version = ctx.query.get(version::PARAMETER);
    let asker = Asker { said: Some(said), ..Asker::of(ctx) };
    for action in ctx.operation.actions(version.is_some()) {
        authorise(&asker, action, &Resource::Object(bucket, key, version))?;
    }
    Ok(())
}
