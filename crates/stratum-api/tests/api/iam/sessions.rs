//! Sessions: what they may do, and when they end.

use super::{ALL, Holder, assume, closed, done, may_all, refused, root, session, user};
use crate::rig::{OTHER, ROOT};
use std::time::Duration;
use stratum_auth::{AccessKey, AuthError, Identities, Keyring, SecretKey, User};

/// A policy that allows listing the bucket.
const LISTS: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_what_its_role_may_until_it_ends() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let ann_alone = r#"{"AWS":"arn:aws:iam::root:user/ann"}"#;
    let session = session(&rig, "Reader", &ann, ann_alone).await;
    refused(&session.s3(&rig, "GET", "/bucket/k", b"").await, 403, "AccessDenied");
    may_all(&rig, "reader").await;
    assert_eq!(session.s3(&rig, "GET", "/bucket/k", b"").await.text(), "body");
    let who = done(session.sts(&rig, "GetCallerIdentity", &[]).await);
    assert_eq!(who.element("Arn").as_deref(), Some("arn:aws:sts::root:assumed-role/Reader/monday"));

    // Another user may not assume the role, and gets the same answer for a role that doesn't exist.
    let bob = user(&rig, "bob").await;
    let arn = "arn:aws:iam::root:role/Reader";
    refused(&assume(&rig, &bob, arn, &[]).await, 403, "AccessDenied");
    refused(&assume(&rig, &ann, "arn:aws:iam::root:role/None", &[]).await, 403, "AccessDenied");
    refused(&assume(&rig, &Holder::owner(OTHER), arn, &[]).await, 403, "AccessDenied");

    // A session that was given a policy may do only what that allows, too.
    let read =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/k"}}"#;
    let narrow = Holder::of(&assume(&rig, &ann, arn, &[("Policy", read)]).await);
    assert_eq!(narrow.s3(&rig, "GET", "/bucket/k", b"").await.status, 200);
    refused(&narrow.s3(&rig, "GET", "/bucket", b"").await, 403, "AccessDenied");
    let parameters = [("PolicyName", "lists"), ("PolicyDocument", LISTS)];
    let lists = done(root().iam(&rig, "CreatePolicy", &parameters).await).element("Arn").unwrap();
    let both = [("Policy", read), ("PolicyArns.member.1.arn", lists.as_str())];
    let wider = Holder::of(&assume(&rig, &ann, arn, &both).await);
    let by_arn = Holder::of(&assume(&rig, &ann, arn, &both[1..]).await);
    for (holder, of_key, of_bucket) in [(&wider, 200, 200), (&by_arn, 403, 200)] {
        assert_eq!(holder.s3(&rig, "GET", "/bucket/k", b"").await.status, of_key);
        assert_eq!(holder.s3(&rig, "GET", "/bucket", b"").await.status, of_bucket);
    }
    refused(&by_arn.s3(&rig, "PUT", "/bucket/k", b"").await, 403, "AccessDenied");
    let none = [("PolicyArns.member.1.arn", "arn:aws:iam::root:policy/none")];
    refused(&assume(&rig, &ann, arn, &none).await, 404, "NoSuchEntity");
    done(root().iam(&rig, "DeletePolicy", &[("PolicyArn", &lists)]).await);
    refused(&by_arn.s3(&rig, "GET", "/bucket", b"").await, 403, "AccessDenied");

    // The session's key is valid only together with its own token.
    let bare = Holder { token: None, ..session.clone() };
    refused(&bare.s3(&rig, "GET", "/bucket/k", b"").await, 403, "InvalidAccessKeyId");
    for token in [narrow.token.clone(), Some("x".into())] {
        let mixed = Holder { token, ..session.clone() };
        refused(&mixed.s3(&rig, "GET", "/bucket/k", b"").await, 400, "InvalidToken");
    }
    let stray = Holder { token: session.token.clone(), ..root() };
    refused(&stray.s3(&rig, "GET", "/bucket/k", b"").await, 400, "InvalidToken");

    rig.wait(Duration::from_secs(3_601));
    refused(&session.s3(&rig, "GET", "/bucket/k", b"").await, 400, "ExpiredToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_role_and_its_user() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    let of_ann = Holder::of(&ann.sts(&rig, "GetSessionToken", &[]).await);
    let of_role = session(&rig, "role", &ann, r#"{"AWS":"arn:aws:iam::root:user/ann"}"#).await;
    let of_root = Holder::of(&root().sts(&rig, "GetSessionToken", &[]).await);
    let status = async |holder: &Holder| holder.s3(&rig, "GET", "/bucket/k", b"").await.status;
    assert_eq!((status(&of_ann).await, status(&of_role).await, status(&of_root).await), (200, 403, 200));
    refused(&of_ann.sts(&rig, "GetSessionToken", &[]).await, 403, "AccessDenied");
    done(root().iam(&rig, "DeleteRole", &[("RoleName", "role")]).await);
    refused(&of_role.s3(&rig, "GET", "/bucket/k", b"").await, 403, "InvalidAccessKeyId");
    // A user who is made again under the same name is another user.
    done(root().iam(&rig, "DeleteUserPolicy", &own[..2]).await);
    let key = [("UserName", "ann"), ("AccessKeyId", ann.key.as_str())];
    done(root().iam(&rig, "DeleteAccessKey", &key).await);
    done(root().iam(&rig, "DeleteUser", &own[..1]).await);
    done(root().iam(&rig, "CreateUser", &own[..1]).await);
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    refused(&of_ann.s3(&rig, "GET", "/bucket/k", b"").await, 403, "InvalidAccessKeyId");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_assumed_with_a_session_lasts_an_hour_at_most() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let trust = r#"{"AWS":["arn:aws:iam::root:user/ann","arn:aws:iam::root:role/role"]}"#;
    let of_role = session(&rig, "role", &ann, trust).await;
    done(root().iam(&rig, "UpdateRole", &[("RoleName", "role"), ("MaxSessionDuration", "43200")]).await);
    let arn = "arn:aws:iam::root:role/role";
    let lasting =
        async |by: &Holder, seconds: &str| assume(&rig, by, arn, &[("DurationSeconds", seconds)]).await;
    done(lasting(&ann, "43200").await);
    let of_ann = Holder::of(&ann.sts(&rig, "GetSessionToken", &[]).await);
    for by in [&of_ann, &of_role] {
        let longer = lasting(by, "3601").await;
        refused(&longer, 400, "ValidationError");
        assert!(longer.text().contains("role chaining"), "{}", longer.text());
        done(lasting(by, "3600").await);
        done(assume(&rig, by, arn, &[]).await);
    }
    let chained = Holder::of(&assume(&rig, &of_ann, arn, &[]).await);
    rig.wait(Duration::from_secs(3_601));
    refused(&chained.sts(&rig, "GetCallerIdentity", &[]).await, 403, "ExpiredToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_session_is_known_for_one() {
    let rig = closed().await;
    let session = Holder::of(&root().sts(&rig, "GetSessionToken", &[]).await);
    refused(&session.sts(&rig, "GetSessionToken", &[]).await, 403, "AccessDenied");

    assert_eq!(session.s3(&rig, "PUT", "/bucket/of-session", b"body").await.status, 200);
    let lines: Vec<serde_json::Value> =
        rig.audit.lock().take(usize::MAX).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["key"] == "of-session").unwrap();
    assert_eq!((&line["user"], &line["access_key"]), (&"root".into(), &session.key.as_str().into()));

    let sessions_are_denied = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"Null":{"aws:TokenIssueTime":"false"}}}}"#;
    let put = root().s3(&rig, "PUT", "/bucket?policy", sessions_are_denied.as_bytes()).await;
    assert_eq!(put.status, 204, "{}", put.text());
    refused(&session.s3(&rig, "GET", "/bucket/k", b"").await, 403, "AccessDenied");
    assert_eq!(root().s3(&rig, "GET", "/bucket/k", b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_session_ends_with_the_owners_key() {
    let rig = closed().await;
    let session = Holder::of(&root().sts(&rig, "GetSessionToken", &[]).await);
    let found = |access_key: &str, secret: &str| {
        let mut owner = rig.store.root().map(|root| User::clone(root)).unwrap();
        owner.access_key = AccessKey::new(access_key).unwrap();
        let identities = Identities::new([(owner, SecretKey::new(secret).unwrap())]).unwrap();
        let members = Default::default();
        let mut keys = rig.store.access_keys();
        (keys.configured, keys.members) = (&identities, &members);
        futures_util::future::FutureExt::now_or_never(keys.members.open(
            &keys.view,
            rig.store.keys.as_ref(),
            keys.now,
        ))
        .unwrap();
        keys.find(&session.key, session.token.as_deref()).map(|_| ())
    };
    assert!(found(ROOT.0, ROOT.1).is_ok());
    let ended = Err(AuthError::InvalidAccessKeyId { access_key: session.key.clone() });
    assert_eq!(found(ROOT.0, "another secret"), ended);
    assert_eq!(found("AKIAANOTHER", ROOT.1), ended);
}
