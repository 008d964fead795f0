//! What goes in comes out, whole and in ranges, whatever pieces it travels in.

use crate::world::{COMPRESSIONS, FRAME, Stretch, decode, encode, encode_so, frames, plaintext, stretches};
use proptest::prelude::*;
use std::sync::Arc;
use stratum_frames::{Cipher, Decoder, Form, FrameError, Table};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_range_of_any_plaintext(
        stretches in stretches(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        pieces in (1usize..300_000, 1usize..300_000),
        compression in prop::sample::select(&COMPRESSIONS),
    ) {
        let plain = plaintext(&stretches);
        let length = plain.len() as u64;
        let (form, stored) = encode_so(compression, &plain, pieces.0);
        if form == Form::Plaintext {
            prop_assert_eq!(stored, plain);
            return Ok(());
        }
        prop_assert!(stored.len() < plain.len() + 4 * 8 + 32);
        let whole = decode(&stored, length, 0..length, pieces.1);
        prop_assert_eq!(whole.as_ref(), Ok(&plain));
        let (from, to) = (from.index(plain.len() + 1), to.index(plain.len() + 1));
        let range = from.min(to)..from.max(to);
        let part = decode(&stored, length, range.start as u64..range.end as u64, pieces.1);
        prop_assert_eq!(part.as_deref(), Ok(&plain[range]));
    }

    #[test]
    fn pieces_leave_no_trace(stretches in stretches(), piece in 1usize..300_000) {
        let plain = plaintext(&stretches);
        prop_assert_eq!(encode(&plain, piece), encode(&plain, plain.len()));
    }
}

#[test]
fn what_does_not_shrink_stays_as_it_is() {
    let noise = plaintext(&[Stretch::Noise(2 * FRAME + 1)]);
    assert!(encode(&noise, FRAME) == (Form::Plaintext, noise));
    assert_eq!(encode(&[], 1), (Form::Plaintext, Vec::new()));
    let half = plaintext(&[Stretch::Noise(FRAME), Stretch::Pattern(FRAME)]);
    let stored = frames(&half);
    assert!(stored[..FRAME] == half[..FRAME] && stored.len() < FRAME + FRAME / 50);
}

#[test]
fn a_range_needs_the_stored_bytes_of_its_frames_only() {
    let plain = plaintext(&[Stretch::Noise(FRAME), Stretch::Pattern(FRAME), Stretch::Noise(FRAME)]);
    let stored = frames(&plain);
    let (plaintext, length) = (plain.len() as u64, stored.len() as u64);
    let place = Table::place(plaintext, length, Cipher::None).unwrap();
    let table = Table::decode(&stored[place.start as usize..], plaintext, length, Cipher::None).unwrap();
    let (table, frame) = (Arc::new(table), FRAME as u64);
    let needed = |range| Decoder::new(table.clone(), range, None).unwrap().stored();
    let middle = needed(frame..frame + 1);
    assert_eq!(middle.start, frame);
    assert!(middle.end < frame + 10_000);
    assert_eq!(needed(frame - 1..frame + 1), 0..middle.end);
    assert_eq!(needed(2 * frame + 5..2 * frame + 6), middle.end..middle.end + frame);
    assert_eq!(needed(7..7), 0..0);
    let beyond = Decoder::new(table.clone(), 0..3 * frame + 1, None);
    assert_eq!(beyond.map(|_| ()), Err(FrameError::Range(3 * frame)));
}

#[test]
fn stored_bytes_that_end_early_are_told() {
    let plain = plaintext(&[Stretch::Pattern(FRAME), Stretch::Noise(100)]);
    let stored = frames(&plain);
    let (plaintext, length) = (plain.len() as u64, stored.len() as u64);
    let place = Table::place(plaintext, length, Cipher::None).unwrap();
    let table = Table::decode(&stored[place.start as usize..], plaintext, length, Cipher::None).unwrap();
    let mut decoder = Decoder::new(Arc::new(table), 0..plaintext, None).unwrap();
    let end = place.start as usize;
    decoder.push(stored[..end - 50].to_vec().into());
    assert_eq!(decoder.next_plaintext().unwrap().unwrap().len(), FRAME);
    assert!(!decoder.is_ready());
    assert_eq!(decoder.next_plaintext(), Ok(None));
    assert_eq!(decoder.stored(), place.start - 50..place.start);
    assert_eq!(decoder.finish(), Err(FrameError::CutOff(1)));
}
