//! The headers `x-amz-metadata-directive` and `x-amz-tagging-directive` of copies.

use crate::error::S3Error;
use http::{HeaderMap, HeaderValue};

/// Whether the copy of an object takes something over from its source, or what the request says replaces that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    Copy,
    Replace,
}

impl Directive {
    /// What the header of that name says; without the header the copy takes over what the source has.
    ///
    /// # Errors
    /// As [`Directive::read`].
    pub fn of(headers: &HeaderMap, name: &'static str) -> Result<Self, S3Error> {
        headers.get(name).map_or(Ok(Directive::Copy), |value| Self::read(name, value))
    }

    /// Reads the value of the header `name`.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but `COPY` and `REPLACE`.
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
