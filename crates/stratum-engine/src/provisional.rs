//! Whether the state was restored and no operator has accepted it yet.
//!
//! A restored state may be older than the bytes on the drives. Until it is accepted none of these bytes are freed, so
//! this mark must outlive whatever the state outlives: it is a replicated file on the hot drives, durable before the
//! restored journal counts. An operator decides about it for the whole store, and that decision wins over what drives
//! say that come back.

use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;
use stratum_storage::set::{Set, SetError};

/// The name of the file on the drives.
pub const FILE: &str = "restored";

/// The last decision about a restored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The entry of the journal that the state reached.
    pub entry: Index,
    pub at: UnixMillis,
    /// Whether it was accepted: then what it doesn't name may be freed.
    pub accepted: bool,
}

impl Restored {
    /// Reads the file's content. A file that can't be read counts as a state that was not accepted.
    pub fn parse(content: &[u8]) -> Restored {
        serde_json::from_slice(content).unwrap_or(Restored { entry: 0, at: 0, accepted: false })
    }

    pub fn read(set: &Set) -> Result<Option<Restored>, SetError> {
        Ok(set.read_replicated(FILE)?.map(|content| Restored::parse(&content)))
    }

    /// Writes the file, which is durable on `m+1` drives when this returns.
    pub fn write(self, set: &Set) -> Result<(), SetError> {
        let content = serde_json::to_vec(&self).unwrap_or_default();
        set.declare_replicated(FILE, &content)
    }
}

/// What an operator is told while the state is not accepted.
pub const NOTE: &str = "the state was restored and nothing on the drives is freed, mended as a whole or removed: look \
                        whether it is what you want, then `stratum restore --accept --endpoint URL`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_makes_no_sense_was_not_accepted() {
        let accepted = Restored { entry: 7, at: 9, accepted: true };
        assert_eq!(Restored::parse(&serde_json::to_vec(&accepted).unwrap()), accepted);
        assert!(!Restored::parse(b"{\"accepted\": tr").accepted);
    }
}
