//! `stratum tier`: objects are moved between tiers by hand, and what tiering would cost is tried out; `stratum explain`
//! says where an object is and why.

use crate::client::{Operator, ServerArg};
use crate::control::ended;
use crate::operator::tiers::{Decided, Explanation};
use crate::output;
use crate::simulate::{self, GenerateArgs, SimulateArgs};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::str::FromStr;
use stratum_metadata::TransitionStatus;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    /// Show how the moves between tiers are doing.
    Status(ServerArg),
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
    /// All objects whose keys begin so.
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct UnpinArgs {
    /// s3://BUCKET/KEY
    object: Location,
    /// All objects whose keys begin so.
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// What `stratum explain` takes.
#[derive(Args)]
pub struct ExplainArgs {
    /// s3://BUCKET/KEY
    object: Location,
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
        TierCommand::Move(args) => {
            decide("move", &args.object, Some(&args.tier), args.recursive, &args.server)
        }
        TierCommand::Pin(args) => decide("pin", &args.object, Some(&args.tier), args.recursive, &args.server),
        TierCommand::Unpin(args) => decide("unpin", &args.object, None, args.recursive, &args.server),
        TierCommand::Status(server) => status(&server),
        TierCommand::Simulate(args) => simulate::run(args),
        TierCommand::Generate(args) => simulate::generate(&args),
    }
}

fn decide(
    action: &str,
    location: &Location,
    tier: Option<&str>,
    recursive: bool,
    server: &ServerArg,
) -> ExitCode {
    ended(|| {
        let operator = Operator::new(server)?;
        let (mut objects, mut after) = (0, None);
        loop {
            let named = if recursive { "prefix" } else { "key" };
            let mut query = vec![("bucket", location.bucket.as_str()), (named, location.key.as_str())];
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

/// 1 if a tier takes nothing, or something couldn't be read.
fn status(server: &ServerArg) -> ExitCode {
    ended(|| {
        let status: TransitionStatus = Operator::new(server)?.get("tier")?;
        let TransitionStatus { objects, bodies, bytes, unreadable, waiting } = &status;
        output::line(format_args!(
            "since the start {objects} objects came where they belong: {bodies} bodies, {bytes} bytes"
        ));
        if *unreadable > 0 {
            output::line(format_args!("{unreadable} bodies could not be read; the log names them"));
        }
        for (tier, why) in waiting {
            output::line(format_args!("what belongs in {tier} waits: {why}"));
        }
        Ok(*unreadable == 0 && waiting.is_empty())
    })
}

/// Says where an object is and why.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    ended(|| {
        let Location { bucket, key } = &args.object;
        let path = Operator::path(&["objects", bucket, key]);
        let why: Explanation = Operator::new(&args.server)?.get(&path)?;
        match args.json {
            true => output::line(serde_json::to_string_pretty(&why).unwrap_or_default()),
            false => output::print(text(&why)),
        }
        Ok(true)
    })
}

fn text(why: &Explanation) -> String {
    let mut text = format!("{}\n", why.sentence);
    if why.bytes.len() > 1 {
        let parts =
            why.bytes.iter().map(|(tier, bytes)| format!("{bytes} bytes in {tier}")).collect::<Vec<_>>();
        text += &format!("Of it are {}.\n", parts.join(", "));
    }
    if let Some(pin) = &why.pin {
        text += &format!("{} pinned it to {} on {}.\n", pin.by, pin.tier, day(pin.since));
    }
    for moved in &why.history {
        text += &format!("{}  to {}: {}\n", day(moved.since), moved.tier, moved.reason);
    }
    text
}

fn day(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
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
