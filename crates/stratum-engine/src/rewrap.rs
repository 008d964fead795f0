//! Data keys under a key that was rotated: each is unwrapped, wrapped anew, and exchanged in its record.
//!
//! It takes an operator's word, since only an operator knows that a key is another by now. A pass walks over all that is encrypted,
//! a page a step; what it exchanges is exchanged by a conditional command, so that a write that comes meanwhile wins. What it
//! seals stays as it is: no body is read or written. When a pass has found nothing outdated and failed at nothing, the former
//! keys are of no use any more.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use stratum_cipher::{KeyError, KeyService, Salt};
use stratum_metadata::command::{Command, IdentityChanges, KeyChange, Outcome};
use stratum_metadata::record::IdentitiesRecord;
use stratum_metadata::{Encrypted, EncryptedWalk, Metadata};
use stratum_storage::ambient::Entropy;
use stratum_storage::blocking;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// How long it waits to be asked, and looks again.
const IDLE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Between two pages, so that requests come first.
const REST: Duration = Duration::from_millis(10);
/// After a failure of the store.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Keys that are exchanged with one command, which has at most 1 MiB: a key's name has 1 KiB, and each wrapped one a tenth of that.
const TOGETHER: usize = 256;

/// Wraps data keys anew when it is asked to. One of a store.
pub struct Rewrapper {
    metadata: Metadata,
    /// None where nothing is encrypted.
    keys: Option<Arc<dyn KeyService>>,
    entropy: Arc<dyn Entropy>,
    asked: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The pass that is under way.
    walk: Option<EncryptedWalk>,
    status: RewrapStatus,
}

/// How it went: of the pass that is under way, or of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrapStatus {
    pub under_way: bool,
    /// Passes that ended, since the start.
    pub passes: u64,
    /// What was found that is encrypted with keys of the server's.
    pub looked_at: u64,
    pub rewrapped: u64,
    /// What could not be, since the key that wrapped it isn't here, or its record is damaged.
    pub failed: u64,
    /// Of the last of those, why.
    pub problem: Option<String>,
}

/// What became of the key above the secrets of users.
enum Secrets {
    /// There are none.
    None,
    /// It is wrapped as it should be.
    Current,
    Rewrapped,
    /// What wrapped it isn't here.
    Failed(KeyError),
}

impl Rewrapper {
    pub(crate) fn new(
        metadata: Metadata,
        keys: Option<Arc<dyn KeyService>>,
        entropy: Arc<dyn Entropy>,
    ) -> Rewrapper {
        Rewrapper { metadata, keys, entropy, asked: Notify::new(), state: Mutex::default() }
    }

    /// Begins a pass, from the beginning if one is under way.
    pub fn ask(&self) -> RewrapStatus {
        let mut state = self.state.lock();
        state.walk = Some(EncryptedWalk::default());
        state.status =
            RewrapStatus { under_way: true, passes: state.status.passes, ..RewrapStatus::default() };
        self.asked.notify_one();
        state.status.clone()
    }

    pub fn status(&self) -> RewrapStatus {
        self.state.lock().status.clone()
    }

    /// Does a page; says when to go on.
    async fn go_on(&self, keys: &dyn KeyService) -> Result<Next, String> {
        let Some(before) = self.state.lock().walk.clone() else { return Ok(Next::After(IDLE_INTERVAL)) };
        let (view, mut walk) = (self.metadata.local(), before.clone());
        let page = blocking::spawn(move || view.encrypted(&mut walk).map(|page| (page, walk))).await;
        let (page, walk) = page.map_err(text)?.map_err(text)?;
        let looked_at = page.found.len() as u64;
        let (mut changes, mut failed, mut problem) = (Vec::new(), page.damaged, None);
        let secrets = if page.is_last { self.rewrap_of_secrets(keys).await? } else { Secrets::None };
        if let Secrets::Failed(error) = &secrets {
            failed += 1;
            problem = Some(format!("the secrets of users: {error}"));
        }
        for Encrypted { of, encryption, name } in page.found {
            if !keys.is_outdated(encryption.mode.named_key(), &encryption.key) {
                continue;
            }
            match self.rewrap(keys, encryption.mode.named_key(), &encryption.key, &name).await {
                Ok(to) => changes.push(KeyChange { of, from: encryption.key, to }),
                // It is there again later.
                Err(error @ KeyError::Unavailable(_)) => return Err(error.to_string()),
                Err(error) => {
                    failed += 1;
                    problem = Some(format!("{of}: {error}"));
                }
            }
        }
        let mut rewrapped = u64::from(matches!(secrets, Secrets::Rewrapped));
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(TOGETHER));
            let command = Command::RewrapKeys(std::mem::replace(&mut changes, rest));
            match self.metadata.commit(command, bytes::Bytes::new()).await.map_err(text)? {
                Outcome::Count(applied) => rewrapped += applied,
                other => return Err(format!("the exchange of keys came to {other}")),
            }
        }
        let mut state = self.state.lock();
        if state.walk.as_ref() != Some(&before) {
            // It was asked for again meanwhile.
            return Ok(Next::AtOnce);
        }
        state.status.looked_at += looked_at + u64::from(!matches!(secrets, Secrets::None));
        state.status.rewrapped += rewrapped;
        state.status.failed += failed;
        state.status.problem = problem.or(state.status.problem.take());
        if !page.is_last {
            state.walk = Some(walk);
            return Ok(Next::After(REST));
        }
        state.walk = None;
        state.status.under_way = false;
        state.status.passes += 1;
        let RewrapStatus { looked_at, rewrapped, failed, .. } = state.status;
        tracing::info!(looked_at, rewrapped, failed, "wrapped data keys anew");
        Ok(Next::After(IDLE_INTERVAL))
    }

    /// Of the key above the secrets of users.
    async fn rewrap_of_secrets(&self, keys: &dyn KeyService) -> Result<Secrets, String> {
        let Some(all) = self.metadata.local().identities().map_err(text)? else {
            return Ok(Secrets::None);
        };
        if all.key.is_empty() {
            return Ok(Secrets::None);
        }
        if !keys.is_outdated(None, &all.key) {
            return Ok(Secrets::Current);
        }
        let key = match self.rewrap(keys, None, &all.key, IdentitiesRecord::KEY_NAME).await {
            Ok(key) => key,
            // It is there again later.
            Err(error @ KeyError::Unavailable(_)) => return Err(error.to_string()),
            Err(error) => return Ok(Secrets::Failed(error)),
        };
        let changes = IdentityChanges { read: Some(all.changed), key: Some(key), writes: Vec::new() };
        match self
            .metadata
            .commit(Command::ChangeIdentities(changes), bytes::Bytes::new())
            .await
            .map_err(text)?
        {
            Outcome::Done => Ok(Secrets::Rewrapped),
            // It is done with the next try.
            other => Err(format!("the exchange of the key of users' secrets came to {other}")),
        }
    }

    async fn rewrap(
        &self,
        keys: &dyn KeyService,
        key: Option<&str>,
        wrapped: &[u8],
        name: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let data = keys.unwrap(wrapped, name).await?;
        let mut salt = [0; Salt::BYTES];
        self.entropy.fill(&mut salt);
        keys.wrap(key, &data, name, Salt(salt)).await
    }
}

impl Task for Rewrapper {
    fn row(&self) -> Row {
        Row {
            name: "rewrap",
            role: Role::Leader,
            class: None,
            executor: Executor::Runtime,
            delay: IDLE_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let Some(keys) = &self.keys else { return Next::After(IDLE_INTERVAL) };
            self.go_on(keys.as_ref()).await.unwrap_or_else(|problem| {
                tracing::warn!(problem, "data keys could not be wrapped anew; it is tried again");
                self.state.lock().status.problem = Some(problem);
                Next::After(RETRY_DELAY)
            })
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.asked.notified())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
