//! Caches that are bounded by the weight of what they keep.
//!
//! quick_cache divides a cache into shards, each with a lock and an equal share of the bound: four for each processor,
//! unless it is told otherwise. A value that is heavier than a share is never kept, so a machine with more processors
//! would make large values anew each time they are asked for. Here a share has room for the heaviest value.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::hash::Hash;
use std::thread;

/// How many shards a cache has for each processor, so that threads seldom meet at one.
const SHARDS_PER_PROCESSOR: usize = 4;

/// How much a cache holds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// About how many values that is.
    pub usual_values: usize,
    /// How much all values weigh together at most.
    pub most: u64,
    /// The weight of the heaviest value that is kept on any machine.
    pub heaviest: u64,
}

/// A cache within these bounds.
pub fn bounded<K, V, W>(bounds: Bounds, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let processors = thread::available_parallelism().map_or(1, usize::from);
    with_shards(bounds.shards(processors * SHARDS_PER_PROCESSOR), bounds, weighter)
}

impl Bounds {
    /// How many shards there are where so many are wanted: a power of two.
    fn shards(&self, wanted: usize) -> usize {
        // A shard keeps a value of up to 97 % of its share.
        let room = self.heaviest + self.heaviest / 16 + 1;
        let fitting = usize::try_from(self.most / room).unwrap_or(usize::MAX);
        1 << wanted.min(fitting).max(1).ilog2()
    }
}

fn with_shards<K, V, W>(shards: usize, bounds: Bounds, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let Bounds { usual_values, most, heaviest: _ } = bounds;
    let mut options = OptionsBuilder::new();
    options.shards(shards).estimated_items_capacity(usual_values).weight_capacity(most);
    match options.build() {
        Ok(options) => {
            Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // Only options that lack a capacity are refused.
        Err(_) => Cache::with_weighter(usual_values, most, weighter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Itself;

    impl Weighter<u64, u64> for Itself {
        fn weight(&self, _: &u64, value: &u64) -> u64 {
            *value
        }
    }

    #[test]
    fn the_heaviest_value_is_kept_whatever_the_number_of_processors() {
        for (most, heaviest) in [(2 << 20, 1 << 20), (64 << 20, 2 << 20), (16 << 20, 1 << 20), (1 << 20, 100)]
        {
            for wanted in [1, 2, 3, 8, 32, 64, 256, 1024] {
                let bounds = Bounds { usual_values: 64 << 10, most, heaviest };
                let shards = bounds.shards(wanted);
                assert!(shards <= wanted, "{shards} of {wanted}");
                let cache = with_shards(shards, bounds, Itself);
                assert_eq!(cache.num_shards(), shards);
                for key in 0..64 {
                    cache.insert(key, heaviest);
                    assert_eq!(cache.get(&key), Some(heaviest), "{key} of {most} in {shards}");
                    assert!(cache.weight() <= most + shards as u64);
                }
            }
        }
    }

    #[test]
    fn a_cache_of_small_values_has_as_many_shards_as_are_wanted() {
        let bounds = Bounds { usual_values: 64 << 10, most: 64 << 20, heaviest: 1 << 10 };
        assert_eq!([1, 8, 24, 64].map(|wanted| bounds.shards(wanted)), [1, 8, 16, 64]);
    }
}
