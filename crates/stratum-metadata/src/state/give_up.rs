//! Keys that are given up: what was in blocks of the index that no drive gives.
//!
//! The command names ranges of keys, and the keys in them that stay. All others go, whether this machine knows them or not: one that
//! does removes them here, and what is lost of one counts for empty from now on (`machine/void.rs`). Either comes to the same state, whose fingerprint is less by what the command says.
//!
//! Bytes that only these records named stay where they are, and count as live: nothing is freed on the word of what isn't known.
//! What else follows from a record is put right here: the null version of a key is found again, one whose current object went
//! shows no older one in its place, and buckets are counted anew.

use super::view::View;
use super::{ApplyError, Step, usage, versions};
use crate::buckets::by_id;
use crate::command::{GivenUp, KeyRange, Outcome, Refusal};
use crate::fingerprint::fingerprint;
use crate::keys::{self, Tag};
use crate::record::{BucketId, DeleteMarker, NullVersion, Version, VersionId, decode};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// Whether keys of that kind can be missing: nothing is freed, shown or allowed for their absence that wasn't before.
pub(crate) fn is_dispensable(kind: Tag) -> bool {
    match kind {
        Tag::Object
        | Tag::Version
        | Tag::NullVersion
        | Tag::Part
        | Tag::Completion
        | Tag::Dropped
        | Tag::LastPart
        | Tag::Review => true,
        // What all commands need, who may what, and in which bucket everything is.
        Tag::Applied
        | Tag::HighestIds
        | Tag::Level
        | Tag::BucketById
        | Tag::BucketByName
        | Tag::BucketByOwner
        | Tag::DeletedBucket
        | Tag::BucketDocument
        | Tag::BucketUsage
        | Tag::UserQuota
        | Tag::UserTotal
        | Tag::UserSummed
        | Tag::Identities
        | Tag::Identity
        | Tag::AccessKey
        | Tag::ManagedPolicy
        // Without these, bytes that objects name would be freed.
        | Tag::Volume
        | Tag::Extent
        | Tag::Stripe
        // What is known in several places, and wouldn't agree any more.
        | Tag::Upload
        | Tag::UploadByKey
        | Tag::UploadBytes
        | Tag::Due
        | Tag::Event
        | Tag::EventQueue
        | Tag::EventShare => false,
    }
}

pub(super) fn give_up(view: &mut View<'_>, index: Index, given_up: GivenUp) -> Step {
    let GivenUp { ranges, kept, fingerprint: theirs, now } = given_up;
    if !ranges.iter().flat_map(KeyRange::kinds).all(is_dispensable) {
        return Err(Refusal::Indispensable.into());
    }
    let mut known = 0u128;
    for range in &ranges {
        let mut gone = Vec::new();
        view.scan(&range.from, &range.to, |key, value| {
            if kept.binary_search_by(|kept| kept.as_slice().cmp(key)).is_err() {
                known = known.wrapping_add(fingerprint(key, value));
                gone.push(key.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for key in gone {
            view.remove(key)?;
        }
    }
    // What is known of them is taken off as of any that are removed.
    view.correct(known.wrapping_sub(theirs));
    for span in ranges.iter().flat_map(Span::all_of) {
        let newest = find_null_versions(view, &span)?;
        cover(view, index, now, newest)?;
        count_anew(view, index, &span)?;
    }
    Ok(Outcome::Done)
}

/// A bucket's number and a key.
type Name = (BucketId, Vec<u8>);

/// Objects of which something went, by their names: from one, and to before another if that isn't the last.
struct Span {
    from: Name,
    to: Option<Name>,
}

impl Span {
    fn all_of(range: &KeyRange) -> Vec<Span> {
        let kinds = [Tag::Object, Tag::Version, Tag::NullVersion];
        let of_kind = kinds.into_iter().filter_map(|kind| Some((kind, range.of_kind(kind)?)));
        of_kind.map(|(kind, range)| Span::of(kind, &range)).collect()
    }

    fn of(kind: Tag, range: &KeyRange) -> Span {
        let to = (range.to < keys::end_of(kind)).then(|| match name_in(kind, &range.to) {
            // Older versions of that key may have stayed.
            (bucket, key) if kind == Tag::Version => (bucket, [key.as_slice(), &[0]].concat()),
            name => name,
        });
        Span { from: name_in(kind, &range.from), to }
    }

    /// Where the versions lie that aren't current.
    fn versions(&self) -> (Vec<u8>, Vec<u8>) {
        let prefix = |(bucket, key): &Name| keys::version_prefix(*bucket, key);
        let to = self.to.as_ref().map_or_else(|| keys::end_of(Tag::Version), prefix);
        (prefix(&self.from), to)
    }

    /// The range of the records that say which of the versions are null versions.
    fn null_versions(&self) -> (Vec<u8>, Vec<u8>) {
        let at = |(bucket, key): &Name| keys::null_version(*bucket, key);
        let to = self.to.as_ref().map_or_else(|| keys::end_of(Tag::NullVersion), at);
        (at(&self.from), to)
    }

    /// The buckets' counts.
    fn usages(&self) -> (Vec<u8>, Vec<u8>) {
        let to = self.to.as_ref().map(|(bucket, _)| [keys::bucket_usage(*bucket).as_slice(), &[0]].concat());
        (keys::bucket_usage(self.from.0), to.unwrap_or_else(|| keys::end_of(Tag::BucketUsage)))
    }
}

/// The bucket and key at the bound of a range; the earliest of its bucket where it names none.
fn name_in(kind: Tag, bound: &[u8]) -> Name {
    let version = |bound: &[u8]| keys::parse_version(bound).map(|(bucket, key, _)| (bucket, key));
    let named = match kind {
        // The bound behind a key is that with a zero after it.
        Tag::Version => version(bound).or_else(|| version(bound.strip_suffix(&[0])?)),
        _ => keys::parse_object(bound).map(|(bucket, key)| (bucket, key.to_vec())),
    };
    named.unwrap_or_else(|| {
        let bucket =
            bound.get(1..).and_then(<[u8]>::first_chunk).map_or(0, |number| u64::from_be_bytes(*number));
        (BucketId(bucket), Vec::new())
    })
}

/// Has it stand for each key which of its versions that aren't current is the null version, where there is one. Gives the keys
/// of which the newest of those is an object.
fn find_null_versions(view: &mut View<'_>, span: &Span) -> Result<Vec<Name>, ApplyError> {
    let (mut newest, mut nulls, mut last) = (Vec::new(), BTreeMap::new(), None);
    let (from, to) = span.versions();
    view.scan(&from, &to, |at, value| {
        let Some((bucket, key, committed)) = keys::parse_version(at) else {
            return Ok(ControlFlow::Continue(()));
        };
        let (version, name) = (decode::<Version>(value)?, (bucket, key));
        if version.id() == VersionId::NULL && committed > 0 {
            nulls.insert(name.clone(), NullVersion(committed));
        }
        if last.as_ref() != Some(&name) {
            if matches!(version, Version::Object(_)) {
                newest.push(name.clone());
            }
            last = Some(name);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut said = Vec::new();
    let (from, to) = span.null_versions();
    view.scan(&from, &to, |at, _| {
        said.extend(keys::parse_object(at).map(|(bucket, key)| (bucket, key.to_vec())));
        Ok(ControlFlow::Continue(()))
    })?;
    for (bucket, key) in said.iter().filter(|said| !nulls.contains_key(*said)) {
        view.remove(keys::null_version(*bucket, key))?;
    }
    for ((bucket, key), null) in nulls {
        let at = keys::null_version(bucket, &key);
        if view.get::<NullVersion>(at.clone())? != Some(null) {
            view.put(at, &null)?;
        }
    }
    Ok(newest)
}

/// A key that has no current object any more doesn't show an older one as the newest: it was deleted, as it were.
fn cover(view: &mut View<'_>, index: Index, now: UnixMillis, newest: Vec<Name>) -> Result<(), ApplyError> {
    for (bucket, key) in newest {
        if view.contains(keys::object(bucket, &key))? || by_id(bucket, |key| view.value(key))?.is_none() {
            continue;
        }
        let version = VersionId::of_entry(index);
        let marker = DeleteMarker { version, modified: now, committed: index, owner: None };
        versions::put(view, bucket, &key, Version::DeleteMarker(marker))?;
    }
    Ok(())
}

fn count_anew(view: &mut View<'_>, index: Index, span: &Span) -> Result<(), ApplyError> {
    let (mut counted, (from, to)) = (Vec::new(), span.usages());
    view.scan(&from, &to, |at, _| {
        counted.extend(keys::parse_bucket_by_id(at));
        Ok(ControlFlow::Continue(()))
    })?;
    counted.into_iter().try_for_each(|bucket| usage::begin_anew(view, index, bucket))
}
