//! Scrub of a volume in the remote store.

use super::{REMOTE_SAMPLE, ScrubCursor, Scrubber};
use crate::heal::HealError;
use crate::inspect::live_stripes;
use crate::pace::Class;
use crate::remote::{RemoteError, RemoteObject};
use crate::volume::Volume;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Scrubber {
    /// Looks whether the object is there, and at a sample of its stripes.
    pub(super) async fn scrub_object(
        &self,
        volume: &Arc<Volume>,
        object: RemoteObject,
        pass: &ScrubCursor,
    ) -> Result<(), HealError> {
        let Some(_claim) = self.claim(volume.id, pass).await else { return Ok(()) };
        let live = live_stripes(&self.table, volume.id).await?;
        let wanted = sample(live.len() as u64, pass.passes);
        let live = wanted.filter_map(|number| live.get(number as usize));
        let (mut offsets, mut bytes) = (BTreeSet::new(), 0);
        for live in live {
            offsets.insert(live.offset);
            bytes += live.stripe.disk() * u64::from(volume.geometry.k);
        }
        match self.table.look_for_object(volume, object).await {
            Err(RemoteError::Missing(_)) => drop(self.update(pass, |cursor| cursor.found.remote_lost += 1)),
            Err(_) => drop(self.update(pass, |cursor| cursor.found.remote_unseen += 1)),
            Ok(()) => drop(self.update(pass, |cursor| {
                cursor.found.stripes += offsets.len() as u64;
                cursor.found.bytes += bytes;
            })),
        }
        // `mend` tells which stripes of a missing object are unreadable.
        match self.rebuilder.mend(volume, &offsets, &self.pace, Class::Scrub).await {
            Ok(mended) => self.tell(volume.id, &offsets, &mended, pass),
            Err(HealError::Remote(error)) => {
                tracing::warn!(volume = %volume.id, %error, "scrub could not look at a volume in the remote store");
            }
            Err(error) => return Err(error),
        }
        self.update(pass, |cursor| (cursor.volume, cursor.offset) = (volume.id.0.saturating_add(1), 0));
        Ok(())
    }
}

/// Which of so many stripes a pass reads: others in each, one at least.
fn sample(stripes: u64, passes: u64) -> impl Iterator<Item = u64> {
    let first = passes % REMOTE_SAMPLE.min(stripes.max(1));
    (first..stripes).step_by(REMOTE_SAMPLE as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stripe_has_its_pass() {
        for stripes in [1, 5, 64, 200] {
            let seen: BTreeSet<u64> = (0..REMOTE_SAMPLE).flat_map(|pass| sample(stripes, pass)).collect();
            assert_eq!(seen.len() as u64, stripes);
            assert!(
                (0..100).all(|pass| sample(stripes, pass).count() as u64 >= (stripes / REMOTE_SAMPLE).max(1))
            );
        }
        assert_eq!(sample(0, 3).count(), 0);
    }
}
