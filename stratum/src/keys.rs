//! `stratum keys`: prints a new master key, and has a running server wrap all data keys with the newest master keys.

use crate::client::{CallError, Operator, ServerArg};
use crate::control::ended;
use crate::{master_keys, output};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;
use stratum_engine::RewrapStatus;

const EXIT_FAILED: u8 = 2;
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The arguments of `stratum keys`.
#[derive(Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    action: KeysAction,
}

#[derive(Subcommand)]
enum KeysAction {
    /// Print a new master key, as a line for the file of master keys.
    Generate {
        /// The key's name, by which requests name it: letters, digits and -_./
        name: String,
    },
    /// Have a running server wrap the data keys of all encrypted objects anew, each with the first master key of its
    /// name, and wait until that is done.
    Rotate(ServerArg),
    /// Show how far the rotation that is under way has come, or the result of the last one.
    Status(ServerArg),
}

/// Runs the command. `rotate` and `status` end with 1 if a data key could not be wrapped anew.
pub fn run(args: &KeysArgs) -> ExitCode {
    match &args.action {
        KeysAction::Generate { name } => match master_keys::generate(name) {
            Ok(line) => {
                output::print(&*line);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("stratum: {error}");
                ExitCode::from(EXIT_FAILED)
            }
        },
        KeysAction::Rotate(server) => ended(|| rotate(&Operator::new(server)?)),
        KeysAction::Status(server) => ended(|| told(&Operator::new(server)?.get("keys")?)),
    }
}

fn rotate(operator: &Operator) -> Result<bool, CallError> {
    let begun: RewrapStatus = operator.post("keys/rotate", &[])?;
    let mut status = begun.clone();
    while status.under_way {
        sleep(POLL_INTERVAL);
        status = operator.get("keys")?;
    }
    if !has_finished(&begun, &status) {
        return Err(CallError::Restarted { what: "the rotation" });
    }
    told(&status)
}

/// Whether a pass was finished since the rotation was `begun`. A server that was restarted knows nothing of the
/// rotation, and counts its passes anew.
fn has_finished(begun: &RewrapStatus, status: &RewrapStatus) -> bool {
    !status.under_way && status.passes > begun.passes
}

/// Prints the status of the rotation; gives whether every data key could be wrapped.
fn told(status: &RewrapStatus) -> Result<bool, CallError> {
    output::line(to_text(status));
    Ok(status.failed == 0 && status.left == 0)
}

fn to_text(status: &RewrapStatus) -> String {
    let RewrapStatus { under_way, passes, looked_at, rewrapped, failed, problem, left } = status;
    if !under_way && *passes == 0 {
        return "No keys were wrapped anew since the server began.".into();
    }
    let begin = if *under_way { "Under way: " } else { "" };
    let mut text =
        format!("{begin}{looked_at} data keys looked at, {rewrapped} wrapped anew, {failed} could not be.");
    if *left > 0 {
        text.push_str(&format!("\n{left} were found by the last look, and there may be more: ask again."));
    }
    if let Some(problem) = problem {
        text.push_str(&format!("\n{problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_that_a_restart_of_the_server_cut_off_is_not_taken_for_a_finished_one() {
        let of = |under_way, passes| RewrapStatus { under_way, passes, ..RewrapStatus::default() };
        assert!(has_finished(&of(true, 0), &of(false, 1)) && has_finished(&of(true, 3), &of(false, 4)));
        for begun in [0, 3] {
            assert!(!has_finished(&of(true, begun), &RewrapStatus::default()), "{begun}");
        }
        assert!(!has_finished(&of(true, 3), &of(true, 3)));
    }

    #[test]
    fn the_text_tells_how_far_the_rotation_has_come() {
        let mut status = RewrapStatus::default();
        assert_eq!(to_text(&status), "No keys were wrapped anew since the server began.");
        status = RewrapStatus { passes: 1, looked_at: 5, rewrapped: 3, failed: 1, ..status };
        assert_eq!(to_text(&status), "5 data keys looked at, 3 wrapped anew, 1 could not be.");
        let left = RewrapStatus { left: 2, ..status.clone() };
        assert!(
            to_text(&left).ends_with("\n2 were found by the last look, and there may be more: ask again.")
        );
        status = RewrapStatus { under_way: true, problem: Some("why".into()), ..status };
        assert_eq!(
            to_text(&status),
            "Under way: 5 data keys looked at, 3 wrapped anew, 1 could not be.\nwhy"
        );
    }
}
