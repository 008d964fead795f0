//! The document of tags, written and read.

use crate::error::S3Error;
use crate::tags::{self, Tagged, Tags};
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;

/// The answer to GetObjectTagging and GetBucketTagging.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tagging<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    tag_set: TagSet<'a>,
}

#[derive(Debug, Serialize)]
struct TagSet<'a> {
    #[serde(rename = "Tag")]
    tags: Vec<Tag<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Tagging<'a> {
    pub fn of(tags: &'a Tags) -> Self {
        let tags = tags.iter().map(|(key, value)| Tag { key, value }).collect();
        Self { xmlns: Namespace, tag_set: TagSet { tags } }
    }
}

/// Reads and checks the tags of the body of PutObjectTagging or PutBucketTagging.
///
/// # Errors
/// `MalformedXML`; those of [`tags::checked`].
pub fn read(body: &[u8], of: Tagged) -> Result<Tags, S3Error> {
    let root = read::document(body, "Tagging")?;
    root.only(&["TagSet"])?;
    let set = root.at_most_one("TagSet")?.ok_or(Malformed::WrongElements)?;
    tags::checked(of, pairs(set)?)
}

/// The keys and values of an element that has `Tag`s; their spaces are kept.
///
/// # Errors
/// [`Malformed`].
pub fn pairs(set: &Element) -> Result<Vec<(String, String)>, Malformed> {
    set.only(&["Tag"])?;
    set.children.iter().map(pair).collect()
}

/// The key and the value of a `Tag`.
///
/// # Errors
/// [`Malformed`].
pub fn pair(tag: &Element) -> Result<(String, String), Malformed> {
    tag.only(&["Key", "Value"])?;
    let text = |name| Ok(tag.text_of(name)?.ok_or(Malformed::WrongElements)?.to_owned());
    Ok((text("Key")?, text("Value")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn tags_are_written_and_read() {
        let tags = Tags::from([("a b".to_owned(), " 1 ".to_owned()), ("c".to_owned(), String::new())]);
        let text = crate::xml::write(&Tagging::of(&tags)).unwrap();
        assert_eq!(read(&text, Tagged::Object).unwrap(), tags);
        let none = crate::xml::write(&Tagging::of(&Tags::new())).unwrap();
        assert!(String::from_utf8_lossy(&none).contains("<TagSet/>"));
        assert_eq!(read(&none, Tagged::Bucket).unwrap(), Tags::new());
    }

    #[test]
    fn a_malformed_document_is_refused() {
        let code = |inside: &str| {
            read(format!("<Tagging>{inside}</Tagging>").as_bytes(), Tagged::Object).unwrap_err().code()
        };
        let tag = "<Tag><Key>a</Key><Value>b</Value></Tag>";
        for wrong in [
            "",
            "<TagSet><Tag><Key>a</Key></Tag></TagSet>",
            "<TagSet><Tag><Value>a</Value></Tag></TagSet>",
            "<TagSet><Tag><Key>a</Key><Key>b</Key><Value/></Tag></TagSet>",
            "<TagSet><Tag><Key>a</Key><Value/><Kind/></Tag></TagSet>",
            "<TagSet><Other/></TagSet>",
            "<TagSet/><TagSet/>",
            "<TagSet/><Other/>",
        ] {
            assert_eq!(code(wrong), Code::MalformedXML, "{wrong}");
        }
        assert_eq!(code(&format!("<TagSet>{tag}{tag}</TagSet>")), Code::InvalidTag);
    }
}
