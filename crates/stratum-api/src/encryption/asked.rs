//! The encryption that the headers of a write ask for.

use super::{AES256, BUCKET_KEY, CONTEXT, CustomerKey, KEY_ID, KMS, MODE, customer};
use crate::context::Context;
use crate::error::S3Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName};
use std::collections::BTreeMap;
use stratum_metadata::record::{DefaultAlgorithm, DefaultEncryption, EncryptionMode};

/// The longest encryption context, as it travels, in bytes.
const MAX_CONTEXT_BYTES: usize = 8192;
/// The longest name of a KMS key, in bytes.
const MAX_KEY_ID_BYTES: usize = 2048;

/// The encryption that a write asks for.
#[derive(Debug)]
pub enum Asked {
    /// The write asks for none, so that its bucket's default counts. `bucket_key` decides, if it is there, whether the
    /// default uses a bucket key.
    Nothing {
        bucket_key: Option<bool>,
    },
    Mode(EncryptionMode),
    Customer(CustomerKey),
}

impl Asked {
    /// Reads what a write asks for from its headers.
    ///
    /// # Errors
    /// `InvalidArgument` for headers that don't go together, and for values that S3 doesn't have; `NotImplemented` for
    /// values of S3's that aren't built; what [`CustomerKey::of`] refuses.
    pub fn of(ctx: &Context) -> Result<Asked, S3Error> {
        let customer = CustomerKey::of(&ctx.headers, customer::OWN, &ctx.scheme)?;
        Asked::read(&ctx.headers, customer)
    }

    fn read(headers: &HeaderMap, customer: Option<CustomerKey>) -> Result<Asked, S3Error> {
        let header =
            |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        let (mode, key, context) = (header(MODE), header(KEY_ID), header(CONTEXT));
        let bucket_key = header(BUCKET_KEY).map(flag).transpose()?;
        let wrong = |name: HeaderName, value: &str, message: &'static str| {
            Err(S3Error::invalid_argument(name.as_str(), value, message))
        };
        match (mode, customer) {
            (None, None) if key.is_some() || context.is_some() => wrong(
                if key.is_some() { KEY_ID } else { CONTEXT },
                key.or(context).unwrap_or_default(),
                "The header x-amz-server-side-encryption must be aws:kms when a KMS key or an encryption context is given.",
            ),
            (None, None) => Ok(Asked::Nothing { bucket_key }),
            (None, Some(customer)) if key.is_none() && context.is_none() && bucket_key.is_none() => {
                Ok(Asked::Customer(customer))
            }
            (mode, Some(_)) => wrong(
                MODE,
                mode.unwrap_or_default(),
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            ),
            (Some(AES256), None) if key.is_none() && context.is_none() && bucket_key.is_none() => {
                Ok(Asked::Mode(EncryptionMode::S3))
            }
            (Some(AES256), None) => wrong(
                MODE,
                AES256,
                "A KMS key, an encryption context or a bucket key goes only with the encryption method aws:kms.",
            ),
            (Some(KMS), None) => Ok(Asked::Mode(EncryptionMode::Kms {
                key: key.map(key_id).transpose()?,
                context: context.map(context_of).transpose()?,
                bucket_key: bucket_key.unwrap_or_default(),
            })),
            (Some(unbuilt @ ("aws:kms:dsse" | "aws:fsx")), None) => {
                Err(S3Error::not_implemented(&format!("Server-side encryption {unbuilt}")))
            }
            (Some(other), None) => wrong(MODE, other, "The encryption method specified is not supported"),
        }
    }

    /// Whether the write asks for no encryption itself.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Asked::Nothing { .. })
    }
}

/// The encryption of a new object whose write asks for none: that of its bucket's default, if the bucket has one.
///
/// # Errors
/// `InvalidArgument` for a bucket key where the default isn't that of the key service.
pub fn by_default(
    default: Option<&DefaultEncryption>,
    bucket_key: Option<bool>,
) -> Result<Option<EncryptionMode>, S3Error> {
    match default.map(|default| (&default.algorithm, default.bucket_key)) {
        Some((DefaultAlgorithm::Kms(key), by_default)) => Ok(Some(EncryptionMode::Kms {
            key: key.clone(),
            context: None,
            bucket_key: bucket_key.or(by_default).unwrap_or_default(),
        })),
        _ if bucket_key.is_some() => Err(S3Error::invalid_argument(
            BUCKET_KEY.as_str(),
            bucket_key.unwrap_or_default().to_string(),
            "A bucket key goes only with the encryption method aws:kms.",
        )),
        Some((DefaultAlgorithm::S3, _)) => Ok(Some(EncryptionMode::S3)),
        None => Ok(None),
    }
}

fn flag(text: &str) -> Result<bool, S3Error> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(S3Error::invalid_argument(BUCKET_KEY.as_str(), text, "The header must be true or false.")),
    }
}

fn key_id(text: &str) -> Result<String, S3Error> {
    match text.len() {
        1..=MAX_KEY_ID_BYTES => Ok(text.to_owned()),
        _ => Err(S3Error::invalid_argument(KEY_ID.as_str(), text, "The header must name a KMS key.")),
    }
}

fn context_of(text: &str) -> Result<String, S3Error> {
    let is_map = |json: &[u8]| serde_json::from_slice::<BTreeMap<String, String>>(json).is_ok();
    match BASE64.decode(text) {
        Ok(json) if text.len() <= MAX_CONTEXT_BYTES && is_map(&json) => Ok(text.to_owned()),
        _ => Err(S3Error::invalid_argument(
            CONTEXT.as_str(),
            text,
            "The encryption context must be base64 of JSON that maps strings to strings.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use http::HeaderValue;

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, Code> {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::try_from(format!("x-amz-server-side-encryption{name}")).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        Asked::read(&pairs.iter().map(pair).collect(), None).map_err(|error| error.code())
    }

    fn mode(pairs: &[(&str, &str)]) -> EncryptionMode {
        match read(pairs) {
            Ok(Asked::Mode(mode)) => mode,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn headers_that_go_together_are_accepted() {
        assert!(read(&[]).unwrap().is_nothing());
        assert_eq!(mode(&[("", "AES256")]), EncryptionMode::S3);
        let kms = |key: Option<&str>, context: Option<&str>, bucket_key| EncryptionMode::Kms {
            key: key.map(str::to_owned),
            context: context.map(str::to_owned),
            bucket_key,
        };
        assert_eq!(mode(&[("", "aws:kms")]), kms(None, None, false));
        let all = [
            ("", "aws:kms"),
            ("-aws-kms-key-id", "k"),
            ("-context", "eyJhIjoiYiJ9"),
            ("-bucket-key-enabled", "True"),
        ];
        assert_eq!(mode(&all), kms(Some("k"), Some("eyJhIjoiYiJ9"), true));
    }

    #[test]
    fn headers_that_do_not_go_together_are_refused() {
        for pairs in [
            &[("", "aes:kms")][..],
            &[("", "")],
            &[("-aws-kms-key-id", "k")],
            &[("-context", "e30=")],
            &[("", "AES256"), ("-aws-kms-key-id", "k")],
            &[("", "AES256"), ("-bucket-key-enabled", "true")],
            &[("", "aws:kms"), ("-aws-kms-key-id", "")],
            &[("", "aws:kms"), ("-context", "e")],
            &[("", "aws:kms"), ("-context", "W10=")],
            &[("", "aws:kms"), ("-bucket-key-enabled", "yes")],
        ] {
            assert_eq!(read(pairs).map(drop), Err(Code::InvalidArgument), "{pairs:?}");
        }
        assert_eq!(read(&[("", "aws:kms:dsse")]).map(drop), Err(Code::NotImplemented));
    }

    #[test]
    fn the_buckets_default_counts_where_a_write_asks_for_nothing() {
        let default = |algorithm, bucket_key| DefaultEncryption { algorithm, bucket_key };
        let of = |default: Option<DefaultEncryption>, bucket_key| {
            by_default(default.as_ref(), bucket_key).map_err(|error| error.code())
        };
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(Some(default(DefaultAlgorithm::S3, None)), None), Ok(Some(EncryptionMode::S3)));
        let kms =
            |bucket_key| Ok(Some(EncryptionMode::Kms { key: Some("k".into()), context: None, bucket_key }));
        let of_kms = |by_default| Some(default(DefaultAlgorithm::Kms(Some("k".into())), by_default));
        assert_eq!(of(of_kms(None), None), kms(false));
        assert_eq!(of(of_kms(Some(true)), None), kms(true));
        assert_eq!(of(of_kms(Some(true)), Some(false)), kms(false));
        assert_eq!(of(None, Some(true)), Err(Code::InvalidArgument));
    }
}
