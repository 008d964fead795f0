//! Who we are to a remote store: the names that each provider's own tools know, from the environment or a file's text.

use crate::address::Provider;
use std::fmt;

/// Names of credentials, by provider. Names that say where the store is are left to the configuration.
const S3: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
const GCS: &[&str] =
    &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"];
const AZURE: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
];

fn names(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::S3 => S3,
        Provider::Gcs => GCS,
        Provider::Azure => AZURE,
    }
}

/// Why a line of a file of credentials can't be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum CredentialsError {
    #[error("line {0} isn't NAME=VALUE")]
    Line(usize),
    #[error("line {line} sets {name}, which isn't one of {known}")]
    Name { line: usize, name: String, known: String },
    #[error("line {line} sets {name}, which an earlier line sets already: remove one of them")]
    Twice { line: usize, name: &'static str },
}

/// Who we are to a remote store. If there are none at all, the library asks the machine, which may have a role of its
/// own.
#[derive(Clone, Default)]
pub struct Credentials(Vec<(&'static str, String)>);

/// Only whether there are any.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} credentials>", self.0.len())
    }
}

impl Credentials {
    /// What the environment's variables say, of those that count.
    pub fn of_environment(provider: Provider, variable: impl Fn(&str) -> Option<String>) -> Credentials {
        let said = |name: &&'static str| Some((*name, variable(name)?));
        Credentials(names(provider).iter().filter_map(said).collect())
    }

    /// What a file says: lines `NAME=VALUE`, empty ones, and comments that begin with `#`.
    pub fn parse(provider: Provider, text: &str) -> Result<Credentials, CredentialsError> {
        let mut credentials = Vec::<(&'static str, String)>::new();
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(CredentialsError::Line(number))?;
            let (name, known) = (name.trim(), names(provider));
            let known = known.iter().find(|known| **known == name).ok_or_else(|| CredentialsError::Name {
                line: number,
                name: name.into(),
                known: known.join(", "),
            })?;
            if credentials.iter().any(|(earlier, _)| earlier == known) {
                return Err(CredentialsError::Twice { line: number, name: known });
            }
            credentials.push((*known, value.trim().to_owned()));
        }
        Ok(Credentials(credentials))
    }

    /// By the names that `object_store` knows.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;

    #[test]
    fn every_name_is_one_that_the_library_knows() {
        let lower = |name: &&str| name.to_ascii_lowercase();
        assert!(S3.iter().map(lower).all(|name| name.parse::<AmazonS3ConfigKey>().is_ok()));
        assert!(GCS.iter().map(lower).all(|name| name.parse::<GoogleConfigKey>().is_ok()));
        assert!(AZURE.iter().map(lower).all(|name| name.parse::<AzureConfigKey>().is_ok()));
    }

    #[test]
    fn a_file_says_names_and_values_and_nothing_is_shown() {
        let text = "# who we are\n\nAWS_ACCESS_KEY_ID = KEY\nAWS_SECRET_ACCESS_KEY=hush=hush\n";
        let credentials = Credentials::parse(Provider::S3, text).unwrap();
        let pairs: Vec<(String, &str)> = credentials.pairs().collect();
        assert_eq!(
            pairs,
            [("aws_access_key_id".into(), "KEY"), ("aws_secret_access_key".into(), "hush=hush")]
        );
        assert!(!format!("{credentials:?}").contains("hush"));
        assert_eq!(Credentials::parse(Provider::S3, "hush").unwrap_err(), CredentialsError::Line(1));
        let error = Credentials::parse(Provider::S3, "\nAWS_ENDPOINT=hush").unwrap_err().to_string();
        assert!(
            error.starts_with("line 2 sets AWS_ENDPOINT, which isn't one of AWS_ACCESS_KEY_ID,"),
            "{error}"
        );
        assert!(!error.contains("hush"));
        let twice = "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n\nAWS_ACCESS_KEY_ID=a\n";
        let expected = CredentialsError::Twice { line: 4, name: "AWS_ACCESS_KEY_ID" };
        assert_eq!(Credentials::parse(Provider::S3, twice).unwrap_err(), expected);
    }

    #[test]
    fn the_environment_is_asked_for_what_counts_alone() {
        let variable =
            |name: &str| (name != "AWS_SESSION_TOKEN" && name.contains("KEY")).then(|| name.to_owned());
        assert_eq!(Credentials::of_environment(Provider::S3, variable).pairs().count(), 2);
        assert_eq!(Credentials::of_environment(Provider::Gcs, |_| None).pairs().count(), 0);
    }
}
