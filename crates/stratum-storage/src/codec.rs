//! Reed-Solomon over GF(2^8): parity from data, and lost shards from any `k` others.
//!
//! The one file that names `reed-solomon-erasure`. It sees equally long slices and knows nothing of files; blocks of
//! 32 KiB are coded one row at a time, which keeps data and parity in the processor's cache.

use crate::blob::Geometry;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tracing_mutex::parkinglot::Mutex;

/// Why shards were not coded.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum CodecError {
    #[error("{0} is not a geometry: k is from 1, and k+m at most 255")]
    Geometry(Geometry),
    #[error("{present} shards are left and {needed} are needed")]
    TooFew { present: usize, needed: usize },
    #[error("the shards are not {0} slices of one length")]
    Shape(Geometry),
}

/// A geometry's coder. Building one inverts a matrix, so they are kept: see [`Codec::of`].
#[derive(Debug)]
pub struct Codec {
    geometry: Geometry,
    /// None for `k+0`, which has nothing to compute.
    coder: Option<ReedSolomon>,
}

impl Codec {
    /// The coder of a geometry, shared by all who ask.
    pub fn of(geometry: Geometry) -> Result<Arc<Codec>, CodecError> {
        static KNOWN: OnceLock<Mutex<HashMap<Geometry, Arc<Codec>>>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock();
        if let Some(codec) = known.get(&geometry) {
            return Ok(codec.clone());
        }
        let codec = Arc::new(Codec::new(geometry)?);
        known.insert(geometry, codec.clone());
        Ok(codec)
    }

    fn new(geometry: Geometry) -> Result<Codec, CodecError> {
        let refused = CodecError::Geometry(geometry);
        if geometry.k == 0 || geometry.shards() > 255 {
            return Err(refused);
        }
        let coder = match geometry.m {
            0 => None,
            m => Some(ReedSolomon::new(geometry.k.into(), m.into()).map_err(|_| refused)?),
        };
        Ok(Codec { geometry, coder })
    }

    /// Fills `m` parity slices from `k` data slices, all of one length.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), CodecError> {
        let shape = CodecError::Shape(self.geometry);
        match &self.coder {
            Some(coder) => coder.encode_sep(data, parity).map_err(|_| shape),
            None if data.len() == usize::from(self.geometry.k) && parity.is_empty() => Ok(()),
            None => Err(shape),
        }
    }

    /// Fills in the data shards that are `None`, from any `k` of the `k+m`. Missing parity stays missing.
    pub fn rebuild(&self, shards: &mut [Option<Vec<u8>>]) -> Result<(), CodecError> {
        let needed = usize::from(self.geometry.k);
        let present = shards.iter().flatten().count();
        if shards.len() != self.geometry.shards() {
            return Err(CodecError::Shape(self.geometry));
        }
        if present < needed {
            return Err(CodecError::TooFew { present, needed });
        }
        match &self.coder {
            Some(coder) => coder.reconstruct_data(shards).map_err(|_| CodecError::Shape(self.geometry)),
            None => Ok(()),
        }
    }

    /// Fills in all shards, data and parity, that aren't there (`false`), from any `k` that are. The slices are of
    /// one length.
    pub fn restore(&self, shards: &mut [(&mut [u8], bool)]) -> Result<(), CodecError> {
        let needed = usize::from(self.geometry.k);
        let present = shards.iter().filter(|(_, is_there)| *is_there).count();
        if shards.len() != self.geometry.shards() {
            return Err(CodecError::Shape(self.geometry));
        }
        if present < needed {
            return Err(CodecError::TooFew { present, needed });
        }
        match &self.coder {
            Some(coder) => coder.reconstruct(shards).map_err(|_| CodecError::Shape(self.geometry)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shards(geometry: Geometry, payload: &[u8]) -> Vec<Option<Vec<u8>>> {
        let length = payload.len() / usize::from(geometry.k);
        let data: Vec<&[u8]> = payload.chunks(length).collect();
        let mut parity = vec![vec![0; length]; geometry.m.into()];
        let mut slices: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        Codec::of(geometry).unwrap().encode(&data, &mut slices).unwrap();
        data.into_iter().map(<[u8]>::to_vec).chain(parity).map(Some).collect()
    }

    proptest! {
        #[test]
        fn any_m_shards_may_be_lost(k in 1u8..9, m in 0u8..5, seed in any::<[u8; 32]>(), order in any::<u64>()) {
            let geometry = Geometry { k, m };
            let payload: Vec<u8> = (0..usize::from(k) * 64).map(|at| seed[at % 32].wrapping_mul(at as u8 | 1)).collect();
            let whole = shards(geometry, &payload);
            let mut damaged = whole.clone();
            for lost in 0..u64::from(m) {
                let at = (order.wrapping_add(lost.wrapping_mul(order | 1)) % whole.len() as u64) as usize;
                damaged[at] = None;
            }
            let mut restored: Vec<(Vec<u8>, bool)> =
                damaged.iter().map(|shard| (shard.clone().unwrap_or(vec![0; 64]), shard.is_some())).collect();
            let mut slices: Vec<(&mut [u8], bool)> =
                restored.iter_mut().map(|(shard, is_there)| (shard.as_mut_slice(), *is_there)).collect();
            Codec::of(geometry).unwrap().restore(&mut slices).unwrap();
            prop_assert!(restored.iter().zip(&whole).all(|((shard, _), whole)| Some(shard) == whole.as_ref()));
            Codec::of(geometry).unwrap().rebuild(&mut damaged).unwrap();
            prop_assert_eq!(&damaged[..k.into()], &whole[..k.into()]);
        }
    }

    #[test]
    fn replication_is_one_data_shard() {
        let whole = shards(Geometry { k: 1, m: 2 }, b"the same everywhere");
        assert!(whole.iter().all(|shard| shard.as_deref() == Some(b"the same everywhere")));
    }

    /// The format page's matrix, computed by hand for 2+1: the rows of the parity are fixed for ever.
    #[test]
    fn the_code_is_the_one_that_the_format_page_says() {
        // Vandermonde rows (1,0), (1,1), (1,2) times the inverse of the first two: the parity row is (3, 2).
        let whole = shards(Geometry { k: 2, m: 1 }, &[1, 0, 0x80, 0, 1, 0x80]);
        // Column by column: 3*1+2*0, 3*0+2*1, 3*0x80+2*0x80 = 0x80 (3^2 = 1).
        assert_eq!(whole[2].as_deref(), Some(&[3, 2, 0x80][..]));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Codec::of(Geometry { k: 0, m: 2 }).is_err());
        assert!(Codec::of(Geometry { k: 200, m: 100 }).is_err());
        let codec = Codec::of(Geometry { k: 2, m: 1 }).unwrap();
        assert_eq!(
            codec.rebuild(&mut [Some(vec![1]), None, None]),
            Err(CodecError::TooFew { present: 1, needed: 2 })
        );
        assert!(codec.rebuild(&mut [Some(vec![1])]).is_err());
        assert!(codec.rebuild(&mut [Some(vec![1]), Some(vec![1, 2]), None]).is_err());
        assert!(codec.encode(&[&[1]], &mut []).is_err());
    }
}
