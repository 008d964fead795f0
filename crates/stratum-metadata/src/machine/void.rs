//! Blocks that count for empty, since what was in them is given up.

use super::Machine;
use crate::checkpoint::Void;
use crate::command::{GivenUp, KeyRange};
use crate::record::encode;
use crate::stack::Stack;
use crate::state::{ApplyError, View};
use crate::tree::{Base, TreeError, Value};
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The state that a group is applied to. What one of its commands gives up is void from that one on; for everybody else it is
/// lost until the group is applied, so that nobody is shown what lies beneath.
pub(super) struct Beneath<'a> {
    machine: &'a Machine,
    voided: RefCell<Option<Arc<Stack>>>,
}

impl<'a> Beneath<'a> {
    pub(super) fn new(machine: &'a Machine) -> Beneath<'a> {
        Beneath { machine, voided: RefCell::default() }
    }

    fn stack(&self) -> Arc<Stack> {
        self.voided.borrow().clone().unwrap_or_else(|| self.machine.stack())
    }

    /// The lost blocks that are of these ranges are void from now on.
    ///
    /// # Errors
    /// [`TreeError::Lost`] of a block that was lost since, and may have held what is to stay.
    pub(super) fn give_up(&self, view: &mut View<'_>, given_up: &GivenUp) -> Result<(), ApplyError> {
        let mut last = None;
        for range in &given_up.ranges {
            while let Err(error) = view.scan(&range.from, &range.to, |_, _| Ok(ControlFlow::Continue(()))) {
                match error {
                    ApplyError::Tree(TreeError::Lost(block)) if range.covers(&block.range()) => {
                        let void = Void([(block.file.clone(), block.offset)].into());
                        self.voided.replace(Some(Arc::new(self.stack().with_void(&void))));
                        last = Some(block);
                    }
                    error => return Err(error),
                }
            }
        }
        if let Some(block) = last {
            for key in &given_up.kept {
                if !view.contains(key.clone())? {
                    return Err(TreeError::Lost(block).into());
                }
            }
        }
        Ok(())
    }

    /// What is void by what was given up, where anything was.
    pub(super) fn void(&self) -> Option<Void> {
        let voided = self.voided.borrow();
        Some(voided.as_ref()?.below.checkpoint().map(|checkpoint| checkpoint.void()).unwrap_or_default())
    }
}

impl Base for Beneath<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        let Some(stack) = self.voided.borrow().clone() else { return self.machine.get(key) };
        self.machine.check()?;
        let recent = self.machine.layers.read().get(key);
        recent.map_or_else(|| self.machine.ask(|_| stack.get(key)), Ok)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let Some(stack) = self.voided.borrow().clone() else {
            return Machine::scan(self.machine, from, to, visit);
        };
        self.machine.check()?;
        let layers = self.machine.layers.read();
        self.machine.ask(|_| layers.scan(stack.as_ref(), from, to, visit))
    }
}

impl Machine {
    /// Has everybody take these blocks of the index for empty.
    pub(super) fn have_void(&self, void: &Void) {
        let mut stack = self.stack.write();
        let voided = stack.with_void(void);
        if let Some(checkpoint) = voided.below.checkpoint() {
            checkpoint.forget_void();
        }
        *stack = Arc::new(voided);
    }

    /// The keys in these ranges that are known, in order; nothing if they take more than so many bytes.
    pub(crate) fn known_among(
        &self,
        ranges: &[KeyRange],
        most: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, TreeError> {
        self.check()?;
        let stack = self.stack();
        let left = stack.passing_over_lost();
        let (mut known, mut bytes, mut failed) = (Vec::new(), 0, None);
        for KeyRange { from, to } in ranges {
            let layers = self.layers.read();
            let visit = &mut |key: &[u8], _: &Value| {
                // Under a lost change an older value would be shown.
                match layers.get(key).map_or_else(|| stack.get(key), Ok) {
                    Ok(Some(_)) => {
                        bytes += key.len() + 2;
                        known.push(key.to_vec());
                    }
                    Ok(None) | Err(TreeError::Lost(_)) => {}
                    Err(error) => failed = Some(error),
                }
                match bytes <= most && failed.is_none() {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            };
            self.ask(|_| layers.scan(&left, from, to, visit))?;
        }
        failed.map_or(Ok((bytes <= most).then_some(known)), Err)
    }
}

/// What is to stand of it in the open tree: it is this machine's affair, and no part of the state.
pub(super) fn stored(void: &Void, view: &mut View<'_>) -> Result<Value, ApplyError> {
    Ok(Value::from(encode(view.level()?, void)?.as_slice()))
}
