//! `GET /tier/report?bucket=...&prefix=...`: what lies where, what that costs, and what it has saved and spent.
//!
//! Of a whole bucket it is what the last walk found; under a prefix it is counted for the answer, a page at a time.

use super::tiers::{bucket, unread};
use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stratum_engine::tiering::{Held, Month};
use stratum_storage::ambient::{Clock, System, UnixMillis};

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportRequest {
    bucket: String,
    /// Only the objects whose keys begin so.
    #[serde(default)]
    prefix: String,
    /// Where the page before this one ended.
    after: Option<String>,
}

/// What lies where. Money is dollars, times are milliseconds of Unix time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// As of when; nothing before a walk came by the bucket.
    pub as_of: Option<UnixMillis>,
    pub held: Held,
    /// What storing it costs a month, and what it would cost if all of it were in hot.
    pub month_cost: f64,
    pub month_cost_in_hot: f64,
    /// What this month brought, of a whole bucket.
    pub month: Option<Month>,
    /// Where the next page begins; nothing at the end.
    pub after: Option<String>,
}

impl Report {
    /// Counts a further page in.
    pub fn add(&mut self, page: Report) {
        self.held.add(&page.held);
        self.month_cost += page.month_cost;
        self.month_cost_in_hot += page.month_cost_in_hot;
        (self.as_of, self.month, self.after) = (page.as_of, page.month, page.after);
    }
}

/// `GET /tier/report`
pub(super) async fn report(
    Shared(operator): Shared<Arc<Operator>>,
    Query(ReportRequest { bucket: name, prefix, after }): Query<ReportRequest>,
) -> Result<Json<Report>, Refused> {
    let view = operator.engine.metadata.fresh().await.map_err(unread)?;
    let look = move || {
        let (bucket, tiering, now) = (bucket(&view, &name)?, &operator.engine.tiering, System.now());
        let report = match prefix.is_empty() && after.is_none() {
            true => match tiering.report(bucket.id, now) {
                Some((held, month, as_of)) => Report { as_of, held, month: Some(month), ..Report::default() },
                None => Report::default(),
            },
            false => {
                let counted = tiering.count_under(&view, &bucket, &prefix, after.as_deref(), now);
                let counted = counted.map_err(unread)?;
                Report { as_of: Some(now), held: counted.held, after: counted.after, ..Report::default() }
            }
        };
        let prices = tiering.prices();
        let (month_cost, month_cost_in_hot) = (report.held.month(prices), report.held.month_in_hot(prices));
        Ok(Report { month_cost, month_cost_in_hot, ..report })
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}
