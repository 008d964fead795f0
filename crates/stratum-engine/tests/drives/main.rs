//! The metadata over real drives, the real journal and real volumes.

mod behind;
mod compaction;
mod evacuation;
mod fate;
mod foreseen;
mod lifecycle;
mod lost;
mod packing;
mod panics;
mod placing;
mod pressed;
mod sealed;
mod store;
mod tasks;
mod tiering;
mod tiers;
mod transition;
mod unreadable;
