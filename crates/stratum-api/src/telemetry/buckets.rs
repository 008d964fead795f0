//! The metrics of single buckets: of those that the configuration names (`Settings::metered`), and of no others. With
//! a label for every bucket, users could fill the server's memory and the scraper's by creating buckets.

use super::Answered;
use metrics::{Counter, Histogram};
use std::collections::HashMap;
use std::sync::LazyLock;
use tracing_mutex::parkinglot::RwLock;

/// The metrics of one bucket, which are registered with the first request that they count.
struct OfBucket {
    requests: HashMap<(&'static str, u16), Counter>,
    seconds: Histogram,
    sent: Counter,
}

static BUCKETS: LazyLock<RwLock<HashMap<String, OfBucket>>> = LazyLock::new(Default::default);

/// Counts a request to a bucket that is metered.
pub(super) fn answered(bucket: &str, request: &Answered<'_>) {
    let kind = (request.operation, request.status.as_u16());
    let count = |of: &OfBucket| {
        let Some(requests) = of.requests.get(&kind) else { return false };
        requests.increment(1);
        of.seconds.record(request.took.as_secs_f64());
        of.sent.increment(request.sent);
        true
    };
    let is_counted = BUCKETS.read().get(bucket).is_some_and(count);
    if !is_counted {
        let mut buckets = BUCKETS.write();
        let of = buckets.entry(bucket.to_owned()).or_insert_with(|| OfBucket::of(bucket));
        of.requests.entry(kind).or_insert_with(|| requests(bucket, kind));
        count(of);
    }
}

impl OfBucket {
    fn of(bucket: &str) -> OfBucket {
        let label = [("bucket", bucket.to_owned())];
        OfBucket {
            requests: HashMap::new(),
            seconds: metrics::histogram!("stratum_bucket_request_seconds", &label),
            sent: metrics::counter!("stratum_bucket_sent_bytes_total", &label),
        }
    }
}

fn requests(bucket: &str, (operation, status): (&'static str, u16)) -> Counter {
    let labels =
        [("bucket", bucket.to_owned()), ("operation", operation.to_owned()), ("status", status.to_string())];
    metrics::counter!("stratum_bucket_requests_total", &labels)
}
