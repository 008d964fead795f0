//! Events that wait to be told: how many for each webhook, and how an operator gets rid of them.

use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events that are forgotten by one command.
const TOGETHER: usize = 1000;

/// How much waits for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    pub waiting: u64,
    /// Events that found no room since something waits.
    pub lost: u64,
}

/// By the webhooks' names.
pub type Queues = BTreeMap<String, QueueStatus>;

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

/// `POST /events/drop?webhook=...`: forgets all that waits for it; says how much that was.
pub(super) async fn drop_all(
    Shared(operator): Shared<Arc<Operator>>,
    Query(Dropped { webhook }): Query<Dropped>,
) -> Result<Json<u64>, Refused> {
    let metadata = &operator.engine.metadata;
    let mut dropped = 0;
    loop {
        let events = metadata.local().events(&webhook, TOGETHER).await.map_err(unavailable)?;
        metadata.forget_events(&webhook, &events).await.map_err(unavailable)?;
        dropped += events.len() as u64;
        if events.len() < TOGETHER {
            tracing::warn!(webhook, dropped, "an operator dropped events");
            return Ok(Json(dropped));
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
