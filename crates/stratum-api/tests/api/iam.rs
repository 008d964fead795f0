//! IAM and STS: users, groups, roles and sessions as programs make them, and what they may do in S3.

use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig, Signer};
use aws_sigv4::http_request::SignableBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stratum_auth::{AccessKey, AuthError, Identities, Keyring, SecretKey, User};
use stratum_metadata::command::{Command, IdentityChanges, IdentityWrite};
use stratum_metadata::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};

const IAM: (&str, &str) = ("iam", "2010-05-08");
const STS: (&str, &str) = ("sts", "2011-06-15");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

/// A policy that allows listing the bucket.
const LISTS: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket"}}"#;
/// A policy that allows everything in S3.
pub const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

/// Credentials of a user or of a session.
#[derive(Clone, Debug)]
pub struct Holder {
    pub key: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Holder {
    /// The holder of a key and its secret.
    pub fn owner((key, secret): (&str, &str)) -> Holder {
        Holder { key: key.into(), secret: secret.into(), token: None }
    }

    pub fn of(answer: &Answer) -> Holder {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let element = |name| answer.element(name).unwrap_or_else(|| panic!("{name}: {}", answer.text()));
        Holder {
            key: element("AccessKeyId"),
            secret: element("SecretAccessKey"),
            token: answer.element("SessionToken"),
        }
    }

    pub fn signer<'a>(&'a self, service: &'a str) -> Signer<'a> {
        Signer { key: (&self.key, &self.secret), token: self.token.as_deref(), service }
    }

    pub async fn s3(&self, rig: &Rig, method: &str, target: &str, body: &[u8]) -> Answer {
        rig.signed(self.signer("s3"), method, target, &[], body).await
    }

    async fn call(&self, rig: &Rig, api: (&str, &str), action: &str, parameters: &[(&str, &str)]) -> Answer {
        let form = form(api.1, action, parameters);
        rig.signed(self.signer(api.0), "POST", "/", &[FORM], form.as_bytes()).await
    }

    pub async fn iam(&self, rig: &Rig, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call(rig, IAM, action, parameters).await
    }

    pub async fn sts(&self, rig: &Rig, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call(rig, STS, action, parameters).await
    }
}

fn form(version: &str, action: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let rest = parameters.iter().map(|(name, value)| format!("&{}={}", encoded(name), encoded(value)));
    format!("Action={action}&Version={version}{}", rest.collect::<String>())
}

pub fn root() -> Holder {
    Holder::owner(ROOT)
}

/// A server that refuses unsigned requests, with a bucket of root's.
pub async fn closed() -> Rig {
    let rig = Rig::with(Choices { age: Age::New, anonymous: false, ..Choices::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"body").await.status, 200);
    rig
}

/// Asserts that an action succeeded, and gives its answer.
#[track_caller]
pub fn done(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}{}", answer.head, answer.text());
}

/// Makes a user in root's account; gives an access key of the user.
pub async fn user(rig: &Rig, name: &str) -> Holder {
    done(root().iam(rig, "CreateUser", &[("UserName", name)]).await);
    Holder::of(&root().iam(rig, "CreateAccessKey", &[("UserName", name)]).await)
}

/// Gives the user ann of root's account the rights to these actions of S3 and to no others.
async fn may(rig: &Rig, actions: &[&str]) {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"s3:{action}\"")).collect();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{}],"Resource":"*"}}}}"#,
        actions.join(",")
    );
    let put = [("UserName", "Ann"), ("PolicyName", "p"), ("PolicyDocument", &text)];
    done(root().iam(rig, "PutUserPolicy", &put).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_begins_with_takes_the_rights_to_give_it() {
    let rig = closed().await;
    let ann = user(&rig, "Ann").await;
    let create = async |name: &str, headers: &[(&str, &str)], body: &str| {
        rig.signed(ann.signer("s3"), "PUT", name, headers, body.as_bytes()).await
    };
    let open = [("x-amz-object-ownership", "ObjectWriter"), ("x-amz-acl", "public-read")];
    let (owned, locked) = ([open[0]], [("x-amz-bucket-object-lock-enabled", "true")]);
    let tagged = "<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags></CreateBucketConfiguration>";
    may(&rig, &["CreateBucket"]).await;
    done(create("/plain", &[("x-amz-acl", "private")], "").await);
    for (headers, body) in [(&open[..], ""), (&owned[..], ""), (&locked[..], ""), (&[][..], tagged)] {
        refused(&create("/more", headers, body).await, 403, "AccessDenied");
    }
    may(&rig, &["CreateBucket", "PutBucketOwnershipControls", "PutBucketVersioning"]).await;
    refused(&create("/more", &open, "").await, 403, "AccessDenied");
    refused(&create("/more", &locked, "").await, 403, "AccessDenied");
    refused(&root().s3(&rig, "GET", "/more", b"").await, 404, "NoSuchBucket");
    done(create("/owned", &owned, "").await);
    may(&rig, &["CreateBucket", "PutBucket*"]).await;
    done(create("/open", &open, "").await);
    done(create("/locked", &locked, "").await);
    done(create("/tagged", &[], tagged).await);

    // Creating the bucket again would give it another access control list, which needs the right to change that.
    may(&rig, &["CreateBucket"]).await;
    refused(&create("/open", &[], "").await, 403, "AccessDenied");
    assert_eq!(rig.send("GET", "/open", &[], b"").await.status, 200);
    done(create("/plain", &[], "").await);
    may(&rig, &["CreateBucket", "PutBucketAcl"]).await;
    done(create("/open", &[], "").await);
    refused(&rig.send("GET", "/open", &[], b"").await, 403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_write_gives_to_others_takes_the_right_to_give_it() {
    let rig = closed().await;
    let ann = user(&rig, "Ann").await;
    let lists = [("x-amz-object-ownership", "ObjectWriter")];
    done(rig.signed(ROOT, "PUT", "/open", &lists, b"").await);
    let send = async |method: &str, target: &str, headers: &[(&str, &str)]| {
        rig.signed(ann.signer("s3"), method, target, headers, b"").await
    };
    let public = [("x-amz-acl", "public-read")];
    may(&rig, &["PutObject"]).await;
    done(send("PUT", "/open/k", &[("x-amz-acl", "private")]).await);
    for (method, target) in [("PUT", "/open/k"), ("POST", "/open/k?uploads")] {
        refused(&send(method, target, &public).await, 403, "AccessDenied");
    }
    let granted = [("x-amz-grant-read", "id=other")];
    refused(&send("PUT", "/open/k", &granted).await, 403, "AccessDenied");
    refused(&rig.send("GET", "/open/k", &[], b"").await, 403, "AccessDenied");
    may(&rig, &["PutObject", "PutObjectAcl"]).await;
    done(send("PUT", "/open/k", &public).await);
    assert_eq!(rig.send("GET", "/open/k", &[], b"").await.status, 200);

    // A copy gets the tags of its source, so it needs the rights to read those and to set them.
    done(rig.signed(ROOT, "PUT", "/bucket/tagged", &[("x-amz-tagging", "a=b")], b"x").await);
    let copy = async |more: &[(&str, &str)]| {
        let headers = [&[("x-amz-copy-source", "bucket/tagged")], more].concat();
        send("PUT", "/bucket/copy", &headers).await
    };
    for lacking in
        [&["GetObject", "PutObject", "PutObjectTagging"], &["GetObject", "PutObject", "GetObjectTagging"]]
    {
        may(&rig, lacking).await;
        refused(&copy(&[]).await, 403, "AccessDenied");
    }
    done(copy(&[("x-amz-tagging-directive", "REPLACE")]).await);
    may(&rig, &["GetObject", "PutObject", "GetObjectTagging", "PutObjectTagging"]).await;
    done(copy(&[]).await);
}

/// Whether a retention is lifted depends on the version, wherever a request names it.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_lift_a_retention_may_be_denied_of_a_version() {
    let rig = closed().await;
    let ann = user(&rig, "Ann").await;
    done(rig.signed(ROOT, "PUT", "/locked", &[("x-amz-bucket-object-lock-enabled", "true")], b"").await);
    let held = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00Z"),
    ];
    let mut versions = Vec::new();
    for _ in 0..3 {
        let put = done(rig.signed(ROOT, "PUT", "/locked/k", &held, b"x").await);
        versions.push(put.header("x-amz-version-id").unwrap().to_owned());
    }
    let [guarded, other, last] = versions.as_slice() else { panic!("{versions:?}") };
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}},
        {{"Effect":"Deny","Action":"s3:BypassGovernanceRetention","Resource":"*","Condition":{{"StringEquals":{{"s3:VersionId":"{guarded}"}}}}}}]}}"#
    );
    let policy = [("UserName", "Ann"), ("PolicyName", "p"), ("PolicyDocument", text.as_str())];
    done(root().iam(&rig, "PutUserPolicy", &policy).await);
    let each = [guarded, other]
        .map(|version| format!("<Object><Key>k</Key><VersionId>{version}</VersionId></Object>"));
    let document = format!("<Delete>{}</Delete>", each.concat());
    let md5 = BASE64.encode(Md5::digest(&document));
    let bypass = ("x-amz-bypass-governance-retention", "true");
    let headers = [bypass, ("content-md5", md5.as_str())];
    let answer =
        done(rig.signed(ann.signer("s3"), "POST", "/locked?delete", &headers, document.as_bytes()).await)
            .text();
    let (deleted, refused) = answer.split_once("<Error>").expect("one is refused");
    assert!(deleted.contains(other.as_str()) && refused.contains(guarded.as_str()), "{answer}");
    for (version, status) in [(guarded, 403), (last, 204)] {
        let target = format!("/locked/k?versionId={version}");
        assert_eq!(rig.signed(ann.signer("s3"), "DELETE", &target, &[bypass], b"").await.status, status);
    }
}

/// Makes a role in root's account that `trust` may assume, and assumes it; gives the session.
pub async fn session(rig: &Rig, role: &str, by: &Holder, trust: &str) -> Holder {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{trust},"Action":"sts:AssumeRole"}}}}"#
    );
    let parameters = [("RoleName", role), ("AssumeRolePolicyDocument", &trust)];
    let arn = done(root().iam(rig, "CreateRole", &parameters).await).element("Arn").unwrap();
    Holder::of(&assume(rig, by, &arn, &[]).await)
}

/// Assumes a role of root's account again, under another name of the session.
pub async fn another_session(rig: &Rig, role: &str, by: &Holder, name: &str) -> Holder {
    let arn = format!("arn:aws:iam::root:role/{role}");
    Holder::of(&by.sts(rig, "AssumeRole", &[("RoleArn", &arn), ("RoleSessionName", name)]).await)
}

/// Gives a role of root's account all rights in S3.
pub async fn may_all(rig: &Rig, role: &str) {
    let policy = [("RoleName", role), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(rig, "PutRolePolicy", &policy).await);
}

async fn assume(rig: &Rig, by: &Holder, arn: &str, more: &[(&str, &str)]) -> Answer {
    let parameters = [&[("RoleArn", arn), ("RoleSessionName", "monday")], more].concat();
    by.sts(rig, "AssumeRole", &parameters).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_no_right_until_a_policy_gives_one() {
    let rig = closed().await;
    let ann = user(&rig, "Ann").await;
    for (method, target) in
        [("GET", "/"), ("GET", "/bucket"), ("GET", "/bucket/k"), ("PUT", "/new"), ("PUT", "/bucket/n")]
    {
        refused(&ann.s3(&rig, method, target, b"").await, 403, "AccessDenied");
    }
    let put = async |document: &str| {
        let parameters = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", document)];
        root().iam(&rig, "PutUserPolicy", &parameters).await
    };
    done(put(ALL).await);
    assert_eq!(ann.s3(&rig, "GET", "/bucket/k", b"").await.text(), "body");
    assert_eq!(ann.s3(&rig, "PUT", "/new", b"").await.status, 200);
    // A bucket that a member of an account makes belongs to the account.
    let buckets = rig.signed(ROOT, "GET", "/", &[], b"").await;
    assert!(buckets.text().contains("<Name>new</Name>"), "{}", buckets.text());
    assert_eq!(ann.s3(&rig, "GET", "/", b"").await.text(), buckets.text());
    // The user may use neither buckets of another account nor the operator's API.
    assert_eq!(rig.signed(OTHER, "PUT", "/others", &[], b"").await.status, 200);
    refused(&ann.s3(&rig, "GET", "/others", b"").await, 403, "AccessDenied");
    assert_eq!(ann.s3(&rig, "GET", "/_stratum/v1/status", b"").await.status, 403);

    let one = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["s3:ListBucket","s3:GetObject"],"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/${aws:username}/*"]},
        {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::*/secret"}]}"#;
    done(put(one).await);
    for key in ["Ann/k", "Ann/secret", "Bob/k"] {
        assert_eq!(rig.signed(ROOT, "PUT", &format!("/bucket/{key}"), &[], b"x").await.status, 200);
    }
    let status = async |target: &str| ann.s3(&rig, "GET", target, b"").await.status;
    assert_eq!((status("/bucket").await, status("/bucket/Ann/k").await), (200, 200));
    assert_eq!((status("/bucket/Ann/secret").await, status("/bucket/Bob/k").await), (403, 403));
    // Only whoever may list the bucket gets 404 for a key that doesn't exist.
    assert_eq!((status("/bucket/Ann/none").await, status("/new/none").await), (404, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_s_policy_and_a_user_s_come_together() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let bucket_says = async |effect: &str, principal: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}}}"#
        );
        assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], text.as_bytes()).await.status, 204);
    };
    let status = async || ann.s3(&rig, "GET", "/bucket/k", b"").await.status;
    // If the bucket's policy names the user or everybody, the user needs no policy of her own. If it names only her
    // account, she does.
    for (principal, alone) in [
        (r#"{"AWS":"arn:aws:iam::root:user/ann"}"#, 200),
        (r#""*""#, 200),
        (r#"{"AWS":"arn:aws:iam::root:user/bob"}"#, 403),
        (r#"{"AWS":"root"}"#, 403),
        (r#"{"AWS":"arn:aws:iam::root:root"}"#, 403),
    ] {
        bucket_says("Allow", principal).await;
        assert_eq!(status().await, alone, "{principal}");
    }
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    assert_eq!(status().await, 200);
    for principal in [r#"{"AWS":"arn:aws:iam::root:user/ann"}"#, r#"{"AWS":"root"}"#, r#""*""#] {
        bucket_says("Deny", principal).await;
        assert_eq!(status().await, 403, "{principal}");
    }
    // For a bucket of another account she needs both policies.
    assert_eq!(rig.signed(OTHER, "PUT", "/others", &[], b"").await.status, 200);
    assert_eq!(ann.s3(&rig, "GET", "/others", b"").await.status, 403);
    let text = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::root:user/ann"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::others"}}"#;
    assert_eq!(rig.signed(OTHER, "PUT", "/others?policy", &[], text.as_bytes()).await.status, 204);
    assert_eq!(ann.s3(&rig, "GET", "/others", b"").await.status, 200);
    done(root().iam(&rig, "DeleteUserPolicy", &own[..2]).await);
    assert_eq!(ann.s3(&rig, "GET", "/others", b"").await.status, 403);
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_may_its_users_may() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    done(root().iam(&rig, "CreateGroup", &[("GroupName", "Readers")]).await);
    let own = [("GroupName", "readers"), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(&rig, "PutGroupPolicy", &own).await);
    let status = async || ann.s3(&rig, "GET", "/bucket/k", b"").await.status;
    assert_eq!(status().await, 403);
    let membership = [("GroupName", "Readers"), ("UserName", "ann")];
    done(root().iam(&rig, "AddUserToGroup", &membership).await);
    assert_eq!(status().await, 200);
    let group = done(root().iam(&rig, "GetGroup", &[("GroupName", "Readers")]).await);
    assert_eq!(group.element("UserName").as_deref(), Some("ann"));
    done(root().iam(&rig, "UpdateGroup", &[("GroupName", "Readers"), ("NewGroupName", "Others")]).await);
    assert_eq!(status().await, 200);
    refused(&root().iam(&rig, "DeleteGroup", &[("GroupName", "Others")]).await, 409, "DeleteConflict");
    done(root().iam(&rig, "RemoveUserFromGroup", &[("GroupName", "Others"), ("UserName", "ann")]).await);
    assert_eq!(status().await, 403);
}

/// SimulatePrincipalPolicy answers as a real request would be decided.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_is_told_as_their_request_would_be_judged() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let bob = user(&rig, "bob").await;
    let asked = async |who: &Holder, action: &str, resource: &str| {
        let parameters = [
            ("PolicySourceArn", "arn:aws:iam::root:user/ann"),
            ("ActionNames.member.1", action),
            ("ResourceArns.member.1", resource),
        ];
        who.iam(&rig, "SimulatePrincipalPolicy", &parameters).await
    };
    let decision = async |action: &str| {
        let answer = done(asked(&root(), action, "arn:aws:s3:::bucket/k").await);
        (answer.element("EvalDecision").unwrap(), answer.element("SourcePolicyId"))
    };
    let get = async || ann.s3(&rig, "GET", "/bucket/k", b"").await.status;
    assert_eq!((decision("s3:GetObject").await, get().await), (("implicitDeny".into(), None), 403));
    // A policy of a group allows it.
    done(root().iam(&rig, "CreateGroup", &[("GroupName", "Readers")]).await);
    let own = [("GroupName", "Readers"), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(&rig, "PutGroupPolicy", &own).await);
    done(root().iam(&rig, "AddUserToGroup", &[("GroupName", "Readers"), ("UserName", "ann")]).await);
    let (decided, by) = decision("s3:GetObject").await;
    assert_eq!((decided.as_str(), get().await), ("allowed", 200));
    assert!(by.unwrap().contains("of their groups allows it"));
    // The bucket's policy denies it.
    let deny = r#"{"Version":"2012-10-17","Statement":{"Sid":"NotAnn","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::root:user/ann"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#;
    assert_eq!(root().s3(&rig, "PUT", "/bucket?policy", deny.as_bytes()).await.status, 204);
    let (decided, by) = decision("s3:GetObject").await;
    assert_eq!((decided.as_str(), get().await), ("explicitDeny", 403));
    assert!(by.unwrap().contains("NotAnn"));
    assert_eq!(decision("s3:PutObject").await.0, "allowed");
    // A user without the right may not ask, and a question that isn't understood is refused.
    refused(&asked(&bob, "s3:GetObject", "arn:aws:s3:::bucket/k").await, 403, "AccessDenied");
    refused(&asked(&root(), "s3:GetNothing", "arn:aws:s3:::bucket/k").await, 400, "InvalidInput");
    let other =
        [("PolicySourceArn", "arn:aws:iam::other:user/ann"), ("ActionNames.member.1", "s3:GetObject")];
    refused(&root().iam(&rig, "SimulatePrincipalPolicy", &other).await, 501, "NotImplemented");
    for action in ["s3:GetObject", "iam:GetUser"] {
        refused(&asked(&root(), action, "bucket/k").await, 400, "InvalidInput");
    }
    refused(&asked(&root(), "s3:GetObject", "arn:aws:iam::root:user/ann").await, 400, "InvalidInput");

    // A request that needn't wait for its body has an answer.
    let tagged = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::root:user/bob"},"Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"s3:RequestObjectTag/a":"b"}}}}"#;
    assert_eq!(root().s3(&rig, "PUT", "/bucket?policy", tagged.as_bytes()).await.status, 204);
    let of_bob = async |action: &str, resource: &str| {
        let parameters = [
            ("PolicySourceArn", "arn:aws:iam::root:user/bob"),
            ("ActionNames.member.1", action),
            ("ResourceArns.member.1", resource),
        ];
        done(root().iam(&rig, "SimulatePrincipalPolicy", &parameters).await).element("EvalDecision").unwrap()
    };
    assert_eq!(of_bob("s3:PutObjectTagging", "arn:aws:s3:::bucket/k").await, "implicitDeny");
    // Whether a role may be assumed is said by the role.
    session(&rig, "Bobs", &bob, r#"{"AWS":"arn:aws:iam::root:user/bob"}"#).await;
    session(&rig, "Anns", &ann, r#"{"AWS":"arn:aws:iam::root:user/ann"}"#).await;
    for (role, decided) in
        [("Bobs", "allowed"), ("bobs", "allowed"), ("Anns", "implicitDeny"), ("None", "implicitDeny")]
    {
        assert_eq!(
            of_bob("sts:AssumeRole", &format!("arn:aws:iam::root:role/{role}")).await,
            decided,
            "{role}"
        );
    }
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
async fn a_managed_policy_counts_in_its_default_version() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let parameters = [("PolicyName", "Films"), ("Path", "/films/"), ("PolicyDocument", ALL)];
    let made = done(root().iam(&rig, "CreatePolicy", &parameters).await);
    let arn = made.element("Arn").unwrap();
    assert_eq!(arn, "arn:aws:iam::root:policy/films/Films");
    done(root().iam(&rig, "AttachUserPolicy", &[("UserName", "ann"), ("PolicyArn", &arn)]).await);
    let status = async || ann.s3(&rig, "GET", "/bucket/k", b"").await.status;
    assert_eq!(status().await, 200);
    let none = ALL.replace("Allow", "Deny");
    let version = [("PolicyArn", arn.as_str()), ("PolicyDocument", &none)];
    let made = done(root().iam(&rig, "CreatePolicyVersion", &version).await);
    assert_eq!(made.element("VersionId").as_deref(), Some("v2"));
    assert_eq!(status().await, 200);
    let second = [("PolicyArn", arn.as_str()), ("VersionId", "v2")];
    done(root().iam(&rig, "SetDefaultPolicyVersion", &second).await);
    assert_eq!(status().await, 403);
    refused(&root().iam(&rig, "DeletePolicyVersion", &second).await, 409, "DeleteConflict");
    let first = [("PolicyArn", arn.as_str()), ("VersionId", "v1")];
    done(root().iam(&rig, "DeletePolicyVersion", &first).await);
    refused(&root().iam(&rig, "DeletePolicy", &first[..1]).await, 409, "DeleteConflict");
    let of = done(root().iam(&rig, "ListEntitiesForPolicy", &first[..1]).await);
    assert_eq!(of.element("UserName").as_deref(), Some("ann"));
    done(root().iam(&rig, "DetachUserPolicy", &[("UserName", "ann"), ("PolicyArn", &arn)]).await);
    done(root().iam(&rig, "DeletePolicy", &first[..1]).await);
    refused(&root().iam(&rig, "GetPolicy", &first[..1]).await, 404, "NoSuchEntity");
}

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
async fn a_header_of_one_value_comes_once() {
    let rig = closed().await;
    let form = form(STS.1, "GetCallerIdentity", &[]);
    let twice = [FORM, ("user-agent", "a"), ("user-agent", "b")];
    let answer = rig.signed(root().signer("sts"), "POST", "/", &twice, form.as_bytes()).await;
    refused(&answer, 400, "InvalidArgument");
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

#[tokio::test(flavor = "multi_thread")]
async fn policies_have_tags_that_change() {
    let rig = closed().await;
    let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "")];
    let policy = [("PolicyName", "p"), ("PolicyDocument", ALL), tag[0], tag[1]];
    let arn = done(root().iam(&rig, "CreatePolicy", &policy).await).element("Arn").unwrap();
    let of = [("PolicyArn", arn.as_str())];
    let tags = async || {
        let told = done(root().iam(&rig, "ListPolicyTags", &of).await).text();
        ["a", "b"].into_iter().filter(|key| told.contains(&format!("<Key>{key}</Key>"))).collect::<Vec<_>>()
    };
    assert_eq!(tags().await, ["a"]);
    let more = [of[0], ("Tags.member.1.Key", "b"), ("Tags.member.1.Value", "1")];
    done(root().iam(&rig, "TagPolicy", &more).await);
    assert_eq!(tags().await, ["a", "b"]);
    done(root().iam(&rig, "UntagPolicy", &[of[0], ("TagKeys.member.1", "a")]).await);
    assert_eq!(tags().await, ["b"]);
    let told = done(root().iam(&rig, "GetPolicy", &of).await).text();
    assert!(told.contains("<Key>b</Key><Value>1</Value>"), "{told}");
    let canned = [("PolicyArn", "arn:aws:iam::aws:policy/readonly"), more[1], more[2]];
    refused(&root().iam(&rig, "TagPolicy", &canned).await, 403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_told_to_who_cleans_up() {
    let rig = closed().await;
    done(root().iam(&rig, "CreateUser", &[("UserName", "ann")]).await);
    for (action, list) in [
        ("ListMFADevices", "MFADevices"),
        ("ListSSHPublicKeys", "SSHPublicKeys"),
        ("ListSigningCertificates", "Certificates"),
        ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
    ] {
        let told = done(root().iam(&rig, action, &[("UserName", "ann")]).await).text();
        assert!(told.contains(&format!("<{list}/><IsTruncated>false</IsTruncated>")), "{told}");
        refused(&root().iam(&rig, action, &[("UserName", "bob")]).await, 404, "NoSuchEntity");
    }
    for action in ["GetLoginProfile", "DeleteLoginProfile"] {
        refused(&root().iam(&rig, action, &[("UserName", "ann")]).await, 404, "NoSuchEntity");
    }
    refused(&root().iam(&rig, "GetAccountPasswordPolicy", &[]).await, 404, "NoSuchEntity");
    let aliases = done(root().iam(&rig, "ListAccountAliases", &[]).await).text();
    assert!(aliases.contains("<AccountAliases/>"), "{aliases}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_a_user_is_what_policies_may_ask_about() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let of_team = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}}"#;
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", of_team)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    refused(&ann.s3(&rig, "GET", "/bucket/k", b"").await, 403, "AccessDenied");
    let tag = [own[0], ("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "blue")];
    done(root().iam(&rig, "TagUser", &tag).await);
    assert_eq!(ann.s3(&rig, "GET", "/bucket/k", b"").await.status, 200);
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

#[tokio::test(flavor = "multi_thread")]
async fn who_may_use_iam_is_said_by_policies_too() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    for action in ["ListUsers", "GetUser", "ListAccessKeys", "CreateAccessKey"] {
        refused(&ann.iam(&rig, action, &[]).await, 403, "AccessDenied");
    }
    let own_keys = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}}"#;
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", own_keys)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    done(ann.iam(&rig, "ListAccessKeys", &[]).await);
    done(ann.iam(&rig, "CreateAccessKey", &[]).await);
    done(root().iam(&rig, "CreateUser", &[("UserName", "bob")]).await);
    refused(&ann.iam(&rig, "CreateAccessKey", &[("UserName", "bob")]).await, 403, "AccessDenied");
    refused(&ann.iam(&rig, "PutUserPolicy", &own).await, 403, "AccessDenied");
}

/// Policies heed capitals, and names are found without regard to them.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_judged_by_its_own_name_however_a_request_spells_it() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let but_guard = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iam:*","sts:*"],"Resource":"*"},
        {"Effect":"Deny","Action":["iam:*","sts:*"],"Resource":"arn:aws:iam::root:*/Guard"}]}"#;
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", but_guard)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"root"},"Action":"sts:AssumeRole"}}"#;
    done(root().iam(&rig, "CreatePolicy", &[("PolicyName", "Guard"), ("PolicyDocument", ALL)]).await);
    done(root().iam(&rig, "CreateRole", &[("RoleName", "Guard"), ("AssumeRolePolicyDocument", trust)]).await);
    done(root().iam(&rig, "CreateUser", &[("UserName", "Guard")]).await);
    for name in ["Guard", "guard", "GUARD"] {
        let arn = |kind: &str| format!("arn:aws:iam::root:{kind}/{name}");
        let (policy, role, person) = (arn("policy"), arn("role"), arn("user"));
        let asked = [("PolicySourceArn", person.as_str()), ("ActionNames.member.1", "s3:GetObject")];
        for (action, parameters) in [
            ("GetPolicy", &[("PolicyArn", policy.as_str())][..]),
            ("DeletePolicy", &[("PolicyArn", policy.as_str())]),
            ("GetRole", &[("RoleName", name)]),
            ("DeleteUser", &[("UserName", name)]),
            ("SimulatePrincipalPolicy", &asked),
        ] {
            refused(&ann.iam(&rig, action, parameters).await, 403, "AccessDenied");
        }
        let assumed = assume(&rig, &ann, &role, &[]).await;
        refused(&assumed, 403, "AccessDenied");
        // That there is a role of another spelling isn't told.
        assert!(assumed.text().contains(&format!("on resource: {role}<")), "{}", assumed.text());
        done(root().iam(&rig, "GetPolicy", &[("PolicyArn", &policy)]).await);
        done(root().iam(&rig, "SimulatePrincipalPolicy", &asked).await);
    }
    let elsewhere =
        [("PolicySourceArn", "arn:aws:iam::root:user/x/Guard"), ("ActionNames.member.1", "s3:GetObject")];
    refused(&root().iam(&rig, "SimulatePrincipalPolicy", &elsewhere).await, 404, "NoSuchEntity");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused() {
    let rig = closed().await;
    done(root().iam(&rig, "CreateUser", &[("UserName", "ann")]).await);
    refused(&root().iam(&rig, "CreateUser", &[("UserName", "Ann")]).await, 409, "EntityAlreadyExists");
    refused(&root().iam(&rig, "CreateUser", &[("UserName", "a b")]).await, 400, "ValidationError");
    refused(&root().iam(&rig, "CreateUser", &[]).await, 400, "ValidationError");
    refused(&root().iam(&rig, "CreateLoginProfile", &[]).await, 400, "InvalidAction");
    refused(&root().sts(&rig, "CreateUser", &[]).await, 400, "InvalidAction");
    let more = [("UserName", "bob"), ("Password", "secret")];
    refused(&root().iam(&rig, "CreateUser", &more).await, 501, "NotImplemented");
    for half in [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "a")] {
        let tagged = [("UserName", "bob"), half];
        refused(&root().iam(&rig, "CreateUser", &tagged).await, 400, "ValidationError");
    }
    // A session whose bounds weren't understood would have more rights than it was to have.
    let misspelt = [
        ("RoleArn", "arn:aws:iam::root:role/r"),
        ("RoleSessionName", "monday"),
        ("PolicyArns.member.1.Arn", "a"),
    ];
    refused(&root().sts(&rig, "AssumeRole", &misspelt).await, 501, "NotImplemented");
    for document in [
        "{}",
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObjects","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"bucket"}}"#,
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringIs":{"aws:username":"a"}}}}"#,
    ] {
        let parameters = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", document)];
        refused(&root().iam(&rig, "PutUserPolicy", &parameters).await, 400, "MalformedPolicyDocument");
    }
    // Actions of Amazon's that this server doesn't have may stand in a policy. They give no right.
    let elsewhere = ALL.replace(r#""s3:*""#, r#"["iam:PassRole","s3:GetAccountPublicAccessBlock","ec2:*"]"#);
    let parameters =
        [("UserName", "ann"), ("PolicyName", "elsewhere"), ("PolicyDocument", elsewhere.as_str())];
    done(root().iam(&rig, "PutUserPolicy", &parameters).await);
    let many = vec![r#""s3:Get*""#; 300].join(",");
    let long = ALL.replace(r#""s3:*""#, &format!("[{many}]"));
    let parameters = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", long.as_str())];
    refused(&root().iam(&rig, "PutUserPolicy", &parameters).await, 409, "LimitExceeded");
}

/// A list goes on where the page before ended, even if the last entry of that page was deleted. A marker of another
/// list is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_by_a_marker_that_it_gave() {
    let rig = closed().await;
    for name in ["ann", "bob", "carl"] {
        done(root().iam(&rig, "CreateGroup", &[("GroupName", name)]).await);
    }
    let list = async |action: &str, marker: &str| {
        root().iam(&rig, action, &[("MaxItems", "2"), ("Marker", marker)]).await
    };
    let first = done(root().iam(&rig, "ListGroups", &[("MaxItems", "2")]).await);
    let marker = first.element("Marker").unwrap();
    done(root().iam(&rig, "DeleteGroup", &[("GroupName", "bob")]).await);
    let rest = done(list("ListGroups", &marker).await);
    assert!(
        rest.text().contains("<GroupName>carl<") && !rest.text().contains("<GroupName>ann<"),
        "{}",
        rest.text()
    );
    assert_eq!(rest.element("Marker"), None);
    for (action, marker) in [
        ("ListGroups", "bob"),
        ("ListGroups", ""),
        ("ListUsers", marker.as_str()),
        ("ListAccountAliases", &marker),
    ] {
        refused(&list(action, marker).await, 400, "ValidationError");
    }
    // A parameter that is given twice is refused, since nothing says which value counts.
    for twice in [
        &[("GroupName", "ann"), ("GroupName", "carl")][..],
        &[("GroupName", "ann"), ("Action", "ListGroups")],
    ] {
        refused(&root().iam(&rig, "DeleteGroup", twice).await, 400, "InvalidInput");
    }
    assert!(done(root().iam(&rig, "ListGroups", &[]).await).text().contains("<GroupName>ann<"));
}

/// The values of the elements of that name.
fn each(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1).filter_map(|part| part.split_once(&close));
    parts.map(|(value, _)| value.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_page_by_page_is_the_list() {
    let rig = closed().await;
    done(root().iam(&rig, "CreateGroup", &[("GroupName", "g")]).await);
    for name in ["p", "Q", "z", "m"] {
        let policy = [("PolicyName", name), ("PolicyDocument", ALL)];
        let arn = done(root().iam(&rig, "CreatePolicy", &policy).await).element("Arn").unwrap();
        // One is before the users of the configuration, one between them and one behind them.
        done(root().iam(&rig, "CreateUser", &[("UserName", name)]).await);
        done(root().iam(&rig, "AddUserToGroup", &[("GroupName", "g"), ("UserName", name)]).await);
        if name == "m" {
            done(root().iam(&rig, "AttachGroupPolicy", &[("GroupName", "g"), ("PolicyArn", &arn)]).await);
            for user in ["m", "z"] {
                done(root().iam(&rig, "AttachUserPolicy", &[("UserName", user), ("PolicyArn", &arn)]).await);
            }
        }
    }
    let (of_m, of_p) =
        (("PolicyArn", "arn:aws:iam::root:policy/m"), ("PolicyArn", "arn:aws:iam::root:policy/p"));
    let bounded = [("UserName", "z"), ("PermissionsBoundary", of_p.1)];
    done(root().iam(&rig, "PutUserPermissionsBoundary", &bounded).await);
    for (action, more, element, expected) in [
        ("ListUsers", None, "UserName", 6),
        ("ListPolicies", None, "PolicyName", 13),
        ("ListPolicies", Some(("Scope", "Local")), "PolicyName", 4),
        ("ListPolicies", Some(("Scope", "AWS")), "PolicyName", 9),
        ("ListPolicies", Some(("OnlyAttached", "true")), "PolicyName", 2),
        ("ListPolicies", Some(("PolicyUsageFilter", "PermissionsPolicy")), "PolicyName", 1),
        ("ListPolicies", Some(("PolicyUsageFilter", "PermissionsBoundary")), "PolicyName", 1),
        ("GetGroup", Some(("GroupName", "g")), "UserName", 4),
        ("ListEntitiesForPolicy", Some(of_m), "GroupName", 1),
        ("ListEntitiesForPolicy", Some(of_m), "UserName", 2),
        ("ListEntitiesForPolicy", Some(of_p), "UserName", 1),
        ("ListPolicyVersions", Some(of_m), "VersionId", 1),
    ] {
        let more = more.as_slice();
        let whole = each(&done(root().iam(&rig, action, more).await).text(), element);
        assert_eq!(whole.len(), expected, "{action}: {whole:?}");
        for most in ["1", "2", "3"] {
            let (mut all, mut marker) = (Vec::new(), None);
            loop {
                let from = marker.as_deref().map(|marker| ("Marker", marker));
                let parameters = [more, &[("MaxItems", most)], from.as_slice()].concat();
                let page = done(root().iam(&rig, action, &parameters).await);
                all.extend(each(&page.text(), element));
                marker = page.element("Marker");
                assert_eq!(page.element("IsTruncated").unwrap(), marker.is_some().to_string(), "{action}");
                if marker.is_none() {
                    break;
                }
            }
            assert_eq!(all, whole, "{action} by {most}");
        }
    }
    let counted = done(root().iam(&rig, "GetPolicy", &[of_m]).await).element("AttachmentCount");
    assert_eq!(counted.as_deref(), Some("3"));
    let summary = done(root().iam(&rig, "GetAccountSummary", &[]).await).text();
    for (what, count) in [("Users", 4), ("Groups", 1), ("Roles", 0), ("Policies", 4)] {
        let entry = format!("<key>{what}</key><value>{count}</value>");
        assert!(summary.contains(&entry), "{entry} in {summary}");
    }
}

/// What a list takes is counted, so that lists of many don't take all the memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_takes_its_part_of_the_memory() {
    let rig =
        Rig::with(Choices { age: Age::New, anonymous: false, admission: 1 << 20, ..Choices::default() })
            .await;
    refused(&root().iam(&rig, "ListUsers", &[]).await, 503, "SlowDown");
    done(root().iam(&rig, "GetUser", &[]).await);
}

/// As at Amazon. No parameter of the query string is ignored.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_in_the_query_string_count_as_those_in_the_body() {
    let rig = closed().await;
    for name in ["ann", "bob"] {
        done(root().iam(&rig, "CreateGroup", &[("GroupName", name)]).await);
    }
    let post = async |target: &str, body: &str| {
        rig.signed(root().signer("iam"), "POST", target, &[FORM], body.as_bytes()).await
    };
    let list = form(IAM.1, "ListGroups", &[]);
    let all = done(post(&format!("/?{list}"), "").await).text();
    assert!(all.contains("<GroupName>ann<") && all.contains("<GroupName>bob<"), "{all}");
    let part = done(post("/?MaxItems=1", &list).await).text();
    assert!(part.contains("<GroupName>ann<") && !part.contains("<GroupName>bob<"), "{part}");

    let delete = form(IAM.1, "DeleteGroup", &[("GroupName", "ann")]);
    refused(&post("/?GroupName=bob", &delete).await, 400, "InvalidInput");
    refused(&post("/?Action=GetGroup", &delete).await, 400, "InvalidInput");
    refused(&post("/?Force=true", &delete).await, 501, "NotImplemented");
    refused(&post("/?X-Amz-Nonsense=1", &delete).await, 501, "NotImplemented");
    // A signature covers it.
    let head =
        rig.sign(root().signer("iam"), "POST", "/?MaxItems=1", &[FORM], SignableBody::Bytes(list.as_bytes()));
    let head = String::from_utf8(head).unwrap().replace("MaxItems=1", "MaxItems=2");
    let swapped = rig.raw(&[head.as_bytes(), list.as_bytes()].concat(), false).await;
    refused(&swapped, 403, "SignatureDoesNotMatch");
    let left = done(root().iam(&rig, "ListGroups", &[]).await).text();
    assert!(left.contains("<GroupName>ann<") && left.contains("<GroupName>bob<"), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let rig = closed().await;
    let form = form(IAM.1, "ListUsers", &[]);
    refused(&rig.send("POST", "/", &[FORM], form.as_bytes()).await, 403, "MissingAuthenticationToken");
    let nobody = Holder { key: "AKIA234567ABCDEFGHIJ".into(), secret: "a long secret".into(), token: None };
    refused(&nobody.iam(&rig, "ListUsers", &[]).await, 403, "InvalidClientTokenId");
    // The body is never sent, so the refusal can't have waited for it.
    let headers = [FORM, ("content-length", "60000"), ("expect", "100-continue")];
    let head = rig.sign(nobody.signer("iam"), "POST", "/", &headers, SignableBody::Bytes(b""));
    refused(&rig.raw(&head, false).await, 403, "InvalidClientTokenId");
    // A request that is signed for another service or with another body is refused.
    let of_s3 = rig.signed(ROOT, "POST", "/", &[FORM], form.as_bytes()).await;
    refused(&of_s3, 400, "IncompleteSignature");
    let head = rig.sign(root().signer("iam"), "POST", "/", &[FORM], SignableBody::Bytes(form.as_bytes()));
    let other = form.replace("ListUsers", "ListRoles");
    let swapped = rig.raw(&[head.as_slice(), other.as_bytes()].concat(), false).await;
    refused(&swapped, 403, "SignatureDoesNotMatch");
    let long = format!("{form}&Marker={}", "x".repeat(70_000));
    let too_long = rig.signed(root().signer("iam"), "POST", "/", &[FORM], long.as_bytes()).await;
    assert_eq!(too_long.status, 400, "{}", too_long.text());
}

/// Neither the drives nor IAM's answers show the secret of a user.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_lies_sealed_on_the_drives() {
    let rig = closed().await;
    let ann = user(&rig, "ann-of-the-sealed-secret").await;
    let (mut found_name, mut folders) = (false, vec![rig.folder().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // The server may remove a file meanwhile.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            found_name |= holds("ann-of-the-sealed-secret");
            assert!(!holds(&ann.secret), "{}", path.display());
        }
    }
    assert!(found_name, "the user's record lies there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_says_what_it_takes() {
    let rig = Rig::with(Choices { age: Age::Old, anonymous: false, ..Choices::default() }).await;
    let answer = root().iam(&rig, "CreateUser", &[("UserName", "ann")]).await;
    refused(&answer, 501, "NotImplemented");
    assert!(answer.text().contains("stratum level raise"), "{}", answer.text());
    done(root().iam(&rig, "ListUsers", &[]).await);
}
