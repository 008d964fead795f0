//! The routes of events that wait for webhooks: how many there are for each webhook, and dropping them.

use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many events one command drops at most.
const EVENTS_A_COMMAND: usize = 1000;

/// How many events wait for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    pub waiting: u64,
    /// How many events were lost because the queue was full, since the queue was last empty.
    pub lost: u64,
}

/// The queues, by the names of the webhooks.
pub type Queues = BTreeMap<String, QueueStatus>;

/// The parameters of dropping events.
#[derive(Debug, Deserialize)]
pub struct Dropped {
    webhook: String,
}

/// `GET /events`
pub(super) async fn list(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Queues>, Refused> {
    let queues = operator.engine.metadata.local().event_queues().await.map_err(unavailable)?;
    let status = |queue: stratum_metadata::record::EventQueue| QueueStatus {
        waiting: queue.waiting,
        lost: queue.lost,
    };
    Ok(Json(queues.into_iter().map(|(webhook, queue)| (webhook, status(queue))).collect()))
}

/// `POST /events/drop?webhook=...`: drops all events that wait for the webhook; answers with their number.
pub(super) async fn drop_all(
    Shared(operator): Shared<Arc<Operator>>,
    Query(Dropped { webhook }): Query<Dropped>,
) -> Result<Json<u64>, Refused> {
    let metadata = &operator.engine.metadata;
    let mut dropped = 0;
    loop {
        let events = metadata
            .local()
            .events(&webhook, EVENTS_A_COMMAND, EVENTS_A_COMMAND)
            .await
            .map_err(unavailable)?;
        metadata.forget_events(&webhook, &events).await.map_err(unavailable)?;
        dropped += events.len() as u64;
        if events.len() < EVENTS_A_COMMAND {
            tracing::warn!(webhook, dropped, "an operator dropped events");
            return Ok(Json(dropped));
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
