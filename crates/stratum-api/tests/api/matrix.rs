//! Every operation of the table, asked for by the owner, by another user and without a signature, under every kind of
//! grant, and with every header that needs a right. So the rights of a new operation or header are tested as soon as it
//! has its row.

use crate::iam::{Holder, root, session, user};
use crate::policies::{md5, put, shut};
use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig, Signer};
use std::collections::BTreeMap;
use stratum_api::fuzzing::{Bearer, Because, Example, Laden, examples, laden_examples};
use stratum_metadata::record::ObjectOwnership;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Owner,
    Other,
    Nobody,
}

/// The operations on a bucket and its object that need a right of S3's own.
fn rows() -> Vec<Example> {
    let judged = |example: &Example| {
        // A bucket that is to be is nobody's yet (it is asked about below), a preflight asks for nothing, and a form says in its body
        // who sends it.
        let apart = ["CreateBucket", "Preflight", "PostObject"].contains(&example.operation);
        !apart && example.actions.iter().all(|action| action.starts_with("s3:"))
    };
    let rows: Vec<Example> = examples().into_iter().filter(judged).collect();
    assert!(rows.len() > 90, "{}", rows.len());
    rows
}

async fn ask(rig: &Rig, who: Who, row: &Example) -> Answer {
    match who {
        Who::Owner => ask_as(rig, Some(ROOT.into()), row).await,
        Who::Other => ask_as(rig, Some(OTHER.into()), row).await,
        Who::Nobody => ask_as(rig, None, row).await,
    }
}

async fn ask_as(rig: &Rig, signer: Option<Signer<'_>>, row: &Example) -> Answer {
    let body = row.body.as_bytes();
    let (digest, mut headers) = (md5(body), row.headers.clone());
    if !body.is_empty() {
        headers.push(("content-md5", &digest));
    }
    match signer {
        Some(signer) => rig.signed(signer, row.method, &row.target, &headers, body).await,
        None => rig.send(row.method, &row.target, &headers, body).await,
    }
}

/// Whether an answer refuses for want of rights. Other refusals with 403, such as that there is nothing to restore,
/// don't count. The answer to a HEAD has no code.
fn is_refused(row: &Example, answer: &Answer) -> bool {
    let without_code = row.method == "HEAD" && answer.status == 403;
    without_code || answer.text().contains("<Code>AccessDenied</Code>")
}

/// Who of the three may call an operation. `prepare` restores the bucket before each request.
async fn allowed(rig: &Rig, row: &Example, prepare: impl AsyncFn()) -> Vec<Who> {
    let mut may = Vec::new();
    let changes = !["GET", "HEAD"].contains(&row.method);
    for (number, who) in [Who::Nobody, Who::Other, Who::Owner].into_iter().enumerate() {
        if changes || number == 0 {
            prepare().await;
        }
        if !is_refused(row, &ask(rig, who, row).await) {
            may.push(who);
        }
    }
    may
}

async fn object(rig: &Rig) {
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"body").await.status, 200);
}

/// A statement of a bucket policy, about everything in the bucket.
fn statement(effect: &str, principal: &str, element: &str, actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    let actions = actions.join(",");
    format!(
        r#"{{"Effect":"{effect}","Principal":{principal},"{element}":[{actions}],"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}}"#
    )
}

/// Whether an operation is about the policy itself. The owner may always call those, whatever the policy says.
fn is_of_the_policy(row: &Example) -> bool {
    ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"].contains(&row.operation)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_an_operation_is_the_owners() {
    let rig = shut().await;
    for row in rows() {
        assert_eq!(allowed(&rig, &row, async || object(&rig).await).await, [Who::Owner], "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_no_such_bucket_everybody_learns() {
    let rig = shut().await;
    for mut row in rows() {
        row.target = row.target.replacen("/bucket", "/nowhere", 1);
        for who in [Who::Nobody, Who::Other, Who::Owner] {
            let answer = ask(&rig, who, &row).await;
            let says = row.method == "HEAD" || answer.code() == "NoSuchBucket";
            assert!(answer.status == 404 && says, "{who:?} {row:?} {}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_grants_just_what_it_names() {
    let rig = shut().await;
    let prepare = async |statements: &str| {
        // Restores what requests may have deleted, and removes a policy that may shut out the owner.
        assert_eq!(rig.signed(ROOT, "DELETE", "/bucket?policy", &[], b"").await.status, 204);
        object(&rig).await;
        let answer = put(&rig, statements).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    for row in rows() {
        let under = async |statements: String| allowed(&rig, &row, async || prepare(&statements).await).await;
        let to_other = statement("Allow", r#"{"AWS":"other"}"#, "Action", &row.actions);
        assert_eq!(under(to_other).await, [Who::Other, Who::Owner], "{row:?}");
        let to_all = statement("Allow", r#""*""#, "Action", &row.actions);
        assert_eq!(under(to_all.clone()).await, [Who::Nobody, Who::Other, Who::Owner], "{row:?}");
        let all_else = statement("Allow", r#""*""#, "NotAction", &row.actions);
        assert_eq!(under(all_else).await, [Who::Owner], "{row:?}");
        let denied = statement("Deny", r#""*""#, "Action", &row.actions);
        let expected: &[Who] = if is_of_the_policy(&row) { &[Who::Owner] } else { &[] };
        assert_eq!(under(format!("{to_all},{denied}")).await, expected, "{row:?}");
    }
}

/// The three kinds of members of the owner's account: a user with a policy of its own, a user with a policy of its
/// group, and a session of a role.
async fn members(rig: &Rig) -> [Holder; 3] {
    let (own, grouped) = (user(rig, "own").await, user(rig, "grouped").await);
    assert_eq!(root().iam(rig, "CreateGroup", &[("GroupName", "group")]).await.status, 200);
    let membership = [("GroupName", "group"), ("UserName", "grouped")];
    assert_eq!(root().iam(rig, "AddUserToGroup", &membership).await.status, 200);
    let session = session(rig, "role", &own, r#"{"AWS":"arn:aws:iam::root:user/own"}"#).await;
    [own, grouped, session]
}

/// Gives each of these members a policy with this statement, or removes it.
async fn give(rig: &Rig, statement: Option<&str>) {
    for (kind, name) in [("User", "own"), ("Group", "group"), ("Role", "role")] {
        let named = [(format!("{kind}Name"), name), ("PolicyName".into(), "p")];
        let named: Vec<(&str, &str)> = named.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let answer = match statement {
            Some(statement) => {
                let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
                let put = [named.as_slice(), &[("PolicyDocument", &text)]].concat();
                root().iam(rig, &format!("Put{kind}Policy"), &put).await
            }
            None => root().iam(rig, &format!("Delete{kind}Policy"), &named).await,
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// A statement of a member's policy, about everything in the bucket.
fn own(effect: &str, element: &str, actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    let resources = r#"["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*","arn:aws:s3:::new"]"#;
    format!(r#"{{"Effect":"{effect}","{element}":[{}],"Resource":{resources}}}"#, actions.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_just_what_their_policies_name() {
    let rig = shut().await;
    let members = members(&rig).await;
    let may = async |row: &Example| {
        let mut may = Vec::new();
        for member in &members {
            assert_eq!(rig.signed(ROOT, "DELETE", "/bucket?policy", &[], b"").await.status, 204);
            object(&rig).await;
            may.push(!is_refused(row, &ask_as(&rig, Some(member.signer("s3")), row).await));
        }
        may
    };
    for row in rows() {
        let allow = own("Allow", "Action", &row.actions);
        give(&rig, Some(&allow)).await;
        assert_eq!(may(&row).await, [true; 3], "{row:?}");
        let deny = own("Deny", "Action", &row.actions);
        give(&rig, Some(&format!("[{allow},{deny}]"))).await;
        assert_eq!(may(&row).await, [false; 3], "{row:?}");
        give(&rig, Some(&own("Allow", "NotAction", &row.actions))).await;
        assert_eq!(may(&row).await, [false; 3], "{row:?}");
    }
    give(&rig, None).await;
    for row in rows() {
        assert_eq!(may(&row).await, [false; 3], "{row:?}");
    }
}

/// Whether a permission in the list of the bucket, or of the object, gives the right to an action, as S3 maps them.
fn gives(permission: &str, of_object: bool, action: &str) -> bool {
    let actions: &[&str] = match (permission, of_object) {
        ("READ", false) => &["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"],
        ("WRITE", false) => &["s3:PutObject", "s3:DeleteObject"],
        ("READ_ACP", false) => &["s3:GetBucketAcl"],
        ("WRITE_ACP", false) => &["s3:PutBucketAcl"],
        ("READ", true) => &[
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:GetObjectAttributes",
            "s3:GetObjectVersionAttributes",
        ],
        ("READ_ACP", true) => &["s3:GetObjectAcl", "s3:GetObjectVersionAcl"],
        ("WRITE_ACP", true) => &["s3:PutObjectAcl", "s3:PutObjectVersionAcl"],
        ("FULL_CONTROL", _) => {
            return ["READ", "WRITE", "READ_ACP", "WRITE_ACP"]
                .iter()
                .any(|one| gives(one, of_object, action));
        }
        _ => &[],
    };
    actions.contains(&action)
}

/// A server on which access control lists are in use, with a bucket that was created with these headers.
async fn with_lists(headers: &[(&str, &str)]) -> Rig {
    let ownership = ObjectOwnership::ObjectWriter;
    let choices =
        Choices { anonymous: false, age: Age::New, object_ownership: ownership, ..Choices::default() };
    let rig = Rig::with(choices).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", headers, b"").await.status, 200);
    rig
}

/// Gives the user `own` a policy with these statements, and no other.
async fn give_user(rig: &Rig, statements: &[String]) {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let put = [("UserName", "own"), ("PolicyName", "p"), ("PolicyDocument", &text)];
    let answer = root().iam(rig, "PutUserPolicy", &put).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A user whose policies allow everything may do just what the permissions boundary allows.
#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_leaves_just_what_it_names() {
    let rig = shut().await;
    let member = user(&rig, "own").await;
    give_user(&rig, &[own("Allow", "Action", &["s3:*"])]).await;
    for (number, row) in rows().iter().enumerate() {
        for (element, expected) in [("Action", true), ("NotAction", false)] {
            let statement = own("Allow", element, &row.actions);
            let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            let named = [("PolicyName", &*format!("{element}-{number}")), ("PolicyDocument", &text)];
            let made = root().iam(&rig, "CreatePolicy", &named).await;
            let arn = made.element("Arn").unwrap_or_else(|| panic!("{}", made.text()));
            let bounded = [("UserName", "own"), ("PermissionsBoundary", arn.as_str())];
            assert_eq!(root().iam(&rig, "PutUserPermissionsBoundary", &bounded).await.status, 200);
            assert_eq!(rig.signed(ROOT, "DELETE", "/bucket?policy", &[], b"").await.status, 204);
            object(&rig).await;
            let answer = ask_as(&rig, Some(member.signer("s3")), row).await;
            assert_eq!(!is_refused(row, &answer), expected, "{element} {row:?} {}", answer.text());
        }
    }
}

/// A request for a bucket that isn't there yet, in place of the one that is.
fn for_a_new_bucket(row: &mut Example) {
    if row.operation == "CreateBucket" {
        row.target = row.target.replacen("/bucket", "/new", 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_made_by_who_has_an_account_and_by_members_who_may() {
    let rig = shut().await;
    let members = members(&rig).await;
    let mut row = examples().into_iter().find(|row| row.operation == "CreateBucket").unwrap();
    for_a_new_bucket(&mut row);
    let prepare = async || drop(rig.signed(ROOT, "DELETE", "/new", &[], b"").await);
    assert!(is_refused(&row, &ask(&rig, Who::Nobody, &row).await));
    for who in [Who::Other, Who::Owner] {
        assert_eq!(ask(&rig, who, &row).await.status, 200, "{who:?}");
        let answer =
            rig.signed(if who == Who::Other { OTHER } else { ROOT }, "DELETE", "/new", &[], b"").await;
        assert_eq!(answer.status, 204, "{who:?}");
    }
    for (given, expected) in [
        (None, false),
        (Some(own("Allow", "Action", &row.actions)), true),
        (Some(own("Allow", "NotAction", &row.actions)), false),
    ] {
        if given.is_some() {
            give(&rig, given.as_deref()).await;
        }
        for member in &members {
            prepare().await;
            let answer = ask_as(&rig, Some(member.signer("s3")), &row).await;
            assert_eq!(!is_refused(&row, &answer), expected, "{given:?} {}", answer.text());
        }
    }
}

/// A bucket with an object, which has a tag where that is what is looked at, and none of what another request has made.
async fn prepare(rig: &Rig, laden: &Laden) {
    let tag = [("x-amz-tagging", "a=b")];
    let headers = if laden.brings.by == Bearer::TaggedSource { &tag[..] } else { &[] };
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", headers, b"body").await.status, 200);
    for made in ["/bucket/copy", "/new"] {
        let status = rig.signed(ROOT, "DELETE", made, &[], b"").await.status;
        assert!([204, 404].contains(&status), "{made} {status}");
    }
}

/// Of everything in a request that takes more rights: without each of them the request is refused which is allowed bare.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_brings_takes_its_rights() {
    let rig = with_lists(&[]).await;
    let member = user(&rig, "own").await;
    let mut tried = 0;
    for mut laden in laden_examples() {
        for_a_new_bucket(&mut laden.example);
        let Laden { example: row, brings, .. } = &laden;
        if brings.because == Because::Lifts {
            continue;
        }
        let may = async |row: &Example, statements: &[String]| {
            prepare(&rig, &laden).await;
            give_user(&rig, statements).await;
            !is_refused(row, &ask_as(&rig, Some(member.signer("s3")), row).await)
        };
        let base = own("Allow", "Action", &row.actions);
        let actions: Vec<_> =
            laden.actions.iter().copied().filter(|action| !row.actions.contains(action)).collect();
        // The operation takes it anyhow.
        if actions.is_empty() {
            assert!(may(row, &[base]).await, "{laden:?}");
            continue;
        }
        tried += 1;
        let rights = own("Allow", "Action", &actions);
        assert!(may(row, &[base.clone(), rights.clone()]).await, "{laden:?}");
        for action in &actions {
            let others: Vec<_> = actions.iter().copied().filter(|other| other != action).collect();
            let (others, denied) = (own("Allow", "Action", &others), own("Deny", "Action", &[*action]));
            let without = if actions.len() == 1 { vec![base.clone()] } else { vec![base.clone(), others] };
            assert!(!may(row, &without).await, "{action} {laden:?}");
            assert!(!may(row, &[base.clone(), rights.clone(), denied]).await, "{action} {laden:?}");
        }
        if let Bearer::Header { name, idle: Some(idle), .. } = brings.by {
            let mut row = row.clone();
            row.headers.retain(|(header, _)| *header != name);
            row.headers.push((name, idle));
            assert!(may(&row, &[base]).await, "{row:?}");
        }

        // Somebody of another account, by the bucket's policy; who will own what they write may say who else reads it.
        if row.operation == "CreateBucket" {
            continue;
        }
        let may = async |statements: String| {
            assert_eq!(rig.signed(ROOT, "DELETE", "/bucket?policy", &[], b"").await.status, 204);
            prepare(&rig, &laden).await;
            assert_eq!(put(&rig, &statements).await.status, 204);
            !is_refused(row, &ask(&rig, Who::Other, row).await)
        };
        let to_other =
            |effect: &str, actions: &[&str]| statement(effect, r#"{"AWS":"other"}"#, "Action", actions);
        let (base, rights) = (to_other("Allow", &row.actions), to_other("Allow", &actions));
        let is_owners = brings.because == Because::LetsIn;
        assert_eq!(may(base.clone()).await, is_owners, "{laden:?}");
        assert!(may(format!("{base},{rights}")).await, "{laden:?}");
        for action in &actions {
            let denied = to_other("Deny", &[*action]);
            assert!(!may(format!("{base},{rights},{denied}")).await, "{action} {laden:?}");
        }
    }
    assert!(tried > 40, "{tried}");
}

/// A header that lifts a restriction has no effect for whoever lacks the right to lift it.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_lifts_nothing_without_its_right() {
    let rig = with_lists(&[("x-amz-bucket-object-lock-enabled", "true")]).await;
    let member = user(&rig, "own").await;
    let lifting = laden_examples().into_iter().filter(|laden| laden.brings.because == Because::Lifts);
    let lifting: BTreeMap<_, _> =
        lifting.map(|laden| ((laden.example.operation, laden.example.method), laden)).collect();
    assert_eq!(lifting.len(), 3, "{lifting:?}");
    for ((operation, method), laden) in lifting {
        let Bearer::Header { name, example, .. } = laden.brings.by else { panic!("{laden:?}") };
        let may = async |statements: &[String]| {
            let lock = [
                ("x-amz-object-lock-mode", "GOVERNANCE"),
                ("x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00Z"),
            ];
            let locked = rig.signed(ROOT, "PUT", "/bucket/k", &lock, b"body").await;
            let version = locked.header("x-amz-version-id").unwrap();
            give_user(&rig, statements).await;
            let (target, body) = match operation {
                "DeleteObject" => (format!("/bucket/k?versionId={version}"), String::new()),
                "DeleteObjects" => (
                    "/bucket?delete".into(),
                    format!("<Delete><Object><Key>k</Key><VersionId>{version}</VersionId></Object></Delete>"),
                ),
                "PutObjectRetention" => (
                    format!("/bucket/k?retention&versionId={version}"),
                    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2080-01-01T00:00:00Z</RetainUntilDate></Retention>".into(),
                ),
                other => panic!("{other} lifts something: it is to be tried here"),
            };
            let digest = md5(body.as_bytes());
            let headers = [(name, example), ("content-md5", digest.as_str())];
            let answer = rig.signed(member.signer("s3"), method, &target, &headers, body.as_bytes()).await;
            let is_refused = answer.text().contains("<Code>AccessDenied</Code>");
            assert!(is_refused || answer.status / 100 == 2, "{operation}: {}", answer.text());
            !is_refused
        };
        let base =
            own("Allow", "Action", &["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectRetention"]);
        let (right, denied) = (own("Allow", "Action", &laden.actions), own("Deny", "Action", &laden.actions));
        assert!(!may(std::slice::from_ref(&base)).await, "{operation}");
        assert!(may(&[base.clone(), right.clone()]).await, "{operation}");
        assert!(!may(&[base, right, denied]).await, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_grants_just_what_s3_maps_it_to() {
    let rig = with_lists(&[]).await;
    for permission in ["read", "write", "read-acp", "write-acp", "full-control"] {
        let header = format!("x-amz-grant-{permission}");
        for of_object in [false, true] {
            let (name, group) =
                (permission.replace('-', "_").to_uppercase(), "http://acs.amazonaws.com/groups/global/");
            for (grantee, to) in [
                ("id=other".to_owned(), &[Who::Other, Who::Owner][..]),
                (format!("uri={group}AllUsers"), &[Who::Nobody, Who::Other, Who::Owner]),
                (format!("uri={group}AuthenticatedUsers"), &[Who::Other, Who::Owner]),
            ] {
                let prepare = async || {
                    object(&rig).await;
                    let (granted, private) = match of_object {
                        true => ("/bucket/k?acl", "/bucket?acl"),
                        false => ("/bucket?acl", "/bucket/k?acl"),
                    };
                    let canned = [("x-amz-acl", "private")];
                    assert_eq!(rig.signed(ROOT, "PUT", private, &canned, b"").await.status, 200);
                    let grant = [(header.as_str(), grantee.as_str())];
                    assert_eq!(rig.signed(ROOT, "PUT", granted, &grant, b"").await.status, 200);
                };
                // For grants to groups only the reads and the operations on lists are tested. They show whether
                // such grants count at all.
                let is_first = grantee == "id=other";
                for row in rows()
                    .iter()
                    .filter(|row| is_first || row.operation.contains("Acl") || row.method == "GET")
                {
                    let all = row.actions.iter().all(|action| gives(&name, of_object, action));
                    let expected = if all { to } else { &[Who::Owner] };
                    assert_eq!(
                        allowed(&rig, row, prepare).await,
                        expected,
                        "{name} of_object {of_object} {grantee} {row:?}"
                    );
                }
            }
        }
    }
}
