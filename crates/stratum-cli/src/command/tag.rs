//! `stratum tag`: shows, sets and removes tags of objects and buckets.

use super::With;
use crate::connection::ConnectArgs;
use crate::output::OutputArgs;
use crate::place::{Url, shown};
use crate::problem::Problem;
use clap::{Args, Subcommand};
use serde_json::json;

/// What `stratum tag` takes.
#[derive(Args)]
pub struct TagArgs {
    #[command(subcommand)]
    action: TagAction,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Subcommand)]
enum TagAction {
    /// Show the tags of an object or a bucket.
    Get(TagOf),
    /// Set tags, and leave the object's other tags as they are.
    Set {
        #[command(flatten)]
        of: TagOf,
        /// Tags to set.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = pair)]
        tags: Vec<(String, String)>,
    },
    /// Remove tags: those that are named, or all.
    Rm {
        #[command(flatten)]
        of: TagOf,
        /// Tags to remove.
        #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// Remove all.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Args)]
struct TagOf {
    /// s3://BUCKET/KEY, or s3://BUCKET for the bucket's own.
    #[arg(value_parser = Url::parse_in_bucket)]
    url: Url,
    /// This version.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE".into()),
    }
}

/// Does what is said.
pub async fn run(args: &TagArgs, with: &With) -> Result<(), Problem> {
    let of = match &args.action {
        TagAction::Get(of) | TagAction::Set { of, .. } | TagAction::Rm { of, .. } => of,
    };
    let (url, version) = (&of.url, of.version_id.as_deref());
    let client = with.sessions.client(&url.site)?;
    let mut tags = client.tags(&url.bucket, &url.key, version).await.map_err(Problem::s3(url))?;
    match &args.action {
        TagAction::Get(_) if with.output.is_json() => return with.output.object(&json!(tags)),
        TagAction::Get(_) => {
            return tags.iter().try_for_each(|(name, value)| {
                with.output.line(format_args!("{}={}", shown(name), shown(value)))
            });
        }
        TagAction::Set { tags: set, .. } => tags.extend(set.iter().cloned()),
        TagAction::Rm { all: true, .. } => tags.clear(),
        TagAction::Rm { names, .. } => {
            for name in names {
                if tags.remove(name).is_none() {
                    return Err(Problem::at(url, format_args!("it has no tag \"{}\"", name.escape_debug())));
                }
            }
        }
    }
    client.set_tags(&url.bucket, &url.key, version, &tags).await.map_err(Problem::s3(url))
}
