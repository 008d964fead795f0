//! One worker at a time: whoever rebuilds a volume's shards or moves its bodies away claims it first.
//!
//! A claim is memory of this run only. It guards no bytes (records, generations and conditional moves do that); it
//! keeps two workers from doing the same work twice, and unknown files from being judged while a shard is rebuilt.

use super::table::Table;
use crate::blob::VolumeId;
use std::collections::HashSet;
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;

/// The volumes that somebody works on.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: Mutex<HashSet<VolumeId>>,
}

/// A volume is this worker's until it is dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    volume: VolumeId,
}

impl Claim {
    pub fn volume(&self) -> VolumeId {
        self.volume
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.taken.lock().remove(&self.volume);
    }
}

impl Table {
    /// Claims a volume, unless somebody else has.
    pub fn try_claim(&self, volume: VolumeId) -> Option<Claim> {
        let claims = self.claims.clone();
        let is_free = claims.taken.lock().insert(volume);
        is_free.then(|| Claim { claims, volume })
    }

    /// Whether somebody works on a volume.
    pub fn is_claimed(&self, volume: VolumeId) -> bool {
        self.claims.taken.lock().contains(&volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{LiveStripe, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord};
    use std::pin::Pin;

    struct NoLog;

    impl VolumeLog for NoLog {
        fn record(
            &self,
            _: VolumeEvent,
        ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
            Box::pin(async { Ok(()) })
        }

        fn volume(&self, _: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
            Ok(None)
        }

        fn live_stripes(&self, _: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_volume_has_one_worker() {
        let volumes = Table::new(Vec::new(), Arc::new(NoLog), 0, None);
        let claim = volumes.try_claim(VolumeId(7)).unwrap();
        assert_eq!(claim.volume(), VolumeId(7));
        assert!(volumes.try_claim(VolumeId(7)).is_none() && volumes.is_claimed(VolumeId(7)));
        assert!(volumes.try_claim(VolumeId(8)).is_some(), "another is nobody's");
        drop(claim);
        assert!(!volumes.is_claimed(VolumeId(7)) && volumes.try_claim(VolumeId(7)).is_some());
    }
}
