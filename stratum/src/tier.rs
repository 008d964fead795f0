//! `stratum tier`: objects are moved between tiers by hand, what lies where is told, and what tiering would cost is tried out;
//! `stratum explain` says where an object is and why.

mod shown;

use crate::client::{Operator, ServerArg};
use crate::control::ended;
use crate::operator::explain::Explanation;
use crate::operator::report::Report;
use crate::operator::tiers::{Decided, TierStatus};
use crate::output;
use crate::simulate::{self, GenerateArgs, SimulateArgs};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::str::FromStr;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::upload::UploadStatus;

/// What `stratum tier` takes.
#[derive(Args)]
pub struct TierArgs {
    #[command(subcommand)]
    command: TierCommand,
}

#[derive(Subcommand)]
enum TierCommand {
    /// Move an object to a tier. It may be moved again when something else is decided of it.
    Move(MoveArgs),
    /// Move an object to a tier and keep it there.
    Pin(MoveArgs),
    /// Let an object go that was pinned.
    Unpin(UnpinArgs),
    /// Show how it goes to decide where objects lie and to move them there.
    Status(ServerArg),
    /// Bring what waits on the cold drives to the remote store now, and not when there is more of it.
    Upload(ServerArg),
    /// Show what of a bucket, or of what its keys begin with, lies where, what that costs, and what it saves.
    Report(ReportArgs),
    /// Price a trace of reads under several policies, beside the least that it can cost.
    Simulate(SimulateArgs),
    /// Print a made-up trace, as CSV.
    Generate(GenerateArgs),
}

#[derive(Args)]
struct MoveArgs {
    /// s3://BUCKET/KEY
    object: Location,
    /// hot, warm or cold
    tier: String,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    server: ServerArg,
}

/// Which objects are meant beside what is current under the key.
#[derive(Args)]
struct WhichArgs {
    /// All objects whose keys begin so.
    #[arg(long)]
    recursive: bool,
    /// A version of the object.
    #[arg(long, conflicts_with = "recursive")]
    version_id: Option<String>,
}

#[derive(Args)]
struct UnpinArgs {
    /// s3://BUCKET/KEY
    object: Location,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct ReportArgs {
    /// s3://BUCKET or s3://BUCKET/PREFIX
    location: Location,
    /// For programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// What `stratum explain` takes.
#[derive(Args)]
pub struct ExplainArgs {
    /// s3://BUCKET/KEY
    object: Location,
    /// A version of the object.
    #[arg(long)]
    version_id: Option<String>,
    /// For programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// An object, or the beginning of the keys of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    bucket: String,
    key: String,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("s3://").ok_or("it must be s3://BUCKET/KEY")?;
        match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => Err("it names no bucket".into()),
            (bucket, key) => Ok(Location { bucket: bucket.into(), key: key.into() }),
        }
    }
}

/// Runs what is asked for: 2 if it couldn't be done.
pub fn run(args: TierArgs) -> ExitCode {
    match args.command {
        TierCommand::Move(args) => decide("move", &args.object, Some(&args.tier), &args.which, &args.server),
        TierCommand::Pin(args) => decide("pin", &args.object, Some(&args.tier), &args.which, &args.server),
        TierCommand::Unpin(args) => decide("unpin", &args.object, None, &args.which, &args.server),
        TierCommand::Status(server) => status(&server),
        TierCommand::Upload(server) => upload(&server),
        TierCommand::Report(args) => report(&args),
        TierCommand::Simulate(args) => simulate::run(args),
        TierCommand::Generate(args) => simulate::generate(&args),
    }
}

fn decide(
    action: &str,
    location: &Location,
    tier: Option<&str>,
    which: &WhichArgs,
    server: &ServerArg,
) -> ExitCode {
    ended(|| {
        let operator = Operator::new(server)?;
        let (mut objects, mut after) = (0, None);
        loop {
            let named = if which.recursive { "prefix" } else { "key" };
            let mut query = vec![("bucket", location.bucket.as_str()), (named, location.key.as_str())];
            query.extend(which.version_id.as_deref().map(|id| ("versionId", id)));
            query.extend(tier.map(|tier| ("tier", tier)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let decided: Decided = operator.post(&format!("tier/{action}"), &query)?;
            objects += decided.objects;
            after = decided.after;
            if after.is_none() {
                break;
            }
        }
        output::line(match (action, objects, tier) {
            (_, 0, _) => "no object was there".to_owned(),
            (_, 1, Some(tier)) => format!("1 object goes to {tier}"),
            (_, _, Some(tier)) => format!("{objects} objects go to {tier}"),
            (_, 1, None) => "1 object may go where else it is wanted".to_owned(),
            (_, _, None) => format!("{objects} objects may go where else they are wanted"),
        });
        Ok(objects > 0)
    })
}

/// 1 if a tier takes nothing, something couldn't be read, or the remote store can't be reached or lost something.
fn status(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: TierStatus = Operator::new(server)?.get("tier")?;
        output::print(shown::status(&status, System.now()));
        let is_reached = status.remote.is_none_or(|remote| remote.refusal.is_none() && remote.missing == 0);
        Ok(status.moving.unreadable == 0 && status.moving.waiting.is_empty() && is_reached)
    })
}

/// 1 if the remote store takes nothing now.
fn upload(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: UploadStatus = Operator::new(server)?.post("tier/upload", &[])?;
        output::print(shown::remote(&status));
        Ok(status.refusal.is_none())
    })
}

/// Says where an object is and why.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    ended(|| {
        let Location { bucket, key } = &args.object;
        let path = Operator::path(&["objects", bucket, key]);
        let version = args.version_id.as_deref().map(|id| ("versionId", id));
        let query: Vec<_> = version.into_iter().collect();
        let why: Explanation = Operator::new(&args.server)?.ask(&path, &query)?;
        match args.json {
            true => output::line(serde_json::to_string_pretty(&why).unwrap_or_default()),
            false => output::print(shown::explanation(&why)),
        }
        Ok(true)
    })
}

/// Says what lies where, page by page of what is under a prefix.
fn report(args: &ReportArgs) -> ExitCode {
    ended(|| {
        let Location { bucket, key: prefix } = &args.location;
        let operator = Operator::new(&args.server)?;
        let mut whole = Report::default();
        loop {
            let mut query = vec![("bucket", bucket.as_str())];
            query.extend((!prefix.is_empty()).then_some(("prefix", prefix.as_str())));
            query.extend(whole.after.as_deref().map(|after| ("after", after)));
            let page: Report = operator.ask("tier/report", &query)?;
            whole.add(page);
            if whole.after.is_none() {
                break;
            }
        }
        match args.json {
            true => output::line(serde_json::to_string_pretty(&whole).unwrap_or_default()),
            false => output::print(shown::report(&whole)),
        }
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_and_a_key() {
        let location = |text: &str| text.parse::<Location>().map(|found| (found.bucket, found.key));
        assert_eq!(location("s3://photos/a/b c"), Ok(("photos".into(), "a/b c".into())));
        assert_eq!(location("s3://photos"), Ok(("photos".into(), String::new())));
        assert!(location("photos/a").is_err() && location("s3:///a").is_err());
    }
}
