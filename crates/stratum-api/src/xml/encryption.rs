//! The document of a bucket's default encryption, written and read.

use crate::error::S3Error;
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;
use stratum_metadata::record::{DefaultAlgorithm, DefaultEncryption};

const AES256: &str = "AES256";
const KMS: &str = "aws:kms";

/// The answer to GetBucketEncryption, and the body of PutBucketEncryption.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerSideEncryptionConfiguration {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    rule: Rule,
    #[serde(skip)]
    pub blocked: BlockedEncryption,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    apply_server_side_encryption_by_default: ByDefault,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket_key_enabled: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ByDefault {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: String,
    #[serde(rename = "KMSMasterKeyID", skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// The encryption that a bucket refuses in writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockedEncryption {
    #[default]
    None,
    /// SSE-C.
    Customer,
}

impl ServerSideEncryptionConfiguration {
    pub fn of(default: &DefaultEncryption) -> Self {
        let (algorithm, key) = match &default.algorithm {
            DefaultAlgorithm::S3 => (AES256, None),
            DefaultAlgorithm::Kms(key) => (KMS, key.clone()),
        };
        let by_default = ByDefault { algorithm: algorithm.to_owned(), key };
        let rule = Rule {
            apply_server_side_encryption_by_default: by_default,
            bucket_key_enabled: default.bucket_key,
        };
        Self { xmlns: Namespace, rule, blocked: BlockedEncryption::None }
    }

    /// Reads the request's body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let root = read::document(body, "ServerSideEncryptionConfiguration")?;
        root.only(&["Rule"])?;
        let rule = root.at_most_one("Rule")?.ok_or(Malformed::WrongElements)?;
        rule.only(&["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes"])?;
        let by_default = rule.at_most_one("ApplyServerSideEncryptionByDefault")?;
        let by_default = by_default.ok_or(Malformed::WrongElements)?;
        by_default.only(&["SSEAlgorithm", "KMSMasterKeyID"])?;
        let algorithm = by_default.trimmed("SSEAlgorithm")?.ok_or(Malformed::WrongElements)?;
        let bucket_key_enabled = match rule.trimmed("BucketKeyEnabled")? {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(Malformed::WrongText),
        };
        let key = by_default.trimmed("KMSMasterKeyID")?.filter(|key| !key.is_empty()).map(str::to_owned);
        let by_default = ByDefault { algorithm: algorithm.to_owned(), key };
        let blocked = blocked(rule)?;
        let rule = Rule { apply_server_side_encryption_by_default: by_default, bucket_key_enabled };
        Ok(Self { xmlns: Namespace, rule, blocked })
    }

    /// The default encryption that the document asks for.
    ///
    /// # Errors
    /// `MalformedXML` for an algorithm that S3 doesn't have; `NotImplemented` for one that this server doesn't
    /// implement; `InvalidArgument` for a key where the algorithm takes none.
    pub fn default(self) -> Result<DefaultEncryption, S3Error> {
        let Rule {
            apply_server_side_encryption_by_default: ByDefault { algorithm, key },
            bucket_key_enabled,
        } = self.rule;
        let algorithm = match (algorithm.as_str(), key) {
            (AES256, None) => DefaultAlgorithm::S3,
            (AES256, Some(key)) => {
                let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or \
                     aws:kms:dsse";
                return Err(S3Error::invalid_argument("KMSMasterKeyID", key, message));
            }
            (KMS, key) => DefaultAlgorithm::Kms(key),
            (unbuilt @ ("aws:kms:dsse" | "aws:fsx"), _) => {
                return Err(S3Error::not_implemented(&format!("Server-side encryption {unbuilt}")));
            }
            _ => return Err(Malformed::WrongText.into()),
        };
        Ok(DefaultEncryption { algorithm, bucket_key: bucket_key_enabled })
    }
}

/// The encryption that a rule blocks.
fn blocked(rule: &Element) -> Result<BlockedEncryption, Malformed> {
    let mut blocked = BlockedEncryption::None;
    if let Some(types) = rule.at_most_one("BlockedEncryptionTypes")? {
        types.only(&["EncryptionType"])?;
        for kind in &types.children {
            match kind.text()?.trim() {
                "NONE" => {}
                "SSE-C" => blocked = BlockedEncryption::Customer,
                _ => return Err(Malformed::WrongText),
            }
        }
    }
    Ok(blocked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn read(rule: &str) -> Result<DefaultEncryption, Code> {
        let body = format!("<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>");
        let read = ServerSideEncryptionConfiguration::read(body.as_bytes()).map_err(S3Error::from);
        read.and_then(ServerSideEncryptionConfiguration::default).map_err(|error| error.code())
    }

    fn rule(inside: &str) -> String {
        format!(
            "<Rule><ApplyServerSideEncryptionByDefault>{inside}</ApplyServerSideEncryptionByDefault></Rule>"
        )
    }

    #[test]
    fn a_default_encryption_is_written_and_read() {
        let kms =
            DefaultEncryption { algorithm: DefaultAlgorithm::Kms(Some("k".into())), bucket_key: Some(true) };
        let text = crate::xml::write(&ServerSideEncryptionConfiguration::of(&kms)).unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let rule = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
            <KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
            <BucketKeyEnabled>true</BucketKeyEnabled></Rule>";
        assert!(text.contains(rule), "{text}");
        assert_eq!(read(rule), Ok(kms));
        let s3 = DefaultEncryption { algorithm: DefaultAlgorithm::S3, bucket_key: None };
        assert_eq!(read(&self::rule("<SSEAlgorithm>AES256</SSEAlgorithm>")), Ok(s3));
    }

    #[test]
    fn a_malformed_document_is_refused() {
        for (inside, code) in [
            ("", Code::MalformedXML),
            ("<SSEAlgorithm>AES128</SSEAlgorithm>", Code::MalformedXML),
            ("<SSEAlgorithm>AES256</SSEAlgorithm><Except/>", Code::MalformedXML),
            ("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>", Code::NotImplemented),
            ("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>", Code::InvalidArgument),
        ] {
            assert_eq!(read(&rule(inside)), Err(code), "{inside}");
        }
        let good = rule("<SSEAlgorithm>AES256</SSEAlgorithm>");
        assert_eq!(read(&format!("{good}{good}")), Err(Code::MalformedXML));
        assert_eq!(read("<Rule/>"), Err(Code::MalformedXML));
        assert_eq!(read(""), Err(Code::MalformedXML));
    }

    #[test]
    fn a_blocked_encryption_is_read() {
        let body = |kind: &str| {
            let blocked = format!(
                "<BlockedEncryptionTypes><EncryptionType>{kind}</EncryptionType></BlockedEncryptionTypes></Rule>"
            );
            let rule = rule("<SSEAlgorithm>AES256</SSEAlgorithm>").replace("</Rule>", &blocked);
            format!("<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>")
        };
        let blocked =
            |kind| ServerSideEncryptionConfiguration::read(body(kind).as_bytes()).map(|read| read.blocked);
        assert_eq!(blocked("NONE"), Ok(BlockedEncryption::None));
        assert_eq!(blocked("SSE-C"), Ok(BlockedEncryption::Customer));
        assert_eq!(blocked("other"), Err(Malformed::WrongText));
        assert_eq!(
            blocked("NONE</EncryptionType><Except>SSE-C</Except><EncryptionType>NONE"),
            Err(Malformed::Unknown("Except".into()))
        );
    }
}
