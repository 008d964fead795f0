//! `x-amz-metadata-directive` and `x-amz-tagging-directive`.

use crate::error::S3Error;
use http::{HeaderMap, HeaderValue};

/// Whether something of a copy's source is copied, or replaced by what the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    Copy,
    Replace,
}

impl Directive {
    /// What the header of that name says; without one it is copied.
    ///
    /// # Errors
    /// As [`Directive::read`].
    pub fn of(headers: &HeaderMap, name: &'static str) -> Result<Self, S3Error> {
        headers.get(name).map_or(Ok(Directive::Copy), |value| Self::read(name, value))
    }

    /// # Errors
    /// `InvalidArgument`.
    pub fn read(name: &str, value: &HeaderValue) -> Result<Self, S3Error> {
        match value.as_bytes() {
            b"COPY" => Ok(Directive::Copy),
            b"REPLACE" => Ok(Directive::Replace),
            other => {
                let message = format!("Unknown {name}.");
                Err(S3Error::invalid_argument(name, String::from_utf8_lossy(other), message))
            }
        }
    }
}
