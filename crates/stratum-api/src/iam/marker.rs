//! Where the next part of a list begins, as it is given to who asks and given back.
//!
//! It is the name of the last entry, behind a checksum of that and of the action: so one that nobody was given, or that is another
//! list's, is refused instead of taken for a place somewhere, and one whose entry is gone since still says where to go on.
//! It keeps no secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

const CHECKSUM_BYTES: usize = 8;

fn checksum(action: &str, name: &[u8]) -> impl Iterator<Item = u8> {
    let digest = Sha256::new().chain_update(action).chain_update([0]).chain_update(name).finalize();
    digest.into_iter().take(CHECKSUM_BYTES)
}

pub fn write(action: &str, name: &str) -> String {
    BASE64.encode(checksum(action, name.as_bytes()).chain(name.bytes()).collect::<Vec<u8>>())
}

/// The name, if it is a marker of that action's.
pub fn read(action: &str, marker: &str) -> Option<String> {
    let bytes = BASE64.decode(marker).ok()?;
    let (given, name) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    checksum(action, name).eq(given.iter().copied()).then_some(())?;
    String::from_utf8(name.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_by_its_own_action_alone_and_nothing_made_up_is() {
        for name in ["ann", "", "ü \0/?"] {
            assert_eq!(read("ListUsers", &write("ListUsers", name)).as_deref(), Some(name));
            assert_eq!(read("ListRoles", &write("ListUsers", name)), None);
        }
        for none in ["", "ann", "AAAA", "bm9ib2R5IHdhcyBnaXZlbiB0aGlz", "!"] {
            assert_eq!(read("ListUsers", none), None, "{none}");
        }
    }
}
