//! The message that a webhook receives: S3's own, version 2.1, with up to [`MAX_RECORDS`] records.
//!
//! The events of one webhook are sent in the order in which they happened, so a message holds a run of them. A test
//! event is a message by itself, as in S3.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use stratum_metadata::record::{EventKind, EventRecord, VersionId};
use stratum_storage::ambient::UnixMillis;

/// Records in a message, at most.
pub const MAX_RECORDS: usize = 32;

/// Keys are encoded as in an HTML form, with `+` for a space.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// A message's text, and how many events it reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub json: String,
    pub events: usize,
}

/// Makes events into messages, in the same order.
pub fn messages(events: &[EventRecord]) -> Vec<Message> {
    let is_test = |event: &EventRecord| event.kind == EventKind::TestEvent;
    events
        .chunk_by(|one, next| !is_test(one) && !is_test(next))
        .flat_map(|run| run.chunks(MAX_RECORDS))
        .map(|run| {
            let json = match run {
                [test] if is_test(test) => test_event(test),
                run => json!({ "Records": run.iter().map(record).collect::<Vec<_>>() }),
            };
            Message { json: json.to_string(), events: run.len() }
        })
        .collect()
}

fn test_event(event: &EventRecord) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": time(event.about.time),
        "Bucket": event.about.bucket,
        "RequestId": event.about.request,
        "HostId": event.about.request,
    })
}

fn record(event: &EventRecord) -> Value {
    let about = &event.about;
    let key = utf8_percent_encode(&String::from_utf8_lossy(&about.key), KEPT).to_string().replace(' ', "+");
    let mut object = json!({ "key": key, "sequencer": format!("{:016X}", event.sequencer) });
    if let Some(of) = &event.object {
        object["size"] = of.size.into();
        object["eTag"] = of.etag.as_str().into();
    }
    if let Some(version) = about.version.filter(|version| *version != VersionId::NULL) {
        object["versionId"] = version.to_string().into();
    }
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": about.region,
        "eventTime": time(about.time),
        "eventName": event.kind.name(),
        "userIdentity": { "principalId": about.by },
        "requestParameters": { "sourceIPAddress": about.source },
        "responseElements": { "x-amz-request-id": about.request, "x-amz-id-2": about.request },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.rule,
            "bucket": {
                "name": about.bucket,
                "ownerIdentity": { "principalId": about.owner },
                "arn": format!("arn:aws:s3:::{}", about.bucket),
            },
            "object": object,
        },
    })
}

/// ISO 8601 with milliseconds.
fn time(at: UnixMillis) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000);
    at.ok().and_then(|at| at.format(&format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{EventObject, Happening};

    fn event(kind: EventKind, sequencer: u64) -> EventRecord {
        let about = Happening {
            bucket: "photos".into(),
            owner: "ann".into(),
            region: "us-east-1".into(),
            key: "a b/\u{e9}+.jpg".into(),
            version: Some(VersionId(u128::from(sequencer))),
            time: 1_700_000_000_123,
            by: "bob".into(),
            source: "192.0.2.1".into(),
            request: "0123456789ABCDEF".into(),
        };
        let object = Some(EventObject { size: 5, etag: "abc".into() });
        EventRecord { kind, rule: "rule".into(), about, object, sequencer }
    }

    #[test]
    fn a_record_is_s3_s_own() {
        let [message] = messages(&[event(EventKind::ObjectCreatedPut, 300)]).try_into().unwrap();
        let told: Value = serde_json::from_str(&message.json).unwrap();
        let record = &told["Records"][0];
        assert_eq!(record["eventVersion"], "2.1");
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["eventTime"], "2023-11-14T22:13:20.123Z");
        assert_eq!(record["userIdentity"]["principalId"], "bob");
        assert_eq!(record["requestParameters"]["sourceIPAddress"], "192.0.2.1");
        let s3 = &record["s3"];
        assert_eq!((&s3["configurationId"], &s3["bucket"]["name"]), (&"rule".into(), &"photos".into()));
        assert_eq!(s3["bucket"]["arn"], "arn:aws:s3:::photos");
        assert_eq!(s3["object"]["key"], "a+b/%C3%A9%2B.jpg");
        assert_eq!((&s3["object"]["size"], &s3["object"]["eTag"]), (&5.into(), &"abc".into()));
        assert_eq!(s3["object"]["versionId"], VersionId(300).to_string());
        assert_eq!(s3["object"]["sequencer"], "000000000000012C");
    }

    #[test]
    fn records_go_together_and_a_test_event_by_itself() {
        let mut events: Vec<_> = (0..40).map(|at| event(EventKind::ObjectRemovedDelete, at)).collect();
        events.insert(3, event(EventKind::TestEvent, 100));
        let told = messages(&events);
        assert_eq!(told.iter().map(|message| message.events).collect::<Vec<_>>(), [3, 1, 32, 5]);
        let test: Value = serde_json::from_str(&told[1].json).unwrap();
        assert_eq!((&test["Event"], &test["Bucket"]), (&"s3:TestEvent".into(), &"photos".into()));
        assert_eq!(messages(&[]), []);
    }
}
