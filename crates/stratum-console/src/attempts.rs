//! Bounds how often somebody may try to sign in.
//!
//! Failures are counted by the network that they come from and by the access key that they name, in two tables of
//! fixed size. The place in a table follows from a hash with a random seed, so that an attacker can't choose whose
//! count to fill. Two that share a place share its count, which makes one of them wait at worst. Counts begin anew
//! after a while, by a clock that nobody sets. Requests to S3 aren't bounded here, so nobody can lock a program out by guessing secrets.

use crate::door::Door;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use tracing_mutex::parkinglot::Mutex;

/// How many failures are allowed within [`WINDOW_MILLIS`]. A key is allowed more of them than a network, since strangers can
/// use up the key's count.
const FAILURES_OF_SOURCE: u32 = 10;
const FAILURES_OF_KEY: u32 = 50;
/// In milliseconds.
const WINDOW_MILLIS: u64 = 5 * 60 * 1_000;
const COUNTERS: usize = 4_096;

pub struct Attempts {
    seed: [u8; 16],
    sources: Mutex<Vec<Failures>>,
    keys: Mutex<Vec<Failures>>,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    since: u64,
    count: u32,
}

impl Failures {
    fn now(self, now: u64) -> Failures {
        match now.saturating_sub(self.since) < WINDOW_MILLIS {
            true => self,
            false => Failures { since: now, count: 0 },
        }
    }
}

/// In how many seconds somebody may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub u64);

impl Attempts {
    pub fn new(door: &dyn Door) -> Attempts {
        let mut seed = [0; 16];
        door.fill(&mut seed);
        let table = || Mutex::new(vec![Failures::default(); COUNTERS]);
        Attempts { seed, sources: table(), keys: table() }
    }

    /// Counts an attempt as a failure before its secret is checked, so that many attempts at once can't get around
    /// the bound.
    ///
    /// `now` is a time of the monotonic clock, in milliseconds: by the wall clock, which may be set back, somebody
    /// would wait for longer.
    ///
    /// # Errors
    /// There were too many failures: the attempt must wait.
    pub fn begin(&self, source: IpAddr, access_key: &str, now: u64) -> Result<(), Wait> {
        take(&self.sources, self.place(&network(source)), FAILURES_OF_SOURCE, now)?;
        take(&self.keys, self.place(access_key), FAILURES_OF_KEY, now)
    }

    /// Takes an attempt that succeeded out of the counts again.
    pub fn succeeded(&self, source: IpAddr, access_key: &str) {
        give_back(&self.sources, self.place(&network(source)));
        give_back(&self.keys, self.place(access_key));
    }

    fn place(&self, of: &(impl Hash + ?Sized)) -> usize {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        of.hash(&mut hasher);
        (hasher.finish() % COUNTERS as u64) as usize
    }
}

fn take(table: &Mutex<Vec<Failures>>, place: usize, most: u32, now: u64) -> Result<(), Wait> {
    let mut table = table.lock();
    let Some(failures) = table.get_mut(place) else { return Ok(()) };
    *failures = failures.now(now);
    if failures.count >= most {
        return Err(Wait(
            failures.since.saturating_add(WINDOW_MILLIS).saturating_sub(now).div_ceil(1_000).max(1),
        ));
    }
    if failures.count == 0 {
        failures.since = now;
    }
    failures.count += 1;
    Ok(())
}

fn give_back(table: &Mutex<Vec<Failures>>, place: usize) {
    if let Some(failures) = table.lock().get_mut(place) {
        failures.count = failures.count.saturating_sub(1);
    }
}

/// The part of an address that its owner can't choose: of IPv6 the first 64 bits.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts {
        let table = || Mutex::new(vec![Failures::default(); COUNTERS]);
        Attempts { seed: [7; 16], sources: table(), keys: table() }
    }

    #[test]
    fn a_network_and_a_key_must_wait_after_too_many_failures() {
        let (attempts, now) = (attempts(), 1_000_000);
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        for _ in 0..FAILURES_OF_SOURCE {
            assert_eq!(attempts.begin(source(1), "A", now), Ok(()));
        }
        assert_eq!(attempts.begin(source(1), "B", now + 1_000), Err(Wait(299)));
        assert_eq!(attempts.begin(source(1), "B", now + WINDOW_MILLIS), Ok(()));
        for from in 2..=5 {
            (0..FAILURES_OF_SOURCE).for_each(|_| assert_eq!(attempts.begin(source(from), "A", now), Ok(())));
        }
        assert!(attempts.begin(source(6), "A", now).is_err());
        assert_eq!(attempts.begin(source(7), "C", now), Ok(()));
    }

    #[test]
    fn sign_ins_that_succeed_are_not_bounded() {
        let (attempts, source) = (attempts(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..1_000 {
            assert_eq!(attempts.begin(source, "A", 5), Ok(()));
            attempts.succeeded(source, "A");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_count() {
        let attempts = attempts();
        for host in 0..FAILURES_OF_SOURCE {
            let source = IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(host)));
            assert_eq!(attempts.begin(source, "A", 5), Ok(()));
        }
        assert!(attempts.begin("2001:db8::ffff".parse().unwrap(), "A", 5).is_err());
        assert!(attempts.begin("2001:db8:0:1::1".parse().unwrap(), "A", 5).is_ok());
    }
}
