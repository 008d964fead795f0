//! What is printed: answers on the standard output, problems and progress on the standard error.
//!
//! Answers are gathered and written in large pieces. Progress is shown only to somebody: not where the standard error goes to
//! a file, nor with `--quiet` or `--json`.

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
const REDRAWN: u8 = 8;
/// In columns: below these there is no room for the whole bar, and for more than a share.
const NARROW: u16 = 78;
const NARROWEST: u16 = 44;

/// How a command tells.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "How to tell")]
pub struct OutputArgs {
    /// For programs: one JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress and no summary.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Where everything is told.
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
    /// What the first one comes to.
    first: Option<Outcome>,
}

impl Output {
    pub fn new(args: OutputArgs) -> Output {
        let out = Mutex::new(BufWriter::with_capacity(GATHERED_BYTES, stdout()));
        let is_for_people = stdout().is_terminal();
        Output { args, out, err: stderr(), is_for_people, bar: None, failures: Mutex::default() }
    }

    /// One that shows how far the work is.
    pub fn with_progress(args: OutputArgs) -> Output {
        let mut output = Output::new(args);
        if stderr().is_terminal() && !args.quiet && !args.json {
            let terminal = Term::stderr();
            // One line, however narrow the terminal is.
            let template = match terminal.size_checked() {
                Some((_, ..NARROWEST)) => "{percent} %",
                Some((_, ..NARROW)) => "{binary_bytes}/{binary_total_bytes}, {left}",
                _ => {
                    "{msg:14!} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {left}"
                }
            };
            let target = ProgressDrawTarget::term(terminal, REDRAWN);
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

    /// Has what was printed be seen.
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
            // Whatever names, paths and endpoints put into it, it is one line and tells a terminal nothing else.
            self.say(format_args!("stratum: {}", shown(&problem.to_string())));
        }
    }

    /// How a command ended that did so much: one that failed in one thing alone ends as that did.
    pub fn outcome(&self, done: u64) -> Outcome {
        let failures = *self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match (failures.first, failures.count, done) {
            (None, _, _) => Outcome::Done,
            (Some(outcome), 1, 0) => outcome,
            _ => Outcome::Failed,
        }
    }

    /// Whether somebody watches it work.
    pub fn is_attended(&self) -> bool {
        self.bar.is_some()
    }

    /// Tells people something beside the answer, unless they want it quiet.
    pub fn note(&self, text: impl Display) {
        if !self.args.quiet && !self.args.json {
            self.say(text);
        }
    }

    /// A closed standard error keeps nobody from working.
    fn say(&self, text: impl Display) {
        let say = || drop(writeln!(self.err.lock(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// So much more is to be done.
    pub fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        }
    }

    /// So much is done.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// So many objects are done.
    pub fn count(&self, objects: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{objects} object{}", if objects == 1 { "" } else { "s" }));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The time that is left, once there is anything to tell it by.
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
