//! The bytes of shard files, as `docs/format/volumes.md` says them.
//!
//! [`layout`] is arithmetic: where a payload's bytes lie in a stripe and a stripe in the shard files. [`v1`] reads
//! and writes header pages and fragment headers and computes the blocks' checksums; [`directory`] is the tail of a
//! packed stripe, [`remote`] what a volume is in a remote store. Nothing here touches a drive, and every parser is
//! total: bytes from a disk never cause a panic.

pub mod directory;
pub mod layout;
pub mod remote;
pub mod v1;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum FormatError {
    #[error("it isn't a {what} of Stratum")]
    NotOurs { what: &'static str },
    #[error("the {what} is of version {found}, and this binary reads version {known}")]
    UnknownVersion { what: &'static str, found: u16, known: u16 },
    #[error("the {what} is damaged")]
    Damaged { what: &'static str },
}

/// Reads a little-endian number at `at`, if the bytes reach that far.
macro_rules! number_at {
    ($name:ident, $type:ty) => {
        fn $name(bytes: &[u8], at: usize) -> Option<$type> {
            let end = at.checked_add(size_of::<$type>())?;
            bytes.get(at..end)?.try_into().ok().map(<$type>::from_le_bytes)
        }
    };
}
number_at!(u16_at, u16);
number_at!(u32_at, u32);
number_at!(u64_at, u64);
number_at!(u128_at, u128);
