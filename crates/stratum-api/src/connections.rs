//! Which connections are open, and which of them gives way when there is no room for another.
//!
//! The number of places is limited, and places are shared as memory is ([`is_fair`]): an address may have up to four
//! times as many as it leaves free, and few of the last ones. A connection that finds no place takes that of another:
//! among the connections of the address that has the most, the one that has waited longest. A connection *waits* as
//! long as nothing is being done for it: while its peer hasn't sent the whole head of a request, between two requests,
//! and while the rest of a refused request is read. No connection is displaced by one from an address that has more
//! connections than its own.
//!
//! Beyond the places there is a small reserve for connections that found none. The reserve serves `/_stratum/` only, so
//! that whoever watches or operates the server can reach it at all times; every other request gets `503` there.

use crate::admission::{Admitted, Origin, is_fair};
use metrics::{Counter, Gauge, Unit};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing_mutex::parkinglot::Mutex;

/// Places of the reserve. A connection has one for a single request, or for as long as its peer may send nothing.
const RESERVE_PLACES: usize = 32;

/// How many connections that give way next are remembered from one search. A search takes a while with thousands of
/// connections, and newcomers may be many.
const REMEMBERED_TO_LEAVE: usize = 64;

/// After a search that found nobody to give way, the next search waits this long.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The log tells at most this often that connections give way or are refused.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Which kind of place a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    Regular,
    /// A place in the reserve, for one request to `/_stratum/`.
    Reserve,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing of a request has come yet.
    Silent,
    /// A request's head is arriving.
    Head,
    /// A request is being served.
    Busy,
    /// What the peer of a refused request still sends is read, so that the answer reaches the peer.
    Refusing,
    /// The last byte of the answer was handed over, and is being sent.
    Sending,
    /// The connection is between two requests.
    Idle,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Silent => "silent",
            Phase::Head => "sending a head",
            Phase::Busy => "being served",
            Phase::Refusing => "being refused",
            Phase::Sending => "being sent an answer",
            Phase::Idle => "idle",
        })
    }
}

impl Phase {
    fn of(number: u8) -> Self {
        const ALL: [Phase; 6] =
            [Phase::Silent, Phase::Head, Phase::Busy, Phase::Refusing, Phase::Sending, Phase::Idle];
        ALL.get(usize::from(number)).copied().unwrap_or(Phase::Busy)
    }

    /// Whether nothing is being done for the peer.
    pub fn is_waiting(self) -> bool {
        matches!(self, Phase::Silent | Phase::Head | Phase::Refusing | Phase::Idle)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    origin: Origin,
    capacity: Capacity,
    began: Instant,
    phase: AtomicU8,
    /// When the phase began, in milliseconds after the connection began.
    since: AtomicU64,
    displaced: AtomicBool,
    displacing: Notify,
    /// The memory of the answer that is being sent.
    answer: Mutex<Option<Arc<Admitted>>>,
}

impl Connection {
    pub(super) fn new(number: u64, origin: Origin, capacity: Capacity) -> Arc<Self> {
        Arc::new(Self {
            number,
            origin,
            capacity,
            began: Instant::now(),
            phase: AtomicU8::new(Phase::Silent as u8),
            since: AtomicU64::new(0),
            displaced: AtomicBool::new(false),
            displacing: Notify::new(),
            answer: Mutex::new(None),
        })
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    pub fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Acquire))
    }

    /// When the phase began.
    pub fn since(&self) -> Instant {
        self.began + Duration::from_millis(self.since.load(Ordering::Acquire))
    }

    /// Notes that bytes have come in.
    pub fn hears(&self) {
        if matches!(self.phase(), Phase::Silent | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    /// Notes that a request is being served.
    pub fn serves(&self) {
        self.enter(Phase::Busy);
    }

    /// Notes that the rest of a refused request is being read.
    pub fn refuses(&self) {
        self.enter(Phase::Refusing);
    }

    /// Notes that there is an answer, and holds its memory until the answer is sent.
    pub fn answers(&self, memory: Option<Arc<Admitted>>) {
        *self.answer.lock() = memory;
        self.enter(Phase::Busy);
    }

    /// Notes that the whole answer was handed over.
    pub fn sends(&self) {
        self.enter(Phase::Sending);
    }

    /// Notes that all that was handed over is sent.
    pub fn flushed(&self) {
        if self.phase() == Phase::Sending {
            drop(self.answer.lock().take());
            self.enter(Phase::Idle);
        }
    }

    /// The least rate, in bytes a second, at which the peer must read its answer.
    pub fn minimum_rate(&self) -> u64 {
        self.answer.lock().as_ref().map_or(0, |admitted| admitted.memory().minimum_rate())
    }

    /// Returns once the connection has to give way.
    pub async fn displaced(&self) {
        while !self.displaced.load(Ordering::Acquire) {
            self.displacing.notified().await;
        }
    }

    fn displace(&self) {
        self.displaced.store(true, Ordering::Release);
        self.displacing.notify_one();
    }

    fn enter(&self, phase: Phase) {
        let since = self.began.elapsed().as_millis() as u64;
        self.since.store(since, Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }
}

/// All open connections.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    table: Mutex<Table>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    regular: HashMap<u64, Arc<Connection>>,
    reserve: HashMap<u64, Arc<Connection>>,
    origins: HashMap<Origin, usize>,
    /// The connections that give way next: the number of each, and since when it waits. One that was served since then
    /// is passed over.
    leaving: VecDeque<(u64, Instant)>,
    /// When a search last found nobody who could give way.
    looked: Option<Instant>,
    displaced: u64,
    refused: u64,
    /// When the log last told of displaced and refused connections, and how many there had been.
    warned: Option<(Instant, u64)>,
}

/// The figures of the connections, for the server's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionsStatus {
    pub limit: usize,
    pub open: usize,
    /// Connections in the reserve, beyond the limit.
    pub reserve: usize,
    /// Connections that gave way to others since the start.
    pub displaced: u64,
    /// Connections that found no place since the start, and were served from the reserve or closed.
    pub refused: u64,
}

/// The place of a connection, which is free again on drop.
#[derive(Debug)]
pub struct Slot {
    connections: Arc<Connections>,
    pub connection: Arc<Connection>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.table.lock().remove(&self.connection);
        self.connections.show();
    }
}

impl Connections {
    /// How many places there are, unless the system or the configuration says otherwise.
    pub const USUAL_LIMIT: usize = 4096;

    pub fn new(limit: usize) -> Arc<Self> {
        let telemetry = Telemetry::register();
        telemetry.limit.set(limit as f64);
        Arc::new(Self { limit, table: Mutex::default(), telemetry })
    }

    /// A place for a connection from `peer`: a regular one, or else one in the reserve; `None` where there is neither.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let origin = Origin::of(peer);
        let connection = {
            let mut table = self.table.lock();
            let capacity = table.capacity(origin, self.limit, &self.telemetry);
            self.warn(&mut table);
            table.insert(origin, capacity?)
        };
        self.show();
        Some(Slot { connections: self.clone(), connection })
    }

    /// Has the connection give way that is next to do so, because there are no file descriptors left.
    pub fn make_room(&self) {
        let mut table = self.table.lock();
        table.displace(0, &self.telemetry);
    }

    pub fn status(&self) -> ConnectionsStatus {
        let table = self.table.lock();
        ConnectionsStatus {
            limit: self.limit,
            open: table.regular.len(),
            reserve: table.reserve.len(),
            displaced: table.displaced,
            refused: table.refused,
        }
    }

    fn show(&self) {
        let table = self.table.lock();
        self.telemetry.open.set((table.regular.len() + table.reserve.len()) as f64);
    }

    /// Warns in the log, now and then, that connections had to give way.
    fn warn(&self, table: &mut Table) {
        let count = table.displaced + table.refused;
        let is_due = match table.warned {
            None => count > 0,
            Some((warned, told)) => count > told && warned.elapsed() >= WARNING_INTERVAL,
        };
        if is_due {
            table.warned = Some((Instant::now(), count));
            tracing::warn!(
                limit = self.limit,
                open = table.regular.len(),
                displaced = table.displaced,
                refused = table.refused,
                "there are more connections than places: those that wait longest are closed, or new ones refused"
            );
        }
    }
}

impl Table {
    /// Which kind of place a connection from `origin` gets. If another connection has to give way for it, that is done
    /// here.
    fn capacity(&mut self, origin: Origin, limit: usize, telemetry: &Telemetry) -> Option<Capacity> {
        let held = self.count(origin);
        let free = limit.saturating_sub(self.regular.len());
        if is_fair(held as u64, 1, free as u64, limit as u64) || self.displace(held, telemetry) {
            return Some(Capacity::Regular);
        }
        self.refused += 1;
        telemetry.refused.increment(1);
        if self.reserve.len() < RESERVE_PLACES {
            return Some(Capacity::Reserve);
        }
        let longest = self.reserve.values().filter(|connection| connection.phase().is_waiting());
        let longest = longest.min_by_key(|connection| (connection.since(), connection.number)).cloned();
        longest.map(|connection| {
            self.remove(&connection);
            connection.displace();
            Capacity::Reserve
        })
    }

    /// Has a connection give way to one from an address that has `held` connections; says whether one did.
    fn displace(&mut self, held: usize, telemetry: &Telemetry) -> bool {
        let next = self.next_to_leave(held).or_else(|| {
            self.look_who_waits();
            let next = self.next_to_leave(held);
            self.looked = next.is_none().then(Instant::now);
            next
        });
        let Some(longest) = next else { return false };
        self.remove(&longest);
        longest.displace();
        self.displaced += 1;
        telemetry.displaced.increment(1);
        true
    }

    /// The connection that gives way next, unless it is from an address with fewer connections than `held`.
    fn next_to_leave(&mut self, held: usize) -> Option<Arc<Connection>> {
        while let Some((number, since)) = self.leaving.front() {
            let connection = self.regular.get(number);
            let waiting = connection
                .filter(|connection| connection.phase().is_waiting() && connection.since() == *since);
            if waiting.is_some_and(|connection| self.count(connection.origin) < held) {
                return None;
            }
            let waiting = waiting.cloned();
            self.leaving.pop_front();
            if waiting.is_some() {
                return waiting;
            }
        }
        None
    }

    /// Searches for the connections that give way next: those of the addresses that have the most, the longest waiting
    /// first.
    fn look_who_waits(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return;
        }
        let waiting = self.regular.values().filter(|connection| connection.phase().is_waiting());
        let mut waiting: Vec<_> = waiting
            .map(|connection| (Reverse(self.count(connection.origin)), connection.since(), connection.number))
            .collect();
        if waiting.len() > REMEMBERED_TO_LEAVE {
            waiting.select_nth_unstable(REMEMBERED_TO_LEAVE);
            waiting.truncate(REMEMBERED_TO_LEAVE);
        }
        waiting.sort_unstable();
        self.leaving = waiting.into_iter().map(|(_, since, number)| (number, since)).collect();
    }

    fn count(&self, origin: Origin) -> usize {
        self.origins.get(&origin).copied().unwrap_or(0)
    }

    fn insert(&mut self, origin: Origin, capacity: Capacity) -> Arc<Connection> {
        self.next += 1;
        let connection = Connection::new(self.next, origin, capacity);
        match capacity {
            Capacity::Regular => {
                *self.origins.entry(origin).or_default() += 1;
                self.regular.insert(self.next, connection.clone());
            }
            Capacity::Reserve => {
                self.reserve.insert(self.next, connection.clone());
            }
        }
        connection
    }

    fn remove(&mut self, connection: &Connection) {
        self.reserve.remove(&connection.number);
        if self.regular.remove(&connection.number).is_none() {
            return;
        }
        if let Some(count) = self.origins.get_mut(&connection.origin) {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&connection.origin);
            }
        }
    }
}

#[derive(Debug)]
struct Telemetry {
    limit: Gauge,
    open: Gauge,
    displaced: Counter,
    refused: Counter,
}

impl Telemetry {
    fn register() -> Self {
        const LIMIT: &str = "stratum_connections_limit";
        const OPEN: &str = "stratum_connections";
        const DISPLACED: &str = "stratum_connections_displaced_total";
        const REFUSED: &str = "stratum_connections_refused_total";
        metrics::describe_gauge!(LIMIT, Unit::Count, "Connections that may be open at once.");
        metrics::describe_gauge!(OPEN, Unit::Count, "Open connections, those in the reserve included.");
        metrics::describe_counter!(
            DISPLACED,
            Unit::Count,
            "Connections closed while they waited for a request, to make room for others."
        );
        metrics::describe_counter!(
            REFUSED,
            Unit::Count,
            "Connections that found no place: they could only reach /_stratum/, or were closed at once."
        );
        Self {
            limit: metrics::gauge!(LIMIT),
            open: metrics::gauge!(OPEN),
            displaced: metrics::counter!(DISPLACED),
            refused: metrics::counter!(REFUSED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn idle(connections: &Arc<Connections>, last: u8) -> Slot {
        let slot = connections.admit(address(last)).expect("a place");
        slot.connection.serves();
        slot.connection.sends();
        slot.connection.flushed();
        slot
    }

    fn is_displaced(slot: &Slot) -> bool {
        slot.connection.displaced.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_gives_way() {
        let connections = Connections::new(10);
        let mut slots = Vec::new();
        for _ in 0..8 {
            slots.push(idle(&connections, 1));
            tokio::time::advance(Duration::from_millis(5)).await;
        }
        // The first connection is used again, so that the second one has waited longest.
        slots[0].connection.serves();
        let next = connections.admit(address(1)).unwrap();
        assert_eq!(next.connection.capacity(), Capacity::Regular);
        let gave_way: Vec<_> = slots.iter().map(is_displaced).collect();
        assert_eq!(gave_way, [false, true, false, false, false, false, false, false]);
        assert_eq!(connections.status().open, 8);
        drop(slots);
        drop(next);
        assert_eq!(connections.status().open, 0);
        assert!(connections.table.lock().origins.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_room_for_others_and_displaces_only_its_own() {
        let connections = Connections::new(10);
        let neighbour = idle(&connections, 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        let busy: Vec<_> = std::iter::repeat_with(|| {
            let slot = connections.admit(address(1)).unwrap();
            slot.connection.serves();
            slot
        })
        .take(20)
        .collect();
        let regular = busy.iter().filter(|slot| slot.connection.capacity() == Capacity::Regular).count();
        assert_eq!(regular, 7);
        assert!(!is_displaced(&neighbour), "the idle connection of another address is left alone");
        assert_eq!(connections.admit(address(3)).unwrap().connection.capacity(), Capacity::Regular);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_has_a_place_until_all_of_its_connections_are_being_served() {
        let connections = Connections::new(2);
        let busy = connections.admit(address(1));
        busy.as_ref().unwrap().connection.serves();
        let silent: Vec<_> = (0..100).map(|_| connections.admit(address(2)).unwrap()).collect();
        assert!(silent.iter().all(|slot| slot.connection.capacity() == Capacity::Reserve));
        assert!(is_displaced(&silent[60]) && !is_displaced(&silent[99]));
        assert_eq!(connections.status().reserve, RESERVE_PLACES);
        silent.iter().for_each(|slot| slot.connection.serves());
        assert!(
            connections.admit(address(2)).is_none(),
            "no place is left where all of the reserve are being served"
        );
    }
}
