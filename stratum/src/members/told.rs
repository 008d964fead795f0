//! What IAM answers, as far as the commands show it.

use serde::Deserialize;

/// A result of which nothing is shown.
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

/// A list inside a document.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

/// A page of a list: its items stand under a name of their own.
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
            /// The items, and where the next page begins, if there is one.
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
    /// The policy's text.
    pub fn document(&self) -> String {
        percent_encoding::percent_decode_str(&self.policy_version.document).decode_utf8_lossy().into_owned()
    }
}
