//! The bytes of version 1 stay what they are: a body that was written once is read for ever.
//!
//! `fixtures/v1/frames` is a body with a coded frame, and a short one that didn't shrink. What zstd writes may differ
//! from one version of it to the next, and any of it can be read: if only the coded frame is written differently after
//! zstd changed, that is no change of the format. To write it anew: run this file's ignored test.

use crate::world::{FRAME, Stretch, decode, frames, plaintext};
use std::path::PathBuf;

const NOISE: usize = 70;

fn plain() -> Vec<u8> {
    plaintext(&[Stretch::Pattern(FRAME), Stretch::Noise(NOISE)])
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/frames")
}

#[test]
fn the_fixture_is_read() {
    let (plain, stored) = (plain(), std::fs::read(path()).unwrap());
    let length = plain.len() as u64;
    assert!(decode(&stored, length, 0..length, 1000) == Ok(plain));
}

#[test]
fn the_same_plaintext_gives_the_same_bytes() {
    assert!(frames(&plain()) == std::fs::read(path()).unwrap());
}

/// The page says these bytes.
#[test]
fn the_table_is_the_one_that_the_format_page_says() {
    let stored = std::fs::read(path()).unwrap();
    let (bodies, table) = stored.split_at(stored.len() - 2 * 8 - 32);
    let (coded, as_it_is) = bodies.split_at(bodies.len() - NOISE);
    assert_eq!(as_it_is, &plain()[FRAME..]);
    let entry = |codec: u8, frame: &[u8]| {
        let [low, high, ..] = (frame.len() as u32).to_le_bytes();
        [&[low, high, 0, codec][..], &crc32c::crc32c(frame).to_le_bytes()].concat()
    };
    let trailer =
        [&b"STRMtbl\n"[..], &[1, 0, 0, 0, 2, 0, 0, 0, 70, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0]].concat();
    let summed = [entry(2, coded), entry(0, as_it_is), trailer].concat();
    assert_eq!(table[..summed.len()], summed);
    assert_eq!(table[summed.len()..], crc32c::crc32c(&summed).to_le_bytes());
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    std::fs::write(path(), frames(&plain())).unwrap();
}
