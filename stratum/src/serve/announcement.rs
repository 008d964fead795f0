//! What a server says once it listens: where it is, who may use it, and how to sign in.

use crate::config::Config;
use crate::root::RootCredentials;
use crate::{ServerArgs, output, probe};
use std::net::SocketAddr;

/// Announces the server's address, and root's credentials where they are to be shown.
pub fn announce(address: SocketAddr, config: &Config, root: &RootCredentials, args: &ServerArgs) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{address}");
    let data: Vec<String> = config.server.data.iter().map(|folder| folder.display().to_string()).collect();
    let (data, file) = (data.join(", "), args.config.as_ref().map(|file| file.display().to_string()));
    let console = config.server.console.then(|| format!("{endpoint}/_stratum/"));
    tracing::info!(endpoint, data, config = file, console, "serving S3");
    // Standard output names the address, too, so that a program that started the server with port 0 learns which port
    // the system has chosen.
    output::line(format_args!("Serving S3 at {endpoint}"));
    if config.server.anonymous {
        tracing::warn!(
            "requests without a signature are served: whoever reaches {address} may use all that root owns"
        );
    }
    if config.server.signature_v2 {
        tracing::warn!(
            "Signature Version 2 is taken, which signs less of a request than version 4 does: docs/SECURITY.md says what"
        );
    }
    let near = format!("{scheme}://{}", probe::reachable(address));
    root.tell(&near, &config.server.region, args.show_credentials);
}
