//! `stratum server --demo`: makes a bucket with some objects, and prints how to look at them.

use crate::credentials::Credentials;
use crate::{output, people, probe};
use std::net::SocketAddr;
use stratum_cli::{DEMO_BUCKET, fill};

/// Where the console is served.
const CONSOLE: &str = "/_stratum/console/";

/// Fills the demo bucket of this server, which listens already, and prints how to look at it. `told` says how to sign
/// in.
pub async fn show(address: SocketAddr, root: Credentials, region: String, told: String) {
    let endpoint = format!("http://{}", probe::reachable(address));
    match fill(people::machine(), &endpoint, &root.access_key, &root.secret_key, &region).await {
        Ok(_) => output::line(format_args!(
            "The bucket {DEMO_BUCKET} has something in it. To look at it:\n\n  \
             {endpoint}{CONSOLE}    ({told})\n  \
             {program} ls --recursive s3://{DEMO_BUCKET} --endpoint {endpoint}\n",
            program = output::program()
        )),
        Err(problem) => tracing::warn!(problem, "the demo bucket could not be created"),
    }
}
