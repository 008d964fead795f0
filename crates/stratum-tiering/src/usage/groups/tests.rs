use super::*;
use std::collections::HashMap;

const NOW: u64 = 1_700_000_000_000;
const READ: Read = Read { bytes: 1, offset: 0, size: 1 };
const SEED: Seed = Seed([5; 16]);

fn read(groups: &mut Groups, bucket: u64, keys: impl IntoIterator<Item = String>) {
    for key in keys {
        groups.record(&SEED, SEED.name(bucket, &key), &key, READ, NOW, Day::REAL);
    }
}

/// The groups of keys that were each read twice, with how many of the keys each has.
fn grouped(bytes: usize, keys: &[String]) -> HashMap<String, usize> {
    let mut groups = Groups::within(bytes);
    (0..2).for_each(|_| read(&mut groups, 1, keys.iter().cloned()));
    let mut counts = HashMap::new();
    for key in keys {
        let (length, known) = groups.of(&SEED, 1, key);
        assert!(known.is_some(), "{key}");
        *counts.entry(key[..length].to_owned()).or_default() += 1;
    }
    counts
}

/// The size of the group to which the median object belongs.
fn usual(groups: &HashMap<String, usize>) -> usize {
    let mut sizes: Vec<usize> = groups.values().flat_map(|size| vec![*size; *size]).collect();
    sizes.sort_unstable();
    sizes[sizes.len() / 2]
}

#[test]
fn a_folder_with_enough_objects_is_a_group() {
    let keys: Vec<String> = ["logs", "video", "mail"]
        .iter()
        .flat_map(|folder| (0..300).map(move |n| format!("{folder}/{n}")))
        .collect();
    let groups = grouped(1 << 20, &keys);
    assert_eq!(groups, HashMap::from([("logs/".into(), 300), ("video/".into(), 300), ("mail/".into(), 300)]));
}

#[test]
fn small_buckets_are_one_group() {
    let keys: Vec<String> = (0..20).map(|n| format!("{n}/x")).chain((0..20).map(|n| n.to_string())).collect();
    assert_eq!(grouped(1 << 20, &keys), HashMap::from([(String::new(), 40)]));
}

#[test]
fn a_flat_namespace_is_split_by_its_names() {
    let numbers: Vec<String> = (0..200_000).map(|n| format!("img-{n:08}.jpg")).collect();
    let hashes: Vec<String> =
        (0..200_000u64).map(|n| format!("{:016x}", SEED.name(7, &n.to_string()).hash)).collect();
    for keys in [numbers, hashes] {
        let groups = grouped(2 << 20, &keys);
        assert!((50..=2_000).contains(&usual(&groups)), "{} {}", usual(&groups), groups.len());
    }
}

#[test]
fn dates_are_grouped_by_what_has_enough() {
    // Two years of a file each hour, in a folder for each day: a month has enough.
    let day = |n: u32| format!("{}/{:02}/{:02}", 2023 + n / 336, n % 336 / 28 + 1, n % 28 + 1);
    let keys: Vec<String> =
        (0..672).flat_map(|n| (0..24).map(move |hour| format!("{}/{hour:02}.log", day(n)))).collect();
    let groups = grouped(1 << 20, &keys);
    assert!((300..=1_400).contains(&usual(&groups)), "{groups:?}");
    assert!(groups.keys().all(|prefix| prefix.starts_with("202")), "{groups:?}");
}

#[test]
fn one_object_a_prefix_is_grouped_with_its_neighbours() {
    let keys: Vec<String> = (0..50_000).map(|n| format!("users/{n:06}/avatar.png")).collect();
    let groups = grouped(4 << 20, &keys);
    assert!((50..=2_000).contains(&usual(&groups)), "{} {}", usual(&groups), groups.len());
    assert!(groups.keys().all(|prefix| prefix.starts_with("users/0")), "{groups:?}");
}

#[test]
fn names_that_are_alike_for_long_are_one_group() {
    let long = "x".repeat(900);
    let keys: Vec<String> = (0..3_000).map(|n| format!("{long}{n}")).collect();
    let mut groups = Groups::within(1 << 20);
    (0..MOST_PREFIXES).for_each(|_| read(&mut groups, 1, keys.iter().cloned()));
    assert_eq!(groups.of(&SEED, 1, &keys[7]).0, MOST_PREFIXES);
}

#[test]
fn characters_of_many_bytes_are_not_cut() {
    let keys: Vec<String> =
        (0..5_000).map(|n| format!("é{}ü{n}", char::from_u32(0x4e00 + n % 50).unwrap())).collect();
    let groups = grouped(1 << 20, &keys);
    assert!(groups.len() > 1, "{groups:?}");
}

#[test]
fn a_prefix_that_was_split_still_stands_for_objects_that_were_not_read_since() {
    let mut groups = Groups::within(1 << 20);
    read(&mut groups, 1, (0..20_000).map(|n| format!("{n:05}")));
    let (length, known) = groups.of(&SEED, 1, "zebra");
    assert_eq!((length, known.unwrap().last()), (0, Some(NOW)));
}

#[test]
fn a_million_prefixes_push_out_no_other_buckets_groups() {
    let mut groups = Groups::within(200_000);
    read(&mut groups, 1, (0..300).map(|n| format!("mine/{n}")));
    read(&mut groups, 2, (0..100_000).map(|n| format!("{n}/{n}/x")));
    let (length, known) = groups.of(&SEED, 1, "mine/7");
    assert_eq!((length, known.is_some()), (5, true));
}

#[test]
fn the_same_reads_make_the_same_groups() {
    let keys: Vec<String> = (0..30_000).map(|n| format!("{}/{n}", n % 90)).collect();
    assert_eq!(grouped(300_000, &keys), grouped(300_000, &keys));
}
