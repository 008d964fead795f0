//! Which endpoint is asked, and by whose key.
//!
//! For `s3://` in AWS's own order: what the command line says, then the environment, then the profile in the files of
//! `~/.aws`. Where none of them has a key, the Stratum server of this machine is asked, if its credentials lie where
//! the operator's commands find them. They are root's, so that no other machine gets a request signed by them. An alias
//! names its endpoint, region and key alone: of the others only the certificates to trust and the setting of checksums
//! count for it.

mod alias;
mod aws;
mod endpoint;
mod ini;

pub use alias::{Alias, AliasError, Aliases};
pub use aws::ProfileError;
pub use endpoint::Endpoint;

use crate::machine::Machine;
use crate::place::Site;
use crate::trust::{BUNDLE_VARIABLE, Trust};
use aws::Aws;
use clap::Args;
use std::path::PathBuf;

const DEFAULT_REGION: &str = "us-east-1";

/// Which endpoint `s3://` means, and who asks it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Endpoint and key")]
pub struct ConnectArgs {
    /// The endpoint of s3:// URLs, http://HOST:PORT or https://HOST. [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]
    /// [default: the profile's, or AWS]
    #[arg(long, visible_alias = "endpoint-url", value_name = "URL", global = true)]
    pub endpoint: Option<String>,
    /// The region of that endpoint. [env: AWS_REGION, AWS_DEFAULT_REGION] [default: the profile's, or us-east-1]
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// A profile of ~/.aws/credentials and ~/.aws/config; its key goes before that of the environment. [env: AWS_PROFILE]
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// Send requests without a key, for objects that everybody may read.
    #[arg(long, global = true, conflicts_with = "profile")]
    pub anonymous: bool,
    /// Certificates in PEM to trust instead of the machine's. [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_bundle: Option<PathBuf>,
}

/// Whether uploads carry checksum headers, which only newer endpoints know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksums {
    Sent,
    /// `AWS_REQUEST_CHECKSUM_CALCULATION=when_required`
    WhenRequired,
}

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}

/// An endpoint and who asks it.
#[derive(Clone)]
pub struct Connection {
    pub endpoint: Endpoint,
    pub region: String,
    /// Without a key, requests are anonymous.
    pub keys: Option<Keys>,
    /// Where the key was found, for people.
    pub origin: String,
    pub trust: Trust,
    pub checksums: Checksums,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL isn't shown, since it may hold a password, only who said it.
    #[error("{0}: it must be http://HOST:PORT or https://HOST, without a user and a query")]
    Endpoint(String),
    #[error(
        "no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile of ~/.aws by --profile, or keep an \
         endpoint with its key by `stratum alias set NAME URL ACCESS_KEY`"
    )]
    NoKeys,
    #[error(
        "no access key for {0}: that of this machine's own server signs for no other machine. Set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws by --profile"
    )]
    NoKeysFor(Endpoint),
    #[error("{0}")]
    Profile(#[from] ProfileError),
    #[error("{0}")]
    Alias(#[from] AliasError),
    #[error("AWS_REQUEST_CHECKSUM_CALCULATION is {0}: it must be when_supported or when_required")]
    Checksums(String),
}

impl Connection {
    /// The connection that a URL of that site means.
    pub fn of(site: &Site, args: &ConnectArgs, machine: &Machine) -> Result<Connection, ConnectError> {
        match site {
            Site::Default => Connection::of_default(args, machine),
            Site::Alias(name) => Connection::of_alias(name, args, machine),
        }
    }

    fn of_alias(name: &str, args: &ConnectArgs, machine: &Machine) -> Result<Connection, ConnectError> {
        let alias = Aliases::open(machine)?.get(name)?;
        Ok(Connection {
            endpoint: Endpoint::parse(&alias.url)
                .ok_or_else(|| ConnectError::Endpoint(format!("the alias {name}")))?,
            region: alias.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            keys: Some(Keys {
                access_key: alias.access_key,
                secret_key: alias.secret_key,
                session_token: None,
            }),
            origin: format!("the alias {name}"),
            trust: trust(args, machine),
            checksums: checksums(machine)?,
        })
    }

    fn of_default(args: &ConnectArgs, machine: &Machine) -> Result<Connection, ConnectError> {
        let aws = Aws::of(args, machine)?;
        let region = aws.region().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let parsed =
            |(said, url): (String, String)| Endpoint::parse(&url).ok_or(ConnectError::Endpoint(said));
        let named = aws.endpoint()?.map(parsed).transpose()?;
        // Where no key is wanted none is looked up, which could run a credential_process.
        let found = if args.anonymous { None } else { aws.keys()? };
        let (endpoint, keys, origin) = match (found, args.anonymous) {
            (Some((keys, origin)), _) => (named, Some(keys), origin),
            (None, true) => (named, None, "--anonymous".to_owned()),
            (None, false) => {
                let server = (machine.local)().ok_or(ConnectError::NoKeys)?;
                let its_own = parsed(("the server".into(), server.endpoint))?;
                let endpoint = match named {
                    Some(named) if named != its_own && !named.is_of_this_machine() => {
                        return Err(ConnectError::NoKeysFor(named));
                    }
                    named => named.unwrap_or(its_own),
                };
                let (access_key, secret_key) = (server.access_key, server.secret_key);
                (Some(endpoint), Some(Keys { access_key, secret_key, session_token: None }), server.origin)
            }
        };
        let of_aws = || parsed(("AWS".into(), format!("https://s3.{region}.amazonaws.com")));
        Ok(Connection {
            endpoint: endpoint.map_or_else(of_aws, Ok)?,
            region,
            keys,
            origin,
            trust: trust(args, machine),
            checksums: checksums(machine)?,
        })
    }
}

fn trust(args: &ConnectArgs, machine: &Machine) -> Trust {
    let of_variable = || (machine.variable)(BUNDLE_VARIABLE).map(PathBuf::from);
    Trust::of_bundle(args.ca_bundle.clone().or_else(of_variable))
}

fn checksums(machine: &Machine) -> Result<Checksums, ConnectError> {
    match (machine.variable)("AWS_REQUEST_CHECKSUM_CALCULATION").as_deref() {
        None | Some("when_supported" | "WHEN_SUPPORTED") => Ok(Checksums::Sent),
        Some("when_required" | "WHEN_REQUIRED") => Ok(Checksums::WhenRequired),
        Some(other) => Err(ConnectError::Checksums(other.to_owned())),
    }
}
