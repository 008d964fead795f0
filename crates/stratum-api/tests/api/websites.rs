//! Static websites of buckets, as browsers see them.

use crate::client::Client;
use crate::rig::{Age, Answer, Choices, ROOT};

const SITE: &str = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>\
    <ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules>\
    <RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>\
    <Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule>\
    <RoutingRule><Condition><KeyPrefixEquals>gone/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>\
    </Condition><Redirect><Protocol>https</Protocol><HostName>archive.example.com</HostName></Redirect></RoutingRule>\
    </RoutingRules></WebsiteConfiguration>";

const POLICY: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
    "Resource": ["arn:aws:s3:::site", "arn:aws:s3:::site/*"]}]}"#;

async fn client() -> Client {
    let client = Client::with(Choices {
        age: Age::New,
        anonymous: false,
        domains: vec!["s3.example.com".into()],
        website_domain: Some("web.example.com".into()),
        ..Choices::default()
    })
    .await;
    owner(&client, "PUT", "/site", &[], "").await;
    owner(&client, "PUT", "/site?policy", &[], POLICY).await;
    client
}

async fn owner(client: &Client, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let answer = client.rig.signed(ROOT, method, target, headers, body.as_bytes()).await;
    assert!((200..300).contains(&answer.status), "{}{}", answer.head, answer.text());
    answer
}

async fn visit(client: &Client, method: &str, path: &str) -> Answer {
    client.rig.send(method, path, &[("host", "site.web.example.com:9000")], b"").await
}

/// A server whose bucket `site` is a website with some pages.
async fn with_pages() -> Client {
    let client = client().await;
    owner(&client, "PUT", "/site?website", &[], SITE).await;
    let html = [("content-type", "text/html")];
    for (key, text) in
        [("index.html", "home"), ("docs/index.html", "docs"), ("error.html", "sorry"), ("a%20page", "page")]
    {
        owner(&client, "PUT", &format!("/site/{key}"), &html, text).await;
    }
    let redirect = [("x-amz-website-redirect-location", "/docs/?from=moved")];
    owner(&client, "PUT", "/site/moved", &redirect, "").await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_kept_and_comes_back() {
    let client = client().await;
    let refused = client.rig.signed(ROOT, "GET", "/site?website", &[], b"").await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "NoSuchWebsiteConfiguration"));
    assert_eq!(visit(&client, "GET", "/").await.status, 404);
    owner(&client, "PUT", "/site?website", &[], SITE).await;
    let told = owner(&client, "GET", "/site?website", &[], "").await;
    assert_eq!(told.element("Suffix").as_deref(), Some("index.html"));
    assert_eq!(told.element("HttpRedirectCode").as_deref(), Some("302"));
    let wrong = client.rig.signed(ROOT, "PUT", "/site?website", &[], b"<WebsiteConfiguration/>").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "InvalidArgument"));
    owner(&client, "DELETE", "/site?website", &[], "").await;
    assert_eq!(
        visit(&client, "GET", "/").await.header("x-amz-error-code"),
        Some("NoSuchWebsiteConfiguration")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_indexes_and_errors_are_served_to_anybody() {
    let client = with_pages().await;
    for (path, text) in
        [("/", "home"), ("/index.html", "home"), ("/docs/", "docs"), ("/a%20page?x=y", "page")]
    {
        let page = visit(&client, "GET", path).await;
        assert_eq!((page.status, page.text().as_str()), (200, text), "{path}: {}", page.head);
        assert_eq!(page.header("content-type"), Some("text/html"));
    }
    assert_eq!(
        (visit(&client, "HEAD", "/").await.status, visit(&client, "HEAD", "/x").await.status),
        (200, 404)
    );
    let folder = visit(&client, "GET", "/docs").await;
    assert_eq!((folder.status, folder.header("location")), (302, Some("/docs/")));
    let absent = visit(&client, "GET", "/absent").await;
    assert_eq!((absent.status, absent.text().as_str()), (404, "sorry"), "{}", absent.head);
    assert_eq!(absent.header("x-amz-error-code"), Some("NoSuchKey"));
    for method in ["PUT", "POST", "DELETE"] {
        let refused = visit(&client, method, "/index.html").await;
        assert_eq!(refused.status, 405);
        assert!(refused.text().starts_with("<!DOCTYPE html>"), "{}", refused.text());
    }
    let etag = visit(&client, "GET", "/").await.header("etag").unwrap().to_owned();
    let host = ("host", "site.web.example.com");
    assert_eq!(client.rig.send("GET", "/", &[host, ("if-none-match", &etag)], b"").await.status, 304);
    let lines = [host, ("if-none-match", "\"other\""), ("if-none-match", &etag)];
    assert_eq!(client.rig.send("GET", "/", &lines, b"").await.status, 304);
    let part = client.rig.send("GET", "/", &[host, ("range", "bytes=1-2")], b"").await;
    assert_eq!((part.status, part.text().as_str()), (206, "om"));
    // The bucket's host in S3's own domain answers as S3, not as a website.
    let s3 = client.rig.send("GET", "/docs", &[("host", "site.s3.example.com")], b"").await;
    assert_eq!((s3.status, s3.code().as_str()), (404, "NoSuchKey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_objects_lead_elsewhere() {
    let client = with_pages().await;
    let leads = async |path: &str| {
        let answer = visit(&client, "GET", path).await;
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(leads("/old/a%20b").await, (302, "http://site.web.example.com:9000/new/a%20b".into()));
    assert_eq!(leads("/gone/x").await, (301, "https://archive.example.com/gone/x".into()));
    assert_eq!(leads("/moved").await, (301, "/docs/?from=moved".into()));
    let all = "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>example.org</HostName><Protocol>https</Protocol>\
        </RedirectAllRequestsTo></WebsiteConfiguration>";
    owner(&client, "PUT", "/site?website", &[], all).await;
    assert_eq!(leads("/a/b").await, (301, "https://example.org/a/b".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_may_read_is_not_served() {
    let client = with_pages().await;
    owner(&client, "DELETE", "/site?policy", &[], "").await;
    let refused = visit(&client, "GET", "/index.html").await;
    assert_eq!((refused.status, refused.header("x-amz-error-code")), (403, Some("AccessDenied")));
    assert!(!refused.text().contains("sorry"), "nor is the page of errors");
    // A website doesn't look at signatures: it serves only what anybody may read.
    let head = [("host", "site.web.example.com"), ("authorization", "AWS4-HMAC-SHA256 nonsense")];
    assert_eq!(client.rig.send("GET", "/index.html", &head, b"").await.status, 403);
    assert_eq!(client.rig.send("GET", "/", &[("host", "other.web.example.com")], b"").await.status, 404);
}
