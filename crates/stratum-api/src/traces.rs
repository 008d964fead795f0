//! Traces of requests: which requests are traced, and what a trace tells.
//!
//! A trace is put together when its request has been answered. While the request is served, a stage of its work costs
//! two reads of a clock and nothing else. The operator's configuration says which share of the requests is traced,
//! and a client can't have its request traced. Of a client's `traceparent` two things are heeded, and only if a known
//! user has signed the request: the ids in it, and that it says "not sampled". A trace doesn't tell the keys of
//! objects. The request's line in the log has the path, and the ids of the trace and the span.

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

/// How many stages of one request a trace tells at most.
const MAX_STAGES: usize = 16;

/// Where traces go. A sink never waits: it drops a trace that it has no room for.
pub trait TraceSink: Debug + Send + Sync {
    fn tell(&self, traced: Traced);
}

/// The share of requests that are traced: from none to all.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    pub const ALL: Share = Share(1.0);

    /// A share from 0 to 1; none for any other number.
    pub fn new(share: f64) -> Option<Share> {
        (0.0..=1.0).contains(&share).then_some(Share(share))
    }

    pub fn is_none(self) -> bool {
        self.0 == 0.0
    }

    /// Whether a request is traced, by a random number that is drawn for it.
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

    /// Begins the trace of a request whose head has been read, if the request is to be traced.
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

/// The trace of a request that is being served. It is empty, and takes no memory, for a request that isn't traced.
#[derive(Clone, Debug)]
pub struct Trace(Option<Arc<Open>>);

/// A stage of a request's work, which ends when this is dropped.
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

    /// Begins a stage of the request's work, which has a span of its own. It ends when the value that is returned is
    /// dropped.
    #[must_use]
    pub fn stage(&self, name: &'static str) -> Staging<'_> {
        Staging(self.0.as_deref().map(|open| (open, name, open.elapsed())))
    }

    /// The ids of the request's span, when it is known whether somebody signed the request. None where it isn't
    /// traced.
    pub(crate) fn name(&self, is_signed: bool) -> Option<Named> {
        let open = self.0.as_ref()?;
        // A stranger could claim to be a part of any trace: the `traceparent` of an unsigned request is ignored.
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

    /// Gives the trace of a request that has been answered to the sink.
    pub(crate) fn end(&self, named: Named, came: &Came<'_>) {
        let Some(open) = &self.0 else { return };
        open.tracer.sink.tell(Traced {
            named,
            request: came.request,
            is_signed: came.is_signed,
            operation: came.operation,
            method: came.method.clone(),
            // A text that isn't the name of a bucket isn't told: a stranger may have chosen it.
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

/// The outcome of a request.
pub(crate) struct Came<'a> {
    pub request: RequestId,
    pub is_signed: bool,
    pub operation: &'static str,
    pub method: &'a Method,
    pub bucket: Option<&'a str>,
    pub status: StatusCode,
    pub error: Option<&'static str>,
}

/// A request's trace.
#[derive(Clone, Debug)]
pub struct Traced {
    pub named: Named,
    pub request: RequestId,
    /// Whether a known user has signed the request.
    pub is_signed: bool,
    pub operation: &'static str,
    pub method: Method,
    pub bucket: Option<String>,
    pub status: StatusCode,
    /// The code of S3's error.
    pub error: Option<&'static str>,
    pub began: UnixMillis,
    /// The time until the head of the answer.
    pub took: Duration,
    pub stages: Vec<Stage>,
}

/// A stage of a request's work; its times are counted from the beginning of the request.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub name: &'static str,
    pub span: SpanId,
    pub began: Duration,
    pub ended: Duration,
}

/// The ids of a request's span, of its trace, and of the span that it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub trace: TraceId,
    pub span: SpanId,
    /// The client's span, of which the request's is a part.
    pub parent: Option<SpanId>,
}

/// The id of a trace, which is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// The id of a span, which is never 0.
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
