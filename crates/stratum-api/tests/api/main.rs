//! The whole API over real sockets and real (temporary) drives.

mod access_logs;
mod audits;
mod boundaries;
mod buckets;
mod checksums;
mod client;
mod console;
mod cors;
mod declared;
mod deleting;
mod detail;
mod encryption;
mod forms;
mod hostile;
mod iam;
mod late;
mod lifecycle;
mod listing;
mod lists;
mod lock;
mod lost;
mod matrix;
mod multipart;
mod neighbours;
mod notifications;
mod objects;
mod pauses;
mod policies;
mod pressed;
mod quotas;
mod recognition;
mod rig;
mod session_tags;
mod strangers;
mod tags;
mod uploads;
mod version_2;
mod versions;
mod websites;

/// The age of a store whose test chooses none. The tests in `coded` run some of these files on new stores.
const AGE: rig::Age = rig::Age::Raised;

/// The codec of new bodies: none. The tests in `coded` run some of these files with a codec.
fn compression() -> Option<stratum_frames::Compression> {
    None
}
