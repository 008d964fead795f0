//! Whether the state was restored, and nobody has said yet that it is to stay.
//!
//! A restored state may be older than the bytes on the drives. Until it is accepted nothing of these is given up, so the
//! mark must outlive whatever the state outlives: it is a replicated file on the hot drives, durable before the restored
//! journal counts. What it says is decided about the whole store by hand, and wins over what drives say that come back.

use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;
use stratum_storage::set::{Set, SetError};

/// The name of the file on the drives.
pub const FILE: &str = "restored";

/// What was last decided about a restored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The entry of the journal that the state reached.
    pub entry: Index,
    pub at: UnixMillis,
    /// It is to stay: what it doesn't name may be freed.
    pub accepted: bool,
}

impl Restored {
    /// What the drives say; nothing if the state was never restored. A mark that can't be read is one that was not
    /// accepted.
    pub fn parse(content: &[u8]) -> Restored {
        serde_json::from_slice(content).unwrap_or(Restored { entry: 0, at: 0, accepted: false })
    }

    pub fn read(set: &Set) -> Result<Option<Restored>, SetError> {
        Ok(set.read_replicated(FILE)?.map(|content| Restored::parse(&content)))
    }

    /// Durable on `m+1` drives when it returns.
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
