//! What is on the drives is what was written.

mod check;

pub use check::{FileFlaw, StripeFinding, Verified};

pub(crate) use check::{file_flaws, header};
