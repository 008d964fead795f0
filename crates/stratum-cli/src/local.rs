//! Files of this machine: found in folders, and put into them without ever leaving them.

mod landing;
mod names;
mod walk;

pub use landing::{Landing, Root, Target, make_way};
pub use walk::{LocalFile, Symlinks, Walked, look, walk};
