//! `stratum tier`: moves objects between tiers, reports what lies on each tier, and calculates what tiering would cost.
//! `stratum explain`: tells on which tier an object lies and why.

mod shown;

use crate::client::{Operator, ServerArg};
use crate::control::ended;
use crate::operator::explain::Explanation;
use crate::operator::report::Report;
use crate::operator::tiers::{Decided, TierStatus};
use crate::output;
use crate::shown::counted;
use crate::simulate::{self, GenerateArgs, SimulateArgs};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::str::FromStr;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::upload::UploadStatus;

/// The arguments of `stratum tier`.
#[derive(Args)]
pub struct TierArgs {
    #[command(subcommand)]
    command: TierCommand,
}

#[derive(Subcommand)]
enum TierCommand {
    /// Move an object to a tier. The tiering policy may move it elsewhere later.
    Move(MoveArgs),
    /// Move an object to a tier and keep it there.
    Pin(MoveArgs),
    /// Remove the pin of an object, so that it may be moved again.
    Unpin(UnpinArgs),
    /// Show the status of tiering: decisions, moves, and the remote store.
    Status(ServerArg),
    /// Upload what waits on the cold tier's drives to the remote store now, without waiting until there is more of it.
    Upload(ServerArg),
    /// Claim the remote store for this server: another one that runs on a copy of its drives writes nothing there from then on,
    /// and what should lie there and doesn't counts as lost.
    Claim(ServerArg),
    /// Show how much of a bucket, or of the objects under a prefix, lies on each tier, what that costs, and what it
    /// saves.
    Report(ReportArgs),
    /// Calculate what a trace of reads costs under several policies, and the least that it could cost.
    Simulate(SimulateArgs),
    /// Print a made-up trace of reads, as CSV.
    Generate(GenerateArgs),
}

#[derive(Args)]
struct MoveArgs {
    /// The object, s3://BUCKET/KEY; with --recursive the beginning of keys, s3://BUCKET/PREFIX.
    object: Location,
    /// The tier: hot, warm or cold.
    tier: String,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    server: ServerArg,
}

/// The options that choose other objects than the current version of a key.
#[derive(Args)]
struct WhichArgs {
    /// All objects whose keys begin with the given key.
    #[arg(long)]
    recursive: bool,
    /// The id of a version of the object. [default: the current version]
    #[arg(long, conflicts_with = "recursive")]
    version_id: Option<String>,
}

#[derive(Args)]
struct UnpinArgs {
    /// The object, s3://BUCKET/KEY; with --recursive the beginning of keys, s3://BUCKET/PREFIX.
    object: Location,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct ReportArgs {
    /// The bucket, s3://BUCKET, or the beginning of keys in it, s3://BUCKET/PREFIX.
    location: Location,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// The arguments of `stratum explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// The object, s3://BUCKET/KEY.
    object: Object,
    /// The id of a version of the object. [default: the current version]
    #[arg(long)]
    version_id: Option<String>,
    /// Print the explanation as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// A bucket with a key in it, or with the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    bucket: String,
    key: String,
}

/// A bucket with the whole key of an object in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object(Location);

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Location>()? {
            Location { key, .. } if key.is_empty() => Err("it names no object: write s3://BUCKET/KEY".into()),
            location => Ok(Object(location)),
        }
    }
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

/// Runs the command. It ends with 1 if a move, pin or unpin found no object, and with 2 if the command couldn't be run.
pub fn run(args: TierArgs) -> ExitCode {
    match args.command {
        TierCommand::Move(args) => decide("move", &args.object, Some(&args.tier), &args.which, &args.server),
        TierCommand::Pin(args) => decide("pin", &args.object, Some(&args.tier), &args.which, &args.server),
        TierCommand::Unpin(args) => decide("unpin", &args.object, None, &args.which, &args.server),
        TierCommand::Status(server) => status(&server),
        TierCommand::Upload(server) => upload(&server),
        TierCommand::Claim(server) => claim(&server),
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
        let (mut objects, mut pinned, mut declared, mut after) = (0, 0, 0, None);
        loop {
            let named = if which.recursive { "prefix" } else { "key" };
            let mut query = vec![("bucket", location.bucket.as_str()), (named, location.key.as_str())];
            query.extend(which.version_id.as_deref().map(|id| ("versionId", id)));
            query.extend(tier.map(|tier| ("tier", tier)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let decided: Decided = operator.post(&format!("tier/{action}"), &query)?;
            objects += decided.objects;
            pinned += decided.pinned;
            declared += decided.declared;
            after = decided.after;
            if after.is_none() {
                break;
            }
        }
        output::line(match (action, objects, tier) {
            (_, 0, _) if pinned + declared > 0 => "no object was moved".to_owned(),
            (_, 0, _) => "no object was found".to_owned(),
            (_, 1, Some(tier)) => format!("1 object goes to {tier}"),
            (_, _, Some(tier)) => format!("{objects} objects go to {tier}"),
            (_, 1, None) => "1 object may go where else it is wanted".to_owned(),
            (_, _, None) => format!("{objects} objects may go where else they are wanted"),
        });
        if pinned > 0 {
            output::line(format!("{}: unpin what is to be moved", stay(pinned, "pinned")));
        }
        if declared > 0 {
            let why = "kept by storage class or metadata, which would take back what is moved";
            output::line(format!("{}: pin it instead", stay(declared, why)));
        }
        Ok(objects > 0)
    })
}

fn stay(count: u64, why: &str) -> String {
    let (verb, is) = if count == 1 { ("stays", "is") } else { ("stay", "are") };
    format!("{} {verb} where it lies, since it {is} {why}", counted(count, "more object"))
}

/// Shows the status of tiering. Ends with 1 if moves wait for a tier, bodies couldn't be read, or the remote store
/// can't be used or has lost volumes.
fn status(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: TierStatus = Operator::new(server)?.get("tier")?;
        output::print(shown::status(&status, System.now()));
        let is_reached = status.remote.is_none_or(|remote| remote.refusal.is_none() && remote.missing == 0);
        let is_taken = status.moving.waiting.is_empty() && status.refusing.is_empty();
        Ok(status.moving.unreadable == 0 && is_taken && is_reached)
    })
}

/// Has the server upload to the remote store. Ends with 1 if the remote store can't be used now.
fn upload(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: UploadStatus = Operator::new(server)?.post("tier/upload", &[])?;
        output::print(shown::remote(&status));
        Ok(status.refusal.is_none())
    })
}

/// Has the server claim the remote store. Ends with 1 if the remote store can't be used all the same.
fn claim(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: UploadStatus = Operator::new(server)?.post("tier/claim", &[])?;
        output::print(shown::remote(&status));
        Ok(status.refusal.is_none())
    })
}

/// Shows on which tier an object lies and why.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    ended(|| {
        let Location { bucket, key } = &args.object.0;
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

/// Shows how much lies on each tier. The report of a prefix comes in pages, which are added up.
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
        let object = |text: &str| text.parse::<Object>();
        assert!(
            object("s3://photos/a").is_ok()
                && object("s3://photos").is_err()
                && object("s3://photos/").is_err()
        );
    }
}
