//! How much the store holds, counted by looking.
//!
//! A count that every PUT kept up would be one more key written by each; so it is a scan, of a second or so for a
//! million objects, for whoever asks now and then.

use crate::keys::{self, Tag};
use crate::record::{ObjectSummary, decode};
use crate::store::{Metadata, ReadError};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    pub objects: u64,
    /// The sizes of all objects, as clients see them, in bytes.
    pub bytes: u64,
}

impl Metadata {
    /// Counts all objects. Blocks for as long as that takes; holds nobody else up.
    pub fn census(&self) -> Result<Census, ReadError> {
        let mut census = Census::default();
        let mut failed = None;
        let (from, to) = (keys::start_of(Tag::Object), keys::end_of(Tag::Object));
        self.state().scan(&from, &to, |_, value| match decode::<ObjectSummary>(value) {
            Ok(object) => {
                census.objects += 1;
                census.bytes += object.size;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(census), |error| Err(error.into()))
    }
}
