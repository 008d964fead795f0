//! `stratum cp` and `stratum mv`: what the two names becomes steps for the transfer engine.

use super::apart::check_apart;
use super::{interrupted, on_threads};
use crate::connection::ConnectArgs;
use crate::local::{Root, Target};
use crate::machine::Machine;
use crate::output::{Output, OutputArgs};
use crate::place::{Place, Url};
use crate::problem::{Outcome, Problem};
use crate::s3::Attributes;
use crate::sessions::Sessions;
use crate::sources::{Extent, FilterArgs, Found, extent, find, head};
use crate::transfer::{Engine, From, Options, Step, To, Work};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, empty, once};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// How many files and objects are transferred at once without `--jobs`.
const USUAL_JOBS: usize = 32;
const MOST_JOBS: u64 = 512;

/// What `stratum cp` takes.
#[derive(Args)]
pub struct CpArgs {
    #[command(flatten)]
    copy: CopyArgs,
    /// This version of the object that is the one source.
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    version_id: Option<String>,
}

/// What `stratum mv` takes.
#[derive(Args)]
pub struct MvArgs {
    #[command(flatten)]
    copy: CopyArgs,
}

/// What is copied where.
#[derive(Args)]
struct CopyArgs {
    /// Files, s3://BUCKET/KEY, patterns of keys, or - for the standard input.
    #[arg(required = true, value_name = "SOURCE", value_parser = Place::parse)]
    sources: Vec<Place>,
    /// A file, a folder, s3://BUCKET/KEY, s3://BUCKET/FOLDER/, or - for the standard output.
    #[arg(value_name = "TARGET", value_parser = Place::parse)]
    target: Place,
    /// Take folders with everything in them.
    #[arg(long, short, visible_short_alias = 'R')]
    recursive: bool,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// Write over nothing: leave files and objects that exist already as they are.
    #[arg(long)]
    no_clobber: bool,
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

/// How much at once, and how much of it is told.
#[derive(Args, Clone, Debug)]
pub struct HowArgs {
    /// Tell what would be transferred, and transfer nothing.
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Tell each file and object.
    #[arg(long, short)]
    pub verbose: bool,
    /// How many files and objects are transferred at once.
    #[arg(long, value_name = "N", default_value_t = USUAL_JOBS as u64, value_parser = clap::value_parser!(u64).range(1..=MOST_JOBS))]
    jobs: u64,
}

/// The attributes of the objects that are written.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Attributes of objects")]
pub struct AttributeArgs {
    /// The objects' content type, such as text/html. [default: by the name's ending]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// How the objects may be cached: their Cache-Control.
    #[arg(long, value_name = "TEXT")]
    cache_control: Option<String>,
    /// How browsers are to show or save the objects: their Content-Disposition.
    #[arg(long, value_name = "TEXT")]
    content_disposition: Option<String>,
    /// How the objects' bytes are encoded, such as gzip.
    #[arg(long, value_name = "TEXT")]
    content_encoding: Option<String>,
    /// The objects' storage class, such as STANDARD_IA.
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// The objects' user metadata.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
}

/// `NAME=VALUE`, as a header can carry it.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    if name.is_empty() || !is_name || value.chars().any(char::is_control) {
        return Err(
            "a name of metadata is letters, digits and -, and its value has no control characters".into()
        );
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

impl AttributeArgs {
    pub fn attributes(&self) -> Attributes {
        Attributes {
            content_type: self.content_type.clone(),
            cache_control: self.cache_control.clone(),
            content_disposition: self.content_disposition.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: None,
            expires: None,
            storage_class: self.storage_class.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

impl HowArgs {
    /// The options of an engine that copies, or moves.
    pub fn options(&self, attributes: Attributes, clobbers: bool, moves: bool) -> Options {
        let tells_each = self.verbose || self.dry_run;
        let (is_dry_run, jobs) = (self.dry_run, self.jobs as usize);
        Options { attributes, clobbers, moves, tells_each, is_dry_run, jobs }
    }
}

/// `stratum cp`.
pub fn copy(args: CpArgs, machine: Machine) -> Outcome {
    run(args.copy, args.version_id, machine, false)
}

/// `stratum mv`.
pub fn shift(args: MvArgs, machine: Machine) -> Outcome {
    run(args.copy, None, machine, true)
}

fn run(args: CopyArgs, version: Option<String>, machine: Machine, moves: bool) -> Outcome {
    let options = args.how.options(args.said.attributes(), !args.no_clobber, moves);
    let sessions = Sessions::new(args.connect.clone(), machine);
    let output = Output::with_progress(args.output);
    transfer(Engine::new(sessions, output, options), machine, async |engine| match &version {
        Some(version) => step_of_version(&args, version, engine).await,
        None => steps(&args, engine).await,
    })
}

/// Does the work that `find` finds, until it is done or interrupted.
pub fn transfer(
    engine: Engine,
    machine: Machine,
    find: impl AsyncFnOnce(&Engine) -> Result<BoxStream<'static, Result<Work, Problem>>, Problem>,
) -> Outcome {
    let engine = Arc::new(engine);
    let began = (machine.monotonic)();
    let ended = on_threads(async {
        let work = async {
            match find(&engine).await {
                Ok(work) => engine.run(work).await,
                Err(problem) => engine.output.problem(&problem),
            }
        };
        tokio::select! {
            () = work => None,
            _ = interrupted() => Some(engine.interrupt().await),
        }
    });
    if let Err(problem) = engine.output.flush() {
        engine.output.problem(&problem);
    }
    match ended {
        Ok(Some(outcome)) => outcome,
        Ok(None) => engine.summary((machine.monotonic)() - began),
        Err(problem) => {
            engine.output.problem(&problem);
            engine.output.outcome(0)
        }
    }
}

/// The steps to be done, in the order in which their sources are found.
async fn steps(
    args: &CopyArgs,
    engine: &Engine,
) -> Result<BoxStream<'static, Result<Work, Problem>>, Problem> {
    let extents = args.sources.iter().map(|source| extent(source, args.recursive, args.raw));
    let extents = extents.collect::<Result<Vec<_>, _>>()?;
    for source in args.sources.iter().zip(extents.iter().copied()) {
        check_apart(&engine.sessions, source, &args.target, args.raw).await?;
    }
    let is_many = args.sources.len() > 1 || extents.contains(&Extent::Many);
    let aim = Arc::new(Aim::of(&args.target, is_many)?);
    // Two sources with the same name would be written to the same target.
    let mut names = HashSet::new();
    let mut all = empty().boxed();
    for (source, extent) in args.sources.iter().zip(extents) {
        if *source == Place::Pipe && !matches!(*aim, Aim::One(_)) {
            let problem =
                "the standard input has no name to be put into a bucket or a folder by: name the whole key";
            return Err(Problem::Usage(format!("{}: {problem}", args.target)));
        }
        let found = match find(&engine.sessions, source, extent, args.raw, &args.filters).await {
            Ok(found) => found,
            Err(problem) if args.sources.len() > 1 => {
                engine.output.problem(&problem);
                continue;
            }
            Err(problem) => return Err(problem),
        };
        if let (Extent::One, Place::Local(_) | Place::Remote(_)) = (extent, source)
            && !names.insert(file_name(source))
        {
            return Err(Problem::Usage(format!("{source}: another source has the same name in the target")));
        }
        let aim = aim.clone();
        let steps = found.map(move |found| found.map(|found| Work::Bring(aim.step(found))));
        all = all.chain(steps).boxed();
    }
    Ok(all)
}

/// The one step to be done with `--version-id`.
async fn step_of_version(
    args: &CopyArgs,
    version: &str,
    engine: &Engine,
) -> Result<BoxStream<'static, Result<Work, Problem>>, Problem> {
    let [source @ Place::Remote(url)] = args.sources.as_slice() else {
        return Err(Problem::Usage("a version is of one object in a bucket".into()));
    };
    if extent(source, false, args.raw)? == Extent::Many {
        return Err(Problem::Usage("a version is of one object, and a pattern may mean many".into()));
    }
    let object = head(&engine.sessions, url, Some(version)).await?;
    let found = Found { name: url.file_name().to_owned(), from: From::Object(object) };
    let step = Aim::of(&args.target, false)?.step(found);
    Ok(once(async { Ok(Work::Bring(step)) }).boxed())
}

fn file_name(place: &Place) -> String {
    match place {
        Place::Remote(url) => url.file_name().to_owned(),
        Place::Local(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Place::Pipe => String::new(),
    }
}

/// Where copies go.
enum Aim {
    /// The one source goes to this very target.
    One(To),
    /// Sources go into this folder of a bucket, under their names.
    Prefix(Url),
    /// Sources go below this folder of the machine, under their names.
    Below(Arc<Root>),
}

impl Aim {
    fn of(target: &Place, is_many: bool) -> Result<Aim, Problem> {
        match target {
            Place::Pipe if is_many => {
                Err(Problem::Usage("several at once: `stratum cat` prints them one by one".into()))
            }
            Place::Pipe => Ok(Aim::One(To::Pipe)),
            Place::Remote(url) if is_many || url.is_folder() => Ok(Aim::Prefix(url.with_key(url.folder()))),
            Place::Remote(url) => Ok(Aim::One(To::Object(url.clone()))),
            Place::Local(path) => {
                let says_folder = path.as_os_str().to_string_lossy().ends_with('/');
                match Target::of(path).map_err(|problem| Problem::of_path(path, problem))? {
                    Target::Folder => Ok(Aim::Below(Arc::new(Root::new(path.clone())))),
                    Target::Stream if !is_many => Ok(Aim::One(To::Stream(path.clone()))),
                    Target::File if !is_many && !says_folder => {
                        // A target that is a symbolic link means the file that it leads to.
                        let meant = path.canonicalize().unwrap_or_else(|_| path.clone());
                        Ok(Aim::One(To::File(meant)))
                    }
                    Target::File if path.symlink_metadata().is_err() => {
                        Ok(Aim::Below(Arc::new(Root::new(PathBuf::from(path)))))
                    }
                    Target::File | Target::Stream => Err(Problem::of_path(path, "it is no folder")),
                }
            }
        }
    }

    fn step(&self, Found { name, from }: Found) -> Step {
        let to = match self {
            Aim::One(to) => to.clone(),
            Aim::Prefix(url) => To::Object(url.with_key(format!("{}{name}", url.key))),
            Aim::Below(root) => To::Below(root.clone(), name),
        };
        Step { from, to }
    }
}
