//! Permissions boundaries: what bounds users and roles, whatever they are given.

use crate::iam::{ALL, Holder, closed, done, may_all, refused, root, session, user};
use crate::rig::Rig;

const READONLY: &str = "arn:aws:iam::aws:policy/readonly";
const ANN: &str = r#"{"AWS":"arn:aws:iam::root:user/ann"}"#;

async fn status(rig: &Rig, who: &Holder, method: &str) -> u16 {
    who.s3(rig, method, "/bucket/k", b"").await.status
}

async fn give_all(rig: &Rig, user: &str) {
    let own = [("UserName", user), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(rig, "PutUserPolicy", &own).await);
}

/// A managed policy of one statement, by its ARN.
async fn policy(rig: &Rig, name: &str, statement: &str) -> String {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    let made = root().iam(rig, "CreatePolicy", &[("PolicyName", name), ("PolicyDocument", &text)]).await;
    done(made).element("Arn").unwrap()
}

async fn bucket_allows(rig: &Rig, principal: &str) {
    let text = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}}}"#
    );
    assert_eq!(root().s3(rig, "PUT", "/bucket?policy", text.as_bytes()).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_what_both_its_policies_and_its_boundary_allow() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let named = [("UserName", "ann"), ("PermissionsBoundary", READONLY)];
    done(root().iam(&rig, "PutUserPermissionsBoundary", &named).await);
    // It gives nothing by itself.
    assert_eq!((status(&rig, &ann, "GET").await, status(&rig, &ann, "PUT").await), (403, 403));
    give_all(&rig, "ann").await;
    assert_eq!((status(&rig, &ann, "GET").await, status(&rig, &ann, "PUT").await), (200, 403));
    // Nor by a group.
    done(root().iam(&rig, "CreateGroup", &[("GroupName", "all")]).await);
    let own = [("GroupName", "all"), ("PolicyName", "own"), ("PolicyDocument", ALL)];
    done(root().iam(&rig, "PutGroupPolicy", &own).await);
    done(root().iam(&rig, "AddUserToGroup", &[("GroupName", "all"), ("UserName", "ann")]).await);
    assert_eq!(status(&rig, &ann, "PUT").await, 403);
    let of_ann = Holder::of(&ann.sts(&rig, "GetSessionToken", &[]).await);
    assert_eq!((status(&rig, &of_ann, "GET").await, status(&rig, &of_ann, "PUT").await), (200, 403));

    // What the bucket's policy gives her by name it doesn't keep from her, what it denies it does.
    bucket_allows(&rig, ANN).await;
    assert_eq!(status(&rig, &ann, "PUT").await, 200);
    let never = policy(&rig, "never", r#"{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}"#).await;
    let denying = [("UserName", "ann"), ("PermissionsBoundary", never.as_str())];
    done(root().iam(&rig, "PutUserPermissionsBoundary", &denying).await);
    assert_eq!(status(&rig, &ann, "PUT").await, 403);
    assert_eq!(root().s3(&rig, "DELETE", "/bucket?policy", b"").await.status, 204);
    assert_eq!(status(&rig, &ann, "GET").await, 403);

    done(root().iam(&rig, "DeleteUserPermissionsBoundary", &named[..1]).await);
    assert_eq!(status(&rig, &ann, "PUT").await, 200);
    refused(&root().iam(&rig, "DeleteUserPermissionsBoundary", &named[..1]).await, 404, "NoSuchEntity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_s_boundary_bounds_its_sessions() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let session = session(&rig, "role", &ann, ANN).await;
    may_all(&rig, "role").await;
    assert_eq!(status(&rig, &session, "PUT").await, 200);
    let named = [("RoleName", "role"), ("PermissionsBoundary", READONLY)];
    done(root().iam(&rig, "PutRolePermissionsBoundary", &named).await);
    assert_eq!((status(&rig, &session, "GET").await, status(&rig, &session, "PUT").await), (200, 403));
    bucket_allows(&rig, r#"{"AWS":"arn:aws:iam::root:role/role"}"#).await;
    assert_eq!(status(&rig, &session, "PUT").await, 403);
    done(root().iam(&rig, "DeleteRolePermissionsBoundary", &named[..1]).await);
    assert_eq!(status(&rig, &session, "PUT").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_is_told_and_its_policy_stays() {
    let rig = closed().await;
    let arn = policy(&rig, "bound", r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}"#).await;
    let bounded = [("UserName", "ann"), ("PermissionsBoundary", arn.as_str())];
    // A name in other capitals finds the same policy.
    let shouted = arn.replace("bound", "BOUND");
    let created = [bounded[0], ("PermissionsBoundary", shouted.as_str())];
    let made = done(root().iam(&rig, "CreateUser", &created).await);
    assert_eq!(made.element("PermissionsBoundaryArn").as_deref(), Some(arn.as_str()));
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"root"},"Action":"sts:AssumeRole"}}"#;
    let role = [("RoleName", "role"), ("AssumeRolePolicyDocument", trust), ("PermissionsBoundary", &arn)];
    done(root().iam(&rig, "CreateRole", &role).await);
    for (action, named) in [("GetUser", ("UserName", "ann")), ("GetRole", ("RoleName", "role"))] {
        let told = done(root().iam(&rig, action, &[named]).await);
        assert_eq!(told.element("PermissionsBoundaryType").as_deref(), Some("PermissionsBoundaryPolicy"));
        assert_eq!(told.element("PermissionsBoundaryArn").as_deref(), Some(arn.as_str()));
    }
    // As at Amazon lists don't tell it.
    for action in ["ListUsers", "ListRoles"] {
        let listed = done(root().iam(&rig, action, &[]).await).text();
        assert!(!listed.contains("PermissionsBoundary"), "{listed}");
    }
    let of = [("PolicyArn", arn.as_str())];
    let told = done(root().iam(&rig, "GetPolicy", &of).await);
    assert_eq!(told.element("AttachmentCount").as_deref(), Some("0"));
    assert_eq!(told.element("PermissionsBoundaryUsageCount").as_deref(), Some("2"));
    for (filter, expected) in
        [(None, true), (Some("PermissionsBoundary"), true), (Some("PermissionsPolicy"), false)]
    {
        let filter = filter.map(|filter| ("PolicyUsageFilter", filter));
        let asked: Vec<_> = of.into_iter().chain(filter).collect();
        let who = done(root().iam(&rig, "ListEntitiesForPolicy", &asked).await).text();
        assert_eq!(who.contains("<UserName>ann<") && who.contains("<RoleName>role<"), expected, "{who}");
        let listed: Vec<_> = [("OnlyAttached", "true")].into_iter().chain(filter).collect();
        let listed = done(root().iam(&rig, "ListPolicies", &listed).await).text();
        assert_eq!(listed.contains(&arn), expected, "{listed}");
    }
    refused(&root().iam(&rig, "DeletePolicy", &of).await, 409, "DeleteConflict");
    done(root().iam(&rig, "DeleteUser", &bounded[..1]).await);
    done(root().iam(&rig, "DeleteRole", &role[..1]).await);
    done(root().iam(&rig, "DeletePolicy", &of).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_bound_is_refused() {
    let rig = closed().await;
    done(root().iam(&rig, "CreateUser", &[("UserName", "ann")]).await);
    let put = async |user: &str, arn: &str| {
        let named = [("UserName", user), ("PermissionsBoundary", arn)];
        root().iam(&rig, "PutUserPermissionsBoundary", &named).await
    };
    refused(&put("ann", "arn:aws:iam::root:policy/none").await, 404, "NoSuchEntity");
    refused(&put("bob", READONLY).await, 404, "NoSuchEntity");
    refused(&put("other", READONLY).await, 400, "UnmodifiableEntity");
    let none = root().iam(&rig, "PutUserPermissionsBoundary", &[("UserName", "ann")]).await;
    refused(&none, 400, "ValidationError");
    let none = [("UserName", "bob"), ("PermissionsBoundary", "arn:aws:iam::root:policy/none")];
    refused(&root().iam(&rig, "CreateUser", &none).await, 404, "NoSuchEntity");
    refused(&root().iam(&rig, "GetUser", &none[..1]).await, 404, "NoSuchEntity");
}

/// Somebody may make users, as long as those stay within what they are bounded by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_delegate_can_be_kept_to_a_boundary() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let delegates = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iam:CreateUser","iam:PutUserPolicy","iam:PutUserPermissionsBoundary"],"Resource":"*",
         "Condition":{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::aws:policy/readonly"}}},
        {"Effect":"Allow","Action":["iam:DeleteUserPermissionsBoundary","iam:CreateAccessKey"],"Resource":"*",
         "Condition":{"StringNotLike":{"iam:PermissionsBoundary":"*"}}}]}"#;
    let own = [("UserName", "ann"), ("PolicyName", "own"), ("PolicyDocument", delegates)];
    done(root().iam(&rig, "PutUserPolicy", &own).await);
    let create = async |name: &str, boundary: Option<&str>| {
        let boundary = boundary.map(|arn| ("PermissionsBoundary", arn));
        let named: Vec<_> = [("UserName", name)].into_iter().chain(boundary).collect();
        ann.iam(&rig, "CreateUser", &named).await
    };
    refused(&create("bob", None).await, 403, "AccessDenied");
    refused(&create("bob", Some("arn:aws:iam::aws:policy/admin")).await, 403, "AccessDenied");
    refused(&create("bob", Some("arn:aws:iam::root:policy/none")).await, 403, "AccessDenied");
    done(create("bob", Some(READONLY)).await);
    // What she gives is given within that, and she can't take it away or widen it.
    let give = async |user: &str| {
        ann.iam(&rig, "PutUserPolicy", &[("UserName", user), ("PolicyName", "p"), ("PolicyDocument", ALL)])
            .await
    };
    done(give("bob").await);
    refused(&give("ann").await, 403, "AccessDenied");
    let bob = [("UserName", "bob"), ("PermissionsBoundary", "arn:aws:iam::aws:policy/admin")];
    refused(&ann.iam(&rig, "DeleteUserPermissionsBoundary", &bob[..1]).await, 403, "AccessDenied");
    refused(&ann.iam(&rig, "PutUserPermissionsBoundary", &bob).await, 403, "AccessDenied");
    let bob = Holder::of(&ann.iam(&rig, "CreateAccessKey", &[("UserName", "bob")]).await);
    assert_eq!((status(&rig, &bob, "GET").await, status(&rig, &bob, "PUT").await), (200, 403));
}
