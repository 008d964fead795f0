//! The first and last bytes of a body, kept while it passes for who looks at what it is.
//!
//! A small body is there as a whole until its command is committed, so it is merely held; of a larger one the ends are
//! copied, eight kilobytes whatever its length is.

use bytes::Bytes;
use stratum_tiering::content::{Sample, Sampler};

/// What was kept of a body.
#[derive(Clone, Debug, Default)]
pub enum Ends {
    /// Nobody asks for them.
    #[default]
    None,
    Whole(Bytes),
    Sampled(Sample),
}

impl Ends {
    /// Nothing where nothing was kept, or there is nothing to see. Copies what isn't copied yet.
    pub fn into_sample(self) -> Option<Sample> {
        match self {
            Ends::None => None,
            Ends::Whole(whole) => (!whole.is_empty()).then(|| Sample::of(&whole)),
            Ends::Sampled(sample) => Some(sample),
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Ends::None)
    }
}

/// Keeps the ends of a body that passes, if they are asked for.
#[derive(Debug)]
pub(super) struct Keeper(Option<Sampler>);

impl Keeper {
    pub fn new(is_asked: bool) -> Keeper {
        Keeper(is_asked.then(Sampler::default))
    }

    pub fn push(&mut self, piece: &[u8]) {
        if let Some(sampler) = &mut self.0 {
            sampler.push(piece);
        }
    }

    pub fn finish(self) -> Ends {
        self.0.map_or(Ends::None, |sampler| Ends::Sampled(sampler.finish()))
    }
}
