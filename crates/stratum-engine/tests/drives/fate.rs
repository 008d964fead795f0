//! What becomes of bytes in volumes whose command didn't take effect: they are freed at once if that is known,
//! whoever waits for the answer, and kept if it isn't known.

use crate::store::{BUCKET, Store, add_bucket, key, record, with_bucket};
use bytes::Bytes;
use futures_util::FutureExt;
use std::path::Path;
use std::time::Duration;
use stratum_metadata::command::{Command, Condition, Match, Outcome, Refusal, WriteCondition};
use stratum_metadata::record::Body;
use stratum_metadata::{CommitError, NewBytes, NotWritten};
use stratum_storage::writepath::Written;

const LENGTH: usize = 200_000;

fn large() -> Bytes {
    vec![7; LENGTH].into()
}

/// Waits until the condition holds, for far longer than that should take.
async fn soon(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 20 s");
}

impl Store {
    /// The command that puts a body under key number `number`.
    fn put_command(&self, number: u64, written: &Written, condition: WriteCondition) -> Command {
        let record = record(number, LENGTH as u64, Body::Blob(written.blob.clone()));
        Command::PutObject { bucket: BUCKET, key: key(number), record, condition }
    }

    /// Writes a body and proposes its command.
    async fn propose(&self, number: u64, condition: WriteCondition) -> Result<Outcome, CommitError> {
        let written = self.write(&large()).await;
        let command = self.put_command(number, &written, condition);
        self.metadata.commit(command, written.hold).await
    }

    /// Bytes that were punched since the last call.
    async fn punched(&self) -> u64 {
        self.volumes.tend().await.unwrap().punched
    }

    /// Fills the journal up to where ordinary writes are refused.
    async fn fill(&self) {
        let mut number = 1_000;
        for size in [20_000, 4_000, 1] {
            while self.try_put(key(number), &Bytes::from(vec![1; size])).await.is_ok() {
                number += 1;
            }
        }
    }
}

async fn short(dir: &Path) -> Store {
    add_bucket(Store::open_with(dir, 512 << 10, 512 << 10).await.unwrap()).await
}

fn absent() -> WriteCondition {
    WriteCondition { if_none_match: Some(Match::Any), ..WriteCondition::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_freed_when_its_command_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    assert!(matches!(store.propose(1, absent()).await, Ok(Outcome::Object(_))));
    assert_eq!(store.punched().await, 0);
    let refused = store.propose(1, absent()).await;
    assert_eq!(refused, Ok(Outcome::Refused(Refusal::PreconditionFailed(Condition::IfNoneMatch))));
    assert!(store.punched().await > LENGTH as u64);
    assert_eq!(store.read(1).await, Some(large()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_freed_when_the_journal_has_no_room_for_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let store = short(dir.path()).await;
    store.propose(1, absent()).await.unwrap();
    store.fill().await;
    for _ in 0..3 {
        let refused = store.propose(2, absent()).await;
        assert_eq!(refused, Err(NotWritten::Busy.into()));
        assert!(store.punched().await > LENGTH as u64, "each try gives back what it wrote");
    }
    assert_eq!(store.read(1).await, Some(large()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_asked_for_before_a_body_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = short(dir.path()).await;
    drop(store.metadata.headroom(0).await.unwrap());
    store.fill().await;
    assert_eq!(store.metadata.headroom(0).await.map(drop), Err(NotWritten::Busy));
    store.metadata.shutdown();
    assert_eq!(store.metadata.headroom(0).await.map(drop), Err(NotWritten::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_freed_when_the_server_stops_before_its_command_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    let written = store.write(&large()).await;
    store.write(&large()).await.hold.proposed();
    // Commands that the volumes would propose themselves aren't taken any more either.
    let command = store.put_command(1, &written, absent());
    store.metadata.shutdown();
    assert_eq!(store.metadata.commit(command, written.hold).await, Err(NotWritten::Stopped.into()));
    assert!(store.punched().await > LENGTH as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_proposed_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    drop(store.write(&large()).await);
    assert!(store.punched().await > LENGTH as u64);
    // A body whose client goes away before its command is in the queue isn't proposed either.
    let written = store.write(&large()).await;
    let command = store.put_command(1, &written, absent());
    drop(store.metadata.commit(command, written.hold));
    assert!(store.punched().await > LENGTH as u64);
    assert_eq!(store.place(1), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_while_its_command_is_on_its_way_leaves_and_frees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    let sent_and_gone = async |number: u64| {
        let written = store.write(&large()).await;
        let command = store.put_command(number, &written, absent());
        // The first poll proposes the command.
        let _ = store.metadata.commit(command, written.hold).now_or_never();
    };
    for number in 0..20 {
        sent_and_gone(number).await;
        soon("the first is there", async || store.place(number).is_some()).await;
        assert_eq!((store.read(number).await, store.punched().await), (Some(large()), 0));
        sent_and_gone(number).await;
        let given_back = async || store.punched().await > LENGTH as u64;
        soon("the second was refused, and nobody was there to hear it", given_back).await;
        assert_eq!(store.read(number).await, Some(large()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_only_name_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    let (one, other) = (store.write(&large()).await, store.write(&large()).await);
    let command = store.put_command(1, &one, absent());
    for bytes in [NewBytes::from(Bytes::new()), other.hold.into()] {
        let refused = store.metadata.commit(command.clone(), bytes).await;
        assert_eq!(refused, Err(NotWritten::NotHeld.into()));
    }
    assert!(matches!(store.metadata.commit(command, one.hold).await, Ok(Outcome::Object(_))));
    assert!(store.punched().await > LENGTH as u64, "what the other held");
    assert_eq!(store.read(1).await, Some(large()));
}
