//! The managed policies that every account has from the beginning. They lie in the account `aws`, as AWS's own do.
//!
//! They are the four that object stores usually have, and those of AWS's that mean the same here as at AWS.

use std::sync::{Arc, LazyLock};
use stratum_policy::Policy;

/// A managed policy that exists without anybody having made it.
#[derive(Debug)]
pub struct Canned {
    pub name: &'static str,
    pub description: &'static str,
    pub document: &'static str,
}

/// A policy that allows these actions on every resource.
macro_rules! allow {
    ($($action:literal),+) => {
        concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["#,
            allow!(@list $($action),+),
            r#"],"Resource":"*"}]}"#
        )
    };
    (@list $first:literal $(, $rest:literal)*) => {
        concat!("\"", $first, "\"" $(, ",\"", $rest, "\"")*)
    };
}

/// All such policies, by name.
pub const CANNED: [Canned; 9] = [
    Canned {
        name: "AdministratorAccess",
        description: "Everything that the account may",
        document: allow!("*"),
    },
    Canned { name: "AmazonS3FullAccess", description: "All of S3", document: allow!("s3:*") },
    Canned {
        name: "AmazonS3ReadOnlyAccess",
        description: "Reads and lists buckets and objects",
        document: allow!("s3:Get*", "s3:List*"),
    },
    Canned { name: "IAMFullAccess", description: "All of IAM", document: allow!("iam:*") },
    Canned {
        name: "IAMReadOnlyAccess",
        description: "Reads and lists users, groups, roles and policies",
        document: allow!("iam:Get*", "iam:List*"),
    },
    Canned { name: "admin", description: "Everything that the account may", document: allow!("*") },
    Canned {
        name: "readonly",
        description: "Reads and lists buckets and objects",
        document: allow!("s3:Get*", "s3:List*"),
    },
    Canned { name: "readwrite", description: "All of S3", document: allow!("s3:*") },
    Canned {
        name: "writeonly",
        description: "Writes objects, and reads none",
        document: allow!(
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:GetBucketLocation"
        ),
    },
];

/// What stands before the name in their ARNs.
const PREFIX: &str = "arn:aws:iam::aws:policy/";

static POLICIES: LazyLock<Vec<Option<Arc<Policy>>>> = LazyLock::new(|| {
    let parsed = |canned: &Canned| Policy::parse_identity(canned.document.as_bytes()).ok().map(Arc::new);
    CANNED.iter().map(parsed).collect()
});

impl Canned {
    pub fn arn(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    pub fn by_arn(arn: &str) -> Option<&'static Canned> {
        let name = arn.strip_prefix(PREFIX)?;
        CANNED.iter().find(|canned| canned.name == name)
    }

    /// The policy, parsed.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        let at = CANNED.iter().position(|canned| canned.name == self.name)?;
        POLICIES.get(at).cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_canned_policy_can_be_judged_and_is_found_by_its_arn() {
        for canned in &CANNED {
            assert!(canned.policy().is_some(), "{}", canned.name);
            assert_eq!(Canned::by_arn(&canned.arn()).map(|found| found.name), Some(canned.name));
        }
        assert!(CANNED.iter().map(|canned| canned.name).is_sorted());
        assert!(Canned::by_arn("arn:aws:iam::aws:policy/other").is_none());
    }
}
