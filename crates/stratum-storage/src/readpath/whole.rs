//! A stripe as it lies on the drives: whole fragments, with their headers and padding.
//!
//! Readers of bodies never come here; this is for those who look after stripes: heal, scrub and fsck. A fragment is
//! without a flaw only if its header says what its place says, every block verifies and the padding is zeros.

use crate::codec::CodecError;
use crate::drive::is_out;
use crate::format::layout::{Blocks, CRC, FRAGMENT_HEADER, Stripe};
use crate::format::v1::{Fragment, Seed};
use crate::volume::{LiveStripe, PlacedShard, Volume};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

/// What is wrong with a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The state says that its shard is lost.
    Lost,
    /// Its drive is missing or has failed.
    Away,
    /// Its shard file isn't there.
    NoFile,
    /// Its shard file ends before it does.
    Short,
    /// The drive answers with an error.
    Unreadable(String),
    /// It isn't what was written.
    Damaged,
}

/// How much of a stripe is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WantedFragments {
    /// `k` fragments that can be trusted, from those that are most likely good.
    Enough,
    /// This shard's, and if that isn't without a flaw, enough to compute it.
    One(u8),
    /// All of them.
    All,
}

/// Whether parity says what the data says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    Agrees,
    /// Every checksum is right, and the others agree without this one shard.
    Disagrees {
        shard: u8,
    },
    /// Every checksum is right, and no single shard explains the difference: nobody can say which bytes are right.
    Ambiguous,
    /// Not all fragments are there to compare.
    Unknown,
}

/// A stripe in memory: at most [`crate::volume::memory`] bytes.
#[derive(Debug)]
pub(crate) struct Whole {
    volume: Arc<Volume>,
    pub live: LiveStripe,
    pub pieces: Vec<StripeFragment>,
}

/// A shard's part of it.
#[derive(Debug)]
pub(crate) struct StripeFragment {
    /// The shard file that the fragment was read from.
    pub file: Arc<PlacedShard>,
    /// What is wrong with it; also nothing if nobody looked.
    pub flaw: Option<Flaw>,
    /// The whole fragment, if its data verifies. With a flaw nevertheless if only header or padding are damaged.
    bytes: Option<Vec<u8>>,
}

impl Whole {
    /// Reads a stripe. Blocks.
    pub fn read(volume: &Arc<Volume>, live: LiveStripe, wanted: WantedFragments) -> Whole {
        let mut whole = Whole::unread(volume, live);
        let mut order: Vec<usize> = (0..whole.pieces.len()).collect();
        order.sort_by_key(|shard| {
            let is_bad = whole.pieces.get(*shard).is_some_and(|piece| !piece.file.is_good());
            (wanted != WantedFragments::One(*shard as u8), is_bad)
        });
        for shard in order {
            if whole.suffices(wanted) {
                break;
            }
            whole.read_piece(shard);
        }
        whole
    }

    /// Whether a file that is to become a volume's shard holds its fragment of a stripe, without a flaw. Blocks.
    pub fn is_right_in(volume: &Arc<Volume>, live: LiveStripe, shard: u8, file: &Arc<PlacedShard>) -> bool {
        let mut whole = Whole::unread(volume, live);
        if let Some(piece) = whole.pieces.get_mut(usize::from(shard)) {
            piece.file = file.clone();
        }
        whole.read_piece(shard.into());
        whole.has(shard) && whole.flaws().next().is_none()
    }

    fn unread(volume: &Arc<Volume>, live: LiveStripe) -> Whole {
        let pieces =
            volume.shards().map(|(_, file)| StripeFragment { file, flaw: None, bytes: None }).collect();
        Whole { volume: volume.clone(), live, pieces }
    }

    fn suffices(&self, wanted: WantedFragments) -> bool {
        let is_enough = self.present() >= self.needed();
        match wanted {
            WantedFragments::Enough => is_enough,
            WantedFragments::One(shard) => is_enough || self.has(shard) && self.flaws().next().is_none(),
            WantedFragments::All => false,
        }
    }

    /// Whether a shard's data is there, read or computed.
    pub fn has(&self, shard: u8) -> bool {
        self.pieces.get(usize::from(shard)).is_some_and(|piece| piece.bytes.is_some())
    }

    /// How many fragments there must be to compute the others.
    pub fn needed(&self) -> usize {
        self.volume.geometry.k.into()
    }

    /// How many fragments have data that verifies.
    pub fn present(&self) -> usize {
        self.pieces.iter().filter(|piece| piece.bytes.is_some()).count()
    }

    fn read_piece(&mut self, shard: usize) {
        let Some(piece) = self.pieces.get(shard) else { return };
        let outcome = piece.file.read(self.live.offset, self.live.stripe.disk() as usize);
        let checked =
            outcome.and_then(|bytes| match self.check(shard as u8, piece.file.generation, &bytes) {
                Some(checked) => Ok((bytes, checked)),
                None => Err(Flaw::Damaged),
            });
        let (bytes, flaw) = match checked {
            Ok((bytes, FragmentChecks { header, padding })) => {
                let is_right = header && padding;
                (Some(bytes), (!is_right).then_some(Flaw::Damaged))
            }
            Err(flaw) => (None, Some(flaw)),
        };
        if let Some(piece) = self.pieces.get_mut(shard) {
            // What verifies is right wherever it comes from, but it doesn't count where it lies.
            piece.flaw = piece.file.absence().or(flaw);
            piece.bytes = bytes;
        }
    }

    /// Checks the data of a fragment.
    fn check(&self, shard: u8, generation: u32, bytes: &[u8]) -> Option<FragmentChecks> {
        check(self.address(shard, generation), bytes)
    }

    fn address(&self, shard: u8, generation: u32) -> Fragment {
        Fragment {
            volume: self.volume.id,
            generation,
            shard,
            offset: self.live.offset,
            stripe: self.live.stripe,
            kind: self.live.kind,
        }
    }

    /// Computes the data of every fragment that isn't there.
    pub fn complete(&mut self) -> Result<(), CodecError> {
        let stripe = self.live.stripe;
        let was_there: Vec<bool> = self.pieces.iter().map(|piece| piece.bytes.is_some()).collect();
        let (present, needed) = (self.present(), self.needed());
        if present < needed {
            return Err(CodecError::TooFew { present, needed });
        }
        let empty = || vec![0; stripe.disk() as usize];
        let mut fragments: Vec<&mut Vec<u8>> =
            self.pieces.iter_mut().map(|piece| piece.bytes.get_or_insert_with(empty)).collect();
        for (_, data) in blocks(stripe) {
            let rows = fragments.iter_mut().map(|bytes| bytes.get_mut(data.clone()).unwrap_or_default());
            let mut rows: Vec<(&mut [u8], bool)> = rows.zip(was_there.iter().copied()).collect();
            self.volume.codec.restore(&mut rows)?;
        }
        Ok(())
    }

    /// A shard's fragment, of a complete stripe, as it belongs into a shard file of that generation.
    pub fn fragment(&self, shard: u8, generation: u32) -> Option<Vec<u8>> {
        let mut bytes = self.pieces.get(usize::from(shard))?.bytes.clone()?;
        let address = self.address(shard, generation);
        bytes.get_mut(..FRAGMENT_HEADER)?.copy_from_slice(&address.encode());
        for (block, data) in blocks(self.live.stripe) {
            let crc = address.seed().checksum(block, bytes.get(data.clone())?);
            bytes.get_mut(data.start - CRC..data.start)?.copy_from_slice(&crc.to_le_bytes());
        }
        bytes.get_mut(used(self.live.stripe)..)?.fill(0);
        let checked = self.check(shard, generation, &bytes)?;
        checked.header.then_some(bytes)
    }

    /// Whether parity says what the data says. To be asked before the stripe is completed.
    pub fn parity(&self) -> Parity {
        let fragments: Option<Vec<&[u8]>> = self.pieces.iter().map(|piece| piece.bytes.as_deref()).collect();
        let Some(fragments) = fragments else { return Parity::Unknown };
        if self.agrees(&fragments) {
            return Parity::Agrees;
        }
        // With a single parity any shard would explain it.
        if self.volume.geometry.m < 2 {
            return Parity::Ambiguous;
        }
        let suspects: Vec<u8> =
            (0..fragments.len() as u8).filter(|shard| self.explains(&fragments, *shard)).collect();
        match suspects.as_slice() {
            [shard] => Parity::Disagrees { shard: *shard },
            _ => Parity::Ambiguous,
        }
    }

    fn agrees<'a>(&self, fragments: &[&'a [u8]]) -> bool {
        let (sources, parities) = fragments.split_at(self.needed().min(fragments.len()));
        blocks(self.live.stripe).all(|(_, data)| {
            let row = |fragments: &[&'a [u8]]| -> Option<Vec<&'a [u8]>> {
                fragments.iter().map(|fragment| fragment.get(data.clone())).collect()
            };
            let (Some(sources), Some(parities)) = (row(sources), row(parities)) else { return false };
            let mut computed = vec![vec![0; data.len()]; parities.len()];
            let mut into: Vec<&mut [u8]> = computed.iter_mut().map(Vec::as_mut_slice).collect();
            self.volume.codec.encode(&sources, &mut into).is_ok() && computed == parities
        })
    }

    /// Whether all fragments agree once this shard's is computed from the others.
    fn explains(&self, fragments: &[&[u8]], shard: u8) -> bool {
        let mut bytes: Vec<Vec<u8>> = fragments.iter().map(|fragment| fragment.to_vec()).collect();
        for (_, data) in blocks(self.live.stripe) {
            let rows = bytes.iter_mut().map(|bytes| bytes.get_mut(data.clone()).unwrap_or_default());
            let mut rows: Vec<(&mut [u8], bool)> =
                rows.enumerate().map(|(at, row)| (row, at != usize::from(shard))).collect();
            if self.volume.codec.restore(&mut rows).is_err() {
                return false;
            }
        }
        let fragments: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        self.agrees(&fragments)
    }

    /// Forgets a fragment, so that it is computed from the others.
    pub fn distrust(&mut self, shard: u8) {
        if let Some(piece) = self.pieces.get_mut(usize::from(shard)) {
            piece.bytes = None;
            piece.flaw = Some(Flaw::Damaged);
        }
    }

    /// The fragments with a flaw, by shard.
    pub fn flaws(&self) -> impl Iterator<Item = (u8, &Flaw)> {
        self.pieces.iter().enumerate().filter_map(|(shard, piece)| Some((shard as u8, piece.flaw.as_ref()?)))
    }
}

/// Whether a fragment is as it must lie at that address, without a flaw.
pub(crate) fn is_flawless(expected: Fragment, bytes: &[u8]) -> bool {
    check(expected, bytes).is_some_and(|checks| checks.header && checks.padding)
}

/// Checks a fragment's header and padding; `None` if its data doesn't verify.
fn check(expected: Fragment, bytes: &[u8]) -> Option<FragmentChecks> {
    let (header, seed) = (Fragment::decode(bytes) == Ok(expected), expected.seed());
    let data_verifies = blocks(expected.stripe).all(|(block, data)| verifies(seed, block, data, bytes));
    data_verifies.then(|| FragmentChecks {
        header,
        padding: bytes.get(used(expected.stripe)..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0)),
    })
}

/// What is checked of a fragment besides its data.
struct FragmentChecks {
    /// Whether its header is right.
    header: bool,
    /// Whether the padding is zeros.
    padding: bool,
}

/// Where the data of each block lies in a fragment.
fn blocks(stripe: Stripe) -> impl Iterator<Item = (u32, Range<usize>)> {
    Blocks::all(stripe)
        .data(stripe)
        .map(|(block, data)| (block, FRAGMENT_HEADER + data.start..FRAGMENT_HEADER + data.end))
}

/// Bytes of a fragment before its padding.
fn used(stripe: Stripe) -> usize {
    FRAGMENT_HEADER + Blocks::all(stripe).disk(stripe)
}

fn verifies(seed: Seed, block: u32, data: Range<usize>, bytes: &[u8]) -> bool {
    let stored = bytes.get(data.start - CRC..data.start);
    stored.zip(bytes.get(data)).is_some_and(|(stored, data)| seed.verifies(block, stored, data))
}

impl PlacedShard {
    /// Why the shard doesn't count, whatever its file holds.
    pub(crate) fn absence(&self) -> Option<Flaw> {
        match (self.is_lost(), self.is_healthy()) {
            (true, _) => Some(Flaw::Lost),
            (false, false) => Some(Flaw::Away),
            (false, true) => None,
        }
    }

    /// Reads exactly that range. Blocks.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Flaw> {
        let mut bytes = vec![0; length];
        let read = self.open().and_then(|file| file.read_at(&mut bytes, offset));
        match read {
            Ok(read) if read == length => Ok(bytes),
            Ok(_) => Err(Flaw::Short),
            Err(error) if is_out(&error) => Err(Flaw::Away),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Flaw::NoFile),
            Err(error) => Err(Flaw::Unreadable(error.to_string())),
        }
    }
}
