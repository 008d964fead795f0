//! The form of notifications: a table of which webhook is told what, and one that is added.

use super::{Filled, Made, Rules, children, form, removal, unread};
use crate::form::Fields;
use crate::frame::{Tone, field, notice, text_field};
use crate::pages::browser::visible;
use crate::trouble::Trouble;
use crate::visit::Visit;
use maud::{Markup, html};
use quick_xml::escape::escape;
use serde::Deserialize;

/// A `QueueConfiguration` or `TopicConfiguration`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    id: String,
    /// The ARN, whose last part names the webhook.
    #[serde(alias = "Topic")]
    queue: String,
    event: Vec<String>,
    filter: Filter,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filter {
    #[serde(rename = "S3Key")]
    key: KeyFilter,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct KeyFilter {
    filter_rule: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Condition {
    name: String,
    value: String,
}

/// The events that there are, and what each is about.
const EVENTS: [(&str, &str); 6] = [
    ("s3:ObjectCreated:*", "Objects are written, copied or completed"),
    ("s3:ObjectRemoved:*", "Objects are deleted"),
    ("s3:ObjectTagging:*", "Tags are set or taken away"),
    ("s3:ObjectAcl:Put", "Access control lists are set"),
    ("s3:LifecycleExpiration:*", "A lifecycle rule deletes"),
    ("s3:LifecycleTransition", "A lifecycle rule changes a class"),
];

impl Rule {
    fn webhook(&self) -> &str {
        self.queue.rsplit(':').next().unwrap_or_default()
    }

    /// Of which objects it tells, in words.
    fn objects(&self) -> String {
        let told = |condition: &Condition| {
            let how = if condition.name.eq_ignore_ascii_case("suffix") { "end" } else { "begin" };
            format!("names that {how} with {}", visible(&condition.value))
        };
        let words: Vec<String> = self.filter.key.filter_rule.iter().map(told).collect();
        if words.is_empty() { "All".into() } else { words.join("; ") }
    }
}

/// An event in words, or by its name.
fn event(name: &str) -> &str {
    EVENTS.iter().find(|(known, _)| *known == name).map_or(name, |(_, words)| *words)
}

pub fn shown(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let written = filled.set.and_then(children).unwrap_or_default();
    let rules: Vec<Option<Rule>> = written.iter().map(|rule| quick_xml::de::from_str(rule).ok()).collect();
    html! {
        @if rules.is_empty() { p.muted { "Nobody is told of what happens here." } }
        @else { div.scroll tabindex="0" role="region" aria-label="Rules" { table {
            thead { tr { th scope="col" { "Webhook" } th scope="col" { "When" } th scope="col" { "Of which objects" } th scope="col" { span.hidden { "What can be done" } } } }
            tbody { @for rule in rules.iter().flatten() { tr {
                th scope="row" { (visible(rule.webhook())) }
                td { @for name in &rule.event { p { (event(name)) } } }
                td { (rule.objects()) }
                td.acts { (removal(visit, &rule.id)) }
            } } }
        } } }
        @if rules.iter().any(Option::is_none) { (unread()) }
        h2 { "Tell a webhook" }
        (addition(visit, filled))
    }
}

fn addition(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let (webhooks, chosen) = (visit.webhooks(), filled.text("webhook", ""));
    if webhooks.is_empty() {
        return notice(
            Tone::Plain,
            html! { p { "There is no webhook to choose. Who operates the store declares them in its configuration, as " code { "[[webhook]]" } "." } },
        );
    }
    form(
        visit,
        html! {
            (field("webhook", "Webhook", "Those that who operates the store has declared.", html! {
                select id="webhook" name="webhook" {
                    @for name in &webhooks { option value=(name) selected[*name == chosen] { (name) } }
                }
            }))
            fieldset {
                legend { "Tell it when" }
                @for (at, (name, words)) in EVENTS.iter().enumerate() {
                    @let id = format!("event-{at}");
                    div.check {
                        input type="checkbox" id=(id) name="event" value=(name) checked[filled.chose("event", name)];
                        label for=(id) { (words) }
                    }
                }
            }
            div.pair {
                (text_field("prefix", "Names that begin with", "Nothing for all.", &filled.text("prefix", "")))
                (text_field("suffix", "Names that end with", "Nothing for all.", &filled.text("suffix", "")))
            }
            button.primary type="submit" { "Add" }
        },
    )
}

pub fn made(rules: Rules<'_>, fields: &Fields) -> Result<Made, Trouble> {
    match fields.get("remove") {
        "" => Ok(rules.with(&rule(fields)?)),
        id => rules.without(|rule| quick_xml::de::from_str::<Rule>(rule).is_ok_and(|rule| rule.id == id)),
    }
}

/// The rule that was entered.
fn rule(fields: &Fields) -> Result<String, Trouble> {
    let webhook = fields.get("webhook");
    if webhook.is_empty() {
        return Err(Trouble::wrong("Choose the webhook that is told."));
    }
    let events: Vec<String> =
        fields.all("event").map(|event| format!("<Event>{}</Event>", escape(event))).collect();
    if events.is_empty() {
        return Err(Trouble::wrong("Choose what the webhook is told of."));
    }
    let conditions: Vec<String> = ["prefix", "suffix"]
        .into_iter()
        .filter(|name| !fields.get(name).is_empty())
        .map(|name| {
            format!("<FilterRule><Name>{name}</Name><Value>{}</Value></FilterRule>", escape(fields.get(name)))
        })
        .collect();
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!("<Filter><S3Key>{}</S3Key></Filter>", conditions.concat()),
    };
    // Region and account of the ARN mean nothing here.
    Ok(format!(
        "<QueueConfiguration><Queue>arn:aws:sqs:us-east-1::{}</Queue>{}{filter}</QueueConfiguration>",
        escape(webhook),
        events.concat()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_becomes_a_rule_that_is_told_in_words() {
        let entered = Fields::parse(
            b"webhook=ci&event=s3:ObjectCreated:*&event=s3:ObjectAcl:Put&prefix=in%26/&suffix=.jpg",
        );
        let rule: Rule = quick_xml::de::from_str(&rule(&entered).unwrap()).unwrap();
        assert_eq!(rule.webhook(), "ci");
        assert_eq!(rule.event, ["s3:ObjectCreated:*", "s3:ObjectAcl:Put"]);
        assert_eq!(rule.objects(), "names that begin with in&/; names that end with .jpg");
        assert!(super::rule(&Fields::parse(b"webhook=ci")).is_err());
        let topic: Rule = quick_xml::de::from_str(
            "<TopicConfiguration><Id>1</Id><Topic>arn:aws:sns:::x</Topic></TopicConfiguration>",
        )
        .unwrap();
        assert_eq!((topic.webhook(), topic.objects().as_str()), ("x", "All"));
    }
}
