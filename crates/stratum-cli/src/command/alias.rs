//! `stratum alias`: keeps endpoints and their keys under names.

use crate::connection::{Alias, AliasError, Aliases, ConnectError, Endpoint};
use crate::machine::Machine;
use crate::output::{Output, OutputArgs};
use crate::place::alias_name;
use crate::problem::{Outcome, Problem};
use clap::{Args, Subcommand};
use console::Term;
use serde_json::json;
use std::io::{BufRead, IsTerminal, stdin};

/// What `stratum alias` takes.
#[derive(Args)]
pub struct AliasArgs {
    #[command(subcommand)]
    action: AliasAction,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Subcommand)]
enum AliasAction {
    /// Show all aliases, without their secrets.
    List,
    /// Keep an endpoint with its key under a name: NAME://bucket/key is an object there from then on.
    Set {
        /// The name: a-z, 0-9 and -.
        #[arg(value_parser = alias_name)]
        name: String,
        /// The endpoint, http://HOST:PORT or https://HOST.
        url: String,
        /// The access key.
        access_key: String,
        /// The key's secret. If it is left out, it is read from the standard input, which no list of processes shows.
        secret_key: Option<String>,
        /// The endpoint's region. [default: us-east-1]
        #[arg(long)]
        region: Option<String>,
    },
    /// Forget an alias.
    Rm {
        /// The name.
        name: String,
    },
}

/// Does what is said.
pub fn run(args: &AliasArgs, machine: &Machine) -> Outcome {
    let output = Output::new(args.output);
    match act(args, machine, &output).and_then(|()| output.flush()) {
        Ok(()) | Err(Problem::Closed) => Outcome::Done,
        Err(problem) => {
            output.problem(&problem);
            output.outcome(0)
        }
    }
}

fn act(args: &AliasArgs, machine: &Machine, output: &Output) -> Result<(), Problem> {
    let told = |error: AliasError| Problem::Connect(ConnectError::Alias(error));
    let mut aliases = Aliases::open(machine).map_err(told)?;
    match &args.action {
        AliasAction::List => aliases.iter().try_for_each(|(name, Alias { url, access_key, region, .. })| {
            if output.is_json() {
                let object = json!({ "name": name, "url": url, "access_key": access_key, "region": region });
                return output.object(&object);
            }
            output.line(format_args!("{:20}  {url}  {access_key}", format!("{name}://")))
        }),
        AliasAction::Set { name, url, access_key, secret_key, region } => {
            if Endpoint::parse(url).is_none() {
                return Err(Problem::Connect(ConnectError::Endpoint("the endpoint".into())));
            }
            let secret_key = match secret_key {
                Some(secret_key) => secret_key.clone(),
                None => read_secret(output)?,
            };
            let (url, access_key, region) = (url.clone(), access_key.clone(), region.clone());
            aliases.set(name.clone(), Alias { url, access_key, secret_key, region }).map_err(told)
        }
        AliasAction::Rm { name } => aliases.remove(name).map_err(told),
    }
}

/// Reads a line from the standard input. A terminal doesn't show what is typed.
fn read_secret(output: &Output) -> Result<String, Problem> {
    let read = if stdin().is_terminal() {
        output.note("The secret of the access key (it isn't shown):");
        Term::stderr().read_secure_line()
    } else {
        let mut line = String::new();
        stdin().lock().read_line(&mut line).map(|_| line)
    };
    match read.map_err(|error| Problem::at("-", error))?.trim_end_matches(['\r', '\n']) {
        "" => Err(Problem::Usage("there is no secret on the standard input".into())),
        secret => Ok(secret.to_owned()),
    }
}
