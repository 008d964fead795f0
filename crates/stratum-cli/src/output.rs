//! What is printed: answers on the standard output, problems and progress on the standard error.
//!
//! Answers are gathered and written in large pieces. Progress is shown only where a person sees it: not where the
//! standard error goes to a file, nor with `--quiet` or `--json`.

use crate::place::shown;
use crate::problem::{Outcome, Problem};
use crate::quantity::shown_bytes;
use clap::Args;
use console::Term;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, IsTerminal, Stderr, Stdout, Write, stderr, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const GATHERED_BYTES: usize = 64 << 10;
const REDRAWS_A_SECOND: u8 = 8;
/// A terminal of fewer columns than `NARROW_COLUMNS` has no room for the whole progress bar, and one of fewer than
/// `NARROWEST_COLUMNS` has room for the percentage alone.
const NARROW_COLUMNS: u16 = 78;
const NARROWEST_COLUMNS: u16 = 44;

/// How a command prints its answer and its progress.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print one JSON object a line, for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress and no summary.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The two outputs of a command, its progress bar, and the count of what failed.
pub struct Output {
    args: OutputArgs,
    out: Mutex<BufWriter<Stdout>>,
    err: Stderr,
    is_for_people: bool,
    bar: Option<ProgressBar>,
    failures: Mutex<Failures>,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    count: u64,
    /// The outcome of the first failure.
    first: Option<Outcome>,
}

impl Output {
    pub fn new(args: OutputArgs) -> Output {
        let out = Mutex::new(BufWriter::with_capacity(GATHERED_BYTES, stdout()));
        let is_for_people = stdout().is_terminal();
        Output { args, out, err: stderr(), is_for_people, bar: None, failures: Mutex::default() }
    }

    /// An output that shows a progress bar, if a person sees the standard error.
    pub fn with_progress(args: OutputArgs) -> Output {
        let mut output = Output::new(args);
        if stderr().is_terminal() && !args.quiet && !args.json {
            let terminal = Term::stderr();
            // The bar must fit into one line, however narrow the terminal is: a wrapped one isn't redrawn in its place.
            let template = match terminal.size_checked() {
                Some((_, ..NARROWEST_COLUMNS)) => "{percent} %",
                Some((_, ..NARROW_COLUMNS)) => "{binary_bytes}/{binary_total_bytes}, {left}",
                _ => {
                    "{msg:14!} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {left}"
                }
            };
            let target = ProgressDrawTarget::term(terminal, REDRAWS_A_SECOND);
            let bar = ProgressBar::with_draw_target(Some(0), target);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> ").with_key("left", time_left));
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            output.bar = Some(bar);
        }
        output
    }

    pub fn is_json(&self) -> bool {
        self.args.json
    }

    /// Prints a line of an answer.
    pub fn line(&self, text: impl Display) -> Result<(), Problem> {
        self.write(|out| writeln!(out, "{text}"))
    }

    /// Prints an object of an answer.
    pub fn object(&self, object: &Value) -> Result<(), Problem> {
        self.line(object)
    }

    /// Writes bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Problem> {
        self.write(|out| out.write_all(bytes))
    }

    fn write(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Problem> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match (&self.bar, self.is_for_people) {
            (Some(bar), true) => bar.suspend(|| write(&mut *out).and_then(|()| out.flush())),
            _ => write(&mut *out),
        };
        written.map_err(closed)
    }

    /// Writes out what has been gathered.
    pub fn flush(&self) -> Result<(), Problem> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).flush().map_err(closed)
    }

    /// Tells what went wrong, and counts it.
    pub fn problem(&self, problem: &Problem) {
        if matches!(problem, Problem::Closed) {
            return;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count += 1;
        failures.first.get_or_insert(problem.outcome());
        drop(failures);
        if self.args.json {
            let told = json!({ "error": problem.to_string(), "code": problem.code() });
            self.say(&told);
        } else {
            // A name, a path or an endpoint's words may hold control characters. They are escaped, so that a problem
            // is one line and can't command the terminal.
            self.say(format_args!("stratum: {}", shown(&problem.to_string())));
        }
    }

    /// How a command ended that did `done` things. If it did none and had one failure, it ends with the outcome of
    /// that failure.
    pub fn outcome(&self, done: u64) -> Outcome {
        let failures = *self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match (failures.first, failures.count, done) {
            (None, _, _) => Outcome::Done,
            (Some(outcome), 1, 0) => outcome,
            _ => Outcome::Failed,
        }
    }

    /// Whether a progress bar is shown.
    pub fn is_attended(&self) -> bool {
        self.bar.is_some()
    }

    /// Tells a person something beside the answer. With `--quiet` or `--json` it isn't told.
    pub fn note(&self, text: impl Display) {
        if !self.args.quiet && !self.args.json {
            self.say(text);
        }
    }

    /// Writes a line to the standard error. That it may be closed is ignored, so that the command goes on with its
    /// work.
    fn say(&self, text: impl Display) {
        let say = || drop(writeln!(self.err.lock(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Adds to the bytes that are to be transferred.
    pub fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        }
    }

    /// Adds to the bytes that have been transferred.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Shows how many objects are done.
    pub fn count(&self, objects: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{objects} object{}", if objects == 1 { "" } else { "s" }));
        }
    }

    /// Removes the progress bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes how much time is left. Nothing is known of it before the first bytes have been transferred.
fn time_left(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    let _ = match state.pos() {
        0 => write!(out, "beginning"),
        _ => write!(out, "{:#} left", HumanDuration(state.eta())),
    };
}

fn closed(error: std::io::Error) -> Problem {
    match error.kind() {
        ErrorKind::BrokenPipe => Problem::Closed,
        _ => Problem::Output(error),
    }
}

/// A size in a column of a list.
pub fn size_column(size: u64, is_exact: bool) -> String {
    if is_exact { format!("{size:>14}") } else { format!("{:>10}", shown_bytes(size)) }
}
