//! A few users, each with a key and a policy. All three records are written by one command, which is applied only if
//! no identity has changed since they were read. Whatever happens to the store, each user exists completely, as last
//! acknowledged, or not at all; and of two changes that were worked out from the same state, one is refused.
//!
//! One store in three has them, so that the other seeds tell the stories that they told before. A store of level 1
//! can't have any, and gets them when it is raised.

use crate::life::Life;
use crate::model::Open;
use crate::run::{Run, Wrote};
use bytes::Bytes;
use futures_util::future::join;
use std::collections::BTreeMap;
use stratum_metadata::ReadError;
use stratum_metadata::command::{Command, IdentityChanges, IdentityWrite, Refusal};
use stratum_metadata::record::{
    AccessKeyRecord, AccountName, IdentityDetail, IdentityKind, IdentityRecord, Level, ManagedPolicyRecord,
    PolicyVersion,
};
use stratum_storage::blob::Index;

/// Steps of a hundred that are about users.
const OF_100_STEPS: u64 = 8;
const USERS: u64 = 5;
const ACCOUNT: &str = "owner";

/// For each user, the number of the change that wrote them last, which all three records hold.
#[derive(Clone, Debug)]
pub struct Identities {
    /// Whether this story has users.
    are_played: bool,
    users: BTreeMap<u64, Open<Option<u64>>>,
}

impl Identities {
    /// No users yet; the seed decides whether the story has any.
    pub fn none(seed: u64) -> Identities {
        Identities { are_played: seed % 3 == 2, users: BTreeMap::new() }
    }

    fn of(&self, user: u64) -> Open<Option<u64>> {
        self.users.get(&user).cloned().unwrap_or(Open::known(None))
    }

    /// Whether it is known of every user what there must be: a change without an answer may still take effect.
    fn are_certain(&self) -> bool {
        self.users.values().all(|open| open.certain().is_some())
    }

    fn wrote(&mut self, Change { user, stamp }: Change, wrote: &Wrote) {
        let mut open = self.of(user);
        match wrote {
            Wrote::Done => open.is(stamp),
            Wrote::Unknown(_) => open.or(stamp),
            Wrote::Nothing(_) | Wrote::Refused(Refusal::IdentitiesChanged) => {}
            Wrote::Refused(refusal) => panic!("a change of identities is refused: {refusal:?}"),
        }
        self.users.insert(user, open);
    }
}

/// The change of a user, who is written anew or removed.
#[derive(Clone, Copy, Debug)]
struct Change {
    user: u64,
    stamp: Option<u64>,
}

/// Sometimes a step that is about users.
pub async fn perhaps_step(life: &mut Life<'_>) -> Option<String> {
    let identities = &life.model.identities;
    let can = life.model.level.certain().is_some_and(|level| *level >= Level::SECOND);
    if !identities.are_played || !can || !identities.are_certain() || !life.dice.percent(OF_100_STEPS) {
        return None;
    }
    let read = match life.run.metadata.local().identities() {
        Ok(record) => record.map(|record| record.changed),
        Err(_) if life.hardware.power.is_off() => return None,
        Err(error) => panic!("identities can't be read: {error}"),
    };
    let change = change(life);
    let told = match life.dice.within(0..4) {
        0 => {
            let outdated = Some(read.unwrap_or(7) + 1);
            let wrote = commit(life.run, outdated, change).await;
            assert!(!matches!(wrote, Wrote::Done), "a change of what has changed is taken");
            life.model.identities.wrote(change, &wrote);
            "refused".to_owned()
        }
        1 => {
            let other = Change { user: (change.user + 1) % USERS, ..self::change(life) };
            let (one, two) = join(commit(life.run, read, change), commit(life.run, read, other)).await;
            let changed = |wrote: &Wrote| matches!(wrote, Wrote::Refused(Refusal::IdentitiesChanged));
            assert!(!matches!((&one, &two), (Wrote::Done, Wrote::Done)), "both of two changes are taken");
            assert!(!(changed(&one) && changed(&two)), "both of two changes are refused");
            life.model.identities.wrote(change, &one);
            life.model.identities.wrote(other, &two);
            format!("{} and {}", change.user, other.user)
        }
        _ => {
            let wrote = commit(life.run, read, change).await;
            assert!(!matches!(wrote, Wrote::Refused(_)), "a change of what was just read is refused");
            life.model.identities.wrote(change, &wrote);
            change.user.to_string()
        }
    };
    look(life, false);
    Some(format!("Identities {told}"))
}

/// After a start: checks that every user is as they should be; from then on what was open is known.
pub fn settle(life: &mut Life<'_>) {
    look(life, true);
}

fn change(life: &mut Life<'_>) -> Change {
    let stamp = life.model.piece(0).id;
    Change { user: life.dice.within(0..USERS), stamp: (!life.dice.percent(30)).then_some(stamp) }
}

fn look(life: &mut Life<'_>, decides: bool) {
    for user in 0..USERS {
        let found = match found(life.run, user) {
            Ok(found) => found,
            Err(_) if life.hardware.power.is_off() => return,
            Err(error) => panic!("user {user} can't be read: {error}"),
        };
        let open = life.model.identities.of(user);
        assert!(open.allows(&found), "user {user} is of change {found:?}, and should be of {open:?}");
        if decides {
            life.model.identities.users.insert(user, Open::known(found));
        }
    }
}

/// The change by which a user was written last; all three records must say the same.
fn found(run: &Run, user: u64) -> Result<Option<u64>, ReadError> {
    let view = run.metadata.local();
    let record = view.identity(IdentityKind::User, &at(user))?.map(|record| record.created);
    let key = view.access_key(&key_of(user))?.map(|key| key.created);
    let policy = view.managed_policy(&at(user))?.map(|policy| policy.created);
    assert!(record == key && key == policy, "user {user} is of change {record:?}, {key:?} and {policy:?}");
    Ok(record)
}

async fn commit(run: &Run, read: Option<Index>, Change { user, stamp }: Change) -> Wrote {
    let writes = vec![
        IdentityWrite::Identity {
            kind: IdentityKind::User,
            at: at(user),
            record: stamp.map(|stamp| record(user, stamp)),
        },
        IdentityWrite::AccessKey { id: key_of(user), record: stamp.map(|stamp| key(user, stamp)) },
        IdentityWrite::Policy { at: at(user), record: stamp.map(|stamp| policy(user, stamp)) },
    ];
    let changes = IdentityChanges { read, key: read.is_none().then(|| vec![1; 32]), writes };
    run.metadata.commit(Command::ChangeIdentities(changes), Bytes::new()).await.into()
}

fn at(user: u64) -> AccountName {
    AccountName::new(ACCOUNT, &name(user))
}

fn name(user: u64) -> String {
    format!("User-{user}")
}

fn key_of(user: u64) -> String {
    format!("AKIA{user:016}")
}

fn record(user: u64, stamp: u64) -> IdentityRecord {
    IdentityRecord {
        id: format!("AIDA{user:016}"),
        name: name(user),
        path: "/".into(),
        created: stamp,
        tags: Default::default(),
        inline: [("own".into(), "{}".into())].into(),
        attached: Default::default(),
        detail: IdentityDetail::User {
            groups: Default::default(),
            access_keys: vec![key_of(user)],
            boundary: None,
        },
    }
}

fn key(user: u64, stamp: u64) -> AccessKeyRecord {
    AccessKeyRecord { user: at(user), sealed: vec![2; 88], is_active: true, created: stamp }
}

fn policy(user: u64, stamp: u64) -> ManagedPolicyRecord {
    ManagedPolicyRecord {
        id: format!("ANPA{user:016}"),
        name: name(user),
        path: "/".into(),
        description: None,
        created: stamp,
        updated: stamp,
        tags: Default::default(),
        default: 1,
        newest: 1,
        versions: [(1, PolicyVersion { document: "{}".into(), created: stamp })].into(),
    }
}
