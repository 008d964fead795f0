//! Finds what a command line names as sources: files, objects, and everything that a folder or a pattern means.

use crate::glob::Glob;
use crate::listing::objects;
use crate::local::{Symlinks, Walked, look, walk};
use crate::place::{Place, Url};
use crate::problem::{Outcome, Problem};
use crate::s3::{Client, Entry, Kind};
use crate::sessions::Sessions;
use crate::transfer::{From, RemoteObject};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, once};
use std::pin::pin;
use std::sync::Arc;

/// Which of the files or objects that are found are meant.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Only names that fit this pattern: *, ** and ?; one without a slash is about the last part of a name.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// No names that fit this pattern.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// What is done with symbolic links that are found in folders.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    symlinks: Symlinks,
}

/// The patterns of a command line.
#[derive(Clone)]
pub struct Filter {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

impl FilterArgs {
    /// The same filters, under which symbolic links are left out.
    pub fn without_links(&self) -> FilterArgs {
        FilterArgs { symlinks: Symlinks::Skip, ..self.clone() }
    }

    pub fn filter(&self) -> Filter {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect();
        Filter { include: globs(&self.include), exclude: globs(&self.exclude) }
    }
}

impl Filter {
    /// Whether a name is meant.
    pub fn takes(&self, name: &str) -> bool {
        let fits = |globs: &[Glob]| globs.iter().any(|glob| glob.fits_path(name));
        (self.include.is_empty() || fits(&self.include)) && !fits(&self.exclude)
    }
}

/// A source that was found. Its name begins behind the folder or pattern that the command line names.
pub struct Found {
    pub name: String,
    pub from: From,
}

/// Whether a source means one file or object, or many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    One,
    Many,
}

/// Whether a source means one file or object, or many. With `is_raw`, stars in it mean themselves.
pub fn extent(place: &Place, is_recursive: bool, is_raw: bool) -> Result<Extent, Problem> {
    match place {
        Place::Pipe if is_recursive => Err(Problem::Usage("a pipe is no folder".into())),
        Place::Remote(url) if !is_raw && Glob::is_pattern(&url.key) && is_recursive => {
            let problem = "--recursive takes whole folders, and a pattern takes keys: use one of the two";
            Err(Problem::Usage(problem.into()))
        }
        Place::Remote(url) if !is_raw && Glob::is_pattern(&url.key) => Ok(Extent::Many),
        Place::Remote(url) if !is_recursive && url.is_folder() => {
            Err(Problem::Usage(format!("{url}: it means everything in it, not one object: say --recursive")))
        }
        _ if is_recursive => Ok(Extent::Many),
        _ => Ok(Extent::One),
    }
}

/// Finds all that a source means.
pub async fn find(
    sessions: &Sessions,
    place: &Place,
    extent: Extent,
    is_raw: bool,
    filters: &FilterArgs,
) -> Result<BoxStream<'static, Result<Found, Problem>>, Problem> {
    let filter = filters.filter();
    match (place, extent) {
        (Place::Pipe, _) => Ok(once(async { Ok(Found { name: String::new(), from: From::Pipe }) }).boxed()),
        (Place::Local(path), Extent::One) => {
            let file = look(path).map_err(|problem| Problem::of_path(path, problem))?;
            let name = path.file_name().and_then(|name| name.to_str());
            let name =
                name.ok_or_else(|| Problem::of_path(path, "its name isn't UTF-8, as keys are"))?.to_owned();
            Ok(once(async { Ok(Found { name, from: From::File(file) }) }).boxed())
        }
        (Place::Local(path), Extent::Many) => {
            if !path.is_dir() {
                return Err(Problem::of_path(path, "it is no folder"));
            }
            let found = walk(path, filters.symlinks).filter_map(move |walked| {
                let found = match walked {
                    Walked::File(name, file) => {
                        filter.takes(&name).then_some(Ok(Found { name, from: From::File(file) }))
                    }
                    Walked::Unusable { path, problem } => Some(Err(Problem::of_path(&path, problem))),
                };
                async { found }
            });
            Ok(found.boxed())
        }
        (Place::Remote(url), Extent::One) => {
            let object = match head(sessions, url, None).await {
                Err(problem) => return Err(unless_folder(&sessions.client(&url.site)?, url, problem).await),
                Ok(object) => object,
            };
            let name = url.file_name().to_owned();
            Ok(once(async { Ok(Found { name, from: From::Object(object) }) }).boxed())
        }
        (Place::Remote(url), Extent::Many) => find_objects(sessions, url, is_raw, filter),
    }
}

/// Tells a missing object apart from a folder: where objects lie under the key as a folder, the problem says that
/// `--recursive` is missing.
pub async fn unless_folder(client: &Arc<Client>, url: &Url, problem: Problem) -> Problem {
    if problem.outcome() != Outcome::Missing || problem.kind() == Some(Kind::NoBucket) {
        return problem;
    }
    let mut below = pin!(objects(client, url, &url.folder()));
    match below.next().await {
        Some(Ok(_)) => Problem::OnlyFolder(url.to_string()),
        _ => problem,
    }
}

/// An object, as it is now.
pub async fn head(sessions: &Sessions, url: &Url, version: Option<&str>) -> Result<RemoteObject, Problem> {
    let client = sessions.client(&url.site)?;
    let info = client.head(&url.bucket, &url.key, version).await.map_err(Problem::s3(url))?;
    Ok(RemoteObject {
        url: url.clone(),
        version: version.map(str::to_owned),
        size: info.size,
        etag: info.etag,
        modified: info.modified,
    })
}

/// Finds all objects in the folder that a URL names, or all that fit its pattern.
pub fn find_objects(
    sessions: &Sessions,
    url: &Url,
    is_raw: bool,
    filter: Filter,
) -> Result<BoxStream<'static, Result<Found, Problem>>, Problem> {
    let client = sessions.client(&url.site)?;
    let meaning = Meaning::of(url, is_raw);
    let (url, prefix) = (url.clone(), meaning.prefix());
    let found = objects(&client, &url, &prefix).filter_map(move |entry| {
        let found = match entry {
            Err(problem) => Some(Err(problem)),
            Ok(entry) => meaning.name(&entry.key).filter(|name| filter.takes(name)).map(|name| {
                Ok(Found { name: name.to_owned(), from: From::Object(object(&url, entry.clone())) })
            }),
        };
        async { found }
    });
    Ok(found.boxed())
}

/// The object of a listing's entry.
pub fn object(url: &Url, entry: Entry) -> RemoteObject {
    RemoteObject {
        url: url.with_key(entry.key),
        version: None,
        size: entry.size,
        // In quotes, as the `ETag` header has it.
        etag: format!("\"{}\"", entry.etag.trim_matches('"')),
        modified: Some(entry.last_modified),
    }
}

/// What a URL means where it may mean many objects.
pub enum Meaning {
    Folder(String),
    Pattern(Glob),
}

impl Meaning {
    pub fn of(url: &Url, is_raw: bool) -> Meaning {
        match !is_raw && Glob::is_pattern(&url.key) {
            true => Meaning::Pattern(Glob::new(&url.key)),
            false => Meaning::Folder(url.folder()),
        }
    }

    /// The prefix that all keys which are meant have.
    pub fn prefix(&self) -> String {
        match self {
            Meaning::Folder(folder) => folder.clone(),
            Meaning::Pattern(glob) => glob.prefix(),
        }
    }

    /// The folder below which names begin.
    pub fn folder(&self) -> String {
        let mut folder = self.prefix();
        folder.truncate(folder.rfind('/').map_or(0, |slash| slash + 1));
        folder
    }

    /// Whether a key is meant. That of the folder itself, which ends with a slash, is.
    pub fn takes(&self, key: &str) -> bool {
        match self {
            Meaning::Folder(folder) => key.starts_with(folder.as_str()),
            Meaning::Pattern(glob) => glob.fits(key),
        }
    }

    /// The name of a key below the folder, if the key is meant and isn't that of the folder itself.
    pub fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        let name = if self.takes(key) { key.strip_prefix(self.folder().as_str()) } else { None };
        name.filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_means_what_is_in_it_and_a_pattern_what_fits() {
        let name = |url: &str, key: &'static str| Meaning::of(&Url::parse(url).unwrap(), false).name(key);
        assert_eq!(name("s3://b/logs", "logs/a/b"), Some("a/b"));
        assert_eq!((name("s3://b/logs", "logs2/a"), name("s3://b/logs", "logs")), (None, None));
        assert_eq!((name("s3://b/logs/", "logs/"), name("s3://b", "x")), (None, Some("x")));
        assert_eq!((name("s3://b/d/a*", "d/ab"), name("s3://b/d/a*", "d/ab/c")), (Some("ab"), None));
        assert_eq!(
            (name("s3://b/d/**", "d/ab/c"), name("s3://b/d*/x", "dd/x")),
            (Some("ab/c"), Some("dd/x"))
        );
        // The marker object of the folder itself has no name below the folder, so nothing can be copied under it.
        assert_eq!((name("s3://b/d/**", "d/"), name("s3://b/d/*", "d/")), (None, None));
        let takes = |url: &str, key: &str| Meaning::of(&Url::parse(url).unwrap(), false).takes(key);
        assert!(takes("s3://b/d/**", "d/") && takes("s3://b/d", "d/") && !takes("s3://b/d", "d"));
        assert!(
            matches!(Meaning::of(&Url::parse("s3://b/a*").unwrap(), true), Meaning::Folder(folder) if folder == "a*/")
        );
    }

    #[test]
    fn an_excluded_name_is_left_out_even_if_it_is_included_too() {
        let args = FilterArgs {
            include: vec!["*.txt".into()],
            exclude: vec!["tmp/**".into()],
            ..FilterArgs::default()
        };
        let filter = args.filter();
        assert!(filter.takes("a/b.txt") && !filter.takes("a/b.bin") && !filter.takes("tmp/b.txt"));
        assert!(FilterArgs::default().filter().takes("anything"));
    }
}
