//! The sections that say how it is decided where objects lie: `[tiering]`, `[tiers.X.prices]` and `[clock]`.

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

/// What may be known of the use of objects where nobody says how much, in bytes: a million of them.
const USUAL_MEMORY: u64 = 100 << 20;
/// The least memory for what is known of the use of objects, in bytes: some ten thousand of them.
const LEAST_MEMORY: u64 = 1 << 20;

/// `[tiering]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TieringSection {
    pub policy: PolicyName,
    /// What may be known of the use of objects, in bytes.
    #[serde(deserialize_with = "memory")]
    pub memory: u64,
    pub classifier: ClassifierSection,
}

impl Default for TieringSection {
    fn default() -> Self {
        Self { policy: PolicyName::Cost, memory: USUAL_MEMORY, classifier: ClassifierSection::default() }
    }
}

/// `[tiering.classifier]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierSection {
    /// Whether it is looked what objects' bytes are.
    pub enabled: bool,
    /// An ONNX file in place of the model that is built in, beside which its description lies with the ending `.json`.
    #[serde(deserialize_with = "some_file")]
    pub model: Option<PathBuf>,
}

impl Default for ClassifierSection {
    fn default() -> Self {
        Self { enabled: true, model: None }
    }
}

/// What decides by use.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PolicyName {
    /// Expected cost.
    Cost,
    /// Idle time.
    Rules,
    /// Nothing: objects lie where people and classes say.
    Off,
}

/// `[clock]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSection {
    /// How long a day is to whoever decides where objects lie, so that a test can have weeks of seconds.
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
    /// How long a day is to buckets' lifecycle, if it isn't what `[clock]` says.
    #[serde(deserialize_with = "some_day")]
    pub day: Option<Day>,
}

impl Config {
    /// A day of buckets' lifecycle.
    pub fn lifecycle_days(&self) -> Days {
        Days(self.lifecycle.day.unwrap_or(self.clock.day))
    }

    /// What decides by use, if anything does.
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
    /// Of a tier whose prices aren't said, those of a public cloud's list count.
    ///
    /// # Errors
    /// None of what was read from a file, where each price was checked.
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
        bytes if bytes >= LEAST_MEMORY => Ok(bytes),
        _ => Err(D::Error::custom(
            "is too little to know anything: write \"1MiB\" or more, or policy = \"off\"",
        )),
    }
}

/// At most a real one.
fn some_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    day(deserializer).map(Some)
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
    let span = duration(deserializer)?;
    let millis = NonZeroU64::new(span.as_millis() as u64);
    millis
        .map(Day::new)
        .ok_or_else(|| D::Error::custom("a day can't take no time: write \"10s\", or leave it out"))
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
    fn said_nothing_expected_cost_decides_at_a_clouds_prices() {
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
    fn what_makes_no_sense_is_refused_with_its_field() {
        let prices = |from: &str, to: &str| PRICES.replace(from, to);
        for (text, told) in [
            ("[tiering]\npolicy = \"magic\"\n".to_owned(), "line 2, tiering.policy: "),
            ("[tiering]\nmemory = \"1KiB\"\n".to_owned(), "line 2, tiering.memory: "),
            ("[tiering]\nmemmory = \"1MiB\"\n".to_owned(), "line 2, tiering.memmory: "),
            ("[tiering.classifier]\nmodels = \"m\"\n".to_owned(), "line 2, tiering.classifier.models: "),
            ("[clock]\nday = \"0s\"\n".to_owned(), "line 2, clock.day: "),
            ("[clock]\nday = \"1500m\"\n".to_owned(), "line 2, clock.day: "),
            ("[clock]\nday = \"10\"\n".to_owned(), "line 2, clock.day: "),
            (prices("get_1000 = 0\n", ""), "get_1000 is missing"),
            (prices("= 2.5", "= -2.5"), "retrieval_gb is -2.5: a price is a number from 0 up"),
            (prices("= 2.5", "= nan"), "retrieval_gb is NaN: a price is a number from 0 up"),
            (prices("put_1000", "puts_1000"), "puts_1000"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
