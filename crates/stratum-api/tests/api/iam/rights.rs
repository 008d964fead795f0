//! What users may do in S3: policies of users, groups and buckets together, and what a request needs besides its own right.

use super::{ALL, assume, closed, done, refused, root, user};
use crate::rig::{OTHER, ROOT, Rig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

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
