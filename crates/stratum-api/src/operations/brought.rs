//! What requests bring beside what their operation needs: headers, documents and sources of copies that take a right of their own.
//!
//! An operation's row says which of these it can bring; nothing else of a request takes a right. Whoever makes a header mean
//! something puts it here or says that it brings nothing (the test below), and the matrix of rights tries all of it.

use crate::operation::Need::{Here, OfEach, OfSource};
use crate::operation::{Bearer, Because, Brings, Need};
use crate::rights::BYPASS;
use crate::tags;

const EVERYBODY: &str = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
const ETAG: &str = "\"0123456789abcdef0123456789abcdef\"";

const fn header(
    name: &'static str,
    example: &'static str,
    needs: &'static [Need],
    because: Because,
) -> Brings {
    Brings { by: Bearer::Header { name, example, idle: None }, needs, because }
}

const fn gives(name: &'static str, example: &'static str, needs: &'static [Need]) -> Brings {
    header(name, example, needs, Because::Gives)
}

/// Gives, but for a value that says what is so without it.
const fn gives_unless(
    idle: &'static str,
    name: &'static str,
    example: &'static str,
    needs: &'static [Need],
) -> Brings {
    Brings { by: Bearer::Header { name, example, idle: Some(idle) }, needs, because: Because::Gives }
}

const fn lets_in(name: &'static str, example: &'static str) -> Brings {
    header(name, example, &[Here("s3:PutObjectAcl")], Because::LetsIn)
}

const fn asks(name: &'static str, example: &'static str) -> Brings {
    header(name, example, &[Here("s3:GetObject")], Because::Asks)
}

/// What a version is to have.
pub const OF_A_VERSION: &[Brings] = &[
    gives(tags::HEADER, "a=b", &[Here("s3:PutObjectTagging")]),
    gives("x-amz-object-lock-mode", "GOVERNANCE", &[Here("s3:PutObjectRetention")]),
    gives("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z", &[Here("s3:PutObjectRetention")]),
    gives("x-amz-object-lock-legal-hold", "ON", &[Here("s3:PutObjectLegalHold")]),
    lets_in("x-amz-acl", "public-read"),
    lets_in("x-amz-grant-full-control", EVERYBODY),
    lets_in("x-amz-grant-read", EVERYBODY),
    lets_in("x-amz-grant-read-acp", EVERYBODY),
    lets_in("x-amz-grant-write", EVERYBODY),
    lets_in("x-amz-grant-write-acp", EVERYBODY),
];

/// What a copy has from its source.
pub const OF_A_COPY: &[Brings] = &[Brings {
    by: Bearer::TaggedSource,
    needs: &[OfSource("s3:GetObjectTagging"), Here("s3:PutObjectTagging")],
    because: Because::Gives,
}];

/// What a write asks of what is there.
pub const CONDITIONS: &[Brings] = &[asks("if-match", ETAG), asks("if-none-match", ETAG)];

/// What a deletion asks of what is there.
pub const CONDITIONS_OF_DELETION: &[Brings] = &[
    asks("if-match", ETAG),
    asks("if-none-match", ETAG),
    asks("x-amz-if-match-last-modified-time", "Sun, 06 Nov 1994 08:49:37 GMT"),
    asks("x-amz-if-match-size", "1"),
];

/// The same, of each object that a document names.
pub const CONDITIONS_ON_EACH: &[Brings] = &[Brings {
    by: Bearer::Document("<Delete><Object><Key>k</Key><Size>1</Size></Object></Delete>"),
    needs: &[OfEach("s3:GetObject")],
    because: Because::Asks,
}];

/// What lifts a retention in governance mode.
pub const BYPASSING: &[Brings] =
    &[header(BYPASS, "true", &[Here("s3:BypassGovernanceRetention")], Because::Lifts)];

/// What a bucket begins with takes the rights that giving it later would.
pub const OF_A_NEW_BUCKET: &[Brings] = {
    const LIST: &[Need] = &[Here("s3:PutBucketAcl")];
    const LOCK: &[Need] = &[Here("s3:PutBucketObjectLockConfiguration"), Here("s3:PutBucketVersioning")];
    &[
        gives_unless("private", "x-amz-acl", "public-read", LIST),
        gives("x-amz-grant-full-control", EVERYBODY, LIST),
        gives("x-amz-grant-read", EVERYBODY, LIST),
        gives("x-amz-grant-read-acp", EVERYBODY, LIST),
        gives("x-amz-grant-write", EVERYBODY, LIST),
        gives("x-amz-grant-write-acp", EVERYBODY, LIST),
        gives("x-amz-object-ownership", "ObjectWriter", &[Here("s3:PutBucketOwnershipControls")]),
        gives_unless("false", "x-amz-bucket-object-lock-enabled", "true", LOCK),
        Brings {
            by: Bearer::Document(
                "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>",
            ),
            needs: &[Here("s3:PutBucketTagging")],
            because: Because::Gives,
        },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::is_heeded;
    use crate::operation::Operation;
    use crate::operations;
    use std::collections::BTreeSet;

    /// Headers that writes heed and that take no right: how bytes come and are kept, what is said of an object, what is asked of a
    /// request as a whole. What is copied takes the rights of its operation's row, and a key of KMS is the key service's.
    const BRING_NOTHING: [&str; 19] = [
        "bucket-namespace",
        "checksum-",
        "confirm-remove-self-bucket-access",
        "copy-source",
        "expected-bucket-owner",
        "meta-",
        "metadata-directive",
        "mp-object-size",
        "object-annotation-directive",
        "optional-object-attributes",
        "request-payer",
        "sdk-checksum-algorithm",
        "server-side-encryption",
        "skip-destination-validation",
        "source-expected-bucket-owner",
        "storage-class",
        "tagging-directive",
        "transition-default-minimum-object-size",
        "website-redirect-location",
    ];

    fn brings_header(operation: &Operation, header: &str) -> bool {
        operation.brings().any(|brings| matches!(brings.by, Bearer::Header { name, .. } if name == header))
    }

    /// A list that another list is replaced by is what its operation is about.
    fn is_own(operation: &Operation, header: &str) -> bool {
        let is_list = header == "x-amz-acl" || header.starts_with("x-amz-grant-");
        is_list && matches!(operation.name, "PutBucketAcl" | "PutObjectAcl")
    }

    /// Whoever makes a header mean something has to say here whether that takes a right; then the matrix tries it.
    #[test]
    fn every_header_that_a_write_heeds_brings_a_right_or_is_known_to_bring_none() {
        let names = include_str!("../headers/s3-headers.txt").lines();
        let of_http = ["if-match", "if-none-match", "if-unmodified-since"];
        for name in names.chain(of_http) {
            let rest = name.trim_start_matches("x-amz-");
            let brings_none = BRING_NOTHING.iter().any(|begin| rest.starts_with(begin));
            for row in operations::all().filter(|row| row.is_write() && is_heeded(name, row)) {
                let brings = brings_header(row, name) || is_own(row, name);
                assert!(brings != brings_none, "{} {name}: {brings} {brings_none}", row.name);
            }
        }
    }

    #[test]
    fn what_an_operation_brings_it_heeds_and_says_once() {
        for row in operations::all() {
            let mut names = BTreeSet::new();
            for brings in row.brings() {
                assert!(row.is_write(), "{} {brings:?}", row.name);
                if let Bearer::Header { name, .. } = brings.by {
                    assert!(is_heeded(name, row), "{} {brings:?}", row.name);
                    assert!(names.insert(name), "{} {brings:?}", row.name);
                }
            }
        }
    }
}
