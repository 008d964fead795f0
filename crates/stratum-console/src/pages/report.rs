//! The report of what a bucket holds in each tier, which the operator's API gives to whoever may list the bucket.

use crate::ask::Ask;
use crate::trouble::Trouble;
use http::Method;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, Default, Debug, Clone)]
#[serde(default)]
pub struct Report {
    /// When the bucket was counted. None before a walk has been over it.
    pub as_of: Option<u64>,
    pub held: Held,
    pub month_cost: f64,
    pub month_cost_in_hot: f64,
    pub month: Option<Month>,
    /// What of it lies beside the folders of the prefix, where a walk has counted that.
    pub beside: Option<Beside>,
    pub after: Option<String>,
}

#[derive(Deserialize, Default, Debug, Clone, Copy)]
#[serde(default)]
pub struct Beside {
    pub held: Held,
    pub month_cost: f64,
}

#[derive(Deserialize, Default, Debug, Clone, Copy)]
#[serde(default)]
pub struct Held {
    pub objects: PerTier,
    pub bytes: PerTier,
}

#[derive(Deserialize, Default, Debug, Clone, Copy)]
#[serde(default)]
pub struct PerTier {
    pub hot: u64,
    pub warm: u64,
    pub cold: u64,
}

#[derive(Deserialize, Default, Debug, Clone)]
#[serde(default)]
pub struct Month {
    pub saved: f64,
    pub spent: f64,
    /// How many objects and bytes were moved, by the reason.
    pub moved: BTreeMap<String, (u64, u64)>,
}

impl PerTier {
    pub fn all(&self) -> u64 {
        self.hot + self.warm + self.cold
    }

    pub fn named(&self) -> [(&'static str, u64); 3] {
        [("hot", self.hot), ("warm", self.warm), ("cold", self.cold)]
    }

    pub fn shares(&self) -> [(&'static str, f64); 3] {
        self.named().map(|(name, part)| (name, part as f64))
    }

    /// `50.0 % hot, 50.0 % cold`
    pub fn in_words(&self) -> String {
        let parts = self.named().into_iter().filter(|(_, part)| *part > 0);
        let parts: Vec<String> = parts
            .map(|(name, part)| format!("{} {name}", crate::shown::percent(part as f64, self.all() as f64)))
            .collect();
        if parts.is_empty() { "empty".into() } else { parts.join(", ") }
    }
}

impl Held {
    pub fn add(&mut self, other: &Held) {
        for (sum, more) in [(&mut self.objects, &other.objects), (&mut self.bytes, &other.bytes)] {
            sum.hot += more.hot;
            sum.warm += more.warm;
            sum.cold += more.cold;
        }
    }
}

/// The report of a whole bucket.
pub async fn report(ask: &Ask<'_>, bucket: &str) -> Result<Report, Trouble> {
    ask.operator(Method::GET, "/tier/report").with([("bucket", bucket)]).json().await
}

/// What the last walk found under a prefix or in the whole bucket, if that is kept. Otherwise objects are counted, a page
/// from `after` on.
pub async fn page_under(ask: &Ask<'_>, bucket: &str, prefix: &str, after: &str) -> Result<Report, Trouble> {
    let asked = ask.operator(Method::GET, "/tier/report");
    asked.with([("bucket", bucket), ("prefix", prefix), ("after", after), ("quick", "true")]).json().await
}
