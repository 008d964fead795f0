//! Levels: the forms in which a state writes its records and commands, and the way from each form to the next.
//!
//! Every value and command begins with a byte, the level of the state (for a command: the level that its proposer knew)
//! when it was written. What a state writes follows from the commands before it alone, so two binaries of different age
//! write equal bytes. Each type has a form of its own at every level that changed it, and [`Migrate`] says how one form
//! becomes the next; a type that a level didn't change has nothing to say about it.

use super::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
#[cfg(feature = "faults")]
use std::sync::atomic::{AtomicU8, Ordering};

/// The level of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

impl TryFrom<u8> for Level {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Level, DecodeError> {
        Level::known(number)
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> u8 {
        level.0
    }
}

impl Level {
    /// What a state has that says nothing of it.
    pub const FIRST: Level = Level(1);
    /// Versions, attributes, buckets under their ids, which `apply` gives, and writers of volumes.
    pub const SECOND: Level = Level(2);
    /// The last one that there is.
    pub const NEWEST: Level = Level::SECOND;

    /// What this binary reads and writes at most. New stores begin here.
    pub fn highest_known() -> Level {
        #[cfg(feature = "faults")]
        return Level(KNOWN.load(Ordering::Relaxed));
        #[cfg(not(feature = "faults"))]
        Level::NEWEST
    }

    /// # Errors
    /// [`DecodeError::Level`]: this binary doesn't know it.
    pub fn known(number: u8) -> Result<Level, DecodeError> {
        match Level(number) {
            level if (Level::FIRST..=Level::highest_known()).contains(&level) => Ok(level),
            _ => Err(DecodeError::Level { found: number, known: Level::highest_known() }),
        }
    }

    pub fn number(self) -> u8 {
        self.0
    }
}

#[cfg(feature = "faults")]
static KNOWN: AtomicU8 = AtomicU8::new(Level::NEWEST.0);

/// From now on this process is a binary of that level, which knows of none after it.
#[cfg(feature = "faults")]
pub fn know_up_to(level: Level) {
    KNOWN.store(level.0, Ordering::Relaxed);
}

impl Default for Level {
    fn default() -> Self {
        Level::FIRST
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value that a state of that level can't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes a store of level {0}; `stratum level raise` makes this one that")]
pub struct TakesLevel(pub Level);

/// A type as it is stored from a level on.
pub(crate) trait Migrate: Serialize + DeserializeOwned {
    /// The first level that has this form.
    const SINCE: Level;
    /// The form that the levels before had; [`NoPrevious`] if there was none.
    type Previous: Migrate;

    /// From the form before: nothing is lost.
    fn migrate(previous: Self::Previous) -> Result<Self, DecodeError>;

    /// The form before, for a state that isn't raised yet.
    fn previous(&self) -> Result<Self::Previous, TakesLevel>;
}

/// What came before a type's first form.
#[derive(Serialize, Deserialize)]
pub(crate) enum NoPrevious {}

/// Types whose form is the first that they ever had, from that level on.
macro_rules! same_since {
    ($level:expr; $($form:ty),* $(,)?) => {
        $(impl $crate::record::level::Migrate for $form {
            const SINCE: $crate::record::level::Level = $level;
            type Previous = $crate::record::level::NoPrevious;

            fn migrate(previous: Self::Previous) -> Result<Self, $crate::record::DecodeError> {
                match previous {}
            }

            fn previous(&self) -> Result<Self::Previous, $crate::record::level::TakesLevel> {
                Err($crate::record::level::TakesLevel(Self::SINCE))
            }
        })*
    };
}
pub(crate) use same_since;

same_since!(Level::FIRST; NoPrevious, (), String, Level);

/// A value's stored bytes in a state of that level.
pub(crate) fn encode<T: Migrate>(level: Level, value: &T) -> Result<Vec<u8>, TakesLevel> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(level.0);
    write(level, value, bytes)
}

fn write<T: Migrate>(level: Level, value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, TakesLevel> {
    if level < T::SINCE {
        return write(level, &value.previous()?, bytes);
    }
    // Postcard fails only on sequences of unknown length, and no record has one.
    Ok(postcard::to_extend(value, bytes).unwrap_or_default())
}

/// A value from its stored bytes, of whatever level. What follows it is left alone, so that a summary can be read off
/// the front.
pub(crate) fn decode<T: Migrate>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((level, rest)) => read(Level::known(*level)?, rest),
        None => Err(DecodeError::Empty),
    }
}

/// The level at which stored bytes were written.
pub(crate) fn level_of(bytes: &[u8]) -> Result<Level, DecodeError> {
    Level::known(*bytes.first().ok_or(DecodeError::Empty)?)
}

fn read<T: Migrate>(level: Level, bytes: &[u8]) -> Result<T, DecodeError> {
    if level < T::SINCE {
        return T::migrate(read(level, bytes)?);
    }
    postcard::from_bytes(bytes).map_err(DecodeError::Damaged)
}
