//! The console over HTTP: who can sign in, that forged requests do nothing, and that no request from outside is taken
//! for one that the console itself makes.

use crate::rig::{Answer, OTHER, ROOT, Rig};
use std::time::Duration;

const HOST: &str = "store.example:9000";

/// A browser that is signed in.
struct Browser<'a> {
    rig: &'a Rig,
    cookie: String,
    token: String,
}

/// The headers with which a browser sends a form from a page of the console.
fn form_headers(cookie: &str) -> Vec<(&'static str, String)> {
    vec![
        ("host", HOST.to_owned()),
        ("origin", format!("http://{HOST}")),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("cookie", cookie.to_owned()),
    ]
}

async fn send(rig: &Rig, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    rig.send(method, &format!("/_stratum/console{path}"), &headers, body.as_bytes()).await
}

async fn sign_in(rig: &Rig, (key, secret): (&str, &str)) -> Answer {
    let secret = secret.replace('+', "%2B");
    let body = format!("access-key={key}&secret={secret}");
    send(rig, "POST", "/sign-in", &form_headers(""), &body).await
}

/// The first text that stands between `before` and `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}

impl Browser<'_> {
    async fn signed_in<'a>(rig: &'a Rig, key: (&str, &str)) -> Browser<'a> {
        let answer = sign_in(rig, key).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let mut browser = Browser { rig, cookie, token: String::new() };
        let page = browser.get("/buckets/new").await;
        browser.token = between(&page.text(), "name=\"token\" value=\"", "\"").unwrap().to_owned();
        browser
    }

    async fn get(&self, path: &str) -> Answer {
        let headers = [("host", HOST.to_owned()), ("cookie", self.cookie.clone())];
        send(self.rig, "GET", path, &headers, "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let body = format!("token={}&{body}", self.token);
        send(self.rig, "POST", path, &form_headers(&self.cookie), &body).await
    }
}

#[tokio::test]
async fn who_knows_the_secret_gets_in_and_nobody_else() {
    let rig = Rig::start().await;
    let page = send(&rig, "GET", "/buckets", &[("host", HOST.to_owned())], "").await;
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location"), Some("/_stratum/console/sign-in?to=%2F_stratum%2Fconsole%2Fbuckets"));
    let wrong = [
        sign_in(&rig, (ROOT.0, "another-secret")).await,
        sign_in(&rig, ("AKIANOBODY", ROOT.1)).await,
        sign_in(&rig, (ROOT.0, "")).await,
    ];
    for answer in &wrong {
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    }
    // The answer doesn't tell whether the key or the secret was wrong.
    let told = |answer: &Answer| between(&answer.text(), "role=\"alert\">", "</div>").unwrap().to_owned();
    assert_eq!(told(&wrong[0]), told(&wrong[1]));

    let browser = Browser::signed_in(&rig, ROOT).await;
    let page = browser.get("/buckets").await;
    assert_eq!(page.status, 200);
    for (header, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(header), Some(value));
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let cookie = sign_in(&rig, ROOT).await.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("; Path=/_stratum/console;") && cookie.contains("; HttpOnly; SameSite=Strict"));
    assert!(!cookie.contains(ROOT.1) && !cookie.contains(ROOT.0) && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn a_cookie_that_was_changed_or_is_of_another_server_is_none() {
    let (rig, other) = (Rig::start().await, Rig::start().await);
    let browser = Browser::signed_in(&rig, ROOT).await;
    let mut changed = browser.cookie.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for (rig, cookie) in
        [(&rig, changed), (&other, browser.cookie.clone()), (&rig, "stratum-console=".into())]
    {
        let headers = [("host", HOST.to_owned()), ("cookie", cookie)];
        assert_eq!(send(rig, "GET", "/buckets", &headers, "").await.status, 303);
    }
    rig.wait(Duration::from_secs(12 * 3_600));
    assert_eq!(browser.get("/buckets").await.status, 303);
}

#[tokio::test]
async fn guessing_is_bounded_and_s3_goes_on() {
    let rig = Rig::start().await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(sign_in(&rig, (ROOT.0, "a-wrong-guess")).await.status);
    }
    assert_eq!(statuses[..10], [403; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let waits = sign_in(&rig, ROOT).await;
    assert_eq!(waits.status, 429);
    assert!(waits.header("retry-after").is_some());
    assert_eq!(rig.signed(ROOT, "GET", "/", &[], b"").await.status, 200);
    rig.wait(Duration::from_secs(301));
    assert_eq!(sign_in(&rig, ROOT).await.status, 303);
}

#[tokio::test]
async fn what_no_page_of_ours_sent_does_nothing() {
    let rig = Rig::start().await;
    let browser = Browser::signed_in(&rig, ROOT).await;
    let body = format!("token={}&bucket=forged", browser.token);
    let with = |changes: &[(&'static str, &str)]| {
        let mut headers = form_headers(&browser.cookie);
        headers.retain(|(name, _)| changes.iter().all(|(changed, _)| name != changed));
        headers
            .extend(changes.iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (*n, v.to_string())));
        headers
    };
    for (headers, body) in [
        (with(&[("origin", "http://evil.example")]), body.clone()),
        (with(&[("origin", "null")]), body.clone()),
        (with(&[("origin", "")]), body.clone()),
        (with(&[("sec-fetch-site", "cross-site")]), body.clone()),
        (with(&[("sec-fetch-site", "same-site")]), body.clone()),
        (with(&[]), "bucket=forged".to_owned()),
        (with(&[]), "token=00000000000000000000000000000000&bucket=forged".to_owned()),
        (with(&[("content-type", "text/plain")]), body.clone()),
    ] {
        let answer = send(&rig, "POST", "/buckets/new", &headers, &body).await;
        assert!(!(300..400).contains(&answer.status), "{} {headers:?}", answer.status);
    }
    assert_eq!(rig.signed(ROOT, "HEAD", "/forged", &[], b"").await.status, 404);
    assert_eq!(send(&rig, "POST", "/buckets/new", &with(&[]), &body).await.status, 303);
    assert_eq!(rig.signed(ROOT, "HEAD", "/forged", &[], b"").await.status, 200);
    // A script on another page of this origin can't fetch a page of the console.
    for to in ["empty", "script", "style", "worker"] {
        let headers = with(&[("sec-fetch-dest", to)]);
        assert_eq!(send(&rig, "GET", "/buckets", &headers, "").await.status, 403, "{to}");
    }
}

/// Inside the process, the console marks its own requests to the API in a way that no client can imitate. A request
/// from outside counts as unsigned, whatever its headers say.
#[tokio::test]
async fn nothing_off_a_wire_is_taken_for_the_consoles_own() {
    let rig = Rig::with(crate::rig::Choices { anonymous: false, ..Default::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    let browser = Browser::signed_in(&rig, ROOT).await;
    for (name, value) in [
        ("cookie", browser.cookie.as_str()),
        ("x-on-behalf", ROOT.0),
        ("on-behalf", ROOT.0),
        ("x-form-token", &browser.token),
        ("x-amz-user", ROOT.0),
        ("authorization", ROOT.0),
        ("user-agent", "stratum-console/0.1.0"),
    ] {
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/bucket"),
            ("PUT", "/bucket/key"),
            ("GET", "/_stratum/v1/status"),
            ("POST", "/?Action=ListUsers&Version=2010-05-08"),
        ] {
            let answer = rig.send(method, path, &[(name, value)], b"").await;
            assert!(answer.status >= 400, "{name} {method} {path}: {}", answer.status);
        }
    }
    // Parameters of a presigned URL in the address of a page are no signature. The page belongs to whoever is signed
    // in, and takes them for text.
    let presigned =
        format!("/b/bucket?prefix=X-Amz-Signature&X-Amz-Credential={}&X-Amz-Signature=00", ROOT.0);
    assert_eq!(browser.get(&presigned).await.status, 200);
    let headers = [("host", HOST.to_owned())];
    assert_eq!(send(&rig, "GET", &presigned, &headers, "").await.status, 303);
}

#[tokio::test]
async fn the_console_may_what_its_key_may() {
    let rig = Rig::start().await;
    assert_eq!(rig.signed(ROOT, "PUT", "/roots", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/roots/secret.txt", &[], b"for root").await.status, 200);
    let other = Browser::signed_in(&rig, OTHER).await;
    assert!(!other.get("/buckets").await.text().contains("roots"));
    assert_eq!(other.get("/b/roots").await.status, 403);
    assert_eq!(other.get("/b/roots/object?key=secret.txt").await.status, 403);
    assert_eq!(other.get("/b/roots/download?key=secret.txt").await.status, 403);
    assert_eq!(other.post("/b/roots/deleted", "key=secret.txt").await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/roots/secret.txt", &[], b"").await.text(), "for root");
    let root = Browser::signed_in(&rig, ROOT).await;
    assert!(root.get("/b/roots").await.text().contains("secret.txt"));
    assert_eq!(root.get("/b/roots/download?key=secret.txt").await.text(), "for root");
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_out_at_once() {
    let rig = Rig::with(crate::rig::Choices { age: crate::rig::Age::New, ..Default::default() }).await;
    let iam = async |form: &str| {
        let signer = crate::rig::Signer { key: ROOT, token: None, service: "iam" };
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let form = format!("{form}&Version=2010-05-08");
        rig.signed(signer, "POST", "/", &kind, form.as_bytes()).await
    };
    assert_eq!(iam("Action=CreateUser&UserName=ada").await.status, 200);
    let made = iam("Action=CreateAccessKey&UserName=ada").await;
    let (key, secret) = (made.element("AccessKeyId").unwrap(), made.element("SecretAccessKey").unwrap());
    let browser = Browser::signed_in(&rig, (&key, &secret)).await;
    assert_eq!(browser.get("/buckets/new").await.status, 200);
    let form = format!("Action=UpdateAccessKey&UserName=ada&AccessKeyId={key}&Status=Inactive");
    assert_eq!(iam(&form).await.status, 200);
    assert_eq!(browser.get("/buckets/new").await.status, 303);
    // The form that was sent too late isn't done. Its fields are kept on the sign-in page.
    let late = browser.post("/buckets/new", "bucket=late&versioning=yes").await;
    assert_eq!(late.status, 401);
    assert!(late.text().contains("bucket=late&amp;versioning=yes") && !late.text().contains(&browser.token));
    assert_eq!(sign_in(&rig, (&key, &secret)).await.status, 403);
}

#[tokio::test]
async fn a_group_is_filled_and_the_tester_says_what_its_members_may() {
    let rig = Rig::with(crate::rig::Choices { age: crate::rig::Age::New, ..Default::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    let root = Browser::signed_in(&rig, ROOT).await;
    let act = async |body: &str| assert_eq!(root.post("/people/act", body).await.status, 303, "{body}");
    act("what=new-user&user=ada").await;
    act("what=new-group&group=readers").await;
    act("what=attach&of=group&name=readers&policy=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Freadonly").await;
    let may = async |action: &str| {
        let question = format!("who=arn%3Aaws%3Aiam%3A%3Aroot%3Auser%2Fada&action={action}&key=k&source=");
        let page = root.post("/b/bucket/test-policy", &question).await.text();
        between(&page, "<strong>", "</strong>").unwrap_or(&page).trim().to_owned()
    };
    assert_eq!(may("s3%3AGetObject").await, "No.");
    assert!(root.get("/people/group?name=readers").await.text().contains("Nobody is in it"));
    act("what=join&of=group&name=readers&user=ada").await;
    assert!(root.get("/people/group?name=readers").await.text().contains("/people/user?name=ada"));
    assert_eq!((may("s3%3AGetObject").await, may("s3%3APutObject").await), ("Yes.".into(), "No.".into()));
    act("what=leave&of=group&name=readers&user=ada").await;
    assert_eq!(may("s3%3AGetObject").await, "No.");
    // The refusals are those of IAM itself.
    let other = Browser::signed_in(&rig, OTHER).await;
    assert_eq!(other.get("/people/group?name=readers").await.status, 404, "it is another account's");
    assert_eq!(other.post("/people/act", "what=leave&of=group&name=readers&user=ada").await.status, 404);
}

/// Objects have URLs at the console's origin. The pages therefore allow only scripts from the console's own path.
#[tokio::test]
async fn pages_run_nothing_that_an_object_could_be() {
    let rig = Rig::start().await;
    let policy_for = async |host: &str| {
        let page = send(&rig, "GET", "/sign-in", &[("host", host.to_owned())], "").await;
        page.header("content-security-policy").unwrap().to_owned()
    };
    assert!(policy_for(HOST).await.contains("script-src store.example:9000/_stratum/console/;"));
    for odd in ["[::1]:9000", "x;script-src *"] {
        let policy = policy_for(odd).await;
        assert!(policy.contains("script-src 'self';") && !policy.contains('*'), "{odd}: {policy}");
    }
}

#[tokio::test]
async fn a_form_that_came_too_late_is_kept_and_sent_again_by_hand() {
    let rig = Rig::start().await;
    let kept = "kept-action=%2F_stratum%2Fconsole%2Fbuckets%2Fnew&kept-fields=bucket%3Dkept%26lock%3Dyes";
    let body = format!("access-key={}&secret={}&{kept}", ROOT.0, ROOT.1);
    let answer = send(&rig, "POST", "/sign-in", &form_headers(""), &body).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(
        text.contains("action=\"/_stratum/console/buckets/new\"") && text.contains("value=\"kept\""),
        "{text}"
    );
    assert_eq!(rig.signed(ROOT, "HEAD", "/kept", &[], b"").await.status, 404);
    // A kept form can be sent only to pages of the console.
    for elsewhere in ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "%2F_stratum%2Fconsole.evil%2F"]
    {
        let kept = format!("kept-action={elsewhere}&kept-fields=a%3Db&to={elsewhere}");
        let body = format!("access-key={}&secret={}&{kept}", ROOT.0, ROOT.1);
        let answer = send(&rig, "POST", "/sign-in", &form_headers(""), &body).await;
        assert_eq!(answer.header("location"), Some("/_stratum/console/buckets"), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_browser_at_the_root_of_ours_is_led_to_the_console() {
    let rig = Rig::start().await;
    let lost = rig.send("GET", "/_stratum/", &[("accept", "text/html,*/*")], b"").await;
    assert_eq!((lost.status, lost.header("location")), (303, Some("/_stratum/console/buckets")));
    assert_eq!(rig.send("GET", "/_stratum/", &[], b"").await.status, 404);
    assert_eq!(rig.send("GET", "/_stratum/health/live", &[("accept", "text/html")], b"").await.status, 200);
}

/// Objects have URLs at the console's origin. An object that a browser would run is sandboxed, so that it has no
/// origin.
#[tokio::test]
async fn an_object_that_a_browser_would_run_gets_no_hold_of_the_console() {
    let rig = Rig::with_bucket().await;
    for (kind, is_shut) in [
        ("text/html", true),
        ("image/svg+xml", true),
        ("application/xhtml+xml; charset=utf-8", true),
        ("text/xml", true),
        ("nonsense", true),
        ("text/plain", false),
        ("image/png", false),
        ("application/json", false),
        ("application/pdf", false),
        ("binary/octet-stream", false),
    ] {
        let put = rig.send("PUT", "/bucket/page", &[("content-type", kind)], b"<script>x</script>").await;
        assert_eq!(put.status, 200);
        let page = rig.send("GET", "/bucket/page", &[], b"").await;
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert_eq!(policy.starts_with("sandbox"), is_shut, "{kind}: {policy}");
    }
    let browser = Browser::signed_in(&rig, ROOT).await;
    let preview = browser.get("/b/bucket/preview?key=page").await;
    assert!(preview.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(preview.header("content-security-policy").unwrap().starts_with("sandbox"));
    assert_eq!(preview.header("content-type"), Some("application/octet-stream"));
}

/// Signing out ends the session for every copy of its cookie, and ends no other session.
#[tokio::test]
async fn who_signs_out_takes_a_copy_of_the_cookie_with_them() {
    let rig = Rig::start().await;
    let root = async || Browser::signed_in(&rig, ROOT).await;
    let is_in = async |browser: &Browser<'_>| browser.get("/buckets/new").await.status == 200;
    let (gone, stays, other) = (root().await, root().await, Browser::signed_in(&rig, OTHER).await);
    // Neither a request without a cookie nor a form of another session ends a session.
    assert_eq!(send(&rig, "POST", "/sign-out", &form_headers(""), "").await.status, 401);
    let forged = format!("token={}", other.token);
    send(&rig, "POST", "/sign-out", &form_headers(&gone.cookie), &forged).await;
    assert!(is_in(&gone).await);

    let answer = gone.post("/sign-out", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/_stratum/console/sign-in")));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(!is_in(&gone).await && is_in(&stays).await && is_in(&other).await);
    // A form of the ended session is kept to be sent again, and not done.
    assert_eq!(gone.post("/buckets/new", "bucket=late").await.status, 401);
    assert_eq!(rig.signed(ROOT, "HEAD", "/late", &[], b"").await.status, 404);

    let also = root().await;
    assert_eq!(stays.post("/sign-out", "of=mine").await.status, 303);
    assert!(!is_in(&stays).await && !is_in(&also).await && is_in(&other).await);
    // A session that begins in the same moment as another differs from it.
    let anew = root().await;
    assert!(is_in(&anew).await);
    assert_eq!(other.post("/sign-out", "of=everybody").await.status, 400, "that is the operator's");
    assert!(is_in(&anew).await && is_in(&other).await);
    assert_eq!(anew.post("/sign-out", "of=everybody").await.status, 303);
    assert!(!is_in(&anew).await && !is_in(&other).await);
    assert!(is_in(&root().await).await);
}

/// Anybody may ask for any number of temporary credentials. Signing out ends only the one session, never all sessions
/// of the role.
#[tokio::test]
async fn a_session_of_a_role_is_signed_out_alone() {
    let rig = Rig::with(crate::rig::Choices { age: crate::rig::Age::New, ..Default::default() }).await;
    let ada = crate::iam::user(&rig, "ada").await;
    let role = crate::iam::session(&rig, "keeper", &ada, r#"{"AWS":"arn:aws:iam::root:user/ada"}"#).await;
    let encoded = |text: &str| text.replace('%', "%25").replace('+', "%2B").replace('/', "%2F");
    let token = encoded(role.token.as_deref().unwrap());
    let body = format!("access-key={}&secret={}&session-token={token}", role.key, encoded(&role.secret));
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let answer = send(&rig, "POST", "/sign-in", &form_headers(""), &body).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        cookies.push(answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned());
    }
    let page = async |cookie: &String| {
        send(&rig, "GET", "/sessions", &[("host", HOST.to_owned()), ("cookie", cookie.clone())], "").await
    };
    let shown = page(&cookies[0]).await.text();
    assert!(shown.contains("a session of a role") && !shown.contains("End all"), "{shown}");
    let token = between(&shown, "name=\"token\" value=\"", "\"").unwrap();
    let sign_out = async |of: &str| {
        send(&rig, "POST", "/sign-out", &form_headers(&cookies[0]), &format!("token={token}{of}"))
            .await
            .status
    };
    assert_eq!(sign_out("&of=mine").await, 400);
    assert_eq!(sign_out("").await, 303);
    assert_eq!((page(&cookies[0]).await.status, page(&cookies[1]).await.status), (303, 200));
}
