//! Sealed volumes of the cold tier go to the remote store, are read from there, and whatever is wrong with that store
//! costs no byte.

use crate::heal::FIRST;
use crate::world::{Server, World, body, run};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Geometry, Tier};
use stratum_storage::heal::Healer;
use stratum_storage::inspect;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::readpath::ReadError;
use stratum_storage::remote::simulated::{Ailment, SimulatedStore};
use stratum_storage::remote::{RemoteError, RemoteUse};
use stratum_storage::upload::{UploadStatus, Uploader};

const G: Geometry = Geometry { k: 4, m: 2 };
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scene {
    world: World,
    store: SimulatedStore,
    server: Server,
    uploader: Uploader,
    bodies: Vec<(BlobRef, Bytes)>,
}

impl Scene {
    /// A store with some bodies in an open volume, and a remote store that holds nothing yet.
    async fn new() -> Scene {
        let store = SimulatedStore::default();
        let mut world = World::new(G);
        (world.tier, world.remote) = (Tier::Cold, Some(store.clone()));
        let server = world.start().await;
        let mut bodies = Vec::new();
        for (seed, length) in [(1, 5_000_000), (2, 1), (3, 700_000), (4, 90_000)] {
            let body = body(seed, length);
            bodies.push((server.put(&body).await.unwrap(), body));
        }
        let uploader = uploader(&world, &server);
        Scene { world, store, server, uploader, bodies }
    }

    /// Has all of it brought to the remote store, as far as that goes now.
    async fn bring(&self) -> UploadStatus {
        self.uploader.hurry();
        self.rounds().await
    }

    async fn rounds(&self) -> UploadStatus {
        let remote = self.server.volumes.table.remote().unwrap();
        for _ in 0..4 {
            self.uploader.round(remote).await;
            self.server.volumes.tend().await.unwrap();
        }
        self.uploader.status().unwrap()
    }

    async fn restart(self) -> Scene {
        let Scene { world, store, server, bodies, .. } = self;
        drop(server);
        let server = world.start().await;
        let uploader = uploader(&world, &server);
        Scene { uploader, world, store, server, bodies }
    }

    async fn all_read_back(&self) {
        for (blob, body) in &self.bodies {
            assert_eq!(self.server.get(blob).await.as_ref(), Ok(body));
        }
    }

    fn shard_files(&self) -> usize {
        let files = self.world.disks.iter().flat_map(|disk| disk.files());
        files.filter(|path| path.starts_with("volumes/")).count()
    }

    /// The names of volumes in the remote store.
    fn objects(&self) -> Vec<String> {
        self.store.names().into_iter().filter(|name| name.starts_with("volumes/")).collect()
    }

    fn healer(&self) -> Arc<Healer> {
        let clock = self.world.clock.clone();
        Arc::new(Healer::new(self.server.volumes.rebuilder.clone(), Pace::unbounded(clock.clone()), clock))
    }
}

fn uploader(world: &World, server: &Server) -> Uploader {
    let (clock, entropy) = (world.clock.clone(), Arc::new(Simulated::new(0, 7)));
    Uploader::new(server.volumes.rebuilder.clone(), Pace::unbounded(clock.clone()), clock, entropy)
}

#[test]
fn a_sealed_volume_goes_there_and_is_read_from_there() {
    run(async {
        let scene = Scene::new().await;
        assert!(scene.rounds().await.uploaded == 0 && scene.objects().is_empty(), "it is small, and young");
        // Who asks for it is told at once that it is sealed first.
        scene.uploader.hurry();
        let asked = scene.uploader.status().unwrap();
        assert!((asked.waiting, asked.sealing) == (0, 1) && asked.sealing_bytes > 5_000_000, "{asked:?}");
        let status = scene.bring().await;
        assert_eq!((status.uploaded, status.waiting, status.volumes), (1, 0, 1), "{status:?}");
        assert_eq!(status.sealing, 0, "{status:?}");
        assert_eq!(scene.objects().len(), 1);
        assert_eq!(scene.shard_files(), 0, "what is there needn't be here");
        scene.all_read_back().await;
        let scene = scene.restart().await;
        scene.all_read_back().await;
        let (blob, body) = &scene.bodies[0];
        for range in [0..1, 4_999_999..5_000_000, 1_048_575..1_048_577, 300_000..2_000_000] {
            let expected = body.slice(range.start as usize..range.end as usize);
            assert_eq!(scene.server.get_range(blob, range).await, Ok(expected));
        }
        assert!(scene.server.restored.unknown.is_empty() && scene.server.restored.shards_lost == 0);
    });
}

/// The quarantine keeps for days what the spool needs, and who reads it may not have opened it yet.
#[test]
fn files_that_wait_for_their_readers_after_an_upload_are_not_put_aside() {
    run(async {
        let scene = Scene::new().await;
        let (remote, strays) = (scene.server.volumes.table.remote().unwrap(), &scene.server.volumes.strays);
        scene.uploader.hurry();
        for _ in 0..4 {
            scene.uploader.round(remote).await;
            if scene.uploader.status().unwrap().uploaded > 0 {
                break;
            }
            scene.server.volumes.tend().await.unwrap();
        }
        assert!(scene.uploader.status().unwrap().uploaded > 0 && scene.shard_files() > 0);
        for now in 1..4 {
            assert_eq!(strays.quarantine_unknown(now), []);
        }
        assert!(strays.find().is_empty());
        scene.server.volumes.tend().await.unwrap();
        assert_eq!((scene.shard_files(), strays.quarantined()), (0, vec![]));
        scene.all_read_back().await;
    });
}

#[test]
fn a_body_of_a_mib_is_one_request_and_a_long_one_few() {
    run(async {
        let scene = Scene::new().await;
        scene.bring().await;
        scene.store.reads();
        scene.server.get(&scene.bodies[2].0).await.unwrap();
        assert_eq!(scene.store.reads(), 1);
        let tail = 600_000..700_000;
        assert_eq!(scene.server.get_range(&scene.bodies[2].0, tail.clone()).await.unwrap().len(), 100_000);
        assert_eq!(
            scene.store.reads(),
            0,
            "it is remembered for a moment, for whoever reads the table first"
        );
        scene.server.get(&scene.bodies[0].0).await.unwrap();
        assert_eq!(scene.store.reads(), 5, "a stripe each");
        scene.server.get_range(&scene.bodies[0].0, 3_000_000..3_000_010).await.unwrap();
        assert_eq!(scene.store.reads(), 1);
    });
}

#[test]
fn a_store_that_lies_is_caught_and_the_volume_stays() {
    run(async {
        let scene = Scene::new().await;
        scene.rounds().await;
        scene.store.ail(Ailment::Lying);
        let status = scene.bring().await;
        assert_eq!((status.uploaded, status.failed, status.waiting), (0, 1, 1), "{status:?}");
        assert!(status.last_error.unwrap().contains("doesn't give back what it was given"));
        assert!(scene.objects().is_empty() && scene.shard_files() == 6);
        scene.all_read_back().await;
        scene.store.ail(Ailment::None);
        scene.rounds().await;
        assert!(scene.objects().is_empty(), "not at once");
        scene.world.clock.advance(Duration::from_secs(601));
        assert_eq!(scene.rounds().await.uploaded, 1);
        scene.all_read_back().await;
    });
}

#[test]
fn a_store_that_is_gone_keeps_what_lies_there_and_nothing_else() {
    run(async {
        let mut scene = Scene::new().await;
        scene.bring().await;
        let later = body(9, 300_000);
        let here = scene.server.put(&later).await.unwrap();
        scene.store.ail(Ailment::Gone);
        for (blob, _) in &scene.bodies {
            let error = scene.server.get(blob).await.unwrap_err();
            assert!(matches!(error, ReadError::Remote(RemoteError::Unavailable(_))), "{error}");
        }
        assert_eq!(scene.server.get(&here).await, Ok(later.clone()));
        let status = scene.bring().await;
        assert!(status.away_since.is_some() && status.refusal.is_some() && status.uploaded == 1);
        assert!(scene.server.volumes.table.bad_fragments().is_empty(), "nothing is lost");
        // A start without it, too.
        scene = scene.restart().await;
        assert_eq!(scene.server.get(&here).await, Ok(later.clone()));
        scene.store.ail(Ailment::None);
        scene.world.clock.advance(Duration::from_secs(10));
        scene.bring().await;
        scene.bodies.push((here, later));
        scene.all_read_back().await;
        assert_eq!(scene.objects().len(), 2);
    });
}

#[test]
fn what_the_store_loses_or_changes_is_told() {
    run(async {
        let scene = Scene::new().await;
        scene.bring().await;
        let healer = scene.healer();
        let name = scene.objects().remove(0);
        scene.store.rot(&name, 4096 + 200);
        let error = scene.server.get(&scene.bodies[0].0).await.unwrap_err();
        assert!(matches!(error, ReadError::RemoteDamaged { offset: 4096, .. }), "{error}");
        scene.server.get(&scene.bodies[2].0).await.unwrap();
        healer.round().await;
        assert_eq!(healer.status().unreadable_stripes, 1);
        scene.store.copy(&name, "aside");
        scene.store.lose(&name);
        scene.world.clock.advance(Duration::from_secs(3601));
        let status = scene.rounds().await;
        assert_eq!(status.missing, 1);
        healer.round().await;
        assert_eq!(healer.status().unreadable_stripes, 8, "all that live in it");
        let error = scene.server.get(&scene.bodies[3].0).await.unwrap_err();
        assert!(matches!(error, ReadError::Remote(RemoteError::Missing(_))), "{error}");
        // Somebody puts it back: within a minute all is as it was.
        scene.store.copy("aside", &name);
        scene.world.clock.advance(Duration::from_secs(60));
        assert_eq!(scene.rounds().await.missing, 0);
        healer.round().await;
        assert_eq!(healer.status().unreadable_stripes, 1, "what was wrong before");
        scene.server.get(&scene.bodies[3].0).await.unwrap();
    });
}

#[test]
fn an_empty_volume_is_removed_there() {
    run(async {
        let scene = Scene::new().await;
        scene.bring().await;
        scene.bodies.iter().for_each(|(blob, _)| scene.server.delete(blob));
        scene.store.ail(Ailment::Gone);
        scene.server.volumes.tend().await.unwrap();
        scene.server.volumes.tend().await.unwrap();
        assert_eq!(scene.objects().len(), 1, "not while it can't be reached");
        let scene = scene.restart().await;
        scene.store.ail(Ailment::None);
        scene.world.clock.advance(Duration::from_secs(10));
        scene.rounds().await;
        assert!(scene.objects().is_empty() && scene.world.state.records.lock().unwrap().is_empty());
    });
}

#[test]
fn an_upload_that_was_recorded_unheard_is_not_made_again() {
    run(async {
        let scene = Scene::new().await;
        // Sealed before nothing is heard any more.
        scene.store.ail(Ailment::Lying);
        scene.bring().await;
        scene.store.ail(Ailment::None);
        scene.world.clock.advance(Duration::from_secs(601));
        scene.world.state.set_mute(true);
        let status = scene.bring().await;
        assert_eq!((status.uploaded, scene.objects().len()), (0, 1), "{status:?}");
        scene.world.state.set_mute(false);
        scene.world.clock.advance(Duration::from_secs(601));
        assert_eq!(scene.rounds().await.uploaded, 1);
        assert_eq!(scene.objects().len(), 1);
        scene.all_read_back().await;
        assert_eq!(scene.shard_files(), 0);
    });
}

#[test]
fn an_object_that_nobody_names_goes_when_it_is_a_day_old() {
    run(async {
        let scene = Scene::new().await;
        scene.bring().await;
        let name = scene.objects().remove(0);
        // As a crash before it was recorded leaves it.
        scene.store.copy(&name, "volumes/v0000000000000009.00000000000000ff");
        scene.world.clock.advance(Duration::from_secs(3601));
        scene.rounds().await;
        assert_eq!(scene.objects().len(), 2);
        scene.world.clock.advance(DAY);
        assert_eq!(scene.rounds().await.garbage_removed, 1);
        assert_eq!(scene.objects(), [name]);
        scene.all_read_back().await;
    });
}

#[test]
fn a_copy_of_the_drives_removes_nothing_that_the_original_brought_there_since() {
    run(async {
        let scene = Scene::new().await;
        scene.rounds().await;
        // As copied drives have it: no word of the upload, in the records nor in the claims.
        let (records, claims) =
            (scene.world.state.records.lock().unwrap().clone(), scene.world.claims.copied());
        scene.bring().await;
        let there = scene.objects();
        assert_eq!(there.len(), 1);
        let mut copy = World::new(G);
        (copy.tier, copy.remote, copy.claims) = (Tier::Cold, Some(scene.store.clone()), claims);
        *copy.state.records.lock().unwrap() = records.into_iter().take(0).collect();
        copy.clock.advance(DAY * 3);
        let server = copy.start().await;
        let uploader = uploader(&copy, &server);
        let remote = server.volumes.table.remote().unwrap();
        for _ in 0..3 {
            uploader.round(remote).await;
            copy.clock.advance(DAY);
        }
        let status = uploader.status().unwrap();
        assert!(status.refusal.unwrap().contains("another server claimed"), "it is told");
        assert_eq!((status.garbage_removed, scene.objects()), (0, there));
        scene.all_read_back().await;
    });
}

#[test]
fn volumes_that_lie_in_a_store_which_the_configuration_does_not_name_are_told() {
    run(async {
        let mut scene = Scene::new().await;
        scene.bring().await;
        scene.world.remote = None;
        let scene = scene.restart().await;
        let status = scene.uploader.status().unwrap();
        assert_eq!((status.volumes, status.usable_for), (1, RemoteUse::Unconfigured));
        assert!(status.refusal.unwrap().contains("set `tiers.cold.remote`"));
    });
}

#[test]
fn a_state_from_before_the_upload_finds_the_object_again() {
    run(async {
        let scene = Scene::new().await;
        // As a backup has it that was taken before.
        let before = scene.world.state.records.lock().unwrap().clone();
        scene.bring().await;
        *scene.world.state.records.lock().unwrap() = before;
        scene.world.state.set_provisional(true);
        scene.world.clock.advance(DAY * 2);
        let scene = scene.restart().await;
        assert_eq!(scene.server.restored.shards_lost, 6);
        scene.rounds().await;
        scene.all_read_back().await;
        scene.world.state.set_provisional(false);
        scene.world.clock.advance(DAY * 2);
        scene.rounds().await;
        assert_eq!(scene.objects().len(), 1);
        scene.all_read_back().await;
    });
}

#[test]
fn a_restored_state_brings_nothing_there_before_it_is_accepted() {
    run(async {
        let scene = Scene::new().await;
        scene.world.state.set_provisional(true);
        scene.bring().await;
        assert!(scene.objects().is_empty());
        scene.world.state.set_provisional(false);
        scene.rounds().await;
        assert_eq!(scene.objects().len(), 1);
    });
}

#[test]
fn a_reader_finishes_while_its_volume_goes_to_the_remote_store() {
    run(async {
        let scene = Scene::new().await;
        let (blob, body) = &scene.bodies[0];
        let reader = &scene.server.volumes.reader;
        let mut reading = reader.read(&reader.pin(), blob, 0..blob.len()).unwrap();
        let mut read = reading.next().await.unwrap().unwrap().to_vec();
        scene.bring().await;
        assert_eq!(scene.shard_files(), 6, "they are held");
        while let Some(bytes) = reading.next().await {
            read.extend_from_slice(&bytes.unwrap());
        }
        assert_eq!(read, *body);
        drop(reading);
        scene.rounds().await;
        assert_eq!(scene.shard_files(), 0);
    });
}

#[test]
fn a_volume_with_two_drives_gone_goes_whole() {
    run(async {
        let scene = Scene::new().await;
        for disk in [0, 3] {
            scene.server.drives[disk].fail("a test says so");
        }
        assert_eq!(scene.bring().await.uploaded, 1);
        scene.all_read_back().await;
    });
}

/// Between finding the stripes of a volume and reading them the volume may go, and then it has no fragments here.
#[test]
fn nothing_is_wrong_with_a_volume_that_goes_to_the_remote_store_while_it_is_looked_at() {
    run(async {
        let scene = Scene::new().await;
        let pace = Pace::unbounded(Arc::new(Simulated::new(1, 1)));
        pace.pause(Class::Scrub, true);
        let gone = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(scene.bring().await.uploaded, 1);
            pace.pause(Class::Scrub, false);
        };
        let (found, ()) =
            tokio::join!(inspect::verify_in_use(&scene.server.volumes.table, FIRST, &pace), gone);
        let found = found.unwrap();
        assert!(found.is_whole() && found.stripes > 0, "{found:?}");
    });
}
