//! `GET /tier/report?bucket=...&prefix=...`: how much lies on each tier, what that costs, and what tiering has saved
//! and spent.
//!
//! The report of a whole bucket is what the tiering engine's last walk found. The report of a prefix is counted for the
//! answer, a page at a time.

use super::tiers::{bucket, unread};
use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stratum_engine::tiering::{Held, Month};
use stratum_storage::ambient::{Clock, System, UnixMillis};

/// The parameters of a report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportRequest {
    bucket: String,
    /// Count only the objects whose keys begin with this.
    #[serde(default)]
    prefix: String,
    /// The `after` of the page before.
    after: Option<String>,
}

/// A report. Money is dollars, times are milliseconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// When it was counted; nothing if no walk has come to the bucket yet.
    pub as_of: Option<UnixMillis>,
    pub held: Held,
    /// What storing these objects costs in a month.
    pub month_cost: f64,
    /// What storing them would cost in a month if all of them lay on the hot tier.
    pub month_cost_in_hot: f64,
    /// What tiering has saved and spent this month; only in the report of a whole bucket.
    pub month: Option<Month>,
    /// The `after` with which to ask for the next page; nothing on the last page.
    pub after: Option<String>,
}

impl Report {
    /// Adds the next page.
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
                // A walk that found nothing in the bucket leaves no figures of it.
                None => {
                    let walked = tiering.status().last_walk.map(|walk| walk.at);
                    Report { as_of: walked.filter(|at| *at > bucket.created), ..Report::default() }
                }
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
