//! The documents of object lock: a bucket's configuration, a version's retention and its legal hold.

use crate::error::{Code, S3Error};
use crate::lock::{hold_name, mode_name, parse_hold, parse_mode};
use crate::number;
use crate::text::{Deadline, parse_iso_8601};
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;
use stratum_metadata::record::{DefaultRetention, LegalHold, ObjectLock, Retention, RetentionPeriod};

/// The longest default retention in days: a hundred years.
const MOST_DAYS: u32 = 36_500;
/// The longest default retention in years.
const MOST_YEARS: u32 = 100;

/// The answer to GetObjectLockConfiguration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectLockConfiguration {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    object_lock_enabled: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    default_retention: DefaultElement,
}

#[derive(Debug, Serialize)]
#[serde(rename = "DefaultRetention", rename_all = "PascalCase")]
struct DefaultElement {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    years: Option<u32>,
}

impl ObjectLockConfiguration {
    pub fn of(lock: &ObjectLock) -> Self {
        let rule = lock.default.map(|DefaultRetention { mode, period }| {
            let (days, years) = match period {
                RetentionPeriod::Days(days) => (Some(days), None),
                RetentionPeriod::Years(years) => (None, Some(years)),
            };
            Rule { default_retention: DefaultElement { mode: mode_name(mode), days, years } }
        });
        Self { xmlns: Namespace, object_lock_enabled: "Enabled", rule }
    }
}

/// Reads the body of PutObjectLockConfiguration.
///
/// # Errors
/// `MalformedXML`; `InvalidRetentionPeriod`.
pub fn read_configuration(body: &[u8]) -> Result<ObjectLock, S3Error> {
    let root = read::document(body, "ObjectLockConfiguration")?;
    root.only(&["ObjectLockEnabled", "Rule"])?;
    if root.trimmed("ObjectLockEnabled")? != Some("Enabled") {
        return Err(Malformed::WrongText.into());
    }
    let Some(rule) = root.at_most_one("Rule")? else { return Ok(ObjectLock { default: None }) };
    rule.only(&["DefaultRetention"])?;
    let default = rule.at_most_one("DefaultRetention")?.ok_or(Malformed::WrongElements)?;
    Ok(ObjectLock { default: Some(read_default(default)?) })
}

fn read_default(default: &Element) -> Result<DefaultRetention, S3Error> {
    default.only(&["Mode", "Days", "Years"])?;
    let mode = default.trimmed("Mode")?.and_then(parse_mode).ok_or(Malformed::WrongText)?;
    let bounded = |text: &str, most: u32| {
        let number = number::parse(text).filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| {
            let message =
                "Default retention period must be a positive integer value of at most a hundred years";
            S3Error::new(Code::InvalidRetentionPeriod).message(message)
        })
    };
    let period = match (default.trimmed("Days")?, default.trimmed("Years")?) {
        (Some(days), None) => RetentionPeriod::Days(bounded(days, MOST_DAYS)?),
        (None, Some(years)) => RetentionPeriod::Years(bounded(years, MOST_YEARS)?),
        (_, _) => return Err(Malformed::WrongElements.into()),
    };
    Ok(DefaultRetention { mode, period })
}

/// The answer to GetObjectRetention.
#[derive(Debug, Serialize)]
#[serde(rename = "Retention", rename_all = "PascalCase")]
pub struct RetentionDocument {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    mode: &'static str,
    retain_until_date: Deadline,
}

impl RetentionDocument {
    pub fn of(retention: Retention) -> Self {
        let Retention { mode, until } = retention;
        Self { xmlns: Namespace, mode: mode_name(mode), retain_until_date: Deadline(until) }
    }
}

/// Reads the body of PutObjectRetention. An empty document removes the retention.
///
/// # Errors
/// [`Malformed`].
pub fn read_retention(body: &[u8]) -> Result<Option<Retention>, Malformed> {
    let root = read::document(body, "Retention")?;
    root.only(&["Mode", "RetainUntilDate"])?;
    match (root.trimmed("Mode")?, root.trimmed("RetainUntilDate")?) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode).ok_or(Malformed::WrongText)?;
            let until = parse_iso_8601(until).ok_or(Malformed::WrongText)?;
            Ok(Some(Retention { mode, until }))
        }
        (_, _) => Err(Malformed::WrongElements),
    }
}

/// The answer to GetObjectLegalHold.
#[derive(Debug, Serialize)]
#[serde(rename = "LegalHold", rename_all = "PascalCase")]
pub struct LegalHoldDocument {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    status: &'static str,
}

impl LegalHoldDocument {
    pub fn of(hold: LegalHold) -> Self {
        Self { xmlns: Namespace, status: hold_name(hold) }
    }
}

/// Reads the body of PutObjectLegalHold.
///
/// # Errors
/// [`Malformed`].
pub fn read_legal_hold(body: &[u8]) -> Result<LegalHold, Malformed> {
    let root = read::document(body, "LegalHold")?;
    root.only(&["Status"])?;
    root.trimmed("Status")?.and_then(parse_hold).ok_or(Malformed::WrongText)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::RetentionMode;

    fn configuration(inside: &str) -> Result<ObjectLock, Code> {
        let document = format!("<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>");
        read_configuration(document.as_bytes()).map_err(|error| error.code())
    }

    fn rule(inside: &str) -> Result<ObjectLock, Code> {
        let rule = format!("<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>");
        configuration(&format!("<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}"))
    }

    #[test]
    fn a_configuration_is_written_and_read() {
        let mode = RetentionMode::Governance;
        for period in [RetentionPeriod::Days(36_500), RetentionPeriod::Years(1)] {
            let lock = ObjectLock { default: Some(DefaultRetention { mode, period }) };
            let text = crate::xml::write(&ObjectLockConfiguration::of(&lock)).unwrap();
            assert_eq!(read_configuration(&text).unwrap(), lock);
        }
        let without = ObjectLock { default: None };
        let text = crate::xml::write(&ObjectLockConfiguration::of(&without)).unwrap();
        assert_eq!(read_configuration(&text).unwrap(), without);
    }

    #[test]
    fn a_configuration_that_isn_t_allowed_is_refused() {
        use Code::{InvalidRetentionPeriod, MalformedXML};
        for wrong in ["", "<ObjectLockEnabled>Disabled</ObjectLockEnabled>", "<Rule/>"] {
            assert_eq!(configuration(wrong), Err(MalformedXML), "{wrong}");
        }
        for (wrong, code) in [
            ("<Mode>GOVERNANCE</Mode>", MalformedXML),
            ("<Mode>governance</Mode><Days>1</Days>", MalformedXML),
            ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", MalformedXML),
            ("<Mode>GOVERNANCE</Mode><Days>0</Days>", InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Years>101</Years>", InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Days>1</Days><Hours>1</Hours>", MalformedXML),
        ] {
            assert_eq!(rule(wrong), Err(code), "{wrong}");
        }
    }

    #[test]
    fn a_retention_and_a_legal_hold_are_written_and_read() {
        let retention = Retention { mode: RetentionMode::Compliance, until: 1_893_456_000_000 };
        let text = crate::xml::write(&RetentionDocument::of(retention)).unwrap();
        assert_eq!(read_retention(&text), Ok(Some(retention)));
        assert_eq!(read_retention(b"<Retention/>"), Ok(None));
        for wrong in
            ["<Mode>COMPLIANCE</Mode>", "<Mode>x</Mode><RetainUntilDate>2030-01-01</RetainUntilDate>"]
        {
            assert!(read_retention(format!("<Retention>{wrong}</Retention>").as_bytes()).is_err(), "{wrong}");
        }
        let text = crate::xml::write(&LegalHoldDocument::of(LegalHold::Off)).unwrap();
        assert_eq!(read_legal_hold(&text), Ok(LegalHold::Off));
        assert!(read_legal_hold(b"<LegalHold><Status>on</Status></LegalHold>").is_err());
    }
}
