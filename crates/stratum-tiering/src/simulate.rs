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

use crate::prices::Prices;

/// Replays the trace with each of the contenders, and works out the optimum.
pub fn simulate(trace: &Trace, prices: &Prices, contenders: &[Contender]) -> Report {
    let outcomes =
        contenders.iter().map(|contender| (contender.name.clone(), replay::replay(trace, prices, contender)));
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
