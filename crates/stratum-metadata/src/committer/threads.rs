//! The committer's threads, which never end before the committer does.
//!
//! A panic is our own mistake, and leaves in memory what nobody knows. So it fails the index, which is built anew from
//! what is durable ([`Metadata::tend_index`](crate::Metadata::tend_index)); whoever was in the thread's hands is told as
//! [`Reply`](super::reply::Reply) says, and the thread begins anew, for those who wait and those who come.

use crate::machine::Machine;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;
use stratum_storage::panics;

/// The pause after a panic: one that comes at once again must not keep a processor busy.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread that does this, and again after a panic, until it returns.
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
            sleep(PAUSE);
        }
    })
}

/// Whoever comes there next panics: a thread's name if it must be that one, and where.
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

/// Where the threads can be made to panic, for tests.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A group was taken from the queue.
    Takes,
    /// It is in the journal.
    Journaled,
    /// It is about to be applied.
    Applies,
    /// It is applied, and nobody has been told.
    Applied,
    Drains,
}
