//! Objects are moved to other tiers, and nothing is lost or repeated endlessly, whatever goes wrong.

use crate::evacuation::random;
use crate::store::unmarked;
use crate::tiers::{Machine, Tiered, collect, in_virtual_time};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use stratum_metadata::Packer;
use stratum_storage::blob::{Place, Tier};
use stratum_storage::drive::simulated::Op;
use stratum_storage::pace::Class;
use stratum_storage::task::{Next, Task};

/// Objects of every kind: small ones in the journal, one with extents, and one that shrinks so much that it is
/// packed.
async fn filled(store: &Tiered) -> BTreeMap<u64, Bytes> {
    let lines: Bytes = b"GET /index.html HTTP/1.1 200\n".repeat(20_000).into();
    let bodies = [(1, random(1, 5_000)), (2, random(2, 900_000)), (3, lines), (4, random(4, 32 << 10))];
    for (number, body) in &bodies {
        store.put(*number, body).await;
    }
    bodies.into()
}

async fn all_read_back(store: &Tiered, bodies: &BTreeMap<u64, Bytes>) {
    for (number, body) in bodies {
        assert!(store.read(*number).await == *body, "object {number}");
    }
}

/// A store whose background work takes four turns of a MiB in a second, so that a test can act between them.
fn slow() -> Machine {
    let mut machine = Machine::new();
    machine.budget.bytes_per_second = 4 << 20;
    machine
}

fn turns(store: &Tiered) -> u64 {
    store.pace().done(Class::Transition).turns
}

#[test]
fn every_kind_of_body_is_moved_there_and_back() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies = filled(&store).await;
        for tier in [Tier::Warm, Tier::Cold, Tier::Hot, Tier::Warm] {
            store.wish(bodies.keys().copied(), tier).await;
            store.step().await;
            for number in bodies.keys() {
                assert_eq!(
                    (store.tier(*number), store.is_reviewed(*number)),
                    (Some(tier), false),
                    "{number}"
                );
            }
            all_read_back(&store, &bodies).await;
            let others = Tier::ALL.into_iter().filter(|other| *other != tier);
            assert_eq!(others.map(|other| store.live(other)).sum::<u64>(), 0);
        }
        assert!(matches!(store.blob(3).place, Place::Packed(_)), "its lines shrink to less than 32 KiB");
        assert_eq!(store.reviews.status().objects, 16);
    });
}

#[test]
fn a_copy_that_reads_back_wrong_is_freed_and_the_object_stays_where_it_was() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let mut bodies = filled(&store).await;
        let large = random(5, 30 << 20);
        store.put(5, &large).await;
        bodies.insert(5, large);
        let before: Vec<_> = bodies.keys().map(|number| store.blob(*number)).collect();
        // More of the tier's drives return wrong bytes than parity can correct.
        machine.of(Tier::Warm).iter().take(3).for_each(|disk| disk.rot_reads(Some(1)));
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        store.steps_for(Duration::from_secs(60)).await;
        let after: Vec<_> = bodies.keys().map(|number| store.blob(*number)).collect();
        assert_eq!(after, before);
        let status = store.reviews.status();
        assert_eq!((status.objects, status.unreadable), (0, 5), "told, once each: {status:?}");
        assert_eq!(store.live(Tier::Warm), 0);
        let volumes = store.metadata.local().volumes().unwrap();
        let warm: Vec<_> = volumes.iter().filter(|volume| volume.tier == Tier::Warm).collect();
        assert!(!warm.is_empty(), "copies were written");
        all_read_back(&store, &bodies).await;
        let written = machine.used(Tier::Warm);
        // The drives return right bytes again. The moves are tried again, into the freed space or beside it.
        machine.of(Tier::Warm).iter().for_each(|disk| disk.rot_reads(None));
        store.steps_for(Duration::from_secs(620)).await;
        for number in bodies.keys() {
            assert_eq!(
                (store.tier(*number), store.is_reviewed(*number)),
                (Some(Tier::Warm), false),
                "{number}"
            );
        }
        all_read_back(&store, &bodies).await;
        // In a tier that holds all of the objects, that much more is written.
        store.wish(bodies.keys().copied(), Tier::Cold).await;
        store.step().await;
        let full = machine.used(Tier::Cold);
        assert!(
            written + (44 << 20) < full,
            "of {full} bytes {written} are left of copies that nobody names"
        );
    });
}

#[test]
fn a_body_that_can_t_be_read_puts_off_its_own_object_and_no_other() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies: BTreeMap<u64, Bytes> = (0..20).map(|number| (number, random(number, 50_000))).collect();
        for (number, body) in &bodies {
            store.put(*number, body).await;
        }
        let Place::Extents(extents) = store.blob(7).place else { panic!("it has extents") };
        for disk in machine.of(Tier::Hot).iter().take(3) {
            let file = disk.files().into_iter().find(|path| path.starts_with("volumes/")).unwrap();
            disk.flip_bit(&file, (extents[0].start + 6_000) * 8).unwrap();
        }
        store.wish(bodies.keys().copied(), Tier::Cold).await;
        let step = store.step().await;
        assert_ne!(step, Next::AtOnce, "nothing is left that it could do at once");
        for number in bodies.keys().filter(|number| **number != 7) {
            assert_eq!(
                (store.tier(*number), store.is_reviewed(*number)),
                (Some(Tier::Cold), false),
                "{number}"
            );
        }
        assert_eq!((store.tier(7), store.is_reviewed(7)), (Some(Tier::Hot), true));
        assert!(store.object(7).attributes.review.unwrap() > store.clock.now() + 500_000, "it is put off");
        assert_eq!(store.reviews.status().unreadable, 1);
    });
}

#[test]
fn a_full_tier_is_not_asked_in_a_loop_and_moves_to_others_go_on() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        // More of them than a page belong in the full tier.
        let bodies: BTreeMap<u64, Bytes> = (0..1_500).map(|number| (number, random(number, 600))).collect();
        for (number, body) in &bodies {
            store.put(*number, body).await;
        }
        let large = random(9, 3 << 20);
        store.put(2_000, &large).await;
        store.put(2_001, &large).await;
        machine.of(Tier::Warm).iter().for_each(|disk| disk.set_capacity(Some(disk.used() + 10_000)));
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        store.wish([2_000], Tier::Warm).await;
        store.steps_for(Duration::from_secs(5)).await;
        let waiting = store.reviews.status().waiting;
        assert!(waiting["warm"].contains("delete something or add space"), "{waiting:?}");
        let (turns_before, used) = (turns(&store), machine.used(Tier::Warm));
        // An object for another tier waits for nothing, however many wait before it.
        store.wish([2_001], Tier::Cold).await;
        store.steps_for(Duration::from_secs(1)).await;
        assert_eq!(store.tier(2_001), Some(Tier::Cold));
        let one = turns(&store) - turns_before;
        store.steps_for(Duration::from_secs(120)).await;
        assert_eq!(turns(&store), turns_before + one, "nothing is read or written for a tier that is full");
        assert_eq!(machine.used(Tier::Warm), used);
        machine.of(Tier::Warm).iter().for_each(|disk| disk.set_capacity(None));
        store.steps_for(Duration::from_secs(15)).await;
        assert!(store.reviews.status().waiting.is_empty());
        assert!(bodies.keys().all(|number| store.tier(*number) == Some(Tier::Warm)));
        assert_eq!(store.tier(2_000), Some(Tier::Warm));
        all_read_back(&store, &bodies).await;
    });
}

#[test]
fn a_body_that_is_larger_than_the_room_holds_up_no_other() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let (large, short) = (random(1, 40 << 20), random(2, 100_000));
        store.put(1, &large).await;
        store.put(2, &short).await;
        machine.of(Tier::Warm).iter().for_each(|disk| disk.set_capacity(Some(disk.used() + (6 << 20))));
        store.wish([1, 2], Tier::Warm).await;
        store.steps_for(Duration::from_secs(60)).await;
        assert_eq!((store.tier(1), store.tier(2)), (Some(Tier::Hot), Some(Tier::Warm)));
        assert_eq!(store.reviews.status().unreadable, 1, "it is told");
        machine.of(Tier::Warm).iter().for_each(|disk| disk.set_capacity(None));
        store.steps_for(Duration::from_secs(620)).await;
        assert_eq!(store.tier(1), Some(Tier::Warm));
        assert!(store.read(1).await == large);
    });
}

#[test]
fn a_tier_with_too_few_drives_is_waited_for_and_goes_on_when_they_are_back() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies = filled(&store).await;
        // All drives but two fail at the first write.
        machine.of(Tier::Warm).iter().skip(2).for_each(|disk| disk.fail_nth(Op::Write, 1));
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        store.steps_for(Duration::from_secs(40)).await;
        let waiting = store.reviews.status().waiting;
        assert!(waiting["warm"].contains("bring drives back"), "{waiting:?}");
        let (turns_before, used) = (turns(&store), machine.used(Tier::Warm));
        store.steps_for(Duration::from_secs(120)).await;
        assert_eq!((turns(&store), machine.used(Tier::Warm)), (turns_before, used));
        all_read_back(&store, &bodies).await;
        machine.kill(store, 1);
        let store = machine.open().await.unwrap();
        store.steps_for(Duration::from_secs(15)).await;
        assert!(bodies.keys().all(|number| store.tier(*number) == Some(Tier::Warm)));
        all_read_back(&store, &bodies).await;
    });
}

#[test]
fn the_power_may_fail_at_any_step_of_a_move() {
    in_virtual_time(async {
        let mut steps = 1;
        for seed in 0.. {
            let machine = Machine::new();
            let store = machine.form().await;
            let bodies = filled(&store).await;
            store.wish(bodies.keys().copied(), Tier::Warm).await;
            machine.power.fail_at(steps);
            store.step().await;
            let is_over = !machine.power.is_off();
            machine.kill(store, seed);
            let store = machine.open().await.unwrap();
            all_read_back(&store, &bodies).await;
            store.steps_for(Duration::from_secs(1)).await;
            assert!(bodies.keys().all(|number| store.tier(*number) == Some(Tier::Warm)), "after {steps}");
            all_read_back(&store, &bodies).await;
            // Copies that no record names don't count as live, and nothing is left in the hot tier's volumes.
            let lines = store.blob(3).len();
            let rest = bodies.values().map(|body| body.len() as u64).sum::<u64>() - bodies[&3].len() as u64;
            assert_eq!((store.live(Tier::Hot), store.live(Tier::Warm)), (0, rest + lines));
            if is_over {
                assert!(seed > 5, "the power failed in the midst of moves");
                return;
            }
            steps += 1 + steps / 8;
        }
    });
}

#[test]
fn a_move_that_is_stopped_between_copy_and_swap_leaves_nothing() {
    in_virtual_time(async {
        let machine = slow();
        let store = machine.form().await;
        let large = random(1, 30 << 20);
        store.put(1, &large).await;
        store.wish([1], Tier::Warm).await;
        let blank = machine.used(Tier::Warm);
        let (reviews, stop) = (store.reviews.clone(), store.stopped());
        let moving = tokio::spawn(async move { reviews.step(&stop).await });
        while machine.used(Tier::Warm) == blank {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        store.tell_to_stop();
        moving.await.unwrap();
        store.free().await;
        assert_eq!((store.tier(1), store.is_reviewed(1), store.live(Tier::Warm)), (Some(Tier::Hot), true, 0));
        assert!(store.read(1).await == large);
        machine.kill(store, 3);
        let store = machine.open().await.unwrap();
        store.steps_for(Duration::from_secs(2)).await;
        assert_eq!((store.tier(1), store.live(Tier::Warm)), (Some(Tier::Warm), 30 << 20));
    });
}

#[test]
fn a_reader_reads_on_while_its_object_is_moved_and_freed() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies = filled(&store).await;
        // Packed bodies, too.
        store.wish(bodies.keys().copied(), Tier::Cold).await;
        store.step().await;
        for tier in [Tier::Hot, Tier::Warm, Tier::Hot] {
            let mut readers = Vec::new();
            for (number, body) in &bodies {
                let mut reader = store.reader(*number);
                let first = reader.next().await.unwrap().unwrap();
                readers.push((reader, first, body));
            }
            store.wish(bodies.keys().copied(), tier).await;
            store.steps_for(Duration::from_secs(2)).await;
            assert!(bodies.keys().all(|number| store.tier(*number) == Some(tier)));
            for (reader, first, body) in readers {
                assert!([first, collect(reader).await].concat() == *body);
            }
            all_read_back(&store, &bodies).await;
        }
    });
}

/// Objects that must wait, since others are being carried.
const CROWD: std::ops::Range<u64> = 10..22;

#[test]
fn an_object_that_is_overwritten_during_its_move_keeps_the_new_bytes() {
    in_virtual_time(async {
        for moment in 0..16 {
            let machine = slow();
            let store = machine.form().await;
            let mut bodies = filled(&store).await;
            // More objects than are carried at the same time, so that some wait to be opened.
            for number in CROWD {
                let body = random(number, 100_000);
                store.put(number, &body).await;
                bodies.insert(number, body);
            }
            store.wish(bodies.keys().copied(), Tier::Warm).await;
            let (reviews, stop) = (store.reviews.clone(), store.stopped());
            let moving = tokio::spawn(async move { reviews.step(&stop).await });
            tokio::time::sleep(moment * Duration::from_millis(40)).await;
            for number in [1, 2, 3].into_iter().chain(CROWD) {
                let body = random(100 + number, 70_000 * number as usize);
                store.put(number, &body).await;
                bodies.insert(number, body);
            }
            moving.await.unwrap();
            store.free().await;
            all_read_back(&store, &bodies).await;
            for number in [1, 2, 3].into_iter().chain(CROWD) {
                assert_eq!(
                    (store.tier(number), store.is_reviewed(number)),
                    (Some(Tier::Hot), false),
                    "{moment}"
                );
            }
            store.steps_for(Duration::from_secs(1)).await;
            assert_eq!((store.tier(4), store.live(Tier::Warm)), (Some(Tier::Warm), 32 << 10), "{moment}");
        }
    });
}

#[test]
fn bodies_of_one_stripe_are_read_with_it() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies: BTreeMap<u64, Bytes> = (0..900).map(|number| (number, random(number, 4_096))).collect();
        for (number, body) in &bodies {
            store.put(*number, body).await;
        }
        store.wish(bodies.keys().copied(), Tier::Cold).await;
        store.step().await;
        assert!(bodies.keys().all(|number| matches!(store.blob(*number).place, Place::Packed(_))));
        let (before, reads) =
            (turns(&store), machine.of(Tier::Cold).iter().map(|disk| disk.reads()).sum::<u64>());
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        store.step().await;
        assert!(bodies.keys().all(|number| store.tier(*number) == Some(Tier::Warm)));
        all_read_back(&store, &bodies).await;
        let read = machine.of(Tier::Cold).iter().map(|disk| disk.reads()).sum::<u64>() - reads;
        let took = turns(&store) - before;
        assert!(took < 20 && read < 100, "{took} turns and {read} reads for 900 bodies of 4 KiB");
    });
}

#[test]
fn a_restored_state_moves_nothing_until_it_is_accepted() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies = filled(&store).await;
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        store.metadata.hold_back();
        store.steps_for(Duration::from_secs(30)).await;
        assert_eq!((store.tier(2), machine.used(Tier::Warm)), (Some(Tier::Hot), machine.used(Tier::Cold)));
    });
}

#[test]
fn a_body_that_was_packed_meanwhile_is_read_where_it_is() {
    in_virtual_time(async {
        let machine = Machine::new();
        let store = machine.form().await;
        let bodies: BTreeMap<u64, Bytes> = (0..400).map(|number| (number, random(number, 20_000))).collect();
        for (number, body) in &bodies {
            store.put(*number, body).await;
        }
        store.wish(bodies.keys().copied(), Tier::Warm).await;
        let packer = Packer::new(store.metadata.clone(), store.volumes.clone(), unmarked());
        let stop = store.stopped();
        let (packed, _) = tokio::join!(packer.step(&stop), store.reviews.step(&stop));
        let _ = packed;
        store.steps_for(Duration::from_secs(2)).await;
        assert!(bodies.keys().all(|number| store.tier(*number) == Some(Tier::Warm)));
        all_read_back(&store, &bodies).await;
    });
}
