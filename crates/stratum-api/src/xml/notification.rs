//! The document of a bucket's notifications, written and read.

use crate::error::{Code, S3Error};
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;
use stratum_events::{Destination, EventName, Filter, Invalid, Rule, Rules, UnknownEvent};

/// The answer to GetBucketNotificationConfiguration.
#[derive(Debug, Serialize)]
#[serde(rename = "NotificationConfiguration", rename_all = "PascalCase")]
pub struct NotificationConfiguration<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    topic_configuration: Vec<Configuration<'a>>,
    queue_configuration: Vec<Configuration<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    event: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterElement<'a>>,
}

#[derive(Debug, Serialize)]
struct FilterElement<'a> {
    #[serde(rename = "S3Key")]
    key: KeyFilter<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyFilter<'a> {
    filter_rule: Vec<FilterRule<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FilterRule<'a> {
    name: &'static str,
    value: &'a str,
}

impl<'a> NotificationConfiguration<'a> {
    pub fn of(rules: &'a Rules) -> Self {
        let is_topic = |rule: &&Rule| matches!(rule.destination, Destination::Topic { .. });
        let (topics, queues): (Vec<&Rule>, Vec<&Rule>) = rules.0.iter().partition(is_topic);
        Self {
            xmlns: Namespace,
            topic_configuration: topics.into_iter().map(Configuration::of).collect(),
            queue_configuration: queues.into_iter().map(Configuration::of).collect(),
        }
    }
}

impl<'a> Configuration<'a> {
    fn of(rule: &'a Rule) -> Self {
        let (topic, queue) = match &rule.destination {
            Destination::Topic { arn, .. } => (Some(arn.as_str()), None),
            Destination::Queue { arn, .. } => (None, Some(arn.as_str())),
        };
        let Filter { prefix, suffix } = &rule.filter;
        let rules = [("Prefix", prefix), ("Suffix", suffix)];
        let filter_rule: Vec<_> = rules
            .into_iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| FilterRule { name, value }))
            .collect();
        Self {
            id: &rule.id,
            topic,
            queue,
            event: rule.events.iter().map(|event| event.name()).collect(),
            filter: (!filter_rule.is_empty()).then_some(FilterElement { key: KeyFilter { filter_rule } }),
        }
    }
}

/// Reads and checks the rules of a document. `new_id` makes the id of a rule that has none.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for rules that S3 doesn't allow; `NotImplemented` for destinations that aren't
/// webhooks, and for events that never happen on this server.
pub fn read(body: &[u8], mut new_id: impl FnMut() -> String) -> Result<Rules, S3Error> {
    let root = read::document(body, "NotificationConfiguration")?;
    let mut rules = Vec::new();
    for element in &root.children {
        rules.push(match element.name.as_str() {
            "QueueConfiguration" => rule(element, "Queue", "sqs", &mut new_id)?,
            "TopicConfiguration" => rule(element, "Topic", "sns", &mut new_id)?,
            "CloudFunctionConfiguration" | "LambdaFunctionConfiguration" => {
                return Err(S3Error::not_implemented("Telling a Lambda function"));
            }
            "EventBridgeConfiguration" => return Err(S3Error::not_implemented("Telling EventBridge")),
            _ => return Err(Malformed::WrongElements.into()),
        });
    }
    let rules = Rules(rules);
    rules.check().map_err(|invalid| S3Error::new(code(invalid)).message(invalid.to_string()))?;
    Ok(rules)
}

fn code(invalid: Invalid) -> Code {
    match invalid {
        Invalid::NoEvent => Code::MalformedXML,
        Invalid::Count | Invalid::LongId | Invalid::SameId | Invalid::Overlap => Code::InvalidArgument,
    }
}

fn rule(
    element: &Element,
    kind: &'static str,
    service: &str,
    new_id: &mut impl FnMut() -> String,
) -> Result<Rule, S3Error> {
    element.only(&["Id", kind, "Event", "Filter"])?;
    let arn = element.trimmed(kind)?.ok_or(Malformed::WrongElements)?;
    let webhook = Destination::webhook_of(arn, service)
        .ok_or_else(|| S3Error::invalid_argument(kind, arn, "The ARN is not well formed"))?;
    let (arn, webhook) = (arn.to_owned(), webhook.to_owned());
    let destination = match kind {
        "Topic" => Destination::Topic { arn, webhook },
        _ => Destination::Queue { arn, webhook },
    };
    let events =
        element.all("Event").map(|event| self::event(event.text()?.trim())).collect::<Result<_, _>>()?;
    let id = element.trimmed("Id")?.filter(|id| !id.is_empty());
    let filter = element.at_most_one("Filter")?.map(filter).transpose()?.unwrap_or_default();
    Ok(Rule { id: id.map_or_else(new_id, str::to_owned), destination, events, filter })
}

fn event(name: &str) -> Result<EventName, S3Error> {
    EventName::parse(name).map_err(|error| match error {
        UnknownEvent::NeverHere => S3Error::not_implemented(&format!("The event {name}")),
        UnknownEvent::NotOne => {
            S3Error::invalid_argument("Event", name, "The event is not supported for notifications")
        }
    })
}

fn filter(element: &Element) -> Result<Filter, S3Error> {
    element.only(&["S3Key"])?;
    let mut filter = Filter::default();
    let Some(key) = element.at_most_one("S3Key")? else { return Ok(filter) };
    key.only(&["FilterRule"])?;
    for rule in &key.children {
        rule.only(&["Name", "Value"])?;
        let name = rule.trimmed("Name")?.ok_or(Malformed::WrongElements)?;
        let value = rule.text_of("Value")?.ok_or(Malformed::WrongElements)?.to_owned();
        let place = match name.to_ascii_lowercase().as_str() {
            "prefix" => &mut filter.prefix,
            "suffix" => &mut filter.suffix,
            _ => {
                let message = "filter rule name must be either prefix or suffix";
                return Err(S3Error::invalid_argument("FilterRule.Name", name.to_owned(), message));
            }
        };
        if place.replace(value).is_some() {
            let message =
                "Cannot specify more than one prefix rule, or more than one suffix rule, in a filter.";
            return Err(S3Error::invalid_argument("FilterRule", name.to_owned(), message));
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inside: &str) -> Result<Rules, Code> {
        let text = format!("<NotificationConfiguration>{inside}</NotificationConfiguration>");
        read(text.as_bytes(), || "made".into()).map_err(|error| error.code())
    }

    fn queue(inside: &str) -> String {
        format!("<QueueConfiguration><Queue>arn:aws:sqs:::hook</Queue>{inside}</QueueConfiguration>")
    }

    #[test]
    fn a_document_is_written_and_read() {
        let filter = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>in /</Value></FilterRule>\
             <FilterRule><Name>Suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";
        let rules = of(&queue(&format!("<Event>s3:ObjectCreated:*</Event>{filter}"))).unwrap();
        assert_eq!(rules.0[0].id, "made");
        let written = crate::xml::text(&NotificationConfiguration::of(&rules)).unwrap();
        let written = String::from_utf8(written.to_vec()).unwrap();
        assert!(written.contains("<Value>in /</Value>"), "{written}");
        assert_eq!(read(written.as_bytes(), || unreachable!()).unwrap(), rules);
        assert_eq!(of("").unwrap(), Rules::default());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let put = "<Event>s3:ObjectCreated:Put</Event>";
        assert_eq!(of(&queue("")), Err(Code::MalformedXML));
        assert_eq!(of(&queue("<Event>s3:ObjectCreated</Event>")), Err(Code::InvalidArgument));
        assert_eq!(of(&queue("<Event>s3:ObjectRestore:*</Event>")), Err(Code::NotImplemented));
        assert_eq!(of("<EventBridgeConfiguration/>"), Err(Code::NotImplemented));
        assert_eq!(of("<CloudFunctionConfiguration/>"), Err(Code::NotImplemented));
        assert_eq!(of("<Other/>"), Err(Code::MalformedXML));
        assert_eq!(of(&format!("{}{}", queue(put), queue(put))), Err(Code::InvalidArgument));
        let arn = "<QueueConfiguration><Queue>http://169.254.169.254/</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>";
        assert_eq!(of(arn), Err(Code::InvalidArgument));
        let rule = |name: &str| format!("<FilterRule><Name>{name}</Name><Value>a</Value></FilterRule>");
        let filtered = |rules: &str| of(&queue(&format!("{put}<Filter><S3Key>{rules}</S3Key></Filter>")));
        assert_eq!(filtered(&rule("infix")), Err(Code::InvalidArgument));
        assert_eq!(filtered(&rule("prefix").repeat(2)), Err(Code::InvalidArgument));
    }
}
