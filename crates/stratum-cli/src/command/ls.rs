//! `stratum ls`: lists buckets, folders, versions and open uploads.

use super::With;
use crate::connection::ConnectArgs;
use crate::glob::Glob;
use crate::listing::{Item, items, objects, uploads, version_items};
use crate::output::{OutputArgs, size_column};
use crate::place::{Url, shown};
use crate::problem::Problem;
use crate::quantity::{machine_moment, shown_moment};
use crate::s3::{Client, Entry, Version};
use crate::sources::Meaning;
use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use std::sync::Arc;

/// How many lines are gathered before they are written out.
const LINES_A_WRITE: usize = 1000;

/// What `stratum ls` takes.
#[derive(Args)]
pub struct LsArgs {
    /// s3://BUCKET/KEY, which is an object, a folder, or both; or a pattern of keys. Without one, all buckets.
    #[arg(value_parser = Url::parse)]
    urls: Vec<Url>,
    /// Everything below, not the folder alone.
    #[arg(long, short, visible_short_alias = 'R')]
    recursive: bool,
    /// All versions and delete markers, with their ids.
    #[arg(long)]
    versions: bool,
    /// Multipart uploads that are neither completed nor aborted.
    #[arg(long, conflicts_with = "versions")]
    incomplete: bool,
    /// Sizes in bytes.
    #[arg(long, short)]
    bytes: bool,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Lists what is named.
pub async fn run(args: &LsArgs, with: &With) -> Result<(), Problem> {
    if args.urls.is_empty() {
        return buckets(
            &Url { site: crate::place::Site::Default, bucket: String::new(), key: String::new() },
            with,
        )
        .await;
    }
    for url in &args.urls {
        let listed =
            if url.bucket.is_empty() { buckets(url, with).await } else { list(args, url, with).await };
        match listed {
            Err(Problem::Closed) => return Err(Problem::Closed),
            Err(problem) if args.urls.len() == 1 => return Err(problem),
            Err(problem) => with.output.problem(&problem),
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn buckets(url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    for bucket in client.buckets().await.map_err(Problem::s3(url))? {
        if with.output.is_json() {
            let created = machine_moment(bucket.creation_date);
            with.output.object(&json!({ "type": "bucket", "name": bucket.name, "created": created }))?;
        } else {
            with.output.line(format_args!("{}  {}", shown_moment(bucket.creation_date), bucket.name))?;
        }
    }
    Ok(())
}

async fn list(args: &LsArgs, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    let listing = Listing { args, url, with, client: &client };
    if args.incomplete {
        return listing.uploads().await;
    }
    let shown = match !args.raw && Glob::is_pattern(&url.key) {
        true => listing.pattern().await?,
        // The object with that very key, and what is in the folder of that name.
        false => {
            let itself = if url.is_folder() { 0 } else { listing.itself().await? };
            itself + listing.below(&url.folder()).await?
        }
    };
    match shown > 0 || url.key.is_empty() {
        true => Ok(()),
        false => Err(Problem::Missing(url.to_string())),
    }
}

/// A URL that is listed.
struct Listing<'a> {
    args: &'a LsArgs,
    url: &'a Url,
    with: &'a With,
    client: &'a Arc<Client>,
}

impl Listing<'_> {
    async fn pattern(&self) -> Result<usize, Problem> {
        let glob = Glob::new(&self.url.key);
        let mut shown = 0;
        if self.args.versions {
            let mut found = std::pin::pin!(version_items(self.client, self.url, &glob.prefix(), false));
            while let Some(item) = found.next().await.transpose()? {
                if glob.fits(item.key()) {
                    shown += self.version(&item, "")?;
                }
            }
            return Ok(shown);
        }
        let mut found = std::pin::pin!(objects(self.client, self.url, &glob.prefix()));
        while let Some(entry) = found.next().await.transpose()? {
            if glob.fits(&entry.key) {
                shown += self.entry(&Item::Entry(entry), "")?;
            }
        }
        Ok(shown)
    }

    /// Lists the object whose key is the URL's, or its versions.
    async fn itself(&self) -> Result<usize, Problem> {
        let key = &self.url.key;
        let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
        let mut shown = 0;
        if self.args.versions {
            let mut found = std::pin::pin!(version_items(self.client, self.url, key, true));
            while let Some(item) = found.next().await.transpose()? {
                match &item {
                    Item::Entry(version) if version.key == *key => shown += self.version(&item, folder)?,
                    _ => break,
                }
            }
            return Ok(shown);
        }
        let mut found = std::pin::pin!(items(self.client, self.url, key, true));
        // Of all keys that begin with this one, this one comes first.
        if let Some(item @ Item::Entry(_)) = found.next().await.transpose()?
            && item.key() == key
        {
            shown += self.entry(&item, folder)?;
        }
        Ok(shown)
    }

    async fn below(&self, folder: &str) -> Result<usize, Problem> {
        let is_one = !self.args.recursive;
        let mut shown = 0;
        if self.args.versions {
            let mut found = std::pin::pin!(version_items(self.client, self.url, folder, is_one));
            while let Some(item) = found.next().await.transpose()? {
                shown += self.version(&item, folder)?;
                self.seen(shown)?;
            }
            return Ok(shown);
        }
        let mut found = std::pin::pin!(items(self.client, self.url, folder, is_one));
        while let Some(item) = found.next().await.transpose()? {
            shown += self.entry(&item, folder)?;
            self.seen(shown)?;
        }
        Ok(shown)
    }

    fn seen(&self, shown: usize) -> Result<(), Problem> {
        if shown.is_multiple_of(LINES_A_WRITE) { self.with.output.flush() } else { Ok(()) }
    }

    async fn uploads(&self) -> Result<(), Problem> {
        // The uploads to that very key, and those into the folder of that name; or those to the keys that fit.
        let meaning = Meaning::of(self.url, self.args.raw);
        let prefix = match &meaning {
            Meaning::Folder(_) => self.url.key.clone(),
            Meaning::Pattern(glob) => glob.prefix(),
        };
        let mut found = std::pin::pin!(uploads(self.client, self.url, &prefix));
        while let Some(upload) = found.next().await.transpose()? {
            if upload.key != self.url.key && !meaning.takes(&upload.key) {
                continue;
            }
            if self.with.output.is_json() {
                self.with.output.object(&json!({
                    "type": "upload",
                    "key": upload.key,
                    "upload_id": upload.upload_id,
                    "initiated": machine_moment(upload.initiated),
                }))?;
            } else {
                let (moment, id) = (shown_moment(upload.initiated), &upload.upload_id);
                self.with.output.line(format_args!("{moment}  {id}  {}", shown(&upload.key)))?;
            }
        }
        Ok(())
    }

    fn entry(&self, item: &Item<Entry>, folder: &str) -> Result<usize, Problem> {
        let output = &self.with.output;
        match item {
            Item::Folder(prefix) => self.folder(prefix, folder)?,
            Item::Entry(entry) if output.is_json() => output.object(&json!({
                "type": "object",
                "key": entry.key,
                "size": entry.size,
                "modified": machine_moment(entry.last_modified),
                "etag": entry.etag.trim_matches('"'),
                "storage_class": entry.storage_class,
            }))?,
            Item::Entry(entry) => {
                let size = size_column(entry.size, self.args.bytes);
                let name = entry.key.strip_prefix(folder).unwrap_or(&entry.key);
                output.line(format_args!(
                    "{}  {size}  {}",
                    shown_moment(entry.last_modified),
                    name_of(name)
                ))?;
            }
        }
        Ok(1)
    }

    fn version(&self, item: &Item<Version>, folder: &str) -> Result<usize, Problem> {
        let output = &self.with.output;
        match item {
            Item::Folder(prefix) => self.folder(prefix, folder)?,
            Item::Entry(version) if output.is_json() => output.object(&json!({
                "type": if version.size.is_some() { "version" } else { "delete marker" },
                "key": version.key,
                "version": version.id,
                "is_latest": version.is_latest,
                "size": version.size,
                "modified": machine_moment(version.modified),
            }))?,
            Item::Entry(version) => {
                let width = if self.args.bytes { 14 } else { 10 };
                let size = version.size.map(|size| size_column(size, self.args.bytes));
                let size = size.unwrap_or_else(|| format!("{:>width$}", "deleted"));
                let current = if version.is_latest { "*" } else { " " };
                let name = name_of(version.key.strip_prefix(folder).unwrap_or(&version.key)).to_string();
                let moment = shown_moment(version.modified);
                output.line(format_args!("{moment}  {size} {current}{:32} {name}", version.id))?;
            }
        }
        Ok(1)
    }

    fn folder(&self, prefix: &str, folder: &str) -> Result<(), Problem> {
        if self.with.output.is_json() {
            return self.with.output.object(&json!({ "type": "folder", "key": prefix }));
        }
        let width = if self.args.bytes { 35 } else { 31 };
        self.with.output.line(format_args!(
            "{:width$}  {}",
            "",
            name_of(prefix.strip_prefix(folder).unwrap_or(prefix))
        ))
    }
}

/// A name in a list. The marker object of the listed folder itself, whose name is empty, is shown as a dot.
fn name_of(name: &str) -> impl std::fmt::Display + '_ {
    shown(if name.is_empty() { "." } else { name })
}
