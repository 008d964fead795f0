//! The rights that a request needs beside those of its operation: for the tags, lock or grants that its headers or
//! body give to a version, for the conditions by which it finds out about an object, and for the copy of tags.

use super::facts::{Asker, Said};
use super::{Resource, Verdict, authorise, judge};
use crate::acl;
use crate::conditions;
use crate::context::{Caller, Context};
use crate::error::S3Error;
use crate::key::ObjectKey;
use crate::operation::{self, Operation};
use crate::ownership;
use crate::tags::{self, Tags};
use crate::version;
use http::HeaderName;
use stratum_metadata::record::{BucketRecord, Grantee, ObjectOwnership};

/// A header that makes a request need a right beside those of its operation.
#[derive(Clone, Copy, Debug)]
pub struct Brings {
    pub header: &'static str,
    pub action: &'static str,
    pub because: Because,
    /// A value of the header with which the request needs the right. A test tries it.
    pub example: &'static str,
}

/// Why a header needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The header gives tags or a lock to the version that is written, which takes a right of its own.
    Gives,
    /// The header gives others access to the object that is written, where access control lists are in use. The
    /// account that will own the object may do that unless a policy denies it.
    LetsIn,
    /// The header compares something with the object's content, and the answer tells whether it is the same. The
    /// condition `*`, which asks only whether the object exists, isn't one of these.
    Asks,
    /// The header lifts a lock that would refuse the request. Without the right it lifts nothing, and the lock
    /// refuses the request.
    Lifts,
}

/// All such headers. No other header of a request that writes objects takes a right.
pub const BRINGS: &[Brings] = {
    const EVERYBODY: &str = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
    const fn gives(header: &'static str, example: &'static str, action: &'static str) -> Brings {
        Brings { header, action, because: Because::Gives, example }
    }
    const fn lets_in(header: &'static str, example: &'static str) -> Brings {
        Brings { header, action: "s3:PutObjectAcl", because: Because::LetsIn, example }
    }
    const fn asks(header: &'static str, example: &'static str) -> Brings {
        Brings { header, action: "s3:GetObject", because: Because::Asks, example }
    }
    &[
        gives(tags::HEADER, "a=b", "s3:PutObjectTagging"),
        gives("x-amz-object-lock-mode", "GOVERNANCE", "s3:PutObjectRetention"),
        gives("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z", "s3:PutObjectRetention"),
        gives("x-amz-object-lock-legal-hold", "ON", "s3:PutObjectLegalHold"),
        lets_in("x-amz-acl", "public-read"),
        lets_in("x-amz-grant-full-control", EVERYBODY),
        lets_in("x-amz-grant-read", EVERYBODY),
        lets_in("x-amz-grant-read-acp", EVERYBODY),
        lets_in("x-amz-grant-write", EVERYBODY),
        lets_in("x-amz-grant-write-acp", EVERYBODY),
        asks("if-match", "\"0123456789abcdef0123456789abcdef\""),
        asks("if-none-match", "\"0123456789abcdef0123456789abcdef\""),
        asks("x-amz-if-match-last-modified-time", "Sun, 06 Nov 1994 08:49:37 GMT"),
        asks("x-amz-if-match-size", "1"),
        Brings { header: BYPASS, action: BYPASSING, because: Because::Lifts, example: "true" },
    ]
};

const BYPASS: &str = "x-amz-bypass-governance-retention";
const BYPASSING: &str = "s3:BypassGovernanceRetention";

/// Whether the caller has the rights that the headers of a write need.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_headers(
    asker: &Asker<'_>,
    operation: &Operation,
    resource: &Resource<'_>,
) -> Result<(), S3Error> {
    let named = |name: &HeaderName| BRINGS.iter().find(|brings| name == brings.header);
    let brought: Vec<&Brings> = asker.headers.keys().filter_map(named).collect();
    let is_there = |because| brought.iter().any(|brings| brings.because == because);
    if is_there(Because::Asks) && conditions::are_of_content(operation, asker.headers) {
        authorise_reading(asker, resource)?;
    }
    if is_there(Because::LetsIn) && gives_to_others(asker, resource) {
        authorise_list(asker, resource)?;
    }
    for brings in brought.iter().filter(|brings| brings.because == Because::Gives) {
        let said = Said::of(asker.headers, asker.now);
        authorise(&Asker { said: Some(&said), ..*asker }, brings.action, resource)?;
    }
    Ok(())
}

/// Whether this request may delete or shorten what a retention in governance mode protects: its header asks to bypass
/// the retention, and its caller has the right to.
pub fn bypasses_governance(asker: &Asker<'_>, resource: &Resource<'_>) -> bool {
    let value = asker.headers.get(BYPASS).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && authorise(asker, BYPASSING, resource).is_ok()
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

/// Whether the caller may give an access control list to the object that it writes. The owner of the account that
/// will own the object may unless a policy denies it. A member of that account needs a policy that allows it.
fn authorise_list(asker: &Asker<'_>, resource: &Resource<'_>) -> Result<(), S3Error> {
    let action = on("s3:PutObjectAcl", resource);
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
fn on(action: &'static str, resource: &Resource<'_>) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::is_heeded;
    use crate::operation::Scope;
    use crate::operations;

    /// How the names of headers begin that operations on objects heed and that take no right: they say how the bytes
    /// are sent and stored, describe the object, or are about the request as a whole. The object that is copied takes
    /// the rights of the operation's row, and the key service decides who may use a key of KMS.
    const BRING_NOTHING: [&str; 16] = [
        "bucket-namespace",
        "checksum-",
        "copy-source",
        "expected-bucket-owner",
        "meta-",
        "metadata-directive",
        "mp-object-size",
        "object-annotation-directive",
        "optional-object-attributes",
        "request-payer",
        "sdk-checksum-algorithm",
        "server-side-encryption",
        "source-expected-bucket-owner",
        "storage-class",
        "tagging-directive",
        "website-redirect-location",
    ];

    /// A header that an operation comes to heed must be entered in one of the two lists: so nobody forgets to decide
    /// whether it takes a right. The API's tests try every header of `BRINGS`.
    #[test]
    fn every_header_that_a_write_heeds_brings_a_right_or_is_known_to_bring_none() {
        let names = include_str!("../headers/s3-headers.txt").lines();
        let of_http = ["if-match", "if-none-match", "if-unmodified-since"];
        let writes = || operations::all().filter(|row| row.scope == Scope::Object && row.is_write());
        for name in names.chain(of_http).filter(|name| writes().any(|row| is_heeded(name, row))) {
            let rest = name.trim_start_matches("x-amz-");
            let brings_none = BRING_NOTHING.iter().any(|begin| rest.starts_with(begin));
            let brings = BRINGS.iter().any(|brings| brings.header == name);
            assert!(brings != brings_none, "{name}: {brings} {brings_none}");
        }
    }

    #[test]
    fn each_header_that_brings_a_right_is_heeded_by_a_write_and_listed_once() {
        for brings in BRINGS {
            assert!(
                operations::all().any(|row| row.is_write() && is_heeded(brings.header, row)),
                "{brings:?}"
            );
            assert_eq!(BRINGS.iter().filter(|other| other.header == brings.header).count(), 1, "{brings:?}");
        }
    }
}
