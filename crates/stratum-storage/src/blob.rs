//! Where a body lies.
//!
//! A [`BlobRef`] is all that the metadata keeps of a body's place. Every blob has exactly one owner: a copy of an
//! object gets bytes of its own. In its life a body can lie in the journal entry that brought it, packed with others
//! into one stripe, and in extents of its own.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A journal index: the position of an entry in the sequence, counted from 1.
pub type Index = u64;

/// A volume's number, unique in the store's whole life and chosen before the volume's command is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolumeId(pub u64);

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{:016x}", self.0)
    }
}

/// hot, warm or cold: a set of drives with a geometry, a codec and prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    Hot,
    Warm,
    Cold,
}

impl Tier {
    /// The tier whose drives hold the journal, the checkpoints and whatever else is replicated. Which tier an object
    /// goes to is another question, asked for each.
    pub const JOURNAL: Tier = Tier::Hot;

    /// All tiers, hottest first.
    pub const ALL: [Tier; 3] = [Tier::Hot, Tier::Warm, Tier::Cold];

    /// This tier, or the next warmer one for which `is_there` says yes; hot if there is none.
    pub fn or_warmer(self, is_there: impl Fn(Tier) -> bool) -> Tier {
        Tier::ALL.into_iter().rev().find(|tier| *tier <= self && is_there(*tier)).unwrap_or(Tier::Hot)
    }

    /// The name used in paths, config and headers.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Hot => "hot",
            Tier::Warm => "warm",
            Tier::Cold => "cold",
        }
    }
}

/// `k` data and `m` parity shards. Replication is `1+m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    pub k: u8,
    pub m: u8,
}

impl Geometry {
    /// Shards in all.
    pub fn shards(self) -> usize {
        usize::from(self.k) + usize::from(self.m)
    }

    /// The default for `drives` drives: m is 1 for 2-3 drives, 2 for 4-7, 3 for 8-11, 4 from 12; k = n - m, at
    /// most 8. A single drive has nothing to be coded over: `1+0`.
    pub fn for_drives(drives: usize) -> Geometry {
        let m = match drives {
            0 | 1 => 0,
            2..=3 => 1,
            4..=7 => 2,
            8..=11 => 3,
            _ => 4,
        };
        Geometry { k: drives.saturating_sub(m).clamp(1, 8) as u8, m: m as u8 }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.k, self.m)
    }
}

/// A contiguous range of a volume that one writer filled with whole stripes, the last of which may be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Extent {
    pub volume: VolumeId,
    /// Offset of the extent's first fragment in each shard file, in bytes (a multiple of 4096).
    pub start: u64,
    /// Payload bytes in the extent (not counting parity, headers, checksums or padding).
    pub length: u64,
}

/// One body among others in a packed stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackedAt {
    pub volume: VolumeId,
    /// Offset of the stripe's fragments in each shard file, in bytes (a multiple of 4096).
    pub stripe: u64,
    /// The whole stripe's payload length in bytes: with the geometry it gives the fragments' lengths.
    pub payload: u32,
    /// Where the body begins in the stripe's payload.
    pub offset: u32,
    pub length: u32,
    pub crc32c: u32,
}

/// The place of a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// No bytes: nothing to store.
    Empty,
    /// In the very entry that carries the command: what a proposer writes, and `apply` turns into `Journal` once the
    /// entry has an index.
    ThisEntry { length: u32, crc32c: u32 },
    /// In the journal entry of that index.
    Journal { index: Index, length: u32, crc32c: u32 },
    /// With other small bodies in one stripe.
    Packed(PackedAt),
    /// In extents of its own, in order.
    Extents(Vec<Extent>),
}

/// How the layer that wrote a body's stored bytes is to read them. Storage keeps the form beside the place and never
/// looks at it.
///
/// It is stored as a number, where binaries that know no forms have a key's id of 32 bits that is always 0. The codes
/// of other forms are longer than that and don't decode there: such a binary refuses the record as damaged, and never
/// takes frames for plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u64", try_from = "u64")]
pub enum Form {
    /// The body itself.
    #[default]
    Plaintext,
    /// Frames of the body, coded one by one, and their table.
    Frames,
    /// Frames of the body, coded and then encrypted one by one with the body's own key, and their table.
    Sealed,
}

/// The number of a form that this binary doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body's stored bytes have the form {0}, which this binary doesn't know")]
pub struct UnknownForm(u64);

impl Form {
    const FRAMES_CODE: u64 = 1 << 32;
    const SEALED_CODE: u64 = 2 << 32;
}

impl From<Form> for u64 {
    fn from(form: Form) -> u64 {
        match form {
            Form::Plaintext => 0,
            Form::Frames => Form::FRAMES_CODE,
            Form::Sealed => Form::SEALED_CODE,
        }
    }
}

impl TryFrom<u64> for Form {
    type Error = UnknownForm;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        match number {
            0 => Ok(Form::Plaintext),
            Form::FRAMES_CODE => Ok(Form::Frames),
            Form::SEALED_CODE => Ok(Form::Sealed),
            other => Err(UnknownForm(other)),
        }
    }
}

/// Where a body's stored bytes lie, and what they are. How many bytes the plaintext has is in the body's record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    pub form: Form,
    pub place: Place,
}

impl BlobRef {
    /// A body that is stored as it is, at that place.
    pub fn plain(place: Place) -> Self {
        Self { form: Form::Plaintext, place }
    }

    /// The same stored bytes, taken for plaintext: for whoever copies them as they are and need not read them.
    pub fn opaque(&self) -> Self {
        Self::plain(self.place.clone())
    }

    /// The same stored bytes at another place.
    pub fn moved_to(&self, place: Place) -> Self {
        Self { form: self.form, place }
    }

    /// How many bytes are stored.
    pub fn len(&self) -> u64 {
        match &self.place {
            Place::Empty => 0,
            Place::ThisEntry { length, .. } | Place::Journal { length, .. } => u64::from(*length),
            Place::Packed(at) => u64::from(at.length),
            Place::Extents(extents) => {
                extents.iter().fold(0, |length, extent| length.saturating_add(extent.length))
            }
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_knows_no_forms_refuses_frames() {
        /// A blob as it is read by a binary that knows no forms.
        #[derive(Debug, Deserialize, Serialize)]
        struct Formless(u32, Place);

        let place = Place::Journal { index: 9, length: 4096, crc32c: 5 };
        let plain = postcard::to_stdvec(&BlobRef::plain(place.clone())).unwrap();
        assert_eq!(plain, postcard::to_stdvec(&Formless(0, place.clone())).unwrap());
        for form in [Form::Frames, Form::Sealed] {
            let coded = BlobRef { form, place: place.clone() };
            let bytes = postcard::to_stdvec(&coded).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(coded));
            assert!(postcard::from_bytes::<Formless>(&bytes).is_err());
        }
        let other = postcard::to_stdvec(&Formless(1, place)).unwrap();
        assert!(postcard::from_bytes::<BlobRef>(&other).is_err());
    }
}
