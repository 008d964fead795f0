//! The bytes of version 1 stay what they are: a body that was written once is read for ever.
//!
//! `fixtures/v1/frames` is a body with a frame coded by zstd, and a short one that didn't shrink; `fixtures/v1/lz4` is
//! the same plaintext coded by lz4. What either writes may differ from one version of it to the next, and any of it can
//! be read: if only the coded frame is written differently after a library changed, that is no change of the format. To
//! write them anew: run this file's ignored test.

use crate::world::{FRAME, Stretch, decode, frames_of, plaintext};
use std::path::PathBuf;
use stratum_frames::Compression;

const NOISE: usize = 70;

fn plain() -> Vec<u8> {
    plaintext(&[Stretch::Pattern(FRAME), Stretch::Noise(NOISE)])
}

/// Each fixture, the codec of its first frame, and how it was coded.
fn fixtures() -> [(&'static str, u8, Compression); 2] {
    [("lz4", 1, Compression::Lz4), ("frames", 2, Compression::default())]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(name)
}

#[test]
fn the_fixtures_are_read() {
    for (name, ..) in fixtures() {
        let (plain, stored) = (plain(), std::fs::read(path(name)).unwrap());
        let length = plain.len() as u64;
        assert!(decode(&stored, length, 0..length, 1000) == Ok(plain), "{name}");
    }
}

#[test]
fn the_same_plaintext_gives_the_same_bytes() {
    for (name, _, compression) in fixtures() {
        assert!(frames_of(compression, &plain()) == std::fs::read(path(name)).unwrap(), "{name}");
    }
}

/// The page says these bytes.
#[test]
fn the_table_is_the_one_that_the_format_page_says() {
    for (name, codec, _) in fixtures() {
        is_as_the_format_page_says(codec, &std::fs::read(path(name)).unwrap());
    }
}

fn is_as_the_format_page_says(codec: u8, stored: &[u8]) {
    let (bodies, table) = stored.split_at(stored.len() - 2 * 8 - 32);
    let (coded, as_it_is) = bodies.split_at(bodies.len() - NOISE);
    assert_eq!(as_it_is, &plain()[FRAME..]);
    let entry = |codec: u8, frame: &[u8]| {
        let [low, high, ..] = (frame.len() as u32).to_le_bytes();
        [&[low, high, 0, codec][..], &crc32c::crc32c(frame).to_le_bytes()].concat()
    };
    let trailer =
        [&b"STRMtbl\n"[..], &[1, 0, 0, 0, 2, 0, 0, 0, 70, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0]].concat();
    let summed = [entry(codec, coded), entry(0, as_it_is), trailer].concat();
    assert_eq!(table[..summed.len()], summed);
    assert_eq!(table[summed.len()..], crc32c::crc32c(&summed).to_le_bytes());
}

#[test]
#[ignore = "writes the fixtures"]
fn write_the_fixtures() {
    for (name, _, compression) in fixtures() {
        std::fs::write(path(name), frames_of(compression, &plain())).unwrap();
    }
}
