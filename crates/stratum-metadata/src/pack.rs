//! The packer: moves small bodies from the journal into erasure-coded stripes, many at a time.
//!
//! It goes over the journal's closed segments, the oldest first. A body is live if a record still names the entry
//! that brought it; that record also says to whom the body belongs and in which tier. The live bodies of a segment
//! are sorted by tier and owner, so that neighbours in a listing become neighbours on the drives and in the index,
//! and are written as full stripes. Each stripe is then one `Relocate`, whose moves are conditional: a record that
//! was overwritten meanwhile stays as it is.
//!
//! A body that can't be read doesn't keep the others in the journal ([`unread`]).
//!
//! The journal waits for no tier: bodies for a tier that takes nothing now are packed with the hot ones, and reviewed
//! later.

mod unread;

use crate::awaited::AwaitedBodies;
use crate::command::{Command, Pinning, Proposed, TierChange, TierCondition};
use crate::fate::CommitError;
use crate::keys;
use crate::log::{ClosedSegment, LocalLog, LogError};
use crate::machine::{Machine, ReadError};
use crate::owned;
use crate::placement::Placement;
use crate::record::{
    Attributes, Body, BucketId, Completion, DecodeError, Migrate, ObjectRecord, Owner, StoredUpload,
    UploadId, Version, decode,
};
use crate::relocate::{self, MoveError, Trust, blob_of};
use crate::rests::is_pressed;
use crate::store::Metadata;
use crate::tree::Base;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Form, Index, Place, Tier};
use stratum_storage::blocking;
use stratum_storage::journal::Verify;
use stratum_storage::task::{self, Next, Role, Row, Stop, Task, Work};
use stratum_storage::volumes::Volumes;
use unread::Unread;

/// Segments stay unpacked below this share of the journal's cap: short-lived bodies are deleted there before they are
/// packed.
const PACK_FROM_SHARE: f32 = 0.25;
/// Bytes of bodies that are packed together: several stripes.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes of owners in a batch. A `Relocate` names each owner of a stripe, and every write that comes behind it waits until
/// it is applied: so they are some two thousand with short keys, which is what a batch of bodies of 4 KiB comes to. The
/// journal takes less as a group where it is small; owners may be half of that.
const BATCH_OWNER_BYTES: usize = 128 << 10;
/// The pause between two looks for a segment to pack, and the one after a failure.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Why a segment was not packed. It will be tried again.
#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error(
        "a segment of the journal can't be read: {0}; the journal keeps everything since, and at its cap it takes no writes. Bring \
         back drives that may have it, or see what `stratum rescue` copies out and what `stratum restore --dry-run` makes of it"
    )]
    Log(#[from] LogError),
    #[error("the index: {0}")]
    Read(#[from] ReadError),
    #[error("a record: {0}")]
    Record(#[from] DecodeError),
    #[error(transparent)]
    Move(#[from] MoveError),
    #[error("{0}")]
    Awaited(AwaitedBodies),
    #[error(
        "whose {0} of its small bodies are isn't known, since a block of the index is lost; until that is there again the \
         journal keeps everything since"
    )]
    Nobodys(usize),
    #[error("noting that a body is lost: {0}")]
    Mark(String),
    #[error("having objects reviewed: {0}")]
    Review(#[from] CommitError),
    #[error("its task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A body in the journal that its owner still names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    to: Tier,
    owner: Owner,
    /// When it was decided that the body belongs in its tier, if that was decided for its own object.
    decided: Option<UnixMillis>,
    index: Index,
    length: u32,
    crc32c: u32,
    /// The form of the stored bytes, which packing keeps.
    form: Form,
}

impl Live {
    fn blob(&self) -> BlobRef {
        let place = Place::Journal { index: self.index, length: self.length, crc32c: self.crc32c };
        BlobRef { form: self.form, place }
    }
}

/// Packs closed segments as the journal fills, one segment a step. One for a store.
pub struct Packer {
    metadata: Metadata,
    volumes: Volumes,
    mark: Arc<Mark>,
}

/// Records durably that a body was given up, for later starts. Blocks.
pub type Mark = dyn Fn() -> Result<(), String> + Send + Sync;

impl Packer {
    pub fn new(metadata: Metadata, volumes: Volumes, mark: Arc<Mark>) -> Packer {
        Packer { metadata, volumes, mark }
    }
}

impl Task for Packer {
    fn row(&self) -> Row {
        Row {
            name: "pack",
            role: Role::Leader,
            class: None,
            executor: task::Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let Some(segment) = self.metadata.next_to_pack() else { return Next::After(POLL_INTERVAL) };
            match self.pack(segment, stop).await {
                Ok(()) => {
                    self.metadata.upkeep().waiting().is_over();
                    Next::AtOnce
                }
                Err(PackError::Awaited(awaited)) => {
                    Next::After(self.metadata.upkeep().waiting().goes_on(awaited))
                }
                Err(error @ (PackError::Log(_) | PackError::Nobodys(_))) => {
                    Next::After(self.metadata.upkeep().waiting().fails(error.to_string()))
                }
                Err(error) => {
                    tracing::warn!(%error, first = segment.first, last = segment.last, "a segment was not packed");
                    Next::After(RETRY_DELAY)
                }
            }
        })
    }
}

impl Metadata {
    /// The oldest segment that isn't packed, once the journal is full enough. All of its entries have been applied:
    /// the body of an entry that hasn't would seem to have no owner.
    fn next_to_pack(&self) -> Option<ClosedSegment> {
        let log = self.log();
        if log.usage().share() < PACK_FROM_SHARE {
            return None;
        }
        let (packed, applied) = (self.upkeep().packed(), self.applied_index());
        let next = log.closed_segments().into_iter().find(|segment| segment.last > packed);
        next.filter(|segment| segment.last <= applied)
    }
}

impl Packer {
    /// Packs a segment, or a part of it if told to stop.
    async fn pack(&self, segment: ClosedSegment, stop: &Stop) -> Result<(), PackError> {
        let Packer { metadata, volumes, mark } = self;
        let (machine, log) = (metadata.state().clone(), metadata.log().clone());
        let live = blocking::spawn(move || live_bodies(&machine, log.as_ref(), segment));
        let (bodies, nobodys) = live.await??;
        let most_owners = BATCH_OWNER_BYTES.min(metadata.log().max_group() / 2);
        let (mut rest, mut unread) = (bodies.as_slice(), Unread::default());
        while !rest.is_empty() {
            if *stop.borrow() {
                return Ok(());
            }
            let began = metadata.upkeep().rests().begin();
            let (batch, later) = rest.split_at(batch_len(rest, most_owners));
            unread = pack_batch(metadata, volumes, batch.to_vec(), unread).await?;
            rest = later;
            let rest = metadata.upkeep().rests().after_packing(began, || is_pressed(metadata.log().as_ref()));
            if task::unless_stopped(stop, rest).await.is_none() {
                return Ok(());
            }
        }
        if nobodys > 0 {
            return Err(PackError::Nobodys(nobodys));
        }
        if unread.awaited.bodies > 0 {
            return Err(PackError::Awaited(unread.awaited));
        }
        if unread.has_lost() {
            let mark = mark.clone();
            blocking::spawn(move || mark()).await?.map_err(PackError::Mark)?;
            unread.tell_lost();
        }
        metadata.upkeep().packed_through(segment.last, metadata.log().as_ref());
        Ok(())
    }
}

/// The segment's live bodies, sorted by tier and owner, and how many bodies have an owner that can't be known.
fn live_bodies(
    machine: &Machine,
    log: &dyn LocalLog,
    segment: ClosedSegment,
) -> Result<(Vec<Live>, usize), PackError> {
    let (mut bodies, mut nobodys) = (Vec::new(), 0);
    for entry in log.replay(segment.first, Verify::Commands) {
        let entry = entry?;
        if entry.index > segment.last {
            break;
        }
        let Some(brought) = body_of(Proposed::decode(&entry.command)?.command) else { continue };
        let BlobRef { form, place: Place::ThisEntry { length, crc32c } } = brought.blob else { continue };
        let place = Place::Journal { index: entry.index, length, crc32c };
        match holder(machine, brought.whose, entry.index, &place) {
            Ok(Some(Holder { owner, to, decided })) => {
                bodies.push(Live { to, owner, decided, index: entry.index, length, crc32c, form });
            }
            Ok(None) => {}
            Err(ReadError::Lost(_)) => nobodys += 1,
            Err(error) => return Err(error.into()),
        }
    }
    bodies.sort_unstable();
    Ok((bodies, nobodys))
}

/// A body that a command brought, and whose it is by the command.
struct Brought {
    whose: Whose,
    blob: BlobRef,
}

enum Whose {
    /// A version of that key; the command doesn't say which one.
    Object(BucketId, Vec<u8>),
    Part(UploadId, u16),
}

fn body_of(command: Command) -> Option<Brought> {
    match command {
        Command::PutObject { bucket, key, record, .. } => match record.body {
            Body::Blob(blob) => Some(Brought { whose: Whose::Object(bucket, key), blob }),
            Body::Parts { .. } => None,
        },
        Command::PutPart { upload, part, .. } | Command::UploadPart { upload, part, .. } => {
            Some(Brought { whose: Whose::Part(upload, part.number), blob: part.blob })
        }
        _ => None,
    }
}

/// The owner of a body, and the tier in which it belongs.
struct Holder {
    owner: Owner,
    to: Tier,
    decided: Option<UnixMillis>,
}

/// The owner of the body that the entry brought, if a record still names it.
fn holder(machine: &Machine, whose: Whose, entry: Index, place: &Place) -> Result<Option<Holder>, ReadError> {
    match whose {
        Whose::Object(bucket, key) => {
            let get = |key: &[u8]| machine.get(key).map_err(ReadError::from);
            let record = owned::holder(place, entry, bucket, &key, get)?;
            Ok(record.map(|record| Holder {
                owner: Owner::object(bucket, key, &record),
                to: Placement::decided(&record.attributes).tier(),
                decided: record.attributes.tiering.last().map(|decision| decision.since),
            }))
        }
        Whose::Part(upload, number) => {
            let owner = Owner::Part { upload, number };
            if blob_of(machine, &owner)?.is_none_or(|blob| blob.place != *place) {
                return Ok(None);
            }
            let to = Placement::decided(&of_upload(machine, upload)?).tier();
            // The object that the upload becomes is reviewed in any case.
            Ok(Some(Holder { owner, to, decided: None }))
        }
    }
}

/// The attributes of an upload, or of the object that it became.
fn of_upload(machine: &Machine, upload: UploadId) -> Result<Attributes, ReadError> {
    if let Some(stored) = get::<StoredUpload>(machine, &keys::upload(upload))? {
        return Ok(stored.record.attributes);
    }
    let Some(completion) = get::<Completion>(machine, &keys::completion(upload))? else {
        return Ok(Attributes::default());
    };
    let Completion { bucket, key, version, .. } = completion;
    let found = owned::by_id(bucket, &key, version, |key| machine.get(key).map_err(ReadError::from))?;
    Ok(match found.map(|found| found.version) {
        Some(Version::Object(record)) if is_made_of(&record, upload) => record.attributes,
        _ => Attributes::default(),
    })
}

fn is_made_of(record: &ObjectRecord, upload: UploadId) -> bool {
    matches!(record.body, Body::Parts { upload: of, .. } if of == upload)
}

fn get<T: Migrate>(machine: &Machine, key: &[u8]) -> Result<Option<T>, ReadError> {
    Ok(machine.get(key)?.map(|value| decode(&value)).transpose()?)
}

/// How many bodies at the beginning make a batch for one tier: at least one.
fn batch_len(bodies: &[Live], most_owners: usize) -> usize {
    let (mut bytes, mut owners) = (0, 0);
    let to = bodies.first().map(|body| body.to);
    let fits = |body: &&Live| {
        bytes += body.length as usize;
        owners += 32 + if let Owner::Object { key, .. } = &body.owner { key.len() } else { 0 };
        bytes <= BATCH_BYTES && owners <= most_owners && Some(body.to) == to
    };
    bodies.iter().take_while(fits).count().max(1)
}

/// Packs the bodies of a batch that can be read, and counts the others.
async fn pack_batch(
    metadata: &Metadata,
    volumes: &Volumes,
    batch: Vec<Live>,
    mut unread: Unread,
) -> Result<Unread, PackError> {
    let Some(Live { to, .. }) = batch.first() else { return Ok(unread) };
    let (to, log) = (*to, metadata.log().clone());
    let reviews: Vec<TierChange> = batch.iter().filter_map(review).collect();
    let read = move || (unread.read(log.as_ref(), batch), unread);
    let (bodies, unread) = blocking::spawn(read).await?;
    if bodies.is_empty() {
        return Ok(unread);
    }
    let bytes: usize = bodies.iter().map(|small| small.body.bytes.len()).sum();
    let moved = match to {
        Tier::Hot => relocate::pack(metadata, volumes, to, bodies, Trust::Synced).await?,
        Tier::Warm | Tier::Cold => {
            match relocate::pack(metadata, volumes, to, bodies.clone(), Trust::Synced).await {
                Err(MoveError::Write(error)) if error.is_waiting() => {
                    tracing::warn!(tier = to.name(), %error, "a tier takes nothing; what belongs there is packed as hot, and moved later");
                    // The reviews come before the move, so that no body lies outside its tier without being
                    // remembered.
                    if !reviews.is_empty() {
                        metadata.commit(Command::DecideTiers(reviews), Bytes::new()).await?;
                    }
                    relocate::pack(metadata, volumes, Tier::Hot, bodies, Trust::Synced).await?
                }
                packed => packed?,
            }
        }
    };
    metrics::counter!("stratum_packed_bodies_total").increment(moved.bodies);
    metrics::counter!("stratum_packed_bytes_total").increment(bytes as u64);
    Ok(unread)
}

/// A review for an object whose body can't be packed into its tier now.
fn review(live: &Live) -> Option<TierChange> {
    let Owner::Object { bucket, key, version, committed } = live.owner.clone() else { return None };
    Some(TierChange {
        bucket,
        key,
        version,
        committed,
        condition: TierCondition::Always,
        decision: None,
        pinning: Pinning::Leave,
        review: Some(live.decided?),
    })
}
