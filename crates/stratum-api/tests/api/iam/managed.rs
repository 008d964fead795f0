//! Managed policies, their versions and their tags.

use super::{ALL, closed, done, refused, root, user};

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
