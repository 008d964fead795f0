use super::simulated::{Ailment, SimulatedStore};
use super::*;
use crate::ambient::Simulated;
use tokio::time::Instant;

const VOLUME: VolumeId = VolumeId(42);
const OBJECT: RemoteObject = RemoteObject { upload: 7 };

fn remote(store: &SimulatedStore, owner: &str) -> (Arc<Remote>, Arc<Simulated>) {
    let clock = Arc::new(Simulated::new(1_000_000, 0));
    (Remote::new(Arc::new(store.clone()), owner.into(), clock.clone()), clock)
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
