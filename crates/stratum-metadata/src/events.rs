//! The events that wait to be delivered, for the task that delivers them.

use crate::command::Command;
use crate::fate::CommitError;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{EventQueue, EventRecord, decode};
use crate::store::{Metadata, ReadView};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

impl ReadView {
    /// How many events wait for each target, by its name.
    pub async fn event_queues(&self) -> Result<BTreeMap<String, EventQueue>, ReadError> {
        self.scanning(|view| Ok(view.pairs(Tag::EventQueue, keys::parse_name)?.into_iter().collect())).await
    }

    /// The first events that wait for a target, at most `max` and `max_of_owner` of the buckets of one owner, in the
    /// order in which they happened. So whoever has many keeps nobody else's back.
    pub async fn events(
        &self,
        target: &str,
        max: usize,
        max_of_owner: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let range = keys::events_of(target);
        self.scanning(move |view| {
            let (mut events, mut failed) = (Vec::new(), None);
            let mut of_owners: HashMap<String, usize> = HashMap::new();
            view.scan(&range, &keys::end_of_prefix(&range), |_, value| {
                match decode::<EventRecord>(value) {
                    Ok(event) => {
                        let count = of_owners.entry(event.about.owner.clone()).or_default();
                        if *count < max_of_owner {
                            *count += 1;
                            events.push(event);
                        }
                    }
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
