//! Makes a sample into a label of the model, and the label into what [`Seen`] says.

use crate::batch;
use crate::config::{ModelConfig, TEXT, UNKNOWN};
use crate::error::{Failed, ModelError};
use crate::features::{Features, features};
use crate::labels::{Kind, Made};
use crate::lines::is_log;
use crate::session::{self, Session};
use std::path::Path;
use stratum_tiering::content::{ContentClass, Sample, Seen, Shrinks};

/// What a sample was classified as.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// The model's name for the kind of file.
    pub label: String,
    /// The label with the highest score, whether or not it is high enough, and its score, 0 to 1; `None` if the model
    /// wasn't asked.
    pub best: Option<String>,
    pub score: f32,
    pub seen: Seen,
}

/// Classifies samples, one at a time.
pub struct Classifier {
    config: ModelConfig,
    session: Session,
}

impl Classifier {
    /// A classifier with the built-in model.
    ///
    /// # Errors
    /// `NotBuilt`.
    pub fn built_in() -> Result<Classifier, ModelError> {
        Classifier::of(session::BUILT_IN.ok_or(ModelError::NotBuilt)?, ModelConfig::built_in()?)
    }

    /// A classifier with the model in a file. Its description must lie beside it under the same name with the
    /// extension `.json`: `config.min.json` as Magika publishes it.
    ///
    /// # Errors
    /// If either file can't be read or used, or if they don't belong together.
    pub fn from_file(path: &Path) -> Result<Classifier, ModelError> {
        let unread = |path: &Path, source| ModelError::Read { path: path.to_owned(), source };
        let model = std::fs::read(path).map_err(|error| unread(path, error))?;
        let beside = path.with_extension("json");
        let described = std::fs::read_to_string(&beside).map_err(|error| unread(&beside, error))?;
        Classifier::of(&model, ModelConfig::parse(&described)?)
    }

    fn of(model: &[u8], config: ModelConfig) -> Result<Classifier, ModelError> {
        let model = batch::of_one(model).ok_or_else(|| ModelError::Unfit("it is no ONNX file".into()))?;
        let mut classifier = Classifier { session: Session::of(&model)?, config };
        // Only running the model shows whether its input and output have the sizes that the description says.
        classifier
            .ask(vec![0; classifier.config.inputs()])
            .map_err(|error| ModelError::Unfit(error.to_string()))?;
        Ok(classifier)
    }

    /// Classifies a sample, which takes some milliseconds of processor time.
    ///
    /// # Errors
    /// If the model can't be run, though it could when it was loaded.
    pub fn classify(&mut self, sample: &Sample) -> Result<Classified, Failed> {
        let input = match features(&self.config, sample) {
            Features::Ask(input) => input,
            Features::Known(label) => {
                return Ok(Classified {
                    label: label.into(),
                    best: None,
                    score: 1.0,
                    seen: seen(label, 1.0, sample),
                });
            }
        };
        let scores = self.ask(input)?;
        let labels = self.config.labels();
        let best = labels.iter().zip(&scores).max_by(|(_, one), (_, other)| one.total_cmp(other));
        let Some((best, score)) = best else { return Err(Failed("the model has no labels".into())) };
        let (label, confidence) = self.sure_enough(best, *score, &scores);
        let seen = seen(label, confidence, sample);
        Ok(Classified { label: label.into(), best: Some(best.clone()), score: *score, seen })
    }

    /// The model's score for each label, 0 to 1.
    fn ask(&mut self, input: Vec<i32>) -> Result<Vec<f32>, Failed> {
        let scores = self.session.run(input)?;
        if scores.len() != self.config.labels().len() {
            let (scores, labels) = (scores.len(), self.config.labels().len());
            return Err(Failed(format!("the model gives {scores} figures, and {labels} labels are known")));
        }
        Ok(scores)
    }

    /// The label to use, and how sure the model is of it. If the best label's score is too low, that is "text" with
    /// the sum of the scores of all kinds of text, or else "unknown".
    fn sure_enough<'a>(&'a self, best: &'a str, score: f32, scores: &[f32]) -> (&'a str, f32) {
        let label = self.config.taken_for(best);
        match Kind::of(label).made {
            _ if score >= self.config.threshold(best) => (label, score),
            Made::OfBytes => (UNKNOWN, score),
            Made::OfCharacters => {
                let of_text = self.config.labels().iter().zip(scores);
                let of_text = of_text.filter(|(label, _)| Kind::of(label).made == Made::OfCharacters);
                (TEXT, of_text.map(|(_, score)| score).sum())
            }
        }
    }
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classifier").field("labels", &self.config.labels().len()).finish_non_exhaustive()
    }
}

fn seen(label: &str, score: f32, sample: &Sample) -> Seen {
    let Kind { class, shrinks, .. } = Kind::of(label);
    let (class, shrinks) = match class {
        ContentClass::Text if is_log(sample.head()) => (ContentClass::Log, Shrinks::Well),
        _ => (class, shrinks),
    };
    Seen { class, shrinks, confidence: (score.clamp(0.0, 1.0) * 100.0) as u8 }
}

#[cfg(all(test, feature = "onnx"))]
mod tests;
