//! `stratum du`: adds up the sizes in buckets and folders.

use super::With;
use crate::connection::ConnectArgs;
use crate::listing::{objects, versions};
use crate::output::{OutputArgs, size_column};
use crate::place::Url;
use crate::problem::Problem;
use crate::sources::Meaning;
use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use std::collections::BTreeMap;

/// What `stratum du` takes.
#[derive(Args)]
pub struct DuArgs {
    /// s3://BUCKET or s3://BUCKET/FOLDER, or a pattern of keys.
    #[arg(required = true, value_parser = Url::parse_in_bucket)]
    urls: Vec<Url>,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// Show the size of each folder, too, down to so many levels below the named one.
    #[arg(long, short, value_name = "N", default_value_t = 0)]
    depth: usize,
    /// Count all versions, not the current ones alone.
    #[arg(long)]
    versions: bool,
    /// Sizes in bytes.
    #[arg(long, short)]
    bytes: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Copy, Default)]
struct Held {
    bytes: u64,
    objects: u64,
}

/// Adds up what is named.
pub async fn run(args: &DuArgs, with: &With) -> Result<(), Problem> {
    for url in &args.urls {
        match count(args, url, with).await {
            Err(problem) if args.urls.len() > 1 && !matches!(problem, Problem::Closed) => {
                with.output.problem(&problem);
            }
            counted => counted?,
        }
    }
    Ok(())
}

async fn count(args: &DuArgs, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    let meaning = Meaning::of(url, args.raw);
    let folder = meaning.folder();
    // An object whose key is the folder's name without the slash counts, too.
    let prefix = match &meaning {
        Meaning::Folder(_) if !url.is_folder() => url.key.clone(),
        meaning => meaning.prefix(),
    };
    let is_meant = |key: &str| key == url.key || meaning.takes(key);
    let mut held: BTreeMap<String, Held> = BTreeMap::from([(String::new(), Held::default())]);
    let mut add = |key: &str, size: u64| {
        let name = key.strip_prefix(&folder).unwrap_or_default();
        for end in std::iter::once(0).chain(name.match_indices('/').map(|(at, _)| at + 1).take(args.depth)) {
            // Looked up first, since most objects are in a folder that is known, whose name needn't be copied.
            match held.get_mut(&name[..end]) {
                Some(held) => {
                    *held = Held { bytes: held.bytes.saturating_add(size), objects: held.objects + 1 }
                }
                None => drop(held.insert(name[..end].to_owned(), Held { bytes: size, objects: 1 })),
            }
        }
    };
    if args.versions {
        let mut found = std::pin::pin!(versions(&client, url, &prefix));
        while let Some(version) = found.next().await.transpose()? {
            if let (true, Some(size)) = (is_meant(&version.key), version.size) {
                add(&version.key, size);
            }
        }
    } else {
        let mut found = std::pin::pin!(objects(&client, url, &prefix));
        while let Some(entry) = found.next().await.transpose()? {
            if is_meant(&entry.key) {
                add(&entry.key, entry.size);
            }
        }
    }
    let total = held.remove("").unwrap_or_default();
    if total.objects == 0 && !url.key.is_empty() {
        return Err(Problem::Missing(url.to_string()));
    }
    held.iter()
        .try_for_each(|(name, held)| tell(args, &url.with_key(format!("{folder}{name}")), held, with))?;
    tell(args, url, &total, with)
}

fn tell(args: &DuArgs, url: &Url, held: &Held, with: &With) -> Result<(), Problem> {
    let Held { bytes, objects } = *held;
    if with.output.is_json() {
        return with.output.object(&json!({ "url": url.plain(), "bytes": bytes, "objects": objects }));
    }
    let what = if args.versions { "versions" } else { "objects" };
    with.output.line(format_args!("{}  {objects:>10} {what}  {url}", size_column(bytes, args.bytes)))
}
