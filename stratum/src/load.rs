//! The resources that all clients share: memory for requests, connections, and the space on the drives.
//!
//! Where one of these is short, requests are refused or connections closed, or soon will be. The status tells the
//! operator that, and which client holds the most.

use crate::shown::bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use stratum_api::admission::{Admission, LAST_PART_DIVISOR};
use stratum_api::server::{Connections, ConnectionsStatus};
use stratum_api::want_of_space::WantOfSpace;

/// The shared resources. A clone is a cheap handle.
#[derive(Clone)]
pub struct Load {
    pub admission: Admission,
    pub connections: Arc<Connections>,
    pub want_of_space: WantOfSpace,
}

/// How long after a client was refused for want of space the status tells of it.
const TOLD_PERIOD: Duration = Duration::from_secs(60);

/// How much memory for requests is in use, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdmissionStatus {
    pub limit: u64,
    pub used: u64,
    /// How many users and addresses hold memory.
    pub parties: u64,
    /// The user or address that holds the most.
    pub largest: Option<PartyStatus>,
    /// Requests that were refused memory since the server started.
    pub refused: u64,
}

/// A user or an address that holds memory for requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartyStatus {
    /// `user`, or `address` where requests are not signed.
    pub kind: String,
    /// The user's id, or the address.
    pub name: String,
    pub bytes: u64,
}

impl Load {
    pub fn admission(&self) -> AdmissionStatus {
        let pool = self.admission.status();
        AdmissionStatus {
            limit: pool.total_bytes,
            used: pool.used_bytes,
            parties: pool.parties as u64,
            largest: pool.largest.map(|(party, bytes)| PartyStatus {
                kind: party.kind().into(),
                name: party.name(),
                bytes,
            }),
            refused: pool.refused,
        }
    }

    pub fn connections(&self) -> ConnectionsStatus {
        self.connections.status()
    }

    /// How long ago a client was last refused for want of space, if that was within [`TOLD_PERIOD`]. `now` is a time of
    /// the monotonic clock.
    pub fn lacked_space(&self, now: Duration) -> Option<Duration> {
        self.want_of_space.since(now).filter(|since| *since < TOLD_PERIOD)
    }
}

/// What the status tells the operator if memory for requests or connections are short.
pub fn notes(admission: &AdmissionStatus, connections: &ConnectionsStatus) -> Vec<String> {
    let memory = is_short(admission.used, admission.limit).then(|| {
        format!(
            "memory for requests is short: {} of {} are in use{}; who holds much is refused more (503), and small \
             requests of others are served",
            bytes(admission.used),
            bytes(admission.limit),
            of_largest(admission)
        )
    });
    let places = is_short(connections.open as u64, connections.limit as u64).then(|| {
        format!(
            "connections are short: {} of {} are open; those that wait for a request give way to new ones, of the \
             address that has the most first. See who has them (`ss -tn`), or raise `server.connections`",
            connections.open, connections.limit
        )
    });
    memory.into_iter().chain(places).collect()
}

/// What the status tells the operator of a client that was refused for want of space `since` ago.
pub fn note_of_space(since: Duration) -> String {
    format!(
        "a client was refused for want of space (507) {} s ago: what it sent is more than is left for it beside the reserve",
        since.as_secs()
    )
}

/// Whether so much is used that only the last part is left, which is reserved for clients that hold little.
pub fn is_short(used: u64, limit: u64) -> bool {
    limit > 0 && limit.saturating_sub(used) < limit / LAST_PART_DIVISOR
}

impl std::fmt::Display for PartyStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} {}'s ({})", self.kind, self.name, bytes(self.bytes))
    }
}

/// The line of the memory in the text of the status.
pub fn of_admission(admission: &AdmissionStatus) -> String {
    let AdmissionStatus { limit, used, refused, .. } = admission;
    let largest = of_largest(admission);
    format!("{} of {} in use{largest}; {refused} requests refused", bytes(*used), bytes(*limit))
}

/// Who holds the most memory, as a clause that follows how much is in use.
fn of_largest(admission: &AdmissionStatus) -> String {
    admission.largest.as_ref().map(|largest| format!(", most of it {largest}")).unwrap_or_default()
}

/// The line of the connections in the text of the status.
pub fn of_connections(connections: &ConnectionsStatus) -> String {
    let ConnectionsStatus { limit, open, reserve, displaced, refused } = connections;
    format!("{open} of {limit} open, {reserve} in the reserve; {displaced} displaced, {refused} refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use stratum_api::admission::Party;

    #[test]
    fn a_shortage_is_told_with_who_holds_the_most() {
        let load = Load {
            admission: Admission::new(512 << 20),
            connections: Connections::new(16),
            want_of_space: WantOfSpace::default(),
        };
        assert!(notes(&load.admission(), &load.connections()).is_empty());
        let (one, two) = (Party::User("one".into()), Party::User("two".into()));
        let (one, two) = (load.admission.enter(one).unwrap(), load.admission.enter(two).unwrap());
        let held = [one.admit(400 << 20), two.admit(40 << 20)].map(Result::unwrap);
        assert_eq!(notes(&load.admission(), &load.connections()), Vec::<String>::new());
        let more = two.admit(7 << 20).unwrap();
        let third = load.admission.enter(Party::User("three".into())).unwrap();
        let _last = third.admit(2 << 20).unwrap();
        let status = load.admission();
        let largest = status.largest.as_ref().unwrap();
        assert_eq!((largest.kind.as_str(), largest.name.as_str(), status.parties), ("user", "one", 3));
        let told = notes(&status, &load.connections());
        assert!(told.len() == 1 && told[0].contains("most of it the user one's (400.1 MiB)"), "{told:?}");
        drop((held, more));

        let mut open = Vec::new();
        for last in 0..20 {
            open.extend(load.connections.admit([192, 0, 2, last].into()));
        }
        let status = load.connections();
        let told = notes(&load.admission(), &status);
        assert!(told.len() == 1 && told[0].starts_with("connections are short: "), "{told:?} {status:?}");
        assert!(of_connections(&status).contains("of 16 open"), "{status:?}");
    }

    #[test]
    fn want_of_space_is_told_for_a_minute() {
        let load = Load {
            admission: Admission::new(1 << 20),
            connections: Connections::new(16),
            want_of_space: WantOfSpace::default(),
        };
        let at = Duration::from_secs;
        load.want_of_space.answered(StatusCode::OK, at(5));
        assert_eq!(load.lacked_space(at(5)), None);
        load.want_of_space.answered(StatusCode::INSUFFICIENT_STORAGE, at(10));
        assert_eq!((load.lacked_space(at(13)), load.lacked_space(at(70))), (Some(at(3)), None));
        assert!(note_of_space(at(3)).contains("(507) 3 s ago"));
    }
}
