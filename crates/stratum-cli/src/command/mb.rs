//! `stratum mb`: makes buckets.

use super::With;
use crate::connection::ConnectArgs;
use crate::output::OutputArgs;
use crate::place::Url;
use crate::problem::Problem;
use clap::Args;
use serde_json::json;

/// What `stratum mb` takes.
#[derive(Args)]
pub struct MbArgs {
    /// s3://BUCKET
    #[arg(required = true, value_parser = Url::parse_bucket)]
    urls: Vec<Url>,
    /// Succeed if the bucket exists already.
    #[arg(long)]
    ignore_existing: bool,
    /// Keep objects that are written over or deleted as versions.
    #[arg(long)]
    versioning: bool,
    /// Let objects be locked, which needs versions.
    #[arg(long)]
    lock: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Makes what is named.
pub async fn run(args: &MbArgs, with: &With) -> Result<(), Problem> {
    for url in &args.urls {
        match make(args, url, with).await {
            Err(problem) if args.urls.len() > 1 => with.output.problem(&problem),
            made => made?,
        }
    }
    Ok(())
}

async fn make(args: &MbArgs, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    // Some endpoints answer with success when a bucket is there already.
    let is_there = client.look_at_bucket(&url.bucket).await.is_ok();
    match is_there {
        true if !args.ignore_existing => {
            return Err(Problem::at(url, "there is a bucket of that name already"));
        }
        true => {}
        false => client.make_bucket(&url.bucket, args.lock).await.map_err(Problem::s3(url))?,
    }
    if args.versioning && !args.lock {
        client.version_bucket(&url.bucket).await.map_err(Problem::s3(url))?;
    }
    if with.output.is_json() {
        return with.output.object(&json!({ "action": "make", "bucket": url.bucket }));
    }
    Ok(())
}
