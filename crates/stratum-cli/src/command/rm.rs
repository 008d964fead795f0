//! `stratum rm`: deletes objects, versions and open uploads.

use super::With;
use crate::connection::ConnectArgs;
use crate::listing::{objects, uploads, versions};
use crate::output::OutputArgs;
use crate::place::Url;
use crate::problem::{Outcome, Problem};
use crate::quantity::{seconds, span};
use crate::s3::{Client, DELETED_AT_ONCE, Undeleted, Upload};
use crate::sources::{Meaning, unless_folder};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, FuturesUnordered};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How many requests that delete [`DELETED_AT_ONCE`] objects each are in flight.
const BATCHES_IN_FLIGHT: usize = 4;

/// What `stratum rm` takes.
#[derive(Args)]
pub struct RmArgs {
    /// s3://BUCKET/KEY, or a pattern of keys.
    #[arg(required = true, value_parser = Url::parse_in_bucket)]
    urls: Vec<Url>,
    /// Delete everything in a folder, or in a bucket.
    #[arg(long, short)]
    recursive: bool,
    /// Delete all versions and delete markers of the named objects, for good.
    #[arg(long, conflicts_with = "version_id")]
    versions: bool,
    /// This version of the object, for good.
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    version_id: Option<String>,
    /// Multipart uploads that are neither completed nor aborted, and nothing else.
    #[arg(long, conflicts_with_all = ["versions", "version_id"])]
    incomplete: bool,
    /// Only objects that are older than this age: 12h, 7d, 2w.
    #[arg(long, value_name = "AGE", value_parser = span)]
    older_than: Option<Duration>,
    /// Count an object that isn't there as deleted.
    #[arg(long, short)]
    force: bool,
    /// Take *, ** and ? in URLs for themselves.
    #[arg(long)]
    raw: bool,
    /// Tell what would be deleted, and delete nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Tell each deleted object.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A key, and maybe one of its versions.
type Doomed = (String, Option<String>);

/// Deletes what is named.
pub async fn run(args: &RmArgs, with: &With) -> Result<(), Problem> {
    // All URLs are checked before anything is deleted.
    for url in &args.urls {
        if !args.recursive && url.is_folder() && !is_pattern(args, url) {
            return Err(Problem::Usage(format!(
                "{url}: it means everything in it, not one object: say --recursive"
            )));
        }
        if args.version_id.is_some() && is_pattern(args, url) {
            let problem = "a version is of one object, and a pattern may mean many";
            return Err(Problem::Usage(problem.into()));
        }
        if args.recursive && is_pattern(args, url) {
            let problem = "--recursive takes whole folders, and a pattern takes keys: use one of the two";
            return Err(Problem::Usage(problem.into()));
        }
    }
    for url in &args.urls {
        match remove(args, url, with).await {
            Err(problem) if args.urls.len() > 1 => with.output.problem(&problem),
            removed => removed?,
        }
    }
    Ok(())
}

fn is_pattern(args: &RmArgs, url: &Url) -> bool {
    matches!(Meaning::of(url, args.raw), Meaning::Pattern(_))
}

async fn remove(args: &RmArgs, url: &Url, with: &With) -> Result<(), Problem> {
    let client = with.sessions.client(&url.site)?;
    let removal = Removal { args, url, with, client: &client };
    if args.incomplete {
        return removal.uploads().await;
    }
    if args.recursive || args.versions || is_pattern(args, url) {
        return removal.many().await;
    }
    removal.one().await
}

/// The time in seconds that lies an age before now. Nothing is as old as an age that no clock can show.
fn before(now: SystemTime, age: Duration) -> i64 {
    seconds(now).saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

struct Removal<'a> {
    args: &'a RmArgs,
    url: &'a Url,
    with: &'a With,
    client: &'a Arc<Client>,
}

impl Removal<'_> {
    async fn one(&self) -> Result<(), Problem> {
        let (url, version) = (self.url, self.args.version_id.as_deref());
        match self.client.head(&url.bucket, &url.key, version).await.map_err(Problem::s3(url)) {
            Ok(info) => {
                let modified = info.modified.map(|modified| modified.unix_timestamp());
                if self.is_too_young(modified) {
                    return Ok(());
                }
            }
            // The version is a delete marker, which can be deleted and can't be looked at.
            Err(problem) if version.is_some() && problem.code() == Some("MethodNotAllowed") => {}
            Err(problem) if self.args.force && problem.outcome() == Outcome::Missing => return Ok(()),
            Err(problem) => return Err(unless_folder(self.client, url, problem).await),
        }
        if !self.args.dry_run {
            self.client.delete(&url.bucket, &url.key, version).await.map_err(Problem::s3(url))?;
        }
        self.tell(&(url.key.clone(), version.map(str::to_owned)))
    }

    /// Deletes all objects or versions that are meant, in batches.
    async fn many(&self) -> Result<(), Problem> {
        let mut found = self.found().chunks(DELETED_AT_ONCE);
        let mut batches = FuturesUnordered::new();
        let mut is_any = false;
        while let Some(chunk) = found.next().await {
            let mut doomed = Vec::with_capacity(chunk.len());
            for found in chunk {
                doomed.push(found?);
            }
            is_any = true;
            if batches.len() >= BATCHES_IN_FLIGHT {
                batches.next().await.transpose()?;
            }
            batches.push(self.batch(doomed));
        }
        while let Some(done) = batches.next().await {
            done?;
        }
        self.ended(is_any)
    }

    /// Nothing that is meant is an error, unless `--force` says otherwise.
    fn ended(&self, is_any: bool) -> Result<(), Problem> {
        match is_any || self.args.force {
            true => Ok(()),
            false => Err(Problem::Missing(self.url.to_string())),
        }
    }

    /// What the keys that are meant begin with, and whether a key is meant. Without `--recursive` and without a
    /// pattern only the URL's own key is.
    fn meant(&self) -> (String, impl Fn(&str) -> bool + Send + use<>) {
        let exact = (!self.args.recursive && !is_pattern(self.args, self.url)).then(|| self.url.key.clone());
        let meaning = Meaning::of(self.url, self.args.raw);
        let prefix = exact.clone().unwrap_or_else(|| meaning.prefix());
        let is_meant = move |key: &str| match &exact {
            Some(exact) => key == exact,
            None => meaning.takes(key),
        };
        (prefix, is_meant)
    }

    /// The objects or versions that are meant.
    fn found(&self) -> BoxStream<'static, Result<Doomed, Problem>> {
        let (prefix, is_meant) = self.meant();
        let latest = self.latest();
        let is_old = move |modified: i64| latest.is_none_or(|latest| modified <= latest);
        if self.args.versions {
            let found = versions(self.client, self.url, &prefix).filter_map(move |version| {
                let doomed = match version {
                    Err(problem) => Some(Err(problem)),
                    Ok(version) if is_meant(&version.key) && is_old(version.modified.unix_timestamp()) => {
                        Some(Ok((version.key, Some(version.id))))
                    }
                    Ok(_) => None,
                };
                async { doomed }
            });
            return found.boxed();
        }
        let found = objects(self.client, self.url, &prefix).filter_map(move |entry| {
            let doomed = match entry {
                Err(problem) => Some(Err(problem)),
                Ok(entry) if is_meant(&entry.key) && is_old(entry.last_modified.unix_timestamp()) => {
                    Some(Ok((entry.key, None)))
                }
                Ok(_) => None,
            };
            async { doomed }
        });
        found.boxed()
    }

    async fn batch(&self, doomed: Vec<Doomed>) -> Result<(), Problem> {
        let mut undeleted = Vec::new();
        if !self.args.dry_run {
            let answered = self.client.delete_many(&self.url.bucket, &doomed).await;
            undeleted = answered.map_err(Problem::s3(self.url))?;
        }
        for Undeleted { at, problem } in &undeleted {
            let named = doomed.get(*at).map(|(key, version)| match version {
                Some(version) => format!("{} version {version}", self.url.with_key(key)),
                None => self.url.with_key(key).to_string(),
            });
            self.with.output.problem(&Problem::at(named.unwrap_or_default(), problem));
        }
        let failed: HashSet<usize> = undeleted.iter().map(|undeleted| undeleted.at).collect();
        let deleted = doomed.iter().enumerate().filter(|(at, _)| !failed.contains(at));
        deleted.map(|(_, doomed)| doomed).try_for_each(|doomed| self.tell(doomed))
    }

    async fn uploads(&self) -> Result<(), Problem> {
        let (prefix, is_meant) = self.meant();
        let mut found = std::pin::pin!(uploads(self.client, self.url, &prefix));
        let mut is_any = false;
        while let Some(upload) = found.next().await.transpose()? {
            if !is_meant(&upload.key) || self.is_too_young(Some(upload.initiated.unix_timestamp())) {
                continue;
            }
            is_any = true;
            let open = Upload { bucket: self.url.bucket.clone(), key: upload.key, id: upload.upload_id };
            if !self.args.dry_run {
                self.client.abort(&open).await.map_err(Problem::s3(self.url.with_key(&open.key)))?;
            }
            self.tell(&(open.key, None))?;
        }
        self.ended(is_any)
    }

    /// With `--older-than`, the time in seconds before which an object must have been written to be deleted.
    fn latest(&self) -> Option<i64> {
        self.args.older_than.map(|age| before((self.with.sessions.machine().now)(), age))
    }

    fn is_too_young(&self, modified: Option<i64>) -> bool {
        matches!((self.latest(), modified), (Some(latest), Some(modified)) if modified > latest)
    }

    fn tell(&self, (key, version): &Doomed) -> Result<(), Problem> {
        let (output, url) = (&self.with.output, self.url.with_key(key));
        let told = if output.is_json() {
            let action = if self.args.incomplete { "abort" } else { "delete" };
            output.object(&json!({
                "action": action, "url": url.plain(), "version": version, "dry_run": self.args.dry_run,
            }))
        } else if self.args.verbose || self.args.dry_run {
            let would = if self.args.dry_run { "would delete" } else { "deleted" };
            match version {
                Some(version) => output.line(format_args!("{would} {url} version {version}")),
                None => output.line(format_args!("{would} {url}")),
            }
        } else {
            Ok(())
        };
        // Deleting goes on when the reader of the output has closed it.
        match told {
            Err(Problem::Closed) => Ok(()),
            told => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_older_than_time_itself() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(before(now, Duration::from_secs(400)), 600);
        let written_in_1970 = 0;
        for age in [1001, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
            assert!(before(now, Duration::from_secs(age)) < written_in_1970, "{age}");
        }
    }
}
