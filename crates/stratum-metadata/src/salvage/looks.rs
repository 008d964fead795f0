//! Tells the volumes what a salvaged state says of them, so that their bytes can be read and checked.

use super::Salvaged;
use crate::machine::{Machine, ReadError};
use crate::owners::owners_in;
use crate::space;
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use stratum_storage::blob::VolumeId;
use stratum_storage::volume::{LiveStripe, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord};

/// Tells what is live, and records nothing.
struct Still(Arc<Machine>);

impl VolumeLog for Still {
    fn record(
        &self,
        _: VolumeEvent,
    ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
        let refused = VolumeLogError::Unavailable("the drives are only looked at".into());
        Box::pin(std::future::ready(Err(refused)))
    }

    fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
        space::volume(&self.0, volume).map_err(unavailable)
    }

    fn live_stripes(&self, volume: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
        space::live_stripes(&self.0, volume).map_err(unavailable)
    }
}

fn unavailable(error: ReadError) -> VolumeLogError {
    VolumeLogError::Unavailable(error.to_string())
}

impl Salvaged {
    /// The log for the volumes, by this state.
    pub fn log(&self) -> Arc<dyn VolumeLog> {
        Arc::new(Still(self.machine.clone()))
    }

    /// The owners of bytes in these stripes (volume and offset), in words for people. Goes over all objects and
    /// parts.
    pub fn owners_in(&self, stripes: &HashSet<(VolumeId, u64)>) -> Result<Vec<String>, ReadError> {
        owners_in(self.machine(), stripes)
    }
}
