//! Commands as they were journaled before a command could carry a notice.
//!
//! Level 2 was open when notices came, so both forms are of that level. In the earlier one the command's number stands
//! where today's form says whether there is a notice, and the first fields of all commands were the same; a bucket that
//! was created had no configuration at its end, and a deletion didn't say whether it bypasses governance.
//!
//! The forms can't be taken for each other. Of the numbers that stood there only those of `CreateBucket` (0) and
//! `DeleteBucket` (1) say anything in today's form. Behind the first comes whether an id was chosen, which today's form
//! takes for the number of one of these two: then either a name's length for whether an id was chosen, which no name is so
//! short for, or the id for a whole `DeleteBucket`, behind which the name is left over. Behind the second comes a number
//! and nothing else, and no notice is so short.

use super::{Command, Proposed};
use stratum_storage::volume::WriterId;

/// What today's form says of a command without a notice.
const NO_NOTICE: [u8; 1] = [0];
/// The end that is missing of a [`Command::CreateBucket`] (an empty configuration) and of a deletion (no bypass).
const MISSING_END: [u8; 1] = [0];

/// The command that takes all of the bytes in the earlier form.
pub(super) fn parse(bytes: &[u8]) -> Option<Proposed> {
    let (_, command): (Option<WriterId>, _) = postcard::take_from_bytes(bytes).ok()?;
    let by = bytes.get(..bytes.len() - command.len())?;
    let todays = [by, &NO_NOTICE, command].concat();
    let lacks_its_end =
        |proposed: &Proposed| matches!(proposed.command, Command::CreateBucket(_) | Command::DeleteObject(_));
    whole(&todays).or_else(|| whole(&[&todays[..], &MISSING_END].concat()).filter(lacks_its_end))
}

fn whole(bytes: &[u8]) -> Option<Proposed> {
    let (proposed, rest): (Proposed, &[u8]) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(proposed)
}
