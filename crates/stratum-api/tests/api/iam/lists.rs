//! Lists, page by page.

use super::{ALL, closed, done, refused, root};
use crate::rig::{Age, Choices, Rig};

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
