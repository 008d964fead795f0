//! The answers about configurations that no bucket has (see `ops::unconfigured`).

use crate::xml::Namespace;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// A document with an empty root element.
#[derive(Clone, Copy, Debug)]
pub struct Empty(&'static str);

impl Empty {
    pub fn named(root: &'static str) -> Self {
        Self(root)
    }
}

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut root = serializer.serialize_struct(self.0, 1)?;
        root.serialize_field("@xmlns", &Namespace)?;
        root.end()
    }
}

/// The only page of an empty list.
#[derive(Clone, Copy, Debug)]
pub struct List(&'static str);

impl List {
    pub fn named(root: &'static str) -> Self {
        Self(root)
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut root = serializer.serialize_struct(self.0, 2)?;
        root.serialize_field("@xmlns", &Namespace)?;
        root.serialize_field("IsTruncated", &false)?;
        root.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_element_has_the_name_that_is_given() {
        let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let empty = text(crate::xml::write(&Empty::named("BucketLoggingStatus")).unwrap());
        assert!(
            empty.ends_with("<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
            "{empty}"
        );
        let list = text(crate::xml::write(&List::named("ListBucketMetricsConfigurationsResult")).unwrap());
        assert!(list.contains("<IsTruncated>false</IsTruncated>"), "{list}");
    }
}
