//! The sections about how it is decided on which tier objects lie, and how long a day is: `[tiering]`,
//! `[tiers.X.prices]`, `[clock]` and `[lifecycle]`.

use super::paths::some_file;
use super::{Config, Tiers, duration, size};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::num::NonZeroU64;
use std::path::PathBuf;
use stratum_lifecycle::Days;
use stratum_tiering::day::Day;
use stratum_tiering::policy::Policy;
use stratum_tiering::prices::{Prices, PricesError, TierPrices};
use stratum_tiering::tier::{PerTier, Tier};

/// The default of `memory`, in bytes: enough for the use of a million objects.
const USUAL_MEMORY_BYTES: u64 = 100 << 20;
/// The least that `memory` may be, in bytes: enough for the use of some ten thousand objects.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

/// `[tiering]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TieringSection {
    pub policy: PolicyName,
    /// How much memory the statistics of objects' use may take, in bytes.
    #[serde(deserialize_with = "memory")]
    pub memory: u64,
    pub classifier: ClassifierSection,
}

impl Default for TieringSection {
    fn default() -> Self {
        Self {
            policy: PolicyName::Cost,
            memory: USUAL_MEMORY_BYTES,
            classifier: ClassifierSection::default(),
        }
    }
}

/// `[tiering.classifier]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierSection {
    /// Whether objects are classified by their bytes.
    pub enabled: bool,
    /// An ONNX file to use instead of the built-in model. Its description lies beside it, with the ending `.json`.
    #[serde(deserialize_with = "some_file")]
    pub model: Option<PathBuf>,
}

impl Default for ClassifierSection {
    fn default() -> Self {
        Self { enabled: true, model: None }
    }
}

/// The policy that decides by objects' use on which tier they lie.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PolicyName {
    /// By expected cost.
    Cost,
    /// By idle time.
    Rules,
    /// No policy: objects lie where people, lifecycle rules and storage classes put them.
    Off,
}

/// `[clock]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSection {
    /// How long a day is for the tiering policy: a test may shorten it, so that weeks pass in seconds.
    #[serde(deserialize_with = "day")]
    pub day: Day,
}

impl Default for ClockSection {
    fn default() -> Self {
        Self { day: Day::REAL }
    }
}

/// `[lifecycle]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleSection {
    /// How long a day is for lifecycle rules, where it differs from the day of `[clock]`.
    #[serde(deserialize_with = "some_day")]
    pub day: Option<Day>,
}

impl Config {
    /// The length of a day for lifecycle rules.
    pub fn lifecycle_days(&self) -> Days {
        Days(self.lifecycle.day.unwrap_or(self.clock.day))
    }

    /// The tiering policy, unless it is off.
    pub fn policy(&self) -> Option<Policy> {
        let policy = match self.tiering.policy {
            PolicyName::Cost => Policy::COST,
            PolicyName::Rules => Policy::IDLE,
            PolicyName::Off => return None,
        };
        Some(Policy { day: self.clock.day, ..policy })
    }
}

impl Tiers {
    /// The prices of all tiers. A tier without prices has those of a public cloud's price list.
    ///
    /// # Errors
    /// A price is no number from 0 up. Prices that were read from a file were checked before, so they give no error.
    pub fn prices(&self) -> Result<Prices, PricesError> {
        let usual = |prices: Option<TierPrices>, tier| prices.unwrap_or(*Prices::CLOUD.of(tier));
        Prices::new(PerTier {
            hot: usual(self.hot.prices, Tier::Hot),
            warm: usual(self.warm.prices, Tier::Warm),
            cold: usual(self.cold.prices, Tier::Cold),
        })
    }
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match size(deserializer)? {
        bytes if bytes >= LEAST_MEMORY_BYTES => Ok(bytes),
        _ => Err(D::Error::custom(
            "is too little to keep the use of objects in: write \"1MiB\" or more, or policy = \"off\"",
        )),
    }
}

fn some_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    day(deserializer).map(Some)
}

/// The length of a day: more than nothing, and no longer than a real day, which is the longest duration that is
/// accepted.
fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
    let span = duration(deserializer)?;
    let millis = NonZeroU64::new(span.as_millis() as u64);
    millis.map(Day::new).ok_or_else(|| {
        D::Error::custom("a day must be longer than nothing: write \"10s\", or leave the setting out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use stratum_tiering::policy::Model;

    fn read(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("stratum.toml"), text).map_err(|error| error.to_string())
    }

    const PRICES: &str =
        "[tiers.warm.prices]\nstorage_gb_month = 1\nretrieval_gb = 2.5\nget_1000 = 0\nput_1000 = 3\n";

    #[test]
    fn by_default_expected_cost_decides_at_a_clouds_prices() {
        let said = read("").unwrap();
        assert_eq!((said.policy(), said.tiering.memory), (Some(Policy::COST), 100 << 20));
        assert_eq!(said.tiers.prices(), Ok(Prices::CLOUD));
    }

    #[test]
    fn policy_memory_prices_and_day_are_read() {
        let text =
            format!("[tiering]\npolicy = \"rules\"\nmemory = \"2MiB\"\n[clock]\nday = \"10s\"\n{PRICES}");
        let said = read(&text).unwrap();
        let (policy, prices) = (said.policy().unwrap(), said.tiers.prices().unwrap());
        assert!(matches!(policy.model, Model::Idle(_)));
        assert_eq!((policy.day.milliseconds(), said.tiering.memory), (10_000, 2 << 20));
        assert_eq!(prices.of(Tier::Warm).retrieval_gb, 2.5);
        assert_eq!(prices.of(Tier::Cold), Prices::CLOUD.of(Tier::Cold));
        assert_eq!(read("[tiering]\npolicy = \"off\"\n").unwrap().policy(), None);
        let classifier = |text: &str| {
            let ClassifierSection { enabled, model } = read(text).unwrap().tiering.classifier;
            (enabled, model)
        };
        assert_eq!(classifier(""), (true, None));
        let text = "[tiering.classifier]\nenabled = false\nmodel = \"/m.onnx\"\n";
        assert_eq!(classifier(text), (false, Some("/m.onnx".into())));
    }

    #[test]
    fn values_without_a_meaning_are_refused_with_their_field() {
        let prices = |from: &str, to: &str| PRICES.replace(from, to);
        for (text, told) in [
            ("[tiering]\npolicy = \"magic\"\n".to_owned(), "line 2, tiering.policy: "),
            ("[tiering]\nmemory = \"1KiB\"\n".to_owned(), "line 2, tiering.memory: "),
            ("[tiering]\nmemmory = \"1MiB\"\n".to_owned(), "line 2, tiering.memmory: "),
            ("[tiering.classifier]\nmodels = \"m\"\n".to_owned(), "line 2, tiering.classifier.models: "),
            ("[clock]\nday = \"0s\"\n".to_owned(), "line 2, clock.day: "),
            ("[clock]\nday = \"1500m\"\n".to_owned(), "line 2, clock.day: "),
            ("[clock]\nday = \"10\"\n".to_owned(), "line 2, clock.day: "),
            (prices("get_1000 = 0\n", ""), "line 1, tiers.warm.prices: get_1000 is missing"),
            (
                prices("= 2.5", "= -2.5"),
                "line 3, tiers.warm.prices.retrieval_gb: -2.5 is no price, which is a number from 0 up",
            ),
            (prices("= 2.5", "= 1e308"), "line 3, tiers.warm.prices.retrieval_gb: "),
            (prices("= 2.5", "= nan"), "line 3, tiers.warm.prices.retrieval_gb: NaN is no price"),
            (prices("put_1000", "puts_1000"), "puts_1000"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
