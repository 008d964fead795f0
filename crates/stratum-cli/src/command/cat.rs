//! `stratum cat` and `stratum head`: print objects, or their first lines.

use super::{With, answer};
use crate::connection::ConnectArgs;
use crate::glob::Glob;
use crate::machine::Machine;
use crate::output::{Output, OutputArgs};
use crate::place::Url;
use crate::problem::{Outcome, Problem};
use crate::quantity::bytes;
use crate::s3::Attributes;
use crate::sessions::Sessions;
use crate::sources::{FilterArgs, find_objects};
use crate::transfer::{Engine, From, Options};
use clap::Args;
use futures_util::StreamExt;

const USUAL_LINES: u64 = 10;
/// How much of an object is asked for first where lines are counted.
const FIRST_BYTES: u64 = 64 << 10;

/// What `stratum cat` takes.
#[derive(Args)]
pub struct CatArgs {
    /// s3://BUCKET/KEY, or a pattern of keys.
    #[arg(required = true, value_parser = Url::parse_object)]
    urls: Vec<Url>,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// From this byte on, counted from 0.
    #[arg(long, value_name = "SIZE", value_parser = bytes, default_value = "0", hide_default_value = true)]
    offset: u64,
    /// Write at most so many bytes.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    bytes: Option<u64>,
    /// This version.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What `stratum head` takes.
#[derive(Args)]
pub struct HeadArgs {
    /// s3://BUCKET/KEY, or a pattern of keys.
    #[arg(required = true, value_parser = Url::parse_object)]
    urls: Vec<Url>,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// So many lines. [default: 10]
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "bytes")]
    lines: Option<u64>,
    /// Write so many bytes, however many lines they are.
    #[arg(long, short = 'c', value_name = "SIZE", value_parser = bytes)]
    bytes: Option<u64>,
    /// This version.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// `stratum cat`.
pub fn cat(args: CatArgs, machine: Machine) -> Outcome {
    let end = args.bytes.map_or(u64::MAX, |bytes| args.offset.saturating_add(bytes));
    let (version, range, lines) = (args.version_id, args.offset..end, u64::MAX);
    print(&args.urls, &Shown { is_raw: args.raw, version, range, lines }, &args.connect, machine)
}

/// `stratum head`.
pub fn head(args: HeadArgs, machine: Machine) -> Outcome {
    let (end, lines) = match (args.bytes, args.lines) {
        (Some(bytes), _) => (bytes, u64::MAX),
        (None, lines) => (u64::MAX, lines.unwrap_or(USUAL_LINES)),
    };
    let (version, range) = (args.version_id, 0..end);
    print(&args.urls, &Shown { is_raw: args.raw, version, range, lines }, &args.connect, machine)
}

/// Which part of each object is printed.
struct Shown {
    is_raw: bool,
    version: Option<String>,
    range: std::ops::Range<u64>,
    lines: u64,
}

fn print(urls: &[Url], shown: &Shown, connect: &ConnectArgs, machine: Machine) -> Outcome {
    let quiet = OutputArgs::default();
    answer(machine, connect.clone(), quiet, async |with| {
        let sessions = Sessions::new(connect.clone(), machine);
        let engine = Engine::new(sessions, Output::new(quiet), reading());
        let printed = print_all(urls, shown, &engine, with).await;
        engine.output.flush().and(printed)
    })
}

async fn print_all(urls: &[Url], shown: &Shown, engine: &Engine, with: &With) -> Result<(), Problem> {
    let is_pattern = |url: &Url| !shown.is_raw && Glob::is_pattern(&url.key);
    if shown.version.is_some() && urls.iter().any(is_pattern) {
        return Err(Problem::Usage("a version is of one object, and a pattern may mean many".into()));
    }
    for url in urls {
        let printed = match is_pattern(url) {
            true => print_what_fits(url, shown, engine, with).await,
            false => print_one(url, shown, engine).await,
        };
        match printed {
            Err(Problem::Closed) => return Err(Problem::Closed),
            Err(problem) if urls.len() > 1 => with.output.problem(&problem),
            printed => printed?,
        }
    }
    Ok(())
}

async fn print_what_fits(url: &Url, shown: &Shown, engine: &Engine, with: &With) -> Result<(), Problem> {
    let mut found = find_objects(&engine.sessions, url, false, FilterArgs::default().filter())?;
    let mut is_any = false;
    while let Some(found) = found.next().await.transpose()? {
        let From::Object(object) = found.from else { continue };
        is_any = true;
        match print_one(&object.url, shown, engine).await {
            Err(Problem::Closed) => return Err(Problem::Closed),
            Err(problem) => with.output.problem(&problem),
            Ok(()) => {}
        }
    }
    if is_any { Ok(()) } else { Err(Problem::Missing(url.to_string())) }
}

async fn print_one(url: &Url, shown: &Shown, engine: &Engine) -> Result<(), Problem> {
    // It is looked at once, so that all that is printed is of one object.
    let looked = engine.look(url, shown.version.as_deref()).await?;
    let mut left = shown.lines;
    // A few lines are seldom long, so the rest of the object is asked for only when they are.
    let first = match left {
        u64::MAX => shown.range.end,
        _ => FIRST_BYTES.min(shown.range.end),
    };
    for range in [shown.range.start..first, first..shown.range.end] {
        if left == 0 || range.is_empty() {
            break;
        }
        let passed = engine.pass(&looked, range, |bytes| {
            let end = match left {
                u64::MAX => bytes.len(),
                _ => lines_end(bytes, &mut left),
            };
            engine.output.bytes(&bytes[..end])?;
            // A reader of the output sees the bytes as they come.
            engine.output.flush()?;
            if left == 0 { Err(Problem::Closed) } else { Ok(()) }
        });
        match passed.await {
            Err(Problem::Closed) if left == 0 => return Ok(()),
            passed => passed?,
        }
    }
    Ok(())
}

/// Where the lines that are still to be printed end in these bytes.
fn lines_end(bytes: &[u8], left: &mut u64) -> usize {
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        *left -= 1;
        if *left == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// The options of an engine that only reads.
fn reading() -> Options {
    Options {
        attributes: Attributes::default(),
        clobbers: false,
        moves: false,
        tells_each: false,
        is_dry_run: false,
        jobs: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_on_from_piece_to_piece() {
        let mut left = 3;
        assert_eq!(lines_end(b"a\nb", &mut left), 3);
        assert_eq!((lines_end(b"c\nd\ne\n", &mut left), left), (4, 0));
    }
}
