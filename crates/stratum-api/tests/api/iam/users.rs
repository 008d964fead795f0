//! Users, their keys, and the users of the configuration beside them.

use super::{ALL, Holder, closed, done, refused, root, user};
use crate::rig::OTHER;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use stratum_metadata::command::{Command, IdentityChanges, IdentityWrite};
use stratum_metadata::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_while_it_is_there_and_active() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    done(
        root()
            .iam(
                &rig,
                "AttachUserPolicy",
                &[("UserName", "ann"), ("PolicyArn", "arn:aws:iam::aws:policy/readonly")],
            )
            .await,
    );
    let read = async || ann.s3(&rig, "GET", "/bucket/k", b"").await;
    assert_eq!(read().await.status, 200);
    refused(&ann.s3(&rig, "PUT", "/bucket/k", b"x").await, 403, "AccessDenied");
    let set = async |status| {
        let parameters = [("UserName", "ann"), ("AccessKeyId", ann.key.as_str()), ("Status", status)];
        done(root().iam(&rig, "UpdateAccessKey", &parameters).await)
    };
    set("Inactive").await;
    refused(&read().await, 403, "InvalidAccessKeyId");
    set("Active").await;
    assert_eq!(read().await.status, 200);
    let wrong = Holder { secret: "another secret".into(), ..ann.clone() };
    refused(&wrong.s3(&rig, "GET", "/bucket/k", b"").await, 403, "SignatureDoesNotMatch");
    // The user is renamed, and the key stays valid.
    done(root().iam(&rig, "UpdateUser", &[("UserName", "ann"), ("NewUserName", "anna")]).await);
    assert_eq!(read().await.status, 200);
    let names = [("UserName", "anna"), ("AccessKeyId", ann.key.as_str())];
    done(root().iam(&rig, "DeleteAccessKey", &names).await);
    refused(&read().await, 403, "InvalidAccessKeyId");
    // A user may have at most two keys.
    for expected in [200, 200, 409] {
        assert_eq!(root().iam(&rig, "CreateAccessKey", &[("UserName", "anna")]).await.status, expected);
    }
    refused(&root().iam(&rig, "DeleteUser", &[("UserName", "anna")]).await, 409, "DeleteConflict");
}

/// The user's keys count, so whoever is to take them away must find the user.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_found_though_the_configuration_has_one_of_the_same_name_since() {
    let rig = closed().await;
    let arn =
        async || done(root().iam(&rig, "GetUser", &[("UserName", "other")]).await).element("Arn").unwrap();
    assert_eq!(arn().await, "arn:aws:iam::other:root");
    let record = IdentityRecord {
        id: "AIDA".into(),
        name: "Other".into(),
        path: "/".into(),
        created: 0,
        tags: BTreeMap::new(),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        detail: IdentityDetail::User { groups: BTreeSet::new(), access_keys: Vec::new(), boundary: None },
    };
    let at = AccountName::new("root", "other");
    let write = IdentityWrite::Identity { kind: IdentityKind::User, at, record: Some(record) };
    let changes = IdentityChanges { read: None, key: None, writes: vec![write] };
    rig.store.metadata.commit(Command::ChangeIdentities(changes), Bytes::new()).await.unwrap();
    assert_eq!(arn().await, "arn:aws:iam::root:user/Other");
    done(root().iam(&rig, "DeleteUser", &[("UserName", "other")]).await);
    assert_eq!(arn().await, "arn:aws:iam::other:root");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_the_configuration_is_seen_and_not_changed() {
    let rig = closed().await;
    let listed = done(root().iam(&rig, "ListUsers", &[]).await).text();
    assert!(listed.contains("<Arn>arn:aws:iam::other:root</Arn>"), "{listed}");
    assert_eq!(
        done(root().iam(&rig, "GetUser", &[]).await).element("Arn").unwrap(),
        "arn:aws:iam::root:root"
    );
    for (action, more) in [
        ("DeleteUser", &[][..]),
        ("UpdateUser", &[("NewUserName", "x")]),
        ("CreateAccessKey", &[]),
        ("PutUserPolicy", &[("PolicyName", "p"), ("PolicyDocument", ALL)]),
        ("AttachUserPolicy", &[("PolicyArn", "arn:aws:iam::aws:policy/admin")]),
        ("TagUser", &[("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")]),
    ] {
        let parameters = [&[("UserName", "other")], more].concat();
        refused(&root().iam(&rig, action, &parameters).await, 400, "UnmodifiableEntity");
    }
    refused(&root().iam(&rig, "CreateUser", &[("UserName", "Other")]).await, 409, "EntityAlreadyExists");
    // Users of another account aren't seen.
    let other = Holder::owner(OTHER);
    done(other.iam(&rig, "CreateUser", &[("UserName", "ann")]).await);
    refused(&root().iam(&rig, "GetUser", &[("UserName", "ann")]).await, 404, "NoSuchEntity");
    assert!(!done(other.iam(&rig, "ListUsers", &[]).await).text().contains("root:root"));
}
