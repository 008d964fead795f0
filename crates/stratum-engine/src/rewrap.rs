//! Wraps data keys again after the key above them was rotated: each is unwrapped, wrapped anew, and replaced in its
//! record.
//!
//! An operator asks for it, since only an operator knows that a key was rotated. A pass walks over everything that is
//! encrypted, a page a step. Keys are replaced by a conditional command, so a write that comes meanwhile wins. What
//! the data keys encrypt stays as it is: no body is read or written. What moves more than once while a walk is under way
//! may be missed by it, so a pass walks again until a walk finds nothing outdated. After a pass that had no failure, the
//! former keys aren't needed any more.

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

/// The pause between two looks while no pass was asked for; asking wakes the task.
const IDLE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// The pause between two pages, so that requests come first.
const PAGE_PAUSE: Duration = Duration::from_millis(10);
/// The pause after a failure of the store.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How often a pass walks over everything, at most. New writes have the new keys, so each walk finds far less than the one
/// before.
const MOST_WALKS: u32 = 8;
/// Keys that are replaced with one command, which has at most 1 MiB: an object's name takes up to 1 KiB, and each
/// wrapped key a tenth of that.
const KEYS_A_COMMAND: usize = 256;

/// Wraps data keys again when asked to; one for a store.
pub struct Rewrapper {
    metadata: Metadata,
    /// `None` if nothing is encrypted.
    keys: Option<Arc<dyn KeyService>>,
    entropy: Arc<dyn Entropy>,
    asked: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How far the walk under way has come.
    walk: Option<EncryptedWalk>,
    /// Walks of this pass that were finished.
    walks: u32,
    /// Data keys that the walk under way found to be wrapped with former keys, and that could be wrapped anew.
    outdated: u64,
    status: RewrapStatus,
}

impl State {
    fn begin_walk(&mut self) {
        (self.walk, self.outdated) = (Some(EncryptedWalk::default()), 0);
        (self.status.looked_at, self.status.failed, self.status.problem) = (0, 0, None);
    }

    /// Ends the walk under way, and the pass with it if nothing is left to be found; says whether it did.
    fn end_walk(&mut self) -> bool {
        self.walks += 1;
        if self.outdated > 0 && self.walks < MOST_WALKS {
            self.begin_walk();
            return false;
        }
        self.walk = None;
        self.status.left = self.outdated;
        self.status.under_way = false;
        self.status.passes += 1;
        true
    }
}

/// The figures of the pass that is under way, or else of the last one: its walks together, but where it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrapStatus {
    pub under_way: bool,
    /// Passes that were finished since the start.
    pub passes: u64,
    /// Data keys found by the last walk that are wrapped with keys of the server's; those of noncurrent versions are
    /// found twice.
    pub looked_at: u64,
    pub rewrapped: u64,
    /// Data keys that the last walk could not have wrapped again, since the key that wrapped them isn't there, or their
    /// record is damaged.
    pub failed: u64,
    /// Why the last of those failed.
    pub problem: Option<String>,
    /// Data keys that the last walk of a finished pass still found to be wrapped with former keys, so that there may be
    /// more.
    #[serde(default)]
    pub left: u64,
}

/// What was done about the key that seals the secrets of users.
enum Secrets {
    /// There is no such key.
    None,
    /// It is wrapped with the current key.
    Current,
    Rewrapped,
    /// The key that wraps it isn't there.
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

    /// Begins a pass, or begins again if one is under way.
    pub fn ask(&self) -> RewrapStatus {
        let mut state = self.state.lock();
        state.status =
            RewrapStatus { under_way: true, passes: state.status.passes, ..RewrapStatus::default() };
        state.walks = 0;
        state.begin_walk();
        self.asked.notify_one();
        state.status.clone()
    }

    pub fn status(&self) -> RewrapStatus {
        self.state.lock().status.clone()
    }

    /// Does a page; returns when to go on.
    async fn go_on(&self, keys: &dyn KeyService) -> Result<Next, String> {
        let Some(before) = self.state.lock().walk.clone() else { return Ok(Next::After(IDLE_INTERVAL)) };
        let (view, mut walk) = (self.metadata.local(), before.clone());
        let page = blocking::spawn(move || view.encrypted(&mut walk).map(|page| (page, walk))).await;
        let (page, walk) = page.map_err(text)?.map_err(text)?;
        let looked_at = page.found.len() as u64;
        let (mut changes, mut failed, mut problem, mut lost) = (Vec::new(), page.damaged, None, None);
        let secrets = if page.is_last { self.rewrap_of_secrets(keys).await? } else { Secrets::None };
        if let Secrets::Failed(error) = &secrets {
            failed += 1;
            problem = Some(format!("the secrets of users: {error}"));
        }
        for Encrypted { of, encryption, name } in page.found {
            if !keys.is_outdated(encryption.mode.named_key(), &encryption.key) {
                // Where no key has that name any more, what it wrapped may be lost.
                if !keys.has_key_of(&encryption.key) {
                    failed += 1;
                    lost = Some((of, KeyError::NotHere));
                }
                continue;
            }
            match self.rewrap(keys, encryption.mode.named_key(), &encryption.key, &name).await {
                Ok(to) => changes.push(KeyChange { of, from: encryption.key, to }),
                // The key service is only away for a while.
                Err(error @ KeyError::Unavailable(_)) => return Err(error.to_string()),
                Err(error) => {
                    failed += 1;
                    lost = Some((of, error));
                }
            }
        }
        problem =
            lost.map(|(of, error)| format!("{}: {error}", self.metadata.local().in_words(&of))).or(problem);
        let mut rewrapped = u64::from(matches!(secrets, Secrets::Rewrapped));
        let outdated = rewrapped + changes.len() as u64;
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(KEYS_A_COMMAND));
            let command = Command::RewrapKeys(std::mem::replace(&mut changes, rest));
            match self.metadata.commit(command, bytes::Bytes::new()).await.map_err(text)? {
                Outcome::Count(applied) => rewrapped += applied,
                other => return Err(format!("the exchange of keys came to {other}")),
            }
        }
        let is_clean = {
            let mut state = self.state.lock();
            if state.walk.as_ref() != Some(&before) {
                // Another pass was asked for meanwhile.
                return Ok(Next::AtOnce);
            }
            state.status.looked_at += looked_at + u64::from(!matches!(secrets, Secrets::None));
            state.status.rewrapped += rewrapped;
            state.status.failed += failed;
            state.status.problem = problem.or(state.status.problem.take());
            state.outdated += outdated;
            if !page.is_last {
                state.walk = Some(walk);
                return Ok(Next::After(PAGE_PAUSE));
            }
            if !state.end_walk() {
                return Ok(Next::After(PAGE_PAUSE));
            }
            let (walks, RewrapStatus { looked_at, rewrapped, failed, left, .. }) =
                (state.walks, &state.status);
            tracing::info!(walks, looked_at, rewrapped, failed, left, "wrapped data keys anew");
            *failed == 0 && *left == 0
        };
        if let Some(keys) = self.keys.clone().filter(|_| is_clean) {
            blocking::spawn(move || keys.forget_former()).await.map_err(text)?;
        }
        Ok(Next::After(IDLE_INTERVAL))
    }

    /// Wraps the key again that seals the secrets of users.
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
            // The key service is only away for a while.
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
            // Identities changed meanwhile; the next try does it.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> State {
        let mut state =
            State { status: RewrapStatus { under_way: true, ..Default::default() }, ..State::default() };
        state.begin_walk();
        state
    }

    #[test]
    fn a_pass_walks_until_a_walk_finds_nothing_outdated() {
        let mut state = asked();
        (state.outdated, state.status.rewrapped, state.status.failed) = (5, 5, 1);
        assert!(!state.end_walk());
        assert_eq!(state.walk, Some(EncryptedWalk::default()));
        assert_eq!((state.status.under_way, state.status.rewrapped, state.status.failed), (true, 5, 0));
        assert!(state.end_walk());
        assert_eq!((state.walk.as_ref(), state.status.left), (None, 0));
        assert_eq!((state.status.under_way, state.status.passes), (false, 1));
    }

    #[test]
    fn a_pass_ends_and_tells_where_something_is_always_found() {
        let mut state = asked();
        let walks = (1..).find(|_| {
            state.outdated = 2;
            state.end_walk()
        });
        assert_eq!((walks, state.status.left, state.status.under_way), (Some(MOST_WALKS), 2, false));
    }
}
