//! CreateBucket: makes a bucket that the caller's account owns, in the server's region.

use crate::acl;
use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure;
use crate::ownership;
use crate::rights::{self, Asker, Resource};
use crate::tags::{self, Tagged};
use crate::xml::buckets::CreateBucketConfiguration;
use axum::body::Body;
use http::{HeaderValue, Response, header};
use stratum_metadata::command::{BucketChange, Command, NewBucket, Outcome, Refusal};
use stratum_metadata::record::{
    BucketConfiguration, BucketName, Grant, ObjectLock, ObjectOwnership, Versioning,
};

/// The longest document that is read, in bytes: more than a configuration takes.
const MAX_BODY_BYTES: u64 = 512 * 1024;

/// How many buckets an account may have, as in S3. Of those that are created at the same moment a few may be too many.
const MOST_BUCKETS: usize = 10_000;

/// The region that has no location constraint, and in which S3 lets the owner of a bucket create the bucket again.
pub const CLASSIC_REGION: &str = "us-east-1";

pub async fn handle(ctx: &Context, name: &str, body: RequestBody) -> S3Result {
    let name = BucketName::parse(name).map_err(|error| S3Error::from(error).with("BucketName", name))?;
    let document = body.document(MAX_BODY_BYTES).await?;
    let asked = document.read(CreateBucketConfiguration::read).await?;
    let region = &ctx.store.settings.region;
    check_location(&asked, region)?;
    let tags = tags::some(tags::checked(Tagged::Bucket, asked.tags)?);
    if tags.is_some() {
        rights::authorise(&Asker::of(ctx), "s3:PutBucketTagging", &Resource::NewBucket(name.as_str()))?;
        level::require(ctx, "Tagging a bucket")?;
    }
    let (acl, ownership) = lists(ctx)?;
    let object_lock = object_lock(ctx)?;
    check_count(ctx, name.as_str()).await?;
    // S3 enables versioning together with object lock.
    let versioning = object_lock.map(|_| Versioning::Enabled);
    let configuration = BucketConfiguration {
        tags,
        acl,
        ownership,
        object_lock,
        versioning,
        ..BucketConfiguration::default()
    };
    let new = NewBucket {
        chosen: None,
        name: name.as_str().to_owned(),
        owner: ctx.account.id().to_owned(),
        created: ctx.now,
        region: region.clone(),
        configuration,
    };
    loop {
        match ctx.commit(Command::CreateBucket(new.clone())).await? {
            Outcome::Refused(Refusal::BucketExists { owner }) => check_exists(ctx, name.as_str(), &owner)?,
            Outcome::Refused(refusal) => return Err(refusal.into()),
            _ => return created(name.as_str()),
        }
        if again(ctx, name.as_str(), new.configuration.acl.as_deref()).await? {
            return created(name.as_str());
        }
    }
}

/// Refuses a further bucket to an account that has as many as S3 lets it have.
///
/// # Errors
/// `TooManyBuckets`, and failures of the store.
async fn check_count(ctx: &Context, name: &str) -> Result<(), S3Error> {
    let is_new = ctx.view.bucket(name)?.is_none();
    if is_new && ctx.view.count_buckets_of(ctx.account.id(), MOST_BUCKETS).await? >= MOST_BUCKETS {
        return Err(Code::TooManyBuckets.into());
    }
    Ok(())
}

/// The access control list and the object ownership that it begins with.
fn lists(ctx: &Context) -> Result<(Option<Vec<Grant>>, Option<ObjectOwnership>), S3Error> {
    let ownership = ctx.header(ownership::HEADER).map(|name| {
        let unknown =
            || S3Error::invalid_argument(ownership::HEADER, name, "Invalid x-amz-object-ownership header");
        ObjectOwnership::named(name).ok_or_else(unknown)
    });
    let ownership = ownership.transpose()?;
    let owner = ctx.account.id();
    let acl = acl::asked(&ctx.headers, &ctx.store.identities)?.and_then(|lists| lists.grants(owner, owner));
    let holds = ownership.unwrap_or(ctx.store.settings.object_ownership);
    if acl.is_some() && holds == ObjectOwnership::BucketOwnerEnforced {
        return Err(Code::InvalidBucketAclWithObjectOwnership.into());
    }
    if acl.is_some() || ownership.is_some() {
        level::require(ctx, "A bucket with an access control list or an object ownership of its own")?;
    }
    Ok((acl, ownership))
}

/// Whether the bucket is to have object lock, without a default yet.
fn object_lock(ctx: &Context) -> Result<Option<ObjectLock>, S3Error> {
    const HEADER: &str = "x-amz-bucket-object-lock-enabled";
    match ctx.header(HEADER) {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => {
            level::require(ctx, "Locking objects")?;
            Ok(Some(ObjectLock { default: None }))
        }
        Some(other) => Err(S3Error::invalid_argument(HEADER, other, "The value must be true or false.")),
    }
}

fn created(name: &str) -> S3Result {
    let mut response = Response::new(Body::empty());
    if let Ok(location) = HeaderValue::try_from(format!("/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Refuses a name that is taken. The owner of that bucket isn't refused in the classic region, where a bucket may be
/// created again.
///
/// # Errors
/// `BucketAlreadyExists`, `BucketAlreadyOwnedByYou`.
fn check_exists(ctx: &Context, name: &str, owner: &str) -> Result<(), S3Error> {
    let refused = match owner == ctx.account.id() {
        false => Code::BucketAlreadyExists,
        true if ctx.store.settings.region != CLASSIC_REGION => Code::BucketAlreadyOwnedByYou,
        true => return Ok(()),
    };
    Err(S3Error::new(refused).with("BucketName", name))
}

/// Creates a bucket again that the caller owns: its access control list becomes the one that this request asks for,
/// and nothing else of the bucket changes. Says whether the bucket still existed. The list is changed by the bucket's
/// id, so that another bucket, which was created under the same name meanwhile, is left alone.
///
/// # Errors
/// Those of PutBucketAcl, whose right this takes: the right to create buckets isn't enough to change a list.
async fn again(ctx: &Context, name: &str, acl: Option<&[Grant]>) -> Result<bool, S3Error> {
    let view = ctx.store.metadata.fresh().await?;
    let Some(bucket) = view.bucket(name)? else { return Ok(false) };
    check_exists(ctx, name, &bucket.owner)?;
    if bucket.configuration.acl.as_deref() == acl {
        return Ok(true);
    }
    let asker = Asker { view: &view, ..Asker::of(ctx) };
    rights::authorise(&asker, "s3:PutBucketAcl", &Resource::Bucket(&bucket))?;
    if acl.is_some() {
        ownership::require_lists(ctx, &bucket)?;
    }
    acl::check_public(&bucket, acl)?;
    match configure(ctx, &bucket, BucketChange::Acl(acl.map(<[Grant]>::to_vec))).await {
        Err(error) if error.code() == Code::NoSuchBucket => Ok(false),
        changed => changed.map(|()| true),
    }
}

/// Refuses a location constraint that isn't the server's own region, in which every bucket lies.
fn check_location(configuration: &CreateBucketConfiguration, region: &str) -> Result<(), S3Error> {
    if configuration.asks_for_more {
        return Err(S3Error::not_implemented("A directory bucket"));
    }
    let Some(constraint) = &configuration.location_constraint else { return Ok(()) };
    // `EU` is the old name of eu-west-1.
    let wanted = if constraint == "EU" { "eu-west-1" } else { constraint };
    // S3 refuses `us-east-1` as a constraint, since that region has none, but widely used clients send it.
    if wanted == region {
        return Ok(());
    }
    let refused = if looks_like_a_region(wanted) {
        let message = format!(
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was \
             sent to."
        );
        S3Error::new(Code::IllegalLocationConstraintException).message(message)
    } else {
        S3Error::new(Code::InvalidLocationConstraint).with("LocationConstraint", constraint.clone())
    };
    Err(refused)
}

/// Whether a text has the form of a region's name, such as `eu-west-1` or `us-gov-east-1`: words of lower-case
/// letters, and one digit at the end.
fn looks_like_a_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, rest)) => {
            rest.len() >= 2
                && rest.iter().all(letters)
                && number.len() == 1
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(constraint: Option<&str>, region: &str) -> Result<(), Code> {
        let location_constraint = constraint.map(str::to_owned);
        let configuration =
            CreateBucketConfiguration { location_constraint, ..CreateBucketConfiguration::default() };
        check_location(&configuration, region).map_err(|error| error.code())
    }

    #[test]
    fn a_bucket_is_in_the_servers_region() {
        assert_eq!(location(None, "us-east-1"), Ok(()));
        assert_eq!(location(None, "eu-west-1"), Ok(()));
        assert_eq!(location(Some("eu-west-1"), "eu-west-1"), Ok(()));
        assert_eq!(location(Some("EU"), "eu-west-1"), Ok(()));
        assert_eq!(location(Some("home"), "home"), Ok(()));
        assert_eq!(location(Some("us-east-1"), "us-east-1"), Ok(()));
    }

    #[test]
    fn the_name_of_another_region_is_illegal_and_a_text_that_is_no_regions_name_invalid() {
        assert_eq!(location(Some("eu-west-1"), "us-east-1"), Err(Code::IllegalLocationConstraintException));
        assert_eq!(
            location(Some("us-gov-east-1"), "eu-west-1"),
            Err(Code::IllegalLocationConstraintException)
        );
        assert_eq!(location(Some("us-east-1"), "eu-west-1"), Err(Code::IllegalLocationConstraintException));
        for none in ["default", "moon", "a-b", "eu-west-12x", "-1"] {
            assert_eq!(location(Some(none), "us-east-1"), Err(Code::InvalidLocationConstraint), "{none}");
        }
    }
}
