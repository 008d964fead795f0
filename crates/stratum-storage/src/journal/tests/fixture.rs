//! The bytes of version 1 stay what they are: a journal that was written once is read for ever, and written the same.
//!
//! `fixtures/v1/journal` holds the three segments of a member of a `1+1` journal over three drives: epoch 1's first,
//! which was closed (its set has a drive more than the one before); its second, which a crash left open; and epoch 2's
//! first, which begins with a copy of the last group. To write them anew, for a format that isn't released yet: run
//! this file's ignored test.

use super::*;
use crate::drive::OpenHow;
use crate::journal::format::{
    Epoch, GROUPS_AT, Head, Header, SegmentKey, SegmentKind, encode_footer, encode_group, encode_opened,
};
use std::path::PathBuf;

const NAMES: [&str; 3] = ["segment-0000", "segment-0001", "segment-0002"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/journal")
}

fn entry(number: u8, command: usize, body: usize) -> NewEntry {
    NewEntry { command: vec![number; command], body: vec![!number; body].into() }
}

/// The groups in their order: bodies and none, lengths that need padding and that don't.
fn groups() -> [Vec<NewEntry>; 4] {
    [
        vec![entry(1, 7, 4)],
        vec![entry(2, 16, 0), entry(3, 1, 1000), entry(4, 300, 8)],
        vec![entry(5, 9, 100), entry(6, 0, 1)],
        vec![entry(7, 24, 0)],
    ]
}

fn header(number: u64, sequence: u64, kind: SegmentKind, before: Head, head: Head) -> Header {
    let ids = |ids: &[u128]| ids.iter().copied().map(DriveId).collect();
    let epoch = Epoch {
        number,
        run: (0xabcd << 64) + u128::from(number),
        m: 1,
        members: ids(&[100, 101]),
        set: ids(&[100, 101, 102]),
        previous: if number == 1 { ids(&[100, 101]) } else { ids(&[100, 101, 102]) },
        head,
    };
    Header { epoch, sequence, kind, before, floor: 1 }
}

/// A segment's bytes, written one thing after the other.
struct SegmentBytes {
    key: SegmentKey,
    bytes: Vec<u8>,
    head: Head,
}

impl SegmentBytes {
    fn begin(header: &Header) -> SegmentBytes {
        let mut bytes = header.encode().expect("it fits").to_vec();
        match header.kind {
            SegmentKind::First => bytes.extend_from_slice(&encode_opened(header.key())),
            SegmentKind::Later => bytes.resize(GROUPS_AT as usize, 0),
        }
        SegmentBytes { key: header.key(), bytes, head: header.before }
    }

    fn group(mut self, entries: &[NewEntry]) -> SegmentBytes {
        let group = encode_group(self.key, self.bytes.len() as u64, self.head, entries);
        group.bufs.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
        self.head = group.last(self.head);
        self
    }

    fn closed(mut self) -> SegmentBytes {
        let footer = encode_footer(self.key, self.bytes.len() as u64, self.head);
        self.bytes.extend_from_slice(&footer);
        self
    }
}

fn written() -> [SegmentBytes; 3] {
    let [one, two, three, four] = groups();
    let none = Head::default();
    let first =
        SegmentBytes::begin(&header(1, 1, SegmentKind::First, none, none)).group(&one).group(&two).closed();
    let later = SegmentBytes::begin(&header(1, 2, SegmentKind::Later, first.head, none)).group(&three);
    let reopened = header(2, 3, SegmentKind::First, first.head, later.head);
    let reopened = SegmentBytes::begin(&reopened).group(&three).group(&four);
    [first, later, reopened]
}

fn fixture() -> [Vec<u8>; 3] {
    NAMES.map(|name| std::fs::read(folder().join(name)).expect("the fixture is there"))
}

/// Three disks, of which the two members hold these segments.
fn holding(segments: &[Vec<u8>; 3]) -> World {
    let mut world = World::new(3, 1, 5);
    for disk in &world.disks[..2] {
        let io = disk.attach();
        io.create_dir("journal").expect("it is made");
        for (name, bytes) in NAMES.iter().zip(segments) {
            let file = io.open(&format!("journal/{name}"), OpenHow::CreateNew).expect("it is made");
            file.write_at(&[bytes], 0).expect("it is written");
        }
    }
    let known =
        |entry: NewEntry| Known { hash: EntryHash::default(), command: entry.command, body: entry.body };
    world.known = groups().into_iter().flatten().map(known).collect();
    world
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    for ((name, segment), fixture) in NAMES.into_iter().zip(written()).zip(fixture()) {
        let differs = fixture.iter().zip(&segment.bytes).position(|(fixture, now)| fixture != now);
        assert_eq!(
            (differs, fixture.len()),
            (None, segment.bytes.len()),
            "{name} differs from this offset on"
        );
    }
}

#[test]
fn the_fixture_is_read() {
    for absent in [&[][..], &[0], &[1], &[2]] {
        let mut world = holding(&fixture());
        let journal = world.open(absent);
        assert_eq!((journal.first(), journal.last().0), (1, 7), "{absent:?}");
        assert_eq!(journal.last().1, written()[2].head.hash);
        world.append(&journal).expect("it goes on");
    }
}

#[test]
fn a_newer_one_is_refused() {
    let mut segments = fixture();
    let page = &mut segments[1];
    page[8] += 1;
    let check = crc32c::crc32c(&page[..12]);
    page[12..16].copy_from_slice(&check.to_le_bytes());
    let refused = holding(&segments).try_open(&[]).expect_err("it is refused").to_string();
    assert!(refused.contains("of version 2, and this binary knows version 1"), "{refused}");
}

#[test]
#[ignore = "writes the fixture; for a format that isn't released yet"]
fn write_the_fixture_anew() {
    std::fs::create_dir_all(folder()).expect("a folder");
    for (name, segment) in NAMES.into_iter().zip(written()) {
        std::fs::write(folder().join(name), segment.bytes).expect("a file");
    }
}
