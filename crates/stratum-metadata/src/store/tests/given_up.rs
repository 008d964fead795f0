//! What was in lost blocks is given up, and nothing else: whatever becomes of the blocks afterwards.

use super::lost::{KEYS, SIZES, World, key};
use super::outage::is_whole;
use super::*;
use crate::record::{UploadId, UploadRecord};
use std::collections::BTreeMap;

/// What blocks, on a thread of its own.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

impl World {
    async fn of_level_2(sizes: Sizes) -> World {
        let world = World::new(sizes).await;
        world.metadata.raise_level(Level::SECOND).await.unwrap();
        world.checkpoint();
        world.remove_the_one_before();
        world
    }

    /// The tags under all keys that are there, read one by one and listed.
    async fn shown(&self) -> BTreeMap<u16, u8> {
        let tag = |number| match self.metadata.local().object(BucketId(1), key(number).as_bytes()).unwrap() {
            Some(ObjectRecord { etag: ETag::Md5([tag, ..]), .. }) => Some((number, tag)),
            _ => None,
        };
        let shown: BTreeMap<u16, u8> = (0..KEYS).filter_map(tag).collect();
        let all = ListRequest { max: usize::from(KEYS), ..list("", "") };
        assert_eq!(self.metadata.local().list(all).await.unwrap().entries.len(), shown.len());
        shown
    }

    fn ask(&self, token: &str) -> Result<Loss, LossError> {
        apart(|| self.metadata.give_up(token))
    }

    fn give_up(&self) -> Loss {
        let loss = self.metadata.loss().unwrap();
        self.ask(&loss.token).unwrap()
    }

    fn exported(&self) -> Result<Vec<Vec<u8>>, String> {
        let export = self.metadata.export_checkpoint().map_err(|error| error.to_string())?;
        export.into_iter().flatten().collect::<Result<_, _>>().map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn they_alone_are_gone_and_all_else_goes_on() {
    let world = World::of_level_2(SIZES).await;
    let name = world.ranges()[0].clone();
    // Some of them are known, for they changed since.
    for number in (0..KEYS).step_by(5) {
        world.put(number, 2).await.unwrap();
    }
    let world = world.restart();
    world.flip(&name, &[0, 1]);
    let lost = world.lost();
    assert!((2..40).contains(&lost.len()), "{lost:?}");
    let mut expected: BTreeMap<u16, u8> = (0..KEYS).map(|key| (key, 1 + u8::from(key % 5 == 0))).collect();
    expected.retain(|number, _| !lost.contains(number));

    let loss = world.metadata.loss().unwrap();
    assert_eq!((loss.blocks.len(), loss.buckets.as_slice()), (1, ["bucket".to_owned()].as_slice()));
    assert!(loss.at_most >= lost.len() as u64 && loss.at_most < 40, "{loss:?}");
    assert_eq!((loss.refusal.clone(), loss.more_buckets), (None, 0));
    let problem = world.exported().unwrap_err();
    assert!(problem.contains("stratum lost show"), "{problem}");
    assert!(matches!(world.ask("another"), Err(LossError::Changed)));
    assert_eq!(world.lost(), lost, "nothing happened yet");

    assert_eq!(world.ask(&loss.token).unwrap(), loss);
    // Whoever checks the drives now finds nothing of it, in no checkpoint.
    let checkpoints = crate::salvage::audit(&world.roster.healthy());
    assert!(
        checkpoints.len() >= 4 && checkpoints.iter().all(|copy| copy.problem.is_none()),
        "{checkpoints:?}"
    );
    assert_eq!(world.metadata.check_checkpoints(), []);
    assert_eq!(world.shown().await, expected);
    assert_eq!(world.metadata.lost_keys(), []);
    is_whole(&world.metadata);
    assert!(world.exported().is_ok());
    assert!(matches!(world.ask(&loss.token), Err(LossError::Nothing)));
    assert_eq!(world.metadata.loss().unwrap(), Loss::default());

    // They are keys like any other now, start after start.
    let first = *lost.first().unwrap();
    world.put(first, 7).await.unwrap();
    expected.insert(first, 7);
    let mut world = world;
    for _ in 0..2 {
        world = world.restart();
        assert_eq!(world.shown().await, expected);
        is_whole(&world.metadata);
        world.put(KEYS - 1, 9).await.unwrap();
        expected.insert(KEYS - 1, 9);
        world.checkpoint();
        assert_eq!(world.shown().await, expected);
    }
}

#[tokio::test]
async fn before_the_next_checkpoint_they_are_gone_as_well_whatever_the_drives_hold_then() {
    for (is_sound, is_replayed) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::of_level_2(SIZES).await.restart();
        let name = world.ranges()[0].clone();
        world.put(3, 2).await.unwrap();
        world.flip(&name, &[0, 1]);
        let lost = world.lost();
        let loss = world.metadata.loss().unwrap();
        // That took one. In the next tree is what is to be known after a start.
        let before = world.metadata.newest_checkpoint();
        apart(|| world.metadata.order_given_up(&loss.token)).unwrap();
        assert!(world.exported().is_err(), "the newest checkpoint has them");
        let first = *lost.first().unwrap();
        world.put(first, 7).await.unwrap();
        let expected = world.shown().await;
        assert_eq!(expected.len(), usize::from(KEYS) - lost.len() + 1);
        let applied = world.metadata.inner.machine.applied();
        is_whole(&world.metadata);
        if is_sound {
            world.flip(&name, &[0, 1]);
            world.metadata.heal_journal();
            assert_eq!(world.shown().await, expected);
        }
        if is_replayed {
            world.metadata.shutdown();
            std::fs::remove_dir_all(world.dir.path().join("sled")).unwrap();
        }
        let world = world.restart();
        assert_eq!(world.metadata.inner.machine.checkpoint().unwrap().applied().index, before);
        assert_eq!(world.metadata.inner.machine.applied(), applied, "{is_sound} {is_replayed}");
        assert_eq!(world.shown().await, expected);
        is_whole(&world.metadata);
        // The next one comes by itself.
        world.metadata.take_due_checkpoint();
        let world = world.restart();
        assert_eq!(world.shown().await, expected);
        is_whole(&world.metadata);
        assert!(world.exported().is_ok());
    }
}

#[tokio::test]
async fn what_changed_in_a_lost_run_goes_and_no_older_value_comes_back() {
    let sizes = Sizes { changes_bytes: 256 << 10, ..SIZES };
    let world = World::of_level_2(sizes).await;
    for number in (0..KEYS).step_by(2) {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    world.remove_the_one_before();
    let names = std::fs::read_dir(world.dir.path().join("hot/0/checkpoint")).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let run = names.filter(|name| name.contains(".8")).max().unwrap();
    let world = world.restart();
    world.flip(&run, &[0, 1]);
    let lost = world.lost();
    assert!(!lost.is_empty() && lost.len() < 80, "{lost:?}");
    let mut expected: BTreeMap<u16, u8> = (0..KEYS).map(|key| (key, 1 + u8::from(key % 2 == 0))).collect();
    expected.retain(|number, _| !lost.contains(number));
    let loss = world.metadata.loss().unwrap();
    assert!(loss.at_most >= lost.len() as u64, "{loss:?}");
    apart(|| world.metadata.order_given_up(&loss.token)).unwrap();
    assert_eq!(world.shown().await, expected);
    let world = world.restart();
    assert_eq!(world.shown().await, expected);
    is_whole(&world.metadata);
    world.checkpoint();
    is_whole(&world.metadata);
    let world = world.restart();
    assert_eq!(world.shown().await, expected);
    assert!(world.exported().is_ok());
}

#[tokio::test]
async fn a_start_knows_what_is_lost_and_what_was_brought_back() {
    let world = World::of_level_2(SIZES).await.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    assert!(!world.lost().is_empty());
    world.metadata.heal_journal();
    let told = world.metadata.lost_keys();
    let world = world.restart();
    assert_eq!((world.metadata.lost_keys(), told.len()), (told, 1));
    world.flip(&name, &[1]);
    let world = world.restart();
    assert_eq!(world.metadata.lost_keys(), [], "it is read again");
    world.metadata.heal_journal();
    assert_eq!(std::fs::read(world.dir.path().join("hot/0/checkpoint/lost")).unwrap(), b"");
}

#[tokio::test]
async fn what_comes_meanwhile_stays_and_what_is_found_meanwhile_is_not_given_up() {
    let world = World::of_level_2(SIZES).await.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    let lost = world.lost();
    let loss = world.metadata.loss().unwrap();
    // A key among them that is new: that it wasn't there is known without the block.
    let new = |number: u32| format!("{}-{number}", key(*lost.first().unwrap()));
    let mut came = Vec::new();
    for number in 0..8 {
        let command = put(&new(number), 5, WriteCondition::default());
        if world.metadata.commit(command, Bytes::from_static(b"x")).await.is_ok() {
            came.push(new(number));
        }
    }
    assert!(!came.is_empty());
    assert_eq!(world.metadata.loss().unwrap().token, loss.token, "what is lost is the same");
    world.give_up();
    for key in &came {
        assert!(world.metadata.local().object(BucketId(1), key.as_bytes()).unwrap().is_some(), "{key}");
    }
    is_whole(&world.metadata);

    let world = World::of_level_2(SIZES).await.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    assert!(!world.lost().is_empty());
    let loss = world.metadata.loss().unwrap();
    world.flip(&name, &[0, 1]);
    world.metadata.heal_journal();
    assert!(matches!(world.ask(&loss.token), Err(LossError::Nothing)));
    assert_eq!(world.shown().await.len(), usize::from(KEYS));
}

#[tokio::test]
async fn what_others_need_is_refused_in_words() {
    let world = World::of_level_2(SIZES).await;
    for number in 1..300u128 {
        // They don't pack well, so that they take more than a block.
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let record = UploadRecord {
            bucket: BucketId(1),
            key: format!("{id:x}").into(),
            initiated: 1,
            initiator: "owner".into(),
            storage_class: Default::default(),
            headers: ObjectHeaders::default(),
            checksum: None,
            attributes: Attributes::default(),
        };
        let command = Command::CreateUpload { upload: UploadId(id), record, expires: 1_000 };
        world.metadata.commit(command, Bytes::new()).await.unwrap();
    }
    world.checkpoint();
    world.remove_the_one_before();
    let world = world.restart();
    // The last range file, behind all objects.
    let last = world.ranges().pop().unwrap();
    world.flip(&last, &[0, 1]);
    let loss = world.metadata.loss().unwrap();
    let refusal = loss.refusal.unwrap();
    assert!(
        refusal.contains("others can't do without") && refusal.contains("restore of a backup"),
        "{refusal}"
    );
    let refused = world.ask(&loss.token);
    assert!(matches!(refused, Err(LossError::Refused(words)) if words == refusal));
    assert!(!world.metadata.lost_keys().is_empty());
    // Nothing is given back either, since what is lost may name it.
    assert!(matches!(world.metadata.reclaim(), Err(crate::ReclaimError::Lost)));
}

#[tokio::test]
async fn what_is_lost_is_told_where_the_names_of_its_buckets_are_lost_as_well() {
    let world = World::of_level_2(SIZES).await.restart();
    // The first block, in which the bucket's record lies before its first objects.
    world.flip_at(&world.ranges()[0], &[0, 1], 100);
    let loss = world.metadata.loss().unwrap();
    assert_eq!((loss.blocks.len(), loss.buckets.as_slice()), (1, [].as_slice()), "{loss:?}");
    assert!(loss.refusal.is_some_and(|refusal| refusal.contains("buckets")));
    // Who meets it elsewhere is told where to go on.
    let met = world.metadata.local().bucket_of(BucketId(1)).unwrap_err();
    assert!(met.to_string().contains("`stratum lost show` says what can be done"), "{met}");
}
