//! The routes of lost parts of the index: showing them, giving them up, and reclaiming their space.

use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use stratum_metadata::{Loss, LossError, ReclaimError, Reclaimed};

/// The parameter `token`, which identifies the loss that `GET /lost` has shown.
#[derive(Debug, Deserialize)]
pub struct GivenUp {
    token: String,
}

/// `GET /lost`
pub(super) async fn show(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Loss>, Refused> {
    told(move || operator.engine.metadata.loss()).await
}

/// `POST /lost/give-up?token=...`: answers with what was given up.
pub(super) async fn give_up(
    Shared(operator): Shared<Arc<Operator>>,
    Query(GivenUp { token }): Query<GivenUp>,
) -> Result<Json<Loss>, Refused> {
    told(move || operator.engine.metadata.give_up(&token)).await
}

/// `POST /lost/reclaim`: answers with what was freed.
pub(super) async fn reclaim(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Reclaimed>, Refused> {
    told(move || operator.engine.metadata.reclaim()).await
}

async fn told<T: Send + 'static, E: Into<Refused> + Send + 'static>(
    ask: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<Json<T>, Refused> {
    let told = tokio::task::spawn_blocking(ask).await;
    let told = told.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    told.map(Json).map_err(E::into)
}

impl From<LossError> for Refused {
    fn from(error: LossError) -> Refused {
        let status = match &error {
            LossError::Nothing | LossError::Changed | LossError::Refused(_) => StatusCode::CONFLICT,
            LossError::Checkpoint(_) | LossError::Read(_) | LossError::Commit(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Refused(status, error.to_string())
    }
}

impl From<ReclaimError> for Refused {
    fn from(error: ReclaimError) -> Refused {
        let status = match &error {
            ReclaimError::Lost | ReclaimError::HeldBack | ReclaimError::UnderWay => StatusCode::CONFLICT,
            ReclaimError::Checkpoint(_) | ReclaimError::Read(_) | ReclaimError::Commit(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Refused(status, error.to_string())
    }
}
