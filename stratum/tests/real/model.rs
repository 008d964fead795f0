//! A model of S3 in memory, which is simple enough to be obviously right: generated sequences of operations run on the
//! model and on the real binary, and every answer is compared.

use crate::client::client;
use crate::server::Server;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// A request of a client. Keys are few, so that operations often meet on the same key.
#[derive(Clone, Debug)]
enum Operation {
    Put { key: Key, body: Body, condition: Condition },
    Get { key: Key, range: Option<(u16, u16)> },
    Head { key: Key },
    Delete { key: Key },
    DeleteMany { keys: Vec<Key> },
    Copy { from: Key, to: Key },
    List { prefix: &'static str, delimiter: Option<&'static str>, page: i32 },
    Multipart { key: Key, last: u16, abort: bool },
}

type Key = &'static str;

/// A body, by its length and the seed of its bytes.
#[derive(Clone, Copy, Debug)]
struct Body {
    length: usize,
    seed: u8,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    IfAbsent,
    IfPresent,
    IfStale,
}

const KEYS: [Key; 9] = ["a", "a/", "a//b", "a/b", "a/c/d", "b c+d", "ä/ö", "z\u{7f}", ".."];

fn operation() -> impl Strategy<Value = Operation> {
    let key = || prop::sample::select(KEYS.to_vec());
    let length =
        prop_oneof![Just(0usize), 1..200usize, Just(32_768), Just(32_769), Just(70_000), Just(1_100_000)];
    let body = (length, any::<u8>()).prop_map(|(length, seed)| Body { length, seed });
    let condition = prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::IfAbsent),
        1 => Just(Condition::IfPresent),
        1 => Just(Condition::IfStale),
    ];
    let prefix = prop::sample::select(vec!["", "a", "a/", "a//", "ä", "nothing"]);
    let delimiter = prop::sample::select(vec![None, Some("/"), Some("//"), Some("b")]);
    prop_oneof![
        6 => (key(), body, condition).prop_map(|(key, body, condition)| Operation::Put { key, body, condition }),
        4 => (key(), prop::option::of((0..300u16, 0..300u16))).prop_map(|(key, range)| Operation::Get { key, range }),
        2 => key().prop_map(|key| Operation::Head { key }),
        2 => key().prop_map(|key| Operation::Delete { key }),
        1 => prop::collection::vec(key(), 1..5).prop_map(|keys| Operation::DeleteMany { keys }),
        2 => (key(), key()).prop_map(|(from, to)| Operation::Copy { from, to }),
        3 => (prefix, delimiter, 1..6i32).prop_map(|(prefix, delimiter, page)| Operation::List { prefix, delimiter, page }),
        1 => (key(), any::<u16>(), any::<bool>()).prop_map(|(key, last, abort)| Operation::Multipart { key, last, abort }),
    ]
}

impl Body {
    fn bytes(self) -> Vec<u8> {
        (0..self.length).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ at as u8 ^ self.seed).collect()
    }
}

/// The model.
#[derive(Default)]
struct Model {
    objects: BTreeMap<String, Vec<u8>>,
}

/// An answer, as far as it is compared.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Body(Vec<u8>),
    Length(i64),
    Status(u16),
    Listing(Vec<String>),
}

impl Model {
    fn run(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Put { key, body, condition } => self.put(key, body.bytes(), *condition),
            Operation::Get { key, range } => self.get(key, *range),
            Operation::Head { key } => {
                self.objects.get(*key).map_or(Answer::Status(404), |body| Answer::Length(body.len() as i64))
            }
            Operation::Delete { key } => {
                self.objects.remove(*key);
                Answer::Done
            }
            Operation::DeleteMany { keys } => {
                keys.iter().for_each(|key| drop(self.objects.remove(*key)));
                Answer::Done
            }
            Operation::Copy { from, to } if from == to => {
                Answer::Status(if self.objects.contains_key(*from) { 400 } else { 404 })
            }
            Operation::Copy { from, to } => match self.objects.get(*from).cloned() {
                Some(body) => self.put(to, body, Condition::None),
                None => Answer::Status(404),
            },
            Operation::List { prefix, delimiter, .. } => self.list(prefix, *delimiter),
            Operation::Multipart { abort: true, .. } => Answer::Done,
            Operation::Multipart { key, last, .. } => {
                self.put(key, multipart(*last).concat(), Condition::None)
            }
        }
    }

    fn put(&mut self, key: &str, body: Vec<u8>, condition: Condition) -> Answer {
        match (condition, self.objects.contains_key(key)) {
            (Condition::IfAbsent, true) | (Condition::IfStale, true) => Answer::Status(412),
            (Condition::IfPresent | Condition::IfStale, false) => Answer::Status(404),
            _ => {
                self.objects.insert(key.to_owned(), body);
                Answer::Done
            }
        }
    }

    fn get(&self, key: &str, range: Option<(u16, u16)>) -> Answer {
        let Some(body) = self.objects.get(key) else { return Answer::Status(404) };
        let Some((first, length)) = range else { return Answer::Body(body.clone()) };
        let (first, last) = (usize::from(first), usize::from(first) + usize::from(length));
        match body.get(first..) {
            Some(rest) if !rest.is_empty() => Answer::Body(rest[..rest.len().min(last - first + 1)].to_vec()),
            _ => Answer::Status(416),
        }
    }

    fn list(&self, prefix: &str, delimiter: Option<&str>) -> Answer {
        let under =
            |key: &String| match delimiter.and_then(|text| Some((key[prefix.len()..].find(text)?, text))) {
                Some((at, text)) => key[..prefix.len() + at + text.len()].to_owned() + "\u{0}prefix",
                None => key.clone(),
            };
        let found: BTreeSet<String> =
            self.objects.keys().filter(|key| key.starts_with(prefix)).map(under).collect();
        Answer::Listing(found.into_iter().collect())
    }
}

fn multipart(last: u16) -> [Vec<u8>; 2] {
    let first = Body { length: 5 << 20, seed: last as u8 };
    [first.bytes(), Body { length: usize::from(last) + 1, seed: 9 }.bytes()]
}

fn status<E, R>(error: &SdkError<E, R>) -> Answer
where
    R: std::borrow::Borrow<aws_sdk_s3::config::http::HttpResponse>,
    E: std::fmt::Debug,
    R: std::fmt::Debug,
{
    match error.raw_response() {
        Some(response) => Answer::Status(response.borrow().status().as_u16()),
        None => panic!("no answer: {error:?}"),
    }
}

/// The same operations on the real binary.
struct Real<'a> {
    client: &'a Client,
    bucket: String,
}

impl Real<'_> {
    async fn run(&self, operation: &Operation) -> Answer {
        match operation {
            Operation::Put { key, body, condition } => self.put(key, body.bytes(), *condition).await,
            Operation::Get { key, range } => self.get(key, *range).await,
            Operation::Head { key } => {
                match self.client.head_object().bucket(&self.bucket).key(*key).send().await {
                    Ok(head) => Answer::Length(head.content_length().unwrap_or(-1)),
                    Err(error) => status(&error),
                }
            }
            Operation::Delete { key } => {
                match self.client.delete_object().bucket(&self.bucket).key(*key).send().await {
                    Ok(_) => Answer::Done,
                    Err(error) => status(&error),
                }
            }
            Operation::DeleteMany { keys } => self.delete_many(keys).await,
            Operation::Copy { from, to } => self.copy(from, to).await,
            Operation::List { prefix, delimiter, page } => self.list(prefix, *delimiter, *page).await,
            Operation::Multipart { key, last, abort } => self.multipart(key, *last, *abort).await,
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>, condition: Condition) -> Answer {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let put = match condition {
            Condition::None => put,
            Condition::IfAbsent => put.if_none_match("*"),
            Condition::IfPresent => put.if_match("*"),
            Condition::IfStale => put.if_match("\"00000000000000000000000000000000\""),
        };
        match put.send().await {
            Ok(_) => Answer::Done,
            Err(error) => status(&error),
        }
    }

    async fn get(&self, key: &str, range: Option<(u16, u16)>) -> Answer {
        let range =
            range.map(|(first, length)| format!("bytes={first}-{}", u32::from(first) + u32::from(length)));
        match self.client.get_object().bucket(&self.bucket).key(key).set_range(range).send().await {
            Ok(answer) => Answer::Body(answer.body.collect().await.unwrap().to_vec()),
            Err(error) => status(&error),
        }
    }

    async fn delete_many(&self, keys: &[Key]) -> Answer {
        use aws_sdk_s3::types::{Delete, ObjectIdentifier};
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build().unwrap()).collect();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().unwrap();
        match self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await {
            Ok(answer) => {
                assert!(answer.errors().is_empty(), "{:?}", answer.errors());
                Answer::Done
            }
            Err(error) => status(&error),
        }
    }

    async fn copy(&self, from: &str, to: &str) -> Answer {
        let encoded: String = from.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let source = format!("{}/{encoded}", self.bucket);
        match self.client.copy_object().bucket(&self.bucket).key(to).copy_source(source).send().await {
            Ok(_) => Answer::Done,
            Err(error) => status(&error),
        }
    }

    async fn list(&self, prefix: &str, delimiter: Option<&str>, page: i32) -> Answer {
        let (mut found, mut token) = (BTreeSet::new(), None);
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(page);
            let list = list.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(token.take());
            let answer = match list.send().await {
                Ok(answer) => answer,
                Err(error) => return status(&error),
            };
            let keys = answer.contents().iter().filter_map(|object| object.key().map(str::to_owned));
            let prefixes = answer
                .common_prefixes()
                .iter()
                .filter_map(|common| Some(format!("{}\u{0}prefix", common.prefix()?)));
            let before = found.len();
            found.extend(keys.chain(prefixes));
            assert!(found.len() - before <= page as usize, "a page holds more than max-keys");
            match answer.next_continuation_token() {
                Some(next) if answer.is_truncated() == Some(true) => token = Some(next.to_owned()),
                _ => return Answer::Listing(found.into_iter().collect()),
            }
        }
    }

    async fn multipart(&self, key: &str, last: u16, abort: bool) -> Answer {
        use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
        let (client, bucket) = (self.client, &self.bucket);
        let create = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
        let upload = create.upload_id().unwrap();
        let mut parts = CompletedMultipartUpload::builder();
        for (number, body) in (1..).zip(multipart(last)) {
            let put = client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
            let done = put.body(ByteStream::from(body)).send().await.unwrap();
            parts = parts.parts(CompletedPart::builder().part_number(number).set_e_tag(done.e_tag).build());
        }
        if abort {
            client.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload).send().await.unwrap();
            return Answer::Done;
        }
        let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        match complete.multipart_upload(parts.build()).send().await {
            Ok(_) => Answer::Done,
            Err(error) => status(&error),
        }
    }
}

#[test]
fn every_answer_is_that_of_the_model() {
    let server = Server::start();
    let client = client(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let buckets = std::sync::atomic::AtomicUsize::new(0);
    let config = Config { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(operation(), 1..60);
    let outcome = TestRunner::new(config).run(&sequences, |operations| {
        let number = buckets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let real = Real { client: &client, bucket: format!("model-{number}") };
        runtime.block_on(async {
            client.create_bucket().bucket(&real.bucket).send().await.unwrap();
            let mut model = Model::default();
            for operation in &operations {
                let (expected, answered) = (model.run(operation), real.run(operation).await);
                prop_assert!(
                    expected == answered,
                    "{operation:?}: the model says {expected:.60?}, the store {answered:.60?}"
                );
            }
            Ok(())
        })
    });
    outcome.unwrap();
}
