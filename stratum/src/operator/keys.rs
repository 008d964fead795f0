//! The routes of the rotation of keys, which wraps the data keys of encrypted objects anew.

use super::Operator;
use axum::Json;
use axum::extract::State as Shared;
use std::sync::Arc;
use stratum_engine::RewrapStatus;

/// `GET /keys`
pub async fn status(Shared(operator): Shared<Arc<Operator>>) -> Json<RewrapStatus> {
    Json(operator.engine.rewrapper.status())
}

/// `POST /keys/rotate`: begins a rotation.
pub async fn rotate(Shared(operator): Shared<Arc<Operator>>) -> Json<RewrapStatus> {
    Json(operator.engine.rewrapper.ask())
}
