use super::*;
use crate::content::{ContentClass, Seen, Shrinks};
use crate::signals::Read;
use crate::usage::accounts::{Account, AccountName};
use crate::usage::name::Seed;
use std::convert::Infallible;
use std::num::NonZeroU64;

const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;
const READ: Read = Read { bytes: 9, offset: 0, size: 9 };
const MEMORY: usize = 1 << 20;
const ACCOUNT: AccountName = AccountName { month: 660, bucket: 1 };

fn usage() -> Usage {
    Usage::new(MEMORY, Day::REAL, Seed([3; 16]))
}

fn changes(usage: &Usage, file: &mut Vec<u8>) -> Changes {
    usage
        .take_changes(|bytes| -> Result<(), Infallible> {
            file.extend(bytes);
            Ok(())
        })
        .unwrap()
}

fn reopened(file: &[u8], now: u64) -> (Usage, End) {
    Usage::from_file(file, MEMORY, Day::REAL, now).unwrap()
}

fn key(number: u32) -> String {
    format!("folder-{}/{number}", number % 7)
}

/// A use, and the file to which it was saved in three steps.
fn grown() -> (Usage, Vec<u8>) {
    let usage = usage();
    let mut file = usage.file_header();
    (0..3_000).for_each(|number| usage.record(1, &key(number), READ, false, NOW + u64::from(number)));
    assert_eq!(changes(&usage, &mut file), Changes::Told);
    usage.record(1, &key(5), READ, false, NOW + DAY);
    usage.remove(1, &key(6));
    changes(&usage, &mut file);
    usage.charge(ACCOUNT, Account { saved: 3.0, spent: 1.0 });
    usage.charge(ACCOUNT, Account { saved: 0.5, spent: 0.0 });
    let seen = Seen { class: ContentClass::Video, shrinks: Shrinks::Hardly, confidence: 97 };
    (0..500).for_each(|number| usage.note_seen(1, &key(number), NOW, seen));
    changes(&usage, &mut file);
    usage.note_seen(1, &key(7), NOW + DAY, Seen { class: ContentClass::Log, ..seen });
    usage.remove(1, &key(8));
    changes(&usage, &mut file);
    (usage, file)
}

fn assert_alike(one: &Usage, other: &Usage) {
    for number in 0..3_000 {
        assert_eq!(one.of(1, &key(number)), other.of(1, &key(number)), "{number}");
        for written in [NOW, NOW + DAY] {
            let (one, other) = (one.seen(1, &key(number), written), other.seen(1, &key(number), written));
            assert_eq!(one, other, "{number}");
        }
    }
    assert_eq!(one.account(ACCOUNT), other.account(ACCOUNT));
    assert_eq!((one.status().objects, one.status().groups), (other.status().objects, other.status().groups));
}

#[test]
fn the_start_of_counting_comes_back_but_never_lies_in_the_future() {
    let usage = usage();
    assert_eq!([usage.counted_since(NOW), usage.counted_since(NOW + DAY)], [NOW; 2]);
    let file = usage.file_header();
    assert_eq!(reopened(&file, NOW + 9 * DAY).0.counted_since(NOW + 9 * DAY), NOW);
    // The clock is behind.
    assert_eq!(reopened(&file, NOW - DAY).0.counted_since(NOW), NOW - DAY);
    let other_day = Day::new(NonZeroU64::new(1_000).unwrap());
    let (other, _) = Usage::from_file(&file, MEMORY, other_day, NOW).unwrap();
    assert_eq!(other.counted_since(NOW + DAY), NOW + DAY, "what another day counted is left out");
}

#[test]
fn what_is_known_comes_back() {
    let (usage, file) = grown();
    let (back, end) = reopened(&file, NOW + DAY);
    assert_eq!(end, End::Whole);
    assert_alike(&usage, &back);
    assert_eq!(back.of(1, &key(5)).own.unwrap().reads(), 2);
    assert_eq!((back.of(1, &key(6)).own, back.account(ACCOUNT).saved), (None, 3.5));
    let class = |number, written| back.seen(1, &key(number), written).own.map(|seen| seen.class);
    assert_eq!((class(7, NOW + DAY), class(7, NOW)), (Some(ContentClass::Log), None));
    assert_eq!((class(8, NOW), class(9, NOW)), (None, Some(ContentClass::Video)));
}

#[test]
fn only_what_changed_is_written_and_a_file_written_anew_says_the_same() {
    let (usage, _) = grown();
    let mut more = Vec::new();
    changes(&usage, &mut more);
    assert!(more.is_empty(), "{}", more.len());
    usage.record(1, &key(9), READ, false, NOW + DAY);
    changes(&usage, &mut more);
    assert!((100..1_000).contains(&more.len()), "{}", more.len());
    usage.mark_all();
    let mut anew = usage.file_header();
    changes(&usage, &mut anew);
    assert!(anew.len() as u64 <= usage.file_bytes() + 1_000, "{} {}", anew.len(), usage.file_bytes());
    assert_alike(&usage, &reopened(&anew, NOW + DAY).0);
}

#[test]
fn a_file_cut_anywhere_opens_with_its_whole_batches() {
    let (_, file) = grown();
    for length in (HEADER_BYTES..file.len()).step_by(997) {
        let (back, end) = reopened(&file[..length], NOW);
        assert!(matches!(end, End::Torn | End::Whole), "{length}");
        assert!(back.status().objects <= 3_000);
    }
    let zeros = [file.as_slice(), &[0; 500]].concat();
    assert_eq!(reopened(&zeros, NOW).1, End::Torn);
}

#[test]
fn damage_is_told_and_the_batches_before_it_count() {
    let (_, mut file) = grown();
    let last = file.len() - 1;
    file[last] ^= 1;
    assert_eq!(reopened(&file, NOW).1, End::Torn, "the last batch");
    let place = file.len() / 2;
    file[place] ^= 1;
    let (back, end) = reopened(&file, NOW);
    assert_eq!(end, End::Damaged);
    assert!((1..3_000).contains(&back.status().objects));
    for place in 0..HEADER_BYTES {
        let mut file = file.clone();
        file[place] ^= 1;
        assert_eq!(
            Usage::from_file(&file, MEMORY, Day::REAL, NOW).unwrap_err(),
            HeadError::Damaged,
            "{place}"
        );
    }
    assert_eq!(Usage::from_file(b"", MEMORY, Day::REAL, NOW).unwrap_err(), HeadError::Damaged);
}

#[test]
fn a_later_version_is_named() {
    let mut file = usage().file_header();
    file[8] = 2;
    let crc = crc32c::crc32c(&file[..12]).to_le_bytes();
    file[12..16].copy_from_slice(&crc);
    assert_eq!(Usage::from_file(&file, MEMORY, Day::REAL, NOW).unwrap_err(), HeadError::UnknownVersion(2));
}

#[test]
fn more_gone_entries_than_are_kept_have_the_file_rewritten() {
    let usage = usage();
    (0..200_000).for_each(|number| usage.record(1, &key(number), READ, false, NOW));
    let mut file = usage.file_header();
    assert_eq!(changes(&usage, &mut file), Changes::TooMany);
    usage.mark_all();
    let mut file = usage.file_header();
    assert_eq!(changes(&usage, &mut file), Changes::Told);
    assert_eq!(reopened(&file, NOW).0.status().objects, usage.status().objects);
}

#[test]
fn a_file_from_the_future_makes_nothing_idle_and_a_read_sets_it_right() {
    let usage = usage();
    usage.record(1, "k", READ, false, NOW + 3_000 * DAY);
    let mut file = usage.file_header();
    changes(&usage, &mut file);
    let (back, _) = reopened(&file, NOW);
    let known = back.of(1, "k");
    assert!(known.own.unwrap().daily_reads(2, NOW, Day::REAL) > 0.0);
    back.record(1, "k", READ, false, NOW);
    assert_eq!(back.of(1, "k").own.unwrap().last(), Some(NOW));
    // A clock that was behind at the start and is corrected later hasn't made anything older.
    let (behind, _) = reopened(&file, 0);
    assert_eq!(behind.of(1, "k").own.unwrap().last(), Some(NOW + 3_000 * DAY));
}

#[test]
fn another_length_of_the_day_keeps_only_the_accounts() {
    let (_, file) = grown();
    let day = Day::new(NonZeroU64::new(10_000).unwrap());
    let (back, _) = Usage::from_file(&file, MEMORY, day, NOW).unwrap();
    assert_eq!((back.status().objects, back.account(ACCOUNT).saved), (0, 3.5));
}
