//! After one scrub, whatever was done to the shard files of up to `m` drives is repaired.

use crate::heal::{FIRST, G, assert_whole, drive_of, healer, hurry, sealed};
use crate::world::{Server, World, body, run, shard_file};
use bytes::Bytes;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use stratum_storage::ambient::{Clock, Simulated, UnixMillis};
use stratum_storage::blob::{BlobRef, VolumeId};
use stratum_storage::drive::OpenHow;
use stratum_storage::format::layout::{Blocks, FRAGMENT_HEADER, Stripe};
use stratum_storage::format::v1::Fragment;
use stratum_storage::heal::Healer;
use stratum_storage::inspect;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::readpath::Parity;
use stratum_storage::scrub::{PASS_PERIOD_MILLIS, ScrubCursor, ScrubFindings, ScrubPhase, Scrubber};
use stratum_storage::task::{self, Task};
use tokio::sync::watch;

/// Runs a pass that was asked for, with heal beside it, to its end.
async fn pass(server: &Server, healer: &Arc<Healer>) -> ScrubFindings {
    let scrubber = Arc::new(scrubber(server, healer, ScrubCursor::default()));
    let passes = scrubber.status().cursor.passes;
    scrubber.start();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(task::run(scrubber.clone(), stopped));
    while scrubber.status().cursor.passes == passes {
        healer.round().await;
        server.volumes.tend().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    scrubber.status().cursor.found
}

/// A store with little to write has its only volume open for as long as it runs.
#[test]
fn what_lies_in_an_open_volume_is_looked_at_too() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let body = body(1, 3_000_000);
        let blob = server.put(&body).await.unwrap();
        let disk = drive_of(&world, 2);
        world.disks[disk].flip_bit(&shard_file(&world, disk, FIRST).unwrap(), (4096 + 90_000) * 8).unwrap();
        let found = pass(&server, &healer(&server)).await;
        assert_eq!((found.stripes, found.bad_fragments, found.mended), (3, 1, 1));
        // What is written now goes elsewhere, and the next pass has no more to do than that.
        let another = server.put(&body).await.unwrap();
        assert!((0..6).any(|disk| shard_file(&world, disk, VolumeId(FIRST.0 + 1)).is_some()));
        let found = pass(&server, &healer(&server)).await;
        assert_eq!((found.stripes, found.bad_fragments), (6, 0));
        for blob in [blob, another] {
            assert!(server.get(&blob).await.as_ref() == Ok(&body));
        }
    });
}

fn scrubber(server: &Server, healer: &Arc<Healer>, cursor: ScrubCursor) -> Scrubber {
    let clock = Arc::new(Simulated::new(PASS_PERIOD_MILLIS * 2, 1));
    Scrubber::new(server.volumes.rebuilder.clone(), healer.clone(), hurry(), clock, cursor, |_| {})
}

/// What is done to a shard file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// At that byte.
    Flip(u64),
    CutTo(u64),
    Deleted,
    /// The file as it was when only the first body was in it.
    Older,
    Scrambled,
    /// The file of another shard, under this name.
    Swapped,
}

const EVERY_DAMAGE: [Damage; 12] = [
    Damage::Flip(9),
    Damage::Flip(4000),
    Damage::Flip(8192 + 20),
    Damage::Flip(8192 + 66),
    Damage::Flip(8192 + 90_000),
    Damage::Flip(8192 + 266_239),
    Damage::CutTo(0),
    Damage::CutTo(100_000),
    Damage::Deleted,
    Damage::Older,
    Damage::Scrambled,
    Damage::Swapped,
];

fn damage(world: &World, shard: u8, damage: Damage, older: &[Vec<u8>]) {
    let disk = drive_of(world, shard);
    let path = shard_file(world, disk, FIRST).unwrap();
    let io = world.disks[disk].attach();
    let overwrite = |bytes: &[u8]| {
        let file = io.open(&path, OpenHow::Write).unwrap();
        file.set_len(0).unwrap();
        file.write_at(&[bytes], 0).unwrap();
    };
    match damage {
        Damage::Flip(byte) => world.disks[disk].flip_bit(&path, byte * 8 + 3).unwrap(),
        Damage::CutTo(length) => io.open(&path, OpenHow::Write).unwrap().set_len(length).unwrap(),
        Damage::Deleted => io.remove(&path).unwrap(),
        Damage::Older => overwrite(&older[usize::from(shard)]),
        Damage::Scrambled => world.disks[disk].scramble(7),
        Damage::Swapped => overwrite(&content(world, (shard + 1) % 6)),
    }
}

fn content(world: &World, shard: u8) -> Vec<u8> {
    let disk = drive_of(world, shard);
    let file =
        world.disks[disk].attach().open(&shard_file(world, disk, FIRST).unwrap(), OpenHow::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// A sealed volume of three bodies, and its shard files as they were with only the first.
async fn with_older(world: &World) -> (Vec<(BlobRef, Bytes)>, Vec<Vec<u8>>) {
    let server = world.start().await;
    let mut bodies = Vec::new();
    let mut older = Vec::new();
    for (seed, length) in [(1, 100), (2, 1_500_000), (3, 200_000)] {
        let bytes = body(seed, length);
        bodies.push((server.put(&bytes).await.unwrap(), bytes));
        if seed == 1 {
            older = (0..6).map(|shard| content(world, shard)).collect();
        }
    }
    drop(server);
    drop(world.start().await);
    (bodies, older)
}

#[test]
fn after_a_scrub_every_damage_is_repaired() {
    run(async {
        for (number, first) in EVERY_DAMAGE.into_iter().enumerate() {
            for second in [None, Some(EVERY_DAMAGE[(number + 5) % EVERY_DAMAGE.len()])] {
                let world = World::new(G);
                let (bodies, older) = with_older(&world).await;
                damage(&world, (number % 6) as u8, first, &older);
                if let Some(second) = second {
                    damage(&world, ((number + 3) % 6) as u8, second, &older);
                }
                let server = world.start().await;
                let found = pass(&server, &healer(&server)).await;
                let what = format!("{first:?} {second:?} {found:?}");
                assert!(inspect::verify(&server.volumes.table, FIRST).await.unwrap().is_whole(), "{what}");
                assert_whole(&server, &bodies).await;
                assert_eq!((found.unreadable, found.ambiguous), (0, 0), "{what}");
                let lost = world.state.lost().len() as u64;
                assert!(found.mended + lost > 0, "{what}");
                let again = pass(&server, &healer(&server)).await;
                let expected =
                    ScrubFindings { stripes: again.stripes, bytes: again.bytes, ..ScrubFindings::default() };
                assert_eq!(again, expected, "a second scrub finds nothing: {what}");
            }
        }
    });
}

#[test]
fn a_scrub_reads_everything_once() {
    run(async {
        let world = World::new(G);
        let (server, bodies) = sealed(&world, &[100, 3_000_000, 40_000]).await;
        let found = pass(&server, &healer(&server)).await;
        let stripe = |payload| Stripe { geometry: G, payload }.disk();
        let disk = 2 * stripe(1 << 20) + stripe(3_000_000 - (2 << 20)) + stripe(40_000);
        assert_eq!((found.stripes, found.bytes), (4, disk * 6), "of what is live, and nothing else");
        let payload: u64 = bodies.iter().map(|(blob, _)| blob.len()).sum();
        assert!(found.bytes * 4 <= payload * 6 * 105 / 100, "{found:?}");
    });
}

/// Makes a fragment say something else, with checksums that are right.
fn forge(world: &World, shard: u8, offset: u64) {
    let disk = drive_of(world, shard);
    let path = shard_file(world, disk, FIRST).unwrap();
    let file = world.disks[disk].attach().open(&path, OpenHow::Write).unwrap();
    let mut header = [0; FRAGMENT_HEADER];
    file.read_at(&mut header, offset).unwrap();
    let address = Fragment::decode(&header).unwrap();
    let (block, data) = Blocks::all(address.stripe).data(address.stripe).next().unwrap();
    let mut bytes = vec![0; data.len()];
    let at = offset + FRAGMENT_HEADER as u64 + data.start as u64;
    file.read_at(&mut bytes, at).unwrap();
    bytes[17] ^= 0x40;
    file.write_at(&[&address.seed().checksum(block, &bytes).to_le_bytes(), &bytes], at - 4).unwrap();
}

#[test]
fn parity_that_disagrees_is_found_and_the_one_that_is_wrong_is_named() {
    run(async {
        for shard in 0..6 {
            let world = World::new(G);
            let (server, bodies) = sealed(&world, &[100, 1_000_000]).await;
            drop(server);
            forge(&world, shard, 8192);
            let server = world.start().await;
            let verified = inspect::verify(&server.volumes.table, FIRST).await.unwrap();
            assert_eq!(verified.stripes_found[0].parity, Parity::Disagrees { shard });
            let found = pass(&server, &healer(&server)).await;
            assert_eq!((found.parity_disagrees, found.mended, found.ambiguous), (1, 1, 0));
            assert_whole(&server, &bodies).await;
        }
    });
}

#[test]
fn when_nobody_can_say_which_bytes_are_right_nothing_is_changed() {
    run(async {
        let world = World::new(G);
        let (server, _) = sealed(&world, &[100, 1_000_000]).await;
        drop(server);
        forge(&world, 0, 8192);
        forge(&world, 4, 8192);
        let before: Vec<Vec<u8>> = (0..6).map(|shard| content(&world, shard)).collect();
        let server = world.start().await;
        let found = pass(&server, &healer(&server)).await;
        assert_eq!((found.parity_disagrees, found.ambiguous, found.mended), (1, 1, 0));
        assert!((0..6).all(|shard| content(&world, shard) == before[usize::from(shard)]));
    });
}

#[test]
fn a_pass_is_paused_saved_and_goes_on_after_a_restart() {
    run(async {
        let world = World::new(G);
        for seed in 0..3 {
            let server = world.start().await;
            server.put(&body(seed, 300_000)).await.unwrap();
        }
        let server = world.start().await;
        let clock = Arc::new(Simulated::new(PASS_PERIOD_MILLIS * 2, 1));
        let pace = Pace::unbounded(clock.clone());
        let saved = Arc::new(Mutex::new(ScrubCursor::default()));
        let keep = saved.clone();
        let first = Arc::new(Scrubber::new(
            server.volumes.rebuilder.clone(),
            healer(&server),
            pace.clone(),
            clock,
            ScrubCursor::default(),
            move |cursor| *keep.lock().unwrap() = cursor.clone(),
        ));
        first.start();
        assert!(first.pause());
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(task::run(first.clone(), stopped));
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.send_replace(true);
        running.await.unwrap();
        let cursor = saved.lock().unwrap().clone();
        assert_eq!((cursor.phase, cursor.found.stripes, cursor.passes), (ScrubPhase::Paused, 0, 0));
        assert_eq!(pace.done(Class::Scrub).bytes, 0);
        // As if it had come so far before.
        let cursor = ScrubCursor { volume: 2, ..cursor };
        let second = Arc::new(scrubber(&server, &healer(&server), cursor.clone()));
        second.start();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(task::run(second.clone(), stopped));
        while second.status().cursor.passes == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.send_replace(true);
        running.await.unwrap();
        let done = second.status().cursor;
        assert_eq!(
            (done.found.stripes, done.started_at),
            (2, cursor.started_at),
            "the rest of the same pass"
        );
        assert!(!second.pause(), "there is nothing to pause");
    });
}

/// A clock by which somebody does something else when the time is looked at next, and is waited for, for a moment.
#[derive(Default)]
struct Meddling {
    then: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    under_way: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Meddling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddling")
    }
}

impl Clock for Meddling {
    fn now(&self) -> UnixMillis {
        if let Some(then) = self.then.lock().unwrap().take() {
            let (done, ends) = mpsc::channel();
            let doing = std::thread::spawn(move || {
                then();
                let _ = done.send(());
            });
            *self.under_way.lock().unwrap() = Some(doing);
            // It may have to wait for whoever looks at the time.
            let _ = ends.recv_timeout(Duration::from_millis(200));
        }
        PASS_PERIOD_MILLIS * 2
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[test]
fn a_pass_that_is_asked_for_while_one_falls_due_stays_one_that_was_asked_for() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let clock = Arc::new(Meddling::default());
        let (rebuilder, healer) = (server.volumes.rebuilder.clone(), healer(&server));
        let cursor = ScrubCursor::default();
        let scrubber = Arc::new(Scrubber::new(rebuilder, healer, hurry(), clock.clone(), cursor, |_| {}));
        let operator = scrubber.clone();
        *clock.then.lock().unwrap() = Some(Box::new(move || operator.start()));
        let (_stop, stopped) = watch::channel(false);
        scrubber.step(&stopped).await;
        clock.under_way.lock().unwrap().take().unwrap().join().unwrap();
        assert_eq!(scrubber.status().cursor.phase, ScrubPhase::Asked);
    });
}

#[test]
fn a_pass_that_nobody_asked_for_is_spread_over_its_time() {
    run(async {
        let world = World::new(G);
        let (server, _) = sealed(&world, &[100, 3_000_000]).await;
        let scrubber = Arc::new(scrubber(&server, &healer(&server), ScrubCursor::default()));
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(task::run(scrubber.clone(), stopped));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let status = scrubber.status();
        assert_eq!((status.cursor.phase, status.cursor.found.stripes), (ScrubPhase::Spread, 0), "{status:?}");
        assert_eq!((status.volumes_to_do, status.seconds_left), (1, Some(PASS_PERIOD_MILLIS / 1000)));
        scrubber.start();
        while scrubber.status().cursor.passes == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(scrubber.status().cursor.found.stripes, 3);
        stop.send_replace(true);
        running.await.unwrap();
    });
}

#[test]
fn what_is_freed_under_a_look_is_no_finding() {
    run(async {
        let world = World::new(G);
        let server = world.start().await;
        let kept = server.put(&body(1, 3 << 20)).await.unwrap();
        let freed = server.put(&body(2, 3 << 20)).await.unwrap();
        let pace = Pace::unbounded(Arc::new(Simulated::new(1, 1)));
        pace.pause(Class::Scrub, true);
        let (volumes, turns) = (server.volumes.clone(), pace.clone());
        let look = tokio::spawn(async move { inspect::verify_in_use(&volumes.table, FIRST, &turns).await });
        // It has asked what is live, and waits for its turn.
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.delete(&freed);
        assert_eq!(server.volumes.tend().await.unwrap().punched, 0, "the look holds the volume");
        pace.pause(Class::Scrub, false);
        let verified = look.await.unwrap().unwrap();
        assert!(verified.is_whole() && verified.stripes == 6, "{verified:?}");
        assert!(server.volumes.tend().await.unwrap().punched > 0);

        // What is wrong is found; what has no owner any more isn't.
        let path = shard_file(&world, 2, FIRST).unwrap();
        world.disks[2].flip_bit(&path, 8 * 6_000).unwrap();
        let verified = inspect::verify_in_use(&server.volumes.table, FIRST, &pace).await.unwrap();
        assert!(verified.stripes == 3 && verified.stripes_found.len() == 1, "{verified:?}");
        server.delete(&kept);
        assert!(inspect::verify_in_use(&server.volumes.table, FIRST, &pace).await.unwrap().is_whole());
    });
}
