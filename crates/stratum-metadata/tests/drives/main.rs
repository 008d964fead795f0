//! The metadata over real drives, the real journal and real volumes.

mod compaction;
mod evacuation;
mod packing;
mod store;
