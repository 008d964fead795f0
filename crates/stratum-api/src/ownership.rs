//! Who owns an object, and whether access control lists are in use: S3's object ownership.
//!
//! A bucket has its own or else the server's (`[server] object_ownership`). Where the bucket's owner owns all objects in
//! it, there are no lists: a request that gives one is refused, and those that were put before count for nothing.
//!
//! Source: S3 User Guide, "Controlling ownership of objects and disabling ACLs for your bucket".

use crate::acl::{self, Canned, Lists};
use crate::context::{Context, Settings, Store};
use crate::error::{Code, S3Error};
use crate::level;
use crate::xml::buckets::Owner;
use std::borrow::Cow;
use std::sync::Arc;
use stratum_metadata::record::{BucketRecord, Grant, ObjectOwnership};

/// The header that chooses it for a new bucket.
pub const HEADER: &str = "x-amz-object-ownership";

/// What holds in a bucket.
pub fn of(bucket: &BucketRecord, settings: &Settings) -> ObjectOwnership {
    bucket.configuration.ownership.unwrap_or(settings.object_ownership)
}

/// What a new version has of owner and grants, where they aren't the usual: the bucket's owner, and that owner's full control.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    pub owner: Option<String>,
    pub acl: Option<Vec<Grant>>,
}

impl Owned {
    /// As a request that writes an object has it.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`, `AccessDenied` for a list that lets in the public where that is blocked, and what
    /// [`acl::asked`] refuses.
    pub fn asked(ctx: &Context, bucket: &BucketRecord) -> Result<Owned, S3Error> {
        let lists = acl::asked(&ctx.headers, &ctx.store.identities)?;
        let ownership = of(bucket, &ctx.store.settings);
        if ownership == ObjectOwnership::BucketOwnerEnforced {
            return match lists {
                None | Some(Lists::Canned(Canned::BucketOwnerFullControl)) => Ok(Owned::default()),
                Some(_) => Err(Code::AccessControlListNotSupported.into()),
            };
        }
        let gives_away = ownership == ObjectOwnership::BucketOwnerPreferred
            && lists == Some(Lists::Canned(Canned::BucketOwnerFullControl));
        let owner = if gives_away { &bucket.owner } else { ctx.account.id() };
        let acl = lists.and_then(|lists| lists.grants(owner, &bucket.owner));
        acl::check_public(bucket, acl.as_deref())?;
        let owned = Owned { owner: (*owner != bucket.owner).then(|| owner.to_owned()), acl };
        if owned != Owned::default() {
            level::require(ctx, "An object with an owner or grants of its own")?;
        }
        Ok(owned)
    }
}

/// Who owns what the request makes without a list, such as a delete marker, where it isn't the bucket's owner.
pub fn of_writer<'a>(ctx: &'a Context, bucket: &BucketRecord) -> Option<&'a str> {
    let is_writers = of(bucket, &ctx.store.settings) != ObjectOwnership::BucketOwnerEnforced;
    Some(ctx.account.id()).filter(|writer| is_writers && *writer != bucket.owner)
}

/// Who owns what of a bucket is listed: the bucket's owner, but where lists are in use and its record names another.
pub struct Owners {
    bucket: Owner,
    /// Where there may be others, who knows their names.
    store: Option<Arc<Store>>,
}

impl Owners {
    pub fn of(ctx: &Context, bucket: &BucketRecord) -> Owners {
        let has_others = of(bucket, &ctx.store.settings) != ObjectOwnership::BucketOwnerEnforced;
        Owners {
            bucket: Owner::by_id(&ctx.store.identities, &bucket.owner),
            store: has_others.then(|| ctx.store.clone()),
        }
    }

    /// Whether there may be any but the bucket's owner, so that the records have to be asked.
    pub fn are_several(&self) -> bool {
        self.store.is_some()
    }

    /// The owner of what such a record names as its owner.
    pub fn named(&self, id: Option<&str>) -> Cow<'_, Owner> {
        match (&self.store, id) {
            (Some(store), Some(id)) => Cow::Owned(Owner::by_id(&store.identities, id)),
            (_, _) => Cow::Borrowed(&self.bucket),
        }
    }
}

/// Refuses to change a list where there are none.
///
/// # Errors
/// `AccessControlListNotSupported`.
pub fn require_lists(ctx: &Context, bucket: &BucketRecord) -> Result<(), S3Error> {
    match of(bucket, &ctx.store.settings) {
        ObjectOwnership::BucketOwnerEnforced => Err(Code::AccessControlListNotSupported.into()),
        ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter => Ok(()),
    }
}
