//! Proves that the stored bytes of every level stay the same: every kind of key, record and command, against
//! `fixtures/v1` and `v2`.
//!
//! The files are text, with a name and the bytes in hexadecimal on each line, so that a change of the format shows in
//! a diff. To write them anew, for a level that isn't released yet, run this file's ignored test.

mod commands;
mod keyed;
mod records;
mod values;

use crate::command::{
    BucketChange, Command, Deletion, IdentityChanges, IdentityWrite, LifecycleAction, Move, ObjectChange,
    Proposed,
};
use crate::keys::{self, DueKind};
use crate::record::*;
use commands::{commands, identity_changes};
use keyed::{keyed, keyed_since_2};
use records::records;
use std::fmt::Debug;
use std::path::PathBuf;
use stratum_storage::blob::{BlobRef, Place};
use values::{
    BUCKET, KEY, TIME, UPLOAD, attributes, bucket, identities, named, packed_at, upload, version_owner,
};

/// Reads bytes, and says whether the value is the expected one.
type Reads = Box<dyn Fn(&[u8]) -> Result<bool, DecodeError>>;

/// A stored value: its name, its bytes, and how they are read.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    reads: Reads,
}

fn sample<T: Migrate + PartialEq + Debug + 'static>(level: Level, name: &'static str, value: T) -> Sample {
    let bytes = encode(level, &value).unwrap();
    Sample { name, bytes, reads: Box::new(move |bytes| decode::<T>(bytes).map(|read| read == value)) }
}

/// A state for a checkpoint, without the key of what has been applied, which a checkpoint has in its header, and
/// without the kinds of keys that came after the checkpoint's fixture was written.
pub(crate) fn state() -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = records(Level::FIRST);
    let value = |name| records.iter().find(|record| record.name == name).unwrap().bytes.clone();
    let keyed = keyed().into_iter().skip(1).filter(|(name, ..)| *name != "last-part");
    keyed.map(|(_, key, record)| (key, value(record))).collect()
}

pub(crate) fn path(file: &str) -> PathBuf {
    path_of(Level::FIRST, file)
}

fn path_of(level: Level, file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/v{level}")).join(file)
}

fn lines<'a>(named: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    named.map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect()
}

/// The lines of a fixture, each with a name and bytes.
fn parsed(level: Level, file: &str) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path_of(level, file)).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name.to_owned(), hex.as_bytes().chunks(2).map(byte).collect()))
        .collect()
}

fn text_of_samples(samples: &[Sample]) -> String {
    lines(samples.iter().map(|sample| (sample.name, sample.bytes.as_slice())))
}

fn text_of_keys(level: Level) -> String {
    let mut all = keyed().to_vec();
    if level >= Level::SECOND {
        all.extend(keyed_since_2());
    }
    lines(all.iter().map(|(name, key, _)| (*name, key.as_slice())))
}

/// Checks that the bytes of that level haven't changed and can be read, and that bytes of an unknown level are
/// refused.
fn same_and_read_and_no_newer(level: Level, file: &str, samples: &[Sample]) {
    let stored = std::fs::read_to_string(path_of(level, file)).unwrap();
    assert_eq!(stored, text_of_samples(samples), "{file} of level {level} has changed");
    for ((name, mut bytes), sample) in parsed(level, file).into_iter().zip(samples) {
        assert_eq!((sample.reads)(&bytes), Ok(true), "{name}");
        bytes[0] = Level::NEWEST.number() + 1;
        let refused = (sample.reads)(&bytes).unwrap_err().to_string();
        assert_eq!(
            refused, "the record has level 3; this binary knows levels up to 2: use a newer one",
            "{name}"
        );
    }
}

/// Users and roles had no permissions boundary at first, at level 2, too. Servers of then wrote these records and
/// commands.
#[test]
fn what_was_written_before_boundaries_is_read() {
    fn without(record: IdentityRecord) -> IdentityRecord {
        let detail = match record.detail {
            IdentityDetail::User { groups, access_keys, .. } => {
                IdentityDetail::User { groups, access_keys, boundary: None }
            }
            other => other,
        };
        IdentityRecord { detail, ..record }
    }
    let [user, group, role] = identities().map(without);
    let write = |kind, name: &str, record: Option<&IdentityRecord>| IdentityWrite::Identity {
        kind,
        at: named(name),
        record: record.cloned(),
    };
    let mut changed = identity_changes();
    changed.writes[0] = write(IdentityKind::User, "Ann", Some(&user));
    let writes = vec![
        write(IdentityKind::Group, "Authors", None),
        write(IdentityKind::User, "Ann", Some(&user)),
        write(IdentityKind::User, "Ann", Some(&user)),
        write(IdentityKind::Group, "Writers", Some(&group)),
    ];
    let renamed = IdentityChanges { read: Some(299), key: None, writes };
    let proposed = |changes| Proposed::from(Command::ChangeIdentities(changes));
    let read = parsed(Level::SECOND, "before-boundaries");
    let bytes = |name| read.iter().find(|(found, _)| found == name).unwrap().1.as_slice();
    assert_eq!(decode(bytes("user")), Ok(user));
    assert_eq!(decode(bytes("role")), Ok(role));
    assert_eq!(Proposed::decode(bytes("change-identities")), Ok(proposed(changed)));
    assert_eq!(Proposed::decode(bytes("rename-group")), Ok(proposed(renamed)));
    // No record is cut where a field ends but before the boundary, so a shorter one is damaged.
    for name in ["user", "role"] {
        let cut = &bytes(name)[..bytes(name).len() - 1];
        assert!(matches!(decode::<IdentityRecord>(cut), Err(DecodeError::Damaged(_))), "{name}");
    }
}

/// Commands had no notice at first, at level 2, too, and what they made of buckets, deletions and volumes ended earlier.
/// Servers of then wrote these commands and records.
#[test]
fn what_was_written_before_notices_is_read() {
    let level = Level::SECOND;
    let samples_of = |name: &str| match name.strip_prefix("record-") {
        Some(record) => (record.to_owned(), records(level)),
        None => (name.to_owned(), commands(level)),
    };
    for (name, bytes) in parsed(level, "before-notices") {
        let (named, samples) = samples_of(&name);
        let sample = samples.iter().find(|sample| sample.name == named).unwrap();
        assert_ne!(bytes, sample.bytes, "{name}");
        assert_eq!((sample.reads)(&bytes), Ok(true), "{name}");
        // Of a command that is cut, or has something behind it, nothing is known.
        if named == name {
            let (cut, longer) = (&bytes[..bytes.len() - 1], [&bytes[..], &[0, 0]].concat());
            for damaged in [cut, longer.as_slice()] {
                assert!(!matches!((sample.reads)(damaged), Ok(true)), "{name}");
            }
        }
    }
}

const LEVELS: [Level; 2] = [Level::FIRST, Level::SECOND];

#[test]
fn records_are_the_bytes_that_they_were() {
    LEVELS.into_iter().for_each(|level| same_and_read_and_no_newer(level, "records", &records(level)));
}

#[test]
fn commands_are_the_bytes_that_they_were() {
    LEVELS.into_iter().for_each(|level| same_and_read_and_no_newer(level, "commands", &commands(level)));
}

#[test]
fn keys_are_the_bytes_that_they_were() {
    for level in LEVELS {
        let stored = std::fs::read_to_string(path_of(level, "keys")).unwrap();
        assert_eq!(stored, text_of_keys(level), "the keys of level {level} have changed");
    }
    let read = parsed(Level::SECOND, "keys");
    let key = |name| read.iter().find(|(found, _)| found == name).unwrap().1.as_slice();
    assert_eq!(keys::parse_deleted_bucket(key("deleted-bucket")), Some(BUCKET));
    assert_eq!(keys::parse_upload_by_key(key("upload-by-key")), Some((KEY.into(), UPLOAD)));
    assert_eq!(keys::parse_dropped(key("dropped")), Some(UPLOAD));
    assert_eq!(keys::parse_offset(key("extent")), Some(4096));
    assert_eq!(keys::parse_offset(key("stripe")), Some(8192));
    assert_eq!(keys::parse_version(key("version")), Some((BUCKET, KEY.into(), 299)));
    assert!(key("delete-marker") < key("version"), "the newest comes first");
    assert_eq!(keys::parse_identity(key("user")), Some((IdentityKind::User, named("ANN"))));
    assert_eq!(keys::parse_managed_policy(key("managed-policy")), Some(named("readers")));
    assert_eq!(keys::parse_due(key("due-upload")), Some((DueKind::Upload, UPLOAD)));
    assert_eq!(keys::parse_due(key("due-completion")), Some((DueKind::Completion, UPLOAD)));
}

/// A value that only a state of level 2 can hold is refused at level 1, rather than stored incompletely.
#[test]
fn what_takes_level_2_is_not_written_at_level_1() {
    fn is_refused<T: Migrate>(value: &T) {
        assert_eq!(encode(Level::FIRST, value), Err(TakesLevel(Level::SECOND)));
    }
    let configuration =
        BucketConfiguration { versioning: Some(Versioning::Enabled), ..BucketConfiguration::default() };
    is_refused(&BucketRecord { configuration, ..bucket() });
    let record = UploadRecord { attributes: attributes(), ..upload() };
    is_refused(&Proposed::from(Command::CreateUpload {
        upload: UPLOAD,
        record: record.clone(),
        expires: TIME,
    }));
    is_refused(&StoredUpload { record, expires: TIME });
    is_refused(&ExtentRecord { owner: version_owner(), length: 5 });
    let to = BlobRef::plain(Place::Packed(packed_at()));
    let moves = vec![Move { owner: version_owner(), from: to.clone(), to }];
    is_refused(&Proposed::from(Command::Relocate { stripe: None, moves }));
    let version = Some(VersionId(299));
    let deletion = Deletion { version, ..Deletion::of(BUCKET, KEY.to_vec(), TIME) };
    is_refused(&Proposed::from(Command::DeleteObject(deletion)));
    let change = BucketChange::Versioning(Versioning::Enabled);
    is_refused(&Proposed::from(Command::ConfigureBucket { bucket: BUCKET, change }));
    let change = ObjectChange::Tags(None);
    is_refused(&Proposed::from(Command::ConfigureObject {
        bucket: BUCKET,
        key: KEY.to_vec(),
        version,
        change,
    }));
    let action = LifecycleAction::Delete(Deletion::of(BUCKET, KEY.to_vec(), TIME));
    is_refused(&Proposed::from(Command::FollowLifecycle { put: 297, action }));
    is_refused(&NullVersion(301));
    is_refused(&BucketDocument(String::new()));
    is_refused(&Proposed::from(Command::ChangeIdentities(IdentityChanges::default())));
    identities().iter().for_each(is_refused);
}

#[test]
#[ignore = "writes the fixtures of the newest level; while that isn't released yet"]
fn write_the_fixtures_anew() {
    let level = Level::NEWEST;
    std::fs::create_dir_all(path_of(level, "")).unwrap();
    let files = [("records", records(level)), ("commands", commands(level))];
    for (file, samples) in files {
        std::fs::write(path_of(level, file), text_of_samples(&samples)).unwrap();
    }
    std::fs::write(path_of(level, "keys"), text_of_keys(level)).unwrap();
}
