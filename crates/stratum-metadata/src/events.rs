//! The events that wait to be delivered, for the task that delivers them.

use crate::command::Command;
use crate::fate::CommitError;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{EventQueue, EventRecord, decode};
use crate::store::{Metadata, ReadView};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

impl ReadView {
    /// How many events wait for each target, by its name.
    pub async fn event_queues(&self) -> Result<BTreeMap<String, EventQueue>, ReadError> {
        self.scanning(|view| Ok(view.pairs(Tag::EventQueue, keys::parse_name)?.into_iter().collect())).await
    }

    /// The events that wait for a target, at most `max`, in the order in which they happened.
    pub async fn events(&self, target: &str, max: usize) -> Result<Vec<EventRecord>, ReadError> {
        let range = keys::events_of(target);
        self.scanning(move |view| {
            let (mut events, mut failed) = (Vec::new(), None);
            view.scan(&range, &keys::end_of_prefix(&range), |_, value| {
                match decode(value) {
                    Ok(event) => events.push(event),
                    Err(error) => failed = Some(error),
                }
                match failed.is_none() && events.len() < max {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
            failed.map_or(Ok(events), |error| Err(error.into()))
        })
        .await
    }
}

impl Metadata {
    /// Removes these events of a target, which need no delivery any more.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn forget_events(&self, target: &str, events: &[EventRecord]) -> Result<(), CommitError> {
        let events = events.iter().map(|event| event.sequencer).collect();
        let command = Command::ForgetEvents { target: target.to_owned(), events };
        self.commit(command, Bytes::new()).await.map(drop)
    }
}
