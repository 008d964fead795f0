//! Puts small pieces of payload together.

use bytes::{Bytes, BytesMut};

/// A piece of at least this many bytes is passed on as it is.
const WHOLE_PIECE_BYTES: usize = 8 << 10;

/// Small pieces are put together until they are this many bytes.
const GATHERED_BYTES: usize = 32 << 10;

/// Payload that arrived and wasn't passed on yet: never more than [`GATHERED_BYTES`] bytes and one piece.
#[derive(Debug, Default)]
pub struct Gathered {
    small: BytesMut,
    /// A large piece, which comes after the small ones.
    large: Option<Bytes>,
}

impl Gathered {
    /// Whether there is a piece to pass on already, without waiting for more.
    pub fn is_ready(&self) -> bool {
        self.large.is_some() || self.small.len() >= GATHERED_BYTES
    }

    /// Takes a piece. The last piece isn't copied if no small pieces wait to be put together with it.
    pub fn push(&mut self, piece: Bytes, is_last: bool) {
        if piece.len() >= WHOLE_PIECE_BYTES || is_last && self.small.is_empty() {
            self.large = Some(piece);
            return;
        }
        if self.small.capacity() == 0 {
            self.small.reserve(GATHERED_BYTES + WHOLE_PIECE_BYTES);
        }
        self.small.extend_from_slice(&piece);
    }

    /// The next piece to pass on.
    pub fn take(&mut self) -> Option<Bytes> {
        match self.small.is_empty() {
            true => self.large.take(),
            false => Some(std::mem::take(&mut self.small).freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pieces that come out where pieces of these sizes go in.
    fn out(sizes: &[usize]) -> Vec<Bytes> {
        let all: Bytes = (0..sizes.iter().sum()).map(|at: usize| (at * 31) as u8).collect();
        let (mut gathered, mut rest, mut out) = (Gathered::default(), all, Vec::new());
        for size in sizes {
            let piece = rest.split_to(*size);
            gathered.push(piece, rest.is_empty());
            while gathered.is_ready() {
                out.extend(gathered.take());
            }
        }
        out.extend(std::iter::from_fn(|| gathered.take()));
        out
    }

    #[test]
    fn single_bytes_come_out_as_large_pieces() {
        let sizes: Vec<_> = out(&vec![1; 100_000]).iter().map(Bytes::len).collect();
        assert_eq!(sizes, [GATHERED_BYTES, GATHERED_BYTES, GATHERED_BYTES, 100_000 - 3 * GATHERED_BYTES]);
    }

    #[test]
    fn what_comes_in_one_piece_is_passed_on_as_it_is() {
        let piece = Bytes::from_static(b"small");
        let mut gathered = Gathered::default();
        gathered.push(piece.clone(), true);
        assert!(gathered.is_ready());
        assert_eq!(gathered.take().map(|out| out.as_ptr()), Some(piece.as_ptr()));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_out_of_order(sizes in proptest::collection::vec(1..20_000_usize, 1..40)) {
            let total: usize = sizes.iter().sum();
            let all: Vec<u8> = (0..total).map(|at| (at * 31) as u8).collect();
            prop_assert_eq!(out(&sizes).concat(), all);
        }
    }
}
