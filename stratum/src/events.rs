//! `stratum events`: shows or drops the events that wait to be delivered to webhooks.

use crate::client::{Operator, ServerArg};
use crate::control::ended;
use crate::operator::events::{QueueStatus, Queues};
use crate::output;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The arguments of `stratum events`.
#[derive(Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    action: EventsAction,
}

#[derive(Subcommand)]
enum EventsAction {
    /// Show how many events wait for each webhook, and how many were lost because their queue was full.
    Show(ServerArg),
    /// Drop all events that wait for a webhook: they are never delivered.
    Drop(DropArgs),
}

#[derive(Args)]
struct DropArgs {
    /// The webhook's name.
    webhook: String,
    #[command(flatten)]
    server: ServerArg,
}

/// Runs the command. `show` ends with 1 if events were lost.
pub fn run(args: &EventsArgs) -> ExitCode {
    match &args.action {
        EventsAction::Show(server) => ended(|| {
            let queues: Queues = Operator::new(server)?.get("events")?;
            if queues.is_empty() {
                output::line("No events wait.");
            }
            for (webhook, QueueStatus { waiting, lost }) in &queues {
                let lost = if *lost > 0 {
                    format!(", {lost} are lost because the queue was full")
                } else {
                    String::new()
                };
                output::line(format_args!("{webhook}: {waiting} wait{lost}"));
            }
            Ok(queues.values().all(|queue| queue.lost == 0))
        }),
        EventsAction::Drop(args) => ended(|| {
            let dropped: u64 =
                Operator::new(&args.server)?.post("events/drop", &[("webhook", &args.webhook)])?;
            output::line(format_args!("{}: {dropped} events were dropped", args.webhook));
            Ok(true)
        }),
    }
}
