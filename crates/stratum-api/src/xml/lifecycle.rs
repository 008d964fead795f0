//! The document of a bucket's lifecycle, written and read.

use crate::error::{Code, S3Error};
use crate::headers::{storage_class_name, storage_class_of};
use crate::number;
use crate::text::{Timestamp, parse_iso_8601};
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use crate::xml::tagging::pair;
use serde::Serialize;
use std::collections::BTreeMap;
use stratum_lifecycle::{
    Expiration, Filter, FilterForm, NoncurrentExpiration, NoncurrentTransition, Rule, Rules, Transition, When,
};
use stratum_metadata::record::StorageClass;

/// The answer to GetBucketLifecycleConfiguration.
#[derive(Debug, Serialize)]
#[serde(rename = "LifecycleConfiguration")]
pub struct LifecycleConfiguration<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    #[serde(rename = "Rule")]
    rules: Vec<RuleElement<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename = "Rule", rename_all = "PascalCase")]
struct RuleElement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<ExpirationElement>,
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterElement<'a>>,
    status: &'static str,
    #[serde(rename = "Transition")]
    transitions: Vec<TransitionElement>,
    #[serde(rename = "NoncurrentVersionTransition")]
    noncurrent_transitions: Vec<NoncurrentElement>,
    #[serde(rename = "NoncurrentVersionExpiration", skip_serializing_if = "Option::is_none")]
    noncurrent_expiration: Option<NoncurrentElement>,
    #[serde(rename = "AbortIncompleteMultipartUpload", skip_serializing_if = "Option::is_none")]
    abortion: Option<Abortion>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExpirationElement {
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_object_delete_marker: Option<bool>,
}

/// A filter: its conditions, or an element `And` that has them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FilterElement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    #[serde(rename = "Tag")]
    tags: Vec<Tag<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_size_greater_than: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_size_less_than: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    and: Option<Box<FilterElement<'a>>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransitionElement {
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    storage_class: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NoncurrentElement {
    noncurrent_days: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    newer_noncurrent_versions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Abortion {
    days_after_initiation: u32,
}

impl<'a> LifecycleConfiguration<'a> {
    pub fn of(rules: &'a Rules) -> Self {
        Self { xmlns: Namespace, rules: rules.rules.iter().map(RuleElement::of).collect() }
    }
}

impl<'a> RuleElement<'a> {
    fn of(rule: &'a Rule) -> Self {
        let is_of_prefix = rule.filter.form == FilterForm::Prefix;
        let noncurrent = |transition: &NoncurrentTransition| NoncurrentElement {
            noncurrent_days: transition.days,
            newer_noncurrent_versions: transition.keep_newer,
            storage_class: Some(storage_class_name(transition.class)),
        };
        let transition = |transition: &Transition| {
            let (days, date) = split(transition.when);
            TransitionElement { days, date, storage_class: storage_class_name(transition.class) }
        };
        Self {
            expiration: rule.expiration.map(ExpirationElement::of),
            id: &rule.id,
            prefix: is_of_prefix.then_some(&rule.filter.prefix),
            filter: (!is_of_prefix).then(|| FilterElement::of(&rule.filter)),
            status: if rule.is_enabled { "Enabled" } else { "Disabled" },
            transitions: rule.transitions.iter().map(transition).collect(),
            noncurrent_transitions: rule.noncurrent_transitions.iter().map(noncurrent).collect(),
            noncurrent_expiration: rule.noncurrent_expiration.map(|expiration| NoncurrentElement {
                noncurrent_days: expiration.days,
                newer_noncurrent_versions: expiration.keep_newer,
                storage_class: None,
            }),
            abortion: rule.abort_uploads_after.map(|days| Abortion { days_after_initiation: days }),
        }
    }
}

/// The time of an action as its element `Days` or its element `Date`.
fn split(when: When) -> (Option<u32>, Option<Timestamp>) {
    match when {
        When::Days(days) => (Some(days), None),
        When::Date(date) => (None, Some(Timestamp(date))),
    }
}

impl ExpirationElement {
    fn of(expiration: Expiration) -> Self {
        match expiration {
            Expiration::At(when) => {
                let (days, date) = split(when);
                Self { days, date, ..Self::default() }
            }
            Expiration::DeleteMarkers => Self { expired_object_delete_marker: Some(true), ..Self::default() },
        }
    }
}

impl<'a> FilterElement<'a> {
    fn of(filter: &'a Filter) -> Self {
        let tags: Vec<_> = filter.tags.iter().map(|(key, value)| Tag { key, value }).collect();
        let has_others = !tags.is_empty() || filter.larger_than.is_some() || filter.smaller_than.is_some();
        let predicates = FilterElement {
            // A filter without any condition is written as one by an empty prefix.
            prefix: (!filter.prefix.is_empty() || !has_others).then_some(&filter.prefix),
            tags,
            object_size_greater_than: filter.larger_than,
            object_size_less_than: filter.smaller_than,
            and: None,
        };
        match filter.form {
            FilterForm::And => Self { and: Some(Box::new(predicates)), ..Self::default() },
            FilterForm::One | FilterForm::Prefix => predicates,
        }
    }
}

/// Reads and checks the rules of a document. `new_id` makes the id of a rule that has none.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` or `InvalidRequest` for rules that S3 doesn't allow.
pub fn read(body: &[u8], new_id: impl FnMut() -> String) -> Result<Rules, S3Error> {
    let root = read::document(body, "LifecycleConfiguration")?;
    root.only(&["Rule"])?;
    let mut new_id = new_id;
    let rules: Vec<_> =
        root.children.iter().map(|element| rule(element, &mut new_id)).collect::<Result<_, _>>()?;
    let rules = Rules::from(rules);
    rules.check().map_err(|invalid| S3Error::new(code(&invalid)).message(invalid.to_string()))?;
    Ok(rules)
}

fn code(invalid: &stratum_lifecycle::Invalid) -> Code {
    use stratum_lifecycle::Invalid::{Count, MixedTimes, NoAction, Sizes, WithSizes, WithTags};
    match invalid {
        Count => Code::MalformedXML,
        NoAction | Sizes | WithTags(_) | WithSizes(_) | MixedTimes => Code::InvalidRequest,
        _ => Code::InvalidArgument,
    }
}

/// The elements that a rule may have.
const ELEMENTS: [&str; 9] = [
    "ID",
    "Prefix",
    "Filter",
    "Status",
    "Expiration",
    "Transition",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransition",
    "AbortIncompleteMultipartUpload",
];

fn rule(element: &Element, new_id: &mut impl FnMut() -> String) -> Result<Rule, S3Error> {
    element.only(&ELEMENTS)?;
    let is_enabled = match element.trimmed("Status")? {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(Malformed::WrongText.into()),
    };
    let id = element.trimmed("ID")?.filter(|id| !id.is_empty()).map(str::to_owned);
    let one = |name| element.at_most_one(name);
    Ok(Rule {
        id: id.unwrap_or_else(new_id),
        is_enabled,
        filter: filter(element)?,
        expiration: one("Expiration")?.map(expiration).transpose()?,
        transitions: element.all("Transition").map(transition).collect::<Result<_, _>>()?,
        noncurrent_expiration: one("NoncurrentVersionExpiration")?.map(noncurrent_expiration).transpose()?,
        noncurrent_transitions: element
            .all("NoncurrentVersionTransition")
            .map(noncurrent_transition)
            .collect::<Result<_, _>>()?,
        abort_uploads_after: one("AbortIncompleteMultipartUpload")?.map(abortion).transpose()?,
    })
}

fn filter(rule: &Element) -> Result<Filter, S3Error> {
    let prefix = rule.text_of("Prefix")?;
    match (prefix, rule.at_most_one("Filter")?) {
        (Some(prefix), None) => {
            Ok(Filter { form: FilterForm::Prefix, prefix: prefix.to_owned(), ..Filter::default() })
        }
        // A rule with neither would apply to every object, and the rule may delete them. So S3 demands one, if only
        // an empty one.
        (None, None) | (Some(_), Some(_)) => Err(Malformed::WrongElements.into()),
        (None, Some(filter)) => {
            if filter.children.len() > 1 {
                return Err(Malformed::WrongElements.into());
            }
            match filter.at_most_one("And")? {
                Some(and) => predicates(and, FilterForm::And),
                None => predicates(filter, FilterForm::One),
            }
        }
    }
}

fn predicates(of: &Element, form: FilterForm) -> Result<Filter, S3Error> {
    of.only(&["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"])?;
    let mut tags = BTreeMap::new();
    for tag in of.all("Tag") {
        let (key, value) = pair(tag)?;
        if tags.insert(key, value).is_some() {
            return Err(S3Error::new(Code::InvalidRequest).message("Duplicate Tag Keys are not allowed."));
        }
    }
    let size = |name| {
        let text = of.trimmed(name)?;
        text.map(|text| number::parse(text).ok_or(Malformed::WrongText)).transpose()
    };
    Ok(Filter {
        form,
        prefix: of.text_of("Prefix")?.unwrap_or_default().to_owned(),
        tags,
        larger_than: size("ObjectSizeGreaterThan")?,
        smaller_than: size("ObjectSizeLessThan")?,
    })
}

fn expiration(element: &Element) -> Result<Expiration, S3Error> {
    element.only(&["Days", "Date", "ExpiredObjectDeleteMarker"])?;
    match element.trimmed("ExpiredObjectDeleteMarker")? {
        None => when(element).map(Expiration::At),
        Some(_) if element.children.len() > 1 => Err(Malformed::WrongElements.into()),
        Some("true") => Ok(Expiration::DeleteMarkers),
        // With `false` the rule would have no action.
        Some("false") => {
            Err(S3Error::new(Code::InvalidRequest).message("ExpiredObjectDeleteMarker must be true."))
        }
        Some(_) => Err(Malformed::WrongText.into()),
    }
}

fn transition(element: &Element) -> Result<Transition, S3Error> {
    element.only(&["Days", "Date", "StorageClass"])?;
    Ok(Transition { when: when(element)?, class: class(element)? })
}

fn noncurrent_expiration(element: &Element) -> Result<NoncurrentExpiration, S3Error> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let (days, keep_newer) = noncurrent(element)?;
    Ok(NoncurrentExpiration { days, keep_newer })
}

fn noncurrent_transition(element: &Element) -> Result<NoncurrentTransition, S3Error> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])?;
    let (days, keep_newer) = noncurrent(element)?;
    Ok(NoncurrentTransition { days, keep_newer, class: class(element)? })
}

fn noncurrent(element: &Element) -> Result<(u32, Option<u32>), S3Error> {
    let days = days(element.trimmed("NoncurrentDays")?.ok_or(Malformed::WrongElements)?)?;
    let keep = element.trimmed("NewerNoncurrentVersions")?;
    let keep = keep.map(|text| number::parse(text).ok_or(Malformed::WrongText)).transpose()?;
    Ok((days, keep))
}

fn abortion(element: &Element) -> Result<u32, S3Error> {
    element.only(&["DaysAfterInitiation"])?;
    days(element.trimmed("DaysAfterInitiation")?.ok_or(Malformed::WrongElements)?)
}

fn when(element: &Element) -> Result<When, S3Error> {
    match (element.trimmed("Days")?, element.trimmed("Date")?) {
        (Some(text), None) => days(text).map(When::Days),
        (None, Some(text)) => {
            // S3 doesn't take ISO 8601's basic form, which has no dashes.
            let date = parse_iso_8601(text).filter(|_| text.contains('-'));
            Ok(When::Date(date.ok_or(Malformed::WrongText)?))
        }
        (_, _) => Err(Malformed::WrongElements.into()),
    }
}

fn days(text: &str) -> Result<u32, S3Error> {
    let number = number::parse(text).filter(|days| i32::try_from(*days).is_ok());
    number.ok_or_else(|| S3Error::new(Code::InvalidArgument).message("'Days' must be a positive integer"))
}

fn class(element: &Element) -> Result<StorageClass, S3Error> {
    let name = element.trimmed("StorageClass")?.ok_or(Malformed::WrongElements)?;
    Ok(storage_class_of(name).ok_or(Malformed::WrongText)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &str) -> Result<Rules, Code> {
        let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        read(document.as_bytes(), || "made".into()).map_err(|error| error.code())
    }

    fn one(inside: &str) -> Result<Rules, Code> {
        of(&format!("<Rule><ID>r</ID><Status>Enabled</Status>{inside}</Rule>"))
    }

    const EXPIRES: &str = "<Expiration><Days>1</Days></Expiration>";

    #[test]
    fn rules_are_written_and_read() {
        for inside in [
            format!("<Prefix>a &amp; b/</Prefix>{EXPIRES}"),
            format!("<Filter/>{EXPIRES}"),
            format!("<Filter><Prefix/></Filter>{EXPIRES}"),
            format!("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>{EXPIRES}"),
            format!("<Filter><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></Filter>{EXPIRES}"),
            format!(
                "<Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value/></Tag>\
                 <ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>{EXPIRES}"
            ),
            "<Prefix/><Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>\
             <Transition><Date>2029-01-01</Date><StorageClass>GLACIER</StorageClass></Transition>"
                .into(),
            "<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
             <NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>STANDARD_IA</StorageClass>\
             </NoncurrentVersionTransition><NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>\
             <NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
                .into(),
        ] {
            let rules = one(&inside).unwrap_or_else(|code| panic!("{code:?} {inside}"));
            let text = crate::xml::write(&LifecycleConfiguration::of(&rules)).unwrap();
            assert_eq!(read(&text, || "made".into()).unwrap(), rules, "{inside}");
        }
    }

    #[test]
    fn rules_that_aren_t_allowed_are_refused() {
        use Code::{InvalidArgument, InvalidRequest, MalformedXML};
        for (wrong, code) in [
            ("<Prefix/>".to_owned(), InvalidRequest),
            (format!("<Prefix/><Filter/>{EXPIRES}"), MalformedXML),
            (EXPIRES.into(), MalformedXML),
            (
                format!(
                    "<Prefix/>{EXPIRES}<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"
                ),
                InvalidArgument,
            ),
            (format!("<Other/>{EXPIRES}"), MalformedXML),
            (format!("<Filter><Prefix>a</Prefix><Prefix>b</Prefix></Filter>{EXPIRES}"), MalformedXML),
            ("<Prefix/><Expiration><Days>0</Days></Expiration>".into(), InvalidArgument),
            ("<Prefix/><Expiration><Days>-1</Days></Expiration>".into(), InvalidArgument),
            ("<Prefix/><Expiration><Date>20200101</Date></Expiration>".into(), MalformedXML),
            ("<Prefix/><Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>".into(), MalformedXML),
            (
                "<Prefix/><Transition><Days>1</Days><StorageClass>COLD</StorageClass></Transition>".into(),
                MalformedXML,
            ),
        ] {
            assert_eq!(one(&wrong), Err(code), "{wrong}");
        }
        assert_eq!(
            of(&format!("<Rule><Status>enabled</Status><Prefix/>{EXPIRES}</Rule>")),
            Err(MalformedXML)
        );
        assert_eq!(of(""), Err(MalformedXML));
        let named = of(&format!("<Rule><Status>Disabled</Status><Prefix/>{EXPIRES}</Rule>")).unwrap();
        assert_eq!((named.rules[0].id.as_str(), named.rules[0].is_enabled), ("made", false));
    }
}
