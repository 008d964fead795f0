//! How a request was signed, for whoever tells of it or judges by it.

/// The way by which a signature came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanism {
    pub version: Version,
    pub place: Place,
}

impl Mechanism {
    /// Version 4 in the `Authorization` header, which is how programs sign what they send themselves.
    pub const USUAL: Self = Self { version: Version::V4, place: Place::Header };
}

/// Of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V4,
}

/// Where the signature stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The `Authorization` header.
    Header,
    /// A presigned URL.
    Query,
    /// A browser's form.
    Form,
}

/// Whether requests that are signed by version 2 are judged by their signature, or refused for its version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version2 {
    #[default]
    Refused,
    Taken,
}
