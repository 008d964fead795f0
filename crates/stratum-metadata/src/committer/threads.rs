//! The committer's threads, which go on after a panic for as long as the committer does.
//!
//! A panic is a bug, and may leave the state in memory half changed. So it fails the index, which is rebuilt from
//! what is durable ([`Metadata::tend_index`](crate::Metadata::tend_index)). Proposers whose commands the thread had
//! taken are answered as [`Reply`](super::reply::Reply) says, and the thread starts again, for those in the queue and
//! those to come.

use crate::machine::Machine;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;
use stratum_storage::panics;

/// The pause after a panic, so that one that comes at once again doesn't keep a processor busy.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

/// Starts a thread that does the work, and again after each panic, until it returns.
pub(super) fn spawn(
    name: &'static str,
    machine: Arc<Machine>,
    mut work: impl FnMut() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let failures = metrics::counter!("stratum_task_failures_total", "task" => name);
    Builder::new().name(name.to_owned()).spawn(move || {
        while let Err(words) = panics::caught(&mut work) {
            machine.fail(format!("the {name} panicked: {words}"));
            failures.increment(1);
            sleep(PANIC_PAUSE);
        }
    })
}

/// The step at which the next thread panics, and the thread's name if it must be a certain one.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Panics(tracing_mutex::parkinglot::Mutex<Option<(Option<&'static str>, Step)>>);

#[cfg(test)]
impl Panics {
    pub(super) fn plan(&self, thread: Option<&'static str>, step: Step) {
        *self.0.lock() = Some((thread, step));
    }

    pub(super) fn is_planned(&self) -> bool {
        self.0.lock().is_some()
    }

    pub(super) fn at(&self, step: Step) {
        let here = std::thread::current().name().map(str::to_owned);
        let is_planned = |plan: &mut (Option<&'static str>, Step)| {
            plan.1 == step && plan.0.is_none_or(|name| here.as_deref() == Some(name))
        };
        let planned = self.0.lock().take_if(is_planned);
        assert!(planned.is_none(), "at this step, by plan");
    }
}

/// The steps at which a test can make the threads panic.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A group was taken from the queue.
    Takes,
    /// The group is in the journal.
    Journaled,
    /// The group is about to be applied.
    Applies,
    /// The group is applied, and nobody has been told.
    Applied,
    Drains,
}
