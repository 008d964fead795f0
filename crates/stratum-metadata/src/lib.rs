//! What the store knows: commands, the state machine that applies them, its index in sled and its checkpoints.
//!
//! Every mutation is a [`command::Command`], journaled and then applied deterministically. sled holds the applied
//! state and can be thrown away: a checkpoint and the journal rebuild it.

pub mod command;
pub mod record;
