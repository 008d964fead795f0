//! The access control list that every bucket and object has: its owner's full control.

use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use serde::Serialize;

/// The answer to GetBucketAcl and GetObjectAcl.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessControlPolicy {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    owner: Owner,
    access_control_list: AccessControlList,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessControlList {
    grant: Grant,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Grantee,
    permission: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Grantee {
    #[serde(rename = "@xmlns:xsi")]
    schema: &'static str,
    #[serde(rename = "@xsi:type")]
    kind: &'static str,
    #[serde(rename = "ID")]
    id: String,
    display_name: String,
}

impl AccessControlPolicy {
    /// The owner's full control, and nobody else's anything.
    pub fn private(owner: Owner) -> Self {
        let grantee = Grantee {
            schema: "http://www.w3.org/2001/XMLSchema-instance",
            kind: "CanonicalUser",
            id: owner.id.clone(),
            display_name: owner.display_name.clone(),
        };
        let grant = Grant { grantee, permission: "FULL_CONTROL" };
        Self { xmlns: Namespace, owner, access_control_list: AccessControlList { grant } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_has_full_control() {
        let owner = Owner { id: "o".into(), display_name: "O".into() };
        let text = crate::xml::write(&AccessControlPolicy::private(owner)).unwrap();
        let expected = "<Owner><ID>o</ID><DisplayName>O</DisplayName></Owner><AccessControlList><Grant>\
            <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
            <ID>o</ID><DisplayName>O</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>\
            </AccessControlList></AccessControlPolicy>";
        assert!(String::from_utf8(text.to_vec()).unwrap().ends_with(expected), "{text:?}");
    }
}
