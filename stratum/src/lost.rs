//! `stratum lost`: shows which parts of the index can't be read from any drive any more, and gives them up.

use crate::backup::Location;
use crate::client::s3::S3Args;
use crate::client::{Operator, ServerArg};
use crate::control::ended;
use crate::offline::{StoreArgs, backup_drive};
use crate::output;
use clap::{Args, Subcommand};
use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use stratum_metadata::salvage::{MadeAnew, Salvaged, Sources, make_lost_anew};
use stratum_metadata::{Loss, LostKeys, Reclaimed};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Tier;
use stratum_storage::drive::Threads;
use stratum_storage::journal::History;
use stratum_storage::set::Set;

/// The arguments of `stratum lost`.
#[derive(Args)]
pub struct LostArgs {
    #[command(subcommand)]
    action: LostAction,
}

#[derive(Subcommand)]
enum LostAction {
    /// Show which keys of the index are lost, how many records these are at most, and whether they can be given up.
    /// Reads all of the index.
    Show(ServerArg),
    /// Give up the lost records that `stratum lost show` shows. They are gone for good, and everything else can be
    /// written, merged and backed up again.
    GiveUp(GiveUpArgs),
    /// Free the space on the drives that only records named which were given up.
    Reclaim(ServerArg),
    /// Put back what a backup has of what is lost, of a stopped server: where it is proven to be what was there, and nothing else.
    Restore(RestoreLostArgs),
}

#[derive(Args)]
struct GiveUpArgs {
    /// The token that `stratum lost show` printed. If what is lost has changed since, nothing is given up.
    #[arg(long)]
    token: String,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct RestoreLostArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// What `stratum backup` wrote, a file or s3://BUCKET/KEY.
    #[arg(long)]
    from: Location,
    #[command(flatten)]
    s3: S3Args,
    /// A folder with room for the backup and its index. [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// 1 where something is lost.
pub fn run(args: &LostArgs) -> ExitCode {
    match &args.action {
        LostAction::Show(server) => ended(|| {
            let loss: Loss = Operator::new(server)?.get("lost")?;
            output::print(shown(&loss));
            Ok(loss.blocks.is_empty())
        }),
        LostAction::GiveUp(args) => ended(|| {
            let query = [("token", args.token.as_str())];
            let loss: Loss = Operator::new(&args.server)?.post("lost/give-up", &query)?;
            output::print(given_up(&loss));
            Ok(true)
        }),
        LostAction::Reclaim(server) => ended(|| {
            let Reclaimed { extents, stripes, uploads } = Operator::new(server)?.post("lost/reclaim", &[])?;
            output::line(format_args!(
                "Given back: {extents} extents of larger bodies, a part of {stripes} packed stripes, and the parts of {uploads} uploads."
            ));
            Ok(true)
        }),
        LostAction::Restore(args) => match restore(args) {
            Ok(made) => {
                output::print(restored(&made));
                if made.iter().all(|made| made.why_not.is_none()) {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(1)
                }
            }
            Err(problem) => {
                eprintln!("stratum: {problem}");
                ExitCode::from(2)
            }
        },
    }
}

/// Makes lost blocks anew on the drives of a stopped server.
fn restore(args: &RestoreLostArgs) -> Result<Vec<MadeAnew>, String> {
    let say = |error: &dyn Display| error.to_string();
    let scratch = match &args.scratch {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.map_err(|error| format!("no folder for the backup: {error}"))?;
    let folder = args.from.unpack(&args.s3, &scratch.path().join("backup"))?;
    let (drives, clock): (_, Arc<dyn Clock>) = (vec![backup_drive(&folder, 0)?], Arc::new(System));
    let history = History::read(&drives).map_err(|error| say(&error))?;
    let sources = Sources { index: scratch.path().join("index"), drives, former: None };
    let backup = Salvaged::build(&sources, &history, clock.clone()).map_err(|error| say(&error))?;
    // A server that runs has the drives locked.
    let set = args.store.layout()?.set_config(Threads::Own);
    let set = Set::open(&set, clock, &System).map_err(|error| say(&error))?;
    make_lost_anew(&set.drives(Tier::JOURNAL), &backup).map_err(|error| say(&error))
}

fn restored(made: &[MadeAnew]) -> String {
    let mut text = String::new();
    for MadeAnew { file, blocks, why_not } in made {
        // Writing to a string doesn't fail.
        let _ = match why_not {
            None => writeln!(text, "{file}: {blocks} blocks are what they were."),
            Some(why_not) => writeln!(text, "{file}: nothing of it was put back: {why_not}."),
        };
    }
    match (made.is_empty(), made.iter().all(|made| made.why_not.is_none())) {
        (true, _) => "Nothing of the index is lost.\n".into(),
        (false, true) => text + "All of it is there again: start the server.\n",
        (false, false) => {
            text + "What is still lost another backup may have, one from near the time when the file was written.\n"
        }
    }
}

fn shown(loss: &Loss) -> String {
    if loss.blocks.is_empty() {
        return "Nothing of the index is lost.\n".into();
    }
    let mut text = format!("Lost of the index: {}.\n", amount(loss));
    for LostKeys { file, offset, drives, keys, .. } in &loss.blocks {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  from {keys}\n    byte {offset} of {file} is bad on each of {}",
            drives.join(", ")
        );
    }
    let way = match &loss.refusal {
        Some(refusal) => format!("It can't be given up: {refusal}.\n"),
        None => format!(
            "Any drive that may have a sound copy brings all of it back, and so does a backup from before which nothing of it changed \
             (`stratum lost restore`). What the copy of the state in a remote store has is put back by the server itself. \
             To do without: objects and versions among these keys are \
             there no more then, or lack a part, and what they took on the drives stays taken until \
             `stratum lost reclaim`.\n  stratum lost give-up --token {}\n",
            loss.token
        ),
    };
    text + &way
}

fn given_up(loss: &Loss) -> String {
    format!("Given up: {}. What their bytes take is given back by `stratum lost reclaim`.\n", amount(loss))
}

/// How many records are lost, in how many blocks of the index, and in which buckets.
fn amount(loss: &Loss) -> String {
    let (blocks, buckets) = (loss.blocks.len(), loss.buckets.join(", "));
    let of = match (loss.buckets.is_empty(), loss.more_buckets) {
        (true, _) => String::new(),
        (false, 0) => format!(", of the buckets {buckets}"),
        (false, more) => format!(", of the buckets {buckets} and {more} more"),
    };
    format!(
        "{} records at most, in {blocks} {}{of}",
        loss.at_most,
        if blocks == 1 { "block" } else { "blocks" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_keys_are_shown_with_the_command_that_gives_them_up() {
        let block = LostKeys {
            file: "checkpoint/7.0".into(),
            offset: 32,
            drives: vec!["hot/0".into(), "hot/1".into()],
            about: 3,
            keys: "object 'a' in bucket photos to before object 'b'".into(),
        };
        let loss = Loss {
            blocks: vec![block],
            at_most: 240,
            buckets: vec!["photos".into()],
            token: "00ff".into(),
            ..Loss::default()
        };
        let text = shown(&loss);
        assert!(
            text.starts_with("Lost of the index: 240 records at most, in 1 block, of the buckets photos.\n")
        );
        assert!(text.contains("from object 'a' in bucket photos to before object 'b'\n    byte 32 of"));
        assert!(text.ends_with("stratum lost give-up --token 00ff\n"), "{text}");
        let refused = shown(&Loss { refusal: Some("why".into()), ..loss });
        assert!(
            refused.ends_with("It can't be given up: why.\n") && !refused.contains("--token"),
            "{refused}"
        );
        assert_eq!(shown(&Loss::default()), "Nothing of the index is lost.\n");
    }
}
