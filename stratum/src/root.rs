//! Who root is at a start, and how the operator learns it.
//!
//! Said by the environment, or kept from an earlier start, or made now. What was made is shown at every start until
//! somebody has signed in with it: a start may fail after the credentials are kept, and its words may go nowhere. In a
//! log they would stay for whoever reads logs, so that they are printed to a terminal only, and elsewhere the file is
//! named.

use crate::credentials::{self, Credentials};
use crate::failure::Failure;
use crate::output;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stratum_storage::ambient::System;
use stratum_storage::set::Set;

/// Beside the credentials in `meta`, from the moment on when somebody has signed in with them.
const SIGNED_IN: &str = "root-has-signed-in";
const SIGNED_IN_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Root's credentials, and where they come from.
pub struct RootCredentials {
    credentials: Credentials,
    /// The folder that they are kept in; none if the environment says them.
    kept: Option<PathBuf>,
}

impl RootCredentials {
    /// `said` by the environment, or kept on the drives, or made and kept.
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

    /// Tells them to whoever started the server, if nobody has used them yet. `shown`: wherever the output goes.
    pub fn tell(&self, endpoint: &str, region: &str, shown: bool) {
        let Some(meta) = self.kept.as_ref().filter(|meta| !meta.join(SIGNED_IN).exists()) else { return };
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

    /// How to sign in, for whoever reads the output: the keys themselves only where that is a terminal, or if `shown`.
    pub fn told(&self, shown: bool) -> String {
        let Credentials { access_key, secret_key } = &self.credentials;
        match &self.kept {
            _ if shown || std::io::stdout().is_terminal() => {
                format!("sign in as {access_key} with {secret_key}")
            }
            Some(meta) => format!("sign in with what {} holds", meta.join(credentials::FILE).display()),
            None => format!("sign in as {access_key}"),
        }
    }

    /// Keeps in mind that root has signed in, once `has_signed_in` says so.
    pub async fn watch(self, has_signed_in: impl Fn() -> bool) {
        let Some(mark) = self.kept.map(|meta| meta.join(SIGNED_IN)) else { return };
        while !mark.exists() {
            tokio::time::sleep(SIGNED_IN_POLL_INTERVAL).await;
            if has_signed_in()
                && let Err(error) = std::fs::write(&mark, "")
            {
                tracing::warn!(file = %mark.display(), %error, "can't be written: root's credentials are shown again");
                return;
            }
        }
    }
}
