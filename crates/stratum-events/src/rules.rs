//! A bucket's notification rules: events of which kinds, on which keys, are reported to which webhook.

use serde::{Deserialize, Serialize};
use stratum_metadata::record::{Addressee, EventKind};

const MOST_RULES: usize = 100;
const MOST_ID_CHARS: usize = 255;

/// The notification rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules(pub Vec<Rule>);

/// A notification rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: String,
    pub destination: Destination,
    /// The events as the client named them.
    pub events: Vec<EventName>,
    /// Empty for all keys.
    pub filter: Filter,
}

/// The webhook to which a rule reports, with the ARN whose last part names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    Queue { arn: String, webhook: String },
    Topic { arn: String, webhook: String },
}

impl Destination {
    /// The webhook's name.
    pub fn webhook(&self) -> &str {
        match self {
            Destination::Queue { webhook, .. } | Destination::Topic { webhook, .. } => webhook,
        }
    }

    pub fn arn(&self) -> &str {
        match self {
            Destination::Queue { arn, .. } | Destination::Topic { arn, .. } => arn,
        }
    }

    /// The webhook that an ARN names: `arn:aws:SERVICE:REGION:ACCOUNT:NAME`, of whatever partition, region and account.
    pub fn webhook_of<'a>(arn: &'a str, service: &str) -> Option<&'a str> {
        let mut parts = arn.splitn(6, ':');
        let is_arn =
            parts.next() == Some("arn") && parts.next().is_some_and(|partition| !partition.is_empty());
        let fits = is_arn && parts.next() == Some(service);
        parts.nth(2).filter(|name| fits && !name.is_empty())
    }
}

/// The prefix and suffix of the keys to which a rule applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub prefix: Option<String>,
    pub suffix: Option<String>,
}

impl Filter {
    fn applies(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix().as_bytes()) && key.ends_with(self.suffix().as_bytes())
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn suffix(&self) -> &str {
        self.suffix.as_deref().unwrap_or_default()
    }

    /// Whether some key could have the prefix and suffix of both.
    fn overlaps(&self, other: &Filter) -> bool {
        let begin = self.prefix().starts_with(other.prefix()) || other.prefix().starts_with(self.prefix());
        let end = self.suffix().ends_with(other.suffix()) || other.suffix().ends_with(self.suffix());
        begin && end
    }
}

/// A name of events: of one kind, or of all kinds of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventName {
    One(EventKind),
    ObjectCreated,
    ObjectRemoved,
    ObjectTagging,
    LifecycleExpiration,
}

/// Why a name isn't one that a rule may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownEvent {
    /// S3 has the event, but it never happens in this store.
    #[error("never happens here")]
    NeverHere,
    #[error("is no event of S3's")]
    NotOne,
}

/// The names that each stand for all events of a group.
const TOGETHER: [(&str, EventName); 4] = [
    ("s3:ObjectCreated:*", EventName::ObjectCreated),
    ("s3:ObjectRemoved:*", EventName::ObjectRemoved),
    ("s3:ObjectTagging:*", EventName::ObjectTagging),
    ("s3:LifecycleExpiration:*", EventName::LifecycleExpiration),
];

/// S3's events that never happen in this store: it has no reduced redundancy, restore, replication or
/// Intelligent-Tiering.
const NEVER_HERE: [&str; 14] = [
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:IntelligentTiering",
    "s3:ObjectAnnotation:*",
    "s3:ObjectAnnotation:Put",
    "s3:ObjectAnnotation:Delete",
];

impl EventName {
    /// # Errors
    /// [`UnknownEvent`].
    pub fn parse(name: &str) -> Result<EventName, UnknownEvent> {
        if let Some((_, together)) = TOGETHER.iter().find(|(known, _)| *known == name) {
            return Ok(*together);
        }
        let bare = name.strip_prefix("s3:").ok_or(UnknownEvent::NotOne)?;
        let one =
            EventKind::ALL.into_iter().find(|kind| kind.name() == bare && *kind != EventKind::TestEvent);
        match one {
            Some(kind) => Ok(EventName::One(kind)),
            None if NEVER_HERE.contains(&name) => Err(UnknownEvent::NeverHere),
            None => Err(UnknownEvent::NotOne),
        }
    }

    /// The name as it stands in the rules' document.
    pub fn name(self) -> String {
        match self {
            EventName::One(kind) => format!("s3:{}", kind.name()),
            together => {
                TOGETHER.iter().find(|(_, name)| *name == together).map_or("", |(name, _)| *name).to_owned()
            }
        }
    }

    fn has(self, kind: EventKind) -> bool {
        match self {
            EventName::One(one) => one == kind,
            EventName::ObjectCreated => kind.name().starts_with("ObjectCreated:"),
            EventName::ObjectRemoved => kind.name().starts_with("ObjectRemoved:"),
            EventName::ObjectTagging => kind.name().starts_with("ObjectTagging:"),
            EventName::LifecycleExpiration => kind.name().starts_with("LifecycleExpiration:"),
        }
    }
}

/// Why S3 would refuse rules that are well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("There may be up to {MOST_RULES} configurations")]
    Count,
    #[error("An Id may have up to {MOST_ID_CHARS} characters")]
    LongId,
    #[error("Same Id in two configurations")]
    SameId,
    #[error("A configuration names at least one event")]
    NoEvent,
    #[error(
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type."
    )]
    Overlap,
}

impl Rules {
    /// # Errors
    /// [`Invalid`].
    pub fn check(&self) -> Result<(), Invalid> {
        if self.0.len() > MOST_RULES {
            return Err(Invalid::Count);
        }
        for (at, rule) in self.0.iter().enumerate() {
            if rule.id.chars().count() > MOST_ID_CHARS {
                return Err(Invalid::LongId);
            }
            if rule.events.is_empty() {
                return Err(Invalid::NoEvent);
            }
            for other in self.0.iter().take(at) {
                if other.id == rule.id {
                    return Err(Invalid::SameId);
                }
                if EventKind::ALL.into_iter().any(|kind| rule.tells(kind) && other.tells(kind))
                    && rule.filter.overlaps(&other.filter)
                {
                    return Err(Invalid::Overlap);
                }
            }
        }
        Ok(())
    }

    /// Reads the rules as they are kept.
    ///
    /// # Errors
    /// What serde says of text that this server can't have written.
    pub fn from_document(text: &str) -> Result<Rules, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The rules as they are kept: JSON of our own form.
    ///
    /// # Errors
    /// None for rules that were parsed.
    pub fn to_document(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The webhooks to which each of these events on a key is reported: at most one for each event, since rules don't
    /// overlap.
    pub fn addressees(&self, kinds: &[EventKind], key: &[u8]) -> Vec<Addressee> {
        let told = |kind: &EventKind| {
            let rule = self.0.iter().find(|rule| rule.tells(*kind) && rule.filter.applies(key))?;
            Some(rule.told(*kind))
        };
        kinds.iter().filter_map(told).collect()
    }

    /// All webhooks that the rules name, each once, for the test event that tells them that they are configured.
    pub fn everybody(&self) -> Vec<Addressee> {
        let mut all: Vec<Addressee> = Vec::new();
        for rule in &self.0 {
            if all.iter().all(|known| known.target != rule.destination.webhook()) {
                all.push(rule.told(EventKind::TestEvent));
            }
        }
        all
    }
}

impl Rule {
    fn tells(&self, kind: EventKind) -> bool {
        self.events.iter().any(|name| name.has(kind))
    }

    fn told(&self, kind: EventKind) -> Addressee {
        Addressee { kind, target: self.destination.webhook().to_owned(), rule: self.id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, event: &str, prefix: &str, suffix: &str) -> Rule {
        Rule {
            id: id.into(),
            destination: Destination::Queue { arn: "arn:aws:sqs:::hook".into(), webhook: "hook".into() },
            events: vec![EventName::parse(event).unwrap()],
            filter: Filter { prefix: Some(prefix.into()), suffix: Some(suffix.into()) },
        }
    }

    #[test]
    fn an_arn_names_a_webhook_by_its_last_part() {
        let of = |arn| Destination::webhook_of(arn, "sqs");
        for arn in ["arn:aws:sqs:us-east-1:123456789012:hook", "arn:aws:sqs:::hook", "arn:stratum:sqs:::hook"]
        {
            assert_eq!(of(arn), Some("hook"), "{arn}");
        }
        for wrong in
            ["hook", "arn:aws:sns:::hook", "arn:aws:sqs:::", "arn::sqs:::hook", "arn:aws:sqs:hook", ""]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_events_are_known_and_come_back() {
        for kind in EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::TestEvent) {
            let name = format!("s3:{}", kind.name());
            assert_eq!(EventName::parse(&name).map(EventName::name), Ok(name));
        }
        for (name, together) in TOGETHER {
            assert_eq!(EventName::parse(name), Ok(together));
            assert!(EventKind::ALL.into_iter().filter(|kind| together.has(*kind)).count() > 1, "{name}");
        }
        assert_eq!(EventName::parse("s3:Replication:*"), Err(UnknownEvent::NeverHere));
        for wrong in ["s3:TestEvent", "ObjectCreated:Put", "s3:ObjectCreated", "s3:*", ""] {
            assert_eq!(EventName::parse(wrong), Err(UnknownEvent::NotOne), "{wrong}");
        }
    }

    #[test]
    fn rules_that_overlap_are_refused() {
        let check = |one: Rule, other: Rule| Rules(vec![one, other]).check();
        let put = |id: &str, prefix: &str, suffix: &str| rule(id, "s3:ObjectCreated:Put", prefix, suffix);
        assert_eq!(check(put("1", "a/", ""), put("2", "b/", "")), Ok(()));
        assert_eq!(check(put("1", "a/", ""), put("2", "a/b", "")), Err(Invalid::Overlap));
        assert_eq!(check(put("1", "a/", ".jpg"), put("2", "a/", ".png")), Ok(()));
        assert_eq!(check(put("1", "a/", ".jpg"), put("2", "", "")), Err(Invalid::Overlap));
        assert_eq!(check(put("1", "", ""), rule("2", "s3:ObjectRemoved:*", "", "")), Ok(()));
        assert_eq!(check(put("1", "", ""), rule("2", "s3:ObjectCreated:*", "", "")), Err(Invalid::Overlap));
        assert_eq!(check(put("1", "a", ""), put("1", "b", "")), Err(Invalid::SameId));
    }

    #[test]
    fn the_webhook_follows_from_the_key_and_the_event() {
        use EventKind::{ObjectCreatedPut, ObjectRemovedDelete, ObjectRemovedDeleteMarkerCreated};
        let rules = Rules(vec![
            rule("put", "s3:ObjectCreated:*", "in/", ".jpg"),
            rule("gone", "s3:ObjectRemoved:*", "", ""),
        ]);
        let told = |kinds: &[EventKind], key: &str| {
            let told = rules.addressees(kinds, key.as_bytes());
            told.into_iter().map(|to| (to.rule, to.kind)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[ObjectCreatedPut], "in/a.jpg"), [("put".to_owned(), ObjectCreatedPut)]);
        assert_eq!(told(&[ObjectCreatedPut], "in/a.png"), []);
        assert_eq!(told(&[ObjectRemovedDelete, ObjectRemovedDeleteMarkerCreated], "x").len(), 2);
        assert_eq!(rules.everybody().len(), 1);
        assert_eq!(Rules::from_document(&rules.to_document().unwrap()).unwrap(), rules);
    }
}
