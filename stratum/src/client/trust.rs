//! Whom a command believes that it is the server: as `stratum ls` and the like (`stratum_cli::Trust`).

use crate::credentials;
use clap::Args;
use std::path::PathBuf;
use stratum_cli::{BUNDLE_VARIABLE, Trust};

/// Whom TLS trusts.
#[derive(Args, Clone, Debug, Default)]
pub struct TrustArgs {
    /// Certificates in PEM to trust instead of the machine's. [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
}

impl TrustArgs {
    /// What is said, by the command line or by the environment.
    pub fn trust(&self) -> Trust {
        let of_variable = || credentials::variable(BUNDLE_VARIABLE).map(PathBuf::from);
        Trust::of_bundle(self.ca_bundle.clone().or_else(of_variable))
    }
}
