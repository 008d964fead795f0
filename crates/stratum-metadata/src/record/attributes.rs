//! Attributes that few objects have: typed parts of an object's record that take space only where they are set.
//!
//! They are stored as a list of those that are set, in a fixed order, so a record without any takes one byte for all
//! of them.

use super::encryption::Encryption;
use super::tiering::{TierDecisions, TierPin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{Index, Tier};

/// The attributes of an object, each set at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Attribute>", into = "Vec<Attribute>")]
pub struct Attributes {
    /// The canonical user id of the version's owner, where that isn't the bucket's.
    pub owner: Option<String>,
    /// Tags of the object, by key.
    pub tags: Option<BTreeMap<String, String>>,
    /// The grants of its access control list, if its owner isn't the only one who has access.
    pub acl: Option<Vec<Grant>>,
    pub retention: Option<Retention>,
    /// `None` if it was never set.
    pub legal_hold: Option<LegalHold>,
    /// The decisions about its tier.
    pub tiering: TierDecisions,
    /// A tier that an operator set. When the pin is removed, the last decision still says in which tier the object is
    /// and why.
    pub pin: Option<TierPin>,
    pub replication: Option<ReplicationState>,
    /// When its tier is reviewed; the state has a review at that time.
    pub review: Option<UnixMillis>,
    /// How it is encrypted, if it is.
    pub encryption: Option<Box<Encryption>>,
}

impl Attributes {
    /// The pin, while it holds.
    pub fn pinned(&self, now: UnixMillis) -> Option<&TierPin> {
        self.pin.as_ref().filter(|pin| pin.until.is_none_or(|until| now < until))
    }

    /// The tier in which the object belongs: where it is pinned, else that of the last decision. `None` as long as
    /// nothing was decided.
    pub fn belongs_in(&self, now: UnixMillis) -> Option<Tier> {
        self.pinned(now).map(|pin| pin.tier).or_else(|| self.tiering.last().map(|decision| decision.tier))
    }
}

/// A grant of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub grantee: Grantee,
    pub permission: Permission,
}

/// To whom a grant applies. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grantee {
    /// A canonical user id.
    User(String),
    AllUsers,
    AuthenticatedUsers,
    LogDelivery,
}

/// S3's permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    Read,
    Write,
    ReadAcp,
    WriteAcp,
    FullControl,
}

/// Until when a version can't be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    pub mode: RetentionMode,
    pub until: UnixMillis,
}

/// Keeps a version from being deleted while it is on, whatever its retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegalHold {
    On,
    Off,
}

/// S3's retention modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    Governance,
    Compliance,
}

/// The state of a version's replication to another store. New variants go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicationState {
    Pending,
    /// The copy is complete, as of that entry.
    Completed(Index),
    Failed,
    /// The version is itself a copy.
    Replica,
}

/// One attribute as it is stored. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Serialize, Deserialize)]
enum Attribute {
    Owner(String),
    Tags(BTreeMap<String, String>),
    Acl(Vec<Grant>),
    Retention(Retention),
    LegalHold(LegalHold),
    Tiering(TierDecisions),
    Pin(TierPin),
    Replication(ReplicationState),
    Review(UnixMillis),
    Encryption(Box<Encryption>),
}

impl Attribute {
    fn rank(&self) -> u8 {
        match self {
            Attribute::Owner(_) => 0,
            Attribute::Tags(_) => 1,
            Attribute::Acl(_) => 2,
            Attribute::Retention(_) => 3,
            Attribute::LegalHold(_) => 4,
            Attribute::Tiering(_) => 5,
            Attribute::Pin(_) => 6,
            Attribute::Replication(_) => 7,
            Attribute::Review(_) => 8,
            Attribute::Encryption(_) => 9,
        }
    }
}

impl From<Attributes> for Vec<Attribute> {
    fn from(of: Attributes) -> Self {
        let parts = [
            of.owner.map(Attribute::Owner),
            of.tags.map(Attribute::Tags),
            of.acl.map(Attribute::Acl),
            of.retention.map(Attribute::Retention),
            of.legal_hold.map(Attribute::LegalHold),
            (!of.tiering.is_empty()).then_some(Attribute::Tiering(of.tiering)),
            of.pin.map(Attribute::Pin),
            of.replication.map(Attribute::Replication),
            of.review.map(Attribute::Review),
            of.encryption.map(Attribute::Encryption),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// An attribute stands twice or in the wrong order, so that equal records would have unequal bytes.
#[derive(Debug, thiserror::Error)]
#[error("an attribute stands twice or not in its place")]
struct OutOfOrder;

impl TryFrom<Vec<Attribute>> for Attributes {
    type Error = OutOfOrder;

    fn try_from(parts: Vec<Attribute>) -> Result<Self, OutOfOrder> {
        if !parts.is_sorted_by(|one, next| one.rank() < next.rank()) {
            return Err(OutOfOrder);
        }
        let mut all = Attributes::default();
        for part in parts {
            match part {
                Attribute::Owner(owner) => all.owner = Some(owner),
                Attribute::Tags(tags) => all.tags = Some(tags),
                Attribute::Acl(grants) => all.acl = Some(grants),
                Attribute::Retention(retention) => all.retention = Some(retention),
                Attribute::LegalHold(hold) => all.legal_hold = Some(hold),
                Attribute::Tiering(decisions) => all.tiering = decisions,
                Attribute::Pin(pin) => all.pin = Some(pin),
                Attribute::Replication(state) => all.replication = Some(state),
                Attribute::Review(time) => all.review = Some(time),
                Attribute::Encryption(encryption) => all.encryption = Some(encryption),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EncryptionMode, TierDecision, TierReason};

    #[test]
    fn no_attribute_takes_one_byte_and_each_comes_back() {
        let none = Attributes::default();
        assert_eq!(postcard::to_allocvec(&none).unwrap(), [0]);
        let grant = Grant { grantee: Grantee::AllUsers, permission: Permission::Read };
        let decision = TierDecision::new(Tier::Cold, 3, TierReason::Model);
        let pin = TierPin { tier: Tier::Warm, by: "ann".into(), since: 5, until: Some(8) };
        let all = Attributes {
            owner: Some("ann".into()),
            tags: Some([("a".into(), "b".into())].into()),
            acl: Some(vec![grant]),
            retention: Some(Retention { mode: RetentionMode::Compliance, until: 9 }),
            legal_hold: Some(LegalHold::On),
            tiering: vec![decision].try_into().unwrap(),
            pin: Some(pin),
            replication: Some(ReplicationState::Completed(7)),
            review: Some(11),
            encryption: Some(Box::new(Encryption {
                mode: EncryptionMode::Customer,
                key: vec![1],
                headers: vec![2],
            })),
        };
        let bytes = postcard::to_allocvec(&all).unwrap();
        assert_eq!(postcard::from_bytes::<Attributes>(&bytes).unwrap(), all);
    }

    #[test]
    fn a_pin_comes_before_the_last_decision_while_it_holds() {
        let decided = TierDecision::new(Tier::Cold, 3, TierReason::Model);
        let pin = TierPin { tier: Tier::Warm, by: "ann".into(), since: 5, until: Some(8) };
        let mut attributes = Attributes { pin: Some(pin), ..Attributes::default() };
        assert_eq!((attributes.belongs_in(7), attributes.belongs_in(8)), (Some(Tier::Warm), None));
        attributes.tiering = vec![decided].try_into().unwrap();
        assert_eq!(
            (attributes.belongs_in(7), attributes.belongs_in(8)),
            (Some(Tier::Warm), Some(Tier::Cold))
        );
        assert!(attributes.pinned(7).is_some() && attributes.pinned(8).is_none());
    }

    #[test]
    fn an_attribute_that_stands_twice_is_refused() {
        let twice = postcard::to_allocvec(&vec![
            Attribute::LegalHold(LegalHold::On),
            Attribute::LegalHold(LegalHold::Off),
        ])
        .unwrap();
        assert!(postcard::from_bytes::<Attributes>(&twice).is_err());
        let astray = vec![Attribute::LegalHold(LegalHold::On), Attribute::Owner("ann".into())];
        assert!(postcard::from_bytes::<Attributes>(&postcard::to_allocvec(&astray).unwrap()).is_err());
    }
}
