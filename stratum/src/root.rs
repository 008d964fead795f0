//! Root's credentials at a start of the server, and how the operator learns them.
//!
//! They are taken from the environment, or kept from an earlier start, or generated. Generated credentials are shown at
//! every start until somebody has signed in with them, since the start that generated them may have failed, or nobody
//! may have seen its output. They are printed only to a terminal: in a log everybody who reads logs would see them, so
//! where the output is no terminal only the file is named that holds them.

use crate::credentials::{self, Credentials};
use crate::failure::Failure;
use crate::{output, private};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stratum_storage::ambient::System;
use stratum_storage::set::Set;

/// The file in `meta` that marks that somebody has signed in with the credentials. It holds their access key, since the
/// drives may be exchanged for others beside the same `meta`, whose credentials nobody has seen.
const SIGNED_IN: &str = "root-has-signed-in";
const SIGNED_IN_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Root's credentials, and where they come from.
pub struct RootCredentials {
    credentials: Credentials,
    /// The folder `meta`, in which the credentials are kept; nothing if they come from the environment.
    kept: Option<PathBuf>,
}

impl RootCredentials {
    /// The credentials `said` by the environment, or else those that the drives keep, or else new ones, which are then
    /// kept.
    pub fn find(said: Option<Credentials>, set: &Set, meta: &Path) -> Result<RootCredentials, Failure> {
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
        Ok(RootCredentials { credentials: kept, kept: Some(meta.to_owned()) })
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Prints the credentials, if nobody has signed in with them yet. Unless `shown`, they are printed only to a
    /// terminal, and else the name of their file.
    pub fn tell(&self, endpoint: &str, region: &str, shown: bool) {
        let Some(meta) = self.kept.as_ref().filter(|meta| !self.is_marked(meta)) else { return };
        let file = meta.join(credentials::FILE);
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
            Some(meta) => {
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

    /// Waits until `has_signed_in` gives true, and then writes the mark, so that later starts don't show the
    /// credentials.
    pub async fn watch(self, has_signed_in: impl Fn() -> bool) {
        let Some(meta) = &self.kept else { return };
        if self.is_marked(meta) {
            return;
        }
        while !has_signed_in() {
            tokio::time::sleep(SIGNED_IN_POLL_INTERVAL).await;
        }
        let mark = meta.join(SIGNED_IN);
        if let Err(error) = private::write(&mark, self.credentials.access_key.as_bytes()) {
            tracing::warn!(file = %mark.display(), %error, "can't be written: root's credentials are shown again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::ambient::Simulated;

    #[tokio::test]
    async fn the_mark_that_root_has_signed_in_is_of_its_credentials_alone() {
        let meta = tempfile::tempdir().unwrap();
        let of = |seed| RootCredentials {
            credentials: Credentials::generate(&Simulated::new(0, seed)),
            kept: Some(meta.path().to_owned()),
        };
        assert!(!of(1).is_marked(meta.path()));
        of(1).watch(|| true).await;
        assert!(of(1).is_marked(meta.path()) && !of(2).is_marked(meta.path()));
        of(2).watch(|| true).await;
        assert!(!of(1).is_marked(meta.path()) && of(2).is_marked(meta.path()));
    }
}
