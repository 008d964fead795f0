//! Small pieces of payload, put together.

use bytes::{Bytes, BytesMut};

/// From this many bytes on a piece is passed on as it is.
const SMALL: usize = 8 << 10;

/// What small pieces are put together to, in bytes.
const ENOUGH: usize = 32 << 10;

/// Payload that arrived and wasn't passed on: never more than [`ENOUGH`] and one piece.
#[derive(Debug, Default)]
pub struct Gathered {
    small: BytesMut,
    /// Comes after what is small.
    large: Option<Bytes>,
}

impl Gathered {
    /// Whether there is something to pass on before more has arrived.
    pub fn is_ready(&self) -> bool {
        self.large.is_some() || self.small.len() >= ENOUGH
    }

    /// Takes a piece. The last one isn't copied if nothing waits that it could be put together with.
    pub fn push(&mut self, piece: Bytes, is_last: bool) {
        if piece.len() >= SMALL || is_last && self.small.is_empty() {
            self.large = Some(piece);
            return;
        }
        if self.small.capacity() == 0 {
            self.small.reserve(ENOUGH + SMALL);
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

    /// What comes out of pieces of these sizes.
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
        assert_eq!(sizes, [ENOUGH, ENOUGH, ENOUGH, 100_000 - 3 * ENOUGH]);
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
