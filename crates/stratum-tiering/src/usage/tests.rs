use super::*;
use crate::content::{ContentClass, Shrinks};

const NOW: u64 = 1_700_000_000_000;
const WHOLE: Read = Read { bytes: 4_096, offset: 0, size: 4_096 };
const MEMORY: usize = 4 << 20;

fn usage() -> Usage {
    Usage::new(MEMORY, Day::REAL, Seed([9; 16]))
}

#[test]
fn a_read_counts_for_the_object_and_its_group() {
    let usage = usage();
    usage.record(1, "a/b", WHOLE, false, NOW);
    usage.record(1, "a/c", WHOLE, false, NOW + 1);
    let known = usage.of(1, "a/b");
    assert_eq!((known.own.unwrap().reads(), known.group.unwrap().reads(), &*known.prefix), (1, 2, ""));
    let sibling = usage.of(1, "a/d");
    assert_eq!((sibling.own, sibling.group.unwrap().last()), (None, Some(NOW + 1)));
    assert_eq!(usage.of(2, "a/b"), Known { own: None, group: None, prefix: String::new() });
}

#[test]
fn a_deleted_object_is_forgotten() {
    let usage = usage();
    usage.record(1, "k", WHOLE, false, NOW);
    usage.remove(1, "k");
    usage.remove(1, "never there");
    assert_eq!((usage.of(1, "k").own, usage.status().objects), (None, 0));
}

#[test]
fn what_is_read_below_hot_wakes_and_so_does_a_spike() {
    let usage = usage();
    usage.record(1, "cold", WHOLE, true, NOW);
    usage.record(1, "hot", WHOLE, false, NOW);
    assert_eq!(usage.take_woken(9), [(1, "cold".to_owned())]);
    (0..8).for_each(|read| usage.record(1, "hot", WHOLE, false, NOW + read));
    assert_eq!(usage.take_woken(9), []);
    (8..40).for_each(|read| usage.record(1, "hot", WHOLE, false, NOW + read));
    assert_eq!(usage.take_woken(9), [(1, "hot".to_owned())], "the tenth read, and once");
    assert_eq!((usage.status().woken, usage.status().dropped), (2, 0));
}

#[test]
fn memory_stays_bounded_and_what_is_forgotten_is_counted() {
    let usage = usage();
    let reads = 200_000u64;
    (0..reads).for_each(|key| usage.record(1, &format!("p/{key}/{key}"), WHOLE, false, NOW + key));
    let status = usage.status();
    assert!(status.bytes <= MEMORY + MEMORY / LOOKS_DIVISOR, "{status:?}");
    assert!(status.objects > 30_000 && status.forgotten > reads - status.objects as u64, "{status:?}");
}

#[test]
fn a_million_objects_fit_in_100_mib() {
    let usage = Usage::new(100 << 20, Day::REAL, Seed([9; 16]));
    let keys = 1_000_000u32;
    let seen = Seen { class: ContentClass::Video, shrinks: Shrinks::Hardly, confidence: 99 };
    (0..keys / 4).for_each(|key| usage.note_seen(1, &format!("{key:07}"), NOW, seen));
    (0..keys).for_each(|key| usage.record(1, &format!("{key:07}"), WHOLE, false, NOW));
    let status = usage.status();
    assert!(status.bytes <= 100 << 20 && status.objects >= 999_000, "{status:?}");
}
