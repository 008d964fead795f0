//! The target for the frames of a stored body and their table.

use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{Cipher, Coding, Compression, Decoder, Encoder, Form, FrameError, Seal, Table};

/// The lengths of an entry of the table and of the table's trailer, in bytes.
const ENTRY: usize = 8;
const TRAILER: usize = 32;

/// The first byte says what to do with the others, which are a body's length (8 bytes) and its stored bytes.
///
/// If it is even, the stored bytes are read as they are. If it is odd, their checksums are made right first, so that
/// the search gets past them. With its highest bit they are read as a sealed body, whose frames only the holder of
/// the key can make. Whatever the table says, a body never gives more bytes than its length, and never fewer without
/// an error. All bytes but the first are also coded as plaintext, by either codec, and must be decoded again.
pub fn frames(bytes: &[u8]) {
    let Some(([what], rest)) = bytes.split_first_chunk() else { return };
    comes_back(rest, *what);
    let Some((length, stored)) = rest.split_first_chunk() else { return };
    let (length, mut stored) = (u64::from_le_bytes(*length), stored.to_vec());
    let cipher = if what & 0x80 == 0 { Cipher::None } else { Cipher::Aes256Gcm };
    if what % 2 == 1 {
        mend(&mut stored, cipher);
    }
    let piece = usize::from(*what) * 100 + 1;
    // A forged table can make a very long body of a few bytes, so only its beginning is read.
    let end = length.min(3 << 20);
    if let Ok(read) = read(&stored, cipher, length, 0..end, piece) {
        assert!(read.len() as u64 == end, "{} bytes of {end}", read.len());
        let part = self::read(&stored, cipher, length, end / 3..end / 2, piece);
        assert!(part.is_ok_and(|part| part == read[(end / 3) as usize..(end / 2) as usize]));
    }
}

fn key() -> DataKey {
    DataKey::new([7; 32])
}

fn comes_back(plaintext: &[u8], what: u8) {
    let piece = usize::from(what);
    let seal = (what % 4 >= 2).then(|| Seal::new(&key(), Salt([9; 32])));
    let compression = if what % 8 >= 4 { Compression::Lz4 } else { Compression::default() };
    let coding = Coding { compression: Some(compression), seal };
    let mut encoder = Encoder::new(coding).expect("memory");
    let mut stored = Vec::new();
    for piece in plaintext.chunks(piece.max(1)) {
        encoder.push(piece, &mut stored).expect("not too long");
    }
    let length = plaintext.len() as u64;
    let form = encoder.finish(&mut stored).expect("it can be sealed");
    let stored = stored.concat();
    let cipher = match form {
        Form::Plaintext => return assert!(stored == plaintext),
        Form::Frames => Cipher::None,
        Form::Sealed => Cipher::Aes256Gcm,
    };
    assert!(read(&stored, cipher, length, 0..length, piece).is_ok_and(|read| read == plaintext));
}

fn read(
    stored: &[u8],
    cipher: Cipher,
    length: u64,
    range: Range<u64>,
    piece: usize,
) -> Result<Vec<u8>, FrameError> {
    let of = |range: &Range<u64>| &stored[range.start as usize..range.end as usize];
    let place = Table::place(length, stored.len() as u64, cipher)?;
    let table = Table::decode(of(&place), length, stored.len() as u64, cipher)?;
    let mut decoder = Decoder::new(Arc::new(table), range, Some(&key()))?;
    let mut out = Vec::new();
    for piece in of(&decoder.stored()).chunks(piece.max(1)) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(bytes) = decoder.next_plaintext()? {
            out.extend_from_slice(&bytes);
        }
    }
    decoder.finish().map(|()| out)
}

/// Makes the checksums right: those of the frames that the table's entries name, and that of the table.
fn mend(stored: &mut [u8], cipher: Cipher) -> Option<()> {
    let salt = if cipher == Cipher::None { 0 } else { Salt::BYTES };
    let trailer = stored.len().checked_sub(TRAILER)?;
    let entries = trailer.checked_sub(salt)?;
    let count = u32::from_le_bytes(*stored.get(trailer + 12..)?.first_chunk()?) as usize;
    let table = entries.checked_sub(count.checked_mul(ENTRY)?)?;
    let mut at = 0;
    for entry in (table..entries).step_by(ENTRY) {
        let length = u32::from_le_bytes(*stored.get(entry..)?.first_chunk()?) & 0xff_ffff;
        let end = (at + length as usize).min(table);
        let crc = crc32c::crc32c(&stored[at..end]);
        stored[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    let end = stored.len() - 4;
    let crc = crc32c::crc32c(&stored[table..end]);
    stored[end..].copy_from_slice(&crc.to_le_bytes());
    Some(())
}
