//! Some bodies are sealed. The tasks that move, pack, heal and check them have no key, and in the end the bodies can
//! be opened.

use crate::model::Piece;
use bytes::Bytes;
use stratum_bodies::{code, decode};
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{Coding, Compression, Seal};
use stratum_storage::blob::Form;

/// One piece in this many is sealed.
const SEALED: u64 = 5;

/// The key of all sealed bodies.
pub fn key() -> DataKey {
    DataKey::new([7; 32])
}

impl Piece {
    /// The stored bytes of a piece, and their form.
    pub fn stored(self, may_be_sealed: bool) -> (Form, Bytes) {
        let plain = self.bytes();
        if !may_be_sealed || plain.is_empty() || !self.id.is_multiple_of(SEALED) {
            return (Form::Plaintext, plain);
        }
        let mut salt = [0; Salt::BYTES];
        salt[..8].copy_from_slice(&self.id.to_le_bytes());
        let compression = self.id.is_multiple_of(2 * SEALED).then(Compression::default);
        let coding = Coding { compression, seal: Some(Seal::new(&key(), Salt(salt))) };
        code(coding, &plain).expect("it can be sealed")
    }
}

/// The plaintext of a body's stored bytes.
pub fn open(form: Form, stored: &Bytes, size: u64) -> Result<Bytes, String> {
    decode(form, stored, size, Some(&key())).map_err(|error| error.to_string())
}
