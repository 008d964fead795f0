//! Bodies of a segment that the packer couldn't read.
//!
//! A body that is bad in every possible copy is lost, and would keep its segment, and so all of the journal after it,
//! for ever. So packing goes on without it. Its record stays as it is and names an entry that has left the journal,
//! which tells every reader that the body is lost. A body that may be on a drive that can't be read now keeps its
//! segment in the journal, and an operator is told which drive that is.

use super::Live;
use crate::awaited::AwaitedBodies;
use crate::log::{LocalLog, LogError};
use crate::relocate::Small;
use bytes::Bytes;
use stratum_storage::journal::Search;
use stratum_storage::writepath::PackBody;

/// The bodies of a segment that couldn't be read.
#[derive(Default)]
pub(super) struct Unread {
    lost: Vec<Live>,
    pub awaited: AwaitedBodies,
}

impl Unread {
    /// Reads bodies, and keeps account of those that can't be read.
    pub fn read(&mut self, log: &dyn LocalLog, batch: Vec<Live>) -> Vec<Small> {
        let known = log.lost_bodies();
        let mut read = Vec::with_capacity(batch.len());
        for live in batch {
            // A body that is known to be bad isn't asked for again: that would only count as another error of the
            // drive.
            let asked = match known.has(live.index) {
                true => Err(LogError("it is known to be damaged".into())),
                false => log.body(live.index, live.length, live.crc32c),
            };
            let found =
                asked.map_or_else(|_| log.search(live.index, live.length, live.crc32c), Search::Found);
            match found {
                Search::Found(bytes) => read.push(small(live, bytes)),
                // The body was moved and its segment released meanwhile: there is nothing to pack.
                Search::Gone => {}
                Search::Lost => self.lost.push(live),
                Search::Awaited(drives) => {
                    self.awaited.bodies += 1;
                    self.awaited.drives.extend(drives);
                }
            }
        }
        read
    }

    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Logs that the journal goes on without the lost bodies.
    pub fn tell_lost(&self) {
        let Some(Live { owner, .. }) = self.lost.first() else { return };
        metrics::counter!("stratum_journal_lost_bodies_total").increment(self.lost.len() as u64);
        tracing::error!(
            bodies = self.lost.len(),
            first = %owner,
            "bodies in the journal are bad in every copy on every drive and are lost; the journal goes on without them. \
             `stratum fsck` names their objects, which can be overwritten or deleted"
        );
    }
}

fn small(live: Live, bytes: Bytes) -> Small {
    let body = PackBody { owner: live.owner.in_stripe(), bytes, crc32c: live.crc32c };
    Small { from: live.blob(), form: live.form, owner: live.owner, body }
}
