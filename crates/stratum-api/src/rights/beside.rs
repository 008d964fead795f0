//! The rights that a request needs beside those of its operation: for the tags, lock or grants that its headers or
//! body give to a version, for the conditions by which it finds out about an object, and for the copy of tags.

use super::facts::{Asker, Said};
use super::{Resource, Verdict, authorise, judge};
use crate::acl;
use crate::conditions;
use crate::context::{Caller, Context};
use crate::error::S3Error;
use crate::key::ObjectKey;
use crate::operation::{self, Because, Brings, Operation};
use crate::ownership;
use crate::tags::Tags;
use crate::version;
use http::HeaderMap;
use stratum_metadata::record::{BucketRecord, Grantee, ObjectOwnership};

/// Lifts a retention in governance mode.
pub const BYPASS: &str = "x-amz-bypass-governance-retention";

/// Whether the caller may give to what is made what the headers of a write say, and ask of what is there what they ask.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_headers(
    asker: &Asker<'_>,
    operation: &Operation,
    resource: &Resource<'_>,
) -> Result<(), S3Error> {
    for (because, action) in brought(operation, asker.headers) {
        match because {
            Because::Gives => {
                let said = Said::of(asker.headers, asker.now);
                authorise(&Asker { said: Some(&said), ..*asker }, action, resource)?;
            }
            Because::LetsIn if gives_to_others(asker, resource) => authorise_list(asker, action, resource)?,
            Because::Asks if conditions::are_of_content(operation, asker.headers) => {
                authorise(asker, on(action, resource), resource)?;
            }
            Because::LetsIn | Because::Asks | Because::Lifts => {}
        }
    }
    Ok(())
}

/// What the headers bring, each once: a list may stand in five of them.
fn brought(operation: &Operation, headers: &HeaderMap) -> Vec<(Because, &'static str)> {
    let mut all = Vec::new();
    if operation.brings.is_empty() {
        return all;
    }
    for (name, value) in headers {
        let is_it = |brings: &&Brings| brings.by.is_header(name.as_str(), value.as_bytes());
        let Some(brings) = operation.brings().find(is_it) else { continue };
        for one in brings.actions().map(|action| (brings.because, action)) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Whether a retention in governance mode doesn't bind this request: it says so, and its caller may.
pub fn bypasses_governance(asker: &Asker<'_>, resource: &Resource<'_>) -> bool {
    let value = asker.headers.get(BYPASS).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && authorise(asker, "s3:BypassGovernanceRetention", resource).is_ok()
}

/// Whether the headers give access to anybody but the bucket's owner and the account that will own the object.
fn gives_to_others(asker: &Asker<'_>, resource: &Resource<'_>) -> bool {
    let Resource::Object(bucket, ..) = resource else { return false };
    if ownership::of(bucket, &asker.store.settings) == ObjectOwnership::BucketOwnerEnforced {
        return false;
    }
    // The operation refuses headers that can't be read.
    let lists = acl::asked(asker.headers, &asker.store.identities).ok().flatten();
    let (writer, owner) = (asker.account.id(), bucket.owner.as_str());
    let is_theirs = |grantee: &Grantee| matches!(grantee, Grantee::User(id) if id == writer || id == owner);
    let grants = lists.and_then(|lists| lists.grants(writer, owner)).unwrap_or_default();
    !grants.iter().all(|grant| is_theirs(&grant.grantee))
}

/// Whether the caller may give its list to what it writes. Whoever will own it may, unless a policy denies it; a member of an account,
/// who owns nothing, has to be given the right.
fn authorise_list(asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Result<(), S3Error> {
    let action = on(action, resource);
    match judge(asker, action, resource)? {
        Verdict::NotAllowed if !matches!(asker.caller, Caller::Member(_)) => Ok(()),
        _ => authorise(asker, action, resource),
    }
}

/// Whether the caller may read the tags of the object that it copies and give them to the copy.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_copied_tags(
    ctx: &Context,
    source: &Resource<'_>,
    copy: &Resource<'_>,
    tags: &Tags,
) -> Result<(), S3Error> {
    authorise(&Asker::of(ctx), on("s3:GetObjectTagging", source), source)?;
    let said = Said { tags: tags.clone(), ..Said::default() };
    authorise(&Asker { said: Some(&said), ..Asker::of(ctx) }, "s3:PutObjectTagging", copy)
}

/// Whether the caller may read an object whose content a condition of a write or a deletion is about. The answer
/// tells whether the condition holds, and so something of the content.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_reading(asker: &Asker<'_>, resource: &Resource<'_>) -> Result<(), S3Error> {
    authorise(asker, on("s3:GetObject", resource), resource)
}

/// The action on this resource, which is another one where the resource is a version that is named.
pub(super) fn on(action: &'static str, resource: &Resource<'_>) -> &'static str {
    operation::on(action, matches!(resource, Resource::Object(_, _, Some(_))))
}

/// Asks for the operation's rights again when the body has been read, since a policy may ask about the tags or the
/// lock that the body gives.
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
