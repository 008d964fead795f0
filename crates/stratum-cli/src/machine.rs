//! What commands need to know of the machine that they run on. It is handed in, so that this crate asks neither clock
//! nor environment itself.

use std::time::{Duration, SystemTime};

/// The machine's clock, and the Stratum server on it.
#[derive(Clone, Copy)]
pub struct Machine {
    /// The wall clock.
    pub now: fn() -> SystemTime,
    /// Time since some moment of this process; it never goes back.
    pub monotonic: fn() -> Duration,
    /// A variable of the environment; an empty one is none.
    pub variable: fn(&str) -> Option<String>,
    /// The Stratum server of this machine, if the user may read the root credentials that it keeps.
    pub local: fn() -> Option<LocalServer>,
}

/// A Stratum server on this machine.
#[derive(Clone)]
pub struct LocalServer {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    /// Where the credentials were found, for people.
    pub origin: String,
}
