//! The task that watches the TLS certificate: it loads the files again when they changed, and warns before the
//! certificate expires.
//!
//! Whoever renews the certificate needn't tell the server, since both files are read every few seconds. Files that
//! can't be used leave the loaded certificate in place. The log warns of them only when two looks in a row met the same
//! problem: certificate and key are two files, seldom written in the same moment, and one look may find just one of
//! them renewed.

use crate::shown::{duration, moment};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use stratum_api::server::tls::{Certificate, Look};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use tracing_mutex::parkinglot::Mutex;

/// How often the files are read.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// A certificate is about to expire when less than this is left, or less than one `ENDING_DIVISOR`th of its lifetime,
/// whichever is shorter: certificates that are valid for a few days are renewed late. `StratumCertificateEnds` in
/// `deploy/prometheus` uses the same two limits.
const ENDING_SECONDS: i64 = 14 * 86_400;
const ENDING_DIVISOR: i64 = 5;
/// How often the log repeats that the certificate is about to expire.
const TELLING_INTERVAL: Duration = Duration::from_secs(86_400);

/// The task that looks at the certificate's files.
pub struct CertificateTask {
    certificate: Arc<Certificate>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trouble: Option<Trouble>,
    /// When the log last said that the certificate is about to expire, on the monotonic clock.
    told_at: Option<Duration>,
}

/// Why the certificate that lies in the files can't be used.
struct Trouble {
    problem: String,
    /// Whether two looks in a row met the same problem.
    is_settled: bool,
}

/// The certificate that the server shows to its clients, as the status tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateStatus {
    pub file: String,
    pub ends_at: UnixMillis,
    /// Negative once the certificate has expired.
    pub seconds_left: i64,
    /// How long the certificate is valid, from its first to its last second.
    pub lifetime_seconds: i64,
    /// Why the certificate that lies in the files now can't be used; nothing if it is in use.
    pub problem: Option<String>,
}

impl CertificateTask {
    pub fn new(certificate: Arc<Certificate>) -> Arc<CertificateTask> {
        Arc::new(CertificateTask { certificate, state: Mutex::default() })
    }

    pub fn status(&self) -> CertificateStatus {
        let validity = self.certificate.validity();
        let state = self.state.lock();
        let settled = state.trouble.as_ref().filter(|trouble| trouble.is_settled);
        CertificateStatus {
            file: self.certificate.path().display().to_string(),
            ends_at: validity.ends.saturating_mul(1000),
            seconds_left: validity.ends.cast_signed().saturating_sub((System.now() / 1000).cast_signed()),
            lifetime_seconds: validity.ends.saturating_sub(validity.begins).cast_signed(),
            problem: settled.map(|trouble| trouble.problem.clone()),
        }
    }

    fn look(&self) {
        match self.certificate.look() {
            Ok(Look::Unchanged) => self.state.lock().trouble = None,
            Ok(Look::Renewed) => {
                *self.state.lock() = State::default();
                let CertificateStatus { file, ends_at, .. } = self.status();
                tracing::info!(
                    file,
                    ends = moment(ends_at),
                    "the certificate was renewed: new connections are shown the new one"
                );
            }
            Err(error) => self.state.lock().meets(error.to_string()),
        }
    }

    fn tell_end(&self) {
        let status = self.status();
        let now = System.monotonic();
        let mut state = self.state.lock();
        if state.told_at.is_none_or(|at| at + TELLING_INTERVAL <= now)
            && let Some(end) = status.end()
        {
            tracing::warn!("{end}");
            state.told_at = Some(now);
        }
    }
}

impl State {
    /// Notes that a look met a problem, and warns when it is the second in a row.
    fn meets(&mut self, problem: String) {
        let is_settled = self.trouble.as_ref().is_some_and(|trouble| trouble.problem == problem);
        let is_told = self.trouble.as_ref().is_some_and(|trouble| trouble.is_settled);
        if is_settled && !is_told {
            tracing::warn!(%problem, "the files of the certificate changed and can't be used; the one before is shown");
        }
        self.trouble = Some(Trouble { problem, is_settled });
    }
}

impl CertificateStatus {
    /// What the status tells the operator to do about the certificate.
    pub fn notes(&self) -> Vec<String> {
        let trouble = self.problem.as_ref().map(|problem| {
            format!(
                "the files of the certificate changed and can't be used ({problem}): the one before is shown until they can"
            )
        });
        trouble.into_iter().chain(self.end()).collect()
    }

    /// That the certificate expired or is about to, if so.
    fn end(&self) -> Option<String> {
        let CertificateStatus { file, ends_at, seconds_left, lifetime_seconds, .. } = self;
        let span = duration(seconds_left.unsigned_abs());
        let moment = moment(*ends_at);
        if *seconds_left <= 0 {
            return Some(format!(
                "the certificate ran out {span} ago, at {moment}: clients refuse it. Renew {file}"
            ));
        }
        let is_ending = *seconds_left < ENDING_SECONDS.min(lifetime_seconds / ENDING_DIVISOR);
        is_ending.then(|| format!("the certificate runs out in {span}, at {moment}: renew {file}"))
    }

    /// The certificate's line in the text of the status.
    pub fn to_text(&self) -> String {
        format!("{} until {}", self.file, moment(self.ends_at))
    }
}

impl Task for CertificateTask {
    fn row(&self) -> Row {
        Row {
            name: "certificate",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: READ_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.look();
            self.tell_end();
            Next::After(READ_INTERVAL)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_of_a_certificate_before_and_after_it_expires() {
        const DAY: i64 = 86_400;
        let left = |left, lifetime| {
            let status = CertificateStatus {
                file: "server.pem".into(),
                seconds_left: left,
                lifetime_seconds: lifetime,
                ..CertificateStatus::default()
            };
            status.notes().join("\n")
        };
        assert_eq!(left(15 * DAY, 90 * DAY), "");
        assert_eq!(left(2 * DAY, 6 * DAY), "");
        assert!(
            left(13 * DAY, 90 * DAY)
                .contains("runs out in 13 d 0 h, at 1970-01-01 00:00 UTC: renew server.pem")
        );
        assert!(left(DAY, 6 * DAY).contains("runs out in 1 d 0 h"));
        assert!(left(-7200, 90 * DAY).contains("ran out 2 h 0 min ago"));
    }

    #[test]
    fn a_problem_counts_once_two_looks_in_a_row_met_it() {
        let mut state = State::default();
        let settled = |state: &State| state.trouble.as_ref().is_some_and(|trouble| trouble.is_settled);
        state.meets("another key".into());
        assert!(!settled(&state));
        state.meets("another key".into());
        assert!(settled(&state));
    }
}
