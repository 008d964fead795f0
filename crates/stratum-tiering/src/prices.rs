//! What a tier costs: the four prices that a public cloud lists, given for one's own drives as well.
//!
//! They are for logical bytes, in dollars or in any other unit that the operator wants to minimise, such as wear or
//! power.

use crate::tier::{PerTier, Tier};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes in the GB that prices are given for.
const GB_BYTES: f64 = (1u64 << 30) as f64;

/// The prices of one tier, in dollars or another unit. Prices read from a file are all given, and none is negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenTier")]
pub struct TierPrices {
    /// Keeping a GB (2^30 bytes) for a month.
    pub storage_gb_month: f64,
    /// Reading a GB.
    pub retrieval_gb: f64,
    /// 1,000 reads.
    pub get_1000: f64,
    /// 1,000 objects written, or moved in.
    pub put_1000: f64,
}

/// The prices of all tiers; none is negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices(PerTier<TierPrices>);

#[derive(Debug, Error, PartialEq)]
pub enum PricesError {
    #[error("of the prices [{tier}] {problem}")]
    Tier {
        tier: Tier,
        #[source]
        problem: TierPricesError,
    },
    #[error("the prices can't be read: {0}")]
    Malformed(String),
}

/// The highest price, in dollars: with it all sums of a store are numbers still.
const MOST_PRICE: f64 = 1e9;

/// What is wrong with the prices of a tier.
#[derive(Debug, Error, PartialEq)]
pub enum TierPricesError {
    #[error("{0} is missing: each tier has storage_gb_month, retrieval_gb, get_1000 and put_1000")]
    Missing(&'static str),
    #[error("{field}: {value} is no price, which is a number from 0 up to {MOST_PRICE}")]
    NoPrice { field: &'static str, value: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    hot: Option<WrittenTier>,
    warm: Option<WrittenTier>,
    cold: Option<WrittenTier>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTier {
    #[serde(default, deserialize_with = "price")]
    storage_gb_month: Option<f64>,
    #[serde(default, deserialize_with = "price")]
    retrieval_gb: Option<f64>,
    #[serde(default, deserialize_with = "price")]
    get_1000: Option<f64>,
    #[serde(default, deserialize_with = "price")]
    put_1000: Option<f64>,
}

/// A price in a file: checked where it stands, so that whoever reads the file can name the line.
fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match f64::deserialize(deserializer)? {
        price if is_price(price) => Ok(Some(price)),
        other => {
            Err(D::Error::custom(format!("{other} is no price, which is a number from 0 up to {MOST_PRICE}")))
        }
    }
}

fn is_price(value: f64) -> bool {
    (0.0..=MOST_PRICE).contains(&value)
}

impl Prices {
    /// A public cloud's list prices (us-east-1: STANDARD, STANDARD_IA, GLACIER_IR).
    pub const CLOUD: Prices = Prices(PerTier {
        hot: TierPrices { storage_gb_month: 0.023, retrieval_gb: 0.0, get_1000: 0.0004, put_1000: 0.005 },
        warm: TierPrices { storage_gb_month: 0.0125, retrieval_gb: 0.01, get_1000: 0.001, put_1000: 0.01 },
        cold: TierPrices { storage_gb_month: 0.004, retrieval_gb: 0.03, get_1000: 0.01, put_1000: 0.02 },
    });

    pub fn new(prices: PerTier<TierPrices>) -> Result<Self, PricesError> {
        for tier in Tier::ALL {
            prices[tier].check().map_err(|problem| PricesError::Tier { tier, problem })?;
        }
        Ok(Self(prices))
    }

    /// Reads `[hot]`, `[warm]` and `[cold]`, each with all four fields of [`TierPrices`].
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let written: Written = toml::from_str(text)
            .map_err(|error| PricesError::Malformed(error.to_string().trim_end().to_owned()))?;
        let whole = |tier, written: Option<WrittenTier>| {
            let prices = TierPrices::try_from(written.unwrap_or_default());
            prices.map_err(|problem| PricesError::Tier { tier, problem })
        };
        Ok(Self(PerTier {
            hot: whole(Tier::Hot, written.hot)?,
            warm: whole(Tier::Warm, written.warm)?,
            cold: whole(Tier::Cold, written.cold)?,
        }))
    }

    /// The same prices for a store that has only the tiers in `has`: a missing tier costs so much that no object goes
    /// there.
    pub fn over(&self, has: PerTier<bool>) -> Prices {
        const NOBODY_PAYS: TierPrices = TierPrices {
            storage_gb_month: MOST_PRICE,
            retrieval_gb: MOST_PRICE,
            get_1000: MOST_PRICE,
            put_1000: MOST_PRICE,
        };
        Prices(PerTier::of(|tier| if has[tier] { self.0[tier] } else { NOBODY_PAYS }))
    }

    pub fn of(&self, tier: Tier) -> &TierPrices {
        &self.0[tier]
    }

    /// What keeping so many bytes for a month costs.
    pub fn storage_month(&self, tier: Tier, bytes: u64) -> f64 {
        self.0[tier].storage_gb_month * bytes as f64 / GB_BYTES
    }

    /// What reading so many bytes costs, without the request.
    pub fn retrieval(&self, tier: Tier, bytes: f64) -> f64 {
        self.0[tier].retrieval_gb * bytes / GB_BYTES
    }

    /// What the request of one read costs.
    pub fn get(&self, tier: Tier) -> f64 {
        self.0[tier].get_1000 / 1_000.0
    }

    /// What the request of one write costs, or the arrival of a moved object.
    pub fn put(&self, tier: Tier) -> f64 {
        self.0[tier].put_1000 / 1_000.0
    }
}

impl TierPrices {
    fn check(&self) -> Result<(), TierPricesError> {
        let wrong = self.fields().into_iter().find(|(_, value)| !is_price(*value));
        wrong.map_or(Ok(()), |(field, value)| Err(TierPricesError::NoPrice { field, value }))
    }

    fn fields(&self) -> [(&'static str, f64); 4] {
        [
            ("storage_gb_month", self.storage_gb_month),
            ("retrieval_gb", self.retrieval_gb),
            ("get_1000", self.get_1000),
            ("put_1000", self.put_1000),
        ]
    }
}

impl TryFrom<WrittenTier> for TierPrices {
    type Error = TierPricesError;

    fn try_from(written: WrittenTier) -> Result<Self, TierPricesError> {
        let there = |field, value: Option<f64>| value.ok_or(TierPricesError::Missing(field));
        let prices = TierPrices {
            storage_gb_month: there("storage_gb_month", written.storage_gb_month)?,
            retrieval_gb: there("retrieval_gb", written.retrieval_gb)?,
            get_1000: there("get_1000", written.get_1000)?,
            put_1000: there("put_1000", written.put_1000)?,
        };
        prices.check().map(|()| prices)
    }
}

/// An amount of dollars for people: to the cent from 10 cents on, below that with two significant digits.
pub fn dollars(dollars: f64) -> String {
    match dollars {
        0.0 => "$0".to_owned(),
        some if some.abs() >= 0.1 => format!("${some:.2}"),
        little => {
            let digits = (1.0 - little.abs().log10().floor()).clamp(2.0, 12.0) as usize;
            format!("${little:.digits$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
        [hot]
        storage_gb_month = 0.023
        retrieval_gb = 0
        get_1000 = 0.0004
        put_1000 = 0.005
        [warm]
        storage_gb_month = 0.0125
        retrieval_gb = 0.01
        get_1000 = 0.001
        put_1000 = 0.01
        [cold]
        storage_gb_month = 0.004
        retrieval_gb = 0.03
        get_1000 = 0.01
        put_1000 = 0.02
    ";

    #[test]
    fn small_amounts_of_money_have_two_significant_digits() {
        let told = [0.0, 12.345, 0.1, 0.0123, 0.000_045_6].map(dollars);
        assert_eq!(told, ["$0", "$12.35", "$0.10", "$0.012", "$0.000046"]);
    }

    #[test]
    fn the_default_is_what_a_file_would_say() {
        assert_eq!(Prices::parse(WHOLE), Ok(Prices::CLOUD));
    }

    #[test]
    fn what_is_missing_or_negative_is_named() {
        let refused = |text: &str| Prices::parse(text).unwrap_err();
        assert_eq!(
            refused(&WHOLE.replace("retrieval_gb = 0.03", "")),
            PricesError::Tier { tier: Tier::Cold, problem: TierPricesError::Missing("retrieval_gb") }
        );
        assert_eq!(
            refused(WHOLE.split("[cold]").next().unwrap()),
            PricesError::Tier { tier: Tier::Cold, problem: TierPricesError::Missing("storage_gb_month") }
        );
        for (from, to) in [("put_1000 = 0.01\n", "put_1000 = -0.01\n"), ("0.0004", "nan"), ("0.0004", "inf")]
        {
            let error = refused(&WHOLE.replace(from, to)).to_string();
            // With its line, and what stands on it.
            let field = if to.starts_with("put") { "put_1000 = -0.01" } else { "get_1000 = " };
            assert!(error.contains("is no price") && error.contains(field), "{error}");
        }
        let mut tiers = Prices::CLOUD.0;
        tiers.warm.put_1000 = -0.01;
        assert_eq!(
            Prices::new(tiers),
            Err(PricesError::Tier {
                tier: Tier::Warm,
                problem: TierPricesError::NoPrice { field: "put_1000", value: -0.01 }
            })
        );
        for (wrong, named) in [("puts_1000", "puts_1000"), ("put_1000 = 'a lot' #", "put_1000")] {
            let error = refused(&WHOLE.replace("put_1000", wrong));
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
