//! The bytes: what is written is read, and nothing else is.

use super::*;
use crate::journal::format::{
    Epoch, GroupHead, Head, Header, HeaderPage, SegmentKey, SegmentKind, decode_footer, encode_footer,
    encode_group, encode_opened, is_opened,
};
use proptest::prelude::*;

fn key() -> SegmentKey {
    SegmentKey { epoch: 7, run: 0x1234_5678_9abc_def0, sequence: 42 }
}

fn header() -> Header {
    let ids = |ids: std::ops::Range<u128>| ids.map(DriveId).collect();
    let key = key();
    let epoch = Epoch {
        number: key.epoch,
        run: key.run,
        m: 2,
        members: ids(1..4),
        set: ids(0..6),
        previous: ids(0..7),
        head: Head { index: 99, hash: EntryHash(5) },
    };
    let before = Head { index: 90, hash: EntryHash(4) };
    Header { epoch, sequence: key.sequence, kind: SegmentKind::First, before, floor: 17 }
}

fn flat(bufs: &[Bytes]) -> Bytes {
    bufs.concat().into()
}

#[test]
fn headers_and_footers_come_back() {
    let page = header().encode().expect("it fits");
    assert_eq!(page.len(), 4096);
    assert_eq!(Header::decode(&page), HeaderPage::Header(Box::new(header())));
    let last = Head { index: 12, hash: EntryHash(34) };
    let footer = encode_footer(key(), 8192, last);
    assert_eq!(decode_footer(key(), 8192, &footer), Some(last));
    assert_eq!(decode_footer(key(), 8200, &footer), None, "not where it was written for");
    let opened = encode_opened(key());
    assert!(is_opened(key(), &opened));
    assert!(!is_opened(SegmentKey { run: 1, ..key() }, &opened), "not of this run");
}

#[test]
fn too_many_drives_do_not_fit() {
    let mut header = header();
    header.epoch.set = (0..200).map(DriveId).collect();
    assert_eq!(header.encode(), None);
}

#[test]
fn a_group_is_valid_only_where_it_was_written() {
    let before = Head { index: 3, hash: EntryHash(9) };
    let entries = [NewEntry { command: b"command".to_vec(), body: Bytes::from_static(b"body") }];
    let encoded = encode_group(key(), 8192, before, &entries);
    let bytes = flat(&encoded.bufs);
    let head = GroupHead::decode(&bytes).expect("a group");
    let rows = head.rows(key(), 8192, &bytes).expect("it is sound");
    assert_eq!(rows[0].hash, encoded.hashes[0]);
    assert_eq!(&bytes[rows[0].body.clone()], b"body");
    assert!(head.rows(key(), 8200, &bytes).is_none(), "another offset");
    let other = SegmentKey { sequence: 43, ..key() };
    assert!(head.rows(other, 8192, &bytes).is_none(), "another segment");
    // A copy elsewhere is the same entry.
    assert_eq!(encode_group(other, 4096, before, &entries).hashes, encoded.hashes);
}

proptest! {
    #[test]
    fn groups_come_back(entries in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..8), at in 0u64..1 << 25) {
        let entries: Vec<NewEntry> = entries
            .into_iter()
            .map(|(command, body)| NewEntry { command, body: body.into() })
            .collect();
        let before = Head { index: 5, hash: EntryHash(6) };
        let encoded = encode_group(key(), at, before, &entries);
        let bytes = flat(&encoded.bufs);
        prop_assert_eq!(bytes.len(), encoded.len);
        let head = GroupHead::decode(&bytes).expect("a group");
        let rows = head.rows(key(), at, &bytes.slice(..head.heads)).expect("it is sound");
        prop_assert_eq!(rows.len(), entries.len());
        for (place, (row, entry)) in rows.iter().zip(&entries).enumerate() {
            prop_assert_eq!(row.index, 6 + place as u64);
            prop_assert_eq!(row.hash, encoded.hashes[place]);
            prop_assert_eq!(&row.command, &entry.command);
            prop_assert_eq!(&bytes[row.body.clone()], &entry.body[..]);
            prop_assert_eq!(row.body.start as u32, encoded.bodies[place]);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = Header::decode(&bytes);
        let _ = is_opened(key(), &bytes);
        let _ = decode_footer(key(), 0, &bytes);
        if let Some(head) = GroupHead::decode(&bytes) {
            let _ = head.rows(key(), 0, &bytes.into());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed(bit in 0usize..4096 * 8) {
        let mut page = header().encode().expect("it fits").to_vec();
        page[bit / 8] ^= 1 << (bit % 8);
        // Bytes behind the ids are padding that nothing reads.
        let covered = 120 + 16 * 16;
        prop_assert_eq!(Header::decode(&page) == HeaderPage::Nothing, bit / 8 < covered);

        let entries = [NewEntry { command: vec![1; 100], body: vec![2; 40].into() }];
        let encoded = encode_group(key(), 0, Head::default(), &entries);
        let mut bytes = flat(&encoded.bufs).to_vec();
        let at = bit % (encoded.bodies[0] as usize * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let read = GroupHead::decode(&bytes).and_then(|head| head.rows(key(), 0, &bytes.into()));
        prop_assert!(read.is_none());
    }
}
