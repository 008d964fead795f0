//! A page of a bucket's versions, in the order of their keys, and the newest version of each key first.
//!
//! Current objects and noncurrent versions lie in two places, so a page is merged from two scans, each of no more
//! lines than the page may have. Between the two scans a version may move from one place to the other, and so be seen
//! twice or not at all. So the scans are watched: the keys that had a version moved meanwhile are read again by
//! themselves, both places in one moment. However often a key changes, it need not be read a third time.

use super::{Listed, Next, Page, Position, common_prefix, scan, shown};
use crate::keys;
use crate::machine::{Machine, Moment, ReadError};
use crate::record::{
    BucketId, DecodeError, NullVersion, ObjectRecord, Version, VersionId, VersionSummary, decode,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

/// Where a page of versions begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionPosition {
    #[default]
    Start,
    /// After all versions of this key.
    AfterKey(Vec<u8>),
    /// After this version of this key. The place of a null version that is gone isn't known; the page then begins
    /// with the key's newest version.
    AfterVersion(Vec<u8>, VersionId),
    /// After every key that begins with this common prefix.
    Past(Vec<u8>),
}

/// Which versions to list.
#[derive(Clone, Debug)]
pub struct VersionsRequest {
    pub bucket: BucketId,
    pub prefix: Vec<u8>,
    pub delimiter: Option<Vec<u8>>,
    pub from: VersionPosition,
    pub max: usize,
    /// Whether the owners of the versions are to be listed, for which their whole records must be read.
    pub owners: bool,
}

/// A version as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    pub key: Vec<u8>,
    pub is_latest: bool,
    pub version: VersionSummary,
    /// The canonical user id of its owner, if owners were asked for and it isn't the bucket's owner.
    pub owner: Option<String>,
}

/// A version as a listing shows it, and its owner.
type Shown = (VersionSummary, Option<String>);

/// What a name in the listing stands for: the versions of a key, the newest first, or keys that roll up.
enum Found {
    CommonPrefix,
    /// The versions, and whether the first of them is the key's newest.
    Versions(Vec<Shown>, bool),
}

/// The result of one of the two scans.
struct Scanned<T> {
    lines: Vec<Listed<(Vec<u8>, T)>>,
    /// The last name that the scan reached before it had enough lines; names after it are unknown. `None` if it
    /// reached the end.
    until: Option<Vec<u8>>,
}

/// A page of versions.
pub(crate) fn versions(
    machine: &Machine,
    request: &VersionsRequest,
) -> Result<Page<ListedVersion, VersionPosition>, ReadError> {
    if request.max == 0 {
        return Ok(Page { entries: Vec::new(), next: None });
    }
    let mut request = request.clone();
    loop {
        let found = page_from(machine, &request)?;
        match found.next {
            // So many keys were deleted while they were listed that nothing is left of what is known.
            Some(next) if found.entries.is_empty() => request.from = next,
            next => return Ok(Page { next, ..found }),
        }
    }
}

/// A page of versions, which may be empty though there are more.
fn page_from(
    machine: &Machine,
    request: &VersionsRequest,
) -> Result<Page<ListedVersion, VersionPosition>, ReadError> {
    let mut found = BTreeMap::new();
    if let VersionPosition::AfterVersion(key, id) = &request.from
        && key.starts_with(&request.prefix)
    {
        let after = place(&machine.moment()?, request.bucket, key, *id)?;
        let (versions, is_newest) = of_key(machine, request, key, after)?;
        found.insert(key.clone(), Found::Versions(versions, is_newest));
    }
    let until = rest(machine, request, &mut found)?;
    Ok(page(request.max, found, until))
}

/// Adds the lines after the position's key. Returns the last name up to which everything is known, or `None` if
/// everything is.
fn rest(
    machine: &Machine,
    request: &VersionsRequest,
    found: &mut BTreeMap<Vec<u8>, Found>,
) -> Result<Option<Vec<u8>>, ReadError> {
    let from = match request.from.clone() {
        VersionPosition::Start => Position::Start,
        VersionPosition::AfterKey(key) | VersionPosition::AfterVersion(key, _) => Position::After(key),
        VersionPosition::Past(common) => Position::Past(common),
    };
    let Some(first) = from.first_key(&request.prefix) else { return Ok(None) };
    let bucket = request.bucket;
    let start = keys::version_prefix(bucket, &first);
    let end = keys::end_of_prefix(&keys::version_prefix(bucket, &request.prefix));
    let watch = machine.watch(start.clone(), end.clone());
    let current = current(machine, request, &first)?;
    let noncurrent = noncurrent(machine, request, start, &end)?;
    let moved = watch.moved()?;
    drop(watch);
    let until = lesser(current.until.clone(), noncurrent.until.clone());
    enter(found, current, noncurrent);
    enter_moved(machine, request, found, moved.keys, lesser(until, moved.until))
}

/// Merges the results of the two scans.
fn enter(found: &mut BTreeMap<Vec<u8>, Found>, current: Scanned<Shown>, noncurrent: Scanned<Shown>) {
    for line in current.lines {
        match line {
            Listed::CommonPrefix(common) => drop(found.insert(common, Found::CommonPrefix)),
            Listed::Entry((key, object)) => {
                found.insert(key, Found::Versions(vec![object], true));
            }
        }
    }
    for line in noncurrent.lines {
        match line {
            Listed::CommonPrefix(common) => drop(found.insert(common, Found::CommonPrefix)),
            Listed::Entry((key, version)) => {
                let of_key = found.entry(key).or_insert_with(|| Found::Versions(Vec::new(), true));
                if let Found::Versions(versions, _) = of_key {
                    versions.push(version);
                }
            }
        }
    }
}

/// Reads again every key that had a version moved. Returns the last name up to which everything is known, or `None`.
fn enter_moved(
    machine: &Machine,
    request: &VersionsRequest,
    found: &mut BTreeMap<Vec<u8>, Found>,
    moved: BTreeSet<Vec<u8>>,
    until: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, ReadError> {
    let mut room = request.max + 1;
    for key in moved {
        if until.as_ref().is_some_and(|until| key > *until) {
            break;
        }
        let (versions, is_newest) = of_key(machine, request, &key, None)?;
        let common = common_prefix(&key, &request.prefix, request.delimiter.as_deref()).map(<[u8]>::to_vec);
        match (common, versions.is_empty()) {
            // The common prefix may have other keys.
            (Some(_), true) => {}
            (Some(common), false) => drop(found.insert(common, Found::CommonPrefix)),
            (None, true) => drop(found.remove(&key)),
            (None, false) => {
                room = room.saturating_sub(versions.len());
                found.insert(key.clone(), Found::Versions(versions, is_newest));
            }
        }
        // The versions so far fill the page; the keys after this one belong to the next page.
        if room == 0 {
            return Ok(lesser(until, Some(key)));
        }
    }
    Ok(until)
}

/// Cuts the lines to a page.
fn page(
    max: usize,
    found: BTreeMap<Vec<u8>, Found>,
    until: Option<Vec<u8>>,
) -> Page<ListedVersion, VersionPosition> {
    let mut page = Page { entries: Vec::new(), next: None };
    let is_known = |name: &Vec<u8>| until.as_ref().is_none_or(|until| name <= until);
    let lines =
        found.into_iter().take_while(|(name, _)| is_known(name)).flat_map(|(name, found)| match found {
            Found::CommonPrefix => vec![Listed::CommonPrefix(name)],
            Found::Versions(versions, is_newest) => {
                let listed = |(at, (version, owner))| {
                    let (key, is_latest) = (name.clone(), is_newest && at == 0);
                    Listed::Entry(ListedVersion { key, is_latest, version, owner })
                };
                versions.into_iter().enumerate().map(listed).collect()
            }
        });
    for line in lines {
        if page.entries.len() == max {
            page.next = page.entries.last().map(position_after);
            return page;
        }
        page.entries.push(line);
    }
    // There is more after the last name that is known.
    page.next =
        until.map(|until| page.entries.last().map_or(VersionPosition::AfterKey(until), position_after));
    page
}

fn position_after(last: &Listed<ListedVersion>) -> VersionPosition {
    match last {
        Listed::Entry(last) => VersionPosition::AfterVersion(last.key.clone(), last.version.id()),
        Listed::CommonPrefix(common) => VersionPosition::Past(common.clone()),
    }
}

/// The current objects from a key on: one line more than a page takes.
fn current(machine: &Machine, request: &VersionsRequest, first: &[u8]) -> Result<Scanned<Shown>, ReadError> {
    let range = keys::objects_of(request.bucket);
    let (start, end) = ([range.as_slice(), first].concat(), [range.as_slice(), &request.prefix].concat());
    lines(
        machine,
        request,
        start,
        &keys::end_of_prefix(&end),
        |key, value| {
            let Some((_, key)) = keys::parse_object(key) else { return Ok(None) };
            let (object, owner) = shown(value, request.owners)?;
            Ok(Some((key.to_vec(), (VersionSummary::Object(object), owner))))
        },
        |common| Some([range.as_slice(), &keys::after_prefix(common)?].concat()),
    )
}

/// The noncurrent versions from a place on: one line more than a page takes.
fn noncurrent(
    machine: &Machine,
    request: &VersionsRequest,
    start: Vec<u8>,
    end: &[u8],
) -> Result<Scanned<Shown>, ReadError> {
    lines(
        machine,
        request,
        start,
        end,
        |key, value| {
            let Some((_, key, _)) = keys::parse_version(key) else { return Ok(None) };
            Ok(Some((key, shown_version(value, request.owners)?)))
        },
        |common| Some(keys::end_of_prefix(&keys::version_prefix(request.bucket, common))),
    )
}

/// Scans one of the two places for one line more than a page takes. `past` gives the key at which the scan goes on
/// after a common prefix.
fn lines<T>(
    machine: &Machine,
    request: &VersionsRequest,
    start: Vec<u8>,
    end: &[u8],
    read: impl Fn(&[u8], &[u8]) -> Result<Option<(Vec<u8>, T)>, DecodeError>,
    past: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<Scanned<T>, ReadError> {
    let VersionsRequest { prefix, delimiter, max, .. } = request;
    let (mut scanned, mut failed) = (Scanned { lines: Vec::new(), until: None }, None);
    scan(machine, start, end, |key, value| {
        let (key, line) = match read(key, value) {
            Ok(Some(line)) => line,
            Ok(None) => return Next::Key,
            Err(error) => {
                failed = Some(error);
                return Next::Stop;
            }
        };
        let common = common_prefix(&key, prefix, delimiter.as_deref()).map(<[u8]>::to_vec);
        let name = common.clone().unwrap_or_else(|| key.clone());
        let next = match common {
            Some(common) => {
                let next = past(&common).map_or(Next::Stop, Next::Seek);
                scanned.lines.push(Listed::CommonPrefix(common));
                next
            }
            None => {
                scanned.lines.push(Listed::Entry((key, line)));
                Next::Key
            }
        };
        if scanned.lines.len() > *max {
            scanned.until = Some(name);
            return Next::Stop;
        }
        next
    })?;
    failed.map_or(Ok(scanned), |error| Err(error.into()))
}

/// The entry that committed a version, which is its place among the key's versions; `None` if that isn't known.
fn place(
    moment: &Moment<'_>,
    bucket: BucketId,
    key: &[u8],
    id: VersionId,
) -> Result<Option<Index>, ReadError> {
    if let Some(entry) = id.entry() {
        return Ok(Some(entry));
    }
    if let Some(current) = current_of(moment, bucket, key)?.filter(|current| current.version == id) {
        return Ok(Some(current.committed));
    }
    let said = moment.get(&keys::null_version(bucket, key))?;
    let committed = said.map(|value| decode::<NullVersion>(&value)).transpose()?.map_or(0, |said| said.0);
    let is_there = moment.get(&keys::version(bucket, key, committed))?.is_some();
    Ok(is_there.then_some(committed))
}

fn current_of(moment: &Moment<'_>, bucket: BucketId, key: &[u8]) -> Result<Option<ObjectRecord>, ReadError> {
    Ok(moment.get(&keys::object(bucket, key))?.map(|value| decode(&value)).transpose()?)
}

/// The versions of one key that were committed before entry `older_than`, up to one more than a page takes; and whether
/// the first of them is the key's newest.
///
/// Both places are read in one moment. Where there are so many versions that they take several moments, each of them
/// begins after the last version that was read: one that became current meanwhile, because all newer ones were deleted, is
/// met as the current one then.
fn of_key(
    machine: &Machine,
    request: &VersionsRequest,
    key: &[u8],
    older_than: Option<Index>,
) -> Result<(Vec<Shown>, bool), ReadError> {
    let bucket = request.bucket;
    let place = |committed| keys::version(bucket, key, committed);
    let all = keys::versions_of(bucket, key);
    let end = keys::end_of_prefix(&all);
    let mut next = match older_than {
        None => Some(all.clone()),
        Some(entry) => entry.checked_sub(1).map(place),
    };
    let (mut versions, mut newest) = (Vec::new(), None);
    while let Some(from) = next.filter(|_| versions.len() <= request.max) {
        let moment = machine.moment()?;
        let current = current_of(&moment, bucket, key)?;
        if older_than.is_some() && newest.is_none() {
            newest = match &current {
                Some(current) => Some(current.version),
                None => newest_noncurrent(&moment, &all, &end)?,
            };
        }
        let current = current.filter(|current| place(current.committed) >= from);
        versions.extend(current.map(|record| shown_of(Version::Object(Box::new(record)), request.owners)));
        let mut failed = None;
        next = moment.scan(&from, &end, &mut |_, value| {
            match shown_version(value, request.owners) {
                Ok(version) => versions.push(version),
                Err(error) => failed = Some(error),
            }
            let go_on = failed.is_none() && versions.len() <= request.max;
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    let first = versions.first().map(|(version, _)| version.id());
    Ok((versions, older_than.is_none() || first == newest))
}

/// The newest of a key's noncurrent versions.
fn newest_noncurrent(moment: &Moment<'_>, all: &[u8], end: &[u8]) -> Result<Option<VersionId>, ReadError> {
    let (mut next, mut newest) = (Some(all.to_vec()), None);
    while let Some(from) = next {
        next = moment.scan(&from, end, &mut |_, value| {
            newest = Some(decode::<VersionSummary>(value));
            ControlFlow::Break(())
        })?;
    }
    Ok(newest.transpose()?.map(|newest| newest.id()))
}

/// A noncurrent version as a listing shows it.
fn shown_version(value: &[u8], owners: bool) -> Result<Shown, DecodeError> {
    if owners { Ok(shown_of(decode(value)?, true)) } else { Ok((decode(value)?, None)) }
}

fn shown_of(version: Version, owners: bool) -> Shown {
    let (summary, owner) = match version {
        Version::Object(mut record) => {
            let owner = record.attributes.owner.take();
            (VersionSummary::Object((*record).into()), owner)
        }
        Version::DeleteMarker(marker) => {
            let owner = marker.owner.clone();
            (VersionSummary::DeleteMarker(marker), owner)
        }
    };
    (summary, owner.filter(|_| owners))
}

/// The lesser of two bounds; `None` is no bound.
fn lesser(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
