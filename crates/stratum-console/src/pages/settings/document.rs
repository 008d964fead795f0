//! A bucket's configuration documents, edited by a form where there is one, or as text. When a text is saved, the
//! server says what is wrong with it, and this page looks for the line.

mod layout;

use crate::ask::{if_allowed, if_there};
use crate::form::Fields;
use crate::frame::{Part, Tone, crumbs, field, notice, token};
use crate::names;
use crate::pages::indent::indented;
use crate::pages::settings::forms::{Filled, Form, Made};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use http::Method;
use layout::laid_out;
use maud::{Markup, html};
use serde::de::IgnoredAny;

/// One kind of document.
pub struct Document {
    /// The document's name in addresses.
    pub name: &'static str,
    pub title: &'static str,
    pub hint: &'static str,
    /// The subresource of S3.
    query: &'static str,
    /// Whether S3 has a request that deletes it. Otherwise it is taken away by putting an empty one.
    is_deleted: bool,
    form: Option<Form>,
    example: &'static str,
}

/// Whether a bucket has the document.
pub enum State {
    Set,
    None,
    Hidden,
}

pub const DOCUMENTS: [Document; 9] = [
    Document {
        name: "policy",
        title: "Policy",
        hint: "Who may do what with the bucket and what is in it.",
        query: "policy",
        is_deleted: true,
        form: None,
        example: r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "EverybodyReads",
      "Effect": "Allow",
      "Principal": "*",
      "Action": "s3:GetObject",
      "Resource": "arn:aws:s3:::BUCKET/public/*"
    }
  ]
}"#,
    },
    Document {
        name: "lifecycle",
        title: "Lifecycle",
        hint: "What expires, and what moves to another class.",
        query: "lifecycle",
        is_deleted: true,
        form: Some(Form::Lifecycle),
        example: r#"<LifecycleConfiguration>
  <Rule>
    <ID>clean-up</ID>
    <Status>Enabled</Status>
    <Filter><Prefix>tmp/</Prefix></Filter>
    <Expiration><Days>30</Days></Expiration>
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>
  </Rule>
</LifecycleConfiguration>"#,
    },
    Document {
        name: "notifications",
        title: "Notifications",
        hint: "Which webhooks are told of what happens here.",
        query: "notification",
        is_deleted: false,
        form: Some(Form::Notifications),
        example: r#"<NotificationConfiguration>
  <QueueConfiguration>
    <Id>new-files</Id>
    <Queue>arn:aws:sqs:us-east-1::WEBHOOK</Queue>
    <Event>s3:ObjectCreated:*</Event>
  </QueueConfiguration>
</NotificationConfiguration>"#,
    },
    Document {
        name: "cors",
        title: "Cross-origin requests",
        hint: "Which web pages may use the bucket.",
        query: "cors",
        is_deleted: true,
        form: None,
        example: r#"<CORSConfiguration>
  <CORSRule>
    <AllowedOrigin>https://app.example.com</AllowedOrigin>
    <AllowedMethod>GET</AllowedMethod>
    <AllowedHeader>*</AllowedHeader>
    <MaxAgeSeconds>3600</MaxAgeSeconds>
  </CORSRule>
</CORSConfiguration>"#,
    },
    Document {
        name: "website",
        title: "Website",
        hint: "Its pages, where the server serves websites.",
        query: "website",
        is_deleted: true,
        form: None,
        example: r#"<WebsiteConfiguration>
  <IndexDocument><Suffix>index.html</Suffix></IndexDocument>
  <ErrorDocument><Key>404.html</Key></ErrorDocument>
</WebsiteConfiguration>"#,
    },
    Document {
        name: "public-access",
        title: "Public access",
        hint: "What is refused or ignored of what would let everybody in.",
        query: "publicAccessBlock",
        is_deleted: true,
        form: Some(Form::PublicAccess),
        example: r#"<PublicAccessBlockConfiguration>
  <BlockPublicAcls>true</BlockPublicAcls>
  <IgnorePublicAcls>true</IgnorePublicAcls>
  <BlockPublicPolicy>true</BlockPublicPolicy>
  <RestrictPublicBuckets>true</RestrictPublicBuckets>
</PublicAccessBlockConfiguration>"#,
    },
    Document {
        name: "object-lock",
        title: "Object lock",
        hint: "How long new versions are kept, unless their request says it.",
        query: "object-lock",
        is_deleted: false,
        form: Some(Form::Retention),
        example: r#"<ObjectLockConfiguration>
  <ObjectLockEnabled>Enabled</ObjectLockEnabled>
  <Rule>
    <DefaultRetention><Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention>
  </Rule>
</ObjectLockConfiguration>"#,
    },
    Document {
        name: "encryption",
        title: "Encryption",
        hint: "The default, with a key of its own if it names one.",
        query: "encryption",
        is_deleted: true,
        form: None,
        example: r#"<ServerSideEncryptionConfiguration>
  <Rule>
    <ApplyServerSideEncryptionByDefault>
      <SSEAlgorithm>aws:kms</SSEAlgorithm>
      <KMSMasterKeyID>KEY</KMSMasterKeyID>
    </ApplyServerSideEncryptionByDefault>
  </Rule>
</ServerSideEncryptionConfiguration>"#,
    },
    Document {
        name: "logging",
        title: "Access logs",
        hint: "Into which bucket requests are logged.",
        query: "logging",
        is_deleted: false,
        form: None,
        example: r#"<BucketLoggingStatus>
  <LoggingEnabled>
    <TargetBucket>LOGS</TargetBucket>
    <TargetPrefix>BUCKET/</TargetPrefix>
  </LoggingEnabled>
</BucketLoggingStatus>"#,
    },
];

impl Document {
    fn named(name: &str) -> Result<&'static Document, Trouble> {
        DOCUMENTS.iter().find(|document| document.name == name).ok_or(Trouble::NoPage)
    }

    fn is_json(&self) -> bool {
        self.example.starts_with('{')
    }

    /// The document as it is set, if it is set.
    async fn read(&self, visit: &Visit) -> Result<Option<String>, Trouble> {
        let asked = visit.ask().bucket(Method::GET, &visit.bucket).query(self.query);
        let text = if_there(asked.text().await)?;
        Ok(text.filter(|text| self.is_deleted || !is_empty(text)))
    }

    pub async fn state(&self, visit: &Visit) -> Result<State, Trouble> {
        match self.read(visit).await {
            Ok(Some(_)) => Ok(State::Set),
            Ok(None) => Ok(State::None),
            Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
            Err(_) => Ok(State::Hidden),
        }
    }

    /// The name of the root element.
    fn root(&self) -> &'static str {
        self.example.trim_start_matches('<').split('>').next().unwrap_or_default()
    }

    /// The empty document, which takes it away when it is put.
    fn nothing(&self) -> String {
        format!("<{}/>", self.root())
    }

    /// The document that holds these elements.
    pub fn holding(&self, elements: &str) -> String {
        let root = self.root();
        format!("<{root}>{elements}</{root}>")
    }

    async fn put(&self, visit: &Visit, text: &str) -> Result<(), Trouble> {
        let asked = |method| visit.ask().bucket(method, &visit.bucket).query(self.query);
        // A client may have set this header with the rules that are replaced now. It isn't in the document, and would be
        // lost without being sent again.
        let minimum = match self.name {
            "lifecycle" => {
                let head = if_allowed(if_there(asked(Method::GET).done().await))?.flatten();
                head.and_then(|head| head.get(MINIMUM_SIZE).cloned())
            }
            _ => None,
        };
        let minimum = minimum.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        asked(Method::PUT).header(MINIMUM_SIZE, minimum).document(text).done().await.map(drop)
    }

    async fn delete(&self, visit: &Visit) -> Result<(), Trouble> {
        let asked = |method| visit.ask().bucket(method, &visit.bucket).query(self.query);
        match self.is_deleted {
            true => asked(Method::DELETE).done().await.map(drop),
            false => asked(Method::PUT).document(self.nothing()).done().await.map(drop),
        }
    }

    /// The document as people edit it.
    fn laid_out(&self, text: &str) -> String {
        if self.is_json() { indented(text) } else { laid_out(text) }
    }
}

/// S3's header of the size below which objects don't change their class by a lifecycle rule.
const MINIMUM_SIZE: &str = "x-amz-transition-default-minimum-object-size";

/// Whether a document is nothing but its empty root element.
fn is_empty(text: &str) -> bool {
    let inside = text.split_once("?>").map_or(text, |(_, inside)| inside);
    !inside.trim().trim_start_matches('<').contains("><") && !inside.contains("</")
        || inside.matches('<').count() <= 2
}

/// What the page of a document shows beside the document that is set.
#[derive(Default)]
struct Told<'a> {
    saved: bool,
    problem: Option<Markup>,
    /// A text that was refused, which is shown again.
    text: Option<&'a str>,
    /// The fields of the form that were refused.
    fields: Option<&'a Fields>,
}

/// `GET /b/{bucket}/settings/{document}`
pub async fn edit(visit: Visit) -> Page {
    let document = Document::named(&visit.item)?;
    let set = document.read(&visit).await?;
    let told = Told { saved: !visit.query.get("saved").is_empty(), ..Told::default() };
    sheet(&visit, document, set.as_deref(), told).await.and_then(shown)
}

async fn sheet(
    visit: &Visit,
    document: &Document,
    set: Option<&str>,
    told: Told<'_>,
) -> Result<Markup, Trouble> {
    let settings = names::of_bucket(&visit.bucket, "/settings");
    let way = [
        ("Buckets".into(), crate::HOME.into()),
        (visit.bucket.clone(), names::of_bucket(&visit.bucket, "")),
        ("Settings".into(), settings),
    ];
    let text = match (told.text, set) {
        (Some(text), _) => text.to_owned(),
        (None, set) => set.map(|set| document.laid_out(set)).unwrap_or_default(),
    };
    let as_text = html! { div.columns { section.card { (editor(visit, document, &text, set.is_some())) } (example(visit, document)) } };
    let users = if document.name == "policy" { super::tester::known(visit).await? } else { Vec::new() };
    let content = html! {
        (crumbs(&way, document.title))
        div.head { h1 { (document.title) " of " (visit.bucket) } }
        p.muted { (document.hint) }
        @if told.saved { (notice(Tone::Good, html! { p { "Saved." } })) }
        @if let Some(problem) = &told.problem { (problem) }
        @match document.form {
            Some(form) => {
                section.card { (form.shown(visit, &Filled::new(set, told.fields))) }
                details open[told.text.is_some()] { summary { "Edit as XML" } (as_text) }
            }
            None => (as_text),
        }
        @if document.name == "policy" { section.card { h2 { "Who may do what?" } (super::tester::form(visit, &users, &Fields::default())) } }
    };
    Ok(visit.frame().page(Part::Buckets, document.title, content))
}

fn editor(visit: &Visit, document: &Document, text: &str, is_set: bool) -> Markup {
    let here = names::of_bucket(&visit.bucket, &format!("/settings/{}", document.name));
    let rows = text.lines().count().clamp(14, 34);
    html! {
        form method="post" action=(here) {
            (token(&visit.session))
            (field("document", if document.is_json() { "JSON" } else { "XML" }, "", html! {
                textarea id="document" name="document" rows=(rows) spellcheck="false" data-lines { "\n" (text) }
            }))
            div.actions {
                button.primary type="submit" { "Save" }
                a.button href=(names::of_bucket(&visit.bucket, "/settings")) { "Cancel" }
                @if is_set { button.danger.apart type="submit" form="removal" { "Remove" } }
            }
        }
        @if is_set { form #removal method="post" action={ (here) "/remove" } { (token(&visit.session)) } }
    }
}

fn example(visit: &Visit, document: &Document) -> Markup {
    let example = document.example.replace("BUCKET", &visit.bucket);
    html! {
        section.card { h2 { "For example" } pre.text tabindex="0" role="region" aria-label="Example" { (example) } }
    }
}

/// `POST /b/{bucket}/settings/{document}`
pub async fn save(visit: Visit, fields: Fields) -> Page {
    let document = Document::named(&visit.item)?;
    let text = fields.get("document");
    match document.put(&visit, text.trim()).await {
        Ok(()) => to(&names::of_bucket(&visit.bucket, "/settings?saved=yes")),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let told = Told {
                problem: Some(problem(document, text, &trouble)),
                text: Some(text),
                ..Told::default()
            };
            again(&visit, document, told, &trouble).await
        }
    }
}

/// `POST /b/{bucket}/settings/{document}/form`
pub async fn fill(visit: Visit, fields: Fields) -> Page {
    let document = Document::named(&visit.item)?;
    let form = document.form.ok_or(Trouble::NoPage)?;
    let saved = async {
        let set = document.read(&visit).await?;
        match form.made(document, set.as_deref(), &fields)? {
            Made::Document(text) => document.put(&visit, &text).await,
            Made::Nothing => document.delete(&visit).await,
        }
    };
    match saved.await {
        Ok(()) => to(&names::of_bucket(&visit.bucket, &format!("/settings/{}?saved=yes", document.name))),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let problem = Some(notice(Tone::Bad, html! { p { (trouble.words()) } }));
            again(&visit, document, Told { problem, fields: Some(&fields), ..Told::default() }, &trouble)
                .await
        }
    }
}

/// The page again, with what was refused.
async fn again(visit: &Visit, document: &Document, told: Told<'_>, trouble: &Trouble) -> Page {
    let set = match document.read(visit).await {
        Err(Trouble::SignedOut) => return Err(Trouble::SignedOut),
        read => read.ok().flatten(),
    };
    let sheet = sheet(visit, document, set.as_deref(), told).await?;
    Ok((trouble.status(), sheet).into_response())
}

/// `POST /b/{bucket}/settings/{document}/remove`: asks whether the document is meant to go, and takes it away once that is
/// `sure`.
pub async fn remove(visit: Visit, fields: Fields) -> Page {
    let document = Document::named(&visit.item)?;
    if fields.has("sure") {
        document.delete(&visit).await?;
        return to(&names::of_bucket(&visit.bucket, "/settings?saved=yes"));
    }
    let here = names::of_bucket(&visit.bucket, &format!("/settings/{}", document.name));
    let title = format!("Remove {}?", document.title.to_lowercase());
    let content = html! {
        div.narrow {
            h1 { (title) }
            p { "The document goes from the bucket " strong { (visit.bucket) } ", and what it says counts no more. It isn't kept anywhere." }
            form method="post" action={ (here) "/remove" } {
                (token(&visit.session))
                input type="hidden" name="sure" value="yes";
                div.actions { button.danger type="submit" { "Remove" } a.button href=(here) { "Cancel" } }
            }
        }
    };
    shown(visit.frame().page(Part::Buckets, &title, content))
}

/// The server's message, with the line that it is about if that can be found.
fn problem(document: &Document, text: &str, trouble: &Trouble) -> Markup {
    let words = trouble.words();
    let syntax = if document.is_json() { wrong_json(text) } else { wrong_xml(text) };
    let at = syntax.or_else(|| spoken_of(text, &words).map(|line| (line, String::new())));
    notice(
        Tone::Bad,
        html! {
            p { (words) }
            @if let Some((line, what)) = at {
                p { "Line " (line) @if !what.is_empty() { ": " (what) } }
                @if let Some(line) = text.lines().nth(line.saturating_sub(1)) { p { code.wrap { (line) } } }
            }
            p { "Nothing was changed, and your text is kept below." }
        },
    )
}

fn wrong_json(text: &str) -> Option<(usize, String)> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
    Some((error.line(), format!("{what}, at character {}", error.column())))
}

fn wrong_xml(text: &str) -> Option<(usize, String)> {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return None,
            Ok(_) => {}
            Err(error) => {
                let at = usize::try_from(reader.error_position()).unwrap_or_default();
                let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
                return Some((line, error.to_string()));
            }
        }
    }
}

/// The first line that holds what the message names after a colon or in quotes.
fn spoken_of(text: &str, message: &str) -> Option<usize> {
    let message = message.rsplit_once(" (").map_or(message, |(message, _)| message);
    let named = message.split_once(": ").map(|(_, named)| named);
    let quoted = message.split('"').nth(1);
    let line = |named: &str| text.lines().position(|line| line.contains(named)).map(|at| at + 1);
    [named, quoted].into_iter().flatten().filter(|named| named.len() > 1).find_map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let json = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [,]\n}";
        assert_eq!(wrong_json(json).unwrap().0, 3);
        assert_eq!(wrong_json("{}"), None);
        let xml = "<A>\n  <B>\n  </C>\n</A>";
        assert_eq!(wrong_xml(xml).unwrap().0, 3);
        let policy = "{\n  \"Action\": \"s3:GetObjekt\"\n}";
        let said = "Policy has invalid action: s3:GetObjekt (MalformedPolicy)";
        assert_eq!(spoken_of(policy, said), Some(2));
        assert_eq!(spoken_of(policy, "Missing required field Effect (MalformedPolicy)"), None);
    }

    #[test]
    fn an_empty_root_element_counts_as_no_document() {
        for nothing in ["<A/>", "<?xml version=\"1.0\"?>\n<A xmlns=\"x\"/>", "<A xmlns=\"x\"></A>"] {
            assert!(is_empty(nothing), "{nothing}");
        }
        assert!(!is_empty("<A><B>1</B></A>"));
    }
}
