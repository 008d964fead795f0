//! Caches of what was parsed from text. A cache is bounded by that text, of which a parsed value takes up to 40 times
//! the bytes.

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_storage::cache::{Bounds, bounded};

/// How many values a cache is laid out for.
const USUAL_VALUES: usize = 1024;
/// The bytes of text that a value counts for at least.
const LEAST_BYTES: u64 = 256;

/// A cache of values of this kind, by their keys.
pub type Kept<K, V> = Cache<K, V, ByText>;

/// What was parsed from text.
pub trait Parsed {
    /// How many bytes of text it was parsed from.
    fn text_bytes(&self) -> u64;
}

impl<T: Parsed> Parsed for Arc<T> {
    fn text_bytes(&self) -> u64 {
        (**self).text_bytes()
    }
}

#[derive(Clone, Debug)]
pub struct ByText;

impl<K, V: Parsed> Weighter<K, V> for ByText {
    fn weight(&self, _: &K, value: &V) -> u64 {
        value.text_bytes().max(LEAST_BYTES)
    }
}

/// A cache that keeps what was parsed from at most `most_bytes` of text together, and from `longest_bytes` each.
pub fn kept<K: Eq + std::hash::Hash, V: Parsed + Clone>(most_bytes: u64, longest_bytes: u64) -> Kept<K, V> {
    bounded(Bounds { usual_values: USUAL_VALUES, most: most_bytes, heaviest: longest_bytes }, ByText)
}
