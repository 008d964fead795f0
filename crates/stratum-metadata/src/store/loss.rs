//! What of the state is lost, and how it is given up.
//!
//! What isn't known adds something to the state's fingerprint that isn't known either, but as what is left of it when all that is
//! known is taken off. So all that is lost is given up together or not at all, and all of the state is read for it. What it comes to
//! holds for as long as the same blocks are lost, since nothing that needs them is proposed; which keys in between are known is
//! seen when the command is proposed, and nothing is applied between that and its turn.

use super::{LostKeys, Metadata};
use crate::buckets::name_of;
use crate::checkpoint::{CheckpointError, Unknown};
use crate::command::{Command, GivenUp, KeyRange, Outcome};
use crate::fate::{CommitError, NotWritten};
use crate::keys::{self, Tag};
use crate::lost::kind_in_words;
use crate::machine::{Machine, ReadError};
use crate::record::{Level, TakesLevel, level};
use crate::state::is_dispensable;
use crate::tree::{TreeError, Value};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use xxhash_rust::xxh3::xxh3_64;

/// How often it is looked what is lost, where each look finds more.
const MOST_LOOKS: usize = 64;
/// The part of a group's bytes that the keys which stay may take.
const KEPT_DIVISOR: usize = 2;
/// As many buckets as are named.
const NAMED_BUCKETS: usize = 32;

/// What would be given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    pub blocks: Vec<LostKeys>,
    /// Records that were in them, and that nobody knows: so many at most.
    pub at_most: u64,
    /// The buckets that they may be of, by name; of many the first.
    pub buckets: Vec<String>,
    pub more_buckets: u64,
    /// Why it can't be given up; nothing where it can.
    pub refusal: Option<String>,
    /// Stands for just this loss; empty where nothing is lost.
    pub token: String,
}

/// Why nothing was given up, or it isn't known what would be.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    #[error("nothing of the index is lost")]
    Nothing,
    #[error("what is lost is something else by now: look at it again")]
    Changed,
    #[error("{0}")]
    Refused(String),
    #[error("what is lost can't be told now: {0}")]
    Checkpoint(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<CheckpointError> for LossError {
    fn from(error: CheckpointError) -> LossError {
        LossError::Checkpoint(error.to_string())
    }
}

impl Metadata {
    /// What of the index is lost, and what it would mean to give it up. Reads all of the index; blocks.
    pub fn loss(&self) -> Result<Loss, LossError> {
        Ok(match self.unknown()? {
            Some(unknown) => self.told_of(&unknown)?,
            None => Loss::default(),
        })
    }

    /// Gives up what that token stands for, and takes checkpoints without it until none is kept that has lost blocks: a check that
    /// follows finds none. Blocks.
    pub fn give_up(&self, token: &str) -> Result<Loss, LossError> {
        let loss = self.order_given_up(token)?;
        // Others come by themselves.
        if let Err(error) = self.replace_kept_checkpoints() {
            tracing::warn!(%error, "the lost blocks stay in a checkpoint that is kept");
        }
        Ok(loss)
    }

    /// From then on nothing of it is lost.
    pub(super) fn order_given_up(&self, token: &str) -> Result<Loss, LossError> {
        let unknown = self.unknown()?.ok_or(LossError::Nothing)?;
        let loss = self.told_of(&unknown)?;
        if loss.token != token {
            return Err(LossError::Changed);
        }
        if let Some(refusal) = &loss.refusal {
            return Err(LossError::Refused(refusal.clone()));
        }
        // What was closed before is merged as it was then, and would bring back what is found meanwhile.
        let _alone = self.inner.upkeep.between_checkpoints();
        if self.inner.machine.closed().is_some() {
            return Err(LossError::Checkpoint("a checkpoint is on its way; try again in a minute".into()));
        }
        let now = self.inner.clock.now();
        let nothing = GivenUp { ranges: Vec::new(), kept: Vec::new(), fingerprint: 0, now };
        let all = move |machine: &Machine, most: usize| {
            let kept = kept(machine, &unknown, most / KEPT_DIVISOR)?;
            let Unknown { ranges, fingerprint, .. } = unknown;
            Ok(Command::GiveUp(GivenUp { ranges, kept, fingerprint, now }))
        };
        match self.inner.committer.commit_late(Command::GiveUp(nothing), Box::new(all))? {
            Outcome::Refused(refusal) => return Err(LossError::Refused(refusal.to_string())),
            _ => tracing::warn!(at_most = loss.at_most, "an operator gave up what was lost of the index"),
        }
        Ok(loss)
    }

    fn too_low(&self) -> Option<String> {
        (self.level() < Level::SECOND).then(|| TakesLevel(Level::SECOND).to_string())
    }

    fn unknown(&self) -> Result<Option<Unknown>, LossError> {
        for _ in 0..MOST_LOOKS {
            let state = self.current_state()?;
            match state.unknown() {
                Ok(None) if !state.has_lost() => return Ok(None),
                Ok(Some(unknown)) => return Ok(Some(unknown)),
                // Something was read again, or wasn't, meanwhile.
                Ok(None) | Err(TreeError::Lost(_)) => state.look_for_lost(),
                Err(error) => return Err(ReadError::from(error).into()),
            }
        }
        Err(LossError::Changed)
    }

    fn told_of(&self, unknown: &Unknown) -> Result<Loss, LossError> {
        let (mut buckets, mut more_buckets) = (Vec::new(), 0);
        let ids = unknown.ranges.iter().flat_map(buckets_of);
        for KeyRange { from, to } in KeyRange::union(ids) {
            self.scan_around_lost(from, &to, &mut |_, value| match name_of(value) {
                Ok(name) if buckets.len() < NAMED_BUCKETS => buckets.push(name),
                _ => more_buckets += 1,
            })?;
        }
        Ok(Loss {
            blocks: self.told(unknown.blocks()),
            at_most: unknown.at_most,
            buckets,
            more_buckets,
            refusal: self.too_low().or_else(|| refusal(&unknown.ranges)),
            token: format!(
                "{:016x}",
                xxh3_64(&level::append(&(&unknown.ranges, unknown.fingerprint), Vec::new()))
            ),
        })
    }

    /// Visits what is known of the pairs with `from <= key < to`: what names the buckets of lost keys may be lost itself.
    fn scan_around_lost(
        &self,
        mut from: Vec<u8>,
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value),
    ) -> Result<(), ReadError> {
        while from.as_slice() < to {
            let scanned = self.inner.machine.scan(&from, to, |key, value| {
                visit(key, value);
                ControlFlow::Continue(())
            });
            match scanned {
                Ok(()) => return Ok(()),
                Err(TreeError::Lost(block)) if block.behind() > from => from = block.behind(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The keys that stay, of the state as it is.
fn kept(machine: &Machine, unknown: &Unknown, most: usize) -> Result<Vec<Vec<u8>>, NotWritten> {
    let unavailable = |words: &str| NotWritten::Unavailable(words.into());
    let known = machine.known_among(&unknown.ranges, most);
    let known = known.map_err(|error| NotWritten::Unavailable(error.to_string()))?;
    if !machine.checkpoint().is_some_and(|checkpoint| unknown.is_of(&checkpoint)) {
        return Err(unavailable("what is lost is something else by now: look at it again"));
    }
    known.ok_or_else(|| {
        unavailable(
            "too many keys between those that are lost are known: one entry of the journal can't name them all; a restore of a \
             backup is what remains",
        )
    })
}

/// Why these can't be given up.
fn refusal(ranges: &[KeyRange]) -> Option<String> {
    let mut kinds: Vec<&str> = Vec::new();
    for kind in ranges.iter().flat_map(KeyRange::kinds).filter(|kind| !is_dispensable(*kind)) {
        let words = in_plural(kind);
        if !kinds.contains(&words) {
            kinds.push(words);
        }
    }
    (!kinds.is_empty()).then(|| {
        format!(
            "among the lost keys may be some of {}, and others can't do without these. All that is lost is given up together, so \
             nothing is. A sound copy that comes back, or a restore of a backup, is what remains",
            kinds.join(", ")
        )
    })
}

fn in_plural(kind: Tag) -> &'static str {
    match kind {
        Tag::BucketById
        | Tag::BucketByName
        | Tag::BucketByOwner
        | Tag::DeletedBucket
        | Tag::BucketDocument => "buckets",
        Tag::BucketUsage | Tag::UserQuota | Tag::UserTotal | Tag::UserSummed => "quotas",
        Tag::Identities | Tag::Identity | Tag::AccessKey | Tag::ManagedPolicy => "users and their rights",
        Tag::Volume | Tag::Extent | Tag::Stripe => "the volumes and what is live in them",
        Tag::Upload | Tag::UploadByKey | Tag::UploadBytes => "uploads that are under way",
        Tag::Due => "what falls due",
        Tag::Event | Tag::EventQueue | Tag::EventShare => "events that wait",
        other => kind_in_words(other),
    }
}

/// Where the buckets stand by their ids of which objects or versions are in a range.
fn buckets_of(range: &KeyRange) -> Vec<KeyRange> {
    let kinds = [Tag::Object, Tag::Version, Tag::NullVersion];
    let of_kind = kinds.into_iter().filter_map(|kind| Some((kind, range.of_kind(kind)?)));
    let under_ids = |bound: &[u8]| [keys::start_of(Tag::BucketById).as_slice(), bound].concat();
    let ids = |(kind, range): (Tag, KeyRange)| {
        let number = |bound: &[u8]| bound.get(1..).map(|rest| rest[..rest.len().min(8)].to_vec());
        let to = match range.to < keys::end_of(kind) {
            // The bucket of the bound itself, unless that is where its keys begin.
            true if range.to.len() > 9 => [under_ids(&number(&range.to)?), vec![0]].concat(),
            true => under_ids(&number(&range.to)?),
            false => keys::end_of(Tag::BucketById),
        };
        let from = under_ids(&number(&range.from)?);
        (from < to).then_some(KeyRange { from, to })
    };
    of_kind.filter_map(ids).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BucketId;

    #[test]
    fn it_is_told_which_buckets_are_concerned() {
        let by_id = |from: u64, to: Vec<u8>| KeyRange { from: keys::bucket_by_id(BucketId(from)), to };
        let behind = |id| [keys::bucket_by_id(BucketId(id)).as_slice(), &[0]].concat();
        let range = |from: Vec<u8>, to: Vec<u8>| KeyRange { from, to };
        let within = range(keys::object(BucketId(1), b"a"), keys::object(BucketId(1), b"b"));
        assert_eq!(buckets_of(&within), [by_id(1, behind(1))]);
        let through = range(keys::object(BucketId(1), b"a"), keys::objects_of(BucketId(3)));
        assert_eq!(buckets_of(&through), [by_id(1, keys::bucket_by_id(BucketId(3)))]);
        let versions = range(keys::object(BucketId(7), b"a"), keys::version(BucketId(2), b"a", 5));
        let expected = [by_id(7, keys::end_of(Tag::BucketById)), range(vec![0x10], behind(2))];
        assert_eq!(buckets_of(&versions), expected);
    }

    #[test]
    fn what_others_need_is_not_given_up() {
        let range = |from: u8, to: u8| KeyRange { from: vec![from, 1], to: vec![to, 1] };
        assert_eq!(refusal(&[range(0x20, 0x22), range(0x32, 0x33)]), None);
        let words = refusal(&[range(0x20, 0x20), range(0x10, 0x12), range(0x61, 0x62)]).unwrap();
        assert!(words.contains("some of buckets, users and their rights, and others"), "{words}");
    }
}
