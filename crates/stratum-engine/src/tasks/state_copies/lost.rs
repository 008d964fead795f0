//! What no drive gives of the index, put back from a copy of the state in the remote store: that has the very files
//! ([ADR 31](../../../../../docs/adr/0031-a-lost-block-comes-back-from-the-copy-of-the-state.md)).

use stratum_metadata::LostFile;
use stratum_storage::blocking;
use stratum_storage::remote::state::StateFile;
use stratum_storage::remote::{Remote, RemoteError};

/// How much of a file is read at once.
const READ_BYTES: u64 = 4 << 20;
/// How often a file is read whose bytes aren't right: the line may have changed them.
const TRIES: u32 = 2;

/// Why nothing of a file was put back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPutBack {
    #[error("{0} isn't in it")]
    Missing(String),
    #[error("{0} isn't there as it was written")]
    Changed(String),
    #[error(transparent)]
    Remote(RemoteError),
    #[error("no drive takes what was lost of {0}: {1}")]
    Drives(String, #[source] std::io::Error),
    #[error("it was given up: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Puts back what is lost of a file; says how many blocks that were. The file is in memory meanwhile.
pub(crate) async fn put_back(lost: &LostFile, remote: &Remote) -> Result<usize, NotPutBack> {
    let (file, place) = (lost.file(), remote.place());
    for _ in 0..TRIES {
        let (bytes, lost) = (fetch(remote, &file).await?, lost.clone());
        let put_back = blocking::spawn(move || lost.put_back(&bytes)).await?;
        let put_back = put_back.map_err(|error| NotPutBack::Drives(file.name.clone(), error))?;
        if let Some(blocks) = put_back {
            metrics::counter!("stratum_index_put_back_blocks_total").increment(blocks as u64);
            tracing::warn!(
                name = file.name,
                blocks,
                place,
                "what no drive gave of the index was put back from the copy of the state in the remote store"
            );
            return Ok(blocks);
        }
    }
    Err(NotPutBack::Changed(file.name))
}

async fn fetch(remote: &Remote, file: &StateFile) -> Result<Vec<u8>, NotPutBack> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < file.length {
        let from = bytes.len() as u64;
        let piece = match remote.read_state(file, from..file.length.min(from + READ_BYTES)).await {
            Err(RemoteError::Missing(_)) => return Err(NotPutBack::Missing(file.name.clone())),
            piece => piece.map_err(NotPutBack::Remote)?,
        };
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
