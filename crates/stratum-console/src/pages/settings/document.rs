//! A bucket's configuration documents, edited as text. When one is saved, the server says what is wrong with it, and
//! this page looks for the line.

mod layout;

use crate::ask::if_there;
use crate::form::Fields;
use crate::frame::{Part, Tone, crumbs, field, notice, token};
use crate::names;
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

    /// The empty document, which takes it away when it is put.
    fn nothing(&self) -> String {
        let root = self.example.trim_start_matches('<').split('>').next().unwrap_or_default();
        format!("<{root}/>")
    }
}

/// Whether a document is nothing but its empty root element.
fn is_empty(text: &str) -> bool {
    let inside = text.split_once("?>").map_or(text, |(_, inside)| inside);
    !inside.trim().trim_start_matches('<').contains("><") && !inside.contains("</")
        || inside.matches('<').count() <= 2
}

fn laid_out_json(text: &str) -> String {
    // A document of several lines was laid out by somebody, and is shown as it is.
    let is_one_line = text.trim().lines().count() < 2;
    let value = serde_json::from_str::<serde_json::Value>(text).ok().filter(|_| is_one_line);
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}

/// `GET /b/{bucket}/settings/{document}`
pub async fn edit(visit: Visit) -> Page {
    let document = Document::named(&visit.item)?;
    let text = document.read(&visit).await?;
    let is_set = text.is_some();
    let text = text.map(|text| if document.is_json() { laid_out_json(&text) } else { laid_out(&text) });
    shown(sheet(&visit, document, text.as_deref().unwrap_or_default(), is_set, None))
}

fn sheet(visit: &Visit, document: &Document, text: &str, is_set: bool, problem: Option<Markup>) -> Markup {
    let settings = names::of_bucket(&visit.bucket, "/settings");
    let here = names::of_bucket(&visit.bucket, &format!("/settings/{}", document.name));
    let way = [
        ("Buckets".into(), crate::HOME.into()),
        (visit.bucket.clone(), names::of_bucket(&visit.bucket, "")),
        ("Settings".into(), settings.clone()),
    ];
    let example = document.example.replace("BUCKET", &visit.bucket);
    let rows = text.lines().count().clamp(14, 34);
    let content = html! {
        (crumbs(&way, document.title))
        div.head { h1 { (document.title) " of " (visit.bucket) } }
        p.muted { (document.hint) }
        @if let Some(problem) = problem { (problem) }
        div.columns {
            div {
                section.card {
                    form method="post" action=(here) {
                        (token(&visit.session))
                        (field("document", if document.is_json() { "JSON" } else { "XML" }, "", html! {
                            textarea id="document" name="document" rows=(rows) spellcheck="false" data-lines { "\n" (text) }
                        }))
                        div.actions {
                            button.primary type="submit" { "Save" }
                            a.button href=(settings) { "Cancel" }
                        }
                    }
                    @if is_set {
                        form method="post" action={ (here) "/remove" } {
                            (token(&visit.session))
                            button.danger type="submit" { "Take it away" }
                        }
                    }
                }
                @if document.name == "policy" { section.card { h2 { "Who may do what?" } (super::tester::form(visit, None)) } }
            }
            div {
                section.card { h2 { "For example" } pre.text tabindex="0" role="region" aria-label="Example" { (example) } }
            }
        }
    };
    visit.frame().page(Part::Buckets, document.title, content)
}

/// `POST /b/{bucket}/settings/{document}`
pub async fn save(visit: Visit, fields: Fields) -> Page {
    let document = Document::named(&visit.item)?;
    let text = fields.get("document");
    let asked = visit.ask().bucket(Method::PUT, &visit.bucket).query(document.query);
    match asked.document(text.trim()).done().await {
        Ok(_) => to(&names::of_bucket(&visit.bucket, "/settings?saved=yes")),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let is_set = matches!(document.state(&visit).await?, State::Set);
            let sheet = sheet(&visit, document, text, is_set, Some(problem(document, text, &trouble)));
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

/// `POST /b/{bucket}/settings/{document}/remove`
pub async fn remove(visit: Visit, _: Fields) -> Page {
    let document = Document::named(&visit.item)?;
    let ask = visit.ask();
    match document.is_deleted {
        true => ask.bucket(Method::DELETE, &visit.bucket).query(document.query).done().await?,
        false => {
            let asked = ask.bucket(Method::PUT, &visit.bucket).query(document.query);
            asked.document(document.nothing()).done().await?
        }
    };
    to(&names::of_bucket(&visit.bucket, "/settings?saved=yes"))
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
