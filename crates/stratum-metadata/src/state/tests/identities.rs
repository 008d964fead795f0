//! Changes of users, groups, roles, keys and policies.

use super::*;
use crate::command::{IdentityChanges, IdentityWrite};
use crate::record::{AccountName, IdentitiesRecord, IdentityDetail, IdentityKind, IdentityRecord};

fn group(name: &str, record: bool) -> IdentityWrite {
    let record = record.then(|| IdentityRecord {
        id: format!("AGPA{name}"),
        name: name.into(),
        path: "/".into(),
        created: 7,
        tags: Default::default(),
        inline: Default::default(),
        attached: Default::default(),
        detail: IdentityDetail::Group,
    });
    IdentityWrite::Identity { kind: IdentityKind::Group, at: AccountName::new("root", name), record }
}

fn change(
    store: &mut Store,
    read: Option<Index>,
    key: Option<Vec<u8>>,
    writes: Vec<IdentityWrite>,
) -> Outcome {
    store.apply(Command::ChangeIdentities(IdentityChanges { read, key, writes }))
}

#[test]
fn a_change_counts_only_if_none_came_between() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    let count = |store: &Store| store.all::<IdentityRecord>(Tag::Identity).len();
    let all = |store: &Store| store.all::<IdentitiesRecord>(Tag::Identities).pop().map(|(_, all)| all);
    assert_eq!(change(&mut store, None, Some(vec![9]), vec![group("a", true)]), Outcome::Done);
    let first = all(&store).unwrap();
    assert_eq!((count(&store), first.key.as_slice()), (1, &[9][..]));
    for read in [None, Some(first.changed + 1)] {
        let refused = Outcome::Refused(Refusal::IdentitiesChanged);
        assert_eq!(change(&mut store, read, None, vec![group("b", true)]), refused);
    }
    let writes = vec![group("A", false), group("b", true), group("c", true)];
    assert_eq!(change(&mut store, Some(first.changed), None, writes), Outcome::Done);
    let second = all(&store).unwrap();
    assert!(second.changed > first.changed && second.key == [9], "{second:?}");
    assert_eq!(count(&store), 2);
}
