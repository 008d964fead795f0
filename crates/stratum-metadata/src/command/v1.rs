//! Commands in the form of level 1. Frozen: nothing here is ever edited.

use super::{CompletedPart, Deletion, NewBucket, Proposed, WriteCondition, unbounded};
use crate::record::level::{Migrate, same_since};
use crate::record::v1::{BucketRecord, ObjectRecord, Owner, UploadRecord};
use crate::record::{BucketId, DecodeError, LastPart, Level, PartRecord, TakesLevel, UploadId, VersionId};
use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, PackedAt};
use stratum_storage::volume::VolumeEvent;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    owner: Owner,
    from: BlobRef,
    to: BlobRef,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    CreateBucket(BucketRecord),
    DeleteBucket {
        bucket: BucketId,
    },
    PutObject {
        bucket: BucketId,
        key: Vec<u8>,
        record: ObjectRecord,
        condition: WriteCondition,
    },
    DeleteObject {
        bucket: BucketId,
        key: Vec<u8>,
        condition: WriteCondition,
    },
    CreateUpload {
        upload: UploadId,
        record: UploadRecord,
        expires: UnixMillis,
    },
    PutPart {
        bucket: BucketId,
        upload: UploadId,
        part: PartRecord,
    },
    CompleteUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
        parts: Vec<CompletedPart>,
        record: ObjectRecord,
        condition: WriteCondition,
        remember_until: UnixMillis,
    },
    AbortUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
    },
    Sweep {
        now: UnixMillis,
    },
    Relocate {
        stripe: Option<PackedAt>,
        moves: Vec<Move>,
    },
    Volume(VolumeEvent),
    UploadPart {
        bucket: BucketId,
        upload: UploadId,
        part: PartRecord,
    },
    CompleteMultipartUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
        last_part: Option<LastPart>,
        has_spare: bool,
        record: ObjectRecord,
        condition: WriteCondition,
        remember_until: UnixMillis,
    },
}

same_since!(Level::FIRST; Command, Move);

impl Migrate for super::Move {
    const SINCE: Level = Level::SECOND;
    type Previous = Move;

    fn migrate(Move { owner, from, to }: Move) -> Result<Self, DecodeError> {
        Ok(super::Move { owner: Migrate::migrate(owner)?, from, to })
    }

    fn previous(&self) -> Result<Move, TakesLevel> {
        Ok(Move { owner: self.owner.previous()?, from: self.from.clone(), to: self.to.clone() })
    }
}

impl Migrate for Proposed {
    const SINCE: Level = Level::SECOND;
    type Previous = Command;

    fn migrate(previous: Command) -> Result<Self, DecodeError> {
        Ok(Proposed { by: None, notice: None, command: migrate(previous)? })
    }

    fn previous(&self) -> Result<Command, TakesLevel> {
        match self.notice {
            None => previous(&self.command),
            Some(_) => Err(TakesLevel(Level::SECOND)),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        unbounded::parse(bytes)
    }
}

fn migrate(previous: Command) -> Result<super::Command, DecodeError> {
    use super::Command as Now;
    Ok(match previous {
        Command::CreateBucket(record) => {
            let record: crate::record::BucketRecord = Migrate::migrate(record)?;
            Now::CreateBucket(record.into())
        }
        Command::DeleteBucket { bucket } => Now::DeleteBucket { bucket },
        Command::PutObject { bucket, key, record, condition } => {
            Now::PutObject { bucket, key, record: Migrate::migrate(record)?, condition }
        }
        Command::DeleteObject { bucket, key, condition } => {
            Now::DeleteObject(Deletion { condition, ..Deletion::of(bucket, key, 0) })
        }
        Command::CreateUpload { upload, record, expires } => {
            Now::CreateUpload { upload, record: Migrate::migrate(record)?, expires }
        }
        Command::PutPart { bucket, upload, part } => Now::PutPart { bucket, upload, part },
        Command::CompleteUpload { bucket, key, upload, parts, record, condition, remember_until } => {
            let record = Migrate::migrate(record)?;
            Now::CompleteUpload { bucket, key, upload, parts, record, condition, remember_until }
        }
        Command::AbortUpload { bucket, key, upload } => Now::AbortUpload { bucket, key, upload },
        Command::Sweep { now } => Now::Sweep { now },
        Command::Relocate { stripe, moves } => {
            let moves = moves.into_iter().map(Migrate::migrate).collect::<Result<_, _>>()?;
            Now::Relocate { stripe, moves }
        }
        Command::Volume(event) => Now::Volume(event),
        Command::UploadPart { bucket, upload, part } => Now::UploadPart { bucket, upload, part },
        Command::CompleteMultipartUpload {
            bucket,
            key,
            upload,
            last_part,
            has_spare,
            record,
            condition,
            remember_until,
        } => {
            let record = Migrate::migrate(record)?;
            Now::CompleteMultipartUpload {
                bucket,
                key,
                upload,
                last_part,
                has_spare,
                record,
                condition,
                remember_until,
            }
        }
    })
}

fn previous(command: &super::Command) -> Result<Command, TakesLevel> {
    use super::Command as Now;
    Ok(match command.clone() {
        Now::CreateBucket(new) => Command::CreateBucket(chosen(new)?),
        Now::DeleteBucket { bucket } => Command::DeleteBucket { bucket },
        Now::PutObject { bucket, key, record, condition } => {
            Command::PutObject { bucket, key, record: record.previous()?, condition }
        }
        // The time and the owner are left out: only a delete marker has them, and there are none.
        Now::DeleteObject(Deletion {
            bucket, key, version: None | Some(VersionId::NULL), condition, ..
        }) => Command::DeleteObject { bucket, key, condition },
        Now::CreateUpload { upload, record, expires } => {
            Command::CreateUpload { upload, record: record.previous()?, expires }
        }
        Now::PutPart { bucket, upload, part } => Command::PutPart { bucket, upload, part },
        Now::CompleteUpload { bucket, key, upload, parts, record, condition, remember_until } => {
            let record = record.previous()?;
            Command::CompleteUpload { bucket, key, upload, parts, record, condition, remember_until }
        }
        Now::AbortUpload { bucket, key, upload } => Command::AbortUpload { bucket, key, upload },
        Now::Sweep { now } => Command::Sweep { now },
        Now::Relocate { stripe, moves } => {
            let moves = moves.iter().map(Migrate::previous).collect::<Result<_, _>>()?;
            Command::Relocate { stripe, moves }
        }
        Now::Volume(VolumeEvent::Uploaded { .. }) => return Err(TakesLevel(Level::SECOND)),
        Now::Volume(event) => Command::Volume(event),
        Now::UploadPart { bucket, upload, part } => Command::UploadPart { bucket, upload, part },
        Now::CompleteMultipartUpload {
            bucket,
            key,
            upload,
            last_part,
            has_spare,
            record,
            condition,
            remember_until,
        } => {
            let record = record.previous()?;
            Command::CompleteMultipartUpload {
                bucket,
                key,
                upload,
                last_part,
                has_spare,
                record,
                condition,
                remember_until,
            }
        }
        Now::SetLevel(_)
        | Now::DecideTiers(_)
        | Now::DeleteObject(_)
        | Now::ConfigureBucket { .. }
        | Now::ConfigureObject { .. }
        | Now::RewrapKeys(_)
        | Now::SetQuota { .. }
        | Now::CountUsage { .. }
        | Now::SumUsage { .. }
        | Now::ChangeIdentities(_)
        | Now::ForgetEvents { .. }
        | Now::GiveUp(_)
        | Now::Reclaim(_)
        | Now::FollowLifecycle { .. } => return Err(TakesLevel(Level::SECOND)),
    })
}

fn chosen(new: NewBucket) -> Result<BucketRecord, TakesLevel> {
    let id = new.chosen.ok_or(TakesLevel(Level::SECOND))?;
    new.with_id(id).previous()
}
