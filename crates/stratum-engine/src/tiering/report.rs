//! Reports which objects are in which tier, for a bucket or for the objects under a prefix.

use super::ledger::{beginning_of, month_of};
use super::{Found, Held, Month, Tiering};
use stratum_metadata::record::BucketRecord;
use stratum_metadata::{ReadError, ReadView, Walk};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::usage::accounts::{Account, AccountName};

/// Pages of a walk in one report: some thousands of objects. The next report goes on from there.
const PAGES_A_REPORT: usize = 8;

/// The figures of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    pub held: Held,
    /// The last key that was counted, if there are more.
    pub after: Option<String>,
}

impl Tiering {
    /// What a bucket held when a walk last came to it, when that was, and what this month brought; `None` before the
    /// first walk.
    pub fn report(&self, bucket: &BucketRecord, now: UnixMillis) -> Option<(Held, UnixMillis, Month)> {
        let month = month_of(self.day(), now);
        let Account { saved, spent } = self.usage.account(AccountName { month, bucket: bucket.id.0 });
        let ledger = self.ledger.lock();
        let (found, at) = ledger.found(bucket.id, bucket.created, b"")?;
        let moved = ledger.moved_in(bucket.id, month);
        let month = Month { begins: beginning_of(month, self.day()), saved, spent, moved };
        Some((found.all, at, month))
    }

    /// What a walk last found under a prefix, and when. It is kept of the whole bucket, and of prefixes that end with a
    /// slash and under which much lies.
    pub fn found_under(&self, bucket: &BucketRecord, prefix: &str) -> Option<(Found, UnixMillis)> {
        self.ledger.lock().found(bucket.id, bucket.created, prefix.as_bytes())
    }

    /// Counts the objects under a prefix, or a page of them that begins after a key. Blocks.
    pub fn count_under(
        &self,
        view: &ReadView,
        bucket: &BucketRecord,
        prefix: &str,
        after: Option<&str>,
        now: UnixMillis,
    ) -> Result<Reported, ReadError> {
        let walk = Walk::under(bucket.id, prefix.as_bytes());
        let mut walk = match after {
            Some(after) => walk.after(bucket.id, after.as_bytes()),
            None => walk,
        };
        let mut reported = Reported::default();
        for _ in 0..PAGES_A_REPORT {
            let page = view.walk(&mut walk)?;
            for object in page.objects {
                reported.held.count(self.belongs_in(&object.record, now), object.record.size);
                reported.after = String::from_utf8(object.key).ok();
            }
            if page.is_last {
                reported.after = None;
                break;
            }
        }
        Ok(reported)
    }
}
