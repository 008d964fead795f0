//! Finds the credentials that a command signs with, and the region that it signs for.
//!
//! Credentials are looked for in this order, and the first found are used: the profile that `--profile` names,
//! `STRATUM_ROOT_ACCESS_KEY` and `STRATUM_ROOT_SECRET_KEY`, the server's data folder if `--data` names it,
//! `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, the profile that `AWS_PROFILE` names, the data folder `./data`, and
//! the default profile of `~/.aws`. So an operator on the server's own machine, in the folder where it was started, needs
//! no option.
//!
//! What is the server's own signs for this machine alone: the variables `STRATUM_ROOT_...`, which a container has for the
//! server's sake and not for any endpoint that somebody names in it, and what is found in a data folder. For other
//! machines they are passed over.

use super::connection::Endpoint;
use super::sign;
use crate::credentials::{self, Credentials, CredentialsError, ROOT_VARIABLES};
use clap::Args;
use std::path::{Path, PathBuf};

const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_PROFILE: &str = "default";
/// The data folder of a server that is started without `--data`.
const DEFAULT_DATA: &str = "data";

/// The options that say how a command's requests are signed.
#[derive(Args, Clone, Debug, Default)]
pub struct Signing {
    /// The region that the server was configured with. [env: AWS_REGION, AWS_DEFAULT_REGION] [default: the region of
    /// the profile, or us-east-1]
    #[arg(long)]
    pub region: Option<String>,
    /// The profile of ~/.aws/credentials and ~/.aws/config to take credentials and region from; named here it goes before all
    /// others. [env: AWS_PROFILE]
    #[arg(long)]
    pub profile: Option<String>,
}

impl Signing {
    /// The credentials that an operator's command signs with for an endpoint, and the endpoint that it may ask then;
    /// `data` is the data folder of a server on this machine.
    ///
    /// # Errors
    /// Only one variable of a pair is set, the folder or the profile that was named holds no credentials, those of the
    /// folder would go to another machine, or there are none anywhere.
    pub fn of_an_operator(
        &self,
        data: Option<&Path>,
        endpoint: Endpoint,
    ) -> Result<(sign::Credentials, Endpoint), CredentialsError> {
        if let Some(profile) = &self.profile {
            return Ok((self.of_profile_named(profile)?, endpoint));
        }
        let mut refused = CredentialsError::None;
        if let Some(root) = Credentials::from_environment()? {
            match self.of_this_machine(root, ROOT_VARIABLES[0], &endpoint) {
                Ok(found) => return Ok(found),
                Err(elsewhere) => refused = elsewhere,
            }
        }
        if let Some(data) = data {
            let (root, _) =
                Credentials::kept_in(data)?.ok_or_else(|| CredentialsError::NotKept(data.to_owned()))?;
            return self.of_this_machine(root, &data.display().to_string(), &endpoint);
        }
        if let Some(found) = self.of_a_client_named()? {
            return Ok((found, endpoint));
        }
        if let Some((root, _)) = Credentials::kept_in(Path::new(DEFAULT_DATA))? {
            match self.of_this_machine(root, DEFAULT_DATA, &endpoint) {
                Ok(found) => return Ok(found),
                Err(elsewhere) => refused = elsewhere,
            }
        }
        Ok((self.of_profile(DEFAULT_PROFILE)?.ok_or(refused)?, endpoint))
    }

    /// The credentials of root that a server on this machine has from `origin`, for an endpoint of this machine.
    fn of_this_machine(
        &self,
        root: Credentials,
        origin: &str,
        endpoint: &Endpoint,
    ) -> Result<(sign::Credentials, Endpoint), CredentialsError> {
        let elsewhere =
            || CredentialsError::OfThisMachine { origin: origin.to_owned(), host: endpoint.host.clone() };
        Ok((self.with_region(root), endpoint.on_this_machine().ok_or_else(elsewhere)?))
    }

    /// The credentials that any client of S3 signs with: those of the environment or of a profile.
    ///
    /// # Errors
    /// As for [`Signing::of_an_operator`].
    pub fn of_a_client(&self) -> Result<sign::Credentials, CredentialsError> {
        match self.of_a_client_named()? {
            Some(found) => Ok(found),
            None => self.of_profile(DEFAULT_PROFILE)?.ok_or(CredentialsError::None),
        }
    }

    /// The credentials of the profile that the command line names, in the environment, or of the profile that is named there.
    fn of_a_client_named(&self) -> Result<Option<sign::Credentials>, CredentialsError> {
        if let Some(profile) = &self.profile {
            return self.of_profile_named(profile).map(Some);
        }
        if let Some(client) = Credentials::of_a_client()? {
            return Ok(Some(self.with_region(client)));
        }
        credentials::variable("AWS_PROFILE").map(|profile| self.of_profile_named(&profile)).transpose()
    }

    fn of_profile_named(&self, name: &str) -> Result<sign::Credentials, CredentialsError> {
        self.of_profile(name)?.ok_or_else(|| CredentialsError::NoProfile(name.to_owned()))
    }

    fn of_profile(&self, name: &str) -> Result<Option<sign::Credentials>, CredentialsError> {
        let read = |variable: &str, file: &str| {
            let path = credentials::variable(variable).map(PathBuf::from);
            let path =
                path.or_else(|| Some(PathBuf::from(credentials::variable("HOME")?).join(".aws").join(file)));
            path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let secrets = read("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = read("AWS_CONFIG_FILE", "config");
        let Some(found) = Profile::find(name, &secrets, &config) else { return Ok(None) };
        if found.has_token {
            return Err(CredentialsError::Temporary(name.to_owned()));
        }
        let region = self.said_region().or(found.region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        Ok(Some(sign::Credentials { access_key: found.access_key, secret_key: found.secret_key, region }))
    }

    /// These credentials, with the region that the command line or the environment names, or else the default region.
    pub fn with_region(&self, found: Credentials) -> sign::Credentials {
        let region = self.said_region().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        sign::Credentials { access_key: found.access_key, secret_key: found.secret_key, region }
    }

    /// The region that the command line or the environment names.
    fn said_region(&self) -> Option<String> {
        self.region
            .clone()
            .or_else(|| ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(credentials::variable))
    }
}

/// What the two files of `~/.aws` say of a profile.
#[derive(Debug, PartialEq, Eq)]
struct Profile {
    access_key: String,
    secret_key: String,
    region: Option<String>,
    /// Whether requests need a session token, which commands don't send.
    has_token: bool,
}

impl Profile {
    /// Finds a profile in the texts of the two files. A section is called `[name]` in `secrets` and `[profile name]` in
    /// `config`; only the default profile is called `[default]` in both.
    fn find(name: &str, secrets: &str, config: &str) -> Option<Profile> {
        let long = format!("profile {name}");
        let get = |key: &str| {
            let found = || field(secrets, name, key).or_else(|| field(config, &long, key));
            found().or_else(|| (name == DEFAULT_PROFILE).then(|| field(config, name, key)).flatten())
        };
        Some(Profile {
            access_key: get("aws_access_key_id")?,
            secret_key: get("aws_secret_access_key")?,
            region: get("region"),
            has_token: get("aws_session_token").is_some(),
        })
    }
}

/// The value of `key` in the section `[section]`.
fn field(text: &str, section: &str, key: &str) -> Option<String> {
    let mut is_there = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_there = name.trim() == section;
        } else if let (true, Some((name, value))) = (is_there, line.split_once('='))
            && name.trim() == key
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key=secret-a\n\n# more\n[ops]\n\
        aws_access_key_id=B\naws_secret_access_key = secret=b\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile ops]\nregion=eu-north-1\noutput = json\n\
        [profile role]\nrole_arn = x\n[profile short]\naws_access_key_id = C\naws_secret_access_key = c\n\
        aws_session_token = t\n";

    #[test]
    fn profiles_are_read_from_both_files() {
        let find = |name: &str| Profile::find(name, SECRETS, CONFIG);
        let profile = |access_key: &str, secret_key: &str, region: Option<&str>, has_token| {
            let (access_key, secret_key) = (access_key.to_owned(), secret_key.to_owned());
            Some(Profile { access_key, secret_key, region: region.map(str::to_owned), has_token })
        };
        assert_eq!(find("default"), profile("A", "secret-a", Some("eu-west-1"), false));
        assert_eq!(find("ops"), profile("B", "secret=b", Some("eu-north-1"), false));
        assert_eq!(find("short"), profile("C", "c", None, true));
        assert_eq!((find("role"), find("absent")), (None, None));
    }
}
