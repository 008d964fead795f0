//! What a request needs beside its operation's own rights: what its headers or its body give to a version, and what they ask of one.

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

/// A header because of which a request needs a right beside its operation's own.
#[derive(Clone, Copy, Debug)]
pub struct Brings {
    pub header: &'static str,
    pub action: &'static str,
    pub because: Because,
    /// A value with which it needs it.
    pub example: &'static str,
}

/// Why it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It gives to a version what takes a right to give.
    Gives,
    /// It lets others in, where lists are in use. Who will own what is written may, unless a policy denies it.
    LetsIn,
    /// It asks what the object is, and the answer tells. That there is one at all (`*`) isn't that.
    Asks,
    /// It lifts what would keep the request from being done. Without the right it lifts nothing, and what it lifts refuses.
    Lifts,
}

/// All of them. What a request does to objects takes no right because of another header.
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

/// Whether the caller may give to the object what the headers of a write say, and ask of it what they ask.
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

/// Whether a retention in governance mode doesn't bind this request: it says so, and its caller may.
pub fn bypasses_governance(asker: &Asker<'_>, resource: &Resource<'_>) -> bool {
    let value = asker.headers.get(BYPASS).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && authorise(asker, BYPASSING, resource).is_ok()
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
    let action = on("s3:PutObjectAcl", resource);
    match judge(asker, action, resource)? {
        Verdict::NotAllowed if !matches!(asker.caller, Caller::Member(_)) => Ok(()),
        _ => authorise(asker, action, resource),
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
    authorise(&Asker::of(ctx), on("s3:GetObjectTagging", source), source)?;
    let said = Said { tags: tags.clone(), ..Said::default() };
    authorise(&Asker { said: Some(&said), ..Asker::of(ctx) }, "s3:PutObjectTagging", copy)
}

/// Whether the caller may read what a write or a deletion asks about: its answer tells whether it guessed right.
///
/// # Errors
/// As [`authorise`].
pub fn authorise_reading(asker: &Asker<'_>, resource: &Resource<'_>) -> Result<(), S3Error> {
    authorise(asker, on("s3:GetObject", resource), resource)
}

/// The right to that, which is another where it is a version that is named.
fn on(action: &'static str, resource: &Resource<'_>) -> &'static str {
    operation::on(action, matches!(resource, Resource::Object(_, _, Some(_))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::is_heeded;
    use crate::operation::Scope;
    use crate::operations;

    /// Headers that operations on objects heed and that take no right: how bytes come and are kept, what is said of an object, what
    /// is asked of a request as a whole. What is copied takes the rights of its operation's row, and a key of KMS is the key service's.
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

    /// Whoever makes a header mean something has to say here whether that takes a right; then the matrix tries it.
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
    fn each_is_heeded_by_a_write() {
        for brings in BRINGS {
            assert!(
                operations::all().any(|row| row.is_write() && is_heeded(brings.header, row)),
                "{brings:?}"
            );
            assert_eq!(BRINGS.iter().filter(|other| other.header == brings.header).count(), 1, "{brings:?}");
        }
    }
}
