//! Deletes what a target has and its source hasn't, for `sync --delete`.

use super::{Engine, From, RemoteObject};
use crate::place::shown;
use crate::problem::Problem;
use crate::s3::Undeleted;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

impl Engine {
    /// Deletes objects of one bucket, or files.
    pub(super) async fn remove(self: Arc<Self>, doomed: Vec<From>) {
        let undeleted = match self.options.is_dry_run {
            true => HashSet::new(),
            false => match self.try_remove(&doomed).await {
                Ok(undeleted) => undeleted,
                Err(problem) => return self.fail(&problem),
            },
        };
        doomed
            .iter()
            .map(From::plain)
            .filter(|name| !undeleted.contains(name))
            .for_each(|name| self.tell_removed(&name));
    }

    /// Deletes, tells what couldn't be deleted, and gives the names of that.
    async fn try_remove(&self, doomed: &[From]) -> Result<HashSet<String>, Problem> {
        let mut undeleted = HashSet::new();
        let mut objects = Vec::new();
        for from in doomed {
            match from {
                From::Object(object) => objects.push(object),
                From::File(file) => {
                    if let Err(error) = std::fs::remove_file(&file.path) {
                        self.output.problem(&Problem::of_path(&file.path, error));
                        undeleted.insert(from.plain());
                    }
                }
                From::Pipe => {}
            }
        }
        if let Some(RemoteObject { url, .. }) = objects.first() {
            let client = self.sessions.client(&url.site)?;
            let keys: Vec<_> = objects.iter().map(|object| (object.url.key.clone(), None)).collect();
            for Undeleted { at, problem } in
                client.delete_many(&url.bucket, &keys).await.map_err(Problem::s3(url))?
            {
                if let Some(RemoteObject { url, .. }) = objects.get(at) {
                    self.output.problem(&Problem::at(url, problem));
                    undeleted.insert(url.plain());
                }
            }
        }
        Ok(undeleted)
    }

    fn tell_removed(&self, name: &str) {
        // The work goes on when the reader of the output has closed it.
        let _ = if self.output.is_json() {
            let is_dry_run = self.options.is_dry_run;
            self.output.object(&json!({ "action": "delete", "url": name, "dry_run": is_dry_run }))
        } else if self.options.tells_each {
            let would = if self.options.is_dry_run { "would delete" } else { "deleted" };
            self.output.line(format_args!("{would} {}", shown(name)))
        } else {
            Ok(())
        };
    }
}
