//! One life of the store: what a client does with it, what happens to it meanwhile, and whether every answer is
//! right.
//!
//! As long as the power is on and there are enough drives, nothing may be refused for ever: a client that tries again
//! must succeed within a bounded time. Reads never fail.

use crate::colder;
use crate::dice::Dice;
use crate::disaster::back_up;
use crate::drives::{add, drain, keep, remove};
use crate::hardware::{Disk, Hardware};
use crate::identities;
use crate::levels;
use crate::mending::{evacuate, heal, replace};
use crate::model::{Content, Model, Open, Piece, Upload};
use crate::remote;
use crate::run::{BUCKET, Run, SMALL, Wrote};
use crate::scrubbing::scrub;
use crate::trace::Trace;
use crate::versions;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::command::{Match, Refusal, WriteCondition};
use stratum_metadata::listing::{ListRequest, Listed, Position, UploadPosition, UploadsRequest};
use stratum_metadata::record::{Body, ETag, UploadId};
use stratum_storage::ambient::Entropy;
use stratum_storage::blob::{Form, Place};
use stratum_storage::drive::Drive;

/// Tries of a write that should succeed, a second apart: the packer pauses for five seconds after a failure.
const TRIES: usize = 40;
const KEYS: u64 = 30;
const OBJECTS_OF_SOME_BLOCKS: u64 = 60;

pub struct Life<'a> {
    pub run: &'a Run,
    pub hardware: &'a mut Hardware,
    pub model: &'a mut Model,
    pub dice: &'a Dice,
    pub trace: &'a mut Trace,
}

/// How the tries of a write ended.
pub enum Ended {
    Done,
    Refused(Refusal),
    /// The power is off, or too few drives are left.
    Down {
        maybe: bool,
    },
}

/// What a client does, or what happens to the store.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put,
    PutIf,
    Batch,
    Delete,
    Get,
    GetRange,
    ReadAcrossDelete,
    List,
    ListUploads,
    CreateUpload,
    PutPart,
    Complete,
    Abort,
    Sleep,
    Heal,
    Evacuate,
    Replace,
    Scrub,
    Drain,
    Keep,
    Remove,
    Add,
    BackUp,
    FullDrive,
    FailSoon,
    Rot,
    Remember,
}

const STEPS: [(u64, Step); 27] = [
    (30, Step::Put),
    (5, Step::PutIf),
    (8, Step::Batch),
    (10, Step::Delete),
    (12, Step::Get),
    (8, Step::GetRange),
    (3, Step::ReadAcrossDelete),
    (4, Step::List),
    (2, Step::ListUploads),
    (4, Step::CreateUpload),
    (9, Step::PutPart),
    (4, Step::Complete),
    (1, Step::Abort),
    (10, Step::Sleep),
    (2, Step::Heal),
    (2, Step::Evacuate),
    (2, Step::Replace),
    (2, Step::Scrub),
    (2, Step::Drain),
    (1, Step::Keep),
    (1, Step::Remove),
    (2, Step::Add),
    (1, Step::BackUp),
    (1, Step::FullDrive),
    (2, Step::FailSoon),
    (1, Step::Rot),
    (2, Step::Remember),
];

impl Life<'_> {
    /// Lives for that many steps, or until the power fails or nothing can be written any more.
    pub async fn live(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.is_down() {
                return;
            }
            levels::perhaps_raise(self).await;
            if let Some(told) = colder::perhaps_step(self).await {
                self.trace.note(self.hardware.power.steps(), || told);
                self.check_drives();
                continue;
            }
            if let Some(told) = remote::perhaps_step(self).await {
                self.trace.note(self.hardware.power.steps(), || told);
                self.check_drives();
                continue;
            }
            if let Some(told) = identities::perhaps_step(self).await {
                self.trace.note(self.hardware.power.steps(), || told);
                continue;
            }
            if let Some(told) = versions::perhaps_step(self).await {
                self.trace.note(self.hardware.power.steps(), || told);
                self.check_drives();
                continue;
            }
            let step = self.dice.weighted(&STEPS);
            let told = self.step(step).await;
            self.trace.note(self.hardware.power.steps(), || format!("{step:?} {told}"));
            self.check_drives();
        }
    }

    /// A drive to which nothing happened must not be given up.
    pub fn check_drives(&self) {
        for drive in self.run.set.all_drives() {
            let disk = self.hardware.disk(&drive);
            let excused = disk.is_hurt() || disk.away || self.hardware.power.is_off();
            assert!(drive.is_healthy() || excused, "drive {} is {:?}", drive.label(), drive.health());
        }
    }

    pub fn is_down(&self) -> bool {
        self.hardware.power.is_off() || !self.may_write()
    }

    /// Whether something is wrong with a drive, or may still go wrong.
    pub fn is_faulty(&self) -> bool {
        self.hardware.worn || self.hardware.all().any(Disk::is_hurt)
    }

    /// Whether enough drives are there for every write to succeed.
    pub fn may_write(&self) -> bool {
        let (drives, m) = (self.run.hot_drives(), usize::from(self.hardware.geometry.m));
        let open = drives.iter().filter(|drive| drive.takes_new()).count();
        // A drive that was added when too few others were left is not yet a member of the journal.
        let is_journals = |drive: &&Arc<Drive>| drive.is_healthy() && self.run.journal.counts_on(drive.id());
        let members = drives.iter().filter(is_journals).count();
        let healthy = drives.iter().filter(|drive| drive.is_healthy()).count();
        open > m && members > m && drives.len() - healthy <= m
    }

    async fn step(&mut self, step: Step) -> String {
        match step {
            Step::Put => self.put().await,
            Step::PutIf => self.put_if().await,
            Step::Batch => self.batch().await,
            Step::Delete => self.delete().await,
            Step::Get => self.get().await,
            Step::GetRange => self.get_range().await,
            Step::ReadAcrossDelete => self.read_across_delete().await,
            Step::List => self.list().await,
            Step::ListUploads => self.list_uploads().await,
            Step::CreateUpload => self.create_upload().await,
            Step::PutPart => self.put_part().await,
            Step::Complete => self.complete().await,
            Step::Abort => self.abort().await,
            Step::Sleep => self.sleep().await,
            Step::Heal => heal(self).await,
            Step::Evacuate => evacuate(self).await,
            Step::Replace => replace(self).await,
            Step::Scrub => scrub(self).await,
            Step::Drain => drain(self).await,
            Step::Keep => keep(self).await,
            Step::Remove => remove(self).await,
            Step::Add => add(self).await,
            Step::BackUp => back_up(self).await,
            Step::FullDrive => self.full_drive().await,
            Step::FailSoon => self.hardware.fail_soon(self.dice).unwrap_or_default(),
            Step::Rot => self.hardware.rot(self.dice).unwrap_or_default(),
            Step::Remember => {
                self.hardware.remember(self.dice);
                String::new()
            }
        }
    }

    /// Tries a write until it is answered, unless the store can't be expected to answer.
    pub async fn persist(&self, what: &str, mut attempt: impl AsyncFnMut(&Run) -> Wrote) -> Ended {
        let (mut maybe, mut reasons) = (false, BTreeSet::new());
        for _ in 0..TRIES {
            match attempt(self.run).await {
                Wrote::Done => return Ended::Done,
                Wrote::Refused(Refusal::VolumeGone) => drop(reasons.insert("volume gone".to_owned())),
                Wrote::Refused(refusal) => return Ended::Refused(refusal),
                Wrote::Nothing(reason) => drop(reasons.insert(reason)),
                Wrote::Unknown(reason) => {
                    maybe = true;
                    reasons.insert(reason);
                }
            }
            if self.is_down() {
                return Ended::Down { maybe };
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{what} is refused for ever: {reasons:?}, {} drives are healthy", self.run.healthy());
    }

    pub fn key(&self) -> Vec<u8> {
        let number = self.dice.within(0..KEYS);
        let folder = ["", "a/", "a/b/", "c/"][(number % 4) as usize];
        format!("{folder}key-{number:02}").into_bytes()
    }

    pub fn new_piece(&mut self) -> Piece {
        let dice = self.dice;
        let len = match dice.within(0..100) {
            0..3 => 0,
            3..25 => dice.within(1..600),
            25..60 => dice.within(600..SMALL as u64),
            60..64 => SMALL as u64 + dice.within(0..2),
            64..88 => dice.within(SMALL as u64..250_000),
            88..98 => dice.within(250_000..1_200_000),
            _ => dice.within(1_200_000..5_000_000),
        };
        self.model.piece(len as usize)
    }

    pub async fn put(&mut self) -> String {
        let (key, piece) = (self.key(), self.new_piece());
        let told = format!("{} of {} bytes", String::from_utf8_lossy(&key), piece.len);
        self.put_piece(key, piece).await;
        told
    }

    /// Writes so many small objects that some blocks of the index hold nothing else.
    pub async fn fill(&mut self) {
        for number in 0..OBJECTS_OF_SOME_BLOCKS {
            let piece = self.model.piece(10);
            self.put_piece(format!("b/filling-{number:03}").into_bytes(), piece).await;
            if self.is_down() {
                return;
            }
        }
    }

    async fn put_piece(&mut self, key: Vec<u8>, piece: Piece) {
        let put = async |run: &Run| run.put(&key, piece, WriteCondition::default()).await;
        let content = Some(Content::plain(piece));
        match self.persist("a put", put).await {
            Ended::Done => self.model.set(&key, content),
            Ended::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
            Ended::Down { maybe: true } => self.model.may_be(&key, content),
            Ended::Down { maybe: false } => {}
        }
    }

    /// The power fails when some of the journal's members have a group and others don't.
    pub async fn fail_within_a_group(&mut self) {
        let (key, piece) = (self.key(), self.model.piece(100));
        // Each of `m+1` members writes and syncs.
        let steps = 2 * (u64::from(self.hardware.geometry.m) + 1);
        self.hardware.power.fail_at(self.dice.within(1..steps + 1));
        match self.run.put(&key, piece, WriteCondition::default()).await {
            Wrote::Done => self.model.set(&key, Some(Content::plain(piece))),
            Wrote::Unknown(_) => self.model.may_be(&key, Some(Content::plain(piece))),
            Wrote::Nothing(_) => {}
            Wrote::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
        }
    }

    /// A drive fails while some longer bodies are written.
    pub async fn miss_writes(&mut self) {
        let Some(told) = self.hardware.miss_soon(self.dice) else { return };
        self.trace.note(self.hardware.power.steps(), || told);
        for _ in 0..3 {
            let (key, len) = (self.key(), self.dice.within(80_000..1_500_000));
            let piece = self.model.piece(len as usize);
            self.put_piece(key, piece).await;
        }
    }

    /// A conditional put is tried only once: a second try may meet its own effect.
    async fn put_if(&mut self) -> String {
        let (key, piece) = (self.key(), self.new_piece());
        let open = self.model.object(&key);
        let Some(current) = open.certain() else { return String::new() };
        let etags = |etag: ETag| Some(Match::ETags(vec![etag.to_string()]));
        let (condition, holds) = match (self.dice.within(0..3), current) {
            (0, current) => {
                let condition = WriteCondition { if_none_match: Some(Match::Any), ..Default::default() };
                (condition, current.is_none())
            }
            (1, Some(current)) => {
                let condition = WriteCondition { if_match: etags(current.etag), ..Default::default() };
                (condition, true)
            }
            (_, _) => {
                let condition = WriteCondition { if_match: etags(ETag::Md5([7; 16])), ..Default::default() };
                (condition, false)
            }
        };
        let content = Some(Content::plain(piece));
        match self.run.put(&key, piece, condition).await {
            Wrote::Done if holds => self.model.set(&key, content),
            Wrote::Refused(Refusal::PreconditionFailed(_) | Refusal::NoSuchKey) if !holds => {}
            Wrote::Unknown(_) if holds => self.model.may_be(&key, content),
            Wrote::Unknown(_) | Wrote::Nothing(_) | Wrote::Refused(Refusal::VolumeGone) => {}
            other => {
                panic!("a condition that {} gives {other:?}", if holds { "holds" } else { "doesn't hold" })
            }
        }
        format!("{} {holds}", String::from_utf8_lossy(&key))
    }

    /// Small puts of several clients at once, which share groups.
    async fn batch(&mut self) -> String {
        let keys: BTreeSet<Vec<u8>> = (0..self.dice.within(2..10)).map(|_| self.key()).collect();
        let puts: Vec<(Vec<u8>, Piece)> = keys
            .into_iter()
            .map(|key| {
                let len = self.dice.within(1..SMALL as u64) as usize;
                (key, self.model.piece(len))
            })
            .collect();
        let run = self.run;
        let all = puts.iter().map(|(key, piece)| run.put(key, *piece, WriteCondition::default()));
        let wrote = join_all(all).await;
        for ((key, piece), wrote) in puts.iter().zip(wrote) {
            let content = Some(Content::plain(*piece));
            match wrote {
                Wrote::Done => self.model.set(key, content),
                Wrote::Unknown(_) => self.model.may_be(key, content),
                Wrote::Nothing(_) => {}
                Wrote::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
            }
        }
        puts.len().to_string()
    }

    async fn delete(&mut self) -> String {
        let key = self.key();
        self.delete_key(&key).await;
        String::from_utf8_lossy(&key).into_owned()
    }

    pub async fn delete_key(&mut self, key: &[u8]) {
        match self.persist("a delete", async |run: &Run| run.delete(key).await).await {
            Ended::Done => self.model.set(key, None),
            Ended::Refused(refusal) => panic!("a delete is refused: {refusal:?}"),
            Ended::Down { maybe: true } => self.model.may_be(key, None),
            Ended::Down { maybe: false } => {}
        }
    }

    pub async fn get(&mut self) -> String {
        let key = self.key();
        self.check_key(&key).await;
        String::from_utf8_lossy(&key).into_owned()
    }

    /// Reads a key, which must hold one of the things that it may hold. Returns what it holds. Of bytes that the
    /// remote store keeps from us, nothing is seen.
    async fn check_key(&self, key: &[u8]) -> Option<Option<Content>> {
        let name = String::from_utf8_lossy(key);
        let open = self.model.object(key);
        let before = self.misled();
        let (record, bytes) = match self.run.get(key).await {
            Ok(Some((record, bytes))) => (record, Some(bytes)),
            Ok(None) => {
                assert!(open.allows(&None), "{name} is gone; it should be {open:?}");
                return Some(None);
            }
            Err(_) if self.hardware.power.is_off() => return None,
            Err(error) => match self.run.record(key) {
                Ok(Some(record)) if self.is_remotes_doing(&record, &error, before) => {
                    if self.misled() == before {
                        self.expect_told(&record).await;
                    }
                    (record, None)
                }
                _ => panic!("{name} can't be read: {error}"),
            },
        };
        let is = |content: &&Option<Content>| {
            content
                .as_ref()
                .is_some_and(|content| content.etag == record.etag && content.len() == record.size)
        };
        let found = open.possibilities().iter().find(is);
        let Some(Some(found)) = found else {
            panic!("{name} is {} of {} bytes; it should be {open:?}", record.etag, record.size)
        };
        let is_right = bytes.is_none_or(|bytes| found.bytes() == bytes);
        assert!(is_right, "{name} has wrong bytes: it is {:?}", record.body);
        Some(Some(found.clone()))
    }

    async fn get_range(&mut self) -> String {
        let key = self.key();
        let Some(Some(content)) = self.model.object(&key).certain().cloned() else { return String::new() };
        let Ok(Some(record)) = self.run.record(&key) else { return String::new() };
        let Body::Blob(blob) = &record.body else { return String::new() };
        if content.len() == 0 || matches!(blob.place, Place::Journal { .. }) {
            return String::new();
        }
        let start = self.dice.within(0..content.len());
        let end = start + self.dice.magnitude(0..content.len() - start + 1);
        let before = self.misled();
        let read = match self.run.range(blob, record.size, start..end).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => panic!("a body is gone that its record has just named"),
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => {
                assert!(bytes == content.bytes()[start as usize..end as usize], "wrong bytes in a range")
            }
            Err(_) if self.hardware.power.is_off() => {}
            Err(error) if self.is_remotes_doing(&record, &error, before) => {}
            Err(error) => panic!("a range can't be read: {error}"),
        }
        format!("{start}..{end} of {}", content.len())
    }

    /// A reader finishes what it began, whatever is deleted, punched and removed meanwhile.
    async fn read_across_delete(&mut self) -> String {
        let (key, len) = (self.key(), self.dice.within(80_000..1_500_000));
        let piece = self.model.piece(len as usize);
        let put = async |run: &Run| run.put(&key, piece, WriteCondition::default()).await;
        match self.persist("a put", put).await {
            Ended::Done => self.model.set(&key, Some(Content::plain(piece))),
            Ended::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
            Ended::Down { maybe } => {
                if maybe {
                    self.model.may_be(&key, Some(Content::plain(piece)));
                }
                return "was not put".into();
            }
        }
        let Ok(Some(record)) = self.run.record(&key) else { return String::new() };
        let Body::Blob(blob) = &record.body else { return String::new() };
        if blob.form != Form::Plaintext {
            return "is not stored as it is".into();
        }
        let Ok(Some(mut reader)) = self.run.reader(blob, 0..len) else { return String::new() };
        let mut bytes = Vec::new();
        if let Some(Ok(first)) = reader.next().await {
            bytes.extend_from_slice(&first);
        }
        self.delete_key(&key).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        while let Some(piece) = reader.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(_) if self.hardware.power.is_off() => return "the power failed".into(),
                Err(error) => panic!("a reader couldn't finish: {error}"),
            }
        }
        assert!(piece.bytes() == bytes, "a reader got bytes that were freed under it");
        len.to_string()
    }

    async fn list(&mut self) -> String {
        let max = self.dice.within(1..20) as usize;
        let mut listed = BTreeMap::new();
        let mut from = Position::Start;
        loop {
            let request =
                ListRequest { bucket: BUCKET, prefix: Vec::new(), delimiter: None, from, max, owners: false };
            let page = match self.run.metadata.local().list(request).await {
                Ok(page) => page,
                Err(_) if self.hardware.power.is_off() => return String::new(),
                Err(error) => panic!("a list fails: {error}"),
            };
            for entry in page.entries {
                let Listed::Entry(entry) = entry else { panic!("a common prefix without a delimiter") };
                listed.insert(entry.key, (entry.object.etag, entry.object.size));
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        self.check_listed(&listed);
        self.check_folders().await;
        listed.len().to_string()
    }

    fn check_listed(&self, listed: &BTreeMap<Vec<u8>, (ETag, u64)>) {
        for key in listed.keys() {
            assert!(self.model.objects.contains_key(key), "a list has a key that was never written");
        }
        for (key, open) in &self.model.objects {
            let name = String::from_utf8_lossy(key);
            let shown = listed.get(key);
            let is = |content: &Option<Content>| {
                content.as_ref().map(|content| (content.etag, content.len())).as_ref() == shown
            };
            assert!(open.possibilities().iter().any(is), "{name} is listed as {shown:?}, and is {open:?}");
        }
    }

    /// Checks lists with folders, if everything is certain.
    async fn check_folders(&self) {
        let mut expected = BTreeSet::new();
        for (key, open) in &self.model.objects {
            let Some(content) = open.certain() else { return };
            if content.is_some() {
                let end = key.iter().position(|byte| *byte == b'/').map_or(key.len(), |at| at + 1);
                expected.insert(key[..end].to_vec());
            }
        }
        let (prefix, delimiter, from) = (Vec::new(), Some(b"/".to_vec()), Position::Start);
        let request = ListRequest { bucket: BUCKET, prefix, delimiter, from, max: 1000, owners: false };
        let Ok(page) = self.run.metadata.local().list(request).await else { return };
        let seen: BTreeSet<Vec<u8>> = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                Listed::Entry(entry) => entry.key,
                Listed::CommonPrefix(prefix) => prefix,
            })
            .collect();
        assert_eq!(seen, expected, "a list by folders");
    }

    async fn list_uploads(&mut self) -> String {
        let (prefix, from) = (Vec::new(), UploadPosition::Start);
        let request = UploadsRequest { bucket: BUCKET, prefix, delimiter: None, from, max: 1000 };
        let Ok(page) = self.run.metadata.local().uploads(request).await else { return String::new() };
        let listed: BTreeSet<UploadId> = page
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Listed::Entry(entry) => Some(entry.upload),
                Listed::CommonPrefix(_) => None,
            })
            .collect();
        let now = self.run.clock.now();
        for (id, upload) in &self.model.uploads {
            let is_there = listed.contains(id);
            let allowed = upload.there.allows(&is_there) || !is_there && now >= upload.expires;
            assert!(allowed, "upload {id} is listed: {is_there}, and should be {:?}", upload.there);
        }
        assert!(listed.iter().all(|id| self.model.uploads.contains_key(id)), "an unknown upload is listed");
        listed.len().to_string()
    }

    async fn create_upload(&mut self) -> String {
        let (key, random) = (self.key(), self.hardware.entropy.next_u128());
        let now = self.run.clock.now();
        let id = UploadId::new(now, random);
        let expires = now + self.dice.within(5_000..120_000);
        let create = async |run: &Run| run.create_upload(id, &key, expires).await;
        let there = match self.persist("creating an upload", create).await {
            Ended::Done => Open::known(true),
            Ended::Refused(refusal) => panic!("an upload is refused: {refusal:?}"),
            Ended::Down { maybe: false } => return String::new(),
            Ended::Down { maybe: true } => {
                let mut there = Open::known(false);
                there.or(true);
                there
            }
        };
        self.model.uploads.insert(id, Upload { key, expires, parts: BTreeMap::new(), there });
        id.to_string()
    }

    /// An upload that exists unless it has expired.
    fn some_upload(&self) -> Option<(UploadId, Upload)> {
        let there = |(_, upload): &(&UploadId, &Upload)| upload.there.certain() == Some(&true);
        let known: Vec<_> = self.model.uploads.iter().filter(there).collect();
        self.dice.pick(&known).map(|(id, upload)| (**id, (*upload).clone()))
    }

    /// Whether an upload may have expired by now.
    fn has_expired(&self, upload: &Upload) -> bool {
        self.run.clock.now() >= upload.expires
    }

    async fn put_part(&mut self) -> String {
        let Some((id, upload)) = self.some_upload() else { return String::new() };
        let (number, piece) = (self.dice.within(1..6) as u16, self.new_piece());
        let put = async |run: &Run| run.put_part(id, number, piece).await;
        let ended = self.persist("putting a part", put).await;
        let expired = self.has_expired(&upload);
        let Some(known) = self.model.uploads.get_mut(&id) else { return String::new() };
        match ended {
            Ended::Done => drop(known.parts.insert(number, Open::known(Some(piece)))),
            Ended::Refused(Refusal::NoSuchUpload) if expired => known.there = Open::known(false),
            Ended::Refused(refusal) => panic!("a part is refused: {refusal:?}"),
            Ended::Down { maybe: true } => {
                known.parts.entry(number).or_insert_with(|| Open::known(None)).or(Some(piece));
            }
            Ended::Down { maybe: false } => {}
        }
        format!("{number} of {id}, {} bytes", piece.len)
    }

    async fn complete(&mut self) -> String {
        let Some((id, upload)) = self.some_upload() else { return String::new() };
        let mut parts: Vec<(u16, Piece)> = Vec::new();
        for (number, open) in &upload.parts {
            if let Some(Some(piece)) = open.certain()
                && self.dice.percent(80)
            {
                parts.push((*number, *piece));
            }
        }
        if parts.is_empty() {
            return String::new();
        }
        let content = Some(Content::of_parts(parts.iter().map(|(_, piece)| *piece).collect()));
        let complete = async |run: &Run| run.complete(id, &upload.key, &parts).await;
        let ended = self.persist("completing", complete).await;
        let expired = self.has_expired(&upload);
        let Some(known) = self.model.uploads.get_mut(&id) else { return String::new() };
        match ended {
            Ended::Done => {
                known.there = Open::known(false);
                self.model.set(&upload.key, content);
            }
            Ended::Refused(Refusal::NoSuchUpload) if expired => known.there = Open::known(false),
            Ended::Refused(refusal) => panic!("a completion is refused: {refusal:?}"),
            Ended::Down { maybe: true } => {
                known.there.or(false);
                self.model.may_be(&upload.key, content);
            }
            Ended::Down { maybe: false } => {}
        }
        format!("{id} of {} parts", parts.len())
    }

    async fn abort(&mut self) -> String {
        let Some((id, upload)) = self.some_upload() else { return String::new() };
        self.abort_upload(id, &upload).await;
        id.to_string()
    }

    pub async fn abort_upload(&mut self, id: UploadId, upload: &Upload) {
        let ended = self.persist("aborting", async |run: &Run| run.abort(id, &upload.key).await).await;
        let expired = self.has_expired(upload);
        let Some(known) = self.model.uploads.get_mut(&id) else { return };
        match ended {
            Ended::Done => known.there = Open::known(false),
            Ended::Refused(Refusal::NoSuchUpload) if expired => known.there = Open::known(false),
            Ended::Refused(refusal) => panic!("an abort is refused: {refusal:?}"),
            Ended::Down { maybe: true } => known.there.or(false),
            Ended::Down { maybe: false } => {}
        }
    }

    async fn sleep(&mut self) -> String {
        let millis = self.dice.magnitude(100..30_000);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        millis.to_string()
    }

    /// A device is full for a while: puts may be refused, reads and deletes go on, and afterwards everything works
    /// again.
    async fn full_drive(&mut self) -> String {
        let at = self.dice.within(0..self.hardware.disks.len() as u64) as usize;
        let all = self.dice.percent(50);
        let left = self.dice.magnitude(1..4 << 20);
        for (number, disk) in self.hardware.disks.iter().enumerate() {
            if all || number == at {
                disk.drive.set_capacity(Some(disk.drive.used() + left));
            }
        }
        for _ in 0..self.dice.within(1..6) {
            let (key, piece) = (self.key(), self.new_piece());
            match self.run.put(&key, piece, WriteCondition::default()).await {
                Wrote::Done => self.model.set(&key, Some(Content::plain(piece))),
                Wrote::Unknown(_) => self.model.may_be(&key, Some(Content::plain(piece))),
                Wrote::Nothing(_) | Wrote::Refused(Refusal::VolumeGone) => {}
                Wrote::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
            }
            let seconds = self.dice.within(0..4);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let read = self.key();
            self.check_key(&read).await;
        }
        self.hardware.disks.iter().for_each(|disk| disk.drive.set_capacity(None));
        format!("{} with {left} bytes left", if all { "all".into() } else { at.to_string() })
    }

    /// After a start: checks that everything is there; from then on what was open is known.
    pub async fn settle(&mut self) {
        levels::check(self);
        versions::settle(self).await;
        identities::settle(self);
        remote::check_known(self).await;
        if let Some(lost) = self.model.restored.clone() {
            self.settle_restored(lost).await;
            if self.model.restored.is_some() {
                return;
            }
        }
        for key in self.model.objects.keys().cloned().collect::<Vec<_>>() {
            match self.check_key(&key).await {
                Some(found) => self.model.is(&key, found),
                None => return,
            }
            colder::check(self, &key);
        }
        for (id, upload) in self.model.uploads.clone() {
            self.settle_upload(id, upload);
        }
        self.list().await;
        self.list_uploads().await;
    }

    /// After a restore: checks that it is known what is lost, and that nothing is read wrong. Then deletes what is
    /// lost, and aborts all uploads.
    async fn settle_restored(&mut self, mut lost: BTreeSet<Vec<u8>>) {
        lost.extend(remote::not_found_again(self).await);
        for key in lost {
            if let (Ok(Some((_, bytes))), Some(Some(content))) =
                (self.run.get(&key).await, self.model.object(&key).certain())
            {
                assert!(bytes == content.bytes(), "{} has wrong bytes", String::from_utf8_lossy(&key));
            }
            self.delete_key(&key).await;
        }
        versions::delete_all(self).await;
        for (id, upload) in self.model.uploads.clone() {
            self.settle_upload(id, upload);
        }
        for (id, upload) in self.model.uploads.clone() {
            self.abort_upload(id, &upload).await;
        }
        // Deleted things are swept.
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !self.is_down() {
            self.model.restored = None;
            self.model.found_again.clear();
        }
    }

    fn settle_upload(&mut self, id: UploadId, upload: Upload) {
        let Ok(found) = self.run.metadata.local().upload(id) else { return };
        let expired = self.has_expired(&upload);
        let allowed = upload.there.allows(&found.is_some()) || found.is_none() && expired;
        assert!(allowed, "upload {id} is there: {}, and should be {:?}", found.is_some(), upload.there);
        if found.is_none() {
            self.model.uploads.remove(&id);
            return;
        }
        let parts = self.run.metadata.local().scan_parts(id, 1..=u16::MAX, 100).expect("the index answers");
        let mut settled = BTreeMap::new();
        for (number, open) in &upload.parts {
            let part = parts.iter().find(|part| part.number == *number);
            let is = |piece: &&Option<Piece>| {
                piece.map(|piece| (piece.md5(), piece.len as u64)) == part.map(|part| (part.md5, part.size))
            };
            let Some(found) = open.possibilities().iter().find(is) else {
                panic!("part {number} of {id} is {part:?}; it should be {open:?}")
            };
            settled.insert(*number, Open::known(*found));
        }
        assert!(parts.iter().all(|part| upload.parts.contains_key(&part.number)), "an unknown part of {id}");
        self.model.uploads.insert(id, Upload { parts: settled, there: Open::known(true), ..upload });
    }
}
