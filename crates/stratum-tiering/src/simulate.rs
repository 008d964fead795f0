//! What a policy would have cost on a recorded trace of reads, compared with simple rules and with the optimum that
//! knows the whole trace.
//!
//! The decisions are those of [`crate::policy`], on signals that are gathered as a server gathers them, with the
//! trace's times as the clock. [`charges`] says what is charged when.

pub mod access_log;
pub mod charges;
pub mod contender;
pub mod generate;
pub mod optimum;
pub mod plot;
pub mod replay;
pub mod report;
pub mod trace;

pub use access_log::AccessLog;
pub use contender::Contender;
pub use report::{Outcome, Report};
pub use trace::{Trace, TraceError};

use crate::policy::Priority;
use crate::prices::Prices;

/// Replays the trace with each of the contenders, and works out the optimum. `priority` is that of all objects; what
/// it takes slow reads to cost is in no sum.
pub fn simulate(trace: &Trace, prices: &Prices, contenders: &[Contender], priority: Priority) -> Report {
    let outcome =
        |contender: &Contender| (contender.name.clone(), replay::replay(trace, prices, contender, priority));
    let outcomes = contenders.iter().map(outcome);
    Report {
        reads: trace.reads().len(),
        objects: trace.objects(),
        bytes: trace.bytes(),
        days: trace.days(),
        optimum: optimum::optimum(trace, prices),
        outcomes: outcomes.collect(),
    }
}

#[cfg(test)]
mod tests;
