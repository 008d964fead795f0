//! Versions through the AWS SDK: every answer is compared with a model that keeps a list of versions for each key, the
//! versions survive a kill, and rescue, explain and tier know them.

use crate::client::client;
use crate::rescue::{BUCKET, rescue_with};
use crate::server::Server;
use crate::tiers::{run, said};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, Delete, ObjectIdentifier, VersioningConfiguration};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

type Key = &'static str;

const KEYS: [Key; 4] = ["a", "a/", "a/b", "ä c+d"];

#[derive(Clone, Debug)]
enum Operation {
    Put(Key, usize),
    /// A PUT that succeeds only if the key has no object.
    PutIfAbsent(Key),
    Delete(Key),
    /// Deletes a version of a key; the number counts from the newest version.
    DeleteVersion(Key, usize),
    /// Deletes the newest versions of these keys in one request.
    DeleteMany(Vec<Key>),
    Get(Key),
    GetVersion(Key, usize),
    /// Copies a version of the first key to the second key.
    Copy(Key, usize, Key),
    Versioning(bool),
    List(Option<&'static str>, i32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || prop::sample::select(KEYS.to_vec());
    let length = prop_oneof![0..100usize, Just(40_000)];
    prop_oneof![
        6 => (key(), length).prop_map(|(key, length)| Operation::Put(key, length)),
        1 => key().prop_map(Operation::PutIfAbsent),
        3 => key().prop_map(Operation::Delete),
        4 => (key(), 0..4usize).prop_map(|(key, at)| Operation::DeleteVersion(key, at)),
        1 => prop::collection::vec(key(), 1..4).prop_map(Operation::DeleteMany),
        3 => key().prop_map(Operation::Get),
        3 => (key(), 0..4usize).prop_map(|(key, at)| Operation::GetVersion(key, at)),
        2 => (key(), 0..4usize, key()).prop_map(|(from, at, to)| Operation::Copy(from, at, to)),
        2 => any::<bool>().prop_map(Operation::Versioning),
        2 => (prop::sample::select(vec![None, Some("/")]), 1..5i32).prop_map(|(by, page)| Operation::List(by, page)),
    ]
}

/// A version: its id and its bytes. A delete marker has no bytes.
type Kept = (String, Option<Vec<u8>>);

/// The model: the versions of each key, the newest first.
#[derive(Default)]
struct Model {
    versioning: Option<bool>,
    keys: BTreeMap<String, Vec<Kept>>,
}

/// A line of a list of versions: the key, and for a version its id, whether it is the latest, and its size; nothing for
/// a common prefix. The SDK gives versions and delete markers in two lists, so their order is not compared.
type Line = (String, Option<(String, bool, Option<i64>)>);

impl Model {
    fn of(&self, key: &str) -> &[Kept] {
        self.keys.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    fn current(&self, key: &str) -> Option<&Vec<u8>> {
        self.of(key).first().and_then(|(_, bytes)| bytes.as_ref())
    }

    /// Adds a version, or a delete marker, of which the real answer gave the id `told`.
    fn add(&mut self, key: &str, told: Option<&str>, bytes: Option<Vec<u8>>) {
        let id = match self.versioning {
            Some(true) => {
                let id = told.expect("a version has an id");
                assert!(self.keys.values().flatten().all(|(known, _)| known != id), "{id} comes twice");
                id
            }
            Some(false) => {
                assert!(told.is_none_or(|told| told == "null"), "{told:?}");
                "null"
            }
            None => {
                assert_eq!(told, None);
                "null"
            }
        };
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.retain(|(known, _)| known != id);
        if bytes.is_some() || self.versioning.is_some() {
            versions.insert(0, (id.to_owned(), bytes));
        }
    }

    fn lines(&self, delimiter: Option<&str>) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (key, versions) in &self.keys {
            let common = delimiter.and_then(|by| Some(key[..=key.find(by)?].to_owned()));
            for (at, (id, bytes)) in versions.iter().enumerate() {
                let line = match &common {
                    Some(common) => (common.clone(), None),
                    None => (
                        key.clone(),
                        Some((id.clone(), at == 0, bytes.as_ref().map(|bytes| bytes.len() as i64))),
                    ),
                };
                if lines.last() != Some(&line) {
                    lines.push(line);
                }
            }
        }
        lines.sort();
        lines
    }
}

fn status<E: std::fmt::Debug>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap_or_else(|| panic!("no answer: {error:?}")).status().as_u16()
}

struct Real<'a> {
    client: &'a Client,
    bucket: String,
    bodies: AtomicUsize,
}

impl Real<'_> {
    fn body(&self, length: usize) -> Vec<u8> {
        let seed = self.bodies.fetch_add(1, Ordering::Relaxed);
        (0..length).map(|at| (at * 31 + seed) as u8).collect()
    }

    async fn get(&self, key: &str, version: Option<&str>) -> Result<Vec<u8>, u16> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        match get.set_version_id(version.map(str::to_owned)).send().await {
            Ok(got) => Ok(got.body.collect().await.unwrap().to_vec()),
            Err(error) => Err(status(&error)),
        }
    }

    async fn versioning(&self, is_enabled: bool) {
        let status = [BucketVersioningStatus::Suspended, BucketVersioningStatus::Enabled]
            [usize::from(is_enabled)]
        .clone();
        let configuration = VersioningConfiguration::builder().status(status.clone()).build();
        let put = self.client.put_bucket_versioning().bucket(&self.bucket);
        put.versioning_configuration(configuration).send().await.unwrap();
        let told = self.client.get_bucket_versioning().bucket(&self.bucket).send().await.unwrap();
        assert_eq!(told.status(), Some(&status));
    }

    async fn list(&self, delimiter: Option<&str>, page: i32) -> Vec<Line> {
        let (mut lines, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket).max_keys(page);
            let list = list
                .set_delimiter(delimiter.map(str::to_owned))
                .set_key_marker(key)
                .set_version_id_marker(id);
            let answer = list.send().await.unwrap();
            let before = lines.len();
            lines.extend(answer.versions().iter().map(|version| {
                let (id, is_latest) =
                    (version.version_id().unwrap().to_owned(), version.is_latest().unwrap());
                (version.key().unwrap().to_owned(), Some((id, is_latest, version.size())))
            }));
            lines.extend(answer.delete_markers().iter().map(|marker| {
                let (id, is_latest) = (marker.version_id().unwrap().to_owned(), marker.is_latest().unwrap());
                (marker.key().unwrap().to_owned(), Some((id, is_latest, None)))
            }));
            lines.extend(
                answer.common_prefixes().iter().map(|common| (common.prefix().unwrap().to_owned(), None)),
            );
            assert!(lines.len() - before <= page as usize, "a page holds more than max-keys");
            if answer.is_truncated() != Some(true) {
                lines.sort();
                return lines;
            }
            (key, id) = (answer.next_key_marker, answer.next_version_id_marker);
        }
    }

    async fn play(&self, model: &mut Model, operation: &Operation) {
        let (client, bucket) = (self.client, &self.bucket);
        match operation {
            Operation::Put(key, length) => {
                let body = self.body(*length);
                let put = client.put_object().bucket(bucket).key(*key).body(ByteStream::from(body.clone()));
                let put = put.send().await.unwrap();
                model.add(key, put.version_id(), Some(body));
            }
            Operation::PutIfAbsent(key) => {
                let body = self.body(9);
                let put = client.put_object().bucket(bucket).key(*key).body(ByteStream::from(body.clone()));
                match (put.if_none_match("*").send().await, model.current(key).is_some()) {
                    (Ok(put), false) => model.add(key, put.version_id(), Some(body)),
                    (Err(error), true) => assert_eq!(status(&error), 412),
                    (put, is_there) => panic!("{put:?} where {is_there}"),
                }
            }
            Operation::Delete(key) => {
                let gone = client.delete_object().bucket(bucket).key(*key).send().await.unwrap();
                assert_eq!(gone.delete_marker(), model.versioning.map(|_| true));
                model.add(key, gone.version_id(), None);
            }
            Operation::DeleteVersion(key, at) => {
                let Some((id, bytes)) = model.of(key).get(*at).cloned() else { return };
                let gone =
                    client.delete_object().bucket(bucket).key(*key).version_id(&id).send().await.unwrap();
                assert_eq!(gone.delete_marker().unwrap_or(false), bytes.is_none());
                model.keys.get_mut(*key).unwrap().retain(|(known, _)| *known != id);
            }
            Operation::DeleteMany(keys) => {
                let newest: BTreeMap<Key, String> =
                    keys.iter().filter_map(|key| Some((*key, model.of(key).first()?.0.clone()))).collect();
                if newest.is_empty() {
                    return;
                }
                let object = |(key, id): (&Key, &String)| {
                    ObjectIdentifier::builder().key(*key).version_id(id).build().unwrap()
                };
                let delete = Delete::builder().set_objects(Some(newest.iter().map(object).collect()));
                let gone = client.delete_objects().bucket(bucket).delete(delete.build().unwrap());
                let gone = gone.send().await.unwrap();
                assert!(gone.errors().is_empty() && gone.deleted().len() == newest.len(), "{gone:?}");
                for (key, id) in newest {
                    model.keys.get_mut(key).unwrap().retain(|(known, _)| *known != id);
                }
            }
            Operation::Get(key) => {
                assert_eq!(self.get(key, None).await, model.current(key).cloned().ok_or(404));
            }
            Operation::GetVersion(key, at) => {
                let Some((id, bytes)) = model.of(key).get(*at).cloned() else { return };
                assert_eq!(self.get(key, Some(&id)).await, bytes.ok_or(405));
            }
            Operation::Copy(from, at, to) => {
                let Some((id, bytes)) = model.of(from).get(*at).cloned() else { return };
                let encoded: String = from.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let copy = client.copy_object().bucket(bucket).key(*to);
                let copy = copy.copy_source(format!("{bucket}/{encoded}?versionId={id}")).send().await;
                match (copy, bytes) {
                    (Ok(copy), Some(bytes)) => {
                        let told = copy.copy_source_version_id();
                        assert_eq!(told, model.versioning.map(|_| id.as_str()));
                        model.add(to, copy.version_id(), Some(bytes));
                    }
                    (Err(error), None) => assert_eq!(status(&error), 400),
                    (copy, bytes) => panic!("{copy:?} of {bytes:?}"),
                }
            }
            Operation::Versioning(is_enabled) => {
                self.versioning(*is_enabled).await;
                model.versioning = Some(*is_enabled);
            }
            Operation::List(delimiter, page) => {
                assert_eq!(self.list(*delimiter, *page).await, model.lines(*delimiter));
            }
        }
    }
}

#[test]
fn every_answer_about_versions_is_that_of_the_model() {
    let mut server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let buckets = AtomicUsize::new(0);
    let config = Config { cases: 24, max_shrink_iters: 100, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(operation(), 1..60);
    let last = std::cell::RefCell::new((String::new(), Vec::new()));
    let first_client = client(&server);
    let outcome = TestRunner::new(config).run(&sequences, |operations| {
        let number = buckets.fetch_add(1, Ordering::Relaxed);
        let bucket = format!("versions-{number}");
        let real = Real { client: &first_client, bucket, bodies: AtomicUsize::new(0) };
        runtime.block_on(async {
            real.client.create_bucket().bucket(&real.bucket).send().await.unwrap();
            let mut model = Model::default();
            for operation in &operations {
                real.play(&mut model, operation).await;
            }
            let lines = model.lines(None);
            prop_assert_eq!(real.list(None, 3).await, lines.clone());
            *last.borrow_mut() = (real.bucket.clone(), lines);
            Ok(())
        })
    });
    outcome.unwrap();
    server.kill();
    server.restart();
    let (bucket, lines) = last.into_inner();
    let client = client(&server);
    let real = Real { client: &client, bucket, bodies: AtomicUsize::new(0) };
    assert_eq!(runtime.block_on(real.list(None, 3)), lines, "after a kill");
}

/// Stores an object with three versions and a delete marker on top, and another object; gives the ids of the three
/// versions and of the marker.
async fn three_versions(server: &Server) -> Vec<String> {
    let client = client(server);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled).send().await.unwrap();
    let mut ids = Vec::new();
    for body in ["one", "two!", "three"] {
        let put =
            client.put_object().bucket(BUCKET).key("dir/a").body(ByteStream::from_static(body.as_bytes()));
        ids.push(put.send().await.unwrap().version_id.unwrap());
    }
    client
        .put_object()
        .bucket(BUCKET)
        .key("kept")
        .body(ByteStream::from_static(b"kept"))
        .send()
        .await
        .unwrap();
    let marked = client.delete_object().bucket(BUCKET).key("dir/a").send().await.unwrap();
    ids.push(marked.version_id.unwrap());
    ids
}

#[test]
fn older_versions_are_rescued_beside_current_objects() {
    let mut server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ids = runtime.block_on(three_versions(&server));
    std::thread::sleep(std::time::Duration::from_secs(3));
    server.kill();
    let to = tempfile::tempdir().unwrap();
    for round in ["first", "again"] {
        let output = rescue_with(&server.data(), to.path(), None);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("3 of them aren't current") && told.contains("1 delete markers"), "{told}");
        assert!(told.contains("In all: 4 objects, 4 whole"), "{round}: {told}");
    }
    assert_eq!(std::fs::read(to.path().join(BUCKET).join("kept")).unwrap(), b"kept");
    assert!(!to.path().join(BUCKET).join("dir/a").exists(), "it is deleted");
    for (id, body) in ids.iter().zip(["one", "two!", "three"]) {
        let path = to.path().join("_versions").join(BUCKET).join(format!("dir/a%version-{id}"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), body);
    }
}

#[test]
fn an_older_version_can_be_explained_and_moved() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ids = runtime.block_on(three_versions(&server));
    let object = format!("s3://{BUCKET}/dir/a");
    let ask = |words: &[&str]| run(&server, words);
    let explained = ask(&["explain", &object, "--version-id", &ids[0], "--json"]);
    assert!(explained.status.success(), "{}", said(&explained));
    assert!(said(&explained).contains("isn't its key's current object"), "{}", said(&explained));
    let moved = ask(&["tier", "move", &object, "hot", "--version-id", &ids[1]]);
    assert!(said(&moved).contains("1 object goes to hot"), "{}", said(&moved));
    for (version, told) in
        [(ids[3].as_str(), "delete marker"), ("nonsense", "can't be the id"), ("null", "no such version")]
    {
        let refused = ask(&["explain", &object, "--version-id", version]);
        assert!(!refused.status.success() && said(&refused).contains(told), "{}", said(&refused));
    }
    let missing = ask(&["explain", &object]);
    assert!(said(&missing).contains("there is no object"), "{}", said(&missing));
    let status = ask(&["status"]);
    assert!(said(&status).contains("1 object (and 3 older versions, 1 delete marker)"), "{}", said(&status));
}
