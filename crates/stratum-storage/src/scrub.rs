//! What is on the drives is what was written.

mod check;

pub use check::{FileFlaw, StripeFinding, Verified};
