//! Finds out, before commands are proposed, which of them would need a lost block.
//!
//! A command must have the same result wherever it is applied, so the result can't depend on what this machine has
//! lost. So a proposer tries commands here first, and proposes those that need no lost block.

use super::Machine;
use crate::command::Proposed;
use crate::lost::LostBlock;
use crate::state::{ApplyError, View, apply};
use crate::tree::TreeError;
use std::sync::Arc;

impl Machine {
    /// Whether a block of the checkpoint is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.checkpoint().is_some_and(|checkpoint| checkpoint.has_lost())
    }

    /// For each of these commands the lost block that it would need, if any: tried in this order, with those that
    /// need none applied one after the other. Valid as long as nothing else is applied.
    pub(crate) fn foresee(&self, commands: &[&Proposed]) -> Vec<Option<Arc<LostBlock>>> {
        let alone = |command: &&Proposed| self.try_in(&mut self.view(), 0, command);
        let mut met: Vec<_> = commands.iter().map(alone).collect();
        // A command may need a lost block only because of the commands before it.
        while let Some((number, block)) = self.first_met(commands, &met) {
            if let Some(met) = met.get_mut(number) {
                *met = Some(block);
            }
        }
        met
    }

    /// The first of the commands not known to need a lost block that does need one after those before it.
    fn first_met(
        &self,
        commands: &[&Proposed],
        met: &[Option<Arc<LostBlock>>],
    ) -> Option<(usize, Arc<LostBlock>)> {
        let mut view = self.view();
        let unmet = commands.iter().zip(met).enumerate().filter(|(_, (_, met))| met.is_none());
        let mut before = 0;
        unmet.map(|(number, (command, _))| (number, command)).find_map(|(number, command)| {
            let met = self.try_in(&mut view, before, command);
            before += 1;
            met.map(|block| (number, block))
        })
    }

    fn view(&self) -> View<'_> {
        View::at(self, self.applied().level)
    }

    /// Tries a command after `before` others in the view; returns the lost block that it needs.
    fn try_in(&self, view: &mut View<'_>, before: u64, command: &Proposed) -> Option<Arc<LostBlock>> {
        let index = self.applied_index() + 1 + before;
        match apply(view, index, command.clone()) {
            Err(ApplyError::Tree(TreeError::Lost(block))) => Some(block),
            // Any other result comes up again when the command is applied.
            Ok(_) | Err(_) => None,
        }
    }
}
