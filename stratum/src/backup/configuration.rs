//! The server's configuration as a backup holds it: the text of the file without its secrets, and a list of the drives.
//!
//! A secret is found in the text by its value. Where the text doesn't hold the value literally (because it was written
//! with escapes), the whole file is left out of the backup: a copy that may hold a secret is worse than none.

use crate::config::Config;
use serde::Serialize;
use std::path::Path;
use stratum_storage::blob::Tier;
use stratum_storage::set::Set;

/// The name of the configuration file in the archive.
pub const FILE: &str = "stratum.toml";
/// The name of the list of drives in the archive.
pub const DRIVES: &str = "drives.json";

const REMOVED: &str = "(removed)";
const LEFT_OUT: &str =
    "# The configuration was left out of the backup: its secrets could not be told from the rest.\n";

/// The configuration that the server was started with.
#[derive(Default)]
pub struct Configuration {
    /// The text of the configuration file; nothing if the server was started without one.
    text: Option<String>,
    /// The values in the text that are secret, the longest first.
    secrets: Vec<String>,
}

impl Configuration {
    pub fn new(file: Option<&Path>, config: &Config) -> Configuration {
        let secrets = config.users.iter().map(|user| user.secret_key.get_ref()).chain(&config.metrics.token);
        let mut secrets: Vec<String> = secrets.map(|secret| secret.0.clone()).collect();
        // The longest secret is replaced first: where one secret is the beginning of another, replacing the short one
        // first would leave the rest of the long one in the text.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let text = file.and_then(|file| std::fs::read_to_string(file).ok());
        Configuration { text, secrets }
    }

    /// The text of the configuration file, without its secrets unless `with_secrets`; nothing if there is no file.
    pub fn text(&self, with_secrets: bool) -> Option<String> {
        let text = self.text.clone()?;
        if with_secrets {
            return Some(text);
        }
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        Some(match secrets.clone().all(|secret| text.contains(secret)) {
            true => secrets.fold(text, |text, secret| text.replace(secret, REMOVED)),
            false => LEFT_OUT.to_owned(),
        })
    }
}

/// The drives of a set, tier by tier, as JSON.
pub fn drives(set: &Set) -> Vec<u8> {
    #[derive(Serialize)]
    struct TierDrives {
        tier: &'static str,
        geometry: String,
        drives: Vec<String>,
    }
    let places = set.places();
    let tier = |tier: Tier| {
        let mut drives: Vec<_> = places.iter().filter(|(of, _, _)| *of == tier).collect();
        drives.sort_by_key(|(_, position, _)| *position);
        Some(TierDrives {
            tier: tier.name(),
            geometry: set.geometry(tier)?.to_string(),
            drives: drives.into_iter().map(|(_, _, place)| place.clone()).collect(),
        })
    };
    let tiers: Vec<TierDrives> = Tier::ALL.into_iter().filter_map(tier).collect();
    serde_json::to_vec_pretty(&tiers).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str, secrets: &[&str]) -> Configuration {
        Configuration {
            text: Some(text.into()),
            secrets: secrets.iter().map(|text| text.to_string()).collect(),
        }
    }

    #[test]
    fn secrets_are_removed_unless_asked_for() {
        let text = "[[user]]\nsecret_key = \"hush-hush\"\nid = \"1\"\n[metrics]\ntoken = \"hush\"\n";
        let configuration = configuration(text, &["hush-hush", "hush"]);
        let removed = configuration.text(false).unwrap();
        assert!(!removed.contains("hush") && removed.contains("id = \"1\""), "{removed}");
        assert_eq!(configuration.text(true).as_deref(), Some(text));
    }

    #[test]
    fn a_file_in_which_a_secret_is_not_found_is_left_out() {
        let text = configuration("secret_key = \"hu\\u0073h\"\n", &["hush"]).text(false).unwrap();
        assert_eq!(text, LEFT_OUT);
    }

    #[test]
    fn without_a_configuration_file_there_is_no_text() {
        assert_eq!(Configuration::default().text(true), None);
    }
}
