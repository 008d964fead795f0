//! Markers: where the next page of a list begins. An answer gives a marker, and the next request gives it back.
//!
//! A marker is a checksum of the action and of the last entry's name, and that name behind it. So a marker that was
//! made up, or that an answer to another action gave, is refused instead of being taken for a position in the list. A
//! marker whose entry has been deleted since still says where to go on. The checksum has no key: a marker keeps
//! nothing secret.

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

/// The name in a marker, if an answer to that action gave the marker.
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
    fn a_marker_is_read_by_its_own_action_alone_and_one_that_is_made_up_by_none() {
        for name in ["ann", "", "ü \0/?"] {
            assert_eq!(read("ListUsers", &write("ListUsers", name)).as_deref(), Some(name));
            assert_eq!(read("ListRoles", &write("ListUsers", name)), None);
        }
        for none in ["", "ann", "AAAA", "bm9ib2R5IHdhcyBnaXZlbiB0aGlz", "!"] {
            assert_eq!(read("ListUsers", none), None, "{none}");
        }
    }
}
