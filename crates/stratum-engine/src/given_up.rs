//! Remembers whether the journal ever went on without a body that no drive had.
//!
//! The record of such an object names an entry that isn't in the journal any more, and nothing else tells of it. To
//! find such records means to read all of them, so a start does it only if this mark says that there may be one. The
//! mark is a replicated file on the hot drives, durable before the first such body is given up, and is never removed.

use serde::Serialize;
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::set::{Set, SetError};

/// The name of the file on the drives.
pub const FILE: &str = "given-up";

/// The content of the file: when the first body was given up.
#[derive(Serialize)]
struct GivenUp {
    at: UnixMillis,
}

/// Writes the mark, which is durable on `m+1` drives when this returns.
pub(crate) fn mark(set: &Set, clock: &dyn Clock) -> Result<(), SetError> {
    if set.read_replicated(FILE)?.is_some() {
        return Ok(());
    }
    set.declare_replicated(FILE, &serde_json::to_vec(&GivenUp { at: clock.now() }).unwrap_or_default())
}

/// Whether a body may have been given up, which is also true if the mark can't be read.
pub fn is_marked(set: &Set) -> bool {
    set.read_replicated(FILE).map_or(true, |mark| mark.is_some())
}
