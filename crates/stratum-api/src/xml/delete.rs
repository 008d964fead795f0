//! The documents of DeleteObjects: the request's list of objects, and the answer.

use crate::number;
use crate::xml::read::{self, Element, Malformed};
use crate::xml::{Namespace, is_false};
use serde::Serialize;

/// The most objects that one DeleteObjects may name.
pub const MAX_OBJECTS: usize = 1000;

/// The longest body, in bytes: enough for [`MAX_OBJECTS`] keys of 1,024 bytes with their markup, some of their
/// characters escaped.
pub const MAX_BODY_BYTES: u64 = 2 * 1024 * 1024;

/// The request of DeleteObjects.
#[derive(Debug, PartialEq, Eq)]
pub struct Delete {
    /// Whether the answer is to have only the errors.
    pub quiet: bool,
    pub objects: Vec<ObjectIdentifier>,
}

/// An object to delete, and the conditions under which it is deleted.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectIdentifier {
    pub key: String,
    pub version_id: Option<String>,
    /// As the client wrote it, with its quotes.
    pub etag: Option<String>,
    pub last_modified_time: Option<String>,
    pub size: Option<u64>,
}

impl Delete {
    /// Reads the request's body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let root = read::document(body, "Delete")?;
        root.only(&["Quiet", "Object"])?;
        let quiet = match root.trimmed("Quiet")? {
            None | Some("" | "false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(Malformed::WrongText),
        };
        let objects = root.all("Object").map(ObjectIdentifier::read).collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() || objects.len() > MAX_OBJECTS {
            return Err(Malformed::WrongCount);
        }
        Ok(Self { quiet, objects })
    }
}

impl ObjectIdentifier {
    fn read(object: &Element) -> Result<Self, Malformed> {
        // An unknown element could be a condition. Without it an object would be deleted that the client wants to
        // keep.
        object.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
        let key = object.text_of("Key")?.ok_or(Malformed::WrongElements)?;
        let optional = |name: &str| -> Result<Option<String>, Malformed> {
            Ok(object.trimmed(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let size =
            optional("Size")?.map(|size| number::parse(&size).ok_or(Malformed::WrongText)).transpose()?;
        Ok(Self {
            key: key.to_owned(),
            version_id: optional("VersionId")?,
            etag: optional("ETag")?,
            last_modified_time: optional("LastModifiedTime")?,
            size,
        })
    }
}

/// The answer to DeleteObjects.
#[derive(Debug, Default, Serialize)]
pub struct DeleteResult {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    #[serde(rename = "Deleted")]
    pub deleted: Vec<Deleted>,
    #[serde(rename = "Error")]
    pub errors: Vec<DeleteError>,
}

/// An object that is no longer there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deleted {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub delete_marker: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_marker_version_id: Option<String>,
}

/// An object that could not be deleted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteError {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    pub code: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> ObjectIdentifier {
        ObjectIdentifier {
            key: key.into(),
            version_id: None,
            etag: None,
            last_modified_time: None,
            size: None,
        }
    }

    #[test]
    fn keys_keep_their_spaces_and_elements_come_in_any_order() {
        let xml = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <Object><Key> </Key></Object>\
            <Quiet>true</Quiet>\n<Object><VersionId>null</VersionId><Key>a&#10;&amp;</Key><Size>7</Size></Object></Delete>";
        let delete = Delete::read(xml.as_bytes()).expect("parses");
        let second = ObjectIdentifier { version_id: Some("null".into()), size: Some(7), ..object("a\n&") };
        assert_eq!(delete, Delete { quiet: true, objects: vec![object(" "), second] });
    }

    #[test]
    fn counts_are_checked() {
        let list = |n: usize| format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(n));
        assert_eq!(Delete::read(list(0).as_bytes()), Err(Malformed::WrongCount));
        assert_eq!(Delete::read(list(1000).as_bytes()).map(|delete| delete.objects.len()), Ok(1000));
        assert_eq!(Delete::read(list(1001).as_bytes()), Err(Malformed::WrongCount));
    }

    #[test]
    fn a_malformed_list_is_refused() {
        for xml in [
            "<Delete><Object></Object></Delete>",
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
            "<Delete><Object><Key>a</Key><Size>+5</Size></Object></Delete>",
            "<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
            "<Delete><Object><Key>a</Key><IfMatch>b</IfMatch></Object></Delete>",
            "<Delete><Object><Key>a</Key></Object><Except/></Delete>",
            "<Remove><Object><Key>a</Key></Object></Remove>",
            "{}",
        ] {
            assert!(Delete::read(xml.as_bytes()).is_err(), "{xml}");
        }
    }

    #[test]
    fn the_answer_has_the_deleted_objects_and_the_errors() {
        let answer = DeleteResult {
            xmlns: Namespace,
            deleted: vec![Deleted {
                key: "a\u{1}".into(),
                version_id: None,
                delete_marker: true,
                delete_marker_version_id: Some("null".into()),
            }],
            errors: vec![DeleteError {
                key: "b".into(),
                version_id: Some("null".into()),
                code: "PreconditionFailed".into(),
                message: "no".into(),
            }],
        };
        let text =
            String::from_utf8(crate::xml::write(&answer).expect("serialises").to_vec()).expect("UTF-8");
        let expected = "<Deleted><Key>a\u{fffd}</Key><DeleteMarker>true</DeleteMarker>\
            <DeleteMarkerVersionId>null</DeleteMarkerVersionId></Deleted><Error><Key>b</Key><VersionId>null</VersionId>\
            <Code>PreconditionFailed</Code><Message>no</Message></Error></DeleteResult>";
        assert!(text.ends_with(expected), "{text}");
    }
}
