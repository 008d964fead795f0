//! One run of the store: the server's engine on simulated drives and without HTTP, with all background tasks and the
//! operations that a client has.

use crate::colder::codecs;
use crate::hardware::Hardware;
use crate::model::{Content, Piece};
use crate::sealed;
use bytes::Bytes;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;
use stratum_bodies::{BodyError as CodedError, PlaintextReader, Tables};
use stratum_engine::supervisor::{Supervisor, TaskHealth, Tasks};
use stratum_engine::{Config, Engine, Foundation, OpenError, ScrubProgress};
use stratum_metadata::CheckpointSizes;
use stratum_metadata::command::{Command, Deletion, Outcome, Refusal, WriteCondition};
use stratum_metadata::record::{
    Attributes, Body, BucketId, BucketRecord, ENCRYPTION_SINCE, Level, ObjectHeaders, ObjectRecord,
    PartRecord, PartSummary, StorageClass, UploadId, UploadRecord, VersionId,
};
use stratum_metadata::{CommitError, NotWritten, TierWish, tier_of};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};
use stratum_storage::drive::{Drive, Threads};
use stratum_storage::journal::{self, BodyError};
use stratum_storage::readpath::{BlobReader, ReadError};
use stratum_storage::remote::RemoteError;
use stratum_storage::scrub::ScrubCursor;
use stratum_storage::set::SetError;
use stratum_storage::task::Stop;
use stratum_storage::volumes::Volumes;
use stratum_storage::writepath::Written;
use tokio::runtime::Handle;
use tokio::time::Instant;

pub const BUCKET: BucketId = BucketId(1);
/// The largest body that rides in its journal entry.
pub const SMALL: usize = 32 << 10;
/// A segment holds a few dozen bodies, and the journal a few segments, so that packing and checkpoints are frequent.
const SEGMENT: u64 = 256 << 10;
const CAP: u64 = 8 * SEGMENT;
/// A checkpoint has several files and many blocks.
const CHECKPOINT_SIZES: CheckpointSizes =
    CheckpointSizes { block_bytes: 1 << 10, range_bytes: 8 << 10, changes_bytes: 32 << 10 };
/// How long volumes wait for a drive before they are rewritten over fewer, and how long drives must be back before
/// they get their share of those again.
const NARROW_AFTER: Duration = Duration::from_secs(40);
/// The pause between two looks at the small files.
const FILES_INTERVAL: Duration = Duration::from_secs(10);
/// How many times a read looks a record up again because its bytes have moved.
pub const LOOKUPS: usize = 4;

/// The runtime's time: it stands still while anything runs, and then jumps to the next time that is waited for.
#[derive(Debug)]
pub struct Virtual {
    base: UnixMillis,
    began: Instant,
}

impl Virtual {
    pub fn new(base: UnixMillis) -> Virtual {
        Virtual { base, began: Instant::now() }
    }
}

impl Clock for Virtual {
    fn now(&self) -> UnixMillis {
        self.base + self.began.elapsed().as_millis() as u64
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}

/// An engine on this hardware, with its background tasks.
pub struct Run {
    engine: Engine,
    tasks: Tasks,
    supervisor: Supervisor,
}

impl Deref for Run {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

/// Why the store did not start.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    /// The configuration names a drive that the set doesn't have, or lacks one.
    #[error("{0}")]
    Changed(String),
    #[error("{0}")]
    Failed(String),
}

impl From<OpenError> for NoStart {
    fn from(error: OpenError) -> NoStart {
        match error {
            OpenError::Set(SetError::Changed { .. }) => NoStart::Changed(error.to_string()),
            error => NoStart::Failed(error.to_string()),
        }
    }
}

/// The result of a write.
#[derive(Debug)]
pub enum Wrote {
    Done,
    Refused(Refusal),
    /// It failed, and certainly had no effect.
    Nothing(String),
    /// It failed, and may have had its effect.
    Unknown(String),
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// They lie in the remote store, which can't be reached.
    #[error("{0}")]
    Unavailable(String),
    /// They were in the remote store, and are gone or changed.
    #[error("{0}")]
    Lost(String),
    #[error("{0}")]
    Otherwise(String),
}

impl From<String> for NotRead {
    fn from(error: String) -> NotRead {
        NotRead::Otherwise(error)
    }
}

impl From<ReadError> for NotRead {
    fn from(error: ReadError) -> NotRead {
        let text = error.to_string();
        match error {
            ReadError::Remote(RemoteError::Unavailable(_)) => NotRead::Unavailable(text),
            ReadError::Remote(RemoteError::Missing(_)) | ReadError::RemoteDamaged { .. } => {
                NotRead::Lost(text)
            }
            _ => NotRead::Otherwise(text),
        }
    }
}

impl From<CodedError> for NotRead {
    fn from(error: CodedError) -> NotRead {
        match error {
            CodedError::Read(error) => error.into(),
            error => NotRead::Otherwise(error.to_string()),
        }
    }
}

impl From<Result<Outcome, CommitError>> for Wrote {
    fn from(outcome: Result<Outcome, CommitError>) -> Wrote {
        match outcome {
            Ok(Outcome::Refused(refusal)) => Wrote::Refused(refusal),
            Ok(_) => Wrote::Done,
            Err(CommitError::Unknown(unknown)) => Wrote::Unknown(unknown.to_string()),
            Err(CommitError::NotWritten(nothing)) => Wrote::Nothing(nothing.to_string()),
        }
    }
}

impl Run {
    pub async fn start(hardware: &Hardware) -> Result<Run, NoStart> {
        let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
        let journal = journal::Options { segment_bytes: SEGMENT, cap: CAP, ..journal::Options::default() };
        let foundation = Foundation::open(&hardware.config(), journal, clock, hardware.entropy.clone())?;
        let (kept, cursor) = (hardware.scrub.clone(), hardware.scrub.lock().clone());
        let save = move |cursor: &ScrubCursor| *kept.lock() = cursor.clone();
        let config = Config {
            reserve: 0,
            files_interval: FILES_INTERVAL,
            narrow_after: NARROW_AFTER,
            least_move: 1,
            scrub: ScrubProgress { cursor, save: Box::new(save) },
            first_level: hardware.first_level,
            codecs: codecs(&hardware.colder),
            remote: hardware.remote_store(),
            checkpoint_sizes: CHECKPOINT_SIZES,
            ..Config::new(hardware.index())
        };
        let engine = Engine::open(foundation, config).await?;
        let tasks = Tasks::default();
        let supervisor = background(&engine, &tasks);
        Ok(Run { engine, tasks, supervisor })
    }

    /// The signal that ends background work.
    pub fn stopped(&self) -> Stop {
        self.supervisor.stopped()
    }

    /// Ends the background tasks, each after its present step.
    pub async fn stop(self) {
        self.supervisor.stop().await;
        self.engine.shutdown();
        nothing_failed(&self.tasks, &self.engine);
    }

    /// Drops everything unfinished. Changes that the index lacks are written out, since its folder may be damaged
    /// afterwards.
    pub fn abandon(self) {
        self.supervisor.abandon();
        self.engine.shutdown();
        nothing_failed(&self.tasks, &self.engine);
    }

    pub fn healthy(&self) -> usize {
        self.set.all_drives().iter().filter(|drive| drive.is_healthy()).count()
    }

    pub fn hot_drives(&self) -> Vec<Arc<Drive>> {
        self.set.all_drives().into_iter().filter(|drive| drive.tier() == Tier::Hot).collect()
    }

    pub async fn create_bucket(&self) -> Wrote {
        let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
        let record =
            BucketRecord { id: BUCKET, name, owner, created: 0, region, configuration: Default::default() };
        self.metadata.commit(Command::CreateBucket(record.into()), Bytes::new()).await.into()
    }

    /// Decides about objects as an operator does. Only background tasks change their records meanwhile.
    pub async fn decide(&self, keys: &[Vec<u8>], wish: &TierWish) -> Wrote {
        let mut objects = Vec::new();
        for key in keys {
            match self.record(key) {
                Ok(Some(record)) => objects.push((key.clone(), record)),
                Ok(None) => return Wrote::Nothing("an object is gone".into()),
                Err(error) => return Wrote::Nothing(error),
            }
        }
        let decided = self.metadata.decide_tiers(BUCKET, objects, wish, self.clock.now()).await;
        decided.map(Outcome::Count).into()
    }

    /// What is wrong with an object that isn't in its tier or still has a review; `None` if nothing is.
    pub fn stray(&self, key: &[u8]) -> Option<String> {
        let record = self.record(key).ok()??;
        let tier = record.attributes.belongs_in(self.clock.now())?;
        let is_there =
            |blob: &BlobRef| blob.place == Place::Empty || tier_of(&self.volumes.table, blob) == Some(tier);
        let is_settled = record.attributes.review.is_none() && self.blobs(&record).iter().all(is_there);
        (!is_settled)
            .then(|| format!("{} belongs in {tier:?} and is {:?}", String::from_utf8_lossy(key), record))
    }

    /// The bodies of an object.
    pub fn blobs(&self, record: &ObjectRecord) -> Vec<BlobRef> {
        match &record.body {
            Body::Blob(blob) => vec![blob.clone()],
            Body::Parts { upload, parts } => {
                let part =
                    |part: &PartSummary| Some(self.metadata.local().part(*upload, part.number).ok()??.blob);
                parts.iter().filter_map(part).collect()
            }
        }
    }

    /// Raises the store to the newest level, as an operator does.
    pub async fn raise(&self) -> Wrote {
        self.metadata.raise_level(Level::NEWEST).await.map(|_| Outcome::Done).into()
    }

    pub async fn put(&self, key: &[u8], piece: Piece, condition: WriteCondition) -> Wrote {
        let content = Content::plain(piece);
        let (modified, key) = (self.clock.now(), key.to_vec());
        self.with_body(piece, |blob| {
            let record = object(&content, modified, Body::Blob(blob));
            Command::PutObject { bucket: BUCKET, key, record, condition }
        })
        .await
        .into()
    }

    pub async fn put_part(&self, upload: UploadId, number: u16, piece: Piece) -> Wrote {
        let modified = self.clock.now();
        self.with_body(piece, |blob| {
            let (size, md5) = (piece.len as u64, piece.md5());
            let part = PartRecord { number, modified, size, md5, checksum: None, blob };
            Command::UploadPart { bucket: BUCKET, upload, part }
        })
        .await
        .into()
    }

    /// Stores a body in the way that its size asks for, and commits the command that names it, through the same
    /// functions as a request.
    pub async fn with_body(
        &self,
        piece: Piece,
        command: impl FnOnce(BlobRef) -> Command,
    ) -> Result<Outcome, CommitError> {
        let (form, body) = piece.stored(self.metadata.level() >= ENCRYPTION_SINCE);
        let in_entry = if body.len() <= SMALL { body.len() } else { 0 };
        let headroom = self.metadata.headroom(in_entry).await?;
        if body.len() <= SMALL {
            let (length, crc32c) = (body.len() as u32, crc32c::crc32c(&body));
            let place = if body.is_empty() { Place::Empty } else { Place::ThisEntry { length, crc32c } };
            let command = command(BlobRef { form, place });
            return self.metadata.commit_received(headroom, command, body.into()).await;
        }
        let Written { blob, hold } = match self.write(&body).await {
            Ok(written) => written,
            Err(error) => return Err(NotWritten::Unavailable(error.to_string()).into()),
        };
        let blob = BlobRef { form, ..blob };
        self.metadata.commit_received(headroom, command(blob), hold.into()).await
    }

    async fn write(&self, body: &Bytes) -> Result<Written, stratum_storage::writepath::WriteError> {
        let mut writer = self.volumes.writer.write(Tier::Hot, body.len() as u64).await?;
        for start in (0..body.len()).step_by(100_000) {
            writer.push(body.slice(start..body.len().min(start + 100_000))).await?;
        }
        writer.finish().await
    }

    pub async fn delete(&self, key: &[u8]) -> Wrote {
        let deletion = Deletion::of(BUCKET, key.to_vec(), self.clock.now());
        self.metadata.commit(Command::DeleteObject(deletion), Bytes::new()).await.into()
    }

    pub async fn create_upload(&self, upload: UploadId, key: &[u8], expires: u64) -> Wrote {
        let record = UploadRecord {
            bucket: BUCKET,
            key: key.to_vec(),
            initiated: self.clock.now(),
            initiator: "owner".into(),
            storage_class: StorageClass::Standard,
            headers: ObjectHeaders::default(),
            checksum: None,
            attributes: Attributes::default(),
        };
        self.metadata.commit(Command::CreateUpload { upload, record, expires }, Bytes::new()).await.into()
    }

    pub async fn complete(&self, upload: UploadId, key: &[u8], parts: &[(u16, Piece)]) -> Wrote {
        let content = Content::of_parts(parts.iter().map(|(_, piece)| *piece).collect());
        let known = match self.metadata.local().parts_to_complete(upload).await {
            Ok(known) => known,
            Err(error) => return Wrote::Nothing(error.to_string()),
        };
        let is_known = |(number, piece): &&(u16, Piece)| {
            known.parts.iter().any(|part| part.number == *number && part.md5 == piece.md5())
        };
        // As for a request: a completion that names a missing part is refused, unless the upload itself is gone. In
        // that case the command finds out whether it was completed before.
        let is_there = match self.metadata.local().upload(upload) {
            Ok(found) => found.is_some(),
            Err(error) => return Wrote::Nothing(error.to_string()),
        };
        if let Some(missing) = parts.iter().find(|part| is_there && !is_known(part)) {
            return Wrote::Nothing(format!("part {} is not what was sent", missing.0));
        }
        let summary = |(number, piece): &(u16, Piece)| PartSummary {
            number: *number,
            size: piece.len as u64,
            checksum: None,
        };
        let body = Body::Parts { upload, parts: parts.iter().map(summary).collect() };
        let command = Command::CompleteMultipartUpload {
            bucket: BUCKET,
            key: key.to_vec(),
            upload,
            last_part: known.last_part,
            has_spare: known.parts.len() > parts.len(),
            record: object(&content, self.clock.now(), body),
            condition: WriteCondition::default(),
            remember_until: self.clock.now() + 10_000,
        };
        self.metadata.commit(command, Bytes::new()).await.into()
    }

    pub async fn abort(&self, upload: UploadId, key: &[u8]) -> Wrote {
        let command = Command::AbortUpload { bucket: BUCKET, key: key.to_vec(), upload };
        self.metadata.commit(command, Bytes::new()).await.into()
    }

    pub fn record(&self, key: &[u8]) -> Result<Option<ObjectRecord>, String> {
        self.metadata.local().object(BUCKET, key).map_err(|error| error.to_string())
    }

    /// An object and all of its bytes.
    pub async fn get(&self, key: &[u8]) -> Result<Option<(ObjectRecord, Bytes)>, NotRead> {
        for _ in 0..LOOKUPS {
            let Some(record) = self.record(key)? else { return Ok(None) };
            if let Some(bytes) = self.bytes_of(&record).await? {
                return Ok(Some((record, bytes)));
            }
        }
        Err(NotRead::Otherwise("its bytes moved again and again".into()))
    }

    /// The bytes of a record; `None` if they have moved.
    pub async fn bytes_of(&self, record: &ObjectRecord) -> Result<Option<Bytes>, NotRead> {
        match &record.body {
            Body::Blob(blob) => self.read(blob, record.size).await,
            Body::Parts { upload, parts } => {
                let mut bytes = Vec::new();
                for summary in parts {
                    let part = self
                        .metadata
                        .local()
                        .part(*upload, summary.number)
                        .map_err(|error| error.to_string())?;
                    let Some(part) = part else { return Ok(None) };
                    match self.read(&part.blob, part.size).await? {
                        Some(piece) => bytes.extend_from_slice(&piece),
                        None => return Ok(None),
                    }
                }
                Ok(Some(bytes.into()))
            }
        }
    }

    /// A body of so many bytes of plaintext; `None` if it has moved.
    pub async fn read(&self, blob: &BlobRef, size: u64) -> Result<Option<Bytes>, NotRead> {
        match blob.place {
            Place::Journal { index, length, crc32c } => {
                let stored = self.read_journaled(index, length, crc32c)?;
                Ok(stored.map(|stored| sealed::open(blob.form, &stored, size)).transpose()?)
            }
            _ => self.range(blob, size, 0..size).await,
        }
    }

    /// A range of a body in a volume; `None` if it has moved.
    pub async fn range(
        &self,
        blob: &BlobRef,
        size: u64,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, NotRead> {
        match blob.form {
            Form::Plaintext => match self.reader(blob, range)? {
                Some(reader) => collect(reader).await.map(Some),
                None => Ok(None),
            },
            Form::Frames | Form::Sealed => frames(&self.volumes, &self.tables, blob, size, range).await,
        }
    }

    fn read_journaled(&self, index: u64, length: u32, crc32c: u32) -> Result<Option<Bytes>, String> {
        match self.journal.read_body(index, length, crc32c) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BodyError::Gone { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A reader of a range of a body in a volume; `None` if it has moved.
    pub fn reader(&self, blob: &BlobRef, range: Range<u64>) -> Result<Option<BlobReader>, NotRead> {
        match self.volumes.reader.read(&self.volumes.reader.pin(), blob, range) {
            Ok(reader) => Ok(Some(reader)),
            Err(ReadError::Gone(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

pub async fn collect(mut reader: BlobReader) -> Result<Bytes, NotRead> {
    if let Some(all) = reader.try_all_cached() {
        return Ok(all);
    }
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}

/// A range of a coded body; `None` if it has moved.
pub async fn frames(
    volumes: &Volumes,
    tables: &Tables,
    blob: &BlobRef,
    size: u64,
    range: Range<u64>,
) -> Result<Option<Bytes>, NotRead> {
    let reader = &volumes.reader;
    let _holds = reader.hold(&reader.pin(), [blob]);
    let read = PlaintextReader::new(reader, tables, blob.clone(), size, range, Some(&sealed::key()));
    let mut read = read?;
    let mut bytes = Vec::new();
    loop {
        match read.next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return Ok(Some(bytes.into())),
            Err(CodedError::Read(ReadError::Gone(_))) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn object(content: &Content, modified: u64, body: Body) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified,
        size: content.len(),
        etag: content.etag,
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body,
        committed: 0,
        attributes: Attributes::default(),
    }
}

/// All background tasks that a server runs.
fn background(engine: &Engine, tasks: &Tasks) -> Supervisor {
    let clock = engine.clock.clone();
    let mut supervisor = Supervisor::new(tasks.clone(), clock, Threads::Caller, &Handle::current());
    for task in engine.tasks() {
        supervisor.run(task).expect("no thread is needed");
    }
    supervisor
}

/// Checks that no background task has panicked, not even once.
fn nothing_failed(tasks: &Tasks, engine: &Engine) {
    for TaskHealth { name, failures, last_failure, .. } in tasks.health(engine.clock.as_ref()) {
        assert!(failures == 0, "{name} failed: {last_failure:?}");
    }
}
