//! The background tasks that the binary adds to the engine's.

use crate::certificate::CertificateTask;
use crate::classify::ClassifyTask;
use crate::config::Config;
use crate::delivery::DeliveryTask;
use crate::figures::FiguresTask;
use crate::logging::DroppedLines;
use crate::operator::Operator;
use crate::root::{RootCredentials, RootTask};
use crate::telemetry::Telemetry;
use crate::usage::UsageTask;
use crate::webhook::Webhooks;
use std::sync::Arc;
use stratum_api::context::Store;
use stratum_api::log_delivery::AccessLogTask;
use stratum_classify::Classifier;
use stratum_engine::Engine;
use stratum_storage::task::Task;

/// What the tasks work on.
pub struct Work<'a> {
    pub config: &'a Config,
    pub engine: &'a Engine,
    pub operator: &'a Arc<Operator>,
    pub store: &'a Arc<Store>,
    pub root: &'a Arc<RootCredentials>,
    pub usage: Arc<UsageTask>,
    pub certificate: Option<Arc<CertificateTask>>,
    pub classifier: Option<Classifier>,
    pub telemetry: &'a Telemetry,
    pub dropped: DroppedLines,
    pub webhooks: Webhooks,
    /// Those that keep the audit's lines, and those that send traces and lines of the log to a collector.
    pub told: Vec<Arc<dyn Task>>,
}

impl Work<'_> {
    /// The tasks, in their order in the status.
    pub fn tasks(self) -> Vec<Arc<dyn Task>> {
        let metered = self.config.metrics.buckets.clone();
        let figures = FiguresTask::new(self.operator.clone(), self.telemetry.clone(), self.dropped, metered);
        let mut tasks: Vec<Arc<dyn Task>> = vec![self.usage];
        tasks.extend(self.certificate.map(|task| task as Arc<dyn Task>));
        let classify = self.classifier.map(|classifier| ClassifyTask::new(self.engine.clone(), classifier));
        tasks.extend(classify.map(|task| Arc::new(task) as Arc<dyn Task>));
        tasks.push(Arc::new(figures));
        tasks.push(Arc::new(DeliveryTask::new(self.engine.metadata.clone(), self.webhooks)));
        tasks.extend(self.told);
        tasks.push(Arc::new(AccessLogTask::new(self.store.clone())));
        let store = self.store.clone();
        let root = RootTask::new(self.root.clone(), move || store.verifier.has_root_signed());
        tasks.extend(root.map(|task| Arc::new(task) as Arc<dyn Task>));
        tasks
    }
}
