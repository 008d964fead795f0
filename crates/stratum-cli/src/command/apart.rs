//! That what is copied is apart from what it is copied to: it would be found again and again, or deleted as left over.
//!
//! Two URLs may mean one bucket by two names of its endpoint, which no name shows. What a bucket holds does.

use crate::place::{Place, Url};
use crate::problem::{Outcome, Problem};
use crate::sessions::Sessions;
use crate::sources::{Extent, FilterArgs, Meaning, find};
use crate::transfer::{From, is_same};
use futures_util::StreamExt;

/// Refuses a target that lies within a source which means many.
///
/// # Errors
/// `Usage`; what looking into both comes to.
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
            // The same folder elsewhere is what mirrors have; and onto itself nothing is copied, nor deleted.
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

/// Whether what is brought there is meant, too. Of a pattern's own folder each is brought onto itself, which is another question.
fn lies_within(target: &Url, meaning: &Meaning) -> bool {
    match meaning {
        Meaning::Folder(folder) => target.folder().starts_with(folder.as_str()),
        Meaning::Pattern(glob) => {
            let (from, to) = (meaning.folder(), target.folder());
            from != to && glob.fits_again(&from, &to)
        }
    }
}

/// Whether two endpoints have just the same of a name: then they are one, as far as anybody can see. Where there is nothing, or
/// one of them doesn't say, they are two.
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
