//! Traces of requests: which have one, and what it tells.
//!
//! A trace is put together when its request is answered, so that what is on the way knows of no tracer and costs two looks
//! at a clock. Whether a request has one is decided here by the operator's share, and by nobody who asks: of a `traceparent` the name
//! of the trace is taken, if the request is signed by somebody we know, and its "not sampled" as well; never that something is to be sampled.
//! Keys of objects aren't told: the request's line in the log has the path, and bears the same names.

mod parent;

use crate::request_id::RequestId;
use http::{HeaderMap, Method, StatusCode};
use parent::Parent;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::record::BucketName;
use stratum_storage::ambient::{Clock, Entropy, UnixMillis};
use tracing_mutex::parkinglot::Mutex;

/// Stages of one request that are told.
const MAX_STAGES: usize = 16;

/// Takes what is told of requests, or leaves it: it never waits.
pub trait TraceSink: Debug + Send + Sync {
    fn tell(&self, traced: Traced);
}

/// Which part of all requests has a trace: from none to all.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    pub const ALL: Share = Share(1.0);

    /// From 0 to 1.
    pub fn new(share: f64) -> Option<Share> {
        (0.0..=1.0).contains(&share).then_some(Share(share))
    }

    pub fn is_none(self) -> bool {
        self.0 == 0.0
    }

    /// Whether a request is of the part, by a number that is drawn for it.
    fn has(self, drawn: u64) -> bool {
        (drawn as f64) < self.0 * u64::MAX as f64 || self.0 == 1.0
    }
}

/// Traces requests, or does nothing.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracer>>);

#[derive(Debug)]
struct Tracer {
    sink: Arc<dyn TraceSink>,
    share: Share,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Traces {
    pub fn new(
        sink: Arc<dyn TraceSink>,
        share: Share,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Traces {
        Traces(Some(Arc::new(Tracer { sink, share, clock, entropy })))
    }

    /// Of a request whose head has come.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Trace {
        let traced = self.0.as_ref().filter(|tracer| tracer.share.has(tracer.entropy.next_u64()));
        let open = |tracer: &Arc<Tracer>| Open {
            tracer: tracer.clone(),
            parent: Parent::of(headers),
            began: tracer.clock.now(),
            since: tracer.clock.monotonic(),
            stages: Mutex::default(),
        };
        Trace(traced.map(|tracer| Arc::new(open(tracer))))
    }
}

/// The trace of a request that is being served; of most, none, which takes no memory.
#[derive(Clone, Debug)]
pub struct Trace(Option<Arc<Open>>);

/// A part of a request's work that goes on.
#[derive(Debug)]
pub struct Staging<'a>(Option<(&'a Open, &'static str, Duration)>);

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        let Some((open, name, began)) = self.0 else { return };
        let mut stages = open.stages.lock();
        if stages.len() < MAX_STAGES {
            let span = SpanId::drawn(&*open.tracer.entropy);
            stages.push(Stage { name, span, began, ended: open.elapsed() });
        }
    }
}

#[derive(Debug)]
struct Open {
    tracer: Arc<Tracer>,
    parent: Option<Parent>,
    began: UnixMillis,
    since: Duration,
    stages: Mutex<Vec<Stage>>,
}

impl Trace {
    pub const OFF: Trace = Trace(None);

    /// Begins a part of the request's work that is worth a span of its own, and that lasts as long as what is given.
    #[must_use]
    pub fn stage(&self, name: &'static str) -> Staging<'_> {
        Staging(self.0.as_deref().map(|open| (open, name, open.elapsed())))
    }

    /// What its span is called, now that it is known whether somebody signed it.
    pub(crate) fn name(&self, is_signed: bool) -> Option<Named> {
        let open = self.0.as_ref()?;
        // Whoever signs nothing may claim anything.
        let parent = open.parent.filter(|_| is_signed);
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return None;
        }
        let entropy = &*open.tracer.entropy;
        Some(Named {
            trace: parent.map_or_else(|| TraceId::drawn(entropy), |parent| parent.trace),
            span: SpanId::drawn(entropy),
            parent: parent.map(|parent| parent.span),
        })
    }

    /// Tells of the request, which is answered.
    pub(crate) fn end(&self, named: Named, came: &Came<'_>) {
        let Some(open) = &self.0 else { return };
        open.tracer.sink.tell(Traced {
            named,
            request: came.request,
            is_signed: came.is_signed,
            operation: came.operation,
            method: came.method.clone(),
            // Whatever else stands in that place is a stranger's text.
            bucket: came.bucket.filter(|name| BucketName::parse(name).is_ok()).map(str::to_owned),
            status: came.status,
            error: came.error,
            began: open.began,
            took: open.elapsed(),
            stages: std::mem::take(&mut open.stages.lock()),
        });
    }
}

impl Open {
    fn elapsed(&self) -> Duration {
        self.tracer.clock.monotonic().saturating_sub(self.since)
    }
}

/// What came of a request.
pub(crate) struct Came<'a> {
    pub request: RequestId,
    pub is_signed: bool,
    pub operation: &'static str,
    pub method: &'a Method,
    pub bucket: Option<&'a str>,
    pub status: StatusCode,
    pub error: Option<&'static str>,
}

/// A request, as its trace tells it.
#[derive(Clone, Debug)]
pub struct Traced {
    pub named: Named,
    pub request: RequestId,
    /// Somebody whom we know has signed it.
    pub is_signed: bool,
    pub operation: &'static str,
    pub method: Method,
    pub bucket: Option<String>,
    pub status: StatusCode,
    /// S3's code.
    pub error: Option<&'static str>,
    pub began: UnixMillis,
    /// Until the head of its answer.
    pub took: Duration,
    pub stages: Vec<Stage>,
}

/// A part of its work, in time since it began.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub name: &'static str,
    pub span: SpanId,
    pub began: Duration,
    pub ended: Duration,
}

/// What the span of a request is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub trace: TraceId,
    pub span: SpanId,
    /// The client's span, of which it is a part.
    pub parent: Option<SpanId>,
}

/// Names a trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// Names a span; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub u64);

impl TraceId {
    fn drawn(entropy: &dyn Entropy) -> TraceId {
        TraceId(entropy.next_u128().max(1))
    }
}

impl SpanId {
    fn drawn(entropy: &dyn Entropy) -> SpanId {
        SpanId(entropy.next_u64().max(1))
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests;
