//! Authorisation: whether a caller may do an action to a resource. It is asked before every operation, those of IAM
//! and of the server's operator included.
//!
//! For a bucket or an object, the first of these rules that applies decides:
//!
//! 1. A statement of the bucket's policy, or of a member's own policies, denies the action. The one exception: a
//!    bucket's owner may always read, put and delete the bucket's policy.
//! 2. A statement of the bucket's policy allows the action. This doesn't count for an object that somebody else than
//!    the bucket's owner owns. Nor does it count for other accounts where the policy is public and the bucket's
//!    public access block restricts public buckets.
//! 3. The caller's account is the owner. A bucket's owner may do everything with the bucket and with the objects in
//!    it, but must not read an object that somebody else owns, nor its tags or its access control list, nor change
//!    those two. That object's owner may.
//! 4. A grant of the bucket's access control list, or of the object's, allows it, where the bucket has lists in use.
//! 5. The caller began the multipart upload that is to be listed or aborted.
//!
//! These rules are for the owners of accounts. A member of an account (a user that was created in it, or a session)
//! has no right until a policy gives it. A member may do what these rules let the account do, if the member's own
//! policies allow it as well. In a bucket of the account it is enough if a statement of the bucket's policy names the
//! member, or everybody. Resources that belong to no bucket (the list of buckets, a bucket that is to be created,
//! IAM's resources) are open to the account's owner, and to members as far as their policies allow.
//!
//! A caller who signs nothing (`Caller::Nobody`) has the rights that public policies and public grants give. Where
//! the server is configured to serve such requests (`anonymous`), the caller has the rights of root's account
//! instead. Only root may operate the server. A caller who may not list a bucket gets the same refusal for an object
//! that exists and for one that doesn't. Everybody is told that a bucket doesn't exist.
//!
//! Source: S3 User Guide, "How Amazon S3 authorizes a request" and "Access control list (ACL) overview".

mod beside;
mod delivery;
mod facts;
mod grants;
mod own;
mod shown;

pub use beside::{
    BYPASS, authorise_copied_tags, authorise_headers, authorise_reading, authorise_said, bypasses_governance,
};
pub use delivery::may_deliver_logs;
pub use facts::{Asker, IamSaid, Said};
pub use shown::withhold;

use crate::audit::Decided;
use crate::context::{Account, Caller, Context, Store};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::identities::Member;
use crate::key::ObjectKey;
use crate::ownership;
use crate::query::Query;
use crate::version::{Purpose, Target};
use facts::Facts;
use http::HeaderMap;
use own::Own;
use std::fmt;
use std::sync::Arc;
use stratum_metadata::record::{BucketRecord, ObjectOwnership, ObjectRecord, VersionId};
use stratum_policy::{Action, Decision, Key, Policy, Question};

/// The header that names the account that must own the request's bucket, or else the request is refused.
pub const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
/// The same for the bucket that is copied from.
pub const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// The action of all operator's routes, on [`Resource::Store`].
pub const OPERATE: &str = "stratum:Operate";

/// The resource of an action.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The store itself, for whoever operates the server.
    Store,
    /// The caller's account in S3, for the list of its buckets.
    Service,
    /// A bucket that is to be created.
    NewBucket(&'a str),
    Bucket(&'a BucketRecord),
    /// The current object under the key, or the version with that id.
    Object(&'a BucketRecord, &'a ObjectKey, Option<&'a str>),
    /// A user, a group, a role or a policy of the caller's account, or all of them, by its ARN.
    Iam(&'a str),
    /// A role of any account, by its ARN, and its trust policy, which says who may assume it.
    Role {
        arn: &'a str,
        account: &'a str,
        trust: &'a Policy,
    },
}

/// The decision on an action, and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed(By),
    /// This statement, of the bucket's policy or of the caller's own, denies it.
    Denied(String),
    /// Nothing allows it.
    NotAllowed,
}

/// What allows an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The resource belongs to the caller's own account, and to no bucket.
    Account,
    /// This statement of the member's own policies.
    Own(String),
    /// This statement of the bucket's policy.
    Policy(String),
    /// The caller's account owns the bucket or the object.
    Owner,
    /// A grant of an access control list.
    Grant,
    /// The caller began the upload.
    Initiator,
    /// Nothing yet: a policy asks about tags or a lock that the request's body gives. The question is put again when
    /// the body has been read.
    Later,
}

impl fmt::Display for Verdict {
    /// The reason for the decision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allowed(By::Account) => f.write_str("the resource belongs to the caller's own account"),
            Verdict::Allowed(By::Own(statement)) => {
                write!(f, "the caller's own policy allows it by {statement}")
            }
            Verdict::Allowed(By::Policy(statement)) => write!(f, "the policy allows it by {statement}"),
            Verdict::Allowed(By::Owner) => f.write_str("the caller owns it"),
            Verdict::Allowed(By::Grant) => f.write_str("a grant of the access control list"),
            Verdict::Allowed(By::Initiator) => f.write_str("the caller began the upload"),
            Verdict::Allowed(By::Later) => {
                f.write_str("the question is put again when the body has been read")
            }
            Verdict::Denied(statement) => write!(f, "the policy denies it by {statement}"),
            Verdict::NotAllowed => f.write_str("nothing allows it"),
        }
    }
}

/// Whether the caller may [`OPERATE`] the store: only root may. No policy can give that to others.
pub fn may_operate(caller: &Caller) -> bool {
    matches!(caller, Caller::User(user, _) if user.root)
}

/// Whether `asker` may do `action` to `resource`.
///
/// # Errors
/// `AccessDenied`, with the question and the reason for the log; `NoSuchKey` where the object doesn't exist and the
/// caller may know that, having the right to list the bucket.
pub fn authorise(asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Result<(), S3Error> {
    let verdict = judge(asker, action, resource)?;
    if verdict != Verdict::Allowed(By::Later) {
        let allowed = matches!(verdict, Verdict::Allowed(_));
        asker.trail.decided(|| Decided { action, allowed, by: verdict.to_string() });
    }
    if matches!(verdict, Verdict::Allowed(_)) {
        return Ok(());
    }
    if let (Verdict::NotAllowed, Resource::Object(bucket, key, version)) = (&verdict, resource)
        && grants::is_read_of_an_object(action)
        && may_list(asker, bucket, key)?
    {
        target(bucket, key, *version)?.look_up(asker.view)?;
    }
    let who = asker.caller.id().unwrap_or(asker.account.id());
    Err(S3Error::new(Code::AccessDenied)
        .because(format_args!("{who} may not do {action} to {resource}: {verdict}")))
}

/// The error for an object that wasn't found. Only those who may list the bucket are told that the object doesn't
/// exist; others are told that access is denied.
pub fn masked(asker: &Asker<'_>, bucket: &BucketRecord, key: &ObjectKey, error: S3Error) -> S3Error {
    let is_owner = bucket.owner == asker.account.id() && !matches!(asker.caller, Caller::Member(_));
    if !matches!(error.code(), Code::NoSuchKey | Code::NoSuchVersion) || is_owner {
        return error;
    }
    match may_list(asker, bucket, key) {
        Ok(true) => error,
        Ok(false) => S3Error::new(Code::AccessDenied)
            .because("the object doesn't exist, and the caller may not list the bucket"),
        Err(failure) => failure,
    }
}

/// Refuses a request that nobody signed and that overrides headers of the response.
///
/// # Errors
/// `InvalidRequest`.
pub fn check_overrides(caller: &Caller, query: &Query) -> Result<(), S3Error> {
    if matches!(caller, Caller::Nobody) && headers::has_overrides(query) {
        return Err(S3Error::new(Code::InvalidRequest)
            .message("Request specific response headers cannot be used for anonymous GET requests."));
    }
    Ok(())
}

/// Refuses a request that has a session's token and that nobody signed.
///
/// # Errors
/// `InvalidToken`.
pub fn check_token(caller: &Caller, headers: &HeaderMap) -> Result<(), S3Error> {
    let token = headers.get("x-amz-security-token").filter(|token| !token.is_empty());
    match (caller, token) {
        (Caller::Nobody, Some(_)) => Err(Code::InvalidToken.into()),
        _ => Ok(()),
    }
}

/// The account that a request acts for: it owns the buckets that the request lists, and what the request creates.
pub fn account(caller: &Caller, store: &Store) -> Account {
    match caller {
        Caller::User(user, _) => Account::User(user.clone()),
        Caller::Member(member) => Account::User(member.account.clone()),
        Caller::Nobody => {
            let root = store.root().filter(|_| store.settings.anonymous);
            root.map_or(Account::Nobody, |root| Account::User(root.clone()))
        }
    }
}

/// A bucket by its name. The header `expected` of the request may say who must own the bucket.
///
/// # Errors
/// `NoSuchBucket`, whoever the caller is: as at Amazon, the names of buckets are no secret. `AccessDenied` where the
/// bucket has another owner than the header says.
pub fn expected_bucket(ctx: &Context, name: &str, expected: &str) -> Result<Arc<BucketRecord>, S3Error> {
    let bucket = ctx.bucket(name)?;
    check_owner(&ctx.headers, &bucket, expected)?;
    Ok(bucket)
}

/// Refuses a request whose header `expected` names another than the bucket's owner.
///
/// # Errors
/// `AccessDenied`.
pub fn check_owner(headers: &HeaderMap, bucket: &BucketRecord, expected: &str) -> Result<(), S3Error> {
    match headers.get(expected) {
        Some(owner) if owner.as_bytes() != bucket.owner.as_bytes() => {
            Err(S3Error::new(Code::AccessDenied).because(format_args!("{expected} names another owner")))
        }
        _ => Ok(()),
    }
}

/// Decides whether `asker` may do `action` to `resource`, without a note in the audit's trail.
///
/// # Errors
/// Failures of the store; `AccessDenied` where the bucket's policy can't be read.
pub fn judge(asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Result<Verdict, S3Error> {
    let (bucket, object) = match resource {
        // Nothing of the state is looked up: the state may be what is to be looked after.
        Resource::Store => {
            return Ok(match may_operate(asker.caller) {
                true => Verdict::Allowed(By::Account),
                false => Verdict::NotAllowed,
            });
        }
        Resource::Service | Resource::NewBucket(_) | Resource::Iam(_) => {
            return Ok(match (asker.caller, asker.account) {
                (Caller::Member(member), _) => of_own(member, asker, action, resource),
                (_, Account::User(_)) => Verdict::Allowed(By::Account),
                (_, Account::Nobody) => Verdict::NotAllowed,
            });
        }
        Resource::Role { account, trust, .. } => {
            return Ok(assuming(asker, action, resource, account, trust));
        }
        Resource::Bucket(bucket) => (*bucket, None),
        Resource::Object(bucket, key, version) => (*bucket, Some((*key, *version))),
    };
    Judging::new(asker, action, bucket, object, None)?.verdict()
}

/// What a member's own policies say of a resource that belongs to no bucket.
fn of_own(member: &Member, asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Verdict {
    // No policy can allow an action that policies don't know.
    let Some(action) = Action::named(action) else { return Verdict::NotAllowed };
    match member.may(asker, action, &resource.to_string(), &Facts::of_account(asker)) {
        Own::Denied(statement) => Verdict::Denied(statement),
        Own::Allowed(statement) => Verdict::Allowed(By::Own(statement)),
        Own::Silent | Own::Beyond => Verdict::NotAllowed,
    }
}

/// Whether a caller may assume a role. The role's trust policy must allow it. Where the trust policy names only the
/// account, the account's owner may, and a member may if the member's own policies allow it as well.
fn assuming(
    asker: &Asker<'_>,
    action: &'static str,
    resource: &Resource<'_>,
    account: &str,
    trust: &Policy,
) -> Verdict {
    let Some(named) = Action::named(action).filter(|_| !matches!(asker.caller, Caller::Nobody)) else {
        return Verdict::NotAllowed;
    };
    let arn = resource.to_string();
    let facts = Facts::of_account(asker);
    let question = Question { who: asker.requester(), action: named, resource: &arn, facts: &facts };
    let trusted = match trust.decide(&question) {
        Decision::Denied(statement) => return Verdict::Denied(statement.name()),
        Decision::Allowed(statement) => Some((statement.name(), statement.names(&question.who))),
        Decision::Silent => None,
    };
    let own = match asker.caller {
        Caller::Member(member) => Some(member.may(asker, named, &arn, &facts)),
        Caller::User(..) | Caller::Nobody => None,
    };
    match (own, trusted) {
        (Some(Own::Denied(statement)), _) => Verdict::Denied(statement),
        (Some(Own::Beyond), _) | (_, None) => Verdict::NotAllowed,
        (None, Some((statement, _))) => Verdict::Allowed(By::Policy(statement)),
        (Some(Own::Allowed(_)), Some((statement, _))) => Verdict::Allowed(By::Policy(statement)),
        (Some(Own::Silent), Some((statement, true))) if account == asker.account.id() => {
            Verdict::Allowed(By::Policy(statement))
        }
        (Some(Own::Silent), Some(_)) => Verdict::NotAllowed,
    }
}

/// Whether the caller may list the bucket with the key as prefix, and so may know whether the key exists.
fn may_list(asker: &Asker<'_>, bucket: &BucketRecord, key: &ObjectKey) -> Result<bool, S3Error> {
    let verdict = Judging::new(asker, "s3:ListBucket", bucket, None, Some(key.as_str()))?.verdict()?;
    Ok(matches!(verdict, Verdict::Allowed(_)))
}

fn target(bucket: &BucketRecord, key: &ObjectKey, version: Option<&str>) -> Result<Target, S3Error> {
    let version = version.map(|id| VersionId::parse(id).ok_or(Code::NoSuchVersion)).transpose()?;
    Ok(Target::new(bucket, key, version, Purpose::Own(crate::operation::Method::Get)))
}

/// One question about a bucket or an object in it, with everything looked up that the decision needs.
struct Judging<'a> {
    asker: &'a Asker<'a>,
    action: &'static str,
    bucket: &'a BucketRecord,
    object: Option<(&'a ObjectKey, Option<&'a str>)>,
    ownership: ObjectOwnership,
    policy: Option<Arc<Policy>>,
    /// The record of the object that the action is about, where the object's owner, grants or tags count. None where
    /// the object doesn't exist.
    record: Option<ObjectRecord>,
    /// The value of `s3:prefix`, where it isn't the request's own prefix.
    prefix: Option<&'a str>,
}

impl<'a> Judging<'a> {
    fn new(
        asker: &'a Asker<'a>,
        action: &'static str,
        bucket: &'a BucketRecord,
        object: Option<(&'a ObjectKey, Option<&'a str>)>,
        prefix: Option<&'a str>,
    ) -> Result<Self, S3Error> {
        let ownership = ownership::of(bucket, &asker.store.settings);
        let policy = match asker.store.policies.of(asker.view, bucket) {
            // The bucket's owner can still read, replace and delete a policy that this server can't read.
            Err(error)
                if error.code() == Code::AccessDenied
                    && bucket.owner == asker.account.id()
                    && !matches!(asker.caller, Caller::Member(_))
                    && grants::is_of_the_policy(action) =>
            {
                None
            }
            policy => policy?,
        };
        let has_lists = ownership != ObjectOwnership::BucketOwnerEnforced;
        let is_tag = |key: &Key| matches!(key, Key::ExistingObjectTag(_));
        let wants_tags = || {
            policy.as_ref().is_some_and(|policy| policy.asks(is_tag))
                || matches!(asker.caller, Caller::Member(member) if member.asks(is_tag))
        };
        let record = match object {
            Some((key, version)) if grants::is_about_an_object(action) && (has_lists || wants_tags()) => {
                match target(bucket, key, version).and_then(|target| target.look_up(asker.view)) {
                    Ok(looked) => Some(looked.object),
                    Err(error) if error.code().status().is_client_error() => None,
                    Err(failure) => return Err(failure),
                }
            }
            _ => None,
        };
        Ok(Self { asker, action, bucket, object, ownership, policy, record, prefix })
    }

    fn verdict(&self) -> Result<Verdict, S3Error> {
        let waits = Said::by(self.action) && self.asker.said.is_none();
        let is_asked = self.policy.as_ref().is_some_and(|policy| policy.asks(Said::tells))
            || matches!(self.asker.caller, Caller::Member(member) if member.asks(Said::tells));
        if waits && is_asked {
            return Ok(Verdict::Allowed(By::Later));
        }
        let by_policy = self.by_policy();
        if let Some((denied @ Verdict::Denied(_), _)) = by_policy {
            return Ok(denied);
        }
        if let Caller::Member(member) = self.asker.caller {
            match self.own(member) {
                Own::Denied(statement) => return Ok(Verdict::Denied(statement)),
                Own::Beyond => return Ok(Verdict::NotAllowed),
                // The bucket's policy is enough, without a policy of the member's own, if the bucket is of the
                // member's account and the policy names the member.
                Own::Silent => {
                    let given = by_policy.filter(|(_, is_named)| *is_named && self.is_of_the_account());
                    return Ok(given.map_or(Verdict::NotAllowed, |(allowed, _)| allowed));
                }
                Own::Allowed(_) => {}
            }
        }
        if let Some((allowed, _)) = by_policy {
            return Ok(allowed);
        }
        let by = match () {
            () if self.is_owner() => By::Owner,
            () if self.is_granted() => By::Grant,
            () if self.is_initiator()? => By::Initiator,
            () => return Ok(Verdict::NotAllowed),
        };
        Ok(Verdict::Allowed(by))
    }

    /// Whether the caller's account owns the bucket.
    fn is_of_the_account(&self) -> bool {
        self.bucket.owner == self.asker.account.id()
    }

    /// Whether the caller is the bucket's owner, and not a member of the owner's account.
    fn owns_bucket(&self) -> bool {
        self.is_of_the_account() && !matches!(self.asker.caller, Caller::Member(_))
    }

    /// The ARN of the bucket or the object.
    fn resource(&self) -> String {
        match self.object {
            Some((key, _)) => format!("arn:aws:s3:::{}/{}", self.bucket.name, key.as_str()),
            None => format!("arn:aws:s3:::{}", self.bucket.name),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            asker: self.asker,
            bucket: Some(self.bucket),
            version: self.object.and_then(|(_, version)| version),
            tags: self.record.as_ref().and_then(|record| record.attributes.tags.as_ref()),
            prefix: self.prefix,
        }
    }

    /// What the member's own policies say.
    fn own(&self, member: &Member) -> Own {
        match Action::named(self.action) {
            Some(action) => member.may(self.asker, action, &self.resource(), &self.facts()),
            None => Own::Silent,
        }
    }

    /// What the bucket's policy says; with an allow, whether the statement names the caller, or everybody, and not
    /// only the caller's account.
    fn by_policy(&self) -> Option<(Verdict, bool)> {
        let (policy, action) = (self.policy.as_ref()?, Action::named(self.action)?);
        let (resource, facts) = (self.resource(), self.facts());
        let question = Question { who: self.asker.requester(), action, resource: &resource, facts: &facts };
        match policy.decide(&question) {
            Decision::Denied(_) if self.owns_bucket() && grants::is_of_the_policy(self.action) => None,
            Decision::Denied(statement) => Some((Verdict::Denied(statement.name()), true)),
            Decision::Allowed(statement) => {
                let is_shut = self.restricts_public() && policy.is_public() && !self.is_of_the_account();
                let is_anothers = self.object_owner() != self.bucket.owner;
                let allowed =
                    || (Verdict::Allowed(By::Policy(statement.name())), statement.names(&question.who));
                (!is_shut && !is_anothers).then(allowed)
            }
            Decision::Silent => None,
        }
    }

    /// Who owns the bucket or the object that the question is about. An object whose record names no other owner
    /// belongs to the bucket's.
    fn object_owner(&self) -> &str {
        let enforced = self.ownership == ObjectOwnership::BucketOwnerEnforced;
        let writer =
            self.record.as_ref().filter(|_| !enforced).and_then(|record| record.attributes.owner.as_deref());
        writer.unwrap_or(&self.bucket.owner)
    }

    fn is_owner(&self) -> bool {
        self.object_owner() == self.asker.account.id()
    }

    fn is_granted(&self) -> bool {
        if self.ownership == ObjectOwnership::BucketOwnerEnforced {
            return false;
        }
        let grants = match (&self.record, grants::is_about_an_object(self.action)) {
            (Some(record), true) => record.attributes.acl.as_deref(),
            (None, true) => None,
            (_, false) => self.bucket.configuration.acl.as_deref(),
        };
        let counts_public =
            !self.bucket.configuration.public_access.is_some_and(|block| block.ignore_public_acls);
        let permission = grants::permission(self.action);
        permission.is_some_and(|permission| {
            grants.unwrap_or_default().iter().any(|grant| {
                grants::gives(grant, permission) && grants::is_to(grant, self.asker.caller, counts_public)
            })
        })
    }

    fn restricts_public(&self) -> bool {
        self.bucket.configuration.public_access.is_some_and(|block| block.restrict_public_buckets)
    }

    fn is_initiator(&self) -> Result<bool, S3Error> {
        if !matches!(self.action, "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts") {
            return Ok(false);
        }
        let (Some(user), Some(id)) = (self.asker.caller.owner(), self.asker.query.get("uploadId")) else {
            return Ok(false);
        };
        let Some(upload) = crate::multipart::parse_upload_id(id) else { return Ok(false) };
        let upload = self.asker.view.upload(upload)?;
        Ok(upload.is_some_and(|upload| upload.bucket == self.bucket.id && upload.initiator == user.id))
    }
}

impl fmt::Display for Resource<'_> {
    /// The resource's ARN, by which a policy names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Store => f.write_str("the store"),
            Resource::Service => f.write_str("arn:aws:s3:::*"),
            Resource::Iam(arn) | Resource::Role { arn, .. } => f.write_str(arn),
            Resource::NewBucket(name) => write!(f, "arn:aws:s3:::{name}"),
            Resource::Bucket(bucket) => write!(f, "arn:aws:s3:::{}", bucket.name),
            Resource::Object(bucket, key, _) => write!(f, "arn:aws:s3:::{}/{}", bucket.name, key.as_str()),
        }
    }
}
