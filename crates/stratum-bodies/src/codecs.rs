//! Which tier codes how.

use stratum_frames::Compression;
use stratum_storage::blob::Tier;

/// What bodies that come to a tier are coded with; `None` where they are stored as they are. What was coded before is
/// read in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    pub hot: Option<Compression>,
    pub warm: Option<Compression>,
    pub cold: Option<Compression>,
}

impl Codecs {
    /// Nothing is coded.
    pub const NONE: Codecs = Codecs { hot: None, warm: None, cold: None };

    pub fn of(&self, tier: Tier) -> Option<Compression> {
        match tier {
            Tier::Hot => self.hot,
            Tier::Warm => self.warm,
            Tier::Cold => self.cold,
        }
    }
}
