//! `stratum rb`: removes buckets.

use super::With;
use crate::connection::ConnectArgs;
use crate::listing::{uploads, versions};
use crate::output::OutputArgs;
use crate::place::Url;
use crate::problem::Problem;
use crate::s3::{Client, DELETED_AT_ONCE, Undeleted, Upload};
use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use std::sync::Arc;

/// What `stratum rb` takes.
#[derive(Args)]
pub struct RbArgs {
    /// s3://BUCKET
    #[arg(required = true, value_parser = Url::parse_bucket)]
    urls: Vec<Url>,
    /// Delete everything in the bucket first, for good: every version and every open multipart upload.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Removes what is named.
pub async fn run(args: &RbArgs, with: &With) -> Result<(), Problem> {
    for url in &args.urls {
        match remove(args, url, with).await {
            Err(problem) if args.urls.len() > 1 => with.output.problem(&problem),
            removed => removed?,
        }
    }
    Ok(())
}

async fn remove(args: &RbArgs, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    if args.force {
        empty(&client, url, with).await?;
    }
    client.remove_bucket(&url.bucket).await.map_err(Problem::s3(url))?;
    if with.output.is_json() {
        return with.output.object(&json!({ "action": "remove", "bucket": url.bucket }));
    }
    Ok(())
}

async fn empty(client: &Arc<Client>, url: &Url, with: &With) -> Result<(), Problem> {
    let mut found = std::pin::pin!(versions(client, url, "").chunks(DELETED_AT_ONCE));
    while let Some(chunk) = found.next().await {
        let doomed = chunk.into_iter().map(|version| version.map(|version| (version.key, Some(version.id))));
        let doomed = doomed.collect::<Result<Vec<_>, _>>()?;
        let undeleted = client.delete_many(&url.bucket, &doomed).await.map_err(Problem::s3(url))?;
        for Undeleted { at, problem } in undeleted {
            let key = doomed.get(at).map(|(key, _)| key.as_str()).unwrap_or_default();
            with.output.problem(&Problem::at(url.with_key(key), problem));
        }
    }
    let mut open = std::pin::pin!(uploads(client, url, ""));
    while let Some(upload) = open.next().await.transpose()? {
        let upload = Upload { bucket: url.bucket.clone(), key: upload.key, id: upload.upload_id };
        client.abort(&upload).await.map_err(Problem::s3(url))?;
    }
    Ok(())
}
