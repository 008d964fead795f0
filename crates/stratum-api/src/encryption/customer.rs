//! A client's own key (SSE-C). It comes with each request, and is forgotten when the request is done.

use crate::error::{Code, S3Error};
use crate::headers::has_family;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use http::uri::Scheme;
use md5::{Digest as _, Md5};
use std::fmt;
use stratum_cipher::{DataKey, KEY_BYTES, NotUnwrapped, Salt, Wrapped};
use subtle::ConstantTimeEq;

/// How the names of the headers begin that give a client's key: for the object that a request is about, and for the
/// source of a copy.
pub const OWN: &str = "x-amz-server-side-encryption-customer";
pub const SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer";

/// A client's key. It is written to no record and to no log.
#[derive(Clone)]
pub struct CustomerKey {
    key: [u8; KEY_BYTES],
    /// The MD5 of the key in base64, as the client sends it.
    md5: String,
}

impl CustomerKey {
    /// Reads the three headers whose names begin with `begin`; `None` where the request has none of them.
    ///
    /// # Errors
    /// `InvalidRequest` over plain HTTP; `InvalidArgument` where one of the headers is missing or can't be right;
    /// `InvalidEncryptionAlgorithmError`. No error quotes the key.
    pub fn of(headers: &HeaderMap, begin: &str, scheme: &Scheme) -> Result<Option<CustomerKey>, S3Error> {
        if !has_family(headers, begin) {
            return Ok(None);
        }
        let header = |end: &str| {
            let value = headers.get(format!("{begin}-{end}"));
            value.map(|value| value.to_str().unwrap_or_default().trim())
        };
        let (algorithm, key, md5) = (header("algorithm"), header("key"), header("key-md5"));
        if (algorithm, key, md5) == (None, None, None) {
            return Ok(None);
        }
        if *scheme != Scheme::HTTPS {
            return Err(S3Error::new(Code::InvalidRequest).message(
                "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure \
                 connection.",
            ));
        }
        let wrong = |end: &str, message: &'static str| {
            S3Error::new(Code::InvalidArgument)
                .message(message)
                .with("ArgumentName", format!("{begin}-{end}"))
        };
        match algorithm {
            Some("AES256") => {}
            None => {
                let message = "Requests specifying Server Side Encryption with Customer provided keys must provide a \
                     valid encryption algorithm.";
                return Err(wrong("algorithm", message));
            }
            Some(_) => return Err(Code::InvalidEncryptionAlgorithmError.into()),
        }
        let key = key.ok_or_else(|| {
            let message = "Requests specifying Server Side Encryption with Customer provided keys must provide an \
                 appropriate secret key.";
            wrong("key", message)
        })?;
        let md5 = md5.ok_or_else(|| {
            let message = "Requests specifying Server Side Encryption with Customer provided keys must provide the client \
                 calculated MD5 of the secret key.";
            wrong("key-MD5", message)
        })?;
        let key = BASE64.decode(key).ok().and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok());
        let key =
            key.ok_or_else(|| wrong("key", "The secret key was invalid for the specified algorithm."))?;
        let computed = BASE64.encode(Md5::digest(key));
        if !bool::from(computed.as_bytes().ct_eq(md5.as_bytes())) {
            let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
            return Err(wrong("key-MD5", message));
        }
        Ok(Some(CustomerKey { key, md5: computed }))
    }

    /// The MD5 of the key in base64, as answers tell it.
    pub fn md5(&self) -> &str {
        &self.md5
    }

    pub fn wrap(&self, data: &DataKey, name: &[u8], salt: Salt) -> Wrapped {
        Wrapped::by_client(&self.key, data, name, salt)
    }

    /// # Errors
    /// Where the data key was wrapped with another key.
    pub fn unwrap(&self, wrapped: &Wrapped, name: &[u8]) -> Result<DataKey, NotUnwrapped> {
        wrapped.open(&self.key, name)
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";

    fn of(scheme: Scheme, pairs: &[(&str, &str)]) -> Result<Option<String>, Code> {
        let pair = |(end, value): &(&str, &str)| {
            let name = HeaderName::try_from(format!("{OWN}-{end}")).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        let headers = pairs.iter().map(pair).collect();
        let key = CustomerKey::of(&headers, OWN, &scheme).map_err(|error| {
            assert!(!format!("{error:?}").contains(KEY));
            error.code()
        })?;
        Ok(key.map(|key| key.md5))
    }

    #[test]
    fn a_key_needs_all_three_headers_or_none() {
        let all = [("algorithm", "AES256"), ("key", KEY), ("key-md5", MD5)];
        assert_eq!(of(Scheme::HTTPS, &all), Ok(Some(MD5.into())));
        assert_eq!(of(Scheme::HTTPS, &[]), Ok(None));
        for absent in 0..3 {
            let some: Vec<_> =
                all.iter().enumerate().filter(|(at, _)| *at != absent).map(|(_, pair)| *pair).collect();
            assert_eq!(of(Scheme::HTTPS, &some), Err(Code::InvalidArgument), "{absent}");
        }
        assert_eq!(of(Scheme::HTTP, &all), Err(Code::InvalidRequest));
        assert_eq!(of(Scheme::HTTP, &[]), Ok(None));
    }

    #[test]
    fn each_header_of_a_key_is_checked() {
        let of = |algorithm, key, md5| {
            of(Scheme::HTTPS, &[("algorithm", algorithm), ("key", key), ("key-md5", md5)])
        };
        assert_eq!(of("AES128", KEY, MD5), Err(Code::InvalidEncryptionAlgorithmError));
        assert_eq!(of("", KEY, MD5), Err(Code::InvalidEncryptionAlgorithmError));
        assert_eq!(of("AES256", "AAAA", MD5), Err(Code::InvalidArgument));
        assert_eq!(of("AES256", "no base64", MD5), Err(Code::InvalidArgument));
        assert_eq!(of("AES256", KEY, "AAAAAAAAAAAAAAAAAAAAAA=="), Err(Code::InvalidArgument));
    }
}
