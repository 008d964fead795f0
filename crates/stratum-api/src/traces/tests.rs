//! Tests of which requests are traced, of which trace they are a part, and what a trace tells.

use super::*;
use stratum_storage::ambient::Simulated;

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Traced>>);

impl TraceSink for Kept {
    fn tell(&self, traced: Traced) {
        self.0.lock().push(traced);
    }
}

fn traces(share: f64) -> (Traces, Arc<Kept>, Arc<Simulated>) {
    let (kept, ambient) = (Arc::new(Kept::default()), Arc::new(Simulated::new(1_000, 7)));
    let share = Share::new(share).unwrap();
    (Traces::new(kept.clone(), share, ambient.clone(), ambient.clone()), kept, ambient)
}

fn came(bucket: &str) -> Came<'_> {
    Came {
        request: RequestId::from_u64(1),
        is_signed: true,
        operation: "PutObject",
        method: &Method::PUT,
        bucket: Some(bucket),
        status: StatusCode::OK,
        error: None,
    }
}

fn said(flags: &str) -> HeaderMap {
    let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    [(http::HeaderName::from_static("traceparent"), text.parse().unwrap())].into_iter().collect()
}

#[test]
fn a_signed_request_joins_its_clients_trace_and_an_unsigned_one_gets_a_new_trace() {
    let (traces, ..) = traces(1.0);
    let trace = traces.begin(&said("01"));
    let joined = trace.name(true).unwrap();
    assert_eq!(joined.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(joined.parent.unwrap().to_string(), "00f067aa0ba902b7");
    let own = trace.name(false).unwrap();
    assert!(own.trace != joined.trace && own.parent.is_none());
}

#[test]
fn a_client_can_have_its_request_not_traced_but_never_traced() {
    let (all, ..) = traces(1.0);
    assert!(all.begin(&said("00")).name(true).is_none());
    assert!(all.begin(&said("00")).name(false).is_some(), "a stranger decides nothing");
    let (none, ..) = traces(0.0);
    let few = traces(0.1).0;
    let taken = |traces: &Traces, headers: &HeaderMap| {
        (0..1000).filter(|_| traces.begin(headers).name(true).is_some()).count()
    };
    assert_eq!(taken(&none, &said("01")), 0);
    for headers in [said("01"), HeaderMap::new()] {
        let count = taken(&few, &headers);
        assert!((50..200).contains(&count), "{count}");
    }
}

#[test]
fn stages_lie_within_their_request_and_are_bounded() {
    let (traces, kept, ambient) = traces(1.0);
    let trace = traces.begin(&HeaderMap::new());
    ambient.advance(Duration::from_millis(5));
    let receiving = trace.stage("receive");
    ambient.advance(Duration::from_millis(20));
    drop(receiving);
    ambient.advance(Duration::from_millis(1));
    trace.end(trace.name(true).unwrap(), &came("bucket"));
    let traced = kept.0.lock().pop().unwrap();
    let [stage] = traced.stages[..] else { panic!("{:?}", traced.stages) };
    assert_eq!((stage.began.as_millis(), stage.ended.as_millis(), traced.took.as_millis()), (5, 25, 26));
    assert_eq!((traced.began, traced.bucket.as_deref()), (1_000, Some("bucket")));
    for _ in 0..2 * MAX_STAGES {
        drop(trace.stage("commit"));
    }
    trace.end(trace.name(true).unwrap(), &came("No Bucket\n"));
    let traced = kept.0.lock().pop().unwrap();
    assert_eq!((traced.stages.len(), traced.bucket), (MAX_STAGES, None));
}
