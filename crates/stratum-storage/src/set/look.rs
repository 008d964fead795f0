//! What lies in a folder where a drive may be: nothing, a blank disk, a drive of ours, or something else.

use super::identity::{self, Identity, Unreadable};
use super::{Root, SetError, SetId, files};
use crate::drive::DriveIo;
use crate::drive::real::RealDrive;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// What a fresh filesystem may hold and still be blank.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// What is said of a drive whose two files of identity contradict each other.
pub(super) const CONTRADICTORY: &str = "has two files of identity that no crash can explain";

pub(super) enum PlaceContent {
    /// No directory at all.
    Absent,
    Blank(Arc<dyn DriveIo>),
    Known(Arc<dyn DriveIo>, Identity),
    /// A disk that was being taken into the set when that was cut short: as good as blank. It isn't kept open.
    HalfJoined,
    /// A drive of the set that another has replaced, or that was taken out of the set. It isn't kept open.
    Stale,
    /// A drive of another store. It isn't kept open.
    Foreign(SetId),
    /// Something that is neither blank nor one of ours; the text says what, as "it ...".
    Unusable(String),
}

impl Root {
    /// Where the folder is, for people: the same words as the drive's own.
    pub fn place(&self) -> String {
        match self {
            Root::Path(path) => std::path::absolute(path).unwrap_or(path.clone()).display().to_string(),
            Root::Open(io) => io.describe(),
        }
    }

    /// The folder, if it is there.
    pub(super) fn open(&self) -> io::Result<Arc<dyn DriveIo>> {
        match self {
            Root::Open(io) => Ok(io.clone()),
            Root::Path(path) => Ok(Arc::new(RealDrive::open(path)?)),
        }
    }
}

/// Opens, locks and reads a place; changes nothing.
pub(super) fn inspect(root: &Root) -> Result<PlaceContent, SetError> {
    match root.open() {
        Ok(io) => inspect_open(io),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(PlaceContent::Absent),
        Err(error) => Ok(PlaceContent::Unusable(format!("cannot be opened: {error}"))),
    }
}

pub(super) fn inspect_open(io: Arc<dyn DriveIo>) -> Result<PlaceContent, SetError> {
    let place = io.describe();
    match io.lock() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(SetError::InUse { place }),
        Err(error) => return Ok(PlaceContent::Unusable(format!("cannot be locked: {error}"))),
    }
    match Identity::read(io.as_ref()) {
        Ok((identity, _)) => Ok(PlaceContent::Known(io, identity)),
        Err(Unreadable::Version(found)) => {
            Err(SetError::NewerFormat { place, found, known: identity::VERSION })
        }
        Err(Unreadable::Damaged) => Ok(PlaceContent::Unusable("has a damaged identity".into())),
        Err(Unreadable::Contradictory) => Ok(PlaceContent::Unusable(CONTRADICTORY.into())),
        Err(Unreadable::Io(error)) => Ok(PlaceContent::Unusable(format!("cannot be read: {error}"))),
        Err(Unreadable::Absent) => Ok(match other_than(io.as_ref(), &[]) {
            Ok(None) => PlaceContent::Blank(io),
            Ok(Some(name)) => PlaceContent::Unusable(format!(
                "holds \"{}\" but no identity of a drive",
                name.escape_debug()
            )),
            Err(error) => PlaceContent::Unusable(format!("cannot be listed: {error}")),
        }),
    }
}

/// A name in the root other than what a blank drive may hold, and other than these.
pub(super) fn other_than(io: &dyn DriveIo, known: &[&str]) -> io::Result<Option<String>> {
    let unfinished = identity::FILES.map(files::unfinished);
    let is_known = |name: &str| {
        name == LOST_AND_FOUND || known.contains(&name) || unfinished.iter().any(|file| file == name)
    };
    Ok(io.list("")?.into_iter().map(|entry| entry.name).find(|name| !is_known(name)))
}

/// Removes all that lies on a drive but its identity: if this is interrupted, the identity says what the rest is.
pub(super) fn wipe(io: &dyn DriveIo) -> io::Result<()> {
    for entry in io.list("")? {
        match entry.name.as_str() {
            name if name == LOST_AND_FOUND || identity::FILES.contains(&name) => {}
            name if entry.is_dir => remove_dir(io, name)?,
            name => io.remove(name)?,
        }
    }
    io.sync_dir("")
}

fn remove_dir(io: &dyn DriveIo, dir: &str) -> io::Result<()> {
    for entry in io.list(dir)? {
        let path = format!("{dir}/{}", entry.name);
        match entry.is_dir {
            true => remove_dir(io, &path)?,
            false => io.remove(&path)?,
        }
    }
    io.remove(dir)
}
