//! Cross-origin requests: the rules of a bucket, preflights, and the headers of ordinary answers.

use crate::client::Client;
use crate::rig::{Age, Choices};

const RULES: &str = "<CORSConfiguration>\
    <CORSRule><AllowedOrigin>https://*.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>";
const ORIGIN: (&str, &str) = ("origin", "https://a.example");
const OTHER: (&str, &str) = ("origin", "https://a.test");
const PUT: (&str, &str) = ("access-control-request-method", "PUT");

async fn with_rules() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket?cors", RULES).await.expect(200);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_as_they_are_put() {
    let client = with_rules().await;
    let told = client.get("/bucket?cors").await.expect(200);
    assert_eq!(told.elements("AllowedMethod"), ["GET", "PUT"]);
    assert_eq!(told.element("MaxAgeSeconds").as_deref(), Some("60"));
    let wrong = RULES.replace("PUT", "PATCH");
    client.put("/bucket?cors", wrong).await.refused(400, "InvalidRequest");
    client.put("/bucket?cors", "<CORSConfiguration/>").await.refused(400, "MalformedXML");
    assert_eq!(client.get("/bucket?cors").await.elements("AllowedMethod"), ["GET", "PUT"]);
    client.delete("/bucket?cors").await.expect(204);
    client.get("/bucket?cors").await.refused(404, "NoSuchCORSConfiguration");
    client.delete("/bucket?cors").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_signature_and_tells_no_more_than_the_rules() {
    let client = with_rules().await;
    let headers = [ORIGIN, PUT, ("access-control-request-headers", "X-Amz-Date")];
    for target in ["/bucket/a", "/bucket", "/bucket/a?partNumber=1&uploadId=x"] {
        let answer = client.send("OPTIONS", target, &headers, "").await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1));
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("x-amz-date"));
        assert_eq!(answer.header("access-control-max-age"), Some("60"));
    }
    let delete = ("access-control-request-method", "DELETE");
    let content = ("access-control-request-headers", "content-type");
    for (target, headers) in [
        ("/bucket/a", vec![OTHER, PUT]),
        ("/bucket/a", vec![ORIGIN, delete]),
        ("/bucket/a", vec![ORIGIN, PUT, content]),
        ("/nowhere/a", vec![ORIGIN, PUT]),
        ("/", vec![ORIGIN, PUT]),
    ] {
        client.send("OPTIONS", target, &headers, "").await.refused(403, "AccessForbidden");
    }
    client.send("OPTIONS", "/bucket/a", &[PUT], "").await.refused(400, "BadRequest");
    client.send("OPTIONS", "/bucket/a", &[ORIGIN], "").await.refused(400, "BadRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_whose_page_may_see_it() {
    let client = with_rules().await;
    client.put("/bucket/a", "x").await.expect(200);
    for (method, target, status) in
        [("GET", "/bucket/a", 200), ("PUT", "/bucket/a", 200), ("GET", "/bucket/none", 404)]
    {
        let answer = client.send(method, target, &[ORIGIN], "").await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1), "{method} {target}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("ETag"));
        assert!(answer.header("vary").is_some_and(|vary| vary.starts_with("Origin")));
        let other = client.send(method, target, &[OTHER], "").await.expect(status);
        assert_eq!(other.header("access-control-allow-origin"), None);
        let same = client.send(method, target, &[], "").await.expect(status);
        assert_eq!(same.header("access-control-allow-origin"), None);
    }
    let deleted = client.send("DELETE", "/bucket/a", &[ORIGIN], "").await.expect(204);
    assert_eq!(deleted.header("access-control-allow-origin"), None);
    // New rules are in force at once.
    client.put("/bucket?cors", RULES.replace("https://*.example", "*")).await.expect(200);
    let answer = client.send("GET", "/bucket", &[OTHER], "").await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
