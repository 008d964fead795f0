//! Users and policies of accounts, gone through one by one.

use super::*;
use crate::command::{IdentityChanges, IdentityWrite};
use crate::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

fn user(account: &str, name: &str) -> IdentityWrite {
    let record = IdentityRecord {
        id: format!("AIDA{name}"),
        name: name.to_owned(),
        path: "/".into(),
        created: 0,
        tags: BTreeMap::new(),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        detail: IdentityDetail::User { groups: BTreeSet::new(), access_keys: Vec::new(), boundary: None },
    };
    let at = AccountName::new(account, name);
    IdentityWrite::Identity { kind: IdentityKind::User, at, record: Some(record) }
}

#[tokio::test]
async fn identities_are_visited_by_their_folded_names_and_counted() {
    let Store { metadata, .. } = &store();
    metadata.raise_level(Level::NEWEST).await.unwrap();
    let writes = vec![user("a", "Bob"), user("a", "ann"), user("a", "carl"), user("b", "dan")];
    let changes = IdentityChanges { read: None, key: None, writes };
    metadata.commit(Command::ChangeIdentities(changes), Bytes::new()).await.unwrap();
    let view = metadata.local();
    let names = async |after: &str, most: usize| {
        let visit = move |names: &mut Vec<String>, user: IdentityRecord| {
            names.push(user.name);
            if names.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        view.visit_identities(IdentityKind::User, "a", after, Vec::new(), visit).await.unwrap()
    };
    assert_eq!(names("", 9).await, ["ann", "Bob", "carl"]);
    assert_eq!(names("", 2).await, ["ann", "Bob"]);
    assert_eq!(names("ann", 9).await, ["Bob", "carl"]);
    assert_eq!(names("bo", 9).await, ["Bob", "carl"]);
    assert_eq!(names("carl", 9).await, [""; 0]);
    let count = async |kind: IdentityKind, account: &str| view.count_identities(kind, account).await.unwrap();
    assert_eq!(count(IdentityKind::User, "a").await, 3);
    assert_eq!(count(IdentityKind::User, "b").await, 1);
    assert_eq!(count(IdentityKind::Group, "a").await, 0);
    assert_eq!(view.count_managed_policies("a").await.unwrap(), 0);
}
