//! A sealed body is moved unchanged, since no background task has its key.

use crate::store::{BUCKET, key};
use crate::tiers::{Machine, Tiered, in_virtual_time};
use bytes::Bytes;
use std::collections::BTreeSet;
use stratum_bodies::{code, decode};
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{Coding, Seal};
use stratum_metadata::EncryptedWalk;
use stratum_metadata::command::{
    BucketChange, Command, Deletion, KeyChange, KeyHolder, Outcome, WriteCondition,
};
use stratum_metadata::record::{
    Attributes, Body, Encryption, EncryptionMode, ObjectHeaders, ObjectRecord, UploadId, UploadRecord,
    VersionId, Versioning,
};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};

/// A body that shrinks well, so that coding it anew would change it.
fn plain(length: usize) -> Bytes {
    b"the same words again and again, ".iter().copied().cycle().take(length).collect()
}

fn data_key() -> DataKey {
    DataKey::new([7; 32])
}

fn sealed(number: u8, plain: &Bytes) -> Bytes {
    let seal = Some(Seal::new(&data_key(), Salt([number; 32])));
    let (form, stored) = code(Coding { compression: None, seal }, plain).unwrap();
    assert_eq!(form, Form::Sealed);
    stored
}

/// An object's stored bytes, wherever they lie.
async fn stored(store: &Tiered, number: u64) -> Bytes {
    let blob = store.blob(number);
    if let Place::Journal { index, length, crc32c } = blob.place {
        return store.journal.read_body(index, length, crc32c).unwrap();
    }
    let reader = &store.volumes.reader;
    let mut reader = reader.read(&reader.pin(), &blob.opaque(), 0..blob.len()).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes.into()
}

#[test]
fn a_sealed_body_goes_from_tier_to_tier_as_it_is() {
    in_virtual_time(async {
        let store = Machine::new().form().await;
        let lengths = [(1, 100), (2, 20_000), (3, 40_000), (4, 700_000)];
        for (number, length) in lengths {
            let bytes = sealed(number as u8, &plain(length));
            store.put_as(number, Form::Sealed, &bytes, length as u64).await;
        }
        // First all at once, so that small ones are packed with others, then one by one.
        for tier in [Tier::Warm, Tier::Cold, Tier::Hot, Tier::Warm] {
            store.wish(lengths.map(|(number, _)| number), tier).await;
            store.step().await;
            for (number, length) in lengths {
                let plain = plain(length);
                assert_eq!(store.blob(number).form, Form::Sealed, "{number} in {tier:?}");
                assert_eq!(store.tier(number), Some(tier), "{number}");
                let bytes = stored(&store, number).await;
                assert!(bytes == sealed(number as u8, &plain), "{number} in {tier:?}");
                let opened = decode(Form::Sealed, &bytes, length as u64, Some(&data_key()));
                assert!(opened == Ok(plain));
            }
        }
    });
}

fn encryption(key: u8) -> Encryption {
    Encryption { mode: EncryptionMode::S3, key: vec![key], headers: vec![9] }
}

#[test]
fn a_key_is_replaced_only_if_it_is_the_one_that_was_read() {
    in_virtual_time(async {
        let store = Machine::new().form().await;
        store.put(1, &plain(10)).await;
        let attributes = Attributes { encryption: Some(Box::new(encryption(1))), ..Attributes::default() };
        let body = Body::Blob(BlobRef::plain(Place::Empty));
        let record = ObjectRecord { body, size: 0, attributes, ..store.object(1) };
        let condition = WriteCondition::default();
        let put = Command::PutObject { bucket: BUCKET, key: key(1), record, condition };
        store.metadata.commit(put, Bytes::new()).await.unwrap();
        let mut walk = EncryptedWalk::default();
        let mut found = Vec::new();
        loop {
            let page = store.metadata.local().encrypted(&mut walk).unwrap();
            found.extend(page.found);
            if page.is_last {
                break;
            }
        }
        let [found] = found.try_into().unwrap();
        assert_eq!(found.encryption, encryption(1));
        let change = |from: u8, to: u8| KeyChange { of: found.of.clone(), from: vec![from], to: vec![to] };
        let gone = KeyHolder::Object { bucket: BUCKET, key: key(2), version: VersionId::NULL, committed: 0 };
        let changes = vec![change(5, 6), change(1, 2), change(1, 3), KeyChange { of: gone, ..change(1, 4) }];
        let outcome = store.metadata.commit(Command::RewrapKeys(changes), Bytes::new()).await;
        assert_eq!(outcome.unwrap(), Outcome::Count(1));
        assert_eq!(store.object(1).attributes.encryption.as_deref(), Some(&encryption(2)));
    });
}

/// A walk replaces the keys that an operator then throws away: what it misses can't be read any more.
#[test]
fn a_walk_finds_every_encrypted_record_that_moves_meanwhile() {
    in_virtual_time(async {
        for pages_before in 0..4 {
            let store = Machine::new().form().await;
            let commit = async |command| store.metadata.commit(command, Bytes::new()).await.unwrap();
            let attributes = |number| Attributes {
                encryption: Some(Box::new(encryption(number))),
                ..Attributes::default()
            };
            store.put(9, &plain(10)).await;
            let clear = store.object(9);
            let put = |number: u8, attributes| Command::PutObject {
                bucket: BUCKET,
                key: key(number.into()),
                record: ObjectRecord {
                    body: Body::Blob(BlobRef::plain(Place::Empty)),
                    size: 0,
                    attributes,
                    ..clear.clone()
                },
                condition: WriteCondition::default(),
            };
            let change = BucketChange::Versioning(Versioning::Enabled);
            commit(Command::ConfigureBucket { bucket: BUCKET, change }).await;

            let upload = UploadId(1);
            let record = UploadRecord {
                bucket: BUCKET,
                key: key(1),
                initiated: 0,
                initiator: "owner".into(),
                storage_class: Default::default(),
                headers: ObjectHeaders::default(),
                checksum: None,
                attributes: attributes(1),
            };
            commit(Command::CreateUpload { upload, record, expires: u64::MAX }).await;
            commit(put(2, attributes(2))).await;
            commit(put(3, attributes(3))).await;
            commit(put(3, Attributes::default())).await;
            let newest = store.object(3).version;

            let (mut walk, mut found, mut pages) = (EncryptedWalk::default(), BTreeSet::new(), 0);
            loop {
                if pages == pages_before {
                    let body = Body::Parts { upload, parts: Vec::new() };
                    let record = ObjectRecord { body, size: 0, attributes: attributes(1), ..clear.clone() };
                    let completed = commit(Command::CompleteMultipartUpload {
                        bucket: BUCKET,
                        key: key(1),
                        upload,
                        last_part: None,
                        has_spare: false,
                        record,
                        condition: WriteCondition::default(),
                        remember_until: u64::MAX,
                    });
                    assert!(matches!(completed.await, Outcome::Object(_)));
                    commit(put(2, Attributes::default())).await;
                    let deletion = Deletion { version: Some(newest), ..Deletion::of(BUCKET, key(3), 0) };
                    commit(Command::DeleteObject(deletion)).await;
                    assert_eq!(
                        store.object(3).attributes,
                        attributes(3),
                        "the version before is current again"
                    );
                }
                pages += 1;
                let page = store.metadata.local().encrypted(&mut walk).unwrap();
                found.extend(page.found.into_iter().map(|found| found.encryption.key));
                if page.is_last {
                    break;
                }
            }
            assert_eq!(
                found,
                BTreeSet::from([1, 2, 3].map(|key| vec![key])),
                "moved after {pages_before} pages"
            );
        }
    });
}
