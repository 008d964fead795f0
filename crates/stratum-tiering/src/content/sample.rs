//! The first and the last bytes of a body: enough to tell what it is, and few enough to keep while the body is
//! received.

/// Bytes that are kept of each end of a body.
pub const WINDOW_BYTES: usize = 4_096;

/// The ends of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    head: Vec<u8>,
    /// Empty where the head holds the whole body.
    tail: Vec<u8>,
}

impl Sample {
    /// The sample of a body that is in memory as a whole.
    pub fn of(whole: &[u8]) -> Sample {
        match whole.len() > WINDOW_BYTES {
            false => Sample { head: whole.to_vec(), tail: Vec::new() },
            true => Sample {
                head: whole.get(..WINDOW_BYTES).unwrap_or(whole).to_vec(),
                tail: last(whole, WINDOW_BYTES).to_vec(),
            },
        }
    }

    /// The sample of a body whose ends were read separately, each [`WINDOW_BYTES`] long unless the body is shorter.
    pub fn of_ends(head: Vec<u8>, tail: Vec<u8>) -> Sample {
        Sample { head, tail }
    }

    /// The first [`WINDOW_BYTES`] of the body, or all of it.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last [`WINDOW_BYTES`] of the body, or all of it.
    pub fn tail(&self) -> &[u8] {
        if self.tail.is_empty() { &self.head } else { &self.tail }
    }
}

/// Takes a sample of a body while it is received piece by piece.
#[derive(Debug, Default)]
pub struct Sampler {
    head: Vec<u8>,
    /// The last [`WINDOW_BYTES`], and up to as many before them.
    tail: Vec<u8>,
    size: u64,
}

impl Sampler {
    pub fn push(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        let missing = WINDOW_BYTES - self.head.len();
        if missing > 0 {
            self.head.extend_from_slice(piece.get(..missing).unwrap_or(piece));
        }
        let piece = last(piece, WINDOW_BYTES);
        if piece.len() == WINDOW_BYTES {
            self.tail.clear();
        } else if self.tail.len() + piece.len() > 2 * WINDOW_BYTES {
            let before = self.tail.len() - WINDOW_BYTES;
            self.tail.drain(..before);
        }
        self.tail.extend_from_slice(piece);
    }

    pub fn finish(self) -> Sample {
        let Sampler { head, mut tail, size } = self;
        if size <= WINDOW_BYTES as u64 {
            return Sample { head, tail: Vec::new() };
        }
        let before = tail.len().saturating_sub(WINDOW_BYTES);
        tail.drain(..before);
        Sample { head, tail }
    }
}

fn last(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(most)..).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_body_that_passes_gives_the_sample_of_the_whole(
            pieces in proptest::collection::vec((any::<u8>(), 0usize..9_000), 0..12)
        ) {
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(first, length)| (0..length).map(|at| first.wrapping_add(at as u8)).collect())
                .collect();
            let mut sampler = Sampler::default();
            pieces.iter().for_each(|piece| sampler.push(piece));
            prop_assert!(sampler.tail.capacity() <= 4 * WINDOW_BYTES);
            prop_assert_eq!(sampler.finish(), Sample::of(&pieces.concat()));
        }
    }

    #[test]
    fn a_short_body_is_both_ends() {
        let sample = Sample::of(b"short");
        assert_eq!((sample.head(), sample.tail()), (&b"short"[..], &b"short"[..]));
        let long: Vec<u8> = (0..5_000u32).map(|at| at as u8).collect();
        let sample = Sample::of(&long);
        assert_eq!((sample.head(), sample.tail()), (&long[..4_096], &long[904..]));
    }
}
