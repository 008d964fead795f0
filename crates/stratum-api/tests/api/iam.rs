//! IAM and STS: users, groups, roles and sessions as programs make them, and what they may do in S3.

mod lists;
mod managed;
mod rights;
mod sessions;
mod simulation;
mod users;

use crate::rig::{Age, Answer, Choices, ROOT, Rig, Signer};
use aws_sigv4::http_request::SignableBody;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const IAM: (&str, &str) = ("iam", "2010-05-08");
const STS: (&str, &str) = ("sts", "2011-06-15");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

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
async fn a_header_of_one_value_comes_once() {
    let rig = closed().await;
    let form = form(STS.1, "GetCallerIdentity", &[]);
    let twice = [FORM, ("user-agent", "a"), ("user-agent", "b")];
    let answer = rig.signed(root().signer("sts"), "POST", "/", &twice, form.as_bytes()).await;
    refused(&answer, 400, "InvalidArgument");
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
        r#"{"Statement":{"Sid":"a b","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#,
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
