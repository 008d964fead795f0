//! The first and last bytes of a body, kept for the classifier while the body passes.
//!
//! A small body is in memory as a whole until its command is committed, so it is merely held. Of a larger body the ends
//! are copied, which are eight kilobytes however long the body is.

use bytes::Bytes;
use stratum_tiering::content::{Sample, Sampler};

/// What was kept of a body for the classifier.
#[derive(Clone, Debug, Default)]
pub enum Ends {
    /// Nothing, since the classifier is off or may not see the body.
    #[default]
    None,
    Whole(Bytes),
    Sampled(Sample),
}

impl Ends {
    /// The sample for the classifier; `None` where nothing was kept, or the body is empty. Copies the ends of a body
    /// that was held as a whole.
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

/// Keeps the ends of a body that passes, if the classifier asks for them.
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
