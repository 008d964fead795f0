//! The tiers of objects are decided by their use while a store is open, by a clock that the test sets.

use crate::store::{BUCKET, add_bucket_to, key, open_foundation, record};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_engine::tiering::{Held, Month, Standing};
use stratum_engine::{Config, Engine, TieringConfig};
use stratum_metadata::TierWish;
use stratum_metadata::command::{Command, Outcome, WriteCondition};
use stratum_metadata::record::{
    Body, BucketRecord, Level, ObjectHeaders, ObjectRecord, StorageClass, TierReason,
};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use stratum_storage::task::Task;
use stratum_tiering::prices::{Prices, TierPrices};
use stratum_tiering::signals::Read;
use stratum_tiering::tier::PerTier;
use tokio::sync::watch;

const DAY: u64 = 86_400_000;
/// Shortly after a month of 30.4375 days began.
const BEGIN: UnixMillis = 1_701_500_000_000;
const GIB: u64 = 1 << 30;

/// A wall clock that leaps, and a monotonic clock that doesn't.
#[derive(Debug)]
struct Clocks {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl Clocks {
    fn pass(&self, millis: u64) {
        self.wall.fetch_add(millis, Ordering::SeqCst);
        self.monotonic.fetch_add(millis, Ordering::SeqCst);
    }

    fn leap(&self, millis: u64) {
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Clocks {
    fn now(&self) -> UnixMillis {
        self.wall.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}

/// A store of three tiers that decides only when the test tells it to.
struct Tiers {
    engine: Engine,
    clocks: Arc<Clocks>,
    _dir: tempfile::TempDir,
}

impl Tiers {
    async fn open() -> Tiers {
        Tiers::with(TieringConfig::default(), Level::NEWEST).await
    }

    async fn with(tiering: TieringConfig, first_level: Level) -> Tiers {
        let dir = tempfile::tempdir().unwrap();
        let tier = |tier: Tier| {
            let root = |number: u8| Root::Path(dir.path().join(format!("{}/{number}", tier.name())));
            TierConfig { tier, geometry: Geometry { k: 1, m: 1 }, drives: (0..2).map(root).collect() }
        };
        let drives = SetConfig { tiers: Tier::ALL.map(tier).into(), threads: Threads::Own };
        let options = journal::Options { segment_bytes: 4 << 20, cap: 64 << 20, ..Default::default() };
        let clocks = Arc::new(Clocks { wall: BEGIN.into(), monotonic: 1_000_000.into() });
        let foundation = open_foundation(&drives, options, clocks.clone()).await;
        let config = Config { reserve: 0, tiering, first_level, ..Config::new(dir.path().join("sled")) };
        let engine = Engine::open(foundation, config).await.unwrap();
        add_bucket_to(&engine).await;
        Tiers { engine, clocks, _dir: dir }
    }

    /// Puts an object whose record says that it has a GiB.
    async fn put(&self, number: u64, class: StorageClass) {
        self.put_with(key(number), number, |record| ObjectRecord { storage_class: class, ..record }).await;
    }

    async fn put_with(&self, key: Vec<u8>, number: u64, made: impl FnOnce(ObjectRecord) -> ObjectRecord) {
        let body = Bytes::from_static(b"x");
        let place = Place::ThisEntry { length: 1, crc32c: crc32c::crc32c(&body) };
        let record = made(ObjectRecord {
            modified: self.clocks.now(),
            ..record(number, GIB, Body::Blob(BlobRef::plain(place)))
        });
        let condition = WriteCondition::default();
        let command = Command::PutObject { bucket: BUCKET, key, record, condition };
        let outcome = self.engine.metadata.commit(command, body).await.unwrap();
        assert!(matches!(outcome, Outcome::Object(_)), "{outcome:?}");
    }

    fn read(&self, number: u64, times: usize, below_hot: bool) {
        let key = String::from_utf8(key(number)).unwrap();
        let read = Read { bytes: GIB, offset: 0, size: GIB };
        for _ in 0..times {
            self.engine.usage.record(BUCKET.0, &key, read, below_hot, self.clocks.now());
        }
    }

    async fn step(&self) {
        let (_stop, stopped) = watch::channel(false);
        self.engine.tiering.step(&stopped).await;
    }

    /// Does a whole walk, once one is due again.
    async fn walk(&self) {
        self.clocks.pass(DAY / 8);
        let before = self.engine.tiering.status().last_walk;
        for _ in 0..100 {
            self.step().await;
            if self.engine.tiering.status().last_walk != before {
                return;
            }
        }
        panic!("a walk doesn't end: {:?}", self.engine.tiering.status());
    }

    fn record(&self, number: u64) -> ObjectRecord {
        self.engine.metadata.local().object(BUCKET, &key(number)).unwrap().unwrap()
    }

    fn bucket(&self) -> BucketRecord {
        self.engine.metadata.local().bucket_of(BUCKET).unwrap().unwrap()
    }

    /// What the bucket held when the last walk came by, and what this month brought.
    fn report(&self) -> (Held, Month) {
        let (held, _, month) = self.engine.tiering.report(&self.bucket(), self.clocks.now()).unwrap();
        (held, month)
    }

    /// The tier in which an object belongs, and the reason of the last decision.
    fn told(&self, number: u64) -> (Tier, Option<TierReason>) {
        let attributes = self.record(number).attributes;
        let last = attributes.tiering.last().map(|decision| decision.reason);
        (attributes.belongs_in(self.clocks.now()).unwrap_or(Tier::Hot), last)
    }
}

impl Drop for Tiers {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_used_goes_down_and_comes_back_when_it_is_read() {
    let tiers = Tiers::open().await;
    tiers.put(1, StorageClass::Standard).await;
    tiers.put(2, StorageClass::Standard).await;
    tiers.put(3, StorageClass::GlacierIr).await;
    tiers.clocks.pass(6 * DAY);
    tiers.read(2, 1, false);
    tiers.walk().await;
    // The bucket is being watched for a week; storage classes don't depend on use.
    assert_eq!(tiers.told(1), (Tier::Hot, None));
    assert_eq!(tiers.told(3), (Tier::Cold, Some(TierReason::StorageClass)));
    assert_eq!(tiers.engine.tiering.status().warming_up.len(), 1);
    // Another object of its group was read, so the group has had no read for eight days only now.
    tiers.clocks.pass(7 * DAY);
    tiers.walk().await;
    assert_eq!((tiers.told(1), tiers.told(2)), ((Tier::Hot, None), (Tier::Hot, None)));
    tiers.clocks.pass(2 * DAY);
    tiers.walk().await;
    assert_eq!(tiers.told(1), (Tier::Cold, Some(TierReason::Model)));
    assert_eq!(tiers.told(2), (Tier::Cold, Some(TierReason::Model)));
    let last = tiers.record(1).attributes.tiering.last().copied().unwrap();
    let basis = last.basis.unwrap();
    assert_eq!((basis.from, basis.idle / DAY), (Tier::Hot, 15));
    // 0.023 less 0.004 dollars for a GiB.
    assert_eq!(basis.saves, 19_000_000);
    assert!(tiers.engine.tiering.status().warming_up.is_empty());

    tiers.clocks.pass(5 * DAY);
    tiers.read(1, 10, true);
    tiers.step().await;
    assert_eq!(tiers.told(1), (Tier::Hot, Some(TierReason::Spike)));
    assert_eq!(tiers.told(2), (Tier::Cold, Some(TierReason::Model)));
    // What woke it was the reads: until then it had lain in cold for five days, and each read there costs 0.03 dollars
    // and a dearer request.
    let basis = tiers.record(1).attributes.tiering.last().and_then(|last| last.basis).unwrap();
    assert_eq!((basis.from, basis.idle, basis.saves), (Tier::Cold, 5 * DAY, 30_009_600));
    // No decision is made again at once, or about an object that is in its tier.
    tiers.walk().await;
    assert_eq!(tiers.record(1).attributes.tiering.all().len(), 2);
    let status = tiers.engine.tiering.status();
    assert_eq!((status.last_walk.unwrap().decided, status.last_walk.unwrap().objects), (0, 3));
    let (held, month) = tiers.report();
    assert_eq!((held.objects.hot, held.objects.cold, held.bytes.cold), (1, 2, 2 * GIB));
    assert_eq!((month.moved["model"].0, month.moved["spike"].0), (2, 1));
    // Two moves down at 0.02/1,000 and hot's request, one up that reads a GiB; and the ten reads in cold.
    tiers.engine.usage.record_slow(BUCKET.0, stratum_tiering::tier::Tier::Cold, 10 * GIB);
    let (_, before) = tiers.report();
    assert!((0.03..0.04).contains(&before.spent), "{before:?}");
    assert!(before.saved > 0.0, "{before:?}");
    tiers.walk().await;
    let (_, after) = tiers.report();
    assert!((after.spent - before.spent - 0.3).abs() < 0.001, "{after:?} after {before:?}");
    assert!(after.saved > before.saved, "{after:?} after {before:?}");
}

/// A report that is read every week, in a store on whose drives nothing costs but storage: it is in cold for most of
/// the week, and once three visits came as they were expected, it is in hot when the next one comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_every_week_comes_up_ahead_of_its_visit() {
    let stored =
        |storage_gb_month| TierPrices { storage_gb_month, retrieval_gb: 0.0, get_1000: 0.0, put_1000: 0.0 };
    let prices = PerTier { hot: stored(0.023), warm: stored(0.023), cold: stored(0.004) };
    let config = TieringConfig { prices: Prices::new(prices).unwrap(), ..TieringConfig::default() };
    let tiers = Tiers::with(config, Level::NEWEST).await;
    let report = |record| {
        let user = [("stratum-priority".into(), "latency".into())].into();
        let headers = ObjectHeaders { user, ..ObjectHeaders::default() };
        ObjectRecord { size: 100 << 20, headers, ..record }
    };
    tiers.put_with(key(1), 1, report).await;
    tiers.clocks.pass(8 * DAY);
    tiers.read(1, 1, false);
    let walks = async |count: usize| {
        for _ in 0..count {
            tiers.walk().await;
        }
        tiers.told(1).0
    };
    let (mut in_between, mut found_in) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        // A walk takes an eighth of a day; the last of the week is as long before the visit.
        in_between.push(walks(24).await);
        found_in.push(walks(31).await);
        let last = tiers.record(1).attributes.tiering.last().copied().unwrap();
        assert_eq!(
            last.basis.is_none(),
            found_in.last() == Some(&Tier::Hot),
            "it wasn't read for that: {last:?}"
        );
        tiers.clocks.pass(DAY / 8);
        tiers.read(1, 1, found_in.last() != Some(&Tier::Hot));
        tiers.step().await;
        assert_eq!(tiers.told(1).0, Tier::Hot);
    }
    assert_eq!(in_between, [Tier::Cold; 6]);
    assert_eq!(found_in, [Tier::Cold, Tier::Cold, Tier::Cold, Tier::Hot, Tier::Hot, Tier::Hot]);
}

/// A walk goes from object to object, and so comes to no bucket that has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_known_to_be_empty_once_a_walk_has_passed() {
    let tiers = Tiers::open().await;
    assert!(tiers.engine.tiering.report(&tiers.bucket(), tiers.clocks.now()).is_none());
    tiers.walk().await;
    assert_eq!(tiers.report().0, Held::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_keeps_what_lies_under_large_prefixes() {
    let tiers = Tiers::open().await;
    let named = |number: u64| format!("{}/{number}", if number < 1_500 { "many" } else { "few" });
    let puts = (0..1_510).map(|number| tiers.put_with(named(number).into_bytes(), number, |record| record));
    futures_util::future::join_all(puts).await;
    let found =
        |prefix: &str| tiers.engine.tiering.found_under(&tiers.bucket(), prefix).map(|(found, _)| found);
    assert_eq!(found("many/"), None);
    tiers.walk().await;
    let many = found("many/").unwrap();
    assert_eq!(
        (many.all.objects.hot, many.beside.objects.hot, many.all.bytes.hot),
        (1_500, 1_500, 1_500 * GIB)
    );
    let whole = found("").unwrap();
    assert_eq!((whole.all.objects.hot, whole.beside.objects.hot, found("few/")), (1_510, 0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_leaps_moves_nothing() {
    let tiers = Tiers::open().await;
    tiers.put(1, StorageClass::Standard).await;
    tiers.walk().await;
    tiers.clocks.leap(400 * DAY);
    tiers.walk().await;
    assert_eq!(tiers.told(1), (Tier::Hot, None));
    assert_eq!(tiers.engine.tiering.status().clock_leaps, 1);
    // By the wall clock a year has passed, but not by the monotonic one.
    tiers.clocks.pass(6 * DAY);
    tiers.walk().await;
    assert_eq!(tiers.told(1), (Tier::Hot, None));
    tiers.clocks.pass(DAY);
    tiers.walk().await;
    assert_eq!(tiers.told(1), (Tier::Cold, Some(TierReason::Model)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_walk_sends_no_more_down_than_its_part() {
    let tiers = Tiers::open().await;
    let numbers = 0..2_500;
    let puts = numbers.clone().map(|number| tiers.put(number, StorageClass::Standard));
    futures_util::future::join_all(puts).await;
    tiers.clocks.pass(30 * DAY);
    tiers.walk().await;
    let down = || numbers.clone().filter(|number| tiers.told(*number).0 == Tier::Cold).count();
    assert_eq!(down(), 1_024);
    let walked = tiers.engine.tiering.status().last_walk.unwrap();
    assert_eq!((walked.decided, walked.put_off, walked.objects), (1_024, 2_500 - 1_024, 2_500));
    tiers.walk().await;
    tiers.walk().await;
    assert_eq!(down(), 2_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_by_hand_and_a_pin_are_left_alone() {
    let tiers = Tiers::open().await;
    for number in 1..=3 {
        tiers.put(number, StorageClass::Standard).await;
    }
    tiers.clocks.pass(30 * DAY);
    let now = tiers.clocks.now();
    let decide = async |number, wish| {
        let objects = vec![(key(number), tiers.record(number))];
        assert_eq!(tiers.engine.metadata.decide_tiers(BUCKET, objects, &wish, now).await, Ok(1));
    };
    decide(1, TierWish::Move(Tier::Hot)).await;
    let pin =
        stratum_metadata::record::TierPin { tier: Tier::Hot, by: "root".into(), since: now, until: None };
    decide(2, TierWish::Pin(pin)).await;
    tiers.clocks.pass(6 * DAY);
    tiers.walk().await;
    assert_eq!(
        [1, 2, 3].map(|number| tiers.told(number)),
        [
            (Tier::Hot, Some(TierReason::ByHand)),
            (Tier::Hot, Some(TierReason::Pin)),
            (Tier::Cold, Some(TierReason::Model))
        ]
    );
    tiers.clocks.pass(DAY);
    tiers.walk().await;
    assert_eq!(tiers.told(1), (Tier::Cold, Some(TierReason::Model)));
    assert_eq!(tiers.told(2), (Tier::Hot, Some(TierReason::Pin)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_why_nothing_is_decided() {
    for (config, level, standing) in [
        (TieringConfig { policy: None, ..TieringConfig::default() }, Level::NEWEST, Standing::Off),
        (TieringConfig::default(), Level::FIRST, Standing::OldLevel),
    ] {
        let tiers = Tiers::with(config, level).await;
        tiers.put(1, StorageClass::Standard).await;
        tiers.clocks.pass(30 * DAY);
        tiers.step().await;
        tiers.step().await;
        assert_eq!(tiers.told(1), (Tier::Hot, None));
        let status = tiers.engine.tiering.status();
        assert_eq!((status.standing, status.last_walk), (standing, None));
        assert!(status.standing.why_not().is_some());
    }
}
