//! Levels: the forms in which a state writes its records and commands, and the migration from each form to the next.
//!
//! Every value and command begins with a byte, the level of the state (for a command: the level that its proposer
//! knew) when it was written. What a state writes follows only from the commands before it, so two binaries of
//! different age write equal bytes. Each type has a form of its own at every level that changed it, and [`Migrate`]
//! says how one form becomes the next; a type that a level didn't change needs nothing for it.

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
    /// The level of a state that has no key for its level.
    pub const FIRST: Level = Level(1);
    /// Adds versions, attributes, bucket records under ids that `apply` gives, and the writers of volumes.
    pub const SECOND: Level = Level(2);
    /// The newest level.
    pub const NEWEST: Level = Level::SECOND;

    /// The highest level that this binary reads and writes, at which new stores begin.
    pub fn highest_known() -> Level {
        #[cfg(feature = "faults")]
        return Level(KNOWN.load(Ordering::Relaxed));
        #[cfg(not(feature = "faults"))]
        Level::NEWEST
    }

    /// # Errors
    /// [`DecodeError::Level`] if this binary doesn't know the level.
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

/// Makes this process behave like a binary that knows no level after this one.
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

/// The state's level can't hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes a store of level {0}; `stratum level raise` makes this one that")]
pub struct TakesLevel(pub Level);

/// A type as it is stored from a level on.
pub(crate) trait Migrate: Serialize + DeserializeOwned {
    /// The first level that has this form.
    const SINCE: Level;
    /// The form that the levels before had; [`NoPrevious`] if this is the first form.
    type Previous: Migrate;

    /// Makes this form of the previous one, without a loss.
    fn migrate(previous: Self::Previous) -> Result<Self, DecodeError>;

    /// Makes the previous form, for a state that isn't raised yet.
    fn previous(&self) -> Result<Self::Previous, TakesLevel>;

    /// Reads the bytes, without the level before them, that a state of a level with this form wrote. A type that got a
    /// field within a level reads here what was written before the field.
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        postcard::from_bytes(bytes).map_err(DecodeError::Damaged)
    }
}

/// In place of the form before a type's first one.
#[derive(Serialize, Deserialize)]
pub(crate) enum NoPrevious {}

/// Implements [`Migrate`] for types that have had one form only, since that level.
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

/// The bytes of a value as a state of that level stores it.
pub(crate) fn encode<T: Migrate>(level: Level, value: &T) -> Result<Vec<u8>, TakesLevel> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(level.0);
    write(level, value, bytes)
}

fn write<T: Migrate>(level: Level, value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, TakesLevel> {
    if level < T::SINCE {
        return write(level, &value.previous()?, bytes);
    }
    Ok(append(value, bytes))
}

/// [`encode`] of a type that has a form at that level, whatever the value.
#[allow(clippy::expect_used)] // the caller's type says so, and its tests
pub(crate) fn encode_known<T: Migrate>(level: Level, value: &T) -> Vec<u8> {
    encode(level, value).expect("the type has a form at this level")
}

/// The bytes, and a value behind them. It would be worse to store nothing in the place of a value than to panic.
#[allow(clippy::expect_used)] // postcard fails only on sequences of unknown length, which no stored type has
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("every stored type has a known length")
}

/// Reads a value of any level from its stored bytes. Bytes after it are ignored, so that a summary can be read from
/// the front of a record.
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
    T::parse(bytes)
}
