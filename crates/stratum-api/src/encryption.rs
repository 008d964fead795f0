//! Server-side encryption: what a write asks for, how its body is sealed, and what opens an object for a read.
//!
//! A write has a [`Sealing`]: the encryption that its headers ask for, or else its bucket's default; a part has that of
//! its upload. The sealing makes the data key, seals the body and the client's headers, and says in the answer how the
//! object is encrypted. A read has an [`Opening`]: the client's key, if the request brought one. Bytes are looked up
//! and held without a key, and opened with it afterwards.
//!
//! Sources: Amazon S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)", "... with Amazon
//! S3 managed keys (SSE-S3)", "... with AWS KMS keys (SSE-KMS)"; API Reference, PutObject, CopyObject,
//! CreateMultipartUpload, UploadPart, CompleteMultipartUpload, GetObject.

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
use stratum_metadata::record::{
    BucketId, BucketRecord, Encryption, EncryptionMode, ObjectHeaders, ObjectRecord, UploadRecord,
};
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

/// What a store of an older level can't record, as [`level::require`] names it.
pub const ENCRYPTING: &str = "Server-side encryption";

/// The message for a client's key where there is nothing that it could open or seal.
const NOT_APPLICABLE: &str = "The encryption parameters are not applicable to this object.";
/// The message for a key that isn't the one with which the object was encrypted.
const OTHER_KEY: &str = "The provided encryption parameters did not match the ones used originally.";

/// What is done to the bodies that a request writes.
#[derive(Debug)]
pub enum Sealing {
    /// The bytes are stored as they are.
    Clear,
    Sealed(Box<Sealer>),
}

/// A data key, and how it is wrapped.
#[derive(Debug)]
pub struct Sealer {
    mode: EncryptionMode,
    key: DataKey,
    wrapped: Vec<u8>,
    /// The client's key, where that wraps the data key.
    customer: Option<CustomerKey>,
    /// The name of the key that the key service uses where a request names none.
    usual: String,
    entropy: Arc<dyn Entropy>,
}

impl Sealing {
    /// The sealing that a PUT, a copy or the beginning of an upload asks for, or else its bucket's default.
    ///
    /// # Errors
    /// What [`Asked::of`] and [`CustomerKey::of`] refuse; `NotImplemented` in a store whose level is older than
    /// encryption; `KMS.NotFoundException`, and failures of the key service.
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

    /// The sealing of a part, or of an upload that is completed: what the upload was created with. Nothing is sealed
    /// when an upload is completed, but S3 asks for the client's key there, too.
    ///
    /// # Errors
    /// `InvalidRequest` for a client's key that isn't the upload's, and where the upload's is missing;
    /// `InvalidArgument` for headers that ask for another encryption than the upload's; failures of the key service.
    pub async fn of_upload(ctx: &Context, upload: &UploadRecord) -> Result<Sealing, S3Error> {
        Sealing::decided(ctx, upload.bucket, &upload.key, upload.attributes.encryption.as_deref()).await
    }

    /// The sealing that the upload had of which this object was made.
    ///
    /// # Errors
    /// As [`Sealing::of_upload`].
    pub async fn of_completed(
        ctx: &Context,
        bucket: BucketId,
        key: &ObjectKey,
        object: &ObjectRecord,
    ) -> Result<Sealing, S3Error> {
        Sealing::decided(ctx, bucket, key.as_bytes(), object.attributes.encryption.as_deref()).await
    }

    async fn decided(
        ctx: &Context,
        bucket: BucketId,
        key: &[u8],
        encryption: Option<&Encryption>,
    ) -> Result<Sealing, S3Error> {
        refuse_another(&ctx.headers, encryption.map(|encryption| &encryption.mode))?;
        let customer = CustomerKey::of(&ctx.headers, customer::OWN, &ctx.scheme)?;
        let Some(encryption) = encryption else {
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
        let name = encryption.mode.name_of_key(bucket, key);
        let data = opening::unwrap(ctx, encryption, customer.as_ref(), &name).await?;
        let (mode, wrapped) = (encryption.mode.clone(), encryption.key.clone());
        Ok(Sealing::Sealed(Box::new(Sealer::new(ctx, mode, data, wrapped, customer))))
    }

    /// The seal for one body. Each body gets a seal of its own.
    pub fn seal(&self) -> Option<Seal> {
        match self {
            Sealing::Clear => None,
            Sealing::Sealed(sealer) => Some(Seal::new(&sealer.key, new_salt(&sealer.entropy))),
        }
    }

    /// Whether a copy that is sealed so is encrypted otherwise than its source. SSE-S3 is the least that S3 itself does,
    /// so that the copy of such a source onto itself, which asks for nothing, changes nothing there.
    pub fn changes(&self, source: &ObjectRecord) -> bool {
        let before = source.attributes.encryption.as_deref().map(|encryption| &encryption.mode);
        match (before, self) {
            (Some(EncryptionMode::S3), Sealing::Clear) => false,
            (before, Sealing::Clear) => before.is_some(),
            (before, Sealing::Sealed(sealer)) => before != Some(&sealer.mode),
        }
    }

    /// What an ETag holds in place of the body's MD5: the MD5 itself, or, where S3's own ETag isn't an MD5 either
    /// (SSE-C and SSE-KMS), a tag that tells nobody anything of the body.
    pub fn etag(&self, md5: [u8; 16]) -> [u8; 16] {
        match self {
            Sealing::Sealed(sealer) if sealer.mode != EncryptionMode::S3 => sealer.key.tag(&md5),
            Sealing::Sealed(_) | Sealing::Clear => md5,
        }
    }

    /// What a record keeps of a client's headers. Only hints to the store stay in the clear; all other headers are
    /// sealed.
    pub fn put_away(&self, kept: ObjectHeaders) -> (ObjectHeaders, Option<Box<Encryption>>) {
        let Sealing::Sealed(sealer) = self else { return (kept, None) };
        let (to_the_store, user) = kept.user.into_iter().partition(|(name, _)| Hints::is_name(name));
        let hidden = ObjectHeaders { user, ..kept };
        let headers = sealer.key.seal_words(new_salt(&sealer.entropy), &hidden.to_bytes());
        let encryption = Encryption { mode: sealer.mode.clone(), key: sealer.wrapped.clone(), headers };
        (ObjectHeaders { user: to_the_store, ..ObjectHeaders::default() }, Some(Box::new(encryption)))
    }

    /// Writes the headers that say how the object is encrypted.
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

/// Refuses headers of a part, or of the completion of an upload, that ask for another encryption than the upload's.
///
/// S3 documents no header there but those of a client's key. Clients repeat the upload's, and ceph's suite has them name
/// any key where the upload is the key service's; the answer tells which key it is.
fn refuse_another(asked: &HeaderMap, upload: Option<&EncryptionMode>) -> Result<(), S3Error> {
    let (method, context, has_key) = match upload {
        None | Some(EncryptionMode::Customer) => (None, None, false),
        Some(EncryptionMode::S3) => (Some(AES256), None, false),
        Some(EncryptionMode::Kms { context, .. }) => (Some(KMS), context.as_deref(), true),
    };
    let differs = |name: &HeaderName, own: Option<&str>| {
        asked.get(name).is_some_and(|value| own.is_none_or(|own| value != own))
    };
    let others = [
        (MODE, differs(&MODE, method)),
        (CONTEXT, differs(&CONTEXT, context)),
        (KEY_ID, !has_key && asked.contains_key(&KEY_ID)),
        (BUCKET_KEY, !has_key && asked.contains_key(&BUCKET_KEY)),
    ];
    let Some((name, _)) = others.into_iter().find(|(_, is_other)| *is_other) else { return Ok(()) };
    let value = asked.get(&name).map(headers::text).unwrap_or_default();
    let message =
        "The upload was created with another encryption, which its parts and its completion follow.";
    Err(S3Error::invalid_argument(name.as_str(), value, message))
}

/// Writes the headers that say how an object is encrypted.
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

/// Whether a write asks for encryption itself, whatever its bucket's default is.
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
