//! Who keeps the keys above the data keys: the seam at which an outside key service takes the place of our own.

use crate::data_key::DataKey;
use crate::primitives::Salt;
use std::fmt::Debug;
use std::pin::Pin;

/// What is asked of a key service, and comes when it has answered.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyError>> + Send + 'a>>;

/// Keeps keys by their names and wraps data keys with them. The keys themselves never leave it.
///
/// What it gives is opaque to everybody else and kept in objects' records. It is asked at each write and read of an
/// object that is encrypted with one of its keys, so a service that is far away remembers what it opened lately.
pub trait KeyService: Send + Sync + Debug {
    /// Wraps a data key with the key of that name, or with the usual one. `of` says what it is the key of; `salt` is random.
    ///
    /// # Errors
    /// `Unknown`, `Unavailable`.
    fn wrap<'a>(
        &'a self,
        name: Option<&'a str>,
        data: &'a DataKey,
        of: &'a [u8],
        salt: Salt,
    ) -> Asked<'a, Vec<u8>>;

    /// Unwraps a data key that was wrapped for the same `of`, whichever key wrapped it.
    ///
    /// # Errors
    /// `NotHere`, `Damaged`, `Unavailable`.
    fn unwrap<'a>(&'a self, wrapped: &'a [u8], of: &'a [u8]) -> Asked<'a, DataKey>;

    /// The name of the key that is used where none is named.
    fn usual(&self) -> &str;

    /// Whether the key of that name, or the usual one, would wrap it with other bytes today: it has been rotated since.
    fn is_outdated(&self, name: Option<&str>, wrapped: &[u8]) -> bool;

    /// Whether the key that wrapped it is kept here.
    fn has_key_of(&self, wrapped: &[u8]) -> bool;

    /// Says that nothing is wrapped any more with another key than those that wrap today. May block.
    fn forget_former(&self) {}
}

/// Why a key service didn't do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("there is no key \"{0}\"")]
    Unknown(String),
    /// It was wrapped with a key that isn't kept here any more.
    #[error("the master key that wrapped it isn't among those that are configured")]
    NotHere,
    /// It isn't what was wrapped, or is of something else.
    #[error("the wrapped key is damaged")]
    Damaged,
    #[error("the key service can't be asked: {0}")]
    Unavailable(String),
}
