//! Tells what kind of data an object's bytes are: a model classifies them by the first and the last few thousand.
//!
//! The model is Magika's, which Google trained on a hundred million files of some two hundred kinds; `model/` holds
//! it with its licence and origin. [`Classifier`] makes a [`Sample`](stratum_tiering::content::Sample) into the
//! model's input ([`features`]), runs the model ([`session`]), takes the best label if its score is high enough
//! ([`config`]), and translates it into the coarser [`ContentClass`](stratum_tiering::content::ContentClass)
//! ([`labels`]).
//!
//! Running models takes the feature `onnx`, which compiles for minutes. Without it everything else is here, but no
//! model can be loaded.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod batch;
mod classifier;
mod config;
mod error;
mod features;
mod labels;
mod lines;
mod session;

pub use classifier::{Classified, Classifier};
pub use error::{Failed, ModelError};
