//! The task that classifies objects by their bytes: after an object was written, a model looks at samples of its bytes,
//! and the class that it finds is noted beside what is known of the object's use.
//!
//! No request waits for this. The number of objects that wait for the model is bounded, and an object that finds no
//! place is never classified (`stratum_tiering::content::Samples`). The model runs on threads of a low priority, one
//! object at a time, and after each object rests nine times as long as that took, so that it takes at most about a
//! tenth of one processor.

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

/// How often the task checks whether an object waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The rest after an object, as a multiple of the time that the object took.
const REST_FACTOR: u32 = 9;
/// The longest such rest: where an object took long because the machine was busy with other work, the model itself used
/// little of that time.
const LONGEST_REST: Duration = Duration::from_secs(1);

static LOOKING: Apart = Apart::leaving_one("looking");

/// Why objects are not classified, as it is told where their classes are asked for.
const OFF: &str = "the classifier is off (`[tiering.classifier] enabled`)";
const NOT_BUILT: &str = "this server was built without the classifier";

/// Loads the model; gives nothing if the configuration turns the classifier off or the binary was built without it.
///
/// # Errors
/// The model that the configuration names, or else the built-in one, can't be loaded.
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

/// The queue in which written objects wait to be classified; closed if there is no classifier.
pub fn samples(config: &Config, classifier: Option<&Classifier>) -> Samples {
    match (classifier, config.tiering.classifier.enabled) {
        (Some(_), _) => Samples::open(),
        (None, true) => Samples::closed(NOT_BUILT),
        (None, false) => Samples::closed(OFF),
    }
}

/// The task that classifies the objects in the queue.
pub struct ClassifyTask {
    engine: Engine,
    classifier: Arc<Mutex<Classifier>>,
}

impl ClassifyTask {
    pub fn new(engine: Engine, classifier: Classifier) -> ClassifyTask {
        ClassifyTask { engine, classifier: Arc::new(Mutex::new(classifier)) }
    }

    /// Classifies one object, and gives how long to rest.
    async fn look(&self, waiting: Waiting) -> Duration {
        let Waiting { bucket, key, written, what } = waiting;
        let sample = match what {
            What::Kept(sample) => sample,
            What::Stored => match self.engine.read_ends(BucketId(bucket), key.as_bytes(), written).await {
                Ok(Some(sample)) => sample,
                // The object was replaced or deleted before its turn came.
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

    /// Runs the model on a sample; gives the class, and how long the model took.
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

/// Counts an object that could not be classified, and gives how long to rest. The only consequence is that the class of
/// this object stays unknown, so the log tells of it at the level `debug`.
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
