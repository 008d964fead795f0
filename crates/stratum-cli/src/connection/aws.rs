//! What flags, environment and `~/.aws` say, in the order of AWS's own tools.

use super::ini::Ini;
use super::{ConnectArgs, Keys};
use crate::machine::Machine;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

const DEFAULT_PROFILE: &str = "default";
/// The settings of profiles that get their key in ways which are left to AWS's own tools.
const UNKNOWN_WAYS: [&str; 5] =
    ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "login_session"];

/// A profile that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("neither ~/.aws/credentials nor ~/.aws/config has a profile \"{0}\"")]
    Missing(String),
    #[error("the profile \"{0}\" has no aws_access_key_id with its aws_secret_access_key")]
    NoKeys(String),
    #[error(
        "the profile \"{profile}\" comes by its key by {way}, which stratum doesn't do: let AWS's own tool do it, with \
         `eval \"$(aws configure export-credentials --profile {profile} --format env)\"`"
    )]
    UnknownWay { profile: String, way: &'static str },
    #[error("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither")]
    Half,
    #[error("{}: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("the credential_process of the profile \"{profile}\" gave no key: {problem}")]
    Process { profile: String, problem: String },
}

/// The flags, the environment, and the two files of `~/.aws`.
pub struct Aws<'a> {
    args: &'a ConnectArgs,
    machine: &'a Machine,
    profile: String,
    secrets: Ini,
    config: Ini,
}

impl<'a> Aws<'a> {
    /// Reads the files.
    ///
    /// # Errors
    /// A profile that was named and isn't there.
    pub fn of(args: &'a ConnectArgs, machine: &'a Machine) -> Result<Aws<'a>, ProfileError> {
        let named = args.profile.clone().or_else(|| (machine.variable)("AWS_PROFILE"));
        let is_named = named.is_some();
        let aws = Aws {
            args,
            machine,
            profile: named.unwrap_or_else(|| DEFAULT_PROFILE.to_owned()),
            secrets: read(machine, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
            config: read(machine, "AWS_CONFIG_FILE", "config")?,
        };
        let is_there = aws.secrets.has(&aws.profile) || aws.config.has(&aws.section());
        match is_there || !is_named {
            true => Ok(aws),
            false => Err(ProfileError::Missing(aws.profile)),
        }
    }

    /// The endpoint, and what named it.
    pub fn endpoint(&self) -> Result<Option<(String, String)>, ProfileError> {
        if let Some(url) = &self.args.endpoint {
            return Ok(Some(("--endpoint".into(), url.clone())));
        }
        let is_ignored = self.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        if is_ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
            if let Some(url) = self.variable(name) {
                return Ok(Some((name.into(), url)));
            }
        }
        let services = self.said("services").map(|name| format!("services {name}"));
        let of_services = services.and_then(|section| self.config.get(&section, "s3.endpoint_url"));
        let of_profile = || self.said("s3.endpoint_url").or_else(|| self.said("endpoint_url"));
        let url = of_services.map(str::to_owned).or_else(of_profile);
        Ok(url.map(|url| (format!("the profile \"{}\"", self.profile), url)))
    }

    /// The region, if one is named.
    pub fn region(&self) -> Option<String> {
        let of_environment =
            || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| self.variable(name));
        self.args.region.clone().or_else(of_environment).or_else(|| self.said("region"))
    }

    /// The key and where it was found.
    pub fn keys(&self) -> Result<Option<(Keys, String)>, ProfileError> {
        if self.args.profile.is_none()
            && let Some(keys) = self.keys_of_environment()?
        {
            return Ok(Some((keys, "AWS_ACCESS_KEY_ID".into())));
        }
        let origin = format!("the profile \"{}\" of ~/.aws", self.profile);
        if let Some(keys) = self.keys_of_profile() {
            return Ok(Some((keys, origin)));
        }
        if let Some(command) = self.said("credential_process") {
            return self.keys_of_process(&command).map(|keys| Some((keys, origin)));
        }
        if let Some(way) = UNKNOWN_WAYS.into_iter().find(|way| self.said(way).is_some()) {
            return Err(ProfileError::UnknownWay { profile: self.profile.clone(), way });
        }
        match self.profile.as_str() {
            DEFAULT_PROFILE => Ok(None),
            profile => Err(ProfileError::NoKeys(profile.to_owned())),
        }
    }

    fn keys_of_environment(&self) -> Result<Option<Keys>, ProfileError> {
        match (self.variable("AWS_ACCESS_KEY_ID"), self.variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key), Some(secret_key)) => {
                let session_token = self.variable("AWS_SESSION_TOKEN");
                Ok(Some(Keys { access_key, secret_key, session_token }))
            }
            (None, None) => Ok(None),
            _ => Err(ProfileError::Half),
        }
    }

    /// The profile's access key and its secret, both from the same file.
    fn keys_of_profile(&self) -> Option<Keys> {
        let section = self.section();
        [(&self.secrets, &self.profile), (&self.config, &section)].into_iter().find_map(|(ini, section)| {
            let get = |name| ini.get(section, name).map(str::to_owned);
            Some(Keys {
                access_key: get("aws_access_key_id")?,
                secret_key: get("aws_secret_access_key")?,
                session_token: get("aws_session_token"),
            })
        })
    }

    fn keys_of_process(&self, command: &str) -> Result<Keys, ProfileError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            access_key_id: String,
            secret_access_key: String,
            session_token: Option<String>,
        }
        let problem = |problem: String| ProfileError::Process { profile: self.profile.clone(), problem };
        let output = Command::new("sh").arg("-c").arg(command).output();
        let output = output.map_err(|error| problem(error.to_string()))?;
        if !output.status.success() {
            return Err(problem(output.status.to_string()));
        }
        let said: Said = serde_json::from_slice(&output.stdout)
            .map_err(|_| problem("its output is no credentials".into()))?;
        Ok(Keys {
            access_key: said.access_key_id,
            secret_key: said.secret_access_key,
            session_token: said.session_token,
        })
    }

    /// A setting of the profile: from the credentials file, else from the config file.
    fn said(&self, name: &str) -> Option<String> {
        let of_secrets = self.secrets.get(&self.profile, name);
        of_secrets.or_else(|| self.config.get(&self.section(), name)).map(str::to_owned)
    }

    /// The profile's section of the config file.
    fn section(&self) -> String {
        match self.profile.as_str() {
            DEFAULT_PROFILE => DEFAULT_PROFILE.to_owned(),
            name => format!("profile {name}"),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.machine.variable)(name)
    }
}

/// Reads one of the two files; one that isn't there counts as empty.
fn read(machine: &Machine, variable: &str, file: &str) -> Result<Ini, ProfileError> {
    let home = || (machine.variable)("HOME").map(|home| PathBuf::from(home).join(".aws").join(file));
    let Some(path) = (machine.variable)(variable).map(PathBuf::from).or_else(home) else {
        return Ok(Ini::default());
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Ini::parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ini::default()),
        Err(error) => Err(ProfileError::Unreadable { path, error }),
    }
}
