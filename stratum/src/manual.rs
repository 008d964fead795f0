//! `stratum completions` and `stratum man`: scripts for shells and man pages, generated from the definition of the
//! command line.

use crate::output;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

const NAME: &str = "stratum";
const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// The arguments of `stratum man`.
#[derive(Args)]
pub struct ManArgs {
    /// The folder that the pages are written to, such as ~/.local/share/man/man1.
    folder: PathBuf,
}

/// Prints the script that completes commands in a shell.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    // The script is collected before it is printed: the library panics if the reader of a pipe closes it early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, NAME, &mut script);
    output::print(String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Writes a man page for the program and one for each command.
pub fn man(args: &ManArgs, command: Command) -> ExitCode {
    let written =
        std::fs::create_dir_all(&args.folder).and_then(|()| clap_mangen::generate_to(command, &args.folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stratum: {}: {error}", args.folder.display());
            ExitCode::from(EXIT_FAILED)
        }
    }
}
