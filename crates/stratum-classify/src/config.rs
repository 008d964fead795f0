//! A model's description: its labels in the order of its output, the size of its input, and how high a score must be.
//!
//! Source: `config.min.json`, which Magika publishes with each of its models.

use crate::error::ModelError;
use serde::Deserialize;
use std::collections::BTreeMap;
use stratum_tiering::content::WINDOW_BYTES;

/// The labels for files of which the model isn't sure, or of which it isn't asked.
pub const TEXT: &str = "txt";
pub const UNKNOWN: &str = "unknown";
pub const EMPTY: &str = "empty";

/// The description of a model, as its JSON file has it.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelConfig {
    beg_size: usize,
    mid_size: usize,
    end_size: usize,
    use_inputs_at_offsets: bool,
    block_size: usize,
    padding_token: i32,
    min_file_size_for_dl: usize,
    medium_confidence_threshold: f32,
    target_labels_space: Vec<String>,
    thresholds: BTreeMap<String, f32>,
    overwrite_map: BTreeMap<String, String>,
}

impl ModelConfig {
    /// The description of the built-in model.
    ///
    /// # Errors
    /// None, unless the file was damaged before this was built.
    pub fn built_in() -> Result<ModelConfig, ModelError> {
        ModelConfig::parse(include_str!("../model/standard_v3_3.json"))
    }

    /// # Errors
    /// If the text isn't JSON of this form, or describes a model that can't be used here.
    pub fn parse(text: &str) -> Result<ModelConfig, ModelError> {
        let config: ModelConfig =
            serde_json::from_str(text).map_err(|error| ModelError::Config(error.to_string()))?;
        match config.problem() {
            None => Ok(config),
            Some(problem) => Err(ModelError::Config(problem)),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.mid_size != 0 || self.use_inputs_at_offsets {
            return Some("the model wants bytes from the middle of a file, and only ends are kept".into());
        }
        if self.block_size > WINDOW_BYTES || self.beg_size.max(self.end_size) > self.block_size {
            return Some(format!("the model wants more than {WINDOW_BYTES} bytes of each end of a file"));
        }
        if self.beg_size == 0 || self.end_size == 0 || self.min_file_size_for_dl > self.beg_size {
            return Some("the model must take bytes of both ends of a file, and its smallest file must fit into the first".into());
        }
        self.target_labels_space.is_empty().then(|| "the model has no labels".into())
    }

    pub fn labels(&self) -> &[String] {
        &self.target_labels_space
    }

    /// How many numbers the model takes as its input.
    pub fn inputs(&self) -> usize {
        self.beg_size + self.end_size
    }

    pub fn head_bytes(&self) -> usize {
        self.beg_size
    }

    pub fn tail_bytes(&self) -> usize {
        self.end_size
    }

    /// In how many bytes of each end of a file the model's bytes are looked for, after white space.
    pub fn block_bytes(&self) -> usize {
        self.block_size
    }

    /// The number that stands in the input where a file has no byte.
    pub fn padding(&self) -> i32 {
        self.padding_token
    }

    /// With fewer bytes than this, white space aside, the model isn't asked.
    pub fn least_bytes(&self) -> usize {
        self.min_file_size_for_dl
    }

    /// The score from which on a label counts as sure.
    pub fn threshold(&self, label: &str) -> f32 {
        self.thresholds.get(label).copied().unwrap_or(self.medium_confidence_threshold)
    }

    /// The label that replaces this one, by the model's description.
    pub fn taken_for<'a>(&'a self, label: &'a str) -> &'a str {
        self.overwrite_map.get(label).map_or(label, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_and_what_labels_are_taken_for() {
        let config = ModelConfig::built_in().unwrap();
        assert_eq!(["jpeg", "sql", "latex"].map(|label| config.threshold(label)), [0.5, 0.9, 0.95]);
        assert_eq!(["randombytes", "jpeg"].map(|label| config.taken_for(label)), ["unknown", "jpeg"]);
        assert_eq!(config.inputs(), 2_048);
    }

    #[test]
    fn a_model_of_another_build_is_refused_in_words() {
        let built_in = include_str!("../model/standard_v3_3.json");
        for (from, to, told) in [
            ("\"mid_size\":0", "\"mid_size\":512", "from the middle"),
            ("\"block_size\":4096", "\"block_size\":8192", "more than 4096 bytes"),
            ("\"beg_size\":1024", "\"beg_size\":0", "both ends"),
            ("\"beg_size\":1024,", "", "beg_size"),
        ] {
            let refused = ModelConfig::parse(&built_in.replace(from, to)).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
