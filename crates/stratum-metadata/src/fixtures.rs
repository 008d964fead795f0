//! Proves that the stored bytes of every level stay the same: every kind of key, record and command, against
//! `fixtures/v1` and `v2`.
//!
//! The files are text, with a name and the bytes in hexadecimal on each line, so that a change of the format shows in
//! a diff. To write them anew, for a level that isn't released yet, run this file's ignored test.

use crate::command::{
    BucketChange, Command, CompletedPart, Deletion, GivenUp, IdentityChanges, IdentityWrite, KeyChange,
    KeyHolder, LifecycleAction, Match, Move, NewBucket, ObjectChange, Pinning, Proposed, QuotaOf, TierChange,
    TierCondition, Unnamed, UnnamedOfStripe, WriteCondition,
};
use crate::keys::{self, DueKind, KeyRange};
use crate::record::*;
use std::fmt::Debug;
use std::path::PathBuf;
use stratum_storage::blob::{BlobRef, Extent, Form, Geometry, PackedAt, Place, Tier, VolumeId};
use stratum_storage::drive::DriveId;
use stratum_storage::remote::RemoteObject;
use stratum_storage::volume::{Shard, VolumeEvent, VolumeRecord, VolumeState, WriterId};

const BUCKET: BucketId = BucketId(0x0102_0304);
const UPLOAD: UploadId = UploadId(0x018b_cfe5_6800_0102_0304_0506_0708_090a);
const VOLUME: VolumeId = VolumeId(0x2a);
const TIME: u64 = 1_700_000_000_000;
const WRITER: WriterId = WriterId { node: 3, run: 300 };
const KEY: &[u8] = b"a/\0\xc3\xa9";

/// Reads bytes, and says whether the value is the expected one.
type Reads = Box<dyn Fn(&[u8]) -> Result<bool, DecodeError>>;

/// A stored value: its name, its bytes, and how they are read.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    reads: Reads,
}

fn sample<T: Migrate + PartialEq + Debug + 'static>(level: Level, name: &'static str, value: T) -> Sample {
    let bytes = encode(level, &value).unwrap();
    Sample { name, bytes, reads: Box::new(move |bytes| decode::<T>(bytes).map(|read| read == value)) }
}

fn checksum(algorithm: ChecksumAlgorithm, kind: ChecksumType, length: u8) -> Checksum {
    Checksum { algorithm, kind, value: (1..=length).collect() }
}

fn headers() -> ObjectHeaders {
    let text = |text: &str| Some(text.to_owned());
    ObjectHeaders {
        content_type: text("text/plain"),
        content_encoding: text("gzip"),
        content_language: text("de"),
        content_disposition: text("inline"),
        cache_control: text("no-cache"),
        expires: text("never"),
        website_redirect_location: text("/b"),
        user: [("one".into(), "1".into()), ("two".into(), "2".into())].into(),
    }
}

fn object(storage_class: StorageClass, checksum: Option<Checksum>, body: Body) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: TIME,
        size: 70_000,
        etag: ETag::Md5([7; 16]),
        storage_class,
        checksum,
        headers: ObjectHeaders::default(),
        body,
        committed: 0,
        attributes: Attributes::default(),
    }
}

fn blob(place: Place) -> Body {
    Body::Blob(BlobRef::plain(place))
}

fn packed_at() -> PackedAt {
    PackedAt { volume: VOLUME, stripe: 8192, payload: 300_000, offset: 77, length: 1000, crc32c: 0xdead_beef }
}

fn extents() -> Place {
    let extent = |start, length| Extent { volume: VOLUME, start, length };
    Place::Extents(vec![extent(4096, 67_108_864), extent(20_480, 5)])
}

/// An object whose parts stay records of their own, with every attribute that an object can have.
fn multipart() -> ObjectRecord {
    use ChecksumAlgorithm::{Crc64Nvme, Sha256};
    let part = |number, checksum| PartSummary { number, size: 5 << 20, checksum };
    let parts = vec![part(1, Some(checksum(Sha256, ChecksumType::FullObject, 32))), part(10_000, None)];
    ObjectRecord {
        version: VersionId(u128::MAX),
        etag: ETag::Multipart { md5: [8; 16], parts: 2 },
        headers: headers(),
        ..object(
            StorageClass::GlacierIr,
            Some(checksum(Crc64Nvme, ChecksumType::FullObject, 8)),
            Body::Parts { upload: UPLOAD, parts },
        )
    }
}

fn bucket() -> BucketRecord {
    let (name, owner, region) = ("photos".into(), "ann".into(), "us-east-1".into());
    let configuration = BucketConfiguration::default();
    BucketRecord { id: BUCKET, name, owner, created: TIME, region, configuration }
}

fn upload() -> UploadRecord {
    UploadRecord {
        bucket: BUCKET,
        key: KEY.into(),
        initiated: TIME,
        initiator: "ann".into(),
        storage_class: StorageClass::IntelligentTiering,
        headers: headers(),
        checksum: Some((ChecksumAlgorithm::Sha1, ChecksumType::Composite)),
        attributes: Attributes::default(),
    }
}

fn part(place: Place) -> PartRecord {
    PartRecord {
        number: 3,
        modified: TIME,
        size: 1000,
        md5: [9; 16],
        checksum: Some(checksum(ChecksumAlgorithm::Sha1, ChecksumType::FullObject, 20)),
        blob: BlobRef { form: Form::Frames, place },
    }
}

fn by_the_engine() -> TierDecision {
    let basis = Some(TierBasis { from: Tier::Hot, idle: 700_000_000, saves: -1_900 });
    TierDecision { basis, ..TierDecision::new(Tier::Cold, TIME, TierReason::Capacity) }
}

fn encryption(mode: EncryptionMode) -> Encryption {
    Encryption { mode, key: vec![1; 89], headers: vec![2; 60] }
}

/// Every attribute that an object can have.
fn attributes() -> Attributes {
    Attributes {
        owner: Some("bob".into()),
        tags: Some([("kind".into(), "photo".into())].into()),
        acl: Some(vec![Grant { grantee: Grantee::User("ann".into()), permission: Permission::FullControl }]),
        retention: Some(Retention { mode: RetentionMode::Compliance, until: TIME }),
        legal_hold: Some(LegalHold::On),
        tiering: vec![TierDecision::new(Tier::Warm, TIME, TierReason::ByHand), by_the_engine()]
            .try_into()
            .unwrap(),
        pin: Some(TierPin { tier: Tier::Cold, by: "ann".into(), since: TIME, until: Some(TIME + 1) }),
        review: Some(TIME),
        replication: Some(ReplicationState::Completed(300)),
        encryption: Some(Box::new(encryption(EncryptionMode::Kms {
            key: Some("archive".into()),
            context: Some("e30=".into()),
            bucket_key: true,
        }))),
    }
}

fn happening() -> Happening {
    Happening {
        bucket: "photos".into(),
        owner: "ann".into(),
        region: "us-east-1".into(),
        key: KEY.into(),
        version: Some(VersionId(299)),
        time: TIME,
        by: "bob".into(),
        source: "192.0.2.1".into(),
        request: "0123456789ABCDEF".into(),
    }
}

fn event() -> EventRecord {
    EventRecord {
        kind: EventKind::ObjectCreatedCopy,
        rule: "rule".into(),
        about: happening(),
        object: Some(EventObject { size: 70_000, etag: "abc".into() }),
        sequencer: 300,
    }
}

fn quota() -> Quota {
    Quota { bytes: Some(1 << 40), objects: None }
}

fn public_access() -> PublicAccessBlock {
    PublicAccessBlock {
        ignore_public_acls: true,
        restrict_public_buckets: true,
        ..PublicAccessBlock::default()
    }
}

fn shards() -> Vec<Shard> {
    let shard = |drive, lost| Shard { drive: DriveId(drive), generation: 300, lost };
    vec![shard(1, false), shard(u128::MAX, true), shard(3, false)]
}

fn volume(tier: Tier, state: VolumeState) -> VolumeRecord {
    let geometry = Geometry { k: 2, m: 1 };
    VolumeRecord {
        id: VOLUME,
        tier,
        geometry,
        shards: shards(),
        state,
        high_water: 45_056,
        live: 72_101,
        writer: None,
        remote: None,
    }
}

fn owners() -> [Owner; 2] {
    let object = Owner::Object { bucket: BUCKET, key: KEY.into(), version: VersionId::NULL, committed: 0 };
    [object, Owner::Part { upload: UPLOAD, number: 3 }]
}

fn version_owner() -> Owner {
    Owner::Object { bucket: BUCKET, key: KEY.into(), version: VersionId(299), committed: 299 }
}

/// A sample of every kind of record, and of every variant in them.
fn records(level: Level) -> Vec<Sample> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Md5, Sha512, XxHash3, XxHash64, XxHash128};
    use StorageClass::{DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa};
    use StorageClass::{ReducedRedundancy, Standard, StandardIa};
    let crc = |algorithm| Some(checksum(algorithm, ChecksumType::Composite, 4));
    let full = |algorithm, length| Some(checksum(algorithm, ChecksumType::FullObject, length));
    let empty = |class, checksum| object(class, checksum, blob(Place::Empty));
    let in_entry = Place::ThisEntry { length: 1000, crc32c: 5 };
    let in_journal = Place::Journal { index: 300, length: 1000, crc32c: u32::MAX };
    let [of_object, of_part] = owners();
    let mut samples = vec![
        sample(level, "applied", Applied { index: 300, hash: u128::MAX - 1, fingerprint: 1 << 100, level }),
        sample(level, "highest-ids", HighestIds { bucket: 5, volume: 300 }),
        sample(level, "bucket-name", "photos".to_owned()),
        sample(level, "bucket", bucket()),
        sample(level, "nothing", ()),
        sample(level, "object-empty", object(Standard, None, blob(Place::Empty))),
        sample(level, "object-this-entry", object(StandardIa, crc(Crc32), blob(in_entry))),
        sample(level, "object-journal", object(IntelligentTiering, crc(Crc32c), blob(in_journal))),
        sample(level, "object-packed", object(GlacierIr, None, blob(Place::Packed(packed_at())))),
        sample(level, "object-extents", object(Standard, None, blob(extents()))),
        sample(level, "object-parts", multipart()),
        sample(level, "upload", StoredUpload { record: upload(), expires: TIME + 1 }),
        sample(level, "part", part(extents())),
        sample(
            level,
            "completion",
            Completion {
                bucket: BUCKET,
                key: KEY.into(),
                version: VersionId::NULL,
                etag: ETag::Multipart { md5: [8; 16], parts: 2 },
                checksum: None,
                parts: vec![1, 10_000],
                remember_until: TIME,
            },
        ),
        sample(level, "dropped", Dropped { keep: vec![1, 300], next: 2 }),
        sample(level, "last-part", LastPart(300)),
        sample(level, "volume-open", volume(Tier::Hot, VolumeState::Open)),
        sample(level, "volume-sealed", volume(Tier::Warm, VolumeState::Sealed { length: 45_056 })),
        sample(level, "volume-dropped", volume(Tier::Cold, VolumeState::Dropped)),
        sample(level, "extent-of-object", ExtentRecord { owner: of_object.clone(), length: 67_108_864 }),
        sample(level, "extent-of-part", ExtentRecord { owner: of_part, length: 5 }),
        sample(level, "stripe", StripeRecord { payload: 300_000, live: 299_000, bodies: 40 }),
        sample(level, "owner-in-a-packed-stripe", of_object),
        sample(level, "object-sha512", empty(ReducedRedundancy, full(Sha512, 64))),
        sample(level, "object-md5", empty(OnezoneIa, full(Md5, 16))),
        sample(level, "object-xxhash64", empty(Glacier, full(XxHash64, 8))),
        sample(level, "object-xxhash3", empty(DeepArchive, full(XxHash3, 8))),
        sample(level, "object-xxhash128", empty(Standard, full(XxHash128, 16))),
    ];
    if level >= Level::SECOND {
        let committed = ObjectRecord { committed: 300, attributes: attributes(), ..multipart() };
        let written = VolumeRecord { writer: Some(WRITER), ..volume(Tier::Hot, VolumeState::Open) };
        samples.push(sample(level, "object-attributes", committed));
        samples.push(sample(level, "volume-written", written));
        let sealed = VolumeState::Sealed { length: 45_056 };
        let remote = VolumeRecord {
            shards: Vec::new(),
            remote: Some(RemoteObject { upload: u64::MAX - 1 }),
            ..volume(Tier::Cold, sealed)
        };
        samples.push(sample(level, "volume-remote", remote));
        samples.push(sample(level, "level", level));
        let marker = DeleteMarker {
            version: VersionId(300),
            modified: TIME,
            committed: 300,
            owner: Some("bob".into()),
        };
        let older = ObjectRecord { version: VersionId(299), committed: 299, ..multipart() };
        let configuration = BucketConfiguration {
            versioning: Some(Versioning::Suspended),
            object_lock: Some(ObjectLock {
                default: Some(DefaultRetention {
                    mode: RetentionMode::Governance,
                    period: RetentionPeriod::Days(365),
                }),
            }),
            tags: attributes().tags,
            acl: attributes().acl,
            documents: [(DocumentKind::Cors, 302), (DocumentKind::Notification, 303)].into(),
            ownership: Some(ObjectOwnership::ObjectWriter),
            public_access: Some(public_access()),
            encryption: Some(DefaultEncryption {
                algorithm: DefaultAlgorithm::Kms(Some("archive".into())),
                bucket_key: Some(true),
            }),
        };
        let sealed = |mode| ObjectRecord {
            body: Body::Blob(BlobRef { form: Form::Sealed, place: extents() }),
            attributes: Attributes { encryption: Some(Box::new(encryption(mode))), ..Attributes::default() },
            ..object(Standard, None, blob(Place::Empty))
        };
        samples.push(sample(level, "object-sealed", sealed(EncryptionMode::S3)));
        samples.push(sample(level, "object-sealed-by-its-client", sealed(EncryptionMode::Customer)));
        samples.push(sample(level, "sealed-headers", headers()));
        let record = UploadRecord { attributes: attributes(), ..upload() };
        samples.push(sample(level, "upload-attributes", StoredUpload { record, expires: TIME + 1 }));
        samples.push(sample(level, "bucket-configured", BucketRecord { configuration, ..bucket() }));
        samples.push(sample(level, "bucket-id", BUCKET));
        samples.push(sample(level, "review", VersionId(300)));
        samples.push(sample(level, "version-object", Version::Object(Box::new(older))));
        samples.push(sample(level, "version-delete-marker", Version::DeleteMarker(marker)));
        samples.push(sample(level, "null-version", NullVersion(301)));
        samples.push(sample(level, "bucket-document", BucketDocument("<CORSConfiguration/>".into())));
        let usage = BucketUsage { bytes: 70_000, objects: 3, ..BucketUsage::empty(quota(), 300) };
        let counting = BucketUsage { counted: Counted::Below(keys::object(BUCKET, KEY)), ..usage.clone() };
        samples.push(sample(level, "quota", quota()));
        samples.push(sample(level, "bucket-usage", usage));
        samples.push(sample(level, "user-total", UserTotal { bytes: 70_001, objects: 4 }));
        samples.push(sample(level, "user-summed", SummedBelow(b"photos\0".to_vec())));
        samples.push(sample(level, "bucket-usage-under-way", counting));
        samples.push(sample(level, "upload-bytes", UploadBytes { since: 300, bytes: 5 << 20 }));
        samples.push(sample(level, "event", event()));
        samples.push(sample(level, "event-queue", EventQueue { waiting: 3, lost: 300 }));
        samples.push(sample(level, "event-share", EventShare { waiting: 3 }));
        samples.push(sample(level, "extent-of-version", ExtentRecord { owner: version_owner(), length: 5 }));
        samples.push(sample(level, "owner-of-a-version-in-a-packed-stripe", version_owner()));
        let [user, group, role] = identities();
        samples.push(sample(level, "identities", IdentitiesRecord { changed: 300, key: vec![1; 89] }));
        samples.push(sample(level, "user", user));
        samples.push(sample(level, "group", group));
        samples.push(sample(level, "role", role));
        samples.push(sample(level, "access-key", access_key()));
        samples.push(sample(level, "managed-policy", managed_policy()));
    }
    samples
}

/// A command's name in the fixtures. A new variant doesn't compile without a name, and so asks for a sample.
fn name(command: &Command) -> &'static str {
    match command {
        Command::CreateBucket(_) => "create-bucket",
        Command::DeleteBucket { .. } => "delete-bucket",
        Command::PutObject { .. } => "put-object",
        Command::DeleteObject(Deletion { version: None, .. }) => "delete-object",
        Command::DeleteObject(Deletion { version: Some(_), .. }) => "delete-version",
        Command::CreateUpload { .. } => "create-upload",
        Command::PutPart { .. } => "put-part",
        Command::CompleteUpload { .. } => "complete-upload",
        Command::AbortUpload { .. } => "abort-upload",
        Command::Sweep { .. } => "sweep",
        Command::Relocate { stripe: None, .. } => "relocate",
        Command::Relocate { stripe: Some(_), .. } => "relocate-packed",
        Command::Volume(VolumeEvent::Opened { .. }) => "volume-opened",
        Command::Volume(VolumeEvent::ShardLost { .. }) => "volume-shard-lost",
        Command::Volume(VolumeEvent::Sealed { .. }) => "volume-sealed",
        Command::Volume(VolumeEvent::Dropped { .. }) => "volume-dropped",
        Command::Volume(VolumeEvent::Forgotten { .. }) => "volume-forgotten",
        Command::Volume(VolumeEvent::ShardRebuilt { .. }) => "volume-shard-rebuilt",
        Command::Volume(VolumeEvent::Uploaded { .. }) => "volume-uploaded",
        Command::UploadPart { .. } => "upload-part",
        Command::CompleteMultipartUpload { .. } => "complete-multipart-upload",
        Command::SetLevel(_) => "set-level",
        Command::DecideTiers(_) => "decide-tiers",
        Command::ConfigureBucket { change: BucketChange::Encryption(_), .. } => "configure-bucket-encryption",
        Command::ConfigureBucket { .. } => "configure-bucket",
        Command::ConfigureObject { .. } => "configure-object",
        Command::RewrapKeys(_) => "rewrap-keys",
        Command::SetQuota { of: QuotaOf::Bucket(_), .. } => "set-quota-of-bucket",
        Command::SetQuota { of: QuotaOf::User(_), .. } => "set-quota-of-user",
        Command::CountUsage { .. } => "count-usage",
        Command::SumUsage { .. } => "sum-usage",
        Command::ChangeIdentities(_) => "change-identities",
        Command::ForgetEvents { .. } => "forget-events",
        Command::GiveUp(_) => "give-up",
        Command::Reclaim(_) => "reclaim",
        Command::FollowLifecycle { action: LifecycleAction::Delete(_), .. } => "lifecycle-delete",
        Command::FollowLifecycle { action: LifecycleAction::Transition { .. }, .. } => "lifecycle-transition",
        Command::FollowLifecycle { action: LifecycleAction::AbortUpload { .. }, .. } => {
            "lifecycle-abort-upload"
        }
    }
}

fn given_up() -> GivenUp {
    let range = |from, to| KeyRange { from: keys::object(BUCKET, from), to: keys::object(BUCKET, to) };
    GivenUp {
        ranges: vec![range(b"a", b"c"), range(b"d", b"e")],
        kept: vec![keys::object(BUCKET, b"b")],
        fingerprint: u128::MAX - 1,
        now: TIME,
    }
}

fn unnamed() -> Unnamed {
    let of_stripe = UnnamedOfStripe { volume: VOLUME, stripe: 8192, live: 77, bodies: 2 };
    Unnamed { extents: vec![(VOLUME, 4096)], stripes: vec![of_stripe], uploads: vec![UPLOAD] }
}

fn named(name: &str) -> AccountName {
    AccountName::new("a\0nn", name)
}

/// A user, a group and a role.
fn identities() -> [IdentityRecord; 3] {
    let of = |id: &str, name: &str, detail| IdentityRecord {
        id: id.into(),
        name: name.into(),
        path: "/films/".into(),
        created: TIME,
        tags: [("team".into(), "red".into())].into(),
        inline: [("own".into(), "{}".into())].into(),
        attached: ["arn:aws:iam::aws:policy/readonly".into()].into(),
        detail,
    };
    let (groups, access_keys) = (["writers".into()].into(), vec!["AKIA234567ABCDEFGHIJ".into()]);
    let boundary = Some("arn:aws:iam::aws:policy/readwrite".to_owned());
    let role = IdentityDetail::Role {
        description: Some("reads".into()),
        session_seconds: 3600,
        trust: "{}".into(),
        boundary: None,
    };
    [
        of("AIDA234567ABCDEFGHIJ", "Ann", IdentityDetail::User { groups, access_keys, boundary }),
        of("AGPA234567ABCDEFGHIJ", "Writers", IdentityDetail::Group),
        of("AROA234567ABCDEFGHIJ", "Reader", role),
    ]
}

fn access_key() -> AccessKeyRecord {
    AccessKeyRecord { user: named("Ann"), sealed: vec![2; 88], is_active: true, created: TIME }
}

fn managed_policy() -> ManagedPolicyRecord {
    let version = |document: &str| PolicyVersion { document: document.into(), created: TIME };
    ManagedPolicyRecord {
        id: "ANPA234567ABCDEFGHIJ".into(),
        name: "Readers".into(),
        path: "/".into(),
        description: None,
        created: TIME,
        updated: TIME + 1,
        tags: Default::default(),
        default: 2,
        newest: 3,
        versions: [(2, version("{}")), (3, version("[]"))].into(),
    }
}

/// A change of identities with every variant.
fn identity_changes() -> IdentityChanges {
    let [user, ..] = identities();
    let writes = vec![
        IdentityWrite::Identity { kind: IdentityKind::User, at: named("Ann"), record: Some(user) },
        IdentityWrite::AccessKey { id: "AKIA234567ABCDEFGHIJ".into(), record: Some(access_key()) },
        IdentityWrite::Policy { at: named("Readers"), record: Some(managed_policy()) },
        IdentityWrite::Identity { kind: IdentityKind::Role, at: named("Reader"), record: None },
    ];
    IdentityChanges { read: Some(299), key: Some(vec![1; 89]), writes }
}

/// Tier changes with every variant.
fn tier_changes() -> [TierChange; 3] {
    let decided = TierChange {
        bucket: BUCKET,
        key: KEY.to_vec(),
        version: VersionId::NULL,
        committed: 0,
        condition: TierCondition::Always,
        decision: attributes().tiering.last().copied(),
        pinning: Pinning::Set(attributes().pin.unwrap()),
        review: Some(TIME),
    };
    let looked_at = TierChange {
        condition: TierCondition::Reviewed(TIME),
        decision: None,
        pinning: Pinning::Leave,
        review: None,
        ..decided.clone()
    };
    let of_a_walk = TierChange {
        condition: TierCondition::Unchanged { modified: TIME, decided: Some(TIME) },
        ..looked_at.clone()
    };
    [decided, looked_at, of_a_walk]
}

/// A sample of every command.
fn commands(level: Level) -> Vec<Sample> {
    let (bucket, upload, volume) = (BUCKET, UPLOAD, VOLUME);
    let key = || KEY.to_vec();
    let in_entry = Place::ThisEntry { length: 1000, crc32c: 5 };
    let etags = Match::ETags(vec!["abc".into(), "d-2".into()]);
    let condition = WriteCondition { if_none_match: Some(Match::Any), ..WriteCondition::default() };
    let conditions = WriteCondition {
        if_match: Some(etags),
        if_none_match: None,
        if_modified_at: Some(1_700_000_000),
        if_size: Some(70_000),
    };
    let from = BlobRef::plain(Place::Journal { index: 300, length: 1000, crc32c: 5 });
    let moved = |(owner, to): (Owner, Place)| Move { owner, from: from.clone(), to: BlobRef::plain(to) };
    let packed = owners().map(|owner| (owner, Place::Packed(packed_at())));
    let alone = owners().map(|owner| (owner, extents()));
    let parts = vec![CompletedPart { number: 10_000, size: 5 << 20, md5: [9; 16] }];
    let commands = [
        Command::CreateBucket(self::bucket().into()),
        Command::DeleteBucket { bucket },
        Command::PutObject {
            bucket,
            key: key(),
            record: object(StorageClass::Standard, None, blob(in_entry.clone())),
            condition: condition.clone(),
        },
        Command::DeleteObject(Deletion { condition: conditions, ..Deletion::of(bucket, key(), 0) }),
        Command::CreateUpload { upload, record: self::upload(), expires: TIME + 1 },
        Command::PutPart { bucket, upload, part: part(in_entry) },
        Command::CompleteUpload {
            bucket,
            key: key(),
            upload,
            parts,
            record: multipart(),
            condition,
            remember_until: TIME,
        },
        Command::AbortUpload { bucket, key: key(), upload },
        Command::Sweep { now: TIME },
        Command::Relocate { stripe: None, moves: alone.map(moved).into() },
        Command::Relocate { stripe: Some(packed_at()), moves: packed.map(moved).into() },
        Command::Volume(VolumeEvent::Opened {
            id: volume,
            tier: Tier::Hot,
            geometry: Geometry { k: 2, m: 1 },
            shards: shards(),
        }),
        Command::Volume(VolumeEvent::ShardLost { volume, shard: 5 }),
        Command::Volume(VolumeEvent::Sealed { volume, length: 45_056 }),
        Command::Volume(VolumeEvent::Dropped { volume }),
        Command::Volume(VolumeEvent::Forgotten { volume }),
        Command::Volume(VolumeEvent::ShardRebuilt {
            volume,
            shard: 5,
            drive: DriveId(9 << 64),
            generation: 300,
        }),
        Command::UploadPart { bucket, upload, part: part(Place::ThisEntry { length: 1000, crc32c: 5 }) },
        Command::CompleteMultipartUpload {
            bucket,
            key: key(),
            upload,
            last_part: Some(LastPart(300)),
            has_spare: true,
            record: multipart(),
            condition: WriteCondition::default(),
            remember_until: TIME,
        },
    ];
    let plain = commands.map(|command| sample(level, name(&command), Proposed::from(command)));
    let mut samples: Vec<Sample> = plain.into();
    if level >= Level::SECOND {
        let opened = VolumeEvent::Opened {
            id: volume,
            tier: Tier::Cold,
            geometry: Geometry { k: 2, m: 1 },
            shards: shards(),
        };
        let unnumbered = NewBucket { chosen: None, ..self::bucket().into() };
        let proposed = Proposed { by: Some(WRITER), ..Command::Volume(opened).into() };
        let uploaded = VolumeEvent::Uploaded { volume, object: RemoteObject { upload: u64::MAX - 1 } };
        let raised = Proposed::from(Command::SetLevel(level));
        samples.push(sample(level, "volume-uploaded", Proposed::from(Command::Volume(uploaded))));
        samples.push(sample(
            level,
            "create-bucket-unnumbered",
            Proposed::from(Command::CreateBucket(unnumbered)),
        ));
        samples.push(sample(level, "volume-opened-by", proposed));
        let moves = vec![moved((version_owner(), extents()))];
        let command = Command::Relocate { stripe: None, moves };
        samples.push(sample(level, "relocate-version", Proposed::from(command)));
        let decided = Proposed::from(Command::DecideTiers(tier_changes().into()));
        samples.push(sample(level, name(&decided.command), decided));
        samples.push(sample(level, name(&raised.command), raised));
        let of_version = Deletion {
            version: Some(VersionId(299)),
            owner: Some("bob".into()),
            ..Deletion::of(bucket, key(), TIME)
        };
        let change = BucketChange::Versioning(Versioning::Suspended);
        let version = Some(VersionId(299));
        let tagged = ObjectChange::Tags(attributes().tags);
        let by_default = BucketChange::Encryption(Some(DefaultEncryption {
            algorithm: DefaultAlgorithm::S3,
            bucket_key: None,
        }));
        let object = KeyHolder::Object { bucket, key: key(), version: VersionId(299), committed: 299 };
        let follows = |action| Command::FollowLifecycle { put: 297, action };
        let (id, class) = (VersionId(299), StorageClass::Glacier);
        let transition =
            LifecycleAction::Transition { bucket, key: key(), version: id, class, modified: TIME };
        let rewrapped = |of| KeyChange { of, from: vec![1; 89], to: vec![3; 89] };
        for command in [
            Command::DeleteObject(of_version),
            Command::ConfigureBucket { bucket, change },
            Command::ConfigureObject { bucket, key: key(), version, change: tagged },
            Command::ConfigureBucket { bucket, change: by_default },
            Command::RewrapKeys(vec![rewrapped(object), rewrapped(KeyHolder::Upload(upload))]),
            Command::SetQuota { of: QuotaOf::Bucket(bucket), quota: Some(quota()) },
            Command::SetQuota { of: QuotaOf::User("ann".into()), quota: None },
            Command::CountUsage { bucket },
            Command::SumUsage { owner: "ann".into() },
            Command::ChangeIdentities(identity_changes()),
            Command::ForgetEvents { target: "hook".into(), events: vec![300, 301] },
            Command::GiveUp(given_up()),
            Command::Reclaim(unnamed()),
            follows(LifecycleAction::Delete(Deletion::of(bucket, key(), TIME))),
            follows(transition),
            follows(LifecycleAction::AbortUpload { bucket, key: key(), upload }),
        ] {
            samples.push(sample(level, name(&command), Proposed::from(command)));
        }
        let document = Some(BucketDocument("<CORSConfiguration/>".into()));
        let changes = [
            ("configure-bucket-tags", BucketChange::Tags(attributes().tags)),
            ("configure-bucket-acl", BucketChange::Acl(attributes().acl)),
            (
                "configure-bucket-ownership",
                BucketChange::Ownership(Some(ObjectOwnership::BucketOwnerPreferred)),
            ),
            ("configure-bucket-public-access", BucketChange::PublicAccess(Some(public_access()))),
            ("configure-bucket-lock", BucketChange::ObjectLock(ObjectLock { default: None })),
            ("configure-bucket-document", BucketChange::Document { kind: DocumentKind::Cors, document }),
        ];
        let retention = Some(Retention { mode: RetentionMode::Compliance, until: TIME + 1 });
        let locks = [
            ("retain-object", ObjectChange::Retention { retention, now: TIME, bypass_governance: true }),
            ("hold-object", ObjectChange::LegalHold(LegalHold::Off)),
            ("reclass-object", ObjectChange::StorageClass { class: StorageClass::Glacier, modified: TIME }),
        ];
        for (name, change) in locks {
            let command = Command::ConfigureObject { bucket, key: key(), version: None, change };
            samples.push(sample(level, name, Proposed::from(command)));
        }
        for (name, change) in changes {
            samples.push(sample(level, name, Proposed::from(Command::ConfigureBucket { bucket, change })));
        }
        let to = EventKind::ALL.map(|kind| Addressee { kind, target: "hook".into(), rule: "rule".into() });
        let notice = Some(Box::new(Notice { to: to.into(), about: happening() }));
        let told = Command::DeleteObject(Deletion::of(bucket, key(), TIME));
        samples.push(sample(level, "delete-object-telling", Proposed::telling(told, notice)));
        let change = ObjectChange::Acl(attributes().acl);
        let command = Command::ConfigureObject { bucket, key: key(), version, change };
        samples.push(sample(level, "configure-object-acl", Proposed::from(command)));
    }
    samples
}

/// A sample of every kind of key, and the record that lies under it.
fn keyed() -> [(&'static str, Vec<u8>, &'static str); 18] {
    [
        ("applied", keys::applied(), "applied"),
        ("highest-ids", keys::highest_ids(), "highest-ids"),
        ("bucket-by-id", keys::bucket_by_id(BUCKET), "bucket-name"),
        ("bucket-by-name", keys::bucket_by_name(b"photos"), "bucket"),
        ("bucket-by-owner", keys::bucket_by_owner("a\0nn", "photos"), "nothing"),
        ("deleted-bucket", keys::deleted_bucket(BUCKET), "nothing"),
        ("object", keys::object(BUCKET, KEY), "object-parts"),
        ("upload", keys::upload(UPLOAD), "upload"),
        ("upload-by-key", keys::upload_by_key(BUCKET, KEY, UPLOAD), "nothing"),
        ("part", keys::part(UPLOAD, 10_000), "part"),
        ("completion", keys::completion(UPLOAD), "completion"),
        ("dropped", keys::dropped(UPLOAD), "dropped"),
        ("last-part", keys::last_part(UPLOAD), "last-part"),
        ("volume", keys::volume(VOLUME), "volume-open"),
        ("extent", keys::extent(VOLUME, 4096), "extent-of-part"),
        ("stripe", keys::stripe(VOLUME, 8192), "stripe"),
        ("due-upload", keys::due(TIME, DueKind::Upload, UPLOAD), "nothing"),
        ("due-completion", keys::due(TIME, DueKind::Completion, UPLOAD), "nothing"),
    ]
}

/// The kinds of keys that came with level 2.
fn keyed_since_2() -> [(&'static str, Vec<u8>, &'static str); 18] {
    [
        ("level", keys::level(), "level"),
        ("bucket-document", keys::bucket_document(BUCKET, DocumentKind::Cors), "bucket-document"),
        ("version", keys::version(BUCKET, KEY, 299), "version-object"),
        ("delete-marker", keys::version(BUCKET, KEY, 300), "version-delete-marker"),
        ("null-version", keys::null_version(BUCKET, KEY), "null-version"),
        ("review", keys::review(TIME, BUCKET, KEY, 300), "review"),
        ("bucket-usage", keys::bucket_usage(BUCKET), "bucket-usage"),
        ("user-quota", keys::user_quota("ann"), "quota"),
        ("user-total", keys::user_total("ann"), "user-total"),
        ("user-summed", keys::user_summed("ann"), "user-summed"),
        ("upload-bytes", keys::upload_bytes(UPLOAD), "upload-bytes"),
        ("event", keys::event("hook", 300), "event"),
        ("event-queue", keys::event_queue("hook"), "event-queue"),
        ("event-share", keys::event_share("hook", "ann"), "event-share"),
        ("identities", keys::identities(), "identities"),
        ("user", keys::identity(IdentityKind::User, &named("Ann")), "user"),
        ("access-key", keys::access_key("AKIA234567ABCDEFGHIJ"), "access-key"),
        ("managed-policy", keys::managed_policy(&named("Readers")), "managed-policy"),
    ]
}

/// A state for a checkpoint, without the key of what has been applied, which a checkpoint has in its header, and
/// without the kinds of keys that came after the checkpoint's fixture was written.
pub(crate) fn state() -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = records(Level::FIRST);
    let value = |name| records.iter().find(|record| record.name == name).unwrap().bytes.clone();
    let keyed = keyed().into_iter().skip(1).filter(|(name, ..)| *name != "last-part");
    keyed.map(|(_, key, record)| (key, value(record))).collect()
}

pub(crate) fn path(file: &str) -> PathBuf {
    path_of(Level::FIRST, file)
}

fn path_of(level: Level, file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/v{level}")).join(file)
}

fn lines<'a>(named: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    named.map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect()
}

/// The lines of a fixture, each with a name and bytes.
fn parsed(level: Level, file: &str) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path_of(level, file)).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name.to_owned(), hex.as_bytes().chunks(2).map(byte).collect()))
        .collect()
}

fn text_of_samples(samples: &[Sample]) -> String {
    lines(samples.iter().map(|sample| (sample.name, sample.bytes.as_slice())))
}

fn text_of_keys(level: Level) -> String {
    let mut all = keyed().to_vec();
    if level >= Level::SECOND {
        all.extend(keyed_since_2());
    }
    lines(all.iter().map(|(name, key, _)| (*name, key.as_slice())))
}

/// Checks that the bytes of that level haven't changed and can be read, and that bytes of an unknown level are
/// refused.
fn same_and_read_and_no_newer(level: Level, file: &str, samples: &[Sample]) {
    let stored = std::fs::read_to_string(path_of(level, file)).unwrap();
    assert_eq!(stored, text_of_samples(samples), "{file} of level {level} has changed");
    for ((name, mut bytes), sample) in parsed(level, file).into_iter().zip(samples) {
        assert_eq!((sample.reads)(&bytes), Ok(true), "{name}");
        bytes[0] = Level::NEWEST.number() + 1;
        let refused = (sample.reads)(&bytes).unwrap_err().to_string();
        assert_eq!(
            refused, "the record has level 3; this binary knows levels up to 2: use a newer one",
            "{name}"
        );
    }
}

/// Users and roles had no permissions boundary at first, at level 2, too. Servers of then wrote these records and
/// commands.
#[test]
fn what_was_written_before_boundaries_is_read() {
    fn without(record: IdentityRecord) -> IdentityRecord {
        let detail = match record.detail {
            IdentityDetail::User { groups, access_keys, .. } => {
                IdentityDetail::User { groups, access_keys, boundary: None }
            }
            other => other,
        };
        IdentityRecord { detail, ..record }
    }
    let [user, group, role] = identities().map(without);
    let write = |kind, name: &str, record: Option<&IdentityRecord>| IdentityWrite::Identity {
        kind,
        at: named(name),
        record: record.cloned(),
    };
    let mut changed = identity_changes();
    changed.writes[0] = write(IdentityKind::User, "Ann", Some(&user));
    let writes = vec![
        write(IdentityKind::Group, "Authors", None),
        write(IdentityKind::User, "Ann", Some(&user)),
        write(IdentityKind::User, "Ann", Some(&user)),
        write(IdentityKind::Group, "Writers", Some(&group)),
    ];
    let renamed = IdentityChanges { read: Some(299), key: None, writes };
    let proposed = |changes| Proposed::from(Command::ChangeIdentities(changes));
    let read = parsed(Level::SECOND, "before-boundaries");
    let bytes = |name| read.iter().find(|(found, _)| found == name).unwrap().1.as_slice();
    assert_eq!(decode(bytes("user")), Ok(user));
    assert_eq!(decode(bytes("role")), Ok(role));
    assert_eq!(Proposed::decode(bytes("change-identities")), Ok(proposed(changed)));
    assert_eq!(Proposed::decode(bytes("rename-group")), Ok(proposed(renamed)));
    // No record is cut where a field ends but before the boundary, so a shorter one is damaged.
    for name in ["user", "role"] {
        let cut = &bytes(name)[..bytes(name).len() - 1];
        assert!(matches!(decode::<IdentityRecord>(cut), Err(DecodeError::Damaged(_))), "{name}");
    }
}

const LEVELS: [Level; 2] = [Level::FIRST, Level::SECOND];

#[test]
fn records_are_the_bytes_that_they_were() {
    LEVELS.into_iter().for_each(|level| same_and_read_and_no_newer(level, "records", &records(level)));
}

#[test]
fn commands_are_the_bytes_that_they_were() {
    LEVELS.into_iter().for_each(|level| same_and_read_and_no_newer(level, "commands", &commands(level)));
}

#[test]
fn keys_are_the_bytes_that_they_were() {
    for level in LEVELS {
        let stored = std::fs::read_to_string(path_of(level, "keys")).unwrap();
        assert_eq!(stored, text_of_keys(level), "the keys of level {level} have changed");
    }
    let read = parsed(Level::SECOND, "keys");
    let key = |name| read.iter().find(|(found, _)| found == name).unwrap().1.as_slice();
    assert_eq!(keys::parse_deleted_bucket(key("deleted-bucket")), Some(BUCKET));
    assert_eq!(keys::parse_upload_by_key(key("upload-by-key")), Some((KEY.into(), UPLOAD)));
    assert_eq!(keys::parse_dropped(key("dropped")), Some(UPLOAD));
    assert_eq!(keys::parse_offset(key("extent")), Some(4096));
    assert_eq!(keys::parse_offset(key("stripe")), Some(8192));
    assert_eq!(keys::parse_version(key("version")), Some((BUCKET, KEY.into(), 299)));
    assert!(key("delete-marker") < key("version"), "the newest comes first");
    assert_eq!(keys::parse_identity(key("user")), Some((IdentityKind::User, named("ANN"))));
    assert_eq!(keys::parse_managed_policy(key("managed-policy")), Some(named("readers")));
    assert_eq!(keys::parse_due(key("due-upload")), Some((DueKind::Upload, UPLOAD)));
    assert_eq!(keys::parse_due(key("due-completion")), Some((DueKind::Completion, UPLOAD)));
}

/// A value that only a state of level 2 can hold is refused at level 1, rather than stored incompletely.
#[test]
fn what_takes_level_2_is_not_written_at_level_1() {
    fn is_refused<T: Migrate>(value: &T) {
        assert_eq!(encode(Level::FIRST, value), Err(TakesLevel(Level::SECOND)));
    }
    let configuration =
        BucketConfiguration { versioning: Some(Versioning::Enabled), ..BucketConfiguration::default() };
    is_refused(&BucketRecord { configuration, ..bucket() });
    let record = UploadRecord { attributes: attributes(), ..upload() };
    is_refused(&Proposed::from(Command::CreateUpload {
        upload: UPLOAD,
        record: record.clone(),
        expires: TIME,
    }));
    is_refused(&StoredUpload { record, expires: TIME });
    is_refused(&ExtentRecord { owner: version_owner(), length: 5 });
    let to = BlobRef::plain(Place::Packed(packed_at()));
    let moves = vec![Move { owner: version_owner(), from: to.clone(), to }];
    is_refused(&Proposed::from(Command::Relocate { stripe: None, moves }));
    let version = Some(VersionId(299));
    let deletion = Deletion { version, ..Deletion::of(BUCKET, KEY.to_vec(), TIME) };
    is_refused(&Proposed::from(Command::DeleteObject(deletion)));
    let change = BucketChange::Versioning(Versioning::Enabled);
    is_refused(&Proposed::from(Command::ConfigureBucket { bucket: BUCKET, change }));
    let change = ObjectChange::Tags(None);
    is_refused(&Proposed::from(Command::ConfigureObject {
        bucket: BUCKET,
        key: KEY.to_vec(),
        version,
        change,
    }));
    let action = LifecycleAction::Delete(Deletion::of(BUCKET, KEY.to_vec(), TIME));
    is_refused(&Proposed::from(Command::FollowLifecycle { put: 297, action }));
    is_refused(&NullVersion(301));
    is_refused(&BucketDocument(String::new()));
    is_refused(&Proposed::from(Command::ChangeIdentities(IdentityChanges::default())));
    identities().iter().for_each(is_refused);
}

#[test]
#[ignore = "writes the fixtures of the newest level; while that isn't released yet"]
fn write_the_fixtures_anew() {
    let level = Level::NEWEST;
    std::fs::create_dir_all(path_of(level, "")).unwrap();
    let files = [("records", records(level)), ("commands", commands(level))];
    for (file, samples) in files {
        std::fs::write(path_of(level, file), text_of_samples(&samples)).unwrap();
    }
    std::fs::write(path_of(level, "keys"), text_of_keys(level)).unwrap();
}
