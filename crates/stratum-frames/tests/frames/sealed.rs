//! Sealed bodies: what goes in comes out for whoever has the key, shows nothing to anybody else, and can't be changed
//! unnoticed.

use crate::world::{FRAME, Stretch, encode_so, key, noise, plaintext, sealed, stretches, unseal};
use proptest::prelude::*;
use std::path::PathBuf;
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{Coding, Compression, Form, FrameError, Seal};

/// Three frames, small enough to try every byte of: two that shrink, and a short one that doesn't.
fn body() -> (Vec<u8>, Vec<u8>) {
    let plain = plaintext(&[Stretch::Pattern(2 * FRAME), Stretch::Noise(70)]);
    let (form, stored) = encode_so(sealed(Some(Compression::default())), &plain, FRAME);
    assert_eq!(form, Form::Sealed);
    (plain, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_range_of_any_plaintext(
        stretches in stretches(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        pieces in (1usize..300_000, 1usize..300_000),
        is_compressed in any::<bool>(),
    ) {
        let plain = plaintext(&stretches);
        let length = plain.len() as u64;
        let compression = is_compressed.then(Compression::default);
        let (form, stored) = encode_so(sealed(compression), &plain, pieces.0);
        if plain.is_empty() {
            prop_assert_eq!((form, stored.len()), (Form::Plaintext, 0));
            return Ok(());
        }
        prop_assert_eq!(form, Form::Sealed);
        prop_assert!(stored.len() as u64 <= Seal::stored_bytes(length));
        if !is_compressed {
            prop_assert_eq!(stored.len() as u64, Seal::stored_bytes(length));
        }
        let whole = unseal(&stored, Some(&key()), length, 0..length, pieces.1);
        prop_assert_eq!(whole.as_ref(), Ok(&plain));
        let (from, to) = (from.index(plain.len() + 1), to.index(plain.len() + 1));
        let range = from.min(to)..from.max(to);
        let part = unseal(&stored, Some(&key()), length, range.start as u64..range.end as u64, pieces.1);
        prop_assert_eq!(part.as_deref(), Ok(&plain[range]));
    }

    #[test]
    fn pieces_leave_no_trace(stretches in stretches(), piece in 1usize..300_000) {
        let plain = plaintext(&stretches);
        prop_assert_eq!(encode_so(sealed(None), &plain, piece), encode_so(sealed(None), &plain, plain.len()));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), plaintext in any::<u64>(), small in any::<bool>()) {
        let plaintext = if small { plaintext % 1_000_000 } else { plaintext };
        prop_assert!(unseal(&bytes, Some(&key()), plaintext, 0..1.min(plaintext), FRAME).is_err());
    }
}

#[test]
fn every_bit_of_every_byte() {
    let (plain, stored) = body();
    let length = plain.len() as u64;
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(unseal(&damaged, Some(&key()), length, 0..length, FRAME).is_err(), "byte {at}");
    }
}

/// Whoever can write to the drives can mend checksums; without the key a frame can't be changed, exchanged or left out.
#[test]
fn frames_that_were_exchanged_or_cut_off_are_no_body() {
    // Of one content, so that the same frame stands at two places.
    let frame: Vec<u8> = noise(1, FRAME).collect();
    let plain = [&frame[..], &frame, &frame].concat();
    let (_, stored) = encode_so(sealed(None), &plain, FRAME);
    let length = plain.len() as u64;
    let one = FRAME + 16;
    let exchanged = [&stored[one..2 * one], &stored[..one], &stored[2 * one..]].concat();
    let mended = mend(exchanged, 3);
    assert_eq!(unseal(&mended, Some(&key()), length, 0..length, FRAME), Err(FrameError::Frame(0)));
    assert!(
        unseal(&mended, Some(&key()), length, 2 * FRAME as u64..length, FRAME)
            .is_ok_and(|last| last == frame)
    );

    let mut shorter = [&stored[..2 * one], &stored[3 * one..3 * one + 16], &stored[3 * one + 24..]].concat();
    let trailer = shorter.len() - 32;
    shorter[trailer + 12..trailer + 16].copy_from_slice(&2u32.to_le_bytes());
    shorter[trailer + 16..trailer + 24].copy_from_slice(&(2 * FRAME as u64).to_le_bytes());
    let shorter = mend(shorter, 2);
    let all = 0..2 * FRAME as u64;
    assert_eq!(unseal(&shorter, Some(&key()), all.end, all, FRAME), Err(FrameError::Frame(1)));
}

/// Makes the checksums of so many frames and of their table right.
fn mend(mut stored: Vec<u8>, frames: usize) -> Vec<u8> {
    let table = stored.len() - 32 - 32 - 8 * frames;
    let mut at = 0;
    for entry in (table..table + 8 * frames).step_by(8) {
        let length = u32::from_le_bytes([stored[entry], stored[entry + 1], stored[entry + 2], 0]) as usize;
        let crc = crc32c::crc32c(&stored[at..at + length]);
        stored[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
        at += length;
    }
    let end = stored.len() - 4;
    let crc = crc32c::crc32c(&stored[table..end]);
    stored[end..].copy_from_slice(&crc.to_le_bytes());
    stored
}

#[test]
fn another_key_opens_nothing_and_none_is_told() {
    let (plain, stored) = body();
    let length = plain.len() as u64;
    let other = DataKey::new([8; 32]);
    assert_eq!(unseal(&stored, Some(&other), length, 5..6, FRAME), Err(FrameError::Frame(0)));
    assert_eq!(unseal(&stored, None, length, 5..6, FRAME), Err(FrameError::NoKey));
}

#[test]
fn stored_bytes_show_no_plaintext_and_two_bodies_nothing_in_common() {
    let plain = b"nothing to be seen ".repeat(100);
    let stored = |salt: u8| {
        let seal = Some(Seal::new(&key(), Salt([salt; 32])));
        encode_so(Coding { compression: None, seal }, &plain, FRAME).1
    };
    let (one, other) = (stored(1), stored(2));
    assert!(!one.windows(8).any(|window| plain.windows(8).any(|plain| plain == window)));
    assert!(!one[..plain.len()].windows(8).any(|window| other.windows(8).any(|other| other == window)));
}

/// `fixtures/v1/sealed` is [`body`]. As with the other fixture, what zstd writes may change.
fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/sealed")
}

#[test]
fn the_fixture_is_read() {
    let (plain, stored) = (body().0, std::fs::read(path()).unwrap());
    let length = plain.len() as u64;
    assert!(unseal(&stored, Some(&key()), length, 0..length, 1000) == Ok(plain));
}

#[test]
fn the_same_plaintext_gives_the_same_bytes() {
    assert!(body().1 == std::fs::read(path()).unwrap());
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture_of_sealed_frames() {
    std::fs::write(path(), body().1).unwrap();
}
