//! Checks that the target of a copy doesn't lie within its source: copies would be found as sources again and again,
//! or `sync --delete` would delete them.
//!
//! Two URLs may mean one bucket if its endpoint has two names. The names don't show that, so objects are compared
//! instead.

use crate::place::{Place, Url};
use crate::problem::{Outcome, Problem};
use crate::sessions::Sessions;
use crate::sources::{Extent, FilterArgs, Meaning, find};
use crate::transfer::{From, is_same};
use futures_util::StreamExt;

/// Refuses a target that lies within a source which means many.
///
/// # Errors
/// [`Problem::Usage`] if the target lies within the source, and whatever keeps source or target from being read.
pub async fn check_apart(
    sessions: &Sessions,
    (source, extent): (&Place, Extent),
    target: &Place,
    is_raw: bool,
) -> Result<(), Problem> {
    match (source, target) {
        (Place::Remote(source), Place::Remote(target)) if extent == Extent::Many => {
            let meaning = Meaning::of(source, is_raw);
            let folder = source.with_key(meaning.folder());
            if source.bucket != target.bucket || !lies_within(target, &meaning) {
                return Ok(());
            }
            if source.site == target.site {
                return Err(Problem::Usage(format!("{target} lies within {source}")));
            }
            // The same folder at two endpoints is what mirrors have. Should both be names of one endpoint, nothing
            // differs, so nothing is copied or deleted.
            if folder.folder() != target.folder() && are_one(sessions, &folder, target).await? {
                let message = format!("{target} lies within {source}: both are names of one endpoint");
                return Err(Problem::Usage(message));
            }
            Ok(())
        }
        (Place::Local(_) | Place::Pipe, Place::Local(_) | Place::Pipe) => Err(Problem::Usage(
            "neither source nor target is in a bucket: cp(1), mv(1) and rsync(1) are for that".into(),
        )),
        _ => Ok(()),
    }
}

/// Whether the source would also mean the copies in the target. A pattern whose own folder is the target doesn't
/// count: each object would be copied onto itself, which the copy itself refuses.
fn lies_within(target: &Url, meaning: &Meaning) -> bool {
    match meaning {
        Meaning::Folder(folder) => target.folder().starts_with(folder.as_str()),
        Meaning::Pattern(glob) => {
            let (from, to) = (meaning.folder(), target.folder());
            from != to && glob.fits_again(&from, &to)
        }
    }
}

/// Whether two endpoints seem to be one: an object has the same size, ETag and time at both. Where there is no object
/// to compare, or an endpoint doesn't show it, they count as two.
async fn are_one(sessions: &Sessions, source: &Url, target: &Url) -> Result<bool, Problem> {
    for folder in [target.folder(), source.folder()] {
        let place = Place::Remote(source.with_key(folder));
        let mut found = find(sessions, &place, Extent::Many, true, &FilterArgs::default()).await?;
        let Some(Ok(first)) = found.next().await else { continue };
        let From::Object(object) = first.from else { continue };
        let (here, there) = (sessions.client(&source.site)?, sessions.client(&target.site)?);
        let compared = is_same(&here, &there, &object.url).await;
        return match compared {
            Err(problem) if matches!(problem.outcome(), Outcome::Missing | Outcome::Denied) => Ok(false),
            compared => compared,
        };
    }
    Ok(false)
}
