//! `stratum find`: prints the URLs of objects by name, size and age.

use super::With;
use crate::connection::ConnectArgs;
use crate::glob::Glob;
use crate::listing::objects;
use crate::output::OutputArgs;
use crate::place::Url;
use crate::problem::Problem;
use crate::quantity::{bytes, machine_moment, seconds, span};
use crate::s3::Entry;
use crate::sources::Meaning;
use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use std::time::Duration;

/// What `stratum find` takes.
#[derive(Args)]
pub struct FindArgs {
    /// s3://BUCKET or s3://BUCKET/FOLDER, or a pattern of keys.
    #[arg(required = true, value_parser = Url::parse_in_bucket)]
    urls: Vec<Url>,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// Whose name fits this pattern: *, ** and ?; one without a slash is about what follows the last slash.
    #[arg(long, value_name = "PATTERN")]
    name: Option<String>,
    /// That are larger than this.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    larger: Option<u64>,
    /// That are smaller than this.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    smaller: Option<u64>,
    /// That were written longer ago than this: 12h, 7d, 2w.
    #[arg(long, value_name = "AGE", value_parser = span)]
    older_than: Option<Duration>,
    /// That were written since: 12h, 7d, 2w.
    #[arg(long, value_name = "AGE", value_parser = span)]
    newer_than: Option<Duration>,
    /// End each URL with a NUL and leave it as it is, for xargs -0.
    #[arg(long, short = '0', conflicts_with = "json")]
    print0: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Prints the objects that fit.
pub async fn run(args: &FindArgs, with: &With) -> Result<(), Problem> {
    let wanted = Wanted {
        name: args.name.as_deref().map(Glob::new),
        args,
        now: seconds((with.sessions.machine().now)()),
    };
    for url in &args.urls {
        match find(&wanted, url, with).await {
            Err(problem) if args.urls.len() > 1 && !matches!(problem, Problem::Closed) => {
                with.output.problem(&problem);
            }
            found => found?,
        }
    }
    Ok(())
}

struct Wanted<'a> {
    name: Option<Glob>,
    args: &'a FindArgs,
    /// In seconds.
    now: i64,
}

impl Wanted<'_> {
    fn takes(&self, name: &str, entry: &Entry) -> bool {
        let age = u64::try_from(self.now.saturating_sub(entry.last_modified.unix_timestamp())).unwrap_or(0);
        self.name.as_ref().is_none_or(|glob| glob.fits_path(name))
            && self.args.larger.is_none_or(|size| entry.size > size)
            && self.args.smaller.is_none_or(|size| entry.size < size)
            && self.args.older_than.is_none_or(|span| age > span.as_secs())
            && self.args.newer_than.is_none_or(|span| age <= span.as_secs())
    }
}

async fn find(wanted: &Wanted<'_>, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    let meaning = Meaning::of(url, wanted.args.raw);
    let mut found = std::pin::pin!(objects(&client, url, &meaning.prefix()));
    while let Some(entry) = found.next().await.transpose()? {
        if meaning.takes(&entry.key) && wanted.takes(meaning.name(&entry.key).unwrap_or_default(), &entry) {
            print(wanted, &url.with_key(entry.key.clone()), &entry, with)?;
        }
    }
    Ok(())
}

fn print(wanted: &Wanted<'_>, url: &Url, entry: &Entry, with: &With) -> Result<(), Problem> {
    let output = &with.output;
    if output.is_json() {
        return output.object(&json!({
            "bucket": url.bucket,
            "key": entry.key,
            "size": entry.size,
            "modified": machine_moment(entry.last_modified),
        }));
    }
    if wanted.args.print0 {
        return output.bytes(format!("{}\0", url.plain()).as_bytes());
    }
    output.line(url)
}
