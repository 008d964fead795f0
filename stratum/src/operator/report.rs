//! `GET /tier/report?bucket=...&prefix=...`: how much lies on each tier, what that costs, and what tiering has saved
//! and spent.
//!
//! The report of a whole bucket is what the tiering engine's last walk found. The report of a prefix is counted for the
//! answer, a page at a time; a quick one is what the walk found, where that is kept.

use super::tiers::{bucket, unread};
use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stratum_engine::tiering::{Found, Held, Month, Tiering};
use stratum_metadata::ReadView;
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_tiering::prices::Prices;

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
    /// Count nothing of which the last walk keeps what it found.
    #[serde(default)]
    quick: bool,
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
    /// What of it lies under no longer prefix that ends with a slash; only in a quick report of what the last walk
    /// found.
    #[serde(default)]
    pub beside: Option<Beside>,
    /// The `after` with which to ask for the next page; nothing on the last page.
    pub after: Option<String>,
}

/// The objects beside the folders of a prefix, and what storing them costs in a month.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Beside {
    pub held: Held,
    pub month_cost: f64,
}

impl Report {
    fn of(held: Held, prices: &Prices) -> Report {
        let (month_cost, month_cost_in_hot) = (held.month(prices), held.month_in_hot(prices));
        Report { held, month_cost, month_cost_in_hot, ..Report::default() }
    }

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
    Query(request): Query<ReportRequest>,
) -> Result<Json<Report>, Refused> {
    let view = operator.engine.metadata.fresh().await.map_err(unread)?;
    let looked = tokio::task::spawn_blocking(move || look(&operator.engine.tiering, &view, &request)).await;
    looked.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}

fn look(tiering: &Tiering, view: &ReadView, request: &ReportRequest) -> Result<Report, Refused> {
    let ReportRequest { bucket: name, prefix, after, quick } = request;
    let (bucket, now, prices) = (bucket(view, name)?, System.now(), tiering.prices());
    if after.is_none() {
        if *quick && let Some((Found { all, beside }, at)) = tiering.found_under(&bucket, prefix) {
            let beside = Some(Beside { held: beside, month_cost: beside.month(prices) });
            return Ok(Report { as_of: Some(at), beside, ..Report::of(all, prices) });
        }
        if prefix.is_empty() && !quick {
            return Ok(match tiering.report(&bucket, now) {
                Some((held, at, month)) => {
                    Report { as_of: Some(at), month: Some(month), ..Report::of(held, prices) }
                }
                None => Report::default(),
            });
        }
    }
    let counted = tiering.count_under(view, &bucket, prefix, after.as_deref(), now).map_err(unread)?;
    Ok(Report { as_of: Some(now), after: counted.after, ..Report::of(counted.held, prices) })
}
