//! What commands would meet that is lost, told before they are proposed.
//!
//! What a command comes to is the same wherever it is applied, so it can't depend on what this machine has lost. Whoever
//! proposes commands tries them here, and proposes those that meet nothing.

use super::Machine;
use crate::command::Proposed;
use crate::lost::LostBlock;
use crate::state::{ApplyError, View, apply};
use crate::tree::TreeError;
use std::sync::Arc;

impl Machine {
    /// Whether a block of what the state lies in is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.checkpoint().is_some_and(|checkpoint| checkpoint.has_lost())
    }

    /// What each of these commands would meet that is lost, if those that meet nothing were applied next, in this order.
    /// True as long as nothing else is applied.
    pub(crate) fn foresee(&self, commands: &[&Proposed]) -> Vec<Option<Arc<LostBlock>>> {
        let alone = |command: &&Proposed| self.try_in(&mut self.view(), 0, command);
        let mut met: Vec<_> = commands.iter().map(alone).collect();
        // One may meet what it does only because of those before it.
        while let Some((number, block)) = self.first_met(commands, &met) {
            if let Some(met) = met.get_mut(number) {
                *met = Some(block);
            }
        }
        met
    }

    /// The first of those of which nothing is known that meets something, after those before it.
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

    /// Tries a command after so many others, and says what that meets.
    fn try_in(&self, view: &mut View<'_>, before: u64, command: &Proposed) -> Option<Arc<LostBlock>> {
        let index = self.applied_index() + 1 + before;
        match apply(view, index, command.clone()) {
            Err(ApplyError::Tree(TreeError::Lost(block))) => Some(block),
            // Whatever else comes of it comes of it when it is applied.
            Ok(_) | Err(_) => None,
        }
    }
}
