//! S3's object ownership: who owns an object, and whether access control lists are in use.
//!
//! A bucket has a setting of its own, or else the server's (`[server] object_ownership`). With `BucketOwnerEnforced`
//! the bucket's owner owns all objects in it, and access control lists are disabled: a request that gives a list is
//! refused, and lists that were put before have no effect.
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

/// The header of CreateBucket that chooses the object ownership.
pub const HEADER: &str = "x-amz-object-ownership";

/// The object ownership that applies in a bucket.
pub fn of(bucket: &BucketRecord, settings: &Settings) -> ObjectOwnership {
    bucket.configuration.ownership.unwrap_or(settings.object_ownership)
}

/// The owner and the grants of a new version. Each is none where it is the usual one: the bucket's owner, and full
/// control for the object's owner alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    pub owner: Option<String>,
    pub acl: Option<Vec<Grant>>,
}

impl Owned {
    /// The owner and the grants that a request gives to the object that it writes.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`; `AccessDenied` for a list that gives the public access where that is blocked;
    /// those of [`acl::asked`].
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

/// The owner of what the request makes without an access control list, such as a delete marker. None where that is
/// the bucket's owner.
pub fn of_writer<'a>(ctx: &'a Context, bucket: &BucketRecord) -> Option<&'a str> {
    let is_writers = of(bucket, &ctx.store.settings) != ObjectOwnership::BucketOwnerEnforced;
    Some(ctx.account.id()).filter(|writer| is_writers && *writer != bucket.owner)
}

/// The owners that a list of a bucket's objects names: of each object the bucket's owner, except where access control
/// lists are in use and the object's record names another.
pub struct Owners {
    bucket: Owner,
    /// Knows the names of the other owners; none where there can't be any.
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

    /// Whether objects may have other owners than the bucket's, so that the list must read their records.
    pub fn are_several(&self) -> bool {
        self.store.is_some()
    }

    /// The owner of an object whose record has this owner's id.
    pub fn named(&self, id: Option<&str>) -> Cow<'_, Owner> {
        match (&self.store, id) {
            (Some(store), Some(id)) => Cow::Owned(Owner::by_id(&store.identities, id)),
            (_, _) => Cow::Borrowed(&self.bucket),
        }
    }
}

/// Refuses to change an access control list where lists are disabled.
///
/// # Errors
/// `AccessControlListNotSupported`.
pub fn require_lists(ctx: &Context, bucket: &BucketRecord) -> Result<(), S3Error> {
    match of(bucket, &ctx.store.settings) {
        ObjectOwnership::BucketOwnerEnforced => Err(Code::AccessControlListNotSupported.into()),
        ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter => Ok(()),
    }
}
