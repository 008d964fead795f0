//! A volume on its way: its live stripes made into an object.

use super::{UploadError, Uploader};
use crate::format::remote::{GENERATION, ObjectHeader, object_length, stripe_range};
use crate::inspect::{blocking, live_stripes};
use crate::pace::Class;
use crate::readpath::whole::{WantedFragments, Whole};
use crate::remote::{Remote, RemoteObject, Sending, Sent};
use crate::volume::{LiveStripe, Phase, Volume};
use std::sync::Arc;

impl Uploader {
    /// Writes a volume's object.
    pub(super) async fn send<'a>(
        &self,
        remote: &'a Remote,
        volume: &Arc<Volume>,
        object: RemoteObject,
    ) -> Result<Sent<'a>, UploadError> {
        let Phase::Sealed { length: sealed } = volume.phase() else { return Err(UploadError::Gone) };
        let mut sending = remote.send(object.name(volume.id)).await?;
        let header =
            ObjectHeader { volume: volume.id, geometry: volume.geometry, sealed, upload: object.upload };
        match self.fill(&mut sending, volume, &header).await {
            Ok(()) => Ok(sending.finish().await?),
            Err(error) => {
                sending.give_up().await;
                Err(error)
            }
        }
    }

    async fn fill(
        &self,
        sending: &mut Sending<'_>,
        volume: &Arc<Volume>,
        header: &ObjectHeader,
    ) -> Result<(), UploadError> {
        sending.push(&header.encode()).await?;
        for live in live_stripes(&self.table, volume.id).await? {
            let range = stripe_range(live.offset, live.stripe);
            let turn = self.pace.turn(Class::Transition, live.stripe.disk()).await;
            let within = volume.clone();
            let fragments = blocking(move || data_fragments(&within, live)).await?;
            drop(turn);
            sending.pad(range.start).await?;
            for fragment in fragments.ok_or(UploadError::Unreadable(live.offset))? {
                sending.push(&fragment).await?;
            }
        }
        Ok(sending.pad(object_length(volume.geometry, header.sealed)).await?)
    }
}

/// The data fragments of a stripe as they lie in an object; nothing if too few of all are good. Blocks.
fn data_fragments(volume: &Arc<Volume>, live: LiveStripe) -> Option<Vec<Vec<u8>>> {
    let mut whole = Whole::read(volume, live, WantedFragments::Enough);
    whole.complete().ok()?;
    (0..volume.geometry.k).map(|shard| whole.fragment(shard, GENERATION)).collect()
}
