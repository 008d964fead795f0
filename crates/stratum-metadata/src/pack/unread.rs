//! Bodies of a segment that its packer couldn't read.
//!
//! One that is bad in every copy that there may be is lost, and would keep its segment, and with it all of the journal that
//! comes after, for ever. So packing goes on without it: its record stays as it is and names an entry that has left the
//! journal, from which everybody who reads it knows. One that a drive may have which can't be asked now keeps its segment,
//! and an operator is told which drive that is.

use super::Live;
use crate::awaited::AwaitedBodies;
use crate::log::{LocalLog, LogError};
use crate::relocate::Small;
use bytes::Bytes;
use stratum_storage::journal::Search;
use stratum_storage::writepath::PackBody;

/// What of a segment couldn't be read.
#[derive(Default)]
pub(super) struct Unread {
    lost: Vec<Live>,
    pub awaited: AwaitedBodies,
}

impl Unread {
    /// Reads bodies; those that can't be are counted here.
    pub fn read(&mut self, log: &dyn LocalLog, batch: Vec<Live>) -> Vec<Small> {
        let known = log.lost_bodies();
        let mut read = Vec::with_capacity(batch.len());
        for live in batch {
            // Who asks a drive for what is known to be bad there only has it counted once more.
            let asked = match known.has(live.index) {
                true => Err(LogError("it is known to be damaged".into())),
                false => log.body(live.index, live.length, live.crc32c),
            };
            let found =
                asked.map_or_else(|_| log.search(live.index, live.length, live.crc32c), Search::Found);
            match found {
                Search::Found(bytes) => read.push(small(live, bytes)),
                // Somebody moved it and let the segment go: there is nothing to pack.
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

    /// Says that the journal goes on without what is lost.
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
