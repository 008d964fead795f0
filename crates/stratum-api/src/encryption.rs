//! Server-side encryption: what a request asks for, what is done to what it writes, and what opens what it reads.
//!
//! A write has a [`Sealing`]: what it asks for by its headers, or else its bucket's default; a part has its upload's. It makes
//! the data key, seals the body and what the client says of it, and tells of all that. A read has an [`Opening`]: the client's
//! key, if it brought one. Bytes are looked up and held without any key; they are opened with it afterwards.
//!
//! Sources: Amazon S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)", "... with Amazon S3
//! managed keys (SSE-S3)", "... with AWS KMS keys (SSE-KMS)"; API Reference, PutObject, CopyObject, CreateMultipartUpload,
//! UploadPart, CompleteMultipartUpload, GetObject.

mod asked;
mod customer;
mod opening;

pub use customer::CustomerKey;
pub use opening::{Opening, open};

use crate::context::Context;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::key::ObjectKey;
use crate::level;
use asked::Asked;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use stratum_cipher::{DataKey, Salt};
use stratum_frames::Seal;
use stratum_metadata::declared::Hints;
use stratum_metadata::record::{BucketRecord, Encryption, EncryptionMode, ObjectHeaders, UploadRecord};
use stratum_storage::ambient::Entropy;

const MODE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KEY_ID: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const CONTEXT: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-context");
const BUCKET_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-bucket-key-enabled");
const CUSTOMER_ALGORITHM: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
const CUSTOMER_KEY_MD5: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-key-md5");

const AES256: &str = "AES256";
const KMS: &str = "aws:kms";

/// What takes a store of the level that can say it, for [`level::require`].
pub const ENCRYPTING: &str = "Server-side encryption";

/// What is said where a key is brought to what it isn't for.
const NOT_APPLICABLE: &str = "The encryption parameters are not applicable to this object.";
const OTHER_KEY: &str = "The provided encryption parameters did not match the ones used originally.";

/// What becomes of what a request writes.
#[derive(Debug)]
pub enum Sealing {
    /// It is stored as it is.
    Clear,
    Sealed(Box<Sealer>),
}

/// A data key, and whose key is above it.
#[derive(Debug)]
pub struct Sealer {
    mode: EncryptionMode,
    key: DataKey,
    wrapped: Vec<u8>,
    /// The client's key, where that is the one above.
    customer: Option<CustomerKey>,
    /// The name of the key service's key where none is named.
    usual: String,
    entropy: Arc<dyn Entropy>,
}

impl Sealing {
    /// What a PUT, a copy or the beginning of an upload asks for, or else its bucket's default.
    ///
    /// # Errors
    /// What [`Asked::of`] and [`CustomerKey::of`] refuse; `NotImplemented` in a store of a level before there was encryption;
    /// `KMS.NotFoundException`, and what the key service fails in.
    pub async fn of_write(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> Result<Sealing, S3Error> {
        let (mode, customer) = match Asked::of(ctx)? {
            Asked::Nothing { bucket_key } => {
                match asked::by_default(bucket.configuration.encryption.as_ref(), bucket_key)? {
                    Some(mode) => (mode, None),
                    None => return Ok(Sealing::Clear),
                }
            }
            Asked::Mode(mode) => (mode, None),
            Asked::Customer(customer) => (EncryptionMode::Customer, Some(customer)),
        };
        level::require(ctx, ENCRYPTING)?;
        let name = mode.name_of_key(bucket.id, key.as_bytes());
        let (data, salt) = (DataKey::new(random(&ctx.store.entropy)), new_salt(&ctx.store.entropy));
        let wrapped = match (&mode, &customer) {
            (EncryptionMode::Customer, Some(customer)) => customer.wrap(&data, &name, salt).encode(),
            (mode, _) => ctx.store.keys.wrap(mode.named_key(), &data, &name, salt).await?,
        };
        Ok(Sealing::Sealed(Box::new(Sealer::new(ctx, mode, data, wrapped, customer))))
    }

    /// What becomes of a part, and of an upload that is completed: what the upload was created with. Completing one takes no key, and
    /// S3 asks for the client's all the same.
    ///
    /// # Errors
    /// `InvalidRequest` for a client's key that isn't the upload's, or that it lacks; what the key service fails in.
    pub async fn of_upload(ctx: &Context, upload: &UploadRecord) -> Result<Sealing, S3Error> {
        let customer = CustomerKey::of(&ctx.headers, customer::OWN, &ctx.scheme)?;
        let Some(encryption) = upload.attributes.encryption.as_deref() else {
            return match customer {
                Some(_) => Err(S3Error::new(Code::InvalidRequest).message(NOT_APPLICABLE)),
                None => Ok(Sealing::Clear),
            };
        };
        if encryption.mode == EncryptionMode::Customer && customer.is_none() {
            return Err(S3Error::new(Code::InvalidRequest).message(
                "The multipart upload initiate requested encryption. Subsequent part requests must include the \
                 appropriate encryption parameters.",
            ));
        }
        let name = encryption.mode.name_of_key(upload.bucket, &upload.key);
        let data = opening::unwrap(ctx, encryption, customer.as_ref(), &name).await?;
        let (mode, wrapped) = (encryption.mode.clone(), encryption.key.clone());
        Ok(Sealing::Sealed(Box::new(Sealer::new(ctx, mode, data, wrapped, customer))))
    }

    /// What seals a body. Each body has one of its own.
    pub fn seal(&self) -> Option<Seal> {
        match self {
            Sealing::Clear => None,
            Sealing::Sealed(sealer) => Some(Seal::new(&sealer.key, new_salt(&sealer.entropy))),
        }
    }

    /// What stands for a body's MD5: itself, or what tells nobody anything of the body where S3's own ETag isn't an MD5 either.
    pub fn etag(&self, md5: [u8; 16]) -> [u8; 16] {
        match self {
            Sealing::Sealed(sealer) if sealer.mode != EncryptionMode::S3 => sealer.key.tag(&md5),
            Sealing::Sealed(_) | Sealing::Clear => md5,
        }
    }

    /// What a record keeps of what a client says of an object: in the clear only what is said to the store.
    pub fn put_away(&self, kept: ObjectHeaders) -> (ObjectHeaders, Option<Box<Encryption>>) {
        let Sealing::Sealed(sealer) = self else { return (kept, None) };
        let (to_the_store, user) = kept.user.into_iter().partition(|(name, _)| Hints::is_name(name));
        let hidden = ObjectHeaders { user, ..kept };
        let headers = sealer.key.seal_words(new_salt(&sealer.entropy), &hidden.to_bytes());
        let encryption = Encryption { mode: sealer.mode.clone(), key: sealer.wrapped.clone(), headers };
        (ObjectHeaders { user: to_the_store, ..ObjectHeaders::default() }, Some(Box::new(encryption)))
    }

    /// Says how it is encrypted.
    pub fn describe(&self, out: &mut HeaderMap) {
        if let Sealing::Sealed(sealer) = self {
            describe(&sealer.mode, sealer.customer.as_ref(), &sealer.usual, out);
            if let EncryptionMode::Kms { context: Some(context), .. } = &sealer.mode {
                out.insert(CONTEXT, headers::value(context));
            }
        }
    }
}

impl Sealer {
    fn new(
        ctx: &Context,
        mode: EncryptionMode,
        key: DataKey,
        wrapped: Vec<u8>,
        customer: Option<CustomerKey>,
    ) -> Sealer {
        let (usual, entropy) = (ctx.store.keys.usual().to_owned(), ctx.store.entropy.clone());
        Sealer { mode, key, wrapped, customer, usual, entropy }
    }
}

/// Says how an object is encrypted.
fn describe(mode: &EncryptionMode, customer: Option<&CustomerKey>, usual: &str, out: &mut HeaderMap) {
    match mode {
        EncryptionMode::S3 => drop(out.insert(MODE, HeaderValue::from_static(AES256))),
        EncryptionMode::Customer => {
            out.insert(CUSTOMER_ALGORITHM, HeaderValue::from_static(AES256));
            if let Some(customer) = customer {
                out.insert(CUSTOMER_KEY_MD5, headers::value(customer.md5()));
            }
        }
        EncryptionMode::Kms { key, bucket_key, .. } => {
            out.insert(MODE, HeaderValue::from_static(KMS));
            out.insert(KEY_ID, headers::value(key.as_deref().unwrap_or(usual)));
            if *bucket_key {
                out.insert(BUCKET_KEY, HeaderValue::from_static("true"));
            }
        }
    }
}

/// Whether a write asks for encryption by itself, whatever its bucket's default is.
///
/// # Errors
/// As [`Sealing::of_write`].
pub fn is_asked_for(ctx: &Context) -> Result<bool, S3Error> {
    Ok(!Asked::of(ctx)?.is_nothing())
}

fn random(entropy: &Arc<dyn Entropy>) -> [u8; 32] {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    bytes
}

fn new_salt(entropy: &Arc<dyn Entropy>) -> Salt {
    Salt(random(entropy))
}
