//! Logs by `tracing`, as text for people or JSON for machines.

use crate::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. A filter that cannot be parsed is told, and `info` used.
pub fn start(log: &Log) {
    let asked = log.filter.as_deref().unwrap_or("info");
    let (filter, wrong) = match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(filter = asked, %error, "log.filter cannot be parsed; using info");
    }
}
