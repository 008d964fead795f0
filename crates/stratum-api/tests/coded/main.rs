//! The API's tests of objects, parts and copies once more, with compressed bodies, and the tests of compression itself.

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
// The tests of compressed bodies don't use all of the rig.
#[allow(dead_code)]
#[path = "../api/rig.rs"]
mod rig;

/// The age of a store whose test chooses none: the first level has no compressed bodies.
const AGE: rig::Age = rig::Age::New;

/// How new bodies are compressed in these tests.
fn compression() -> Option<stratum_frames::Compression> {
    Some(stratum_frames::Compression::default())
}
