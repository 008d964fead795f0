//! Reads of several keys in one state.
//!
//! Each read by itself sees the newest state, and a group may be applied between two of them. Values that say something
//! only together, such as a key's current object and its noncurrent versions, are read of one moment.

use super::Machine;
use crate::layers::Layers;
use crate::tree::{Base, TreeError, Value};
use std::ops::ControlFlow;
use std::time::Duration;
use tracing_mutex::parkinglot::RwLockReadGuard;

/// How long a scan holds the read lock before it lets writers pass.
const SCAN_SLICE: Duration = Duration::from_millis(1);
/// How many keys a scan visits before it looks at the clock again.
const STRIDE_KEYS: usize = 32;

/// The state of one moment. Whatever applies a group waits until it is dropped, so it is held for some lookups and one
/// slice of a scan.
pub(crate) struct Moment<'a> {
    machine: &'a Machine,
    layers: RwLockReadGuard<'a, Layers>,
}

impl Machine {
    pub(crate) fn moment(&self) -> Result<Moment<'_>, TreeError> {
        let layers = self.layers.read();
        self.check()?;
        Ok(Moment { machine: self, layers })
    }
}

impl Moment<'_> {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        self.layers.get(key).map_or_else(|| self.machine.ask(|stack| stack.get(key)), Ok)
    }

    /// Visits the pairs with `from <= key < to`, for [`SCAN_SLICE`] at most, and less where the scan passes many removed
    /// keys. Returns the key with which the scan is to go on, in another moment so that writers get through; `None` if
    /// it is over.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<Option<Vec<u8>>, TreeError> {
        let stretch = self.machine.ask(|stack| stack.stretch(from))?.filter(|end| end.as_slice() < to);
        let mut next = stretch.clone();
        let clock = &self.machine.clock;
        let (began, mut visited) = (clock.monotonic(), 0usize);
        let visit = &mut |key: &[u8], value: &Value| {
            if visit(key, value).is_break() {
                next = None;
                return ControlFlow::Break(());
            }
            visited += 1;
            if visited.is_multiple_of(STRIDE_KEYS) && clock.monotonic().saturating_sub(began) >= SCAN_SLICE {
                next = Some([key, &[0]].concat());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.machine.ask(|stack| self.layers.scan(stack, from, stretch.as_deref().unwrap_or(to), visit))?;
        Ok(next)
    }
}
