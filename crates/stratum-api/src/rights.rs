//! May they: the one question that is asked before every operation, an operator's and IAM's included.
//!
//! Of what is asked of a bucket or an object, this decides, the first that does:
//!
//! 1. A statement of the bucket's policy that denies it, or of a member's own. Only its own policy can't be kept from a bucket's
//!    owner.
//! 2. A statement that allows it: of what is the bucket owner's, and where the policy is public and the bucket is
//!    restricted to its owner, nobody else.
//! 3. Owning it: a bucket's owner may do everything with the bucket and what is in it, but for reading and regranting
//!    an object that somebody else owns; whoever owns that may.
//! 4. A grant of the bucket's access control list, or the object's, where the bucket has them in use.
//! 5. Having begun the upload that is to be listed or aborted.
//!
//! That is so of an account's owner. A member of an account, a user that was made in it or a session, has no right until a policy
//! gives one: what the account may by all this a member may where their own policies allow it, too; in a bucket of
//! their account a statement of its policy that names them, or everybody, is enough. What is no bucket's (a list of buckets,
//! a new one, what is IAM's) is the account's own, and a member's by their policies.
//!
//! Nobody, who signs nothing, is let in by a public policy or grant, and where the server is told to serve such requests
//! (`anonymous`) has the rights of root's account. The server itself is root's to operate. What is refused in a bucket is
//! refused alike whether or not it is there, but to those who may list the bucket. That there is no such bucket everybody learns.
//!
//! Source: S3 User Guide, "How Amazon S3 authorizes a request" and "Access control list (ACL) overview".

mod beside;
mod delivery;
mod facts;
mod grants;
mod own;

pub use beside::{
    BRINGS, Because, Brings, authorise_copied_tags, authorise_headers, authorise_reading, authorise_said,
    bypasses_governance,
};
pub use delivery::may_deliver_logs;
pub use facts::{Asker, Said};

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

/// The header that names the owner whom a request expects its bucket to have.
pub const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
/// The same of the bucket that is copied from.
pub const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// What something is to be done to.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The caller's account in S3: the list of their buckets.
    Service,
    /// A bucket that is to be created.
    NewBucket(&'a str),
    Bucket(&'a BucketRecord),
    /// What is current under the key, or the version of that id.
    Object(&'a BucketRecord, &'a ObjectKey, Option<&'a str>),
    /// A user, a group, a role or a policy of the caller's account, or all of them, by its ARN.
    Iam(&'a str),
    /// A role of whatever account, by its ARN, and the policy that says who may assume it.
    Role {
        arn: &'a str,
        account: &'a str,
        trust: &'a Policy,
    },
}

/// Why somebody may do something, or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed(By),
    /// By that statement of the bucket's policy, or of the caller's own.
    Denied(String),
    /// Nothing speaks for it.
    NotAllowed,
}

/// What speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// It is the caller's own account.
    Account,
    /// That statement of the member's own policies.
    Own(String),
    /// That statement of the bucket's policy.
    Policy(String),
    Owner,
    Grant,
    /// The caller began the upload.
    Initiator,
    /// What the policy asks about stands in the body: it is asked again when that has been read.
    Later,
}

impl fmt::Display for Verdict {
    /// What decided it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allowed(By::Account) => f.write_str("it is the caller's own account"),
            Verdict::Allowed(By::Own(statement)) => {
                write!(f, "the caller's own policy allows it by {statement}")
            }
            Verdict::Allowed(By::Policy(statement)) => write!(f, "the policy allows it by {statement}"),
            Verdict::Allowed(By::Owner) => f.write_str("the caller owns it"),
            Verdict::Allowed(By::Grant) => f.write_str("a grant of the access control list"),
            Verdict::Allowed(By::Initiator) => f.write_str("the caller began the upload"),
            Verdict::Allowed(By::Later) => f.write_str("it is asked again when the body has been read"),
            Verdict::Denied(statement) => write!(f, "the policy denies it by {statement}"),
            Verdict::NotAllowed => f.write_str("nothing allows it"),
        }
    }
}

/// Whether the server may be operated by that caller: it is root's.
pub fn may_operate(caller: &Caller) -> bool {
    matches!(caller, Caller::User(user) if user.root)
}

/// Whether `asker` may do `action` to `resource`.
///
/// # Errors
/// `AccessDenied`, with the question and what decided it for the log; `NoSuchKey` where the caller may list the bucket and the
/// object isn't there.
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

/// What is told of an object that wasn't found: that it isn't there only to those who may list the bucket.
pub fn masked(asker: &Asker<'_>, bucket: &BucketRecord, key: &ObjectKey, error: S3Error) -> S3Error {
    let is_owner = bucket.owner == asker.account.id() && !matches!(asker.caller, Caller::Member(_));
    if !matches!(error.code(), Code::NoSuchKey | Code::NoSuchVersion) || is_owner {
        return error;
    }
    match may_list(asker, bucket, key) {
        Ok(true) => error,
        Ok(false) => {
            S3Error::new(Code::AccessDenied).because("it isn't there, and the caller may not list the bucket")
        }
        Err(failure) => failure,
    }
}

/// Overrides of response headers are for who signed them.
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

/// A session's token is for who signs with its key.
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

/// In whose name a request works: whose buckets it lists, and who owns what it creates.
pub fn account(caller: &Caller, store: &Store) -> Account {
    match caller {
        Caller::User(user) => Account::User(user.clone()),
        Caller::Member(member) => Account::User(member.account.clone()),
        Caller::Nobody => {
            let root = store.root().filter(|_| store.settings.anonymous);
            root.map_or(Account::Nobody, |root| Account::User(root.clone()))
        }
    }
}

/// A bucket by its name, which the header `expected` may hold to an owner.
///
/// # Errors
/// `NoSuchBucket`, whoever asks: the names of buckets are no secret, as at Amazon. `AccessDenied` for another owner than the
/// expected one.
pub fn expected_bucket(ctx: &Context, name: &str, expected: &str) -> Result<Arc<BucketRecord>, S3Error> {
    let bucket = ctx.bucket(name)?;
    match ctx.headers.get(expected) {
        Some(owner) if owner.as_bytes() != bucket.owner.as_bytes() => {
            Err(S3Error::new(Code::AccessDenied).because(format_args!("{expected} names another owner")))
        }
        _ => Ok(bucket),
    }
}

/// Judges the question, and tells nobody: what decides it.
///
/// # Errors
/// Failures of the store; `AccessDenied` where a policy is stored that can't be judged.
pub fn judge(asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Result<Verdict, S3Error> {
    let (bucket, object) = match resource {
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

/// What a member's own policies say of what is the account's.
fn of_own(member: &Member, asker: &Asker<'_>, action: &'static str, resource: &Resource<'_>) -> Verdict {
    // What no policy can speak of nobody can be given.
    let Some(action) = Action::named(action) else { return Verdict::NotAllowed };
    match member.may(asker, action, &resource.to_string(), &Facts::of_account(asker)) {
        Own::Denied(statement) => Verdict::Denied(statement),
        Own::Allowed(statement) => Verdict::Allowed(By::Own(statement)),
        Own::Silent | Own::Beyond => Verdict::NotAllowed,
    }
}

/// Whether somebody may assume a role: as with a bucket's policy, its trust must allow it, and what allows only an account leaves
/// it to the account's owner, and to their policies, which members may.
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
        Caller::User(_) | Caller::Nobody => None,
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

/// Whether the caller may learn that there is no such key: the right to list it.
fn may_list(asker: &Asker<'_>, bucket: &BucketRecord, key: &ObjectKey) -> Result<bool, S3Error> {
    let verdict = Judging::new(asker, "s3:ListBucket", bucket, None, Some(key.as_str()))?.verdict()?;
    Ok(matches!(verdict, Verdict::Allowed(_)))
}

fn target(bucket: &BucketRecord, key: &ObjectKey, version: Option<&str>) -> Result<Target, S3Error> {
    let version = version.map(|id| VersionId::parse(id).ok_or(Code::NoSuchVersion)).transpose()?;
    Ok(Target::new(bucket, key, version, Purpose::Own(crate::operation::Method::Get)))
}

/// One question about a bucket or an object in it, with all that its answer takes looked up.
struct Judging<'a> {
    asker: &'a Asker<'a>,
    action: &'static str,
    bucket: &'a BucketRecord,
    object: Option<(&'a ObjectKey, Option<&'a str>)>,
    ownership: ObjectOwnership,
    policy: Option<Arc<Policy>>,
    /// The object that the action is about, where its owner, its grants or its tags count; nothing if it isn't there.
    record: Option<ObjectRecord>,
    /// What `s3:prefix` is, where it isn't the request's own.
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
            // What can't be judged its owner can still replace.
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
                // What the bucket's own account gives them by name takes no other policy.
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

    fn is_of_the_account(&self) -> bool {
        self.bucket.owner == self.asker.account.id()
    }

    /// Whether it is the bucket's owner who asks, and nobody else of their account.
    fn owns_bucket(&self) -> bool {
        self.is_of_the_account() && !matches!(self.asker.caller, Caller::Member(_))
    }

    /// The ARN of what is asked about.
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

    /// What the bucket's policy says, and of an allow whether it names who asks, or everybody.
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

    /// Who owns what is asked about: the bucket's owner, but of an object of somebody else's.
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
    /// As a policy names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Service => f.write_str("arn:aws:s3:::*"),
            Resource::Iam(arn) | Resource::Role { arn, .. } => f.write_str(arn),
            Resource::NewBucket(name) => write!(f, "arn:aws:s3:::{name}"),
            Resource::Bucket(bucket) => write!(f, "arn:aws:s3:::{}", bucket.name),
            Resource::Object(bucket, key, _) => write!(f, "arn:aws:s3:::{}/{}", bucket.name, key.as_str()),
        }
    }
}
