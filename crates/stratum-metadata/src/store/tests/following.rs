//! Two nodes that agree on one order: both apply what either proposes, with the same result, and each answers its own
//! proposers.

use super::*;
use crate::command::{Proposed, Urgency};
use crate::machine::Entry;
use crate::order::{Barrier, Committed, Follower, Group, Order, Rest};
use std::time::Duration;
use tracing_mutex::parkinglot::{Mutex, MutexGuard};

/// The agreed groups, which are in every node's journal and go to every node's follower.
#[derive(Default)]
struct Agreement {
    nodes: Mutex<Vec<Node>>,
}

struct Node {
    log: MemoryLog,
    follower: Arc<dyn Follower>,
}

/// One node's access to it.
struct Member {
    number: usize,
    log: MemoryLog,
    agreement: Arc<Agreement>,
}

impl Order for Member {
    fn feed(&self, follower: Arc<dyn Follower>) {
        self.agreement.nodes.lock().push(Node { log: self.log.clone(), follower });
    }

    fn propose(&self, group: Group) -> Result<(), CommitError> {
        let Group { ticket, commands: _, entries, urgency } = group;
        let nodes = self.agreement.nodes.lock();
        // The group is in every journal before anybody is told of it.
        let appended: Result<Vec<_>, _> =
            nodes.iter().map(|node| node.log.append(entries.clone(), urgency)).collect();
        for ((number, node), appended) in nodes.iter().enumerate().zip(appended?) {
            let places = (appended.first..).zip(appended.hashes);
            // From another node the commands come as bytes.
            let decoded = entries.iter().map(|entry| Proposed::decode(&entry.command).unwrap());
            let entries =
                decoded.zip(places).map(|(proposed, (index, hash))| Entry { index, hash, proposed });
            let ticket = (number == self.number).then_some(ticket);
            node.follower.follow(Committed { ticket, entries: entries.collect() });
        }
        Ok(())
    }

    fn barrier(&self) -> Barrier {
        let acknowledged = self.log.last();
        Barrier::Behind(Box::pin(async move { Ok(acknowledged) }))
    }

    fn at_rest(&self) -> Box<dyn Rest + '_> {
        Box::new(self.agreement.nodes.lock())
    }

    fn committed(&self) -> Index {
        Index::MAX
    }

    fn max_group(&self) -> usize {
        self.log.max_group()
    }

    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool {
        self.log.has_room(bytes, urgency)
    }

    fn usage(&self) -> Usage {
        self.log.usage()
    }
}

impl Rest for MutexGuard<'_, Vec<Node>> {}

/// Two nodes, each with the folder of its index.
fn two(threads: Threads) -> Vec<(Metadata, tempfile::TempDir)> {
    let agreement = Arc::new(Agreement::default());
    let node = |number| {
        let (dir, log) = (tempfile::tempdir().unwrap(), MemoryLog::default());
        let options = Options {
            index: dir.path().join("sled"),
            drives: Vec::new().into(),
            copies: 0,
            sizes: Default::default(),
        };
        let order = Member { number, log: log.clone(), agreement: agreement.clone() };
        let clock = Arc::new(Simulated::new(1_000, 1));
        let opened = Metadata::open_in_order(&options, Arc::new(log), Arc::new(order), clock, threads);
        (opened.unwrap(), dir)
    };
    (0..2).map(node).collect()
}

fn put_if_absent(key: &str, tag: u8) -> Command {
    put(key, tag, WriteCondition { if_none_match: Some(Match::Any), ..WriteCondition::default() })
}

#[tokio::test]
async fn what_one_node_proposes_both_apply_and_it_alone_answers() {
    let nodes = two(Threads::Caller);
    let (one, other) = (&nodes[0].0, &nodes[1].0);
    one.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let body = || Bytes::from_static(b"x");
    assert!(matches!(one.commit(put_if_absent("a", 1), body()).await, Ok(Outcome::Object(_))));
    assert!(matches!(other.commit(put_if_absent("b", 2), body()).await, Ok(Outcome::Object(_))));
    // They share one state: a condition sees what the other node has written.
    let refused = other.commit(put_if_absent("a", 3), body()).await;
    assert_eq!(refused, Ok(Outcome::Refused(Refusal::PreconditionFailed(Condition::IfNoneMatch))));
    assert_eq!((one.applied_index(), keys_of(other).await), (4, vec!["a".into(), "b".into()]));
    assert_eq!(one.inner.machine.applied(), other.inner.machine.applied());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_propose_at_once_come_to_the_same_state() {
    let nodes = two(Threads::Own);
    nodes[0].0.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let writer = |writer: u8| {
        let metadata = nodes[usize::from(writer % 2)].0.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                let written =
                    metadata.commit(put_if_absent(&format!("{number}"), writer), Bytes::from_static(b"x"));
                match written.await {
                    Ok(Outcome::Object(_) | Outcome::Refused(Refusal::PreconditionFailed(_))) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    };
    for writer in (0..8).map(writer).collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let states = || [0, 1].map(|node| nodes[node].0.inner.machine.applied());
    for _ in 0..1_000 {
        if states()[0] == states()[1] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(states()[0], states()[1]);
    assert_eq!(states()[0].index, 401);
    assert_eq!(keys_of(&nodes[1].0).await.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_by_one_node_is_read_from_the_other() {
    let nodes = two(Threads::Own);
    let (one, other) = (nodes[0].0.clone(), nodes[1].0.clone());
    one.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    for number in 0..200 {
        // Either node may be the one that is behind.
        let (writer, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let key = format!("{number}");
        writer.commit(put(&key, 7, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
        let view = reader.fresh().await.unwrap();
        assert!(view.object(BucketId(1), key.as_bytes()).unwrap().is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_read_that_waits_for_a_state_is_told_when_the_index_fails() {
    let nodes = two(Threads::Caller);
    let (one, other) = (&nodes[0].0, &nodes[1].0);
    one.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    other.inner.machine.fail("by plan");
    assert!(matches!(other.fresh().await, Err(ReadError::Unavailable(_))));
}
