//! A backup out of a running store: the journal and the newest checkpoint, read from the drives' files.
//!
//! Nothing waits for the receiver: the store goes on appending, packing and taking checkpoints. The checkpoint is
//! opened first, so that it stays readable when its file goes; then the journal's segments are noted, which reach from
//! before the checkpoint to the last entry. A segment that is let go before it was sent ends the backup with an error.

use super::archive::Writer;
use super::configuration::{self, Configuration};
use super::made::{self, Made};
use crate::credentials;
use crate::master_keys;
use bytes::Bytes;
use std::io;
use stratum_metadata::{CheckpointExport, Metadata};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::journal::{Export, Exported, Journal};
use stratum_storage::set::Set;

/// A backup that is about to be written.
pub struct Backup {
    checkpoint: Option<CheckpointExport>,
    journal: Export,
    /// Small files, each with its name.
    others: Vec<(&'static str, Vec<u8>)>,
}

impl Backup {
    /// Of the store as it is now. Blocks. The error is in words.
    pub fn begin(
        set: &Set,
        journal: &Journal,
        metadata: &Metadata,
        configured: &Configuration,
        with_credentials: bool,
    ) -> Result<Backup, String> {
        let checkpoint = metadata.export_checkpoint().map_err(|error| error.to_string())?;
        let made = Made { at: System.now(), entry: journal.last().0 };
        let journal = journal.export();
        let reached = checkpoint.as_ref().map_or(0, CheckpointExport::index);
        if journal.first() > reached + 1 {
            return Err("no checkpoint that can be read reaches the journal: try again in a minute".into());
        }
        // What a server made for itself lies nowhere else; what an operator said is the operator's to keep.
        let mut secrets = Vec::new();
        for name in [credentials::FILE, master_keys::FILE].into_iter().filter(|_| with_credentials) {
            let kept = set.read_replicated(name).map_err(|error| error.to_string())?;
            secrets.extend(kept.map(|content| (name, content)));
        }
        let file = configured.text(with_credentials).map(|text| (configuration::FILE, text.into_bytes()));
        let drives = (configuration::DRIVES, configuration::drives(set));
        let made = (made::FILE, made.to_json());
        let others = file.into_iter().chain(secrets).chain([drives, made]).collect();
        Ok(Backup { checkpoint, journal, others })
    }

    /// Writes it, piece by piece. Blocks for as long as `sink` does.
    pub fn write(self, sink: impl FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
        let mut writer = Writer::new(sink)?;
        for piece in self.journal {
            match piece.map_err(io::Error::other)? {
                Exported::Segment(name) => writer.file(&format!("journal/{name}"))?,
                Exported::Bytes(bytes) => writer.bytes(&bytes)?,
            }
        }
        if let Some(checkpoint) = self.checkpoint {
            writer.file(&format!("checkpoint/{}", checkpoint.name()))?;
            for block in checkpoint {
                writer.bytes(&block?)?;
            }
        }
        for (name, content) in self.others {
            writer.file(name)?;
            writer.bytes(&content)?;
        }
        writer.end()
    }
}
