//! While a block of the index is lost, finds out before a group is proposed which of its commands need the block.
//!
//! `apply` must come to the same result on every machine, so it may not refuse a command because this machine has
//! lost something; and an entry that it can't apply halts it. So a group is tried first on the state that it will be
//! applied to, which is known once everything before it has been applied.

use super::Shared;
use super::reply::Proposal;
use crate::fate::NotWritten;

impl Shared {
    /// Proposes those that are made by the state as it is then: each by itself, and nothing is applied in between. Gives the
    /// others.
    pub(super) fn propose_late(&self, group: Vec<Proposal>) -> Vec<Proposal> {
        let (late, others): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|proposal| proposal.late.is_some());
        for proposal in late {
            self.applier.settle();
            let urgency = proposal.proposed.command.urgency();
            if let Some(block) = self.machine.halted() {
                self.applier.tell(proposal.reply, Err(NotWritten::Lost(block).into()));
                continue;
            }
            match proposal.completed(&self.machine, self.longest_group()) {
                Ok(proposal) if self.order.has_room(proposal.bytes(), urgency) => {
                    self.propose(self.order.as_ref(), vec![proposal], urgency);
                }
                Ok(proposal) => self.applier.tell(proposal.reply, Err(NotWritten::Busy.into())),
                Err((reply, why)) => self.applier.tell(reply, Err(why.into())),
            }
        }
        others
    }

    /// The commands of a group that need no lost block; the proposers of the others are told.
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
