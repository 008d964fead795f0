//! Reads a body that is stored in frames: every frame that can be read, decrypted and decoded. If any byte of a frame
//! is bad, the whole frame is missing; if the table of the frames is bad, the whole body is.

use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use stratum_cipher::DataKey;
use stratum_frames::{Cipher, Decoder, FRAME_BYTES, Table};
use stratum_storage::blob::{BlobRef, Form};
use stratum_storage::volumes::Volumes;

/// A body, and the table of its frames.
pub struct Frames<'a> {
    volumes: &'a Volumes,
    blob: &'a BlobRef,
    /// The length of the body's plaintext, in bytes.
    size: u64,
    /// The data key, if the object is encrypted.
    key: Option<&'a DataKey>,
    table: Arc<Table>,
}

impl<'a> Frames<'a> {
    /// Reads the table of a body's frames. The error says why that can't be done.
    pub async fn of(
        volumes: &'a Volumes,
        blob: &'a BlobRef,
        size: u64,
        key: Option<&'a DataKey>,
    ) -> Result<Self, String> {
        let cipher = match blob.form {
            Form::Plaintext | Form::Frames => Cipher::None,
            Form::Sealed => Cipher::Aes256Gcm,
        };
        let place = Table::place(size, blob.len(), cipher).map_err(text)?;
        let bytes = read(volumes, blob, place).await?.concat();
        let table = Table::decode(&bytes, size, blob.len(), cipher).map_err(text)?;
        Ok(Self { volumes, blob, size, key, table: Arc::new(table) })
    }

    /// The range of each frame's plaintext in the body, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let size = self.size;
        (0..size).step_by(FRAME_BYTES).map(move |start| start..size.min(start + FRAME_BYTES as u64))
    }

    /// Reads the plaintext of the frame with this range. The error says why that can't be done.
    pub async fn plaintext(&self, frame: Range<u64>) -> Result<Bytes, String> {
        let mut decoder = Decoder::new(self.table.clone(), frame, self.key).map_err(text)?;
        for piece in read(self.volumes, self.blob, decoder.stored()).await? {
            decoder.push(piece);
        }
        let plaintext = decoder.next_plaintext().map_err(text)?;
        decoder.finish().map_err(text)?;
        Ok(plaintext.unwrap_or_default())
    }
}

/// Reads a range of a body's stored bytes.
async fn read(volumes: &Volumes, blob: &BlobRef, range: Range<u64>) -> Result<Vec<Bytes>, String> {
    let mut reader = volumes.reader.read(&volumes.reader.pin(), blob, range).map_err(text)?;
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next().await {
        pieces.push(piece.map_err(text)?);
    }
    Ok(pieces)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
