//! May they: the one question that is asked before every operation, an operator's included.
//!
//! The rules: a user may do everything with what is their own and nothing with what is another's; only root may
//! operate the server. Nobody, who signs nothing, may do nothing, unless the server is told to serve such requests
//! (`anonymous`): then nobody may use what root owns, what nobody creates is root's, and the server's own endpoints
//! stay root's.

use crate::context::{Caller, Context, Store};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::key::ObjectKey;
use crate::query::Query;
use std::fmt;
use std::sync::Arc;
use stratum_auth::User;
use stratum_metadata::record::BucketRecord;

/// The action of every request to `/_stratum/v1/`.
pub const OPERATE: &str = "stratum:Operate";

/// The header that names the owner whom a request expects its bucket to have.
pub const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
/// The same of the bucket that is copied from.
pub const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// What something is to be done to.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The server itself, which an operator looks after.
    Server,
    /// The caller's account in S3: the list of their buckets.
    Service,
    /// A bucket that is to be created.
    NewBucket(&'a str),
    Bucket(&'a BucketRecord),
    Object(&'a BucketRecord, &'a ObjectKey),
}

/// Whether `caller` may do `action` to `resource`.
///
/// # Errors
/// `AccessDenied`, with the question for the log.
pub fn authorise(
    caller: &Caller,
    action: &str,
    resource: &Resource<'_>,
    store: &Store,
) -> Result<(), S3Error> {
    let may = match caller {
        Caller::User(user) => user_may(user, resource),
        Caller::Nobody => nobody_may(resource, store),
    };
    if may {
        return Ok(());
    }
    let who = match caller {
        Caller::User(user) => user.id.as_str(),
        Caller::Nobody => "nobody",
    };
    Err(S3Error::new(Code::AccessDenied).because(format_args!("{who} may not do {action} to {resource}")))
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

fn user_may(user: &User, resource: &Resource<'_>) -> bool {
    match resource {
        Resource::Server => user.root,
        Resource::Service | Resource::NewBucket(_) => true,
        Resource::Bucket(bucket) | Resource::Object(bucket, _) => bucket.owner == user.id,
    }
}

fn nobody_may(resource: &Resource<'_>, store: &Store) -> bool {
    store.settings.anonymous
        && match resource {
            Resource::Server => false,
            Resource::Service | Resource::NewBucket(_) => true,
            Resource::Bucket(bucket) | Resource::Object(bucket, _) => {
                store.root().is_some_and(|root| root.id == bucket.owner)
            }
        }
}

/// Whose account a request works in: whose buckets it lists, and who owns what it creates. Nobody's is root's. That a
/// server doesn't serve nobody shows here, before anything is looked up, so that strangers don't learn what there is.
///
/// # Errors
/// `AccessDenied`.
pub fn account(caller: &Caller, store: &Store) -> Result<Arc<User>, S3Error> {
    match caller {
        Caller::User(user) => Ok(user.clone()),
        Caller::Nobody if store.settings.anonymous => {
            store.root().cloned().ok_or_else(|| Code::AccessDenied.into())
        }
        Caller::Nobody => Err(Code::AccessDenied.into()),
    }
}

/// A bucket by its name, which the header `expected` may hold to an owner.
///
/// # Errors
/// `NoSuchBucket`, or `AccessDenied` for another owner than the expected one.
pub fn expected_bucket(ctx: &Context, name: &str, expected: &str) -> Result<BucketRecord, S3Error> {
    let bucket = ctx.bucket(name)?;
    match ctx.headers.get(expected) {
        Some(owner) if owner.as_bytes() != bucket.owner.as_bytes() => {
            Err(S3Error::new(Code::AccessDenied).because(format_args!("{expected} names another owner")))
        }
        _ => Ok(bucket),
    }
}

impl fmt::Display for Resource<'_> {
    /// As a policy names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Server => f.write_str("the server"),
            Resource::Service => f.write_str("arn:aws:s3:::*"),
            Resource::NewBucket(name) => write!(f, "arn:aws:s3:::{name}"),
            Resource::Bucket(bucket) => write!(f, "arn:aws:s3:::{}", bucket.name),
            Resource::Object(bucket, key) => write!(f, "arn:aws:s3:::{}/{}", bucket.name, key.as_str()),
        }
    }
}
