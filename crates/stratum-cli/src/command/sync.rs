//! `stratum sync`: makes one folder like another.
//!
//! Source and target are compared side by side, both in the order of their names, so that only a page of each is in
//! memory. What differs is copied as it is met. With `--delete`, what the target has beyond the source is deleted as
//! it is met, too. Once anything of the source couldn't be read, nothing is deleted any more, since it may be in the
//! source after all.

use super::apart::check_apart;
use super::cp::{AttributeArgs, HowArgs, transfer};
use crate::connection::ConnectArgs;
use crate::local::Root;
use crate::machine::Machine;
use crate::output::{Output, OutputArgs};
use crate::place::Place;
use crate::problem::{Outcome, Problem};
use crate::quantity::seconds;
use crate::s3::DELETED_AT_ONCE;
use crate::sessions::Sessions;
use crate::sources::{Extent, FilterArgs, Found, find};
use crate::transfer::{Engine, From, Step, To, Work};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, empty, unfold};
use std::cmp::Ordering;
use std::sync::Arc;
use time::OffsetDateTime;

/// What `stratum sync` takes.
#[derive(Args)]
pub struct SyncArgs {
    /// A folder, or s3://BUCKET/FOLDER.
    #[arg(value_name = "SOURCE", value_parser = Place::parse)]
    source: Place,
    /// A folder, or s3://BUCKET/FOLDER, that is to become like the source.
    #[arg(value_name = "TARGET", value_parser = Place::parse)]
    target: Place,
    /// Delete files and objects that only the target has, but none whose name is excluded.
    #[arg(long)]
    delete: bool,
    /// Take files and objects of the same size for the same.
    #[arg(long)]
    size_only: bool,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    said: AttributeArgs,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Makes the target like the source.
pub fn run(args: SyncArgs, machine: Machine) -> Outcome {
    let options = args.how.options(args.said.attributes(), true, false);
    let sessions = Sessions::new(args.connect.clone(), machine);
    let output = Output::with_progress(args.output);
    transfer(Engine::new(sessions, output, options), machine, async |engine| work(&args, engine).await)
}

type Side = BoxStream<'static, Result<Found, Problem>>;

/// The work to be done, in the order of names.
async fn work(
    args: &SyncArgs,
    engine: &Engine,
) -> Result<BoxStream<'static, Result<Work, Problem>>, Problem> {
    for (from, to) in [(&args.source, &args.target), (&args.target, &args.source)] {
        check_apart(&engine.sessions, (from, Extent::Many), to, true).await?;
    }
    let target = match &args.target {
        Place::Remote(url) => Target::Prefix(url.with_key(url.folder())),
        Place::Local(path) => Target::Below(Arc::new(Root::new(path.clone()))),
        Place::Pipe => return Err(Problem::Usage("a pipe is no folder".into())),
    };
    let source = side(engine, &args.source, &args.filters).await?;
    // Links in the target were made by somebody else, since no copy is one, and are left alone.
    let there = match &args.target {
        Place::Local(path) if path.symlink_metadata().is_err() => empty().boxed(),
        place => side(engine, place, &args.filters.without_links()).await?,
    };
    let comparison = Comparison {
        source: source.fuse().boxed(),
        there: there.fuse().boxed(),
        next_source: None,
        next_there: None,
        target,
        source_folder: match &args.source {
            Place::Local(path) => Some(Root::new(path.clone())),
            _ => None,
        },
        deletes: args.delete,
        is_by_size: args.size_only,
        doomed: Vec::new(),
    };
    Ok(unfold(comparison, async |mut comparison| Some((comparison.next().await?, comparison))).boxed())
}

async fn side(engine: &Engine, place: &Place, filters: &FilterArgs) -> Result<Side, Problem> {
    if *place == Place::Pipe {
        return Err(Problem::Usage("a pipe is no folder".into()));
    }
    find(&engine.sessions, place, Extent::Many, true, filters).await
}

enum Target {
    Prefix(crate::place::Url),
    Below(Arc<Root>),
}

/// The two listings and how far they have been compared.
struct Comparison {
    source: Side,
    there: Side,
    /// The next name of each listing, which isn't compared yet.
    next_source: Option<Found>,
    next_there: Option<Found>,
    target: Target,
    source_folder: Option<Root>,
    /// Whether `--delete` was given and all of the source could be read until now.
    deletes: bool,
    is_by_size: bool,
    doomed: Vec<From>,
}

impl Comparison {
    /// The next work to be done, or none when both listings have ended.
    async fn next(&mut self) -> Option<Result<Work, Problem>> {
        loop {
            if self.next_source.is_none()
                && let Some(found) = self.source.next().await
            {
                match found {
                    Ok(found) => self.next_source = Some(found),
                    Err(problem) => {
                        // What couldn't be read may be in the source, so its copy must stay.
                        self.deletes = false;
                        return Some(Err(problem));
                    }
                }
            }
            if self.next_there.is_none()
                && let Some(found) = self.there.next().await
            {
                match found {
                    Ok(found) => self.next_there = Some(found),
                    Err(problem) => return Some(Err(problem)),
                }
            }
            let order = match (&self.next_source, &self.next_there) {
                (None, None) => {
                    let rest = std::mem::take(&mut self.doomed);
                    return (!rest.is_empty() && self.deletes).then_some(Ok(Work::Remove(rest)));
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(source), Some(there)) => source.name.cmp(&there.name),
            };
            let source = if order.is_le() { self.next_source.take() } else { None };
            let there = if order.is_ge() { self.next_there.take() } else { None };
            match (source, there) {
                (Some(source), there) if self.is_new(&source, there.as_ref()) => {
                    return Some(Ok(Work::Bring(self.target.step(source))));
                }
                (None, Some(there)) if self.deletes && !self.is_folder_of_source(&there.name) => {
                    self.doomed.push(there.from);
                    if self.doomed.len() == DELETED_AT_ONCE {
                        return Some(Ok(Work::Remove(std::mem::take(&mut self.doomed))));
                    }
                }
                _ => {}
            }
        }
    }

    fn is_new(&self, source: &Found, there: Option<&Found>) -> bool {
        match there {
            Some(there) => {
                let ((size, written), (other, then)) = (said(&source.from), said(&there.from));
                size != other || !self.is_by_size && written > then
            }
            // A key that ends with a slash becomes a folder, which no listing of files shows.
            None => match &self.target {
                Target::Below(root) if source.name.ends_with('/') => {
                    !root.path(&source.name).is_ok_and(|path| path.is_dir())
                }
                _ => true,
            },
        }
    }

    /// Whether a key of the target ends with a slash and names a folder that the source has: listings of files show
    /// no folders.
    fn is_folder_of_source(&self, name: &str) -> bool {
        let path =
            self.source_folder.as_ref().filter(|_| name.ends_with('/')).and_then(|root| root.path(name).ok());
        path.is_some_and(|path| path.is_dir())
    }
}

impl Target {
    fn step(&self, Found { name, from }: Found) -> Step {
        let to = match self {
            Target::Prefix(url) => To::Object(url.with_key(format!("{}{name}", url.key))),
            Target::Below(root) => To::Below(root.clone(), name),
        };
        Step { from, to }
    }
}

/// The size of something, and when it was written, in seconds. A listing says no more.
fn said(from: &From) -> (u64, i64) {
    match from {
        From::File(file) => (file.size, seconds(file.modified)),
        From::Object(object) => (object.size, object.modified.map_or(0, OffsetDateTime::unix_timestamp)),
        From::Pipe => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalFile;
    use crate::place::Url;
    use futures_util::stream::iter;
    use std::time::{Duration, SystemTime};

    fn found(name: &str, size: u64, written: u64) -> Result<Found, Problem> {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
        let file = LocalFile { path: name.into(), size, modified, follows: false };
        Ok(Found { name: name.into(), from: From::File(file) })
    }

    async fn compared(
        source: Vec<Result<Found, Problem>>,
        there: Vec<Result<Found, Problem>>,
    ) -> Vec<String> {
        let mut comparison = Comparison {
            source: iter(source).boxed(),
            there: iter(there).boxed(),
            next_source: None,
            next_there: None,
            target: Target::Prefix(Url::parse("s3://b/p/").unwrap()),
            source_folder: None,
            deletes: true,
            is_by_size: false,
            doomed: Vec::new(),
        };
        let mut told = Vec::new();
        while let Some(work) = comparison.next().await {
            told.push(match work {
                Ok(Work::Bring(step)) => format!("{} to {}", step.from, step.to),
                Ok(Work::Remove(doomed)) => doomed.iter().map(|from| format!("-{from}")).collect(),
                Err(problem) => problem.to_string(),
            });
        }
        told
    }

    #[tokio::test]
    async fn what_is_new_or_differs_is_copied_and_what_is_left_over_deleted() {
        let source = vec![found("a", 1, 5), found("b", 1, 5), found("c", 1, 9), found("e", 2, 5)];
        let there =
            vec![found("a", 1, 7), found("c", 1, 5), found("d", 1, 5), found("e", 1, 9), found("f", 1, 1)];
        let told = compared(source, there).await;
        assert_eq!(told, ["b to s3://b/p/b", "c to s3://b/p/c", "e to s3://b/p/e", "-d-f"]);
    }

    #[tokio::test]
    async fn nothing_is_deleted_once_something_could_not_be_looked_at() {
        let broken = Err(Problem::Usage("broken".into()));
        let told = compared(vec![found("b", 1, 5), broken], vec![found("a", 1, 5), found("c", 1, 5)]).await;
        assert_eq!(told, ["b to s3://b/p/b", "broken"]);
        let told = compared(vec![], vec![found("a", 1, 5), found("b", 1, 5)]).await;
        assert_eq!(told, ["-a-b"]);
    }
}
