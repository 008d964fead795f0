//! Which certificate authorities an operator's command trusts: the same as `stratum ls` and its like do
//! (`stratum_cli::Trust`).

use crate::credentials;
use clap::Args;
use std::path::PathBuf;
use stratum_cli::{BUNDLE_VARIABLE, Trust};

/// The option that says which certificate authorities to trust.
#[derive(Args, Clone, Debug, Default)]
pub struct TrustArgs {
    /// A file of certificates in PEM to trust instead of the machine's authorities. [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
}

impl TrustArgs {
    /// The trust that the command line or the environment asks for, or else the machine's.
    pub fn trust(&self) -> Trust {
        let of_variable = || credentials::variable(BUNDLE_VARIABLE).map(PathBuf::from);
        Trust::of_bundle(self.ca_bundle.clone().or_else(of_variable))
    }
}
