//! Refuses what a store of an older level can't record, before anything is written.

use crate::context::Context;
use crate::error::{Code, S3Error};
use stratum_metadata::VERSIONS_SINCE;

/// Checks that the records of the store can hold `what`, which begins the sentence of the error.
///
/// # Errors
/// `NotImplemented`, naming the command that raises the level.
pub fn require(ctx: &Context, what: &str) -> Result<(), S3Error> {
    let level = ctx.store.metadata.level();
    if level >= VERSIONS_SINCE {
        return Ok(());
    }
    let problem = format!(
        "{what} takes a store of level {VERSIONS_SINCE}, and this one is of level {level}: its operator can run \
         `stratum level raise`."
    );
    Err(S3Error::new(Code::NotImplemented).message(problem))
}
