//! Whatever happens to stored bytes, what comes out is what went in, or an error.

use crate::world::{COMPRESSIONS, FRAME, Stretch, decode, encode, frames_of, noise, plaintext, stretches};
use proptest::prelude::*;
use stratum_frames::{Compression, Form};

/// A body small enough to try every byte of, with a coded frame and one that is stored as it is.
fn body(compression: Compression) -> (Vec<u8>, Vec<u8>) {
    let plain = plaintext(&[Stretch::Pattern(FRAME), Stretch::Noise(70)]);
    let stored = frames_of(compression, &plain);
    assert!(stored.len() < 2000);
    (plain, stored)
}

#[test]
fn every_bit_of_every_byte() {
    for compression in COMPRESSIONS {
        let (plain, stored) = body(compression);
        let length = plain.len() as u64;
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut damaged = stored.clone();
                damaged[at] ^= 1 << bit;
                let read = decode(&damaged, length, 0..length, FRAME);
                assert!(read.is_err(), "{compression:?}, bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn every_shorter_and_longer_body() {
    let (plain, stored) = body(Compression::default());
    let length = plain.len() as u64;
    for end in 0..stored.len() {
        assert!(decode(&stored[..end], length, 0..length, FRAME).is_err(), "{end} bytes");
    }
    let longer = [&stored[..], &[0]].concat();
    assert!(decode(&longer, length, 0..length, FRAME).is_err());
    for other in [0, 1, length - 1, length + 1, length + FRAME as u64, u64::MAX] {
        assert!(decode(&stored, other, 0..1.min(other), FRAME).is_err(), "a body of {other} bytes");
    }
}

/// Damage in a frame that a range doesn't touch doesn't matter to it.
#[test]
fn a_range_is_read_though_another_frame_is_damaged() {
    let (plain, mut stored) = body(Compression::default());
    let length = plain.len() as u64;
    stored[10] ^= 1;
    assert!(decode(&stored, length, 5..6, FRAME).is_err());
    let last = FRAME as u64..length;
    assert_eq!(decode(&stored, length, last, FRAME).unwrap(), plain[FRAME..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_damage(
        stretches in stretches(),
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        length in 1usize..5000,
    ) {
        let plain = plaintext(&stretches);
        let (form, stored) = encode(&plain, FRAME);
        if form == Form::Plaintext {
            return Ok(());
        }
        let mut damaged = stored.clone();
        let at = at.index(damaged.len());
        for (byte, random) in damaged[at..].iter_mut().zip(noise(seed, length)) {
            *byte = random;
        }
        let read = decode(&damaged, plain.len() as u64, 0..plain.len() as u64, FRAME);
        prop_assert!(read.is_err() || damaged == stored && read == Ok(plain));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), plaintext in any::<u64>(), small in any::<bool>()) {
        let plaintext = if small { plaintext % 1_000_000 } else { plaintext };
        prop_assert!(decode(&bytes, plaintext, 0..1.min(plaintext), FRAME).is_err());
    }
}
