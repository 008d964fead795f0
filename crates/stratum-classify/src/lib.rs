//! What an object's bytes are, told by a model from its first and last.
//!
//! The model is Magika's, which Google trained on a hundred million files of some two hundred kinds; `model/` has it with its
//! licence and origin. [`Classifier`] makes a [`Sample`](stratum_tiering::content::Sample) into what the model expects
//! ([`features`]), has it run ([`session`]), takes of its answer what is sure enough ([`config`]), and says that in the coarser words
//! of [`ContentClass`](stratum_tiering::content::ContentClass) ([`labels`]).
//!
//! What runs models is a feature, `onnx`: it takes minutes to build. Without it all else is here, and no model can be loaded.

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
