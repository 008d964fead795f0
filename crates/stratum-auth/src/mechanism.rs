//! How a request was signed, for logs and for policies that ask.

/// Which kind of signature a request had, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanism {
    pub version: Version,
    pub place: Place,
}

impl Mechanism {
    /// Version 4 in the `Authorization` header: how SDKs sign the requests that they send themselves.
    pub const USUAL: Self = Self { version: Version::V4, place: Place::Header };
}

/// The version of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V4,
}

/// Where the request carried its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The `Authorization` header.
    Header,
    /// A presigned URL.
    Query,
    /// A browser's form.
    Form,
}

/// Whether requests signed by version 2 are accepted if their signature is right, or always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version2 {
    #[default]
    Refused,
    Taken,
}
