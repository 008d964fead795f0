//! What is known of an object's reads: when it was last read, and how often at four time scales.
//!
//! A read costs a lock of one of a few shards and a handful of multiplications; memory is bounded by a fixed number
//! of objects, of which the least read make room. Nothing here is durable: losing it costs a worse decision, never
//! a byte.

use parking_lot::Mutex;
use std::collections::HashMap;

/// Half-lives of the read rates, in seconds: an hour, a day, a week, a month.
pub const HALF_LIVES: [f64; 4] = [3_600.0, 86_400.0, 604_800.0, 2_592_000.0];

const SHARDS: usize = 16;

/// An object, as the recorder names it: its bucket's number and a 64-bit hash of its key. Two keys that collide
/// share their statistics, which is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    pub bucket: u64,
    pub key_hash: u64,
}

/// An object's reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accesses {
    /// Unix time of the last read, in milliseconds.
    pub last: u64,
    /// Reads and ranged reads since they are counted.
    pub reads: u64,
    pub ranged: u64,
    /// For each of [`HALF_LIVES`], the exponentially decayed count of reads as of `last`.
    decayed: [f64; 4],
}

impl Accesses {
    const NONE: Accesses = Accesses { last: 0, reads: 0, ranged: 0, decayed: [0.0; 4] };

    /// Reads an hour at the given time scale (an index into [`HALF_LIVES`]), seen from `now`.
    pub fn hourly_rate(&self, scale: usize, now: u64) -> f64 {
        let Some((half_life, count)) = HALF_LIVES.get(scale).zip(self.decayed.get(scale)) else { return 0.0 };
        let mean_life = half_life / std::f64::consts::LN_2;
        count * decay(*half_life, self.last, now) / mean_life * 3_600.0
    }

    fn record(&mut self, now: u64, ranged: bool) {
        for (count, half_life) in self.decayed.iter_mut().zip(HALF_LIVES) {
            *count = *count * decay(half_life, self.last, now) + 1.0;
        }
        self.last = self.last.max(now);
        self.reads += 1;
        self.ranged += u64::from(ranged);
    }
}

fn decay(half_life: f64, from: u64, to: u64) -> f64 {
    (-(to.saturating_sub(from) as f64) / 1_000.0 / half_life).exp2()
}

/// Counts reads of a bounded number of objects.
#[derive(Debug)]
pub struct Recorder {
    shards: [Mutex<HashMap<ObjectId, Accesses>>; SHARDS],
    objects_per_shard: usize,
}

impl Recorder {
    /// Remembers about `objects` objects, at some 80 bytes each.
    pub fn new(objects: usize) -> Self {
        Self { shards: Default::default(), objects_per_shard: objects.div_ceil(SHARDS).max(1) }
    }

    /// Counts one read at `now` (Unix milliseconds).
    pub fn record(&self, object: ObjectId, now: u64, ranged: bool) {
        let mut shard = self.shard(object).lock();
        if shard.len() >= self.objects_per_shard && !shard.contains_key(&object) {
            make_room(&mut shard, now);
        }
        shard.entry(object).or_insert(Accesses::NONE).record(now, ranged);
    }

    /// What is known of an object's reads.
    pub fn accesses(&self, object: ObjectId) -> Option<Accesses> {
        self.shard(object).lock().get(&object).copied()
    }

    fn shard(&self, object: ObjectId) -> &Mutex<HashMap<ObjectId, Accesses>> {
        &self.shards[(object.key_hash ^ object.bucket) as usize % SHARDS]
    }
}

/// Forgets the less read half (by the daily rate), so that the cost of choosing is spread over many reads.
fn make_room(shard: &mut HashMap<ObjectId, Accesses>, now: u64) {
    let mut rates: Vec<(f64, ObjectId)> =
        shard.iter().map(|(object, accesses)| (accesses.hourly_rate(1, now), *object)).collect();
    let half = rates.len() / 2;
    rates.select_nth_unstable_by(half, |a, b| a.0.total_cmp(&b.0));
    for (_, object) in &rates[..half.max(1)] {
        shard.remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId { bucket: 1, key_hash: 7 };

    #[test]
    fn a_steady_reader_shows_its_rate_at_every_scale() {
        let recorder = Recorder::new(100);
        let minute = 60_000;
        let reads = 60 * 24 * 200;
        for read in 0..reads {
            recorder.record(OBJECT, read * minute, read % 2 == 0);
        }
        let seen = recorder.accesses(OBJECT).unwrap();
        assert_eq!((seen.reads, seen.ranged), (reads, reads / 2));
        for scale in 0..HALF_LIVES.len() {
            let rate = seen.hourly_rate(scale, seen.last);
            assert!((rate - 60.0).abs() < 2.0, "scale {scale}: {rate}");
        }
    }

    #[test]
    fn a_rate_halves_in_its_half_life() {
        let recorder = Recorder::new(100);
        recorder.record(OBJECT, 0, false);
        let seen = recorder.accesses(OBJECT).unwrap();
        assert!((seen.hourly_rate(0, 3_600_000) / seen.hourly_rate(0, 0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_most_read_stay_when_memory_is_full() {
        let recorder = Recorder::new(SHARDS * 8);
        for _ in 0..10 {
            recorder.record(OBJECT, 1_000, false);
        }
        for key_hash in 0..10_000 {
            recorder.record(ObjectId { bucket: 2, key_hash }, 2_000, false);
        }
        assert_eq!(recorder.accesses(OBJECT).map(|seen| seen.reads), Some(10));
        let kept: usize = recorder.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= SHARDS * 8, "{kept}");
    }
}
