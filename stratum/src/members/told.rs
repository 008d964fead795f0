//! The results of IAM's actions, as far as the commands show them.

use serde::Deserialize;

/// The result of an action that is only done; nothing of it is shown.
#[derive(Debug, Deserialize)]
pub struct Done {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedKey {
    pub access_key: AccessKey,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// A list in IAM's XML, whose items are elements `<member>`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

/// Defines a page of a list. Each list action has an element of a different name around its items.
macro_rules! page {
    ($name:ident, $items:literal, $item:ty) => {
        #[derive(Debug, Deserialize)]
        pub struct $name {
            #[serde(rename = $items)]
            items: Members<$item>,
            #[serde(rename = "Marker")]
            marker: Option<String>,
        }

        impl $name {
            /// The items, and the marker of the next page, if there is one.
            pub fn into_page(self) -> (Vec<$item>, Option<String>) {
                (self.items.member, self.marker)
            }
        }
    };
}

page!(Users, "Users", User);
page!(Groups, "Groups", Group);
page!(Keys, "AccessKeyMetadata", Key);
page!(Names, "PolicyNames", String);
page!(AttachedPolicies, "AttachedPolicies", Attached);
page!(Policies, "Policies", Policy);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    pub user_name: String,
    pub arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FoundUser {
    pub user: Bounded,
}

/// A user's permissions boundary, if there is one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bounded {
    pub permissions_boundary: Option<Boundary>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Boundary {
    pub permissions_boundary_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    pub group_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    pub access_key_id: String,
    pub status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attached {
    pub policy_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    pub policy_name: String,
    pub arn: String,
    pub default_version_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersion {
    policy_version: Version,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    document: String,
}

impl PolicyVersion {
    /// The policy's document, which IAM sends percent-encoded.
    pub fn document(&self) -> String {
        percent_encoding::percent_decode_str(&self.policy_version.document).decode_utf8_lossy().into_owned()
    }
}
