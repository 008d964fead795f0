//! The XML documents that pages write themselves. Texts that go into them are escaped.

use quick_xml::escape::escape;
use std::fmt::Write;

/// SSE-S3 by default.
pub const ENCRYPTION: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
    <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";

pub fn versioning(is_on: bool) -> String {
    let status = if is_on { "Enabled" } else { "Suspended" };
    format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
}

/// Tags of a bucket or an object.
pub fn tagging<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("<Tagging><TagSet>");
    for (key, value) in tags {
        let _ = write!(text, "<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(key), escape(value));
    }
    text + "</TagSet></Tagging>"
}

/// Objects that are to be deleted, some by their versions.
pub fn delete<'a>(objects: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("<Delete><Quiet>true</Quiet>");
    for (key, version) in objects {
        let _ = write!(text, "<Object><Key>{}</Key>", escaped(key));
        if !version.is_empty() {
            let _ = write!(text, "<VersionId>{}</VersionId>", escape(version));
        }
        text.push_str("</Object>");
    }
    text + "</Delete>"
}

/// Escapes a key, line ends and tabs too, which parsers may change.
fn escaped(key: &str) -> String {
    escape(key).replace('\t', "&#9;").replace('\n', "&#10;").replace('\r', "&#13;")
}

/// Whether XML can carry a key at all.
pub fn can_carry(key: &str) -> bool {
    key.chars().all(|char| matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
}

/// The parts of which an upload is completed.
pub fn complete<'a>(parts: impl IntoIterator<Item = (u32, &'a str)>) -> String {
    let mut text = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        let _ = write!(text, "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escape(etag));
    }
    text + "</CompleteMultipartUpload>"
}

/// The retention of a version; an empty mode takes it away.
pub fn retention(mode: &str, until: &str) -> String {
    match mode.is_empty() {
        true => "<Retention/>".into(),
        false => format!(
            "<Retention><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            escape(mode),
            escape(until)
        ),
    }
}

pub fn legal_hold(is_on: bool) -> &'static str {
    if is_on {
        "<LegalHold><Status>ON</Status></LegalHold>"
    } else {
        "<LegalHold><Status>OFF</Status></LegalHold>"
    }
}
