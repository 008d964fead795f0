//! SimulatePrincipalPolicy, beside the requests themselves.

use super::{ALL, Holder, closed, done, refused, root, session, user};

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
