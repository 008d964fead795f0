//! The directory at the end of a packed stripe: who owns each body, and where it begins.
//!
//! The records of the metadata say the same from the other side. The directory lets the owners of a stripe be found
//! without scanning all records, and lets a delete leave the stripe as it is.

use super::{FormatError, u16_at, u32_at};

/// Entries of a directory, at most: one `Relocate` carries them all, and a command's size is bounded.
pub const MAX_ENTRIES: usize = 1024;
/// The longest owner: an object key of 1024 bytes and what goes with it.
pub const MAX_OWNER_BYTES: usize = 2048;

const MAGIC: &[u8; 4] = b"Sdir";
const TAIL_BYTES: usize = 16;
const ENTRY_BYTES: usize = 14;

/// One body of a packed stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the body begins in the stripe's payload.
    pub offset: u32,
    pub length: u32,
    pub crc32c: u32,
    /// Bytes that mean something to the metadata, at most [`MAX_OWNER_BYTES`].
    pub owner: Vec<u8>,
}

/// Bytes of a directory with no entries.
pub const fn empty_len() -> usize {
    TAIL_BYTES
}

/// Bytes that an entry adds.
pub fn entry_len(owner: &[u8]) -> usize {
    ENTRY_BYTES + owner.len()
}

/// Writes a directory, in the order of the bodies.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(TAIL_BYTES + entries.iter().map(|entry| entry_len(&entry.owner)).sum::<usize>());
    for entry in entries {
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.length.to_le_bytes());
        bytes.extend_from_slice(&entry.crc32c.to_le_bytes());
        bytes.extend_from_slice(&(entry.owner.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&entry.owner);
    }
    let length = bytes.len() as u32;
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads the directory of a stripe from its whole payload.
pub fn decode(payload: &[u8]) -> Result<Vec<Entry>, FormatError> {
    const WHAT: &str = "packed stripe's directory";
    let parse = || -> Option<Vec<Entry>> {
        let tail = payload.len().checked_sub(TAIL_BYTES)?;
        let length = u32_at(payload, tail + 8)? as usize;
        let begin = tail.checked_sub(length)?;
        let crc = crc32c::crc32c(payload.get(begin..tail + 12)?);
        let count = u32_at(payload, tail + 4)? as usize;
        if u32_at(payload, tail + 12)? != crc || payload.get(tail..tail + 4)? != MAGIC || count > MAX_ENTRIES
        {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        let mut at = begin;
        for _ in 0..count {
            let (entry, next) = entry_at(payload, at, begin, tail)?;
            entries.push(entry);
            at = next;
        }
        (at == tail).then_some(entries)
    };
    parse().ok_or(FormatError::Damaged { what: WHAT })
}

/// The entry at `at`, and where the next one begins; its body must end at `bodies` or before, the entry at `end` or
/// before.
fn entry_at(payload: &[u8], at: usize, bodies: usize, end: usize) -> Option<(Entry, usize)> {
    let owner_len = usize::from(u16_at(payload, at + 12)?);
    let next = at + ENTRY_BYTES + owner_len;
    let (offset, length) = (u32_at(payload, at)?, u32_at(payload, at + 4)?);
    if next > end || u64::from(offset) + u64::from(length) > bodies as u64 {
        return None;
    }
    let owner = payload.get(at + ENTRY_BYTES..next)?.to_vec();
    Some((Entry { offset, length, crc32c: u32_at(payload, at + 8)?, owner }, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(bodies: &[(Vec<u8>, Vec<u8>)]) -> (Vec<u8>, Vec<Entry>) {
        let mut payload = Vec::new();
        let mut entries = Vec::new();
        for (owner, body) in bodies {
            entries.push(Entry {
                offset: payload.len() as u32,
                length: body.len() as u32,
                crc32c: crc32c::crc32c(body),
                owner: owner.clone(),
            });
            payload.extend_from_slice(body);
        }
        payload.extend_from_slice(&encode(&entries));
        (payload, entries)
    }

    fn bodies() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        proptest::collection::vec((bytes(), bytes()), 0..20)
    }

    proptest! {
        #[test]
        fn a_directory_comes_back(bodies in bodies()) {
            let (payload, entries) = payload(&bodies);
            prop_assert_eq!(decode(&payload).unwrap(), entries);
        }

        #[test]
        fn damage_to_the_directory_is_never_accepted(bodies in bodies(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (mut payload, entries) = payload(&bodies);
            let begin = payload.len() - encode(&entries).len();
            let at = begin + at.index(payload.len() - begin);
            payload[at] ^= 1 << bit;
            prop_assert!(decode(&payload).is_err());
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_body_beyond_the_bodies_is_refused() {
        let bytes = encode(&[Entry { offset: 0, length: 5, crc32c: 0, owner: vec![] }]);
        assert!(decode(&bytes).is_err());
    }
}
