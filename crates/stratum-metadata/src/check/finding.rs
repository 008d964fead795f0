//! What a check of the state can find. Each message says what the finding means and what to do.

use crate::record::{DocumentKind, Level};
use serde::{Deserialize, Serialize};
use stratum_storage::blob::{Index, VolumeId};

/// How bad a finding is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Harmless.
    Note,
    /// Nothing is missing yet, but there are fewer copies than there should be.
    Weak,
    /// Something is counted or recorded wrongly.
    Wrong,
    /// Bytes that were stored can't be read.
    Loss,
}

/// Something that is wrong in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding {
    #[error(
        "the record under the key {key} can't be read ({problem}): this is a mistake of the server's own, please report it"
    )]
    Unreadable { key: String, problem: String },
    #[error(
        "the state's content isn't what was applied (its fingerprint differs): keys were lost or changed"
    )]
    Fingerprint,
    #[error(
        "the state is of level {level}, and {kept} by its own key: this is a mistake of the server's own, please report it"
    )]
    Level { kept: Level, level: Level },
    #[error(
        "the bucket \"{name}\" (number {id}) is not the same in the index {index}: this is a mistake of the server's own, please report it"
    )]
    Bucket { id: u64, name: String, index: &'static str },
    #[error(
        "the bucket \"{name}\" {problem} ({kind}): this is a mistake of the server's own, please report it"
    )]
    Document { name: String, kind: DocumentKind, problem: &'static str },
    #[error(
        "{owners} buckets are known by their owners and {names} by their names: this is a mistake of the server's own, please report it"
    )]
    BucketOwners { owners: u64, names: u64 },
    #[error(
        "{kind} {id} is above the highest that was ever given out, {highest}: it could be given out twice"
    )]
    AboveHighest { kind: &'static str, id: u64, highest: u64 },
    #[error("{owner} is in a bucket that doesn't exist: nobody can read it; `stratum rescue` copies it out")]
    NoBucket { owner: String },
    #[error("{owner} lacks its part {number}: upload it again")]
    NoPart { owner: String, number: u16 },
    #[error("{owner} has {size} bytes by its record, and names {named}: upload it again")]
    Size { owner: String, size: u64, named: u64 },
    #[error("{owner} was never given its place: upload it again")]
    Unsettled { owner: String },
    #[error("the bytes of {owner} are gone: {problem}; upload it again")]
    BodyLost { owner: String, index: Index, problem: String },
    #[error(
        "{owner} names {volume}, which the state doesn't have: its bytes can't be found; upload it again"
    )]
    NoVolume { owner: String, volume: VolumeId },
    #[error(
        "{owner} names the extent at {offset} of {volume}, and the volume's key says otherwise: {problem}"
    )]
    Extent { owner: String, volume: VolumeId, offset: u64, problem: String },
    #[error(
        "the extent at {offset} of {volume} belongs to {owner}, which doesn't name it: its space stays taken until `stratum lost reclaim`"
    )]
    ExtentWithoutOwner { owner: String, volume: VolumeId, offset: u64 },
    #[error(
        "the packed stripe at {offset} of {volume} is kept as holding {}, and records name {}",
        packed(*.kept),
        packed(Some(*.counted))
    )]
    StripeCount { volume: VolumeId, offset: u64, counted: (u64, u32), kept: Option<(u64, u32)> },
    #[error("{volume} is kept as having {kept} live bytes, and records name {counted}")]
    VolumeLive { volume: VolumeId, kept: u64, counted: u64 },
    #[error("{what} at {offset} of {volume} ends at {end}, beyond the volume's high water of {high_water}")]
    HighWater { volume: VolumeId, what: &'static str, offset: u64, end: u64, high_water: u64 },
    #[error(
        "part {number} of upload {upload} belongs to no upload and no object: its space stays taken until `stratum lost reclaim`"
    )]
    PartWithoutOwner { upload: String, number: u16 },
    #[error(
        "{keys} uploads are known by their keys and {uploads} by their ids: this is a mistake of the server's own, please report it"
    )]
    UploadKeys { keys: u64, uploads: u64 },
    #[error(
        "the bucket number {bucket} holds {} bytes in {} objects, and {} in {} are counted for its quota: unset the quota and set it again",
        .counted.0, .counted.1, .kept.0, .kept.1
    )]
    BucketUsage { bucket: u64, kept: (u64, u64), counted: (u64, u64) },
    #[error(
        "the buckets of {owner} are counted as holding {} bytes in {} objects, and {} in {} are kept for the user's quota: unset the quota and set it again",
        .counted.0, .counted.1, .kept.0, .kept.1
    )]
    UserTotal { owner: String, kept: (u64, u64), counted: (u64, u64) },
    #[error(
        "{met} events wait for the webhook {target}, and {kept} are counted: this is a mistake of the server's own, please report it"
    )]
    EventQueue { target: String, kept: u64, met: u64 },
    #[error(
        "{met} events of the buckets of an owner wait for a webhook, and {kept} are counted: this is a mistake of the server's own, please report it"
    )]
    EventShare { kept: u64, met: u64 },
    #[error("upload {upload} lacks {what}: it won't be listed, or never expires")]
    Upload { upload: String, what: &'static str },
    #[error(
        "something is due for upload {upload} that isn't there any more: it goes by itself when its time comes"
    )]
    Due { upload: String },
    #[error("{owner} {problem}: this is a mistake of the server's own, please report it")]
    Version { owner: String, problem: &'static str },
    #[error(
        "{owner}, by the times at which it is looked at whether objects lie where they belong, {problem}: this is a mistake of the server's own, please report it"
    )]
    Review { owner: String, problem: &'static str },
    #[error(
        "the {kind} \"{name}\" of the account {account} {problem}: this is a mistake of the server's own, please report it"
    )]
    Identity { kind: &'static str, account: String, name: String, problem: &'static str },
}

/// The bytes and bodies of a packed stripe, in words.
fn packed(held: Option<(u64, u32)>) -> String {
    match held {
        Some((bytes, bodies)) => format!("{bytes} bytes of {bodies} bodies"),
        None => "nothing".into(),
    }
}

impl Finding {
    pub fn severity(&self) -> Severity {
        match self {
            Finding::Due { .. } | Finding::Review { .. } => Severity::Note,
            Finding::NoPart { .. }
            | Finding::Size { .. }
            | Finding::Unsettled { .. }
            | Finding::BodyLost { .. }
            | Finding::NoVolume { .. } => Severity::Loss,
            _ => Severity::Wrong,
        }
    }
}
