//! The store of a server that has ended, looked at from outside: a start must be able to come to one state, that state
//! must agree with itself, and all its bytes must be there.

use crate::hardware::Hardware;
use crate::run::Virtual;
use std::sync::Arc;
use stratum_metadata::check::Severity;
use stratum_metadata::salvage::{Salvaged, Sources};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Tier;
use stratum_storage::journal::History;
use stratum_storage::set::Remains;
use stratum_storage::volume::{VolumeState, Volumes};

/// Checks everything; the text says what is wrong first.
pub async fn fsck(hardware: &Hardware) -> Result<String, String> {
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
    let remains = Remains::look(&hardware.config(), &clock).map_err(|error| error.to_string())?;
    let drives = remains.drives(Tier::Hot);
    let history = History::read(&drives).map_err(|error| error.to_string())?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (index, former) = (scratch.path().join("index"), Some(hardware.index()));
    let state = Salvaged::build(&Sources { index, drives, former }, &history, clock);
    let state = state.map_err(|error| error.to_string())?;
    if let Some(doubt) = state.doubts().first() {
        return Err(doubt.to_string());
    }
    let mut wrong = Vec::new();
    let mut report = |finding: stratum_metadata::check::Finding| {
        if finding.severity() >= Severity::Wrong {
            wrong.push(finding.to_string());
        }
    };
    let checked = state.check(&history, &mut report).map_err(|error| error.to_string())?;
    let records = state.volumes().map_err(|error| error.to_string())?;
    let volumes = Volumes::salvage(remains.tiers.clone(), records.clone(), state.log());
    let mut stripes = 0;
    for record in records.iter().filter(|record| record.state != VolumeState::Dropped) {
        let verified = volumes.verify(record.id).await.map_err(|error| format!("{}: {error}", record.id))?;
        let lost = verified.stripes_found.iter().filter(|found| !found.is_readable());
        wrong.extend(lost.map(|found| format!("{} has lost bytes: {found:?}", record.id)));
        stripes += verified.stripes;
    }
    match wrong.into_iter().next() {
        Some(wrong) => Err(wrong),
        None => Ok(format!("{checked:?}, {stripes} stripes")),
    }
}
