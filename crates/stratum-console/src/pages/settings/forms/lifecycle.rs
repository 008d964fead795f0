//! The form of lifecycle rules: a table of those that there are, and one that is added.

use super::{Filled, Made, Rules, children, form, removal, unread};
use crate::ask::Tag;
use crate::form::Fields;
use crate::frame::{Tone, badge, field, text_field};
use crate::pages::browser::visible;
use crate::shown::{bytes, counted, time};
use crate::trouble::Trouble;
use crate::visit::Visit;
use maud::{Markup, html};
use quick_xml::escape::escape;
use serde::Deserialize;
use std::fmt::Write;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    #[serde(rename = "ID")]
    id: String,
    status: String,
    /// A prefix directly in the rule, as in the first version of S3's schema.
    prefix: Option<String>,
    filter: Filter,
    expiration: Option<When>,
    transition: Vec<When>,
    noncurrent_version_expiration: Option<When>,
    noncurrent_version_transition: Vec<When>,
    abort_incomplete_multipart_upload: Option<When>,
}

/// One condition, or several within `And`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    prefix: Option<String>,
    tag: Vec<Tag>,
    object_size_greater_than: Option<u64>,
    object_size_less_than: Option<u64>,
    and: Option<Box<Filter>>,
}

/// What an action of a rule says of its time, and the class where it changes that.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct When {
    days: Option<u64>,
    date: Option<String>,
    expired_object_delete_marker: Option<bool>,
    noncurrent_days: Option<u64>,
    newer_noncurrent_versions: Option<u64>,
    days_after_initiation: Option<u64>,
    storage_class: Option<String>,
}

/// The classes that an object can change to, with what each means here.
const CLASSES: [(&str, &str); 3] = [
    ("STANDARD_IA", "STANDARD_IA, in the warm tier"),
    ("GLACIER_IR", "GLACIER_IR, in the cold tier"),
    ("DEEP_ARCHIVE", "DEEP_ARCHIVE, in the cold tier"),
];

pub fn shown(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let written = filled.set.and_then(children).unwrap_or_default();
    let rules: Vec<Option<Rule>> = written.iter().map(|rule| quick_xml::de::from_str(rule).ok()).collect();
    let text = |name: &str| filled.text(name, "");
    let class = text("class");
    html! {
        @if rules.is_empty() { p.muted { "There are no rules: nothing expires, and nothing changes its class." } }
        @else { div.scroll tabindex="0" role="region" aria-label="Rules" { table {
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Of which objects" } th scope="col" { "What is done" } th scope="col" { span.hidden { "What can be done" } } } }
            tbody { @for rule in rules.iter().flatten() { tr {
                th scope="row" { (visible(&rule.id)) @if rule.status != "Enabled" { " " (badge(Tone::Careful, "off")) } }
                td { (rule.objects()) }
                td { @for done in rule.done() { p { (done) } } }
                td.acts { (removal(visit, &rule.id)) }
            } } }
        } } }
        @if rules.iter().any(Option::is_none) { (unread()) }
        h2 { "Add a rule" }
        (form(visit, html! {
            div.pair {
                (text_field("id", "Name", "Nothing for one that is made up.", &text("id")))
                (text_field("prefix", "Objects whose names begin with", "Nothing for all of the bucket.", &text("prefix")))
            }
            div.pair {
                (text_field("expire", "Delete after days", "Since it was written. Where versions are kept, it becomes an older one.", &text("expire")))
                (text_field("noncurrent", "Delete older versions after days", "Since a newer one took its place.", &text("noncurrent")))
            }
            div.pair {
                (text_field("move", "Change the class after days", "Since it was written.", &text("move")))
                (field("class", "To the class", "", html! {
                    select id="class" name="class" {
                        @for (name, words) in CLASSES { option value=(name) selected[name == class] { (words) } }
                    }
                }))
            }
            (text_field("abort", "Abort uploads after days", "Those that were begun in parts and never completed.", &text("abort")))
            button.primary type="submit" { "Add rule" }
        }))
    }
}

impl Rule {
    /// Which objects the rule is about, in words.
    fn objects(&self) -> String {
        let conditions = self.filter.and.as_deref().unwrap_or(&self.filter);
        let prefix = self.prefix.as_ref().or(conditions.prefix.as_ref());
        let mut words = Vec::new();
        if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) {
            words.push(format!("names that begin with {}", visible(prefix)));
        }
        for tag in &conditions.tag {
            words.push(format!("tag {}={}", visible(&tag.key), visible(&tag.value)));
        }
        words.extend(conditions.object_size_greater_than.map(|size| format!("larger than {}", bytes(size))));
        words.extend(conditions.object_size_less_than.map(|size| format!("smaller than {}", bytes(size))));
        if words.is_empty() { "All".into() } else { words.join("; ") }
    }

    /// What is done with them, a sentence each.
    fn done(&self) -> Vec<String> {
        let mut done = Vec::new();
        for moved in &self.transition {
            done.push(format!("To {} {}.", moved.class(), moved.told("after it was written")));
        }
        if let Some(expiration) = &self.expiration {
            done.push(match expiration.expired_object_delete_marker {
                Some(true) => "A delete marker goes with the last version.".into(),
                _ => format!("Deleted {}.", expiration.told("after it was written")),
            });
        }
        for moved in &self.noncurrent_version_transition {
            done.push(format!(
                "Older versions to {} {}.",
                moved.class(),
                moved.told("after a newer one came")
            ));
        }
        if let Some(expiration) = &self.noncurrent_version_expiration {
            done.push(format!("Older versions deleted {}.", expiration.told("after a newer one came")));
        }
        if let Some(abortion) = &self.abort_incomplete_multipart_upload {
            done.push(format!("Uploads aborted {}.", abortion.told("after they began")));
        }
        done
    }
}

impl When {
    fn class(&self) -> &str {
        self.storage_class.as_deref().unwrap_or_default()
    }

    fn told(&self, after: &str) -> String {
        let days = self.days.or(self.noncurrent_days).or(self.days_after_initiation);
        let when = match (days, &self.date) {
            (Some(days), _) => format!("{} {after}", counted(days, "day")),
            (None, Some(date)) => return format!("on {}", time(date)),
            (None, None) => return String::new(),
        };
        match self.newer_noncurrent_versions {
            Some(newer) => format!("{when}, but the newest {}", counted(newer, "older version")),
            None => when,
        }
    }
}

pub fn made(rules: Rules<'_>, fields: &Fields) -> Result<Made, Trouble> {
    match fields.get("remove") {
        "" => Ok(rules.with(&rule(fields)?)),
        id => rules.without(|rule| quick_xml::de::from_str::<Rule>(rule).is_ok_and(|rule| rule.id == id)),
    }
}

/// The rule that was entered.
fn rule(fields: &Fields) -> Result<String, Trouble> {
    let days = |name: &str, called: &str| fields.number(name, called);
    let mut done = String::new();
    let mut wrote = |element: &str, within: String| {
        let _ = write!(done, "<{element}>{within}</{element}>");
    };
    if let Some(days) = days("expire", "Delete after")? {
        wrote("Expiration", format!("<Days>{days}</Days>"));
    }
    if let Some(days) = days("move", "Change the class after")? {
        let known = CLASSES.iter().find(|(name, _)| *name == fields.get("class"));
        let (class, _) = known.ok_or_else(|| Trouble::wrong("Choose the class that objects change to."))?;
        wrote("Transition", format!("<Days>{days}</Days><StorageClass>{class}</StorageClass>"));
    }
    if let Some(days) = days("noncurrent", "Delete older versions after")? {
        wrote("NoncurrentVersionExpiration", format!("<NoncurrentDays>{days}</NoncurrentDays>"));
    }
    if let Some(days) = days("abort", "Abort uploads after")? {
        wrote("AbortIncompleteMultipartUpload", format!("<DaysAfterInitiation>{days}</DaysAfterInitiation>"));
    }
    if done.is_empty() {
        return Err(Trouble::wrong("A rule does something: say after how many days."));
    }
    let (id, prefix) = (fields.get("id").trim(), fields.get("prefix"));
    let id = if id.is_empty() { String::new() } else { format!("<ID>{}</ID>", escape(id)) };
    Ok(format!(
        "<Rule>{id}<Status>Enabled</Status><Filter><Prefix>{}</Prefix></Filter>{done}</Rule>",
        escape(prefix)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: &str) -> Rule {
        quick_xml::de::from_str(rule).unwrap()
    }

    #[test]
    fn a_rule_is_told_in_sentences() {
        let rule = read(
            "<Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>logs/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
             <Tag><Key>l</Key><Value>w</Value></Tag><ObjectSizeGreaterThan>2048</ObjectSizeGreaterThan></And></Filter>\
             <Transition><Days>3</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration><Date>2026-12-01T00:00:00Z</Date></Expiration>\
             <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>",
        );
        assert_eq!(rule.objects(), "names that begin with logs/; tag k=v; tag l=w; larger than 2.0 KiB");
        assert_eq!(
            rule.done(),
            [
                "To GLACIER 3 days after it was written.",
                "Deleted on 2026-12-01 00:00.",
                "Older versions deleted 1 day after a newer one came, but the newest 2 older versions.",
            ]
        );
        let rule = read(
            "<Rule><ID>b</ID><Prefix/><Status>Disabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>",
        );
        assert_eq!((rule.objects().as_str(), rule.done().len()), ("All", 1));
    }

    #[test]
    fn what_was_entered_becomes_a_rule() {
        let entered = Fields::parse(b"id=%3Ca%3E&prefix=x%26y&expire=30&abort=7&class=STANDARD_IA");
        let made = rule(&entered).unwrap();
        let read = read(&made);
        assert_eq!((read.id.as_str(), read.objects().as_str()), ("<a>", "names that begin with x&y"));
        assert_eq!(
            read.done(),
            ["Deleted 30 days after it was written.", "Uploads aborted 7 days after they began."]
        );
        for wrong in ["id=a", "expire=soon", "move=3&class=OTHER"] {
            assert!(rule(&Fields::parse(wrong.as_bytes())).is_err(), "{wrong}");
        }
    }
}
