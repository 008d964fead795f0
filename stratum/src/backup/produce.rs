//! Makes a backup of a running store: the journal and the newest checkpoint, read from the drives' files.
//!
//! The store doesn't wait for whoever receives the backup: it goes on appending, packing and taking checkpoints. The
//! checkpoint's files are opened first, so that they stay readable when they are deleted; then the journal's segments
//! are listed, which reach from before the checkpoint to the last entry. When the journal recycles a segment that was
//! not sent yet, the backup ends with an error.

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
    /// Small files: each one's name and content.
    others: Vec<(&'static str, Vec<u8>)>,
}

impl Backup {
    /// Prepares a backup of the store as it is now. Blocks. The error is a sentence for whoever asked for the backup.
    pub fn begin(
        set: &Set,
        journal: &Journal,
        metadata: &Metadata,
        configured: &Configuration,
        with_credentials: bool,
    ) -> Result<Backup, String> {
        let checkpoint = metadata.export_checkpoint().map_err(|error| error.to_string())?;
        let made = Made { at: System.now(), entry: journal.last().0, set: Some(set.id().to_string()) };
        let journal = journal.export();
        let reached = checkpoint.as_ref().map_or(0, CheckpointExport::index);
        if journal.first() > reached + 1 {
            return Err("no checkpoint that can be read reaches the journal: try again in a minute".into());
        }
        // Of secrets only credentials and keys that the server generated are put in, since they lie nowhere but on its
        // drives. An operator who gave them in the environment or in a file has them.
        let secrets = [credentials::FILE, master_keys::FILE].into_iter().filter(|_| with_credentials);
        let mut kept = Vec::new();
        for name in secrets.chain([master_keys::USED_FILE]) {
            let content = set.read_replicated(name).map_err(|error| error.to_string())?;
            kept.extend(content.map(|content| (name, content)));
        }
        let file = configured.text(with_credentials).map(|text| (configuration::FILE, text.into_bytes()));
        let drives = (configuration::DRIVES, configuration::drives(set));
        let made = (made::FILE, made.to_json());
        let others = file.into_iter().chain(kept).chain([drives, made]).collect();
        Ok(Backup { checkpoint, journal, others })
    }

    /// Writes the backup to `sink`, piece by piece. Blocks for as long as `sink` does.
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
