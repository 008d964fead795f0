//! The target for signed chunked bodies: the example with trailers of the S3 API reference, with bytes written over
//! it. A body with other data must be refused.

use crate::{NOW, identities};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_auth::{Chunking, Payload, Request, Verifier};

const LENGTH: usize = 66_560;
const CHUNKS: [(usize, &str); 3] = [
    (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
    (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
    (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
];
const TRAILERS: &str = "x-amz-checksum-crc32c:sOO8/Q==\r\n\
    x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";

/// How the body is chunked, as the head of the example's request says.
fn chunking() -> Chunking {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
        SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
        x-amz-storage-class;x-amz-trailer,\
        Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", authorization),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers: HeaderMap = headers.into_iter().map(header).collect();
    let (path, query) = ("/examplebucket/chunkObject.txt", "");
    let request = Request { method: "PUT", path, query, headers: &headers, virtual_bucket: None };
    let answer = Verifier::new("us-east-1").authenticate(&request, NOW, &identities());
    match answer.expect("it is signed").payload {
        Payload::Chunked(chunking) => chunking,
        other => panic!("{other:?}"),
    }
}

fn published() -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in CHUNKS {
        body.extend(format!("{size:x};chunk-signature={signature}\r\n").into_bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        body.extend(if size > 0 { "\r\n" } else { TRAILERS }.as_bytes());
    }
    body
}

/// The first byte is the length of the pieces in which the body arrives. The next two say where the other bytes are
/// written over it: near the front, in the head of the first chunk, or counted from the end.
pub fn signed(bytes: &[u8]) {
    let Some(([piece, near, far], over)) = bytes.split_first_chunk() else { return };
    let mut body = published();
    let at = match usize::from(*near) {
        front @ ..128 => front,
        end => body.len().saturating_sub((end - 128) * 256 + usize::from(*far)),
    };
    body.resize(body.len().max(at + over.len()), 0);
    body[at..at + over.len()].copy_from_slice(over);
    let (mut decoder, mut decoded) = (chunking().decoder(LENGTH as u64), 0);
    for piece in body.chunks(usize::from(*piece) * 64 + 1) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(out)) => {
                    decoded += out.len();
                    assert!(decoded <= LENGTH);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    if decoder.finish().is_ok() {
        let data = body.iter().filter(|byte| **byte == b'a').count();
        assert!(decoded == LENGTH && data >= LENGTH, "a body that nobody signed was taken");
    }
}
