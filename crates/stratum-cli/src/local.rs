//! Files of this machine: how they are found in a folder, and how they are written into one so that none lands
//! outside it.

mod landing;
mod lasting;
mod names;
mod walk;

pub use landing::{Landing, Root, Target, make_way};
pub use lasting::Lasting;
pub use walk::{LocalFile, Symlinks, Walked, look, walk};
