//! Root's credentials at a start of the server, and how the operator learns them.
//!
//! They are taken from the environment, or kept from an earlier start, or generated. Generated credentials are shown at
//! every start until somebody has signed in with them, since the start that generated them may have failed, or nobody
//! may have seen its output. They are printed only to a terminal: in a log everybody who reads logs would see them, so
//! where the output is no terminal only the file is named that holds them.

use crate::credentials::{self, Credentials};
use crate::failure::Failure;
use crate::layout::LiveMeta;
use crate::{output, private};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::System;
use stratum_storage::set::Set;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use tracing_mutex::parkinglot::Mutex;

/// The file in `meta` that marks that somebody has signed in with the credentials. It holds their access key, since the
/// drives may be exchanged for others beside the same `meta`, whose credentials nobody has seen.
const SIGNED_IN: &str = "root-has-signed-in";
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Root's credentials, and where they come from.
pub struct RootCredentials {
    credentials: Credentials,
    /// The folder `meta`, in which the credentials are kept; nothing if they come from the environment.
    kept: Option<Kept>,
}

/// The folder `meta` at the start, and as it lies later.
#[derive(Clone)]
struct Kept {
    meta: PathBuf,
    live: LiveMeta,
}

impl RootCredentials {
    /// The credentials `said` by the environment, or else those that the drives keep, or else new ones, which are then
    /// kept.
    pub fn find(
        said: Option<Credentials>,
        set: &Set,
        meta: &Path,
        live: LiveMeta,
    ) -> Result<RootCredentials, Failure> {
        if let Some(credentials) = said {
            return Ok(RootCredentials { credentials, kept: None });
        }
        let kept = match set.read_replicated(credentials::FILE)? {
            Some(kept) => Credentials::from_file(&String::from_utf8(kept)?)
                .ok_or("the root credentials on the drives can't be read: set them in the environment")?,
            None => {
                let made = Credentials::generate(&System);
                set.write_replicated(credentials::FILE, made.to_file().as_bytes())?;
                made
            }
        };
        kept.keep(meta)?;
        Ok(RootCredentials { credentials: kept, kept: Some(Kept { meta: meta.to_owned(), live }) })
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Prints the credentials, if nobody has signed in with them yet. Unless `shown`, they are printed only to a
    /// terminal, and else the name of their file.
    pub fn tell(&self, endpoint: &str, region: &str, shown: bool) {
        let Some(kept) = self.kept.as_ref().filter(|kept| !self.is_marked(&kept.meta)) else { return };
        let file = kept.meta.join(credentials::FILE);
        let file = file.display();
        if shown || std::io::stdout().is_terminal() {
            output::line(format_args!("Root credentials, kept in {file} and shown until they are used:\n"));
            output::line(self.credentials.paste(endpoint, region));
        } else {
            output::line(format_args!(
                "The root credentials are in {file}; --show-credentials prints them here."
            ));
        }
    }

    /// A clause that says how to sign in. It has the secret key only if the output is a terminal, or if `shown`.
    pub fn told(&self, shown: bool) -> String {
        let Credentials { access_key, secret_key } = &self.credentials;
        match &self.kept {
            _ if shown || std::io::stdout().is_terminal() => {
                format!("sign in as {access_key} with {secret_key}")
            }
            Some(Kept { meta, .. }) => {
                format!("sign in with the credentials in {}", meta.join(credentials::FILE).display())
            }
            None => format!("sign in as {access_key}"),
        }
    }

    /// Whether somebody has signed in with these credentials.
    fn is_marked(&self, meta: &Path) -> bool {
        let mark = std::fs::read_to_string(meta.join(SIGNED_IN));
        mark.is_ok_and(|access_key| access_key == self.credentials.access_key)
    }

    /// Writes the credentials into a folder `meta`, and the mark if somebody has signed in with them, where they aren't
    /// there.
    fn keep_in(&self, meta: &Path, is_used: bool) -> Result<(), String> {
        if !meta.join(credentials::FILE).exists() {
            self.credentials.keep(meta)?;
        }
        if is_used && !self.is_marked(meta) {
            let mark = meta.join(SIGNED_IN);
            private::write(&mark, self.credentials.access_key.as_bytes())
                .map_err(|error| format!("{}: can't be written: {error}", mark.display()))?;
        }
        Ok(())
    }
}

/// The task that sees to it that the credentials lie in `meta`, also where that lies on another disk than at the start;
/// and as soon as somebody has signed in with them the mark, so that later starts don't show them.
pub struct RootTask {
    root: Arc<RootCredentials>,
    kept: Kept,
    /// Whether somebody has signed in, in this life of the server or before.
    is_used: Box<dyn Fn() -> bool + Send + Sync>,
    problem: Mutex<Option<String>>,
}

impl RootTask {
    /// None where the credentials come from the environment.
    pub fn new(
        root: Arc<RootCredentials>,
        has_signed_in: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Option<RootTask> {
        let kept = root.kept.clone()?;
        let was_marked = root.is_marked(&kept.meta);
        let is_used = Box::new(move || was_marked || has_signed_in());
        Some(RootTask { root, kept, is_used, problem: Mutex::default() })
    }

    fn keep(&self) {
        let meta = self.kept.live.folder().map_err(|error| error.to_string());
        let failed = meta.and_then(|meta| self.root.keep_in(&meta, (self.is_used)())).err();
        let mut problem = self.problem.lock();
        if failed != *problem
            && let Some(error) = &failed
        {
            tracing::warn!(%error, "root's credentials can't be kept beside the index");
        }
        *problem = failed;
    }
}

impl Task for RootTask {
    fn row(&self) -> Row {
        Row {
            name: "root credentials",
            role: Role::Host,
            class: None,
            // A drive that is asked may hang.
            executor: Executor::Thread,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.keep();
            Next::After(POLL_INTERVAL)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::layout::Layout;
    use stratum_storage::ambient::Simulated;
    use stratum_storage::drive::Threads;

    fn generated(seed: u64) -> RootCredentials {
        RootCredentials { credentials: Credentials::generate(&Simulated::new(0, seed)), kept: None }
    }

    #[test]
    fn the_mark_that_root_has_signed_in_is_of_its_credentials_alone() {
        let meta = tempfile::tempdir().unwrap();
        let is_marked = |seed| generated(seed).is_marked(meta.path());
        generated(1).keep_in(meta.path(), false).unwrap();
        assert!(!is_marked(1));
        generated(1).keep_in(meta.path(), true).unwrap();
        assert!(is_marked(1) && !is_marked(2));
        generated(2).keep_in(meta.path(), true).unwrap();
        assert!(!is_marked(1) && is_marked(2));
    }

    #[test]
    fn every_data_folder_gives_the_credentials_and_a_new_meta_gets_them_with_the_mark() {
        let root = tempfile::tempdir().unwrap();
        let data = ["a", "b", "c", "d"].map(|name| root.path().join(name));
        let layout = Layout::new(&data, &Config::default());
        let set = Set::open(&layout.set_config(Threads::Caller), Arc::new(System), &System).unwrap();
        assert!(Credentials::kept_in(&data[0]).unwrap().is_none());
        let meta = layout.meta.clone();
        std::fs::create_dir(&meta).unwrap();
        let found = RootCredentials::find(None, &set, &meta, LiveMeta::fixed(&meta)).unwrap();
        for folder in &data {
            let (kept, file) = Credentials::kept_in(folder).unwrap().expect("a copy");
            assert!(kept == found.credentials && file.starts_with(folder), "{}", file.display());
        }
        let other = data[1].join("meta");
        std::fs::create_dir(&other).unwrap();
        found.keep_in(&other, true).unwrap();
        assert!(found.is_marked(&other) && other.join(credentials::FILE).exists());
        // One folder with numbered drives, whose `meta` is gone.
        std::fs::create_dir_all(root.path().join("one/hot")).unwrap();
        std::fs::rename(data[2].join("hot"), root.path().join("one/hot/3")).unwrap();
        assert!(Credentials::kept_in(&root.path().join("one")).unwrap().is_some());
    }
}
