//! While a block of the index is lost: what a group would meet is known before it is proposed.
//!
//! `apply` must come to the same on every machine, so it may not refuse a command for what this one has lost; and an entry that
//! it can't apply halts it. So a group is tried on the state as it will be when the group is applied, and that is known once
//! all before it is.

use super::Shared;
use super::reply::Proposal;
use crate::fate::NotWritten;

impl Shared {
    /// Those of a group that meet nothing that is lost; the others are told.
    pub(super) fn foreseen(&self, group: Vec<Proposal>) -> Vec<Proposal> {
        self.applier.settle();
        if let Some(block) = self.machine.halted() {
            self.tell_all(group, &NotWritten::Lost(block).into());
            return Vec::new();
        }
        let commands: Vec<_> = group.iter().map(|proposal| proposal.proposed.as_ref()).collect();
        let met = self.machine.foresee(&commands);
        let mut others = Vec::with_capacity(group.len());
        for (proposal, met) in group.into_iter().zip(met) {
            match met {
                None => others.push(proposal),
                Some(block) => self.applier.tell(proposal.reply, Err(NotWritten::Lost(block).into())),
            }
        }
        others
    }
}
