//! Looks at what was written, after it was: what its bytes are is told by a model, and noted beside the use of objects.
//!
//! No request waits for it. What waits is bounded and what finds no place is dropped (`stratum_tiering::content::Samples`); the
//! model runs on threads of a low priority, one object at a time, and after each of them rests nine times as long as it took, so that
//! it never has more than a tenth of one processor.

use crate::config::Config;
use crate::failure::Failure;
use std::sync::Arc;
use std::time::Duration;
use stratum_classify::{Classified, Classifier, ModelError};
use stratum_engine::Engine;
use stratum_metadata::record::BucketId;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::apart::Apart;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work, unless_stopped};
use stratum_tiering::content::{Sample, Samples, Waiting, What};
use tracing_mutex::parkinglot::Mutex;

/// How often it is seen whether something waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The rest after an object, as a multiple of what it took.
const REST_FACTOR: u32 = 9;
/// The longest such rest: where the machine was busy with other things, little of it was the model's.
const LONGEST_REST: Duration = Duration::from_secs(1);

static LOOKING: Apart = Apart::leaving_one("looking");

/// Why nobody looks.
const OFF: &str = "the classifier is off (`[tiering.classifier] enabled`)";
const NOT_BUILT: &str = "this server was built without the classifier";

/// The model, if one is to be used.
///
/// # Errors
/// A model that was named and can't be loaded, or the one that is built in if it can't.
pub fn load(config: &Config) -> Result<Option<Classifier>, Failure> {
    let section = &config.tiering.classifier;
    match (section.enabled, &section.model) {
        (false, _) => Ok(None),
        (true, None) => match Classifier::built_in() {
            Ok(classifier) => Ok(Some(classifier)),
            Err(ModelError::NotBuilt) => Ok(None),
            Err(error) => Err(format!("the classifier's model, which is built in: {error}").into()),
        },
        (true, Some(path)) => {
            let named = |error| format!("tiering.classifier.model, {}: {error}", path.display());
            Ok(Some(Classifier::from_file(path).map_err(named)?))
        }
    }
}

/// Where what is written waits to be looked at.
pub fn samples(config: &Config, classifier: Option<&Classifier>) -> Samples {
    match (classifier, config.tiering.classifier.enabled) {
        (Some(_), _) => Samples::open(),
        (None, true) => Samples::closed(NOT_BUILT),
        (None, false) => Samples::closed(OFF),
    }
}

/// Takes what waits and looks at it.
pub struct ClassifyTask {
    engine: Engine,
    classifier: Arc<Mutex<Classifier>>,
}

impl ClassifyTask {
    pub fn new(engine: Engine, classifier: Classifier) -> ClassifyTask {
        ClassifyTask { engine, classifier: Arc::new(Mutex::new(classifier)) }
    }

    /// Looks at one object, and says how long to rest.
    async fn look(&self, waiting: Waiting) -> Duration {
        let Waiting { bucket, key, written, what } = waiting;
        let sample = match what {
            What::Kept(sample) => sample,
            What::Stored => match self.engine.read_ends(BucketId(bucket), key.as_bytes(), written).await {
                Ok(Some(sample)) => sample,
                // It was replaced or deleted meanwhile.
                Ok(None) => return Duration::ZERO,
                Err(error) => return failed(&key, &error.to_string()),
            },
        };
        match self.classify(sample).await {
            Ok((Classified { label, seen, .. }, took)) => {
                metrics::counter!("stratum_classified_total", "class" => seen.class.name()).increment(1);
                metrics::histogram!("stratum_classify_seconds").record(took.as_secs_f64());
                tracing::trace!(bucket, key, label, class = %seen.class, confidence = seen.confidence, "looked at");
                self.engine.usage.note_seen(bucket, &key, written, seen);
                (took * REST_FACTOR).min(LONGEST_REST)
            }
            Err(error) => failed(&key, &error),
        }
    }

    /// What a sample is, and how long that took.
    async fn classify(&self, sample: Sample) -> Result<(Classified, Duration), String> {
        let classifier = self.classifier.clone();
        let looking = LOOKING.spawn(move || {
            let began = System.monotonic();
            let classified = classifier.lock().classify(&sample);
            (classified, System.monotonic().saturating_sub(began))
        });
        let (classified, took) = looking.await.map_err(|error| error.to_string())?;
        Ok((classified.map_err(|error| error.to_string())?, took))
    }

    fn publish(&self) {
        let (waiting, dropped) = self.engine.samples.counts();
        metrics::gauge!("stratum_classify_waiting").set(waiting as f64);
        metrics::counter!("stratum_classify_dropped_total").absolute(dropped);
    }
}

/// Nothing is the worse for it but that one object's class isn't known.
fn failed(key: &str, error: &str) -> Duration {
    metrics::counter!("stratum_classify_failures_total").increment(1);
    tracing::debug!(key, error, "an object's bytes could not be looked at");
    POLL_INTERVAL
}

impl Task for ClassifyTask {
    fn row(&self) -> Row {
        Row {
            name: "classify",
            role: Role::Host,
            class: None,
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.publish();
            let Some(waiting) = self.engine.samples.take() else { return Next::After(POLL_INTERVAL) };
            let rest = unless_stopped(stop, self.look(waiting)).await.unwrap_or_default();
            if rest.is_zero() { Next::AtOnce } else { Next::After(rest) }
        })
    }
}
