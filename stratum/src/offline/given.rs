//! A backup beside drives whose state was restored already and not accepted.
//!
//! Such a state has a journal of its own, which wins over every older one. So a backup that has more, or that is of
//! another history, adds nothing to it: its state takes the place of the restored one, or none of it counts.

use super::{Believed, backup_drive};
use crate::layout::Layout;
use std::path::Path;
use std::sync::Arc;
use stratum_engine::provisional::{self, Restored};
use stratum_metadata::salvage::{self, AskedSince};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{Index, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal::History;
use stratum_storage::set::{Remains, replicated_content};

/// How a backup stands to what the drives know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It fills in what the drives have lost.
    Beside,
    /// The restored state on the drives has all of it.
    Contained,
    /// It has what the restored state doesn't have.
    Apart { asked: AskedSince },
    /// It ends before the restored state does, and the drives don't have the entries any more that would tell whether
    /// both are of one history.
    Unclear { ends: Index, restored: Index },
}

impl Given {
    /// Looks at the backup that was unpacked into `folder`. Blocks.
    pub fn look(layout: &Layout, folder: &Path) -> Result<Given, String> {
        let clock: Arc<dyn Clock> = Arc::new(System);
        let remains = Remains::look(&layout.set_config(Threads::Caller), &clock);
        let remains = remains.map_err(|error| error.to_string())?;
        let Some(restored) = unaccepted(&remains) else { return Ok(Given::Beside) };
        let read = |drives: &[_]| History::read(drives).map_err(|error| error.to_string());
        let (ours, its) = (read(&remains.drives(Tier::JOURNAL))?, read(&[backup_drive(folder, 0)?])?);
        Given::of(restored.entry, &ours, &its)
    }

    fn of(restored: Index, ours: &History, its: &History) -> Result<Given, String> {
        let end = |history: &History| history.runs().last().map(|run| run.last);
        let (Some(end), Some(ends)) = (end(ours), end(its)) else { return Ok(Given::Beside) };
        let shared = end.min(ends);
        match (ours.hash_at(shared), its.hash_at(shared)) {
            (Some(one), Some(other)) if one == other && ends <= end => Ok(Given::Contained),
            (None, _) | (_, None) if ends <= restored => Ok(Given::Unclear { ends, restored }),
            _ => {
                let asked = salvage::asked_since(ours, restored).map_err(|error| error.to_string())?;
                Ok(Given::Apart { asked })
            }
        }
    }

    /// From what the state is to be built.
    pub fn believed(self) -> Believed {
        match self {
            Given::Apart { .. } => Believed::Copies,
            Given::Beside | Given::Contained | Given::Unclear { .. } => Believed::All,
        }
    }

    /// A sentence about what is not in a rescue with this backup, if that may be anything.
    pub fn left_out(self) -> Option<String> {
        match self {
            Given::Beside | Given::Contained | Given::Apart { asked: AskedSince::Nothing } => None,
            Given::Apart { .. } => Some(
                "what is read is the backup's state, without what was written since the state on the drives was restored: a \
                 rescue without --backup, into another folder, has that"
                    .into(),
            ),
            Given::Unclear { ends, restored } => Some(format!(
                "nothing of the backup is read, which ends at entry {ends}: the state on the drives was restored up to entry \
                 {restored}, and whether it has what the backup has isn't known any more"
            )),
        }
    }
}

/// The mark of a restored state that was not accepted.
pub(super) fn unaccepted(remains: &Remains) -> Option<Restored> {
    let mark = replicated_content(&remains.drives(Tier::JOURNAL), provisional::FILE)?;
    Some(Restored::parse(&mark)).filter(|restored| !restored.accepted)
}
