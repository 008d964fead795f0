//! Tags that sessions are given when a role is assumed.

use crate::iam::{Holder, closed, done, refused, root, user};
use crate::rig::{Answer, Rig};

const RED: [(&str, &str); 2] = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "red")];

/// A role that lets in these actions by a statement of that condition, and reads what is the red team's.
async fn role(rig: &Rig, name: &str, actions: &str, condition: &str) -> String {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"*"}},"Action":{actions},"Condition":{condition}}}}}"#
    );
    let made =
        root().iam(rig, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await;
    let reads = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}},
        {"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"*"}]}"#;
    let policy = [("RoleName", name), ("PolicyName", "own"), ("PolicyDocument", reads)];
    done(root().iam(rig, "PutRolePolicy", &policy).await);
    done(made).element("Arn").unwrap()
}

async fn assume(rig: &Rig, by: &Holder, arn: &str, tags: &[(&str, &str)]) -> Answer {
    let parameters = [&[("RoleArn", arn), ("RoleSessionName", "monday")], tags].concat();
    by.sts(rig, "AssumeRole", &parameters).await
}

async fn status(rig: &Rig, who: &Holder) -> u16 {
    who.s3(rig, "GET", "/bucket/k", b"").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_its_own_tags_before_its_role_s() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let arn = role(&rig, "role", r#"["sts:AssumeRole","sts:TagSession"]"#, "{}").await;
    let plain = Holder::of(&assume(&rig, &ann, &arn, &[]).await);
    let answer = assume(&rig, &ann, &arn, &RED).await;
    assert!(answer.element("PackedPolicySize").is_some(), "{}", answer.text());
    let red = Holder::of(&answer);
    let blue = [("Tags.member.1.Key", "TEAM"), ("Tags.member.1.Value", "blue")];
    let blue = Holder::of(&assume(&rig, &ann, &arn, &blue).await);
    assert_eq!(
        (status(&rig, &plain).await, status(&rig, &red).await, status(&rig, &blue).await),
        (403, 200, 403)
    );
    let of_role = [("RoleName", "role"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")];
    done(root().iam(&rig, "TagRole", &of_role).await);
    assert_eq!(
        (status(&rig, &plain).await, status(&rig, &red).await, status(&rig, &blue).await),
        (200, 200, 403)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tagging_a_session_takes_a_right_that_may_depend_on_the_tags() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let plain = role(&rig, "plain", r#""sts:AssumeRole""#, "{}").await;
    done(assume(&rig, &ann, &plain, &[]).await);
    let answer = assume(&rig, &ann, &plain, &RED).await;
    refused(&answer, 403, "AccessDenied");
    assert!(answer.text().contains("sts:TagSession"), "{}", answer.text());

    let both = r#"["sts:AssumeRole","sts:TagSession"]"#;
    let condition = r#"{"StringEquals":{"aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["Team"],"sts:TransitiveTagKeys":["Team"]}}"#;
    let red = role(&rig, "red", both, condition).await;
    done(assume(&rig, &ann, &red, &RED).await);
    refused(&assume(&rig, &ann, &red, &[]).await, 403, "AccessDenied");
    let blue = [RED[0], ("Tags.member.1.Value", "blue")];
    refused(&assume(&rig, &ann, &red, &blue).await, 403, "AccessDenied");
    let more = [&RED[..], &[("Tags.member.2.Key", "cost"), ("Tags.member.2.Value", "1")]].concat();
    refused(&assume(&rig, &ann, &red, &more).await, 403, "AccessDenied");

    // What a request to S3 says in its query is no such tag.
    let text = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}}}"#;
    assert_eq!(root().s3(&rig, "PUT", "/bucket?policy", text.as_bytes()).await.status, 204);
    let forged = "/bucket/k?Tags.member.1.Key=team&Tags.member.1.Value=red";
    assert_eq!(ann.s3(&rig, "GET", forged, b"").await.status, 403);
    let text = text.replace("aws:RequestTag/team", "sts:ExternalId");
    assert_eq!(root().s3(&rig, "PUT", "/bucket?policy", text.as_bytes()).await.status, 204);
    assert_eq!(ann.s3(&rig, "GET", "/bucket/k?ExternalId=red", b"").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn transitive_tags_stay_with_the_sessions_that_follow() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let arn = role(&rig, "role", r#"["sts:AssumeRole","sts:TagSession"]"#, "{}").await;
    let untagged = role(&rig, "untagged", r#""sts:AssumeRole""#, "{}").await;
    let kept = [&RED[..], &[("TransitiveTagKeys.member.1", "Team")]].concat();
    let first = Holder::of(&assume(&rig, &ann, &arn, &kept).await);
    let second = Holder::of(&assume(&rig, &first, &arn, &[]).await);
    let third = Holder::of(&assume(&rig, &second, &arn, &[]).await);
    for session in [&first, &second, &third] {
        assert_eq!(status(&rig, session).await, 200);
    }
    // They are tags of the next session, and can't be put aside.
    refused(&assume(&rig, &first, &untagged, &[]).await, 403, "AccessDenied");
    let blue = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "blue")];
    refused(&assume(&rig, &second, &arn, &blue).await, 400, "ValidationError");
    // Those that aren't transitive end with their session.
    let first = Holder::of(&assume(&rig, &ann, &arn, &RED).await);
    let second = Holder::of(&assume(&rig, &first, &arn, &[]).await);
    assert_eq!((status(&rig, &first).await, status(&rig, &second).await), (200, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_make_no_sense_are_refused() {
    let rig = closed().await;
    let ann = user(&rig, "ann").await;
    let arn = role(&rig, "role", r#"["sts:AssumeRole","sts:TagSession"]"#, "{}").await;
    for (tags, status, code) in [
        (&[("TransitiveTagKeys.member.1", "Team")][..], 400, "ValidationError"),
        (
            &[RED[0], RED[1], ("Tags.member.2.Key", "team"), ("Tags.member.2.Value", "red")],
            400,
            "InvalidInput",
        ),
        (&[("Tags.member.1.Key", "aws:team"), RED[1]], 400, "InvalidInput"),
        (&[("Tags.member.1.Colour", "red")], 501, "NotImplemented"),
        (&RED[..1], 400, "ValidationError"),
        (&RED[1..], 400, "ValidationError"),
    ] {
        // A role that doesn't exist is refused in the same words: an error doesn't tell of a role.
        for arn in [&arn, "arn:aws:iam::root:role/none"] {
            refused(&assume(&rig, &ann, arn, tags).await, status, code);
        }
    }
    // More than a token has room for.
    let long = "x".repeat(256);
    let names: Vec<_> = (1..=50)
        .map(|number| [format!("Tags.member.{number}.Key"), format!("Tags.member.{number}.Value")])
        .collect();
    let keys: Vec<_> = (1..=50).map(|number| format!("{number:0128}")).collect();
    let tags: Vec<(&str, &str)> = names
        .iter()
        .zip(&keys)
        .flat_map(|([key, value], text)| [(key.as_str(), text.as_str()), (value.as_str(), long.as_str())])
        .collect();
    refused(&assume(&rig, &ann, &arn, &tags).await, 400, "PackedPolicyTooLarge");
    done(assume(&rig, &ann, &arn, &tags[..20]).await);
}
