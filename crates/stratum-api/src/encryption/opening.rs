//! Opens objects that a request reads.

use super::{CustomerKey, MODE, NOT_APPLICABLE, OTHER_KEY, customer, describe};
use crate::admission::Admitted;
use crate::bodies::Opened;
use crate::context::Context;
use crate::error::{Code, S3Error};
use crate::selection::Selection;
use crate::version::Target;
use http::HeaderMap;
use stratum_cipher::{DataKey, KeyError, Wrapped};
use stratum_metadata::record::{Encryption, EncryptionMode, ObjectHeaders, ObjectRecord};

/// The key that a read brings: the client's, or none.
#[derive(Debug)]
pub struct Opening {
    customer: Option<CustomerKey>,
}

/// Looks an object up and opens the bytes that `choose` wants, as [`Bodies::open`](crate::bodies::Bodies::open) does.
/// If the object is encrypted, the content gets its data key.
///
/// # Errors
/// The errors of [`Bodies::open`](crate::bodies::Bodies::open) and of [`Opening::unlock`].
pub async fn open(
    ctx: &Context,
    target: &Target,
    admitted: Option<Admitted>,
    opening: &Opening,
    choose: impl Fn(&ObjectRecord) -> Result<Selection, S3Error>,
) -> Result<Opened, S3Error> {
    // Whether the request brings a client's key where one is needed shows before any byte is read.
    let choose = |object: &ObjectRecord| {
        let selection = choose(object)?;
        opening.check(object)?;
        Ok(selection)
    };
    let mut opened = ctx.store.bodies.open(&ctx.view, target, &ctx.memory, admitted, choose).await?;
    if let Some(key) = opening.unlock(ctx, target, &mut opened.object).await? {
        opened.content.unlock(key);
    }
    Ok(opened)
}

impl Opening {
    /// Reads the headers of a GET, a HEAD or the like.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that only a write may have; what [`CustomerKey::of`] refuses.
    pub fn of_read(ctx: &Context) -> Result<Opening, S3Error> {
        if let Some(mode) = ctx.header(MODE.as_str()) {
            let message = "x-amz-server-side-encryption header is not supported for this operation.";
            return Err(S3Error::invalid_argument(MODE.as_str(), mode, message));
        }
        Ok(Opening { customer: CustomerKey::of(&ctx.headers, customer::OWN, &ctx.scheme)? })
    }

    /// Reads those headers of a copy that are about its source.
    ///
    /// # Errors
    /// What [`CustomerKey::of`] refuses.
    pub fn of_source(ctx: &Context) -> Result<Opening, S3Error> {
        Ok(Opening { customer: CustomerKey::of(&ctx.headers, customer::SOURCE, &ctx.scheme)? })
    }

    /// Checks that a client's key is there exactly where the object needs one.
    ///
    /// # Errors
    /// `InvalidRequest` where a client's key is needed and missing, or there and of no use.
    fn check(&self, object: &ObjectRecord) -> Result<(), S3Error> {
        let is_customers = object.attributes.encryption.as_ref().map(|encryption| &encryption.mode)
            == Some(&EncryptionMode::Customer);
        let message = match (is_customers, &self.customer) {
            (true, Some(_)) | (false, None) => return Ok(()),
            (true, None) => {
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
                 to retrieve the object."
            }
            (false, Some(_)) => NOT_APPLICABLE,
        };
        Err(S3Error::new(Code::InvalidRequest).message(message))
    }

    /// The data key of an object that is encrypted. The client's headers that were sealed with the object are put back
    /// into its record.
    ///
    /// # Errors
    /// As [`Opening::check`]; `InvalidRequest` for a client's key that the object wasn't encrypted with; failures of
    /// the key service.
    pub async fn unlock(
        &self,
        ctx: &Context,
        target: &Target,
        object: &mut ObjectRecord,
    ) -> Result<Option<DataKey>, S3Error> {
        self.check(object)?;
        let Some(encryption) = object.attributes.encryption.as_deref() else { return Ok(None) };
        let (bucket, key) = target.name();
        let name = encryption.mode.name_of_key(bucket, key.as_bytes());
        let key = unwrap(ctx, encryption, self.customer.as_ref(), &name).await?;
        let headers = hidden(&key, encryption)?;
        let to_the_store = std::mem::replace(&mut object.headers, headers).user;
        object.headers.user.extend(to_the_store);
        Ok(Some(key))
    }

    /// Writes the headers that say how an object is encrypted.
    pub fn describe(&self, ctx: &Context, object: &ObjectRecord, out: &mut HeaderMap) {
        if let Some(encryption) = &object.attributes.encryption {
            describe(&encryption.mode, self.customer.as_ref(), ctx.store.keys.usual(), out);
        }
    }
}

/// Unwraps the data key of an object or of an upload. `name` is the name that the data key was wrapped under.
pub async fn unwrap(
    ctx: &Context,
    encryption: &Encryption,
    customer: Option<&CustomerKey>,
    name: &[u8],
) -> Result<DataKey, S3Error> {
    match (&encryption.mode, customer) {
        (EncryptionMode::Customer, Some(customer)) => {
            let wrapped = Wrapped::decode(&encryption.key).ok_or(KeyError::Damaged)?;
            let other = |_| S3Error::new(Code::InvalidRequest).message(OTHER_KEY);
            customer.unwrap(&wrapped, name).map_err(other)
        }
        (EncryptionMode::S3 | EncryptionMode::Kms { .. }, None) => {
            Ok(ctx.store.keys.unwrap(&encryption.key, name).await?)
        }
        (EncryptionMode::Customer, None) | (_, Some(_)) => {
            Err(S3Error::new(Code::InvalidRequest).message(NOT_APPLICABLE))
        }
    }
}

/// The client's headers that were sealed with an object.
fn hidden(key: &DataKey, encryption: &Encryption) -> Result<ObjectHeaders, S3Error> {
    let words = key.open_words(&encryption.headers);
    let headers = words.and_then(|words| ObjectHeaders::from_bytes(&words).ok());
    headers.ok_or_else(|| {
        S3Error::new(Code::InternalError).because("the sealed headers of an encrypted object can't be opened")
    })
}
