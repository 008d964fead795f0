//! Pages over a door with scripted answers: which requests they send, and that nothing of the answers' texts has a
//! meaning to a browser.

use axum::Router;
use axum::body::Body;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use stratum_cipher::DataKey;
use stratum_console::{Answering, Door, Holder, Holds, Key, Link, SessionKeeper, Via, Who};
use tower_service::Service;

/// Names that have a meaning in HTML, addresses, headers or XML.
const HOSTILE: [&str; 14] = [
    "\"><script>alert(1)</script>",
    "'onmouseover='alert(1)",
    "</textarea><img src=x onerror=alert(1)>",
    "a?b=c&d#e",
    "100%/%2e%2e/%00",
    "/leading//double/",
    "../../etc/passwd",
    ".",
    "line\nbreak\r\ttab",
    "javascript:alert(1)",
    "&lt;b&gt;&amp;",
    "{{7*7}}${7*7}",
    "\u{202e}txt.exe",
    "\u{1}\u{7f}\u{feff}",
];

/// A door that answers by a function, and remembers the requests.
struct Script<F> {
    answer: F,
    asked: Mutex<Vec<String>>,
    /// Whose every key is.
    who: Arc<Mutex<Who>>,
    sessions: Arc<Kept>,
    monotonic: Arc<AtomicU64>,
}

/// Keeps what has ended of sessions in memory, and refuses to while `is_full`.
#[derive(Debug, Default)]
struct Kept {
    ended: Mutex<Vec<u8>>,
    is_full: AtomicBool,
}

impl SessionKeeper for Kept {
    fn key(&self) -> DataKey {
        DataKey::new([7; 32])
    }

    fn ended(&self) -> Vec<u8> {
        self.ended.lock().unwrap().clone()
    }

    fn keep(&self, ended: &[u8]) -> Result<(), String> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err("no space is left".into());
        }
        *self.ended.lock().unwrap() = ended.to_vec();
        Ok(())
    }
}

fn root() -> Who {
    let holder = Holder { account: "root".into(), id: "root".into(), is_role: false };
    Who { name: "<b>root</b>".into(), operates: true, holder, secret_mark: "of the first secret".into() }
}

impl<F: Fn(&str, &str) -> Response<Body> + Send + Sync + 'static> Door for Script<F> {
    fn sign_in<'a>(&'a self, _: &'a Key, secret: &'a str) -> Answering<'a, Result<Option<Who>, String>> {
        let who = (secret == "secret").then(|| self.who.lock().unwrap().clone());
        Box::pin(async move { Ok(who) })
    }

    fn who<'a>(&'a self, _: &'a Key) -> Answering<'a, Result<Option<Who>, String>> {
        let who = self.who.lock().unwrap().clone();
        Box::pin(async { Ok(Some(who)) })
    }

    fn send<'a>(&'a self, key: &'a Key, _: &'a Via, request: Request<Body>) -> Answering<'a, Response<Body>> {
        assert_eq!(key.access_key, "AKIA");
        let (head, body) = request.into_parts();
        Box::pin(async move {
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let (line, body) = (format!("{} {}", head.method, head.uri), String::from_utf8_lossy(&body));
            self.asked.lock().unwrap().push(format!("{line} {body}").trim().to_owned());
            (self.answer)(&line, &body)
        })
    }

    fn presign<'a>(&'a self, _: &'a Key, link: &'a Link<'a>) -> Answering<'a, Option<String>> {
        Box::pin(async move { Some(format!("{}?{}&X-Amz-Signature=0", link.path, link.query)) })
    }

    fn sessions(&self) -> Arc<dyn SessionKeeper> {
        self.sessions.clone()
    }

    fn webhooks(&self) -> Vec<String> {
        vec!["ci".into(), HOSTILE[0].into()]
    }

    /// The clock was set back by as much as time has passed.
    fn now(&self) -> u64 {
        1_795_961_109_000 - self.monotonic()
    }

    fn monotonic(&self) -> u64 {
        self.monotonic.load(Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A browser that is signed in to the console.
struct Browser {
    routes: Router,
    cookie: String,
    asked: Arc<dyn Fn() -> Vec<String>>,
    who: Arc<Mutex<Who>>,
    sessions: Arc<Kept>,
    /// Milliseconds.
    monotonic: Arc<AtomicU64>,
}

struct Page {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

async fn send(routes: &Router, request: http::request::Builder, body: String) -> Page {
    let mut request = request.header("host", "store").body(Body::from(body)).unwrap();
    request.extensions_mut().insert(SocketAddr::from(([127, 0, 0, 1], 1)));
    request.extensions_mut().insert(Scheme::HTTP);
    let response = routes.clone().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Page { status: head.status, headers: head.headers, text }
}

impl Browser {
    async fn of(answer: impl Fn(&str) -> Response<Body> + Send + Sync + 'static) -> Browser {
        Browser::asked_with(move |asked, _| answer(asked)).await
    }

    /// A browser whose store sees the bodies of requests, too.
    async fn asked_with(answer: impl Fn(&str, &str) -> Response<Body> + Send + Sync + 'static) -> Browser {
        let sessions = Arc::new(Kept::default());
        let monotonic = Arc::new(AtomicU64::new(5));
        let (asked, kept) = (Mutex::default(), sessions.clone());
        let who = Arc::new(Mutex::new(root()));
        let (of_script, since) = (who.clone(), monotonic.clone());
        let script = Arc::new(Script { answer, asked, who: of_script, sessions: kept, monotonic: since });
        let routes = stratum_console::routes(script.clone());
        let post = form("/sign-in", "");
        let page = send(&routes, post, "access-key=AKIA&secret=secret".into()).await;
        let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let asked = Arc::new(move || std::mem::take(&mut *script.asked.lock().unwrap()));
        Browser { routes, cookie, asked, who, sessions, monotonic }
    }

    async fn get(&self, path: &str) -> Page {
        let uri = format!("/_stratum/console{path}");
        let request = Request::get(uri).header("cookie", &self.cookie);
        send(&self.routes, request, String::new()).await
    }

    /// Sends a form as the console's pages do, with its token.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = "07".repeat(16);
        let all = [("token", token.as_str())].into_iter().chain(fields.iter().copied());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        send(&self.routes, form(path, &self.cookie), body).await
    }
}

fn form(path: &str, cookie: &str) -> http::request::Builder {
    Request::post(format!("/_stratum/console{path}"))
        .header("cookie", cookie)
        .header("origin", "http://store")
        .header("content-type", "application/x-www-form-urlencoded")
}

fn xml(text: String) -> Response<Body> {
    Response::new(Body::from(text))
}

fn refused(status: u16, code: &str, message: &str) -> Response<Body> {
    let message = quick_xml::escape::escape(message);
    let text =
        format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>");
    Response::builder().status(status).body(Body::from(text)).unwrap()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The tags of a page with their attributes, as a browser reads them.
fn tags(mut text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let mut tags = Vec::new();
    while let Some((_, rest)) = text.split_once('<') {
        text = rest;
        if !rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
            continue;
        }
        let name_end = rest.find([' ', '>', '/']).unwrap();
        let (name, mut inside) = rest.split_at(name_end);
        let mut attributes = Vec::new();
        loop {
            inside = inside.trim_start_matches([' ', '/', '\n']);
            if let Some(rest) = inside.strip_prefix('>') {
                text = rest;
                break;
            }
            let end = inside.find([' ', '>', '=', '/']).unwrap();
            let attribute = &inside[..end];
            inside = &inside[end..];
            let value = match inside.strip_prefix("=\"") {
                Some(quoted) => {
                    let (value, rest) = quoted.split_once('"').unwrap();
                    inside = rest;
                    value
                }
                None => "",
            };
            attributes.push((attribute, value));
        }
        tags.push((name, attributes));
    }
    tags
}

/// Asserts that no name became markup: every tag is of a kind that the pages write, and no attribute holds a script
/// or leads elsewhere.
fn assert_tame(page: &Page, what: &str) {
    const OURS: [&str; 60] = [
        "a",
        "audio",
        "body",
        "button",
        "caption",
        "code",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "fieldset",
        "figcaption",
        "figure",
        "form",
        "h1",
        "h2",
        "head",
        "header",
        "html",
        "iframe",
        "img",
        "input",
        "label",
        "legend",
        "li",
        "line",
        "link",
        "main",
        "meta",
        "nav",
        "noscript",
        "ol",
        "option",
        "p",
        "path",
        "pre",
        "rect",
        "circle",
        "script",
        "section",
        "select",
        "span",
        "strong",
        "summary",
        "svg",
        "table",
        "tbody",
        "td",
        "text",
        "textarea",
        "th",
        "thead",
        "time",
        "title",
        "tr",
        "ul",
        "video",
        "g",
    ];
    for (name, attributes) in tags(&page.text) {
        assert!(OURS.contains(&name), "{what}: <{name}> in {}", page.text);
        for (attribute, value) in &attributes {
            let runs = attribute.starts_with("on") || ["style", "srcdoc", "formaction"].contains(attribute);
            assert!(!runs, "{what}: {attribute} of <{name}> in {}", page.text);
            let leads = ["href", "src", "action"].contains(attribute);
            assert!(!leads || value.starts_with("/_stratum/console") || *value == "#main", "{what}: {value}");
        }
        let is_asset = attributes.iter().any(|(name, value)| *name == "src" && value.contains("/assets/"));
        assert!(name != "script" || is_asset, "{what}: a script in {}", page.text);
    }
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}

fn listing() -> String {
    let mut text = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>\"&gt;&lt;</NextContinuationToken>".to_owned();
    for name in HOSTILE {
        let key = encoded(name);
        text += &format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-29T14:05:09.000Z</LastModified><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    for key in HOSTILE.map(encoded) {
        text += &format!("<CommonPrefixes><Prefix>{key}%2F</Prefix></CommonPrefixes>");
    }
    text + "</ListBucketResult>"
}

#[tokio::test]
async fn names_stay_text_whatever_they_hold() {
    let browser = Browser::of(|asked| match asked {
        asked if asked.contains("list-type") => xml(listing()),
        asked if asked.contains("versioning") => xml("<VersioningConfiguration/>".into()),
        asked if asked.starts_with("GET /?") => {
            xml("<ListAllMyBucketsResult><Buckets><Bucket><Name>&lt;script&gt;</Name></Bucket></Buckets></ListAllMyBucketsResult>".into())
        }
        _ => refused(403, "AccessDenied", "<script>alert(1)</script>"),
    })
    .await;
    for path in [
        "/buckets",
        "/b/media",
        "/b/media?prefix=%22%3E%3Cscript%3E&begins=%22%3E%3Cscript%3E",
        "/b/%3Cscript%3E",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert_tame(&page, path);
        assert!(page.text.len() < 100_000, "{path}: {} bytes", page.text.len());
    }
    let page = browser.get("/b/media").await;
    // Each name links to the object of that very name.
    for name in HOSTILE {
        let link = format!("/b/media/object?key={}", names_in_query(name));
        assert!(page.text.contains(&link), "{link} in {}", page.text);
    }
    for path in [
        "/b/media/object?key=%22%3E%3Cscript%3E",
        "/b/media/settings",
        "/b/media/settings/policy",
        "/nothing/here",
    ] {
        let page = browser.get(path).await;
        assert!(page.status.is_client_error() || page.status == StatusCode::OK, "{path}");
        assert_tame(&page, path);
    }
}

#[tokio::test]
async fn a_page_of_long_names_has_fewer_rows() {
    // Letters of two bytes, and characters that are long in HTML; all names long, or only the first twenty.
    for (letter, letters) in [("%C3%A4", 500), ("%22", 1_000), ("%26", 1_000), ("%01", 1_000), ("a", 1_000)] {
        for long in [100, 20] {
            let browser = Browser::of(move |asked| match asked.split("max-keys=").nth(1) {
                Some(most) => {
                    let most: usize = most.split(['&', ' ']).next().unwrap().parse().unwrap();
                    let name =
                        |at: usize| if at < long { letter.repeat(letters) } else { "%F0%9F%98%80".into() };
                    let keys = (0..most).map(|at| {
                        format!("<Contents><Key>{}{at:03}</Key><Size>1</Size></Contents>", name(at))
                    });
                    let keys: String = keys.collect();
                    xml(format!("<ListBucketResult><IsTruncated>true</IsTruncated>{keys}</ListBucketResult>"))
                }
                None => xml("<VersioningConfiguration/>".into()),
            })
            .await;
            let page = browser.get("/b/media").await;
            let (rows, size) = (page.text.matches("type=\"checkbox\"").count(), page.text.len());
            assert!(
                size < 100_000 && (2..50).contains(&rows),
                "{letter}, {long}: {rows} rows of {size} bytes"
            );
        }
    }
}

/// As `names::query` writes it.
fn names_in_query(name: &str) -> String {
    encoded(name).replace("%2D", "-").replace("%5F", "_").replace("%2E", ".").replace("%7E", "~")
}

#[tokio::test]
async fn an_object_is_requested_by_its_exact_key() {
    let browser = Browser::of(|_| refused(404, "NoSuchKey", "It isn't there.")).await;
    for name in HOSTILE {
        (browser.asked)();
        let page = browser.get(&format!("/b/media/download?key={}", encoded(name))).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert_tame(&page, name);
        let asked = (browser.asked)();
        let path = asked[0].strip_prefix("GET /media/").unwrap();
        let sent = percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned();
        assert_eq!(sent, name);
        assert!(!path.contains('?') && !path.contains('#'), "{path}");
    }
}

#[tokio::test]
async fn no_browser_runs_anything_of_an_objects_bytes() {
    let browser = Browser::of(|_| {
        Response::builder()
            .header("content-type", "text/html")
            .header("content-disposition", "inline")
            .header("set-cookie", "stratum-console=owned")
            .header("content-security-policy", "default-src *")
            .header("x-amz-meta-a", "b")
            .body(Body::from("<script>alert(1)</script>"))
            .unwrap()
    })
    .await;
    for name in HOSTILE {
        for page in ["download", "preview"] {
            let page = browser.get(&format!("/b/media/{page}?key={}", encoded(name))).await;
            let header = |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header("content-type").as_deref(), Some("application/octet-stream"));
            assert!(header("content-disposition").unwrap().starts_with("attachment; filename*=UTF-8''"));
            assert!(header("content-security-policy").unwrap().starts_with("sandbox; default-src 'none'"));
            assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
            assert_eq!((header("set-cookie"), header("x-amz-meta-a")), (None, None));
        }
    }
}

#[tokio::test]
async fn what_was_chosen_is_deleted_and_nothing_else() {
    let browser = Browser::of(|asked| match asked {
        asked if asked.contains("versioning") => {
            xml("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".into())
        }
        asked if asked.contains("?delete") => xml("<DeleteResult/>".into()),
        asked if asked.contains("list-type") => xml(listing()),
        _ => Response::builder().status(204).body(Body::empty()).unwrap(),
    })
    .await;
    for name in HOSTILE {
        let page = browser.post("/b/media/delete", &[("key", name)]).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_tame(&page, name);
        assert!(page.text.contains("keeps versions"));
        (browser.asked)();
        let page = browser.post("/b/media/deleted", &[("key", name)]).await;
        assert_eq!(page.headers["location"], "/_stratum/console/b/media?deleted=1", "{}", page.text);
        let asked = (browser.asked)();
        assert_eq!(asked.len(), 1);
        let whole = match asked[0].split_once("<Key>") {
            Some((_, rest)) => {
                quick_xml::escape::unescape(rest.split("</Key>").next().unwrap()).unwrap().into_owned()
            }
            // A key that XML can't carry is deleted by its path.
            None => percent_encoding::percent_decode_str(asked[0].strip_prefix("DELETE /media/").unwrap())
                .decode_utf8()
                .unwrap()
                .into_owned(),
        };
        assert_eq!(whole, name);
    }
    // An address to go back to that isn't this bucket's page is ignored.
    for back in [
        "https://evil.example/",
        "/_stratum/console/b/media2",
        "/_stratum/console/b/media/../../../../media/page.html",
        "/_stratum/console/b/media/%2e%2e/%2E%2e/%2e%2e/%2e%2e/media/page.html",
    ] {
        let page = browser.post("/b/media/deleted", &[("key", "a"), ("back", back)]).await;
        assert_eq!(page.headers["location"], "/_stratum/console/b/media?deleted=1", "{back}");
    }
}

#[tokio::test]
async fn signing_in_leads_to_a_page_of_the_console_and_nowhere_else() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    for (to, led) in [
        ("/_stratum/console/b/media?prefix=a%2F", "/_stratum/console/b/media?prefix=a%2F"),
        ("/_stratum/console/../../media/page.html", "/_stratum/console/buckets"),
        ("/_stratum/console/%2e%2e/.%2E/media/page.html", "/_stratum/console/buckets"),
        ("//evil.example/", "/_stratum/console/buckets"),
    ] {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("access-key", "AKIA"), ("secret", "secret"), ("to", to)])
            .finish();
        let page = send(&browser.routes, form("/sign-in", ""), body).await;
        assert_eq!(page.headers["location"], led, "{to}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nobody_wait_for_longer() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    let attempt = async || {
        let body = "access-key=AKIA&secret=wrong".into();
        send(&browser.routes, form("/sign-in", ""), body).await.status
    };
    while attempt().await == StatusCode::FORBIDDEN {}
    assert_eq!(attempt().await, StatusCode::TOO_MANY_REQUESTS);
    browser.monotonic.fetch_add(5 * 60 * 1_000, Ordering::Relaxed);
    assert_eq!(attempt().await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_name_that_is_searched_for_is_found_and_only_the_folder_itself_is_left_out() {
    let object = |key: &str, size: u64| {
        format!("<Key>{key}</Key><LastModified>2026-11-29T14:05:09.000Z</LastModified><Size>{size}</Size>")
    };
    let (folder, exact) = (object("in%2F", 0), object("in%2Fnote", 1));
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("list-type") => xml(format!(
            "<ListBucketResult><Contents>{folder}</Contents><Contents>{exact}</Contents></ListBucketResult>"
        )),
        asked if asked.contains("?versions") => xml(format!(
            "<ListVersionsResult><Version>{folder}</Version><Version>{exact}</Version></ListVersionsResult>"
        )),
        _ => xml("<VersioningConfiguration/>".into()),
    })
    .await;
    for show in ["", "&show=versions"] {
        let page = browser.get(&format!("/b/media?prefix=in%2F&begins=note{show}")).await;
        assert!(page.text.contains("object?key=in%2Fnote"), "{}", page.text);
        assert!(
            !page.text.contains("object?key=in%2F\"") && !page.text.contains("object?key=in%2F&"),
            "{}",
            page.text
        );
        let asked = (browser.asked)();
        assert!(asked.iter().any(|asked| asked.contains("prefix=in%2Fnote")), "{asked:?}");
    }
}

#[tokio::test]
async fn pages_within_many_folders_link_to_some_of_them() {
    let deep = "%C3%A4/".repeat(340);
    let key = deep.replace('/', "%2F");
    let browser = Browser::of(move |asked| match asked.split("max-keys=").nth(1) {
        _ if asked.starts_with("HEAD") => Response::new(Body::empty()),
        Some(most) if asked.contains("?versions") => {
            let most: usize = most.split(['&', ' ']).next().unwrap().parse().unwrap();
            let version = |id| format!("<Version><Key>{key}k</Key><VersionId>{id:032}</VersionId></Version>");
            let versions: String = (0..most).map(version).collect();
            xml(format!("<ListVersionsResult><IsTruncated>true</IsTruncated>{versions}</ListVersionsResult>"))
        }
        _ => xml("<ListBucketResult/>".into()),
    })
    .await;
    for path in [format!("/b/media?prefix={deep}"), format!("/b/media/object?key={deep}k")] {
        let page = browser.get(&path).await;
        assert!(page.status == StatusCode::OK && page.text.len() < 100_000, "{} bytes", page.text.len());
        assert!(page.text.contains("..."), "{}", page.text);
    }
}

#[tokio::test]
async fn an_object_that_holds_something_is_listed_though_its_name_is_that_of_a_folder() {
    let browser = Browser::of(|asked| match asked {
        asked if asked.contains("list-type") => {
            xml("<ListBucketResult><Contents><Key>in%2F</Key><Size>14</Size></Contents></ListBucketResult>"
                .into())
        }
        _ => xml("<VersioningConfiguration/>".into()),
    })
    .await;
    let page = browser.get("/b/media?prefix=in%2F").await;
    assert!(page.text.contains("object?key=in%2F\""), "{}", page.text);
}

#[tokio::test]
async fn a_document_is_shown_to_be_edited_with_its_text_as_it_is() {
    let set = "<LifecycleConfiguration><Rule><Filter><Prefix>  a &amp; b</Prefix></Filter></Rule></LifecycleConfiguration>";
    let browser = Browser::of(move |_| xml(set.into())).await;
    let page = browser.get("/b/media/settings/lifecycle").await;
    let shown = "\n      &lt;Prefix&gt;  a &amp;amp; b&lt;/Prefix&gt;\n    &lt;/Filter&gt;";
    assert!(page.text.contains(shown), "{}", page.text);
}

#[tokio::test]
async fn an_archive_that_fails_does_not_end_as_a_whole_one() {
    let object = |key: &str| format!("<Contents><Key>{key}</Key><Size>4</Size></Contents>");
    let list = format!("<ListBucketResult>{}{}</ListBucketResult>", object("a"), object("b"));
    let of = |is_whole: bool| {
        let list = list.clone();
        Browser::of(move |asked| match asked {
            asked if asked.contains("list-type") => xml(list.clone()),
            asked if asked.contains("/media/b") && !is_whole => refused(403, "AccessDenied", "no"),
            _ => xml("text".into()),
        })
    };
    for is_whole in [true, false] {
        let browser = of(is_whole).await;
        let request = Request::get("/_stratum/console/b/media/zip").header("cookie", &browser.cookie);
        let mut request = request.header("host", "store").body(Body::empty()).unwrap();
        request.extensions_mut().insert(SocketAddr::from(([127, 0, 0, 1], 1)));
        request.extensions_mut().insert(Scheme::HTTP);
        let response = browser.routes.clone().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let held = response.extensions().get::<Holds>().expect("its names are counted").0;
        assert!(held > 1000, "{held}");
        assert_eq!(response.into_body().collect().await.is_ok(), is_whole);
    }
}

#[tokio::test]
async fn lists_that_are_cut_say_so_and_let_what_they_lack_be_entered() {
    let cut = |action: &str, list: &str, item: &str| {
        format!(
            "<{action}Response><{action}Result><{list}><member>{item}</member></{list}><IsTruncated>true</IsTruncated>\
             </{action}Result></{action}Response>"
        )
    };
    let answers = move |body: &str| {
        let policy = "<PolicyName>p</PolicyName><Arn>arn:p</Arn>";
        let user = "<UserName>ada</UserName><Arn>arn:ada</Arn>";
        match body.split('&').next().unwrap_or_default() {
            "Action=ListUsers" => cut("ListUsers", "Users", user),
            "Action=ListGroups" => cut("ListGroups", "Groups", "<GroupName>g</GroupName>"),
            "Action=ListRoles" => cut("ListRoles", "Roles", "<RoleName>r</RoleName>"),
            "Action=ListPolicies" => cut("ListPolicies", "Policies", policy),
            "Action=ListAttachedGroupPolicies" => {
                cut("ListAttachedGroupPolicies", "AttachedPolicies", policy)
            }
            _ => cut("GetGroup", "Users", user),
        }
    };
    let browser = Browser::asked_with(move |_, body| xml(answers(body))).await;
    let page = browser.get("/people").await;
    assert_eq!(page.text.matches("There are more; the first 200 are shown").count(), 4, "{}", page.text);
    let page = browser.get("/people/group?name=g").await;
    assert_eq!(page.text.matches("There are more; the first 200 are shown").count(), 2, "{}", page.text);
    assert!(page.text.contains("enter its ARN") && page.text.contains("enter its name"), "{}", page.text);
    assert!(!page.text.contains("<select"), "{}", page.text);
}

#[tokio::test]
async fn what_is_done_to_a_disk_that_is_not_there_is_refused() {
    let browser = Browser::of(|asked| match asked.contains("/status") {
        true => Response::new(Body::from(status().to_string())),
        false => Response::new(Body::empty()),
    })
    .await;
    for what in ["drain", "replace"] {
        (browser.asked)();
        let page = browser.post("/store/act", &[("what", what), ("path", "/nowhere")]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
        assert!((browser.asked)().iter().all(|asked| asked.starts_with("GET")), "{what}");
    }
}

#[tokio::test]
async fn a_policy_that_is_wrong_keeps_its_text_and_says_where() {
    let said = "Policy has invalid action: s3:GetObjekt";
    let browser = Browser::of(move |_| refused(400, "MalformedPolicy", said)).await;
    let text = "{\n\"Action\": \"s3:GetObjekt\", \"</textarea><script>\": 1\n}";
    let page = browser.post("/b/media/settings/policy", &[("document", text)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text.contains(said) && page.text.contains("Line 2"), "{}", page.text);
    assert!(page.text.contains("&lt;/textarea&gt;&lt;script&gt;"), "{}", page.text);
    assert_tame(&page, "policy");
    let page = browser.post("/b/media/settings/policy", &[("document", "{\n  \"a\": [,]\n}")]).await;
    assert!(page.text.contains("Line 2: expected value"), "{}", page.text);
}

#[tokio::test]
async fn no_file_of_a_form_is_taken_before_its_token() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    let upload = async |token: &str| {
        let part = |name: &str, value: &str| {
            format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"C:\\\\a/b.txt\"\r\ncontent-type: text/plain\r\n\r\nhello\r\n";
        let body =
            [part("token", token), part("prefix", "in/"), file.to_owned(), "--x--\r\n".into()].concat();
        let request = Request::post("/_stratum/console/b/media/upload")
            .header("cookie", &browser.cookie)
            .header("origin", "http://store")
            .header("content-type", "multipart/form-data; boundary=x");
        send(&browser.routes, request, body).await
    };
    (browser.asked)();
    assert_eq!(upload("0000").await.status, StatusCode::FORBIDDEN);
    assert!((browser.asked)().is_empty());
    assert_eq!(upload(&"07".repeat(16)).await.status, StatusCode::SEE_OTHER);
    assert_eq!((browser.asked)(), ["PUT /media/in/b.txt hello"]);
}

/// Its path would be that of the bucket, so that it would make one.
#[tokio::test]
async fn no_object_without_a_name_is_written() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    for name in ["a/", "a\\\\", "/"] {
        let token = "07".repeat(16);
        let body = format!(
            "--x\r\ncontent-disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n--x\r\ncontent-disposition: form-data; \
             name=\"file\"; filename=\"{name}\"\r\n\r\nhello\r\n--x--\r\n"
        );
        let request = Request::post("/_stratum/console/b/media/upload")
            .header("cookie", &browser.cookie)
            .header("origin", "http://store")
            .header("content-type", "multipart/form-data; boundary=x");
        assert_eq!(send(&browser.routes, request, body).await.status, StatusCode::BAD_REQUEST, "{name}");
    }
    for what in ["begin", "parts", "complete", "abort"] {
        for parts in ["yes", "no"] {
            let page =
                browser.post(&format!("/b/media/upload/{what}"), &[("parts", parts), ("upload", "u")]).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}");
        }
    }
    browser.get("/b/media/download").await;
    browser.post("/b/media/share", &[("seconds", "900")]).await;
    assert!((browser.asked)().is_empty());
}

#[tokio::test]
async fn a_quota_is_edited_to_the_byte_and_what_was_entered_stays() {
    let quotas = r#"{"buckets": [{"of": "media", "bytes": 524288000, "objects": 7}]}"#;
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("/quotas/") => Response::new(Body::empty()),
        asked if asked.contains("/quotas") => Response::new(Body::from(quotas)),
        asked if asked.contains("versioning") => xml("<VersioningConfiguration/>".into()),
        asked if asked.starts_with("GET") && asked.contains("tagging") => {
            xml("<Tagging><TagSet/></Tagging>".into())
        }
        asked if asked.starts_with("HEAD") => Response::new(Body::empty()),
        _ => refused(404, "NoSuchConfiguration", "There is none."),
    })
    .await;
    let page = browser.get("/b/media/settings").await;
    assert!(page.text.contains(r#"value="500 MiB""#), "{}", page.text);
    (browser.asked)();
    let sent = [("what", "quota"), ("quota-size", "500 MiB"), ("quota-objects", "8")];
    assert_eq!(browser.post("/b/media/settings", &sent).await.status, StatusCode::SEE_OTHER);
    assert_eq!((browser.asked)(), ["POST /_stratum/v1/quotas/set?bucket=media&bytes=524288000&objects=8"]);
    for (what, name, wrong) in [("quota", "quota-size", "20 \"<"), ("tags", "tags", "no tag \"<")] {
        let page = browser.post("/b/media/settings", &[("what", what), (name, wrong)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text.contains("&quot;&lt;"), "{wrong} isn't kept: {}", page.text);
        assert_tame(&page, what);
    }
    let page = browser.post("/b/media/object/tags", &[("key", "k"), ("tags", "no tag \"<")]).await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.text.contains("&quot;&lt;"), "{}", page.text);
}

#[tokio::test]
async fn pages_of_a_missing_bucket_answer_404() {
    let browser = Browser::of(|asked| match asked.starts_with("HEAD") {
        true => Response::builder().status(404).body(Body::empty()).unwrap(),
        false => refused(404, "NoSuchBucket", "The specified bucket does not exist"),
    })
    .await;
    for page in
        ["", "/settings", "/settings/policy", "/settings/lifecycle", "/tiers", "/object", "/object?key=k"]
    {
        let shown = browser.get(&format!("/b/media{page}")).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{page}: {}", shown.text);
    }
    let page = browser.get("/b/media/object?key=k").await;
    assert!(page.text.contains("There is nothing of that name."), "{}", page.text);
}

#[tokio::test]
async fn requests_that_failed_are_shown_as_text() {
    let failure = serde_json::json!([{
        "seconds_ago": 70, "id": "ABC", "operation": "GetObject", "path": HOSTILE[0], "status": 503, "code": "SlowDown", "cause": HOSTILE[2],
    }]);
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("/failures") => Response::new(Body::from(failure.to_string())),
        asked if asked.contains("/latencies") => {
            Response::new(Body::from(r#"{"step_seconds": 60, "steps": []}"#))
        }
        asked if asked.contains("/tier") => Response::new(Body::from(tiers().to_string())),
        _ => Response::new(Body::from(status().to_string())),
    })
    .await;
    let page = browser.get("/store").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Failed lately") && page.text.contains("1 minute ago"), "{}", page.text);
    assert!(page.text.contains("heal failed 2 times"), "{}", page.text);
    assert!(page.text.contains("counted 40 seconds ago"), "{}", page.text);
    for words in [
        "72.0 MiB to do, 1.0 MiB a second, 1 minute left.",
        "1.0 MiB of 4.0 MiB read, 3 minutes left, found 1 bad fragment, 1 mended.",
        "3 objects (9.0 KiB) since the start, the last look at 7 objects began 1 move.",
        "The drives are evenly filled.",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(page.text.contains(r#"<noscript><meta http-equiv="refresh""#), "{}", page.text);
    assert_tame(&page, "failures");
    // The script gets the sections for the session's token, and for nothing else.
    let live = async |token: &str| {
        let request = form("/store/live", &browser.cookie).header("x-form-token", token);
        send(&browser.routes, request.header("sec-fetch-dest", "empty"), String::new()).await
    };
    let sections = live(&"07".repeat(16)).await;
    assert_eq!(sections.status, StatusCode::OK);
    assert!(
        sections.text.starts_with("<div id=\"state\">") && !sections.text.contains("<html"),
        "{}",
        sections.text
    );
    assert_tame(&sections, "sections");
    assert_eq!(live("0000").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_done_to_a_disk_says_what_it_comes_to() {
    const MIB: u64 = 1 << 20;
    let drive = |disk: &str, state: &str, device: Option<u64>, used: u64| {
        serde_json::json!({
            "path": format!("{disk}/hot"), "disk": disk, "tier": "hot", "device": device, "state": state, "reason": format!("{disk}/hot is gone"),
            "slow": false, "writes_slowly": false, "read_p99_seconds": null, "bad_pieces": 2, "rotting": false, "fill": null,
            "bytes_used": used * MIB, "bytes_free": if device.is_some() { 100 * MIB } else { 0 },
        })
    };
    let mut status = status();
    status["background"]["bytes_per_second"] = MIB.into();
    status["redundancy"]["missing_fragments"] = 57.into();
    status["drives"] = serde_json::json!([
        drive("/1", "healthy", Some(7), 150),
        drive("/2", "healthy", Some(7), 1),
        drive("/3", "healthy", Some(7), 1),
        drive("/4", "failed", None, 0),
        drive("/5", "drained", Some(8), 0),
    ]);
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("/latencies") => {
            Response::new(Body::from(r#"{"step_seconds": 60, "steps": []}"#))
        }
        asked if asked.contains("/failures") => Response::new(Body::from("[]")),
        asked if asked.contains("/tier") => Response::new(Body::from(tiers().to_string())),
        _ => Response::new(Body::from(status.to_string())),
    })
    .await;
    let text = async |what: &str, path: &str| {
        browser.post("/store/act", &[("what", what), ("path", path)]).await.text
    };
    let drained = text("drain", "/1").await;
    // Three of the disks are on one device, whose free space counts once.
    for words in ["<dd>150 MiB</dd>", "<dd>200 MiB</dd>", "at least 2 minutes"] {
        assert!(drained.contains(words), "{words}: {drained}");
    }
    let replaced = text("replace", "/4").await;
    for words in ["<dd>57</dd>", "about 72.0 MiB", "at least 1 minute"] {
        assert!(replaced.contains(words), "{words}: {replaced}");
    }
    let page = browser.get("/store?done=replace").await.text;
    for words in ["heal fills it", "/4 is gone", "Take out"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    (browser.asked)();
    let page = browser.post("/store/act", &[("what", "remove"), ("path", "/5"), ("sure", "yes")]).await;
    assert_eq!(page.headers["location"], "/_stratum/console/store?done=remove");
    assert_eq!((browser.asked)(), ["POST /_stratum/v1/drives/remove?path=%2F5"]);
}

/// A list of one user, ada.
const USERS: &str = "<ListUsersResponse><ListUsersResult><Users><member><UserName>ada</UserName><Arn>arn:aws:iam::root:user/ada</Arn>\
    </member></Users></ListUsersResult></ListUsersResponse>";

#[tokio::test]
async fn a_question_of_rights_is_answered_or_stays_in_its_form() {
    let browser = Browser::asked_with(|asked, body| match body {
        body if body.starts_with("Action=ListUsers") => xml(USERS.into()),
        body if body.contains("user%2Fgone") => {
            let text = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>The user gone cannot be found.</Message></Error></ErrorResponse>";
            Response::builder().status(404).body(Body::from(text)).unwrap()
        }
        body if body.starts_with("Action=Simulate") => refused(403, "AccessDenied", "no"),
        _ if asked.contains("?policy") => refused(404, "NoSuchBucketPolicy", "There is none."),
        _ => xml("<A/>".into()),
    })
    .await;
    let ask = async |who: &str, arn: &str| {
        let fields =
            [("who", who), ("arn", arn), ("action", "s3:GetObject"), ("key", "\"<k"), ("source", "")];
        browser.post("/b/media/test-policy", &fields).await
    };
    for (who, arn, status, words) in [
        ("*", "", StatusCode::OK, "This bucket has no policy"),
        ("arn:aws:iam::root:user/ada", "", StatusCode::OK, "This bucket has no policy"),
        ("another", "arn:aws:iam::root:user/gone", StatusCode::NOT_FOUND, "The user gone cannot be found."),
        ("another", "nonsense", StatusCode::BAD_REQUEST, "is named by an ARN"),
        ("another", "ada", StatusCode::BAD_REQUEST, "is named by an ARN"),
    ] {
        let page = ask(who, arn).await;
        assert_eq!(page.status, status, "{who} {arn}: {}", page.text);
        let chosen = format!(r#"<option value="{who}" selected"#);
        for part in [words, r#"value="&quot;&lt;k""#, &chosen, arn] {
            assert!(page.text.contains(part), "{part}: {}", page.text);
        }
        assert_tame(&page, who);
    }
    let page = browser.get("/b/media/settings/policy").await;
    assert!(page.text.contains(">ada</option>") && !page.text.contains("iam:CreateUser"), "{}", page.text);
}

#[tokio::test]
async fn a_form_changes_one_rule_and_leaves_the_others_as_they_are_written() {
    const RULE: &str = "<Rule><ID>a</ID><Filter><Tag><Key>k</Key><Value> v </Value></Tag></Filter><Status>Enabled</Status>\
        <Expiration><Days>3</Days></Expiration></Rule>";
    const OTHER: &str = "<Rule><ID>b</ID><Unheard>of</Unheard></Rule>";
    let browser = Browser::of(|asked| match asked {
        asked if asked.starts_with("GET") && asked.contains("?lifecycle") => Response::builder()
            .header("x-amz-transition-default-minimum-object-size", "varies_by_storage_class")
            .body(Body::from(format!(
                "<LifecycleConfiguration xmlns=\"x\">{RULE}{OTHER}</LifecycleConfiguration>"
            )))
            .unwrap(),
        _ => Response::new(Body::empty()),
    })
    .await;
    let page = browser.get("/b/media/settings/lifecycle").await;
    assert!(page.text.contains("Deleted 3 days after it was written."), "{}", page.text);
    assert_tame(&page, "lifecycle");
    let put = async |fields: &[(&str, &str)]| {
        (browser.asked)();
        let page = browser.post("/b/media/settings/lifecycle/form", fields).await;
        (page, (browser.asked)().pop().unwrap())
    };
    let (page, asked) = put(&[("prefix", "<tmp>"), ("expire", "30")]).await;
    assert_eq!(page.headers["location"], "/_stratum/console/b/media/settings/lifecycle?saved=yes");
    let added = "<Rule><Status>Enabled</Status><Filter><Prefix>&lt;tmp&gt;</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>";
    let whole =
        format!("PUT /media?lifecycle <LifecycleConfiguration>{RULE}{OTHER}{added}</LifecycleConfiguration>");
    assert_eq!(asked, whole);
    let (_, asked) = put(&[("remove", "a")]).await;
    assert_eq!(
        asked,
        format!("PUT /media?lifecycle <LifecycleConfiguration>{OTHER}</LifecycleConfiguration>")
    );
    for wrong in [vec![("remove", "c")], vec![("prefix", "\"<"), ("expire", "soon")], vec![("prefix", "\"<")]]
    {
        let (page, asked) = put(&wrong).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{wrong:?}");
        assert!(asked.starts_with("GET"), "{asked}");
        assert!(wrong[0].0 == "remove" || page.text.contains("&quot;&lt;"), "{}", page.text);
        assert_tame(&page, "refused");
    }
}

#[tokio::test]
async fn webhooks_are_told_by_a_form() {
    let browser = Browser::of(|asked| match asked.starts_with("GET") {
        true => xml("<NotificationConfiguration/>".into()),
        false => Response::new(Body::empty()),
    })
    .await;
    let page = browser.get("/b/media/settings/notifications").await;
    assert!(page.text.contains("Nobody is told") && page.text.contains(">ci</option>"), "{}", page.text);
    assert_tame(&page, "notifications");
    (browser.asked)();
    let fields = [
        ("webhook", "ci"),
        ("event", "s3:ObjectCreated:*"),
        ("event", "s3:ObjectRemoved:*"),
        ("suffix", ".jpg"),
    ];
    browser.post("/b/media/settings/notifications/form", &fields).await;
    let rule = "<Queue>arn:aws:sqs:us-east-1::ci</Queue><Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event>\
        <Filter><S3Key><FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";
    let whole = format!(
        "PUT /media?notification <NotificationConfiguration><QueueConfiguration>{rule}</QueueConfiguration></NotificationConfiguration>"
    );
    assert_eq!((browser.asked)().pop().unwrap(), whole);
    let page = browser.post("/b/media/settings/notifications/form", &[("webhook", "ci")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_policy_is_shown_changed_and_deleted() {
    let browser = Browser::asked_with(|_, body| {
        let action = body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()).unwrap_or_default();
        match action {
            "GetPolicy" => xml("<GetPolicyResponse><GetPolicyResult><Policy><PolicyName>p</PolicyName><Arn>arn:p</Arn><DefaultVersionId>v2</DefaultVersionId>\
                <AttachmentCount>0</AttachmentCount></Policy></GetPolicyResult></GetPolicyResponse>".into()),
            "GetPolicyVersion" => xml("<GetPolicyVersionResponse><GetPolicyVersionResult><PolicyVersion><Document>%7B%22Version%22%3A%22x%22%2C%22Statement%22%3A%22%3C%2Ftextarea%3E%22%7D</Document>\
                </PolicyVersion></GetPolicyVersionResult></GetPolicyVersionResponse>".into()),
            "ListPolicyVersions" => xml("<ListPolicyVersionsResponse><ListPolicyVersionsResult><Versions><member><VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion></member>\
                <member><VersionId>v1</VersionId><CreateDate>2026</CreateDate></member></Versions></ListPolicyVersionsResult></ListPolicyVersionsResponse>".into()),
            "ListEntitiesForPolicy" => xml("<ListEntitiesForPolicyResponse><ListEntitiesForPolicyResult><PolicyUsers><member><UserName>ada</UserName></member></PolicyUsers>\
                </ListEntitiesForPolicyResult></ListEntitiesForPolicyResponse>".into()),
            "GetUserPolicy" => xml("<GetUserPolicyResponse><GetUserPolicyResult><PolicyDocument>%7B%7D</PolicyDocument></GetUserPolicyResult></GetUserPolicyResponse>".into()),
            "CreatePolicyVersion" if body.contains("wrong") => refused(400, "MalformedPolicyDocument", "It is wrong."),
            _ => xml("<A/>".into()),
        }
    })
    .await;
    let page = browser.get("/people/policy?arn=arn%3Ap").await;
    // The order of the names stays.
    let shown = "\n{\n  &quot;Version&quot;: &quot;x&quot;,\n  &quot;Statement&quot;: &quot;&lt;/textarea&gt;&quot;\n}";
    for part in [shown, "name=ada", "Let it count", "Delete p"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert_tame(&page, "policy");
    let post = async |fields: &[(&str, &str)]| {
        (browser.asked)();
        let page = browser.post("/people/policy", fields).await;
        let actions = (browser.asked)()
            .iter()
            .filter_map(|asked| asked.split("Action=").nth(1)?.split('&').next().map(str::to_owned))
            .collect::<Vec<_>>();
        (page, actions)
    };
    let (page, _) = post(&[("what", "save"), ("arn", "arn:p"), ("document", "wrong \"<")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text.contains("It is wrong.") && page.text.contains("wrong &quot;&lt;"), "{}", page.text);
    let (page, actions) = post(&[("what", "delete"), ("arn", "arn:p")]).await;
    assert_eq!(page.headers["location"], "/_stratum/console/people");
    assert_eq!(actions, ["GetPolicy", "ListPolicyVersions", "DeletePolicyVersion", "DeletePolicy"]);
    let of_ada = [("of", "user"), ("name", "ada"), ("policy", "reads")];
    let (page, actions) = post(&[[("what", "save"), ("document", "{}")].as_slice(), &of_ada].concat()).await;
    assert_eq!(
        page.headers["location"],
        "/_stratum/console/people/policy?of=user&name=ada&policy=reads&saved=yes"
    );
    assert_eq!(actions, ["PutUserPolicy"]);
    let (page, actions) = post(&[[("what", "delete")].as_slice(), &of_ada].concat()).await;
    assert_eq!(
        (page.headers["location"].to_str().unwrap(), actions),
        ("/_stratum/console/people/user?name=ada", vec!["DeleteUserPolicy".to_owned()])
    );
}

#[tokio::test]
async fn a_folder_is_deleted_page_by_page_within_one_form() {
    let left = AtomicU64::new(3);
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("?versions") => {
            let goes_on = left.fetch_sub(1, Ordering::Relaxed) > 1;
            xml(format!(
                "<ListVersionsResult><IsTruncated>{goes_on}</IsTruncated><Version><Key>a</Key><VersionId>1</VersionId></Version>\
                 <DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker></ListVersionsResult>"
            ))
        }
        _ => xml("<DeleteResult/>".into()),
    })
    .await;
    let page = browser.post("/b/media/deleted", &[("folder", ""), ("with-versions", "yes")]).await;
    assert_eq!(page.headers["location"], "/_stratum/console/b/media?deleted=6", "{}", page.text);
    let asked = (browser.asked)();
    assert_eq!(
        asked.iter().filter(|asked| asked.contains("<VersionId>2</VersionId>")).count(),
        3,
        "{asked:?}"
    );
}

/// A folder of five objects, of which two are listed at a time, and whose store takes so many milliseconds to delete
/// some. It doesn't delete those whose name is `kept`.
async fn browser_of_a_folder(millis: u64, kept: &'static str) -> Browser {
    let clock = Arc::new(OnceLock::<Arc<AtomicU64>>::new());
    let passes = clock.clone();
    let left = Mutex::new(Vec::from(["a", "b", "c", "d", "e"]));
    let browser = Browser::asked_with(move |asked, body| {
        let mut left = left.lock().unwrap();
        if asked.starts_with("POST") {
            passes.get().unwrap().fetch_add(millis, Ordering::Relaxed);
            left.retain(|name| *name == kept || !body.contains(&format!("<Key>in/{name}</Key>")));
            let is_refused = body.contains(&format!("<Key>in/{kept}</Key>"));
            let error =
                format!("<Error><Key>in/{kept}</Key><Code>AccessDenied</Code><Message>no</Message></Error>");
            return xml(format!("<DeleteResult>{}</DeleteResult>", if is_refused { &error } else { "" }));
        }
        let after = asked.split("start-after=in%2F").nth(1).unwrap_or_default();
        let listed: Vec<&str> = left.iter().copied().filter(|name| *name > after).collect();
        let keys = listed.iter().take(2).map(|name| format!("<Contents><Key>in%2F{name}</Key></Contents>"));
        let (keys, goes_on) = (keys.collect::<String>(), listed.len() > 2);
        xml(format!("<ListBucketResult><IsTruncated>{goes_on}</IsTruncated>{keys}</ListBucketResult>"))
    })
    .await;
    clock.set(browser.monotonic.clone()).unwrap();
    browser
}

#[tokio::test]
async fn what_takes_longer_than_a_request_goes_on_with_the_next_one() {
    let browser = browser_of_a_folder(2_500, "none").await;
    let page = browser.post("/b/media/deleted", &[("folder", "in/")]).await;
    assert!(
        page.text.contains("4 objects deleted so far") && page.text.contains("data-goes-on"),
        "{}",
        page.text
    );
    assert!(page.text.contains(r#"name="deleted" value="4""#), "{}", page.text);
    let page = browser.post("/b/media/deleted", &[("folder", "in/"), ("deleted", "4")]).await;
    assert_eq!(page.headers["location"], "/_stratum/console/b/media?deleted=5", "{}", page.text);
}

#[tokio::test]
async fn what_can_not_be_deleted_is_told_and_keeps_nothing_behind_it() {
    let browser = browser_of_a_folder(2_500, "b").await;
    let page = browser.post("/b/media/deleted", &[("folder", "in/")]).await;
    assert!(
        page.text.contains("3 objects deleted so far") && page.text.contains("AccessDenied"),
        "{}",
        page.text
    );
    // It waits to be read, and goes on behind what is refused.
    assert!(!page.text.contains("data-goes-on"), "{}", page.text);
    assert!(page.text.contains(r#"name="from" value="in/b""#), "{}", page.text);
    let rest = [("folder", "in/"), ("from", "in/b"), ("deleted", "3")];
    let page = browser.post("/b/media/deleted", &rest).await;
    assert_eq!(page.headers["location"], "/_stratum/console/b/media?deleted=4", "{}", page.text);
}

#[tokio::test]
async fn what_is_wrong_in_a_form_is_said_above_it_with_what_was_entered() {
    let browser = Browser::asked_with(|asked, body| match asked {
        asked if body.starts_with("Action=Create") => {
            refused(400, "ValidationError", &format!("wrong: {asked}"))
        }
        asked if asked.starts_with("PUT") => refused(400, "InvalidArgument", "It is wrong."),
        asked if asked.starts_with("HEAD") => Response::new(Body::empty()),
        asked if asked.contains("tagging") => xml("<Tagging><TagSet/></Tagging>".into()),
        _ => xml("<A/>".into()),
    })
    .await;
    for (path, fields) in [
        ("/b/media/object/lock", [("key", "k"), ("mode", "COMPLIANCE"), ("until", "2030-01-02")]),
        ("/b/media/folder", [("prefix", ""), ("name", "2030-01-02"), ("", "")]),
        ("/people/act", [("what", "new-user"), ("user", "2030-01-02"), ("", "")]),
        ("/people/act", [("what", "new-group"), ("group", "2030-01-02"), ("", "")]),
    ] {
        let page = browser.post(path, &fields).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            page.text.contains("wrong") && page.text.contains("value=\"2030-01-02\""),
            "{path}: {}",
            page.text
        );
        assert_tame(&page, path);
    }
    let page = browser.post("/b/media/object/lock", &[("key", "k"), ("mode", "GOVERNANCE")]).await;
    assert!(
        page.text.contains("A retention has a day") && page.text.contains("<details open>"),
        "{}",
        page.text
    );
    let browser = Browser::of(|asked| match asked {
        asked if asked.contains("object-lock") => {
            refused(404, "ObjectLockConfigurationNotFoundError", "There is none.")
        }
        asked if asked.starts_with("HEAD") => Response::new(Body::empty()),
        _ => refused(403, "AccessDenied", "no"),
    })
    .await;
    let page = browser.get("/b/media/object?key=k").await;
    assert!(
        page.text.contains("This bucket has no object lock.") && !page.text.contains("Set retention"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_tier_map_tells_what_each_prefix_costs() {
    let report = |bytes: u64, month: f64| {
        serde_json::json!({
            "as_of": 5, "held": {"objects": {"hot": 1, "warm": 0, "cold": 0}, "bytes": {"hot": bytes, "warm": 0, "cold": bytes}},
            "month_cost": month, "month_cost_in_hot": month, "month": null, "after": null,
        })
    };
    let browser = Browser::of(move |asked| match asked {
        asked if asked.contains("prefix=big") => Response::new(Body::from(report(9 << 20, 0.5).to_string())),
        asked if asked.contains("/tier/report?") && asked.contains("prefix=") => Response::new(Body::from(report(1 << 20, 2.0).to_string())),
        asked if asked.contains("/tier/report") => Response::new(Body::from(report(10 << 20, 2.5).to_string())),
        _ => xml("<ListBucketResult><CommonPrefixes><Prefix>big%2F</Prefix></CommonPrefixes><CommonPrefixes><Prefix>dear%2F</Prefix></CommonPrefixes></ListBucketResult>".into()),
    })
    .await;
    for (query, first) in [("", "big/"), ("?by=cost", "dear/")] {
        let page = browser.get(&format!("/b/media/tiers{query}")).await;
        assert_tame(&page, query);
        let largest = page.text.split("<title>").nth(2).unwrap();
        assert!(largest.starts_with(first), "{query}: {largest}");
        assert!(page.text.contains(">$0.50</td>") && page.text.contains(">$2.00</td>"), "{}", page.text);
    }
}

#[tokio::test]
async fn the_tier_map_counts_nothing_that_a_walk_has_counted() {
    let held = |count: u64| serde_json::json!({"objects": {"hot": count, "warm": 0, "cold": 0}, "bytes": {"hot": count << 20, "warm": 0, "cold": 0}});
    let browser = Browser::of(move |asked| {
        let report = |count: u64, beside: serde_json::Value| {
            serde_json::json!({"as_of": 5, "held": held(count), "month_cost": 1.0, "month_cost_in_hot": 1.0, "month": null, "beside": beside, "after": null})
        };
        match asked {
            // What is under the folder has grown since the walk, of which the whole bucket's figures are.
            asked if asked.contains("prefix=big") => {
                let beside = serde_json::json!({"held": held(9), "month_cost": 1.0});
                Response::new(Body::from(report(9, beside).to_string()))
            }
            asked if asked.contains("/tier/report") => {
                let beside = serde_json::json!({"held": held(2), "month_cost": 0.25});
                Response::new(Body::from(report(7, beside).to_string()))
            }
            _ => xml("<ListBucketResult><Contents><Key>a</Key></Contents><CommonPrefixes><Prefix>big%2F</Prefix></CommonPrefixes></ListBucketResult>".into()),
        }
    })
    .await;
    (browser.asked)();
    let page = browser.get("/b/media/tiers").await;
    for words in [">2 objects</a>", ">2.0 MiB</td>", ">9.0 MiB</td>", ">$0.25</td>"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let asked = (browser.asked)();
    assert_eq!(asked.iter().filter(|asked| asked.contains("quick=true")).count(), 2, "{asked:?}");
}

#[tokio::test]
async fn a_form_of_a_session_that_ended_says_what_it_does() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    let fields = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("access-key", "AKIA"),
            ("secret", "secret"),
            ("kept-action", "/_stratum/console/buckets/new"),
        ])
        .extend_pairs([("kept-fields", "bucket=films&quota-size=5+GiB&versioning=yes")])
        .finish();
    let page = send(&browser.routes, form("/sign-in", ""), fields).await;
    for part in
        ["Create a bucket", ">Quota: size</label>", r#"value="5 GiB""#, r#"type="hidden" name="versioning""#]
    {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    // Files that were sent without a session aren't kept. Their sender comes to the page that they were chosen on.
    let request = Request::post("/_stratum/console/b/media/upload")
        .header("origin", "http://store")
        .header("referer", "http://store/_stratum/console/b/media?prefix=a%2F")
        .header("content-type", "multipart/form-data; boundary=x");
    let page = send(&browser.routes, request, String::new()).await;
    assert_eq!(
        page.headers["location"],
        "/_stratum/console/sign-in?to=%2F_stratum%2Fconsole%2Fb%2Fmedia%3Fprefix%3Da%252F"
    );
}

#[tokio::test]
async fn a_session_ends_when_its_key_is_somebody_else_s_or_has_another_secret() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    let is_in = async || browser.get("/sessions").await.status == StatusCode::OK;
    assert!(is_in().await);
    let holder = Holder { id: "ann".into(), ..root().holder };
    let of_another_secret = Who { secret_mark: "of the second secret".into(), ..root() };
    for who in [Who { holder, ..root() }, of_another_secret] {
        *browser.who.lock().unwrap() = who;
        assert!(!is_in().await);
        *browser.who.lock().unwrap() = root();
        assert!(is_in().await);
    }
}

#[tokio::test]
async fn signing_out_says_so_if_it_cannot_be_kept() {
    let browser = Browser::of(|_| Response::new(Body::empty())).await;
    let page = browser.get("/sessions").await;
    assert!(page.text.contains("End all my sessions") && page.text.contains("everybody"), "{}", page.text);
    assert_tame(&page, "sessions");
    assert_eq!(browser.post("/sign-out", &[("of", "others")]).await.status, StatusCode::BAD_REQUEST);
    browser.sessions.is_full.store(true, Ordering::Relaxed);
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        page.text.contains("You are signed out.") && page.text.contains("no space is left"),
        "{}",
        page.text
    );
    assert!(page.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(browser.get("/sessions").await.status, StatusCode::SEE_OTHER, "it has ended all the same");
}

#[tokio::test]
async fn the_why_page_shows_reads_and_moves_in_order() {
    const DAY: u64 = 24 * 3_600 * 1_000;
    let now = 1_795_961_109_000u64;
    let one_of = |count: usize, at: usize| {
        (0..count).map(|index| f64::from(u8::from(index == at))).collect::<Vec<_>>()
    };
    let explained = serde_json::json!({
        "tier": "cold", "since": now - 7 * DAY, "sentence": HOSTILE[0],
        "terms": {"now": now, "day": DAY, "is_read": true, "last": now - DAY},
        "signals": {
            "reads": 12, "last": now - DAY, "gap_days": 9.5, "half_life_days": [1.0 / 24.0, 1.0, 7.0, 30.0],
            "daily_reads": [0.0, 0.35, 1.5, 4.0], "daily_bytes": [0.0, 0.0, 2048.0, 1e9],
            "hours": one_of(24, 14), "weekdays": one_of(7, 1), "spikes": false,
        },
        "history": [{"tier": HOSTILE[2], "since": now - 30 * DAY, "sentence": HOSTILE[2]}, {"tier": "cold", "since": now - 7 * DAY, "sentence": "It went to cold."}],
    });
    let browser = Browser::of(move |_| Response::new(Body::from(explained.to_string()))).await;
    let page = browser.get("/b/media/why?key=k").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_tame(&page, "why");
    for words in
        ["12 reads are counted", "10 days", "Most: 14:00, 100.0 %", "Most: Tuesday", ">1.5<", "2.0 KiB"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    // Events are listed the newest first. In the picture the read stands between the moves and now, at its age.
    let places = ["read last ", "It went to cold."].map(|words| page.text.find(words).unwrap());
    assert!(places.is_sorted() && page.text.contains(r#"cx="60.00%""#), "{}", page.text);
    // Of a version that isn't current, no use is known.
    let older = serde_json::json!({"tier": "hot", "since": now - DAY, "sentence": "It lies there.", "not_deciding": "it is older"});
    let browser = Browser::of(move |_| Response::new(Body::from(older.to_string()))).await;
    let page = browser.get("/b/media/why?key=k&version=1").await;
    assert!(
        page.text.contains("it lies where it was put") && !page.text.contains("When it is read"),
        "{}",
        page.text
    );
}

/// The store's sentences count in its days, whose length a test may set, and so does all that stands beside them.
#[tokio::test]
async fn the_why_page_tells_ages_in_the_store_s_days() {
    let now = 1_795_961_109_000u64;
    for (day, says_its_day) in [(24 * 3_600 * 1_000, false), (2_000, true)] {
        let explained = serde_json::json!({
            "tier": "hot", "since": now - 3 * day, "sentence": "It was last read 6 days ago.", "next_review": now + 4 * day,
            "changes": ["If nothing happens, it goes to cold."], "group": {"prefix": "films/"},
            "terms": {"now": now, "day": day, "is_read": true, "last": now - day * 56 / 10, "group_last": now - day / 2},
            "signals": {"reads": 2, "last": now - day * 56 / 10, "half_life_days": [1.0 / 24.0, 7.0], "daily_reads": [0.0, 1.0], "daily_bytes": [0.0, 1.0]},
            "history": [{"tier": "hot", "since": now - 3 * day, "sentence": "It went to hot."}],
        });
        let browser = Browser::of(move |_| Response::new(Body::from(explained.to_string()))).await;
        let page = browser.get("/b/media/why?key=k").await;
        let count = |words: &str| page.text.matches(words).count();
        // In the sentence, in the panel, and beside the event.
        assert_eq!(count("6 days ago"), 3, "{}", page.text);
        for words in [
            "3 days ago",
            "12 hours ago",
            "in 4 days",
            "<th scope=\"row\">1 hour</th>",
            ">7 d</text>",
            ">1 y</text>",
        ] {
            assert!(count(words) > 0, "{words}: {}", page.text);
        }
        assert_eq!(count("A day of this store lasts 2 seconds") == 1, says_its_day, "{}", page.text);
    }
}

/// A status of the store as the operator's API tells it, as far as the page shows it.
fn status() -> serde_json::Value {
    serde_json::json!({
        "version": "1", "uptime_seconds": 70, "state": "attention", "notes": [HOSTILE[0]], "drives": [],
        "redundancy": {"missing_fragments": 0, "unreadable_objects": 0, "stripes_by_missing_shards": [0]},
        "heal": {"bytes_to_do": 72 << 20, "bytes_done": 0, "bytes_per_second": 1 << 20, "seconds_left": 72, "waiting_because": null},
        "scrub": {
            "phase": "asked", "finished_at": 0, "bytes_to_do": 3 << 20, "seconds_left": 180,
            "found": {"bytes": 1 << 20, "bad_fragments": 1, "bad_files": 0, "parity_disagrees": 0, "unreadable": 0, "mended": 1},
        },
        "compaction": {"moving": HOSTILE[0], "reclaimed": 0, "waits_for": null, "last_error": null},
        "balance": {"bytes_to_do": 0, "bytes_done": 0, "seconds_left": null, "waits_for": null},
        "quarantine": {"files": [], "removed": 0, "held_back": false},
        "space": {
            "counted_seconds_ago": 40, "logical": 5, "objects": 1, "versions": 0, "buckets": 1, "garbage": 0, "live": 0,
            "used": 0, "free": 9,
        },
        "journal": {"members": [], "bytes": 0, "cap": 1}, "admission": {"limit": 1, "used": 0, "refused": 0},
        "connections": {"limit": 16, "open": 1, "refused": 0},
        "background": {"hurried": false, "bytes_per_second": 1, "tasks": []},
        "tasks": [{"name": "heal", "failures": 2, "last_failure": HOSTILE[2]}],
    })
}

/// What the operator's API tells of tiers, as far as the page of the store shows it.
fn tiers() -> serde_json::Value {
    serde_json::json!({
        "moving": {"objects": 3, "bytes": 9216, "waiting": {}},
        "deciding": {"last_walk": {"objects": 7, "decided": 1, "put_off": 0, "waiting_for_room": 0}},
    })
}
