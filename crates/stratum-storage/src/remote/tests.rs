use super::simulated::{Ailment, Fault, Lie, Request, SimulatedMemory, SimulatedStore};
use super::*;
use crate::ambient::{Simulated, System};
use tokio::time::Instant;

const VOLUME: VolumeId = VolumeId(42);
const OBJECT: RemoteObject = RemoteObject { upload: 7 };

fn remote(store: &SimulatedStore, owner: &str) -> (Arc<Remote>, Arc<Simulated>) {
    remembering(store, owner, &SimulatedMemory::default())
}

/// A start of a store whose drives remember these claims.
fn remembering(
    store: &SimulatedStore,
    owner: &str,
    memory: &SimulatedMemory,
) -> (Arc<Remote>, Arc<Simulated>) {
    let clock = Arc::new(Simulated::new(1_000_000, 0));
    let claimant =
        Claimant { owner: owner.into(), memory: Arc::new(memory.clone()), entropy: Arc::new(System) };
    (Remote::new(Arc::new(store.clone()), claimant, clock.clone()), clock)
}

async fn with_object(store: &SimulatedStore) -> (Arc<Remote>, Arc<Simulated>) {
    let (remote, clock) = remote(store, "one");
    remote.tend(0).await.unwrap();
    let mut sending = remote.send(OBJECT.name(VOLUME)).await.unwrap();
    sending.push(b"0123456789").await.unwrap();
    sending.finish().await.unwrap().compare().await.unwrap();
    (remote, clock)
}

#[test]
fn names_are_read_as_they_are_written() {
    let name = OBJECT.name(VOLUME);
    assert_eq!(name, "volumes/v000000000000002a.0000000000000007");
    assert_eq!(RemoteObject::parse(&name), Some((VOLUME, OBJECT)));
    for other in ["volumes/v2a.7", "v000000000000002a.0000000000000007", "volumes/x", &format!("{name}0")] {
        assert_eq!(RemoteObject::parse(other), None, "{other}");
    }
}

#[tokio::test]
async fn a_remote_store_belongs_to_the_store_that_came_first() {
    let store = SimulatedStore::default();
    let (first, _) = remote(&store, "one");
    assert!(first.send(OBJECT.name(VOLUME)).await.is_err(), "nobody has looked whose it is");
    first.tend(0).await.unwrap();
    assert!(first.takes_writes());
    let (again, _) = remote(&store, "one");
    again.tend(5).await.unwrap();
    let (second, _) = remote(&store, "two");
    let error = second.tend(0).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Foreign { found, .. } if found == "one"), "{error}");
    assert!(second.delete(VOLUME, OBJECT).await.is_err() && !second.takes_writes());
    assert_eq!(second.refusal(), Some(error.to_string()));
}

#[tokio::test]
async fn an_empty_place_is_not_taken_for_one_that_holds_volumes() {
    let store = SimulatedStore::default();
    let (remote, _) = remote(&store, "one");
    assert!(matches!(remote.tend(3).await, Err(RemoteError::Elsewhere { volumes: 3, .. })));
    assert!(store.names().is_empty(), "nothing was written there");
    assert_eq!(remote.usable_for(), RemoteUse::Elsewhere);
    assert!(remote.refusal().unwrap().contains("`stratum tier claim`"));
    // Until an operator says that they are gone for good.
    remote.insist().await.unwrap();
    assert!(remote.takes_writes() && remote.usable_for() == RemoteUse::Open);
}

/// Writes an object; says whether that was refused since another start has displaced this one.
async fn is_displaced(remote: &Remote) -> bool {
    let sent = remote.send(OBJECT.name(VOLUME)).await;
    let removed = remote.delete(VOLUME, OBJECT).await;
    let is_refused = matches!(removed, Err(RemoteError::Displaced { .. }));
    assert_eq!(sent.is_err(), removed.is_err());
    assert_eq!((is_refused, remote.refusal().is_some()), (!remote.takes_writes(), is_refused));
    is_refused
}

#[tokio::test]
async fn a_copy_of_the_drives_writes_nothing_once_the_original_has_claimed_the_place_again() {
    let (store, drives) = (SimulatedStore::default(), SimulatedMemory::default());
    let (original, _) = remembering(&store, "one", &drives);
    original.tend(0).await.unwrap();
    // Copied while the original runs, and before an upload: each is under a claim of its own.
    let running = drives.copied();
    original.renew(0).await.unwrap();
    // Copied while it is stopped, and started again since.
    let stopped = drives.copied();
    let (original, clock) = remembering(&store, "one", &drives);
    original.tend(1).await.unwrap();
    for copied in [running, stopped] {
        let (copy, _) = remembering(&store, "one", &copied);
        assert!(matches!(copy.tend(1).await, Err(RemoteError::Displaced { .. })));
        assert!(is_displaced(&copy).await && copy.usable_for() == RemoteUse::ReadOnly);
        assert!(
            copy.length(VOLUME, OBJECT).await.is_err_and(|error| matches!(error, RemoteError::Missing(_)))
        );
    }
    assert!(!is_displaced(&original).await);
    // A copy that starts first can't know that it is one: the original sees it before it does anything.
    let (copy, _) = remembering(&store, "one", &drives.copied());
    copy.tend(1).await.unwrap();
    assert!(original.takes_writes(), "it hasn't looked");
    assert!(is_displaced(&original).await && !is_displaced(&copy).await);
    clock.advance(Duration::from_secs(61));
    assert!(matches!(original.tend(1).await, Err(RemoteError::Displaced { .. })));
    let (again, _) = remembering(&store, "one", &drives);
    assert!(matches!(again.tend(1).await, Err(RemoteError::Displaced { .. })), "nor after a restart");
    // Until an operator says which of them it is.
    again.insist().await.unwrap();
    assert!(!is_displaced(&again).await && is_displaced(&copy).await);
}

#[tokio::test]
async fn a_start_that_was_cut_short_while_it_claimed_displaces_nobody() {
    for fault in [Fault::Refused, Fault::Unheard, Fault::Lie(Lie::Nothing)] {
        let (store, drives) = (SimulatedStore::default(), SimulatedMemory::default());
        remembering(&store, "one", &drives).0.tend(0).await.unwrap();
        let (cut, _) = remembering(&store, "one", &drives);
        store.fail_nth(Request::Create, 1, fault);
        assert!(cut.tend(1).await.is_err() && !cut.takes_writes(), "{fault:?}");
        let (next, _) = remembering(&store, "one", &drives);
        next.tend(1).await.unwrap();
        assert!(!is_displaced(&next).await, "{fault:?}");
    }
}

#[tokio::test]
async fn a_place_from_before_claims_is_claimed_and_one_that_is_emptied_is_not_written_to() {
    let (store, drives) = (SimulatedStore::default(), SimulatedMemory::default());
    let (remote, _) = remembering(&store, "one", &drives);
    remote.tend(0).await.unwrap();
    store.lose("stratum-claim");
    assert!(remote.send(OBJECT.name(VOLUME)).await.is_err());
    remote.tend(1).await.unwrap();
    assert!(!is_displaced(&remote).await);
    store.lose("stratum-claim");
    store.lose("stratum-store");
    assert!(remote.delete(VOLUME, OBJECT).await.is_err());
    assert!(matches!(remote.tend(1).await, Err(RemoteError::Elsewhere { .. })));
    assert!(store.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_costs_nobody_time_and_is_found_again() {
    let store = SimulatedStore::default();
    let (remote, clock) = with_object(&store).await;
    store.ail(Ailment::Slow(Duration::from_secs(3600)));
    for _ in 0..3 {
        assert!(matches!(remote.read(VOLUME, OBJECT, 0..4).await, Err(RemoteError::Unavailable(_))));
    }
    assert!(matches!(remote.reach(), Reach::Away { since: 1_000_000, .. }));
    let began = Instant::now();
    assert!(matches!(remote.read(VOLUME, OBJECT, 0..4).await, Err(RemoteError::Unavailable(_))));
    assert_eq!(began.elapsed(), Duration::ZERO);
    store.ail(Ailment::None);
    remote.tend(1).await.unwrap();
    assert!(remote.reach().is_away(), "nobody has asked yet");
    clock.advance(Duration::from_secs(6));
    remote.tend(1).await.unwrap();
    assert_eq!(remote.read(VOLUME, OBJECT, 2..4).await.unwrap(), "23");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_asked_for_twice_and_waited_for() {
    let store = SimulatedStore::default();
    let (remote, _) = with_object(&store).await;
    store.reads();
    store.ail(Ailment::Slow(Duration::from_secs(5)));
    assert_eq!(remote.read(VOLUME, OBJECT, 8..40).await.unwrap(), "89", "what there is of it");
    assert_eq!(store.reads(), 1, "the first was answered first");
    assert_eq!(remote.reach(), Reach::There);
}

#[tokio::test]
async fn a_missing_object_is_no_outage() {
    let store = SimulatedStore::default();
    let (remote, _) = with_object(&store).await;
    for _ in 0..10 {
        let missing = remote.read(VolumeId(1), OBJECT, 0..4).await;
        assert!(matches!(missing, Err(RemoteError::Missing(_))));
    }
    assert_eq!(remote.reach(), Reach::There);
    assert_eq!(remote.length(VOLUME, OBJECT).await, Ok(10));
}

fn pieces(bytes: &[u8]) -> state::Pieces {
    let mut left: Vec<Vec<u8>> = bytes.chunks(700_000).rev().map(<[u8]>::to_vec).collect();
    Box::new(move || Ok(left.pop().unwrap_or_default()))
}

#[tokio::test]
async fn a_file_of_the_state_is_there_as_it_was_or_not_at_all() {
    let store = SimulatedStore::default();
    let (remote, clock) = with_object(&store).await;
    let file = state::StateFile { name: "2a".into(), stamp: 7, length: 9_000_000 };
    let pace = crate::pace::Pace::unbounded(clock);
    let bytes: Vec<u8> = (0..9_000_000u32).map(|at| (at / 3) as u8).collect();
    store.ail(Ailment::Lying);
    let error = remote.bring_state(&file, pieces(&bytes), &pace).await.unwrap_err();
    assert!(error.to_string().contains("doesn't give back what it was given"), "{error}");
    assert!(remote.state_files().await.unwrap().is_empty(), "it was taken back");
    store.ail(Ailment::None);
    let unreadable: state::Pieces = Box::new(|| Err(std::io::Error::other("a bad drive")));
    let error = remote.bring_state(&file, unreadable, &pace).await.unwrap_err();
    assert!(error.to_string().contains("a bad drive"), "{error}");
    remote.bring_state(&file, pieces(&bytes), &pace).await.unwrap();
    assert_eq!(remote.state_files().await.unwrap(), [(file.clone(), 0)]);
    assert_eq!(remote.read_state(&file, 5..9).await.unwrap(), bytes[5..9]);
    remote.remove_state(&file).await.unwrap();
    assert!(remote.state_files().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_copy_of_the_state_may_name_waits_for_the_next_one() {
    let (remote, _) = with_object(&SimulatedStore::default()).await;
    assert!(remote.may_go(VOLUME), "nobody makes copies");
    remote.keeps_state();
    let before = remote.state_begins();
    assert!(!remote.may_go(VOLUME) && remote.wants_state());
    remote.state_is_there(before);
    assert!(!remote.may_go(VOLUME), "that one was begun before");
    let after = remote.state_begins();
    assert!(!remote.may_go(VOLUME));
    remote.state_is_there(after);
    assert!(remote.may_go(VOLUME) && !remote.wants_state());
}
