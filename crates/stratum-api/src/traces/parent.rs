//! The `traceparent` of a request (W3C Trace Context): `00-TRACE-SPAN-FLAGS`, in hex.

use super::{SpanId, TraceId};
use http::HeaderMap;

/// The client's trace and span of which its request is a part, as the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    pub is_sampled: bool,
}

impl Parent {
    /// The request's `traceparent`. A header that can't be read is ignored, and so are two of them.
    pub fn of(headers: &HeaderMap) -> Option<Parent> {
        let mut said = headers.get_all("traceparent").iter();
        let text = said.next()?.to_str().ok()?;
        said.next().is_none().then(|| Parent::parse(text)).flatten()
    }

    fn parse(text: &str) -> Option<Parent> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| parts.next().filter(|part| is_hex(part, digits));
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // A later version of the format may have more fields, and this one has just these. The version ff isn't
        // allowed.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Parent { trace: TraceId(trace), span: SpanId(span), is_sampled: flags & 1 == 1 })
    }
}

/// Whether a text is this many hex digits, in lower case.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_as_the_standard_has_it() {
        let parent = Parent::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.into(), SPAN.into()));
        assert!(parent.is_sampled);
        assert!(!Parent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled);
        assert!(Parent::parse(&format!("01-{TRACE}-{SPAN}-01-more")).is_some(), "a later version");
    }

    #[test]
    fn a_header_that_the_standard_doesnt_allow_is_ignored() {
        let zero = "0".repeat(32);
        for wrong in [
            String::new(),
            "00".into(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(Parent::parse(&wrong), None, "{wrong}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append("traceparent", format!("00-{TRACE}-{SPAN}-01").parse().unwrap());
        }
        assert_eq!(Parent::of(&twice), None);
    }
}
