//! The stories of objects, parts and copies once more, with bodies that are coded, and what only these have.

#[path = "../api/checksums.rs"]
mod checksums;
#[path = "../api/client.rs"]
mod client;
#[path = "../api/deleting.rs"]
mod deleting;
#[path = "../api/detail.rs"]
mod detail;
#[path = "../api/encryption.rs"]
mod encryption;
mod frames;
#[path = "../api/hostile.rs"]
mod hostile;
#[path = "../api/multipart.rs"]
mod multipart;
#[path = "../api/objects.rs"]
mod objects;
#[path = "../api/pressed.rs"]
mod pressed;
// Some of it only the others need.
#[allow(dead_code)]
#[path = "../api/rig.rs"]
mod rig;

/// What new bodies are coded with.
fn compression() -> Option<stratum_frames::Compression> {
    Some(stratum_frames::Compression::default())
}
