//! Listings against a naive one, which sorts everything, rolls it up and cuts it into pages.

use super::*;
use crate::command::Command;
use crate::machine::Entry;
use crate::record::{
    Attributes, Body, BucketRecord, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use crate::tree::Tree;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Place};

const BUCKET: BucketId = BucketId(7);

struct Filled {
    machine: Machine,
    _dir: tempfile::TempDir,
}

fn commands(keys: &BTreeSet<Vec<u8>>) -> Vec<Command> {
    let bucket = |id: u64| {
        let (name, owner, region) = (format!("bucket-{id}"), "owner".into(), "us-east-1".into());
        Command::CreateBucket(
            BucketRecord {
                id: BucketId(id),
                name,
                owner,
                created: 0,
                region,
                configuration: Default::default(),
            }
            .into(),
        )
    };
    let put = |bucket, key: &Vec<u8>| Command::PutObject {
        bucket,
        key: key.clone(),
        record: ObjectRecord {
            version: VersionId::NULL,
            modified: key.len() as u64,
            size: 0,
            etag: ETag::Md5([1; 16]),
            storage_class: StorageClass::StandardIa,
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(Place::Empty)),
            committed: 0,
            attributes: Attributes::default(),
        },
        condition: Default::default(),
    };
    let mut commands = vec![bucket(6), bucket(7), bucket(8)];
    commands.extend(keys.iter().map(|key| put(BUCKET, key)));
    // Objects of neighbouring buckets must never show.
    commands.extend([BucketId(6), BucketId(8)].map(|bucket| put(bucket, &b"a/stranger".to_vec())));
    commands
}

fn fill(commands: Vec<Command>) -> Filled {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let machine = Machine::open(tree, crate::stack::Below::Nothing, Arc::new(Simulated::new(0, 0))).unwrap();
    let entries = commands.into_iter().zip(1..).map(|(command, index): (Command, _)| Entry {
        index,
        hash: 0,
        proposed: command.into(),
    });
    machine.apply(entries.collect()).unwrap();
    Filled { machine, _dir: dir }
}

/// All lines of a listing: a key, or a common prefix.
fn naive(keys: &BTreeSet<Vec<u8>>, prefix: &[u8], delimiter: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut lines = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let at = (0..rest.len()).find(|at| !delimiter.is_empty() && rest[*at..].starts_with(delimiter));
        let line = match at {
            Some(at) => (true, key[..prefix.len() + at + delimiter.len()].to_vec()),
            None => (false, key.clone()),
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

fn line(listed: &Listed<ListedObject>) -> (bool, Vec<u8>) {
    match listed {
        Listed::Entry(object) => {
            assert_eq!(object.object.modified, object.key.len() as u64);
            assert_eq!(object.object.storage_class, StorageClass::StandardIa);
            (false, object.key.clone())
        }
        Listed::CommonPrefix(common) => (true, common.clone()),
    }
}

/// Lists page by page.
fn pages(machine: &Machine, prefix: &[u8], delimiter: &[u8], max: usize) -> Vec<(bool, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut from = Position::Start;
    loop {
        let delimiter = Some(delimiter.to_vec());
        let request =
            ListRequest { bucket: BUCKET, prefix: prefix.to_vec(), delimiter, from, max, owners: false };
        let page = objects(machine, &request).unwrap();
        assert!(page.entries.len() <= max);
        lines.extend(page.entries.iter().map(line));
        match page.next {
            Some(next) => {
                assert_eq!(page.entries.len(), max, "only a full page has a next one");
                from = next;
            }
            None => return lines,
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'/'), Just(b'a'), Just(b'b'), Just(0xff), Just(0), Just(1)];
    proptest::collection::vec(byte, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_those_of_a_naive_listing(
        keys in proptest::collection::btree_set(text().prop_filter("not empty", |key| !key.is_empty()), 0..40),
        questions in proptest::collection::vec((text(), proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'a'), Just(0xff)], 0..3), 1usize..7), 12),
    ) {
        let filled = fill(commands(&keys));
        for (prefix, delimiter, max) in questions {
            let expected = naive(&keys, &prefix, &delimiter);
            prop_assert_eq!(pages(&filled.machine, &prefix, &delimiter, max), expected);
        }
        prop_assert_eq!(pages(&filled.machine, b"", b"", 1), naive(&keys, b"", b""));
    }

    #[test]
    fn a_page_may_begin_anywhere(
        keys in proptest::collection::btree_set(text().prop_filter("not empty", |key| !key.is_empty()), 0..40),
        prefix in text(),
        marker in text(),
    ) {
        let filled = fill(commands(&keys));
        let list = |from| {
            let request = ListRequest { bucket: BUCKET, prefix: prefix.clone(), delimiter: None, from, max: 1_000, owners: false };
            objects(&filled.machine, &request).unwrap().entries.iter().map(line).collect::<Vec<_>>()
        };
        let all = naive(&keys, &prefix, b"");
        let after = all.iter().filter(|(_, key)| *key > marker).cloned().collect::<Vec<_>>();
        prop_assert_eq!(list(Position::After(marker.clone())), after);
        let past = all.into_iter().filter(|(_, key)| *key > marker && !key.starts_with(&marker));
        prop_assert_eq!(list(Position::Past(marker.clone())), past.collect::<Vec<_>>());
    }

    #[test]
    fn uploads_list_by_key_and_then_by_id(
        ids in proptest::collection::btree_set((text().prop_filter("not empty", |key| !key.is_empty()), 0u128..4), 0..30),
        prefix in text(),
        max in 1usize..5,
    ) {
        let mut all = commands(&BTreeSet::new());
        for (number, (key, _)) in ids.iter().enumerate() {
            all.push(create(key, UploadId(number as u128)));
        }
        let filled = fill(all);
        let expected = ids.iter().enumerate().filter(|(_, (key, _))| key.starts_with(&prefix));
        let expected: Vec<_> = expected.map(|(number, (key, _))| (key.clone(), UploadId(number as u128))).collect();
        let (mut found, mut from) = (Vec::new(), UploadPosition::Start);
        loop {
            let request =
                UploadsRequest { bucket: BUCKET, prefix: prefix.clone(), delimiter: None, from, max };
            let page = uploads(&filled.machine, &request).unwrap();
            for listed in page.entries {
                let Listed::Entry(upload) = listed else { panic!("no delimiter, no prefixes") };
                found.push((upload.key, upload.upload));
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
    }
}

fn create(key: &[u8], upload: UploadId) -> Command {
    let record = UploadRecord {
        bucket: BUCKET,
        key: key.to_vec(),
        initiated: 0,
        initiator: "owner".into(),
        storage_class: StorageClass::Standard,
        headers: ObjectHeaders::default(),
        checksum: None,
        attributes: Attributes::default(),
    };
    Command::CreateUpload { upload, record, expires: 1 }
}

#[test]
fn uploads_roll_up_and_resume_past_a_key_or_a_prefix() {
    let mut all = commands(&BTreeSet::new());
    for (number, key) in ["a/1", "a/2", "b", "b", "c"].iter().enumerate() {
        all.push(create(key.as_bytes(), UploadId(number as u128)));
    }
    let filled = fill(all);
    let list = |from| {
        let (prefix, delimiter) = (Vec::new(), Some(b"/".to_vec()));
        let request = UploadsRequest { bucket: BUCKET, prefix, delimiter, from, max: 9 };
        let page = uploads(&filled.machine, &request).unwrap();
        let line = |listed: Listed<ListedUpload>| match listed {
            Listed::CommonPrefix(common) => String::from_utf8(common).unwrap(),
            Listed::Entry(upload) => format!("{}{}", String::from_utf8(upload.key).unwrap(), upload.upload.0),
        };
        page.entries.into_iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(list(UploadPosition::Start), ["a/", "b2", "b3", "c4"]);
    assert_eq!(list(UploadPosition::Past(b"a/".to_vec())), ["b2", "b3", "c4"]);
    assert_eq!(list(UploadPosition::AfterKey(b"b".to_vec())), ["c4"]);
    assert_eq!(list(UploadPosition::AfterUpload(b"b".to_vec(), UploadId(2))), ["b3", "c4"]);
}

#[test]
fn a_page_of_uploads_is_bounded_in_bytes_and_keeps_no_headers() {
    const HEADER: usize = 1 << 20;
    let mut all = commands(&BTreeSet::new());
    for number in 0..40u128 {
        let Command::CreateUpload { upload, mut record, expires } = create(b"key", UploadId(number)) else {
            panic!()
        };
        record.headers.user.insert("long".into(), "x".repeat(HEADER));
        all.push(Command::CreateUpload { upload, record, expires });
    }
    let filled = fill(all);
    let (mut found, mut pages, mut from) = (Vec::new(), Vec::new(), UploadPosition::Start);
    loop {
        let request = UploadsRequest { bucket: BUCKET, prefix: vec![], delimiter: None, from, max: 1_000 };
        let page = uploads(&filled.machine, &request).unwrap();
        pages.push(page.entries.len());
        for listed in page.entries {
            let Listed::Entry(ListedUpload { upload, record, .. }) = listed else { panic!() };
            assert_eq!(record.initiator, "owner");
            found.push(upload);
        }
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(found, (0..40).map(UploadId).collect::<Vec<_>>());
    assert_eq!(pages, [PAGE_BYTES / HEADER, PAGE_BYTES / HEADER, 40 - 2 * PAGE_BYTES / HEADER]);
}

#[test]
fn a_page_of_none_is_empty_and_whole() {
    let filled = fill(commands(&[b"a".to_vec()].into()));
    let request = ListRequest {
        bucket: BUCKET,
        prefix: vec![],
        delimiter: None,
        from: Position::Start,
        max: 0,
        owners: false,
    };
    assert_eq!(objects(&filled.machine, &request).unwrap(), Page { entries: vec![], next: None });
}
